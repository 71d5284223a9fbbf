package worker

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// maxLogs bounds the apps whose output one host keeps.
const maxLogs = 1000

// logStore keeps the output of ranks on this host: a file for each rank, of length-prefixed log lines. A rank's file
// moves with it, so that the host of a rank has all it ever wrote.
type logStore struct {
	dir string

	mu   sync.Mutex // guards apps
	apps map[string]*appLog
}

// appLog is the log of one app's ranks on this host.
type appLog struct {
	dir string

	mu       sync.Mutex // guards the fields below
	files    map[int32]*rankLog
	changed  chan struct{} // closed and replaced at every change
	complete bool          // no more output will come here
}

type rankLog struct {
	file *os.File
	next uint64 // number of the next line
	done bool
	life int // counts the files this one replaced
}

func newLogStore(dir string) (*logStore, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("worker: logs: %w", err)
	}
	return &logStore{dir: dir, apps: map[string]*appLog{}}, nil
}

// app returns the log of an app, made or opened if need be.
func (s *logStore) app(id string) (*appLog, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.apps[id]; l != nil {
		return l, nil
	}
	dir := filepath.Join(s.dir, id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("worker: logs: %w", err)
	}
	l := &appLog{dir: dir, files: map[int32]*rankLog{}, changed: make(chan struct{})}
	if err := l.load(); err != nil {
		return nil, err
	}
	s.apps[id] = l
	return l, s.prune()
}

// prune forgets the oldest complete logs when there are too many. Holds mu.
func (s *logStore) prune() error {
	dirs, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("worker: logs: %w", err)
	}
	if len(dirs) <= maxLogs {
		return nil
	}
	age := func(d os.DirEntry) int64 {
		info, err := d.Info()
		if err != nil {
			return 0 // gone already
		}
		return info.ModTime().UnixNano()
	}
	slices.SortFunc(dirs, func(a, b os.DirEntry) int { return cmp.Compare(age(a), age(b)) })
	for _, d := range dirs[:len(dirs)-maxLogs] {
		if l := s.apps[d.Name()]; l != nil && !l.isComplete() {
			continue
		}
		delete(s.apps, d.Name())
		if err := os.RemoveAll(filepath.Join(s.dir, d.Name())); err != nil {
			return fmt.Errorf("worker: logs: %w", err)
		}
	}
	return nil
}

func (l *appLog) isComplete() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.complete
}

// find returns the log of an app, or nil if this host has none.
func (s *logStore) find(id string) (*appLog, error) {
	s.mu.Lock()
	_, ok := s.apps[id]
	s.mu.Unlock()
	if !ok {
		if _, err := os.Stat(filepath.Join(s.dir, id)); err != nil {
			if errors.Is(err, os.ErrNotExist) {
				return nil, nil
			}
			return nil, fmt.Errorf("worker: logs: %w", err)
		}
	}
	return s.app(id)
}

// load takes up the files of an earlier life of the worker: whatever they hold is all there will be.
func (l *appLog) load() error {
	names, err := filepath.Glob(filepath.Join(l.dir, "*.log"))
	if err != nil {
		return fmt.Errorf("worker: logs: %w", err)
	}
	for _, name := range names {
		rank, err := strconv.ParseInt(strings.TrimSuffix(filepath.Base(name), ".log"), 10, 32)
		if err != nil {
			continue
		}
		r, err := openRankLog(name)
		if err != nil {
			return err
		}
		if err := r.file.Close(); err != nil {
			return fmt.Errorf("worker: logs: %w", err)
		}
		r.done = true
		l.files[int32(rank)] = r
	}
	return nil
}

func openRankLog(path string) (*rankLog, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("worker: logs: %w", err)
	}
	r := &rankLog{file: f}
	br := bufio.NewReader(io.NewSectionReader(f, 0, 1<<62))
	good := 0
	for {
		var line apiv1.LogLine
		if err := protodelim.UnmarshalFrom(br, &line); err != nil {
			break // the end, or a line torn by the death of an earlier worker
		}
		r.next = line.Seq + 1
		n := proto.Size(&line)
		good += protowire.SizeBytes(n)
	}
	if err := f.Truncate(int64(good)); err != nil {
		return nil, fmt.Errorf("worker: logs: %w", err)
	}
	return r, nil
}

func (l *appLog) path(rank int32) string { return filepath.Join(l.dir, strconv.Itoa(int(rank))+".log") }

// rank returns the rank's file, made if need be. Holds mu.
func (l *appLog) rank(id int32) (*rankLog, error) {
	if r := l.files[id]; r != nil {
		return r, nil
	}
	r, err := openRankLog(l.path(id))
	if err != nil {
		return nil, err
	}
	l.files[id] = r
	return r, nil
}

// append adds lines, of any ranks.
func (l *appLog) append(lines []*apiv1.LogLine) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(lines) > 0 {
		n := 1
		for n < len(lines) && lines[n].Rank == lines[0].Rank {
			n++
		}
		if err := l.appendRank(lines[0].Rank, lines[:n]); err != nil {
			return err
		}
		lines = lines[n:]
	}
	l.notify()
	return nil
}

// appendRank adds one rank's lines with one write. Holds mu.
func (l *appLog) appendRank(rank int32, lines []*apiv1.LogLine) error {
	r, err := l.rank(rank)
	if err != nil {
		return err
	}
	var buf bytes.Buffer
	next := r.next
	for _, line := range lines {
		if line.Seq < next {
			continue
		}
		if _, err := protodelim.MarshalTo(&buf, line); err != nil {
			return fmt.Errorf("worker: logs: %w", err)
		}
		next = line.Seq + 1
	}
	if _, err := r.file.Write(buf.Bytes()); err != nil {
		return fmt.Errorf("worker: logs: %w", err)
	}
	r.next, r.done = next, false
	return nil
}

// notify wakes the readers. Holds mu.
func (l *appLog) notify() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// finish says that a rank will write no more on this host.
func (l *appLog) finish(rank int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r, err := l.rank(rank); err == nil {
		r.done = true
	}
	l.notify()
}

// replace puts the log that came with a rank in the place of what this host had of it.
func (l *appLog) replace(rank int32, tmp string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	life := 1
	if old := l.files[rank]; old != nil {
		life = old.life + 1
		old.file.Close() //nolint:errcheck,gosec // superseded
		delete(l.files, rank)
	}
	if err := os.Rename(tmp, l.path(rank)); err != nil {
		return fmt.Errorf("worker: logs: %w", err)
	}
	r, err := l.rank(rank)
	if err != nil {
		return err
	}
	r.life = life
	l.notify()
	return nil
}

// open opens a rank's file for reading from its start.
func (l *appLog) open(rank int32) (*os.File, error) {
	f, err := os.Open(l.path(rank))
	if err != nil {
		return nil, fmt.Errorf("worker: logs: %w", err)
	}
	return f, nil
}

// logState is how far a rank's log goes.
type logState struct {
	next    uint64
	done    bool            // it is complete
	life    int             // changes when another file takes its place
	changed <-chan struct{} // closed at the next change
}

func (l *appLog) state(rank int32) logState {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := logState{done: l.complete, changed: l.changed}
	if r := l.files[rank]; r != nil {
		s.next, s.done, s.life = r.next, r.done || l.complete, r.life
	}
	return s
}

// close says that no rank will write here any more, and releases the files.
func (s *logStore) close(id string) {
	s.mu.Lock()
	l := s.apps[id]
	s.mu.Unlock()
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.files {
		r.file.Close() //nolint:errcheck,gosec // all was written
	}
	l.complete = true
	l.notify()
}

// Bounds of one message of log lines.
const (
	linesPerMessage = 1024
	bytesPerMessage = 1 << 20
)

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
		if r.from < s.next {
			if err := r.sendUpTo(s, send); err != nil {
				return false, err
			}
			continue
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

// sendUpTo sends the lines wanted that are before s.next.
func (r *logReader) sendUpTo(s logState, send func([]*apiv1.LogLine) error) error {
	if r.file == nil || r.life != s.life {
		r.close()
		f, err := r.log.open(r.rank)
		if err != nil {
			return err
		}
		r.file, r.br, r.life = f, bufio.NewReaderSize(f, 64<<10), s.life
	}
	var out []*apiv1.LogLine
	size := 0
	for r.from < s.next {
		line := new(apiv1.LogLine)
		if err := protodelim.UnmarshalFrom(r.br, line); err != nil {
			return fmt.Errorf("worker: logs of rank %d: %w", r.rank, err)
		}
		if line.Seq < r.from {
			continue
		}
		out = append(out, line)
		r.from = line.Seq + 1
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
