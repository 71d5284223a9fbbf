package worker

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// stderrStream is the stream that notices of Godwit itself go to.
const stderrStream = 2

// maxLogRecord bounds one line of a log, with what stands around it.
const maxLogRecord = 1 << 20

// rankLog is the output of one rank on this host: a file of length-prefixed log lines. Guarded by its appLog's mu.
type rankLog struct {
	rank int32
	path string
	file *os.File // nil: not open
	logFacts
	torn  bool // the file may be longer than size
	done  bool // the rank writes no more here
	moved bool // the rank, with the file, is on another host
	life  int  // counts the files this one replaced

	taking *sync.Mutex // held while its file, of an earlier life of the worker, is read; nil: what is in it is known

	lost     uint64 // lines that are not stored, and not told of by a notice in the file
	lostFrom uint64 // number of the first of them
	lostWhy  string
}

// logFacts are what a file of log lines holds.
type logFacts struct {
	next     uint64 // number of the next line
	size     int64  // bytes of whole records
	lostEver uint64 // lines that its notices tell of, and later ones
	index    logIndex
}

// takeUp reads what a file left by an earlier life holds, cuts off a record torn by its death, and notes damage of another kind.
func (r *rankLog) takeUp(moves func()) error {
	f, err := os.OpenFile(r.path, os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnreadable, err)
	}
	defer f.Close() //nolint:errcheck // read only, but for the cut
	var size int64
	if info, err := f.Stat(); err == nil {
		size = info.Size()
	}
	var damage error
	from := &watchedFile{f: f, moves: moves}
	if r.logFacts, damage = readLog(from, -1); damage == nil {
		return nil
	}
	if from.err != nil { // what cannot be read now may be whole
		return fmt.Errorf("%w: %w", errUnreadable, from.err)
	}
	if err := f.Truncate(r.size); err != nil {
		return fmt.Errorf("%w: %w", errUnreadable, err)
	}
	if errors.Is(damage, io.ErrUnexpectedEOF) {
		return nil
	}
	// Not the end of a worker's life, but a broken file: what comes after has no numbers any more, only a size.
	notice := &apiv1.LogLine{
		Rank: r.rank, Stream: stderrStream, Seq: r.next, AtMs: time.Now().UnixMilli(), Lost: 1,
		Text: fmt.Appendf(nil, "godwit: the file of rank %d's output is damaged here: its last %d bytes are lost", r.rank, size-r.size),
	}
	var more addition
	if err := r.add(&more, notice); err != nil {
		return err
	}
	if _, err := f.WriteAt(more.Bytes(), r.size); err != nil {
		return fmt.Errorf("%w: %w", errUnreadable, err)
	}
	r.index = more.index
	r.next, r.lostEver, r.size = r.next+1, r.lostEver+1, r.size+int64(more.Len())
	return nil
}

// watchedFile reads a file, and tells moves as it does; err is what kept it from reading on, if not the file's end.
type watchedFile struct {
	f     io.Reader
	moves func()
	err   error
}

// Read implements io.Reader.
func (s *watchedFile) Read(p []byte) (int, error) {
	n, err := s.f.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	s.moves()
	return n, err //nolint:wrapcheck // io.EOF is the end
}

// readLog reads a file of log lines to its end, or to the first record that is none, which is the error. rank -1: of any rank.
func readLog(f io.Reader, rank int32) (facts logFacts, err error) {
	br := bufio.NewReaderSize(f, 64<<10)
	for {
		line := new(apiv1.LogLine)
		if err := readRecord(br, line); errors.Is(err, io.EOF) {
			return facts, nil
		} else if err != nil {
			return facts, fmt.Errorf("worker: logs: the record after line %d: %w", facts.next, err)
		}
		if (rank >= 0 && line.Rank != rank) || line.Seq < facts.next {
			return facts, fmt.Errorf("worker: logs: line %d of rank %d stands where line %d of rank %d belongs", line.Seq, line.Rank, facts.next, rank)
		}
		facts.next = line.Seq + max(1, line.Lost)
		facts.lostEver += line.Lost
		facts.index = facts.index.with(line, facts.size)
		facts.size += int64(protowire.SizeBytes(proto.Size(line)))
	}
}

func readRecord(br *bufio.Reader, line *apiv1.LogLine) error {
	return protodelim.UnmarshalOptions{MaxSize: maxLogRecord}.UnmarshalFrom(br, line) //nolint:wrapcheck // io.EOF is the end
}

// append adds the rank's lines with one write. If that fails all of them are lost.
func (r *rankLog) append(lines []*apiv1.LogLine) error {
	r.done, r.moved = false, false
	var more addition
	if r.lost > 0 {
		if err := r.add(&more, r.notice()); err != nil {
			return err
		}
	}
	next, fresh := r.next, uint64(0)
	for _, line := range lines {
		if line.Seq < next {
			continue // it came with the rank
		}
		if err := r.add(&more, line); err != nil {
			return err
		}
		next = line.Seq + 1
		fresh++
	}
	if fresh == 0 {
		return nil
	}
	err := r.write(&more)
	if err == nil {
		r.next, r.lost = next, 0
		return nil
	}
	if r.lost == 0 {
		r.lostFrom = r.next
	}
	r.next = next
	r.lost += fresh
	r.lostEver += fresh
	r.lostWhy = reasonOf(err)
	return err
}

// addition is what is to be appended to a file.
type addition struct {
	bytes.Buffer
	index logIndex // of the file with them
}

// add puts one more line behind more.
func (r *rankLog) add(more *addition, line *apiv1.LogLine) error {
	if more.Len() == 0 {
		more.index = r.index
	}
	at := r.size + int64(more.Len())
	if _, err := protodelim.MarshalTo(more, line); err != nil {
		return fmt.Errorf("worker: logs: %w", err)
	}
	more.index = more.index.with(line, at)
	return nil
}

// write appends whole records to the file, or nothing.
func (r *rankLog) write(more *addition) (err error) {
	if r.file == nil {
		if r.file, err = os.OpenFile(r.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
			return fmt.Errorf("worker: logs: %w", err)
		}
	}
	if err := r.heal(); err != nil {
		return err
	}
	r.torn = true
	if _, err := r.file.Write(more.Bytes()); err != nil {
		return errors.Join(fmt.Errorf("worker: logs: %w", err), r.heal())
	}
	r.torn = false
	r.size, r.index = r.size+int64(more.Len()), more.index
	return nil
}

// heal cuts off what a write that failed has left.
func (r *rankLog) heal() error {
	if !r.torn {
		return nil
	}
	if err := r.file.Truncate(r.size); err != nil {
		return fmt.Errorf("worker: logs: %w", err)
	}
	r.torn = false
	return nil
}

// notice is the line that stands for those that are lost.
func (r *rankLog) notice() *apiv1.LogLine {
	return &apiv1.LogLine{
		Rank: r.rank, Stream: stderrStream, Seq: r.lostFrom, AtMs: time.Now().UnixMilli(), Lost: r.next - r.lostFrom,
		Text: fmt.Appendf(nil, "godwit: %d lines of rank %d's output are lost here: its host could not store them (%s)", r.lost, r.rank, r.lostWhy),
	}
}

// finish says that the rank writes no more here. A notice that cannot be stored is kept for readers.
func (r *rankLog) finish() {
	r.done = true
	if r.lost == 0 {
		return
	}
	var more addition
	if r.add(&more, r.notice()) == nil && r.write(&more) == nil {
		r.lost = 0
	}
}

func (r *rankLog) close() {
	if r.file != nil {
		r.file.Close() //nolint:errcheck,gosec // all was written, or told of
		r.file = nil
	}
}

// reasonOf is the system's own word for what went wrong, if there is one: the rest names files of this host.
func reasonOf(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}
