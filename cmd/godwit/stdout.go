package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/text"
)

// printf prints a result.
func printf(format string, args ...any) error {
	_, err := fmt.Printf(format, args...)
	return err
}

// show prints what may hold texts of others: nothing in it controls the terminal.
func show(format string, args ...any) error {
	return printf("%s", text.Clean(fmt.Sprintf(format, args...), maxShown))
}

// keepsError is a writer that remembers what went wrong first, for who writes to it and does not look.
type keepsError struct {
	w   io.Writer
	err error
}

// Write implements io.Writer.
func (k *keepsError) Write(p []byte) (int, error) {
	n, err := k.w.Write(p)
	if k.err == nil {
		k.err = err
	}
	return n, err
}

// outlivePipes makes that nobody reads this process's output any more an error of the write, where by itself it would end the
// process: what others rely on must not end, nor an app be left behind, because somebody has seen enough.
func outlivePipes() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// output prints an app's lines until that fails once. What comes behind is dropped, so that the app's end is seen all the same.
type output struct {
	write  func(*apiv1.LogLine) error
	writes writes
	lost   chan struct{} // closed when it has failed
	err    error         // why; set before lost is closed
}

func newOutput(write func(*apiv1.LogLine) error) *output {
	return &output{write: write, lost: make(chan struct{})}
}

func (o *output) line(l *apiv1.LogLine) error {
	if o.err != nil || o.writes.left.Load() {
		return nil
	}
	o.writes.steps.Add(1)
	o.err = o.write(l)
	o.writes.steps.Add(1)
	if o.err != nil {
		close(o.lost)
	}
	return nil
}

// isTerminal says whether a write failed that was to a terminal: of what is read and written by the character.
func isTerminal(err error) bool {
	var of *os.PathError
	if !errors.As(err, &of) {
		return false
	}
	for _, f := range []*os.File{os.Stdout, os.Stderr} {
		if info, err := f.Stat(); err == nil && f.Name() == of.Path {
			return info.Mode()&os.ModeCharDevice != 0
		}
	}
	return false
}

// why is what the system says of the write that failed.
func (o *output) why() string {
	var errno syscall.Errno
	if errors.As(o.err, &errno) {
		return errno.Error()
	}
	return o.err.Error()
}

// exit is how the run ends whose output was lost: as other programs do where nobody reads it, or whose terminal is gone, else as one that failed.
func (o *output) exit() error {
	switch {
	case errors.Is(o.err, syscall.EPIPE):
		return &exitError{code: exitPipe}
	case errors.Is(o.err, syscall.EIO) && isTerminal(o.err):
		return &exitError{code: exitHangup}
	}
	return &exitError{exitFailed, fmt.Sprintf("the program's output could not all be written: %v", o.err)}
}
