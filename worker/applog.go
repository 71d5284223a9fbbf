package worker

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// appLog is the log of one app's ranks on this host.
type appLog struct {
	dir   string
	total *textBytes // while ranks of the app run here

	readers atomic.Int32 // calls that read it

	loaded sync.Once
	broken error // of the loading

	mu       sync.Mutex // guards the fields below
	files    map[int32]*rankLog
	changed  chan struct{} // closed and replaced at every change
	complete bool          // no more output will come here
}

func newAppLog(dir string, all *atomic.Int64, complete bool) *appLog {
	return &appLog{dir: dir, total: &textBytes{all: all}, files: map[int32]*rankLog{}, changed: make(chan struct{}), complete: complete}
}

// load looks which files an earlier life of the worker left, once. What is in them is found out by takeUp.
func (l *appLog) load() error {
	l.loaded.Do(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		names, err := filepath.Glob(filepath.Join(l.dir, "*.log"))
		if err != nil {
			l.broken = fmt.Errorf("worker: logs: %w", err)
			return
		}
		for _, name := range names {
			rank, err := strconv.ParseInt(strings.TrimSuffix(filepath.Base(name), ".log"), 10, 32)
			if err != nil || rank < 0 {
				continue
			}
			l.files[int32(rank)] = &rankLog{rank: int32(rank), path: name, done: true, taking: new(sync.Mutex)}
		}
	})
	return l.broken
}

// leftOver is the file of a rank that an earlier life of the worker left and of which nothing is known yet; nil: there is none.
func (l *appLog) leftOver(rank int32) *rankLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.files[rank]; r != nil && r.taking != nil {
		return r
	}
	return nil
}

// takeUp finds out what is in the file of a rank that an earlier life of the worker left. It reads all of it, and tells moves now and then; nobody
// waits for it but who wants that rank's output.
func (l *appLog) takeUp(rank int32, moves func()) error {
	r := l.leftOver(rank)
	if r == nil {
		return nil
	}
	r.taking.Lock()
	defer r.taking.Unlock()
	if l.leftOver(rank) != r {
		return nil // somebody else has
	}
	taken := &rankLog{rank: r.rank, path: r.path, done: true}
	if err := taken.takeUp(moves); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.files[rank] == r {
		l.files[rank] = taken
	}
	return nil
}

// takeUpAll is takeUp for all ranks, before any of them runs here again.
func (l *appLog) takeUpAll() error {
	if err := l.load(); err != nil {
		return err
	}
	l.mu.Lock()
	ranks := slices.Collect(maps.Keys(l.files))
	l.mu.Unlock()
	for _, rank := range ranks {
		if err := l.takeUp(rank, func() {}); err != nil {
			return err
		}
	}
	return nil
}

// revive says that ranks of the app run here, again or still.
func (l *appLog) revive() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.complete = false
}

func (l *appLog) path(rank int32) string { return filepath.Join(l.dir, strconv.Itoa(int(rank))+".log") }

// rank returns the rank's log, made if need be. Holds mu.
func (l *appLog) rank(id int32) *rankLog {
	r := l.files[id]
	if r == nil {
		r = &rankLog{rank: id, path: l.path(id)}
		l.files[id] = r
	}
	return r
}

// append adds lines, of any ranks. Lines that cannot be stored are lost, and counted: the error is why the first of them was.
func (l *appLog) append(lines []*apiv1.LogLine) (err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(lines) > 0 {
		n := 1
		for n < len(lines) && lines[n].Rank == lines[0].Rank {
			n++
		}
		r := l.rank(lines[0].Rank)
		before := r.size
		if lost := r.append(lines[:n]); lost != nil && err == nil {
			err = lost
		}
		l.total.Add(r.size - before)
		lines = lines[n:]
	}
	l.notify()
	return err
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
	r := l.rank(rank)
	before := r.size
	r.finish()
	l.total.Add(r.size - before)
	l.notify()
}

// lost is how many lines of a rank could not be stored in its whole life, and why the last of them was not.
func (l *appLog) lost(rank int32) (uint64, string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.files[rank]; r != nil {
		return r.lostEver, r.lostWhy
	}
	return 0, ""
}

// pendingNotice is the line that tells of lines that are lost, if that could not be stored either.
func (l *appLog) pendingNotice(rank int32) *apiv1.LogLine {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.files[rank]; r != nil && r.lost > 0 {
		return r.notice()
	}
	return nil
}

// replace puts the log that came with a rank, and was checked, in the place of what this host had of it. The caller syncs the file
// and the directory before anybody counts on them.
func (l *appLog) replace(rank int32, tmp string, facts logFacts) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := os.Rename(tmp, l.path(rank)); err != nil {
		return fmt.Errorf("worker: logs: %w", err)
	}
	r := &rankLog{rank: rank, path: l.path(rank), logFacts: facts, life: 1}
	if old := l.files[rank]; old != nil {
		r.life = old.life + 1
		old.close()
		l.total.Add(-old.size)
	}
	l.total.Add(r.size)
	l.files[rank] = r
	l.notify()
	return nil
}

// moved removes the log of a rank that runs on another host now, where all of it is.
func (l *appLog) moved(rank int32) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.rank(rank)
	r.close()
	l.total.Add(-r.size)
	r.size, r.index, r.done, r.moved, r.life = 0, logIndex{}, true, true, r.life+1
	l.notify()
	if err := os.Remove(r.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("worker: logs: %w", err)
	}
	return nil
}

// size is how many bytes its text has.
func (l *appLog) size() (n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.files {
		n += r.size
	}
	return n
}

// close says that no rank will write here any more, and releases the files.
func (l *appLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.files {
		before := r.size
		r.finish()
		r.close()
		l.total.Add(r.size - before)
	}
	l.complete = true
	l.notify()
}

// logState is how far a rank's log goes.
type logState struct {
	stored  uint64          // number of the line after the last stored one
	next    uint64          // number of the line after the last one, stored or lost
	notice  *apiv1.LogLine  // tells of the lines after stored that are lost; nil: none are
	done    bool            // it is complete
	moved   bool            // the rank, and its log, are on another host
	life    int             // changes when another file takes its place
	changed <-chan struct{} // closed at the next change
}

func (l *appLog) state(rank int32) logState {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := logState{done: l.complete, changed: l.changed}
	if r := l.files[rank]; r != nil {
		s.next, s.stored, s.done, s.moved, s.life = r.next, r.next, r.done || l.complete, r.moved, r.life
		if r.lost > 0 {
			s.stored, s.notice = r.lostFrom, r.notice()
		}
	}
	return s
}

// seek is where a rank's file is to be read by who wants neither lines before line from nor lines of a time before since; false: it is no
// more the file of that life.
func (l *appLog) seek(rank int32, life int, from uint64, since int64) (int64, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.files[rank]; r != nil && r.life == life {
		return r.index.before(from, since), true
	}
	return 0, false
}
