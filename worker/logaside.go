package worker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// A log is put aside in one step before it is removed, so that nobody takes a part of it for all.

// asideDir is where logs are put that are being removed, each under a name that tells nothing. No app's id begins like that.
const asideDir = "~"

// trialDir is what is put aside instead of a log that was refused. One at a time, for the name is the same.
const trialDir = asideDir + "trial"

const (
	// stuckFor is how long what could not be removed is left alone.
	stuckFor = 10 * time.Minute
	// tellEach is how often it is said that something of one kind cannot be removed.
	tellEach = time.Minute
	// placeEach is how long all logs are left alone where one could not be put aside because of the place, or what lies there could not be removed.
	placeEach = 5 * time.Second
)

// leftover is what is left of a log where nobody looks for it any more. It counts until it is removed.
type leftover struct {
	path string
	usage
	stuck time.Time // when it could not be removed; zero: that was not tried
}

func leftoverAt(path ...string) leftover {
	at := filepath.Join(path...)
	return leftover{path: at, usage: usageOf(at)}
}

// isStuck says whether what could not be removed at that time is left alone now.
func isStuck(since time.Time) bool { return justNow(since, stuckFor) }

// justNow says whether something happened, and no longer ago than that.
func justNow(at time.Time, ago time.Duration) bool { return !at.IsZero() && time.Since(at) < ago }

// makeAside makes the place for logs that are being removed, if it is not there: best before the disk is full.
func makeAside(dir string) error {
	if err := os.Mkdir(filepath.Join(dir, asideDir), 0o700); !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// leave adds what is left of a log. Holds mu, or is alone.
func (s *logStore) leave(e leftover) {
	s.aside = append(s.aside, e)
	s.count(e.bytes)
}

// settle waits until an app's log is not on its way aside, or ctx ends. Holds mu, but for the wait.
func (s *logStore) settle(ctx context.Context, id string) error {
	for going := s.going[id]; going != nil; going = s.going[id] {
		s.mu.Unlock()
		select {
		case <-going:
		case <-ctx.Done():
		}
		s.mu.Lock()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// sweep removes what lies aside, and returns what that gave. It calls step before each.
func (s *logStore) sweep(step func()) (gave usage) {
	for {
		step()
		s.mu.Lock()
		i := slices.IndexFunc(s.aside, func(e leftover) bool { return !isStuck(e.stuck) })
		if i < 0 {
			s.mu.Unlock()
			return gave
		}
		e := s.aside[i]
		s.aside = slices.Delete(s.aside, i, i+1) // here: who sweeps beside us must not do it again
		s.count(-e.bytes)
		s.mu.Unlock()
		gave = gave.plus(s.discard(e))
	}
}

// discard removes what is left of a log, and returns what that gave. What of it cannot be removed stays, and counts.
func (s *logStore) discard(e leftover) usage {
	err := s.remove(e.path)
	if err == nil {
		return e.usage
	}
	all, first := e.usage, e.stuck.IsZero()
	e.usage, e.stuck = usageOf(e.path), time.Now()
	s.mu.Lock()
	s.leave(e)
	if first {
		s.noWay = e.stuck // no more is hidden for nothing
	}
	tell := tells(&s.toldLeft)
	s.mu.Unlock()
	if !tell {
		return all.minus(e.usage)
	}
	s.log.Warn("what is left of an old log cannot be removed", "path", e.path, "err", err)
	return all.minus(e.usage)
}

// forget removes the log at a place in ended, and returns what that gave: it is put aside in one step, so that nobody takes what is left of it for
// all. What cannot be put aside stays as it is. The caller holds mu; it is released.
func (s *logStore) forget(i int) (gave usage) {
	e, there := s.take(i), make(chan struct{}) // here: who prunes beside us must not do it again
	l := s.apps[e.id]
	delete(s.apps, e.id)
	s.going[e.id] = there
	s.mu.Unlock()
	aside, err := s.putAside(e)
	if l != nil && (err == nil || errors.Is(err, errLogGone)) {
		l.forgotten.Store(true) // before anything comes in its place
	}
	s.mu.Lock()
	delete(s.going, e.id)
	close(there)
	tell := false
	if err != nil && !errors.Is(err, errLogGone) {
		if errors.Is(err, errNoWay) {
			tell = tells(&s.toldPlace)
			s.noWay = time.Now()
		} else {
			tell = tells(&s.toldLog)
			e.stuck = time.Now()
		}
		if l != nil {
			s.apps[e.id] = l
		}
		s.putBack(e)
	}
	s.mu.Unlock()
	if tell {
		s.log.Warn("an old log cannot be removed", "app", e.id, "err", err)
	}
	for _, left := range aside {
		gave = gave.plus(s.discard(left))
	}
	return gave
}

// tells says whether it is time to say something again that may be so of thousands, and notes that it is said.
func tells(told *time.Time) bool {
	if justNow(*told, tellEach) {
		return false
	}
	*told = time.Now()
	return true
}

var (
	// errLogGone says that there is no log to be put aside.
	errLogGone = errors.New("somebody has removed the log")
	// errNoWay says that no log can be put aside now, because of the place where they go.
	errNoWay = errors.New("there is no place for logs that are being removed")
)

// putAside moves an app's log to where nobody looks for it, and returns what lies there then. It takes no room as long as the names in asideDir fit
// its blocks; where the disk has no room for that directory, the log's own becomes it.
func (s *logStore) putAside(e endedLog) ([]leftover, error) {
	from, place := filepath.Join(s.dir, e.id), filepath.Join(s.dir, asideDir)
	switch full := makeAside(s.dir); {
	case isFull(full):
		if info, err := os.Lstat(from); err != nil {
			return nil, s.whyNot(from, err)
		} else if !info.IsDir() {
			return nil, full
		}
		err := s.rename(from, place)
		if err == nil {
			return leftIn(place), nil
		}
		if !errors.Is(err, os.ErrExist) { // another log's has become it just now
			return nil, s.whyNot(from, err)
		}
	case full != nil:
		return nil, fmt.Errorf("%w: %w", errNoWay, full)
	}
	to := filepath.Join(place, rand.Text())
	if err := s.rename(from, to); err != nil {
		if err = s.whyNot(from, err); !errors.Is(err, errNoWay) && !errors.Is(err, errLogGone) && s.refuses(err) {
			err = fmt.Errorf("%w: %w", errNoWay, err)
		}
		return nil, err
	}
	return []leftover{{path: to, usage: e.usage}}, nil
}

// whyNot tells whether it is the log or the place for it that a rename was refused for.
func (s *logStore) whyNot(from string, err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		if _, err := os.Lstat(from); errors.Is(err, os.ErrNotExist) {
			return errLogGone
		}
		return errNoWay // it was removed just now
	case isFull(err), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: %w", errNoWay, err)
	}
	return err
}

// refuses reports whether an empty directory is refused on its way aside as a log was; where there is no room for one, whether the place refuses one.
// A place that does not give back what an earlier one has left there refuses, too: so one is left at the most.
func (s *logStore) refuses(err error) bool {
	s.trial.Lock()
	defer s.trial.Unlock()
	if s.tried != "" && !removed(s.tried) {
		return true
	}
	from, to := filepath.Join(s.dir, trialDir), filepath.Join(s.dir, asideDir, rand.Text())
	refused := os.Mkdir(from, 0o700)
	switch {
	case refused == nil || errors.Is(refused, os.ErrExist): // one that could not be removed serves again
		if refused = os.Rename(from, to); refused == nil {
			s.tried = to
		} else {
			_ = os.Remove(from)
		}
	case isFull(refused):
		if refused = os.Mkdir(to, 0o700); refused == nil {
			s.tried = to
		}
	}
	if s.tried != "" && removed(s.tried) {
		s.tried = ""
	}
	if refused == nil {
		return false
	}
	var one, other syscall.Errno
	return errors.As(err, &one) && errors.As(refused, &other) && one == other
}

// removed removes an empty directory, and reports whether it is gone.
func removed(dir string) bool {
	err := os.Remove(dir)
	return err == nil || errors.Is(err, os.ErrNotExist)
}

// leftIn are the files of a log whose directory has become the place for all that are removed. Directories in it are of others.
func leftIn(place string) (all []leftover) {
	entries, _ := os.ReadDir(place) // what it does not give is found by the next life of the worker
	for _, e := range entries {
		if !e.IsDir() {
			all = append(all, leftoverAt(place, e.Name()))
		}
	}
	return all
}
