package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// Bounds of one message of log lines.
const (
	linesPerMessage = 1024
	bytesPerMessage = 1 << 20
)

// errMoved is returned when a rank's output is on another host now.
var errMoved = errors.New("worker: the rank runs on another host now, and its output is there")

// logReader reads one rank's log from a line on.
type logReader struct {
	log  *appLog
	rank int32
	from uint64 // the next line wanted

	file *os.File
	br   *bufio.Reader
	life int
}

func (r *logReader) close() {
	if r.file != nil {
		r.file.Close() //nolint:errcheck,gosec // read only
		r.file = nil
	}
}

// read sends lines; with follow it goes on until the log is complete or ctx ends. It returns whether the log is complete.
func (r *logReader) read(ctx context.Context, follow bool, send func([]*apiv1.LogLine) error) (bool, error) {
	defer r.close()
	for {
		s := r.log.state(r.rank)
		if r.from < s.stored {
			if err := r.sendUpTo(s, send); err != nil {
				return false, err
			}
			continue
		}
		// While the rank writes, a notice may yet grow; it is sent when it stands in the file.
		if s.notice != nil && r.from < s.next && (s.done || !follow) {
			r.from = s.next
			if err := send([]*apiv1.LogLine{s.notice}); err != nil {
				return false, err
			}
		}
		if s.done || !follow {
			return s.done, nil
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// open opens the rank's file, if it is not the one being read.
func (r *logReader) open(s logState) error {
	if r.file != nil && r.life == s.life {
		return nil
	}
	r.close()
	f, err := os.Open(r.log.path(r.rank))
	if errors.Is(err, os.ErrNotExist) && r.log.state(r.rank).moved {
		return errMoved
	}
	if err != nil {
		return fmt.Errorf("worker: logs: %w", err)
	}
	r.file, r.br, r.life = f, bufio.NewReaderSize(f, 64<<10), s.life
	return nil
}

// sendUpTo sends the lines wanted that are before s.stored.
func (r *logReader) sendUpTo(s logState, send func([]*apiv1.LogLine) error) error {
	if err := r.open(s); err != nil {
		return err
	}
	var out []*apiv1.LogLine
	size := 0
	for r.from < s.stored {
		line := new(apiv1.LogLine)
		if err := readRecord(r.br, line); err != nil {
			return fmt.Errorf("worker: logs of rank %d: %w", r.rank, err)
		}
		next := line.Seq + max(1, line.Lost)
		if next <= r.from {
			continue
		}
		out = append(out, line)
		r.from = next
		size += len(line.Text)
		if len(out) >= linesPerMessage || size >= bytesPerMessage {
			if err := send(out); err != nil {
				return err
			}
			out, size = nil, 0
		}
	}
	if len(out) == 0 {
		return nil
	}
	return send(out)
}
