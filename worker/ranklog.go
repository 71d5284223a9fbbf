package worker

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
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

// rankLog is the output of one rank on this host: a file of length-prefixed log lines. One goroutine at a time changes it, who holds its appLog's
// disk; readers see a copy of what is known.
type rankLog struct {
	path   string
	taking claim // held by who reads its file, of an earlier life of the worker; nil: what is in it is known

	// Of who holds disk.
	file      *os.File // nil: not open
	torn      bool     // the file may be longer than size
	earlier   bool     // an earlier life of the worker has written it, and nothing was since
	rankFacts          // when it was last changed

	// Guarded by its appLog's mu.
	shown     rankFacts     // what readers see
	replacing bool          // another file takes its place: which of the two bears its name is not known
	changed   chan struct{} // closed at the next change; nil: nobody waits for that
}

// rankFacts are what is known of a rank's output. Those that readers see share the marks of the index, of which none is changed that they have.
type rankFacts struct {
	rank int32
	logFacts
	done  bool // the rank writes no more here
	moved bool // the rank, with the file, is on another host
	life  int  // counts the files this one replaced

	lost     uint64 // lines that are not stored, and not told of by a notice in the file
	lostFrom uint64 // number of the first of them
	lostWhy  string
	damaged  int64 // bytes that are no lines, from lostFrom on: how many they were nobody knows, and lost counts one; 0: there is no damage
}

// logFacts are what a file of log lines holds.
type logFacts struct {
	next     uint64 // number of the next line
	size     int64  // bytes of whole records
	lostEver uint64 // lines that its notices tell of, and later ones
	index    logIndex
}

func newRankLog(rank int32, path string) *rankLog {
	return &rankLog{path: path, rankFacts: rankFacts{rank: rank}, shown: rankFacts{rank: rank}}
}

// wake wakes those who wait for a change. Holds mu.
func (r *rankLog) wake() {
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// takeUp reads what a file left by an earlier life holds. It writes nothing, for the disk may take nothing: a record torn by that life's death is cut
// off before anything else is written, and damage of another kind is told of by a notice, as lines are that cannot be stored.
func (r *rankLog) takeUp(moves func()) error {
	f, err := os.Open(r.path)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnreadable, err)
	}
	defer f.Close() //nolint:errcheck // read only
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("%w: %w", errUnreadable, err)
	}
	from := &watchedFile{f: f, moves: moves}
	facts, damage := readLog(from, -1)
	if from.err != nil { // what cannot be read now may be whole
		return fmt.Errorf("%w: %w", errUnreadable, from.err)
	}
	r.logFacts, r.done, r.torn, r.earlier = facts, true, damage != nil, true
	if damage == nil || errors.Is(damage, io.ErrUnexpectedEOF) {
		return nil
	}
	// Not the end of a worker's life, but a broken file: what comes after has no numbers any more, only a size.
	r.lost, r.lostFrom, r.damaged = 1, r.next, max(1, info.Size()-r.size)
	r.next, r.lostEver = r.next+1, r.lostEver+1
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
		if err := facts.take(line, rank); err != nil {
			return facts, err
		}
	}
}

// take counts a file's next line. rank -1: it may be of any rank.
func (f *logFacts) take(line *apiv1.LogLine, rank int32) error {
	if (rank >= 0 && line.Rank != rank) || line.Seq < f.next {
		return fmt.Errorf("worker: logs: line %d of rank %d stands where line %d of rank %d belongs", line.Seq, line.Rank, f.next, rank)
	}
	f.next = line.Seq + max(1, line.Lost)
	f.lostEver += line.Lost
	f.index = f.index.with(line, f.size)
	f.size += int64(protowire.SizeBytes(proto.Size(line)))
	return nil
}

// logCheck checks a rank's log as it comes, in parts of any size.
type logCheck struct {
	rank  int32
	facts logFacts
	rest  []byte // of a record that has not come whole
}

func (c *logCheck) add(part []byte) error {
	c.rest = append(c.rest, part...)
	at := 0
	for at < len(c.rest) {
		size, n := protowire.ConsumeVarint(c.rest[at:])
		switch {
		case n < 0 && len(c.rest)-at >= binary.MaxVarintLen64, size > maxLogRecord:
			return fmt.Errorf("worker: logs: no record stands after line %d", c.facts.next)
		case n < 0, uint64(len(c.rest)-at-n) < size:
			c.rest = append(c.rest[:0], c.rest[at:]...)
			return nil
		}
		line := new(apiv1.LogLine)
		if err := proto.Unmarshal(c.rest[at+n:at+n+int(size)], line); err != nil {
			return fmt.Errorf("worker: logs: the record after line %d: %w", c.facts.next, err)
		}
		if err := c.facts.take(line, c.rank); err != nil {
			return err
		}
		at += n + int(size)
	}
	c.rest = c.rest[:0]
	return nil
}

func readRecord(br *bufio.Reader, line *apiv1.LogLine) error {
	return protodelim.UnmarshalOptions{MaxSize: maxLogRecord}.UnmarshalFrom(br, line) //nolint:wrapcheck // io.EOF is the end
}

// append adds the rank's lines with one write. If that fails, or refuse says why they are not to be stored, all of them are lost.
func (r *rankLog) append(lines []*apiv1.LogLine, refuse error) error {
	r.done, r.moved = false, false
	var more addition
	if r.lost > 0 {
		if err := r.add(&more, r.notice()); err != nil {
			return err
		}
	}
	next, fresh, gaps := r.next, uint64(0), uint64(0)
	for _, line := range lines {
		if line.Seq < next {
			continue // it came with the rank
		}
		if n := line.Seq - next; n > 0 && r.earlier { // of a process of the worker that has ended
			gap := rankFacts{rank: r.rank, lost: n, lostFrom: next, lostWhy: "and ended before it could say so"}
			gap.next = line.Seq
			if err := r.add(&more, gap.notice()); err != nil {
				return err
			}
			gaps += n
		}
		if err := r.add(&more, line); err != nil {
			return err
		}
		next, r.earlier = line.Seq+1, false
		fresh++
	}
	if fresh == 0 {
		return nil
	}
	err := refuse
	if err == nil {
		err = r.write(&more)
	}
	if err == nil {
		r.next, r.lost, r.damaged = next, 0, 0
		r.lostEver += gaps
		return nil
	}
	fresh += gaps
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
func (r *rankLog) write(more *addition) error {
	if err := r.open(); err != nil {
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

// open makes the file one that ends where the next record belongs.
func (r *rankLog) open() (err error) {
	if r.file == nil {
		if r.file, err = os.OpenFile(r.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
			return fmt.Errorf("worker: logs: %w", err)
		}
	}
	return r.heal()
}

// heal cuts off what a write that failed, or an earlier life, has left.
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
func (f *rankFacts) notice() *apiv1.LogLine {
	text := fmt.Appendf(nil, "godwit: %d lines of rank %d's output are lost here: its host could not store them (%s)", f.lost, f.rank, f.lostWhy)
	if f.damaged > 0 {
		text = fmt.Appendf(nil, "godwit: the file of rank %d's output is damaged here: its last %d bytes are lost", f.rank, f.damaged)
	}
	if f.damaged > 0 && f.lost > 1 {
		text = fmt.Appendf(text, ", and %d lines after them: its host could not store them (%s)", f.lost-1, f.lostWhy)
	}
	return &apiv1.LogLine{Rank: f.rank, Stream: stderrStream, Seq: f.lostFrom, AtMs: time.Now().UnixMilli(), Lost: f.next - f.lostFrom, Text: text}
}

// finish says that the rank writes no more here. A notice that cannot be stored is kept for readers.
func (r *rankLog) finish() {
	r.done = true
	switch {
	case r.moved, r.lost == 0 && !r.torn:
	case r.lost == 0:
		_ = r.open() // what is behind its lines is no reader's business
	default:
		var more addition
		if r.add(&more, r.notice()) == nil && r.write(&more) == nil {
			r.lost, r.damaged = 0, 0
		}
	}
}

func (r *rankLog) close() {
	if r.file != nil {
		r.file.Close() //nolint:errcheck,gosec // all was written, or told of
		r.file = nil
	}
}

// reasonOf is the system's own word for what went wrong, if there is one: the rest names files of this host. Of a connection it says which, too.
func reasonOf(err error) string {
	var call *net.OpError
	if errors.As(err, &call) {
		return call.Error()
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}
