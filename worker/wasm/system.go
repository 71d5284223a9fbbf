package wasm

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// system is the guest's side of WASI: streams and clocks. All of it runs on the guest's goroutine.
type system struct {
	guest  *Guest
	args   []string
	env    []string // NAME=VALUE
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	read   uint64        // bytes of stdin consumed so far, over all hosts
	began  time.Time     // when this incarnation was made
	lived  time.Duration // what the guest's monotonic clock showed then
	ahead  time.Duration // of this host's wall clock, as the guest sees it: the one before was

	now func() time.Time // this host's clock
}

// configure sets what the guest is told of itself: arguments and environment, of which the last value of a name counts.
func (s *system) configure(cfg GuestConfig) {
	s.args = cfg.Args
	set := func(name, value string) {
		at := slices.IndexFunc(s.env, func(e string) bool { return strings.HasPrefix(e, name+"=") })
		if at < 0 {
			s.env, at = append(s.env, ""), len(s.env)
		}
		s.env[at] = name + "=" + value
	}
	for _, pair := range cfg.Env {
		if cfg.Dir == "" || pair[0] != dirVariable {
			set(pair[0], pair[1])
		}
	}
	if cfg.Dir != "" {
		set(dirVariable, cfg.Dir)
	}
}

// dirVariable tells the guest in which directory it begins: the glue goes there before anything else runs.
const dirVariable = "PWD"

// validate reports what WASI cannot pass on.
func (c GuestConfig) validate() error {
	for _, arg := range c.Args {
		if containsNUL(arg) {
			return fmt.Errorf("argument %q holds a NUL byte", arg)
		}
	}
	for _, pair := range c.Env {
		if containsNUL(pair[0]) || containsNUL(pair[1]) || pair[0] == "" {
			return fmt.Errorf("environment variable %q: empty name or NUL byte", pair[0])
		}
	}
	return nil
}

func containsNUL(s string) bool {
	for i := range len(s) {
		if s[i] == 0 {
			return true
		}
	}
	return false
}

// wall is the guest's wall clock: this host's, unless that is behind the one before, where it goes on from what that showed.
func (s *system) wall() time.Time { return s.now().Add(s.ahead) }

// resume has the clocks go on from what they showed when the guest was captured: neither goes back.
func (s *system) resume(lived time.Duration, wall time.Time) {
	s.lived, s.began = lived, time.Now()
	s.ahead = max(0, wall.Sub(s.now()))
}

// nanotime is the guest's monotonic clock. It goes on where it stood when the guest is restored.
func (s *system) nanotime() int64 { return int64(s.age()) }

func (s *system) age() time.Duration { return s.lived + time.Since(s.began) }

// sleep waits, unless the guest is cancelled.
func (s *system) sleep(ns int64) {
	if ns <= 0 {
		return
	}
	_ = s.guest.outside(func() error {
		timer := time.NewTimer(time.Duration(ns))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-s.guest.cancelCh:
		case <-s.guest.terminal.coming():
		}
		return nil
	})
	s.guest.checkCancel()
	s.guest.toldToEnd()
}

// Resumer is an input that may be read from any place.
type Resumer interface {
	// Resume has the next Read begin so many bytes after the input's beginning.
	Resume(at uint64)
}

// skip drops what an earlier incarnation has read of stdin.
func (s *system) skip(n uint64) error {
	s.read = n
	if n == 0 || s.stdin == nil {
		return nil
	}
	if from, ok := s.stdin.(Resumer); ok {
		from.Resume(n)
		return nil
	}
	if _, err := io.CopyN(io.Discard, s.stdin, int64(n)); err != nil {
		return fmt.Errorf("stdin: skip the %d bytes read before: %w", n, err)
	}
	return nil
}

// stdin counts what the guest reads.
type stdin struct{ system *system }

// Read reads as host code.
func (r stdin) Read(p []byte) (n int, err error) {
	if r.system.stdin == nil {
		return 0, io.EOF
	}
	err = r.system.guest.outside(func() error {
		n, err = r.system.stdin.Read(p)
		return err
	})
	r.system.read += uint64(n)
	return n, err
}

// output is stdout or stderr.
type output struct {
	guest *Guest
	to    io.Writer
}

// Write writes as host code; what a cancelled guest writes ends it.
func (w output) Write(p []byte) (n int, err error) {
	w.guest.checkCancel()
	if w.to == nil {
		return len(p), nil
	}
	err = w.guest.outside(func() error {
		n, err = w.to.Write(p)
		return err
	})
	if err != nil && !errors.Is(err, io.ErrShortWrite) {
		return n, fmt.Errorf("guest output: %w", err)
	}
	return n, err
}
