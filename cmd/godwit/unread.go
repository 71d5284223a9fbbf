package main

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// Whoever reads a run's output may read no more of it and keep it open: a stopped pager, a held terminal. A write to it then lasts for ever. A run
// waits for its reader, until it is interrupted: then it ends all the same.

// patience is how long an interrupted run whose app is over waits for a write that does not go on.
const patience = 2 * time.Second

// writes are those of the output, one after the other.
type writes struct {
	steps atomic.Uint64 // two for each: at its beginning and its end
	left  atomic.Bool   // nobody waits for them any more
}

// stuck says whether a write is under way that was so at an earlier moment, when there had been so many steps.
func (w *writes) stuck(before uint64) bool { return before%2 == 1 && w.steps.Load() == before }

// print runs t until it has printed the output. It is false when the rest of it is not waited for: a run that was told to leave the app, or whose app is
// over after an interrupt, does not wait for a write that nobody reads. In such a write t may still stand then.
func (r *runner) print(ctx context.Context, t *tail, end *appEnd, out *output) (all bool, err error) {
	ran := make(chan error, 1)
	go func() { ran <- t.run(ctx) }() // ends with ctx, or in a write that is never read with the process
	leave := func() (bool, error) {
		select {
		case err := <-ran:
			return true, err
		case <-time.After(r.in.patience):
			out.writes.left.Store(true)
			return false, nil
		}
	}
	interrupted, over, look, before := r.in.first, (<-chan struct{})(nil), (<-chan time.Time)(nil), uint64(0)
	for {
		select {
		case err := <-ran:
			return true, err
		case <-ctx.Done():
			return leave()
		case <-interrupted:
			interrupted, over = nil, end.done
		case <-over:
			over = nil
			if end.err != nil {
				continue // so nobody knows whether it is over
			}
			look, before = time.After(r.in.patience), out.writes.steps.Load()
		case <-look:
			if out.writes.stuck(before) {
				out.writes.left.Store(true)
				r.ended = end.app
				return false, nil
			}
			look, before = time.After(r.in.patience), out.writes.steps.Load()
		}
	}
}

// unread is the end of a run whose output nobody has read to its end.
func (r *runner) unread(id string) error {
	switch {
	case r.ended == nil: // it was said where it is
		return &exitError{code: exitInterrupted}
	case r.private:
		return &exitError{exitInterrupted, "nobody reads the rest of the output, which is gone with the cluster that was started for this run"}
	}
	return &exitError{exitInterrupted, fmt.Sprintf("nobody reads the rest of the output: godwit logs %s shows it", id)}
}

// tell writes a line, such as to standard error. Once there was an interrupt it waits for a reader no longer than patience, and leaves the line to be written
// when there is one. Lines stay in their order.
func (in *interrupts) tell(w io.Writer, line string) {
	told := make(chan struct{})
	go func() { // ends when the line is written, at the latest with the process
		defer close(told)
		in.telling.Lock()
		defer in.telling.Unlock()
		fmt.Fprintln(w, line)
	}()
	select {
	case <-told:
		return
	case <-in.first:
	}
	select {
	case <-told:
	case <-time.After(in.patience):
	}
}

// interruptedError is the end of a run that was interrupted: it is told as tell does.
type interruptedError struct {
	error
	in *interrupts
}

func (e interruptedError) Unwrap() error { return e.error }
