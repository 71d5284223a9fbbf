package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// sameInterrupt is how soon after the first another one is the same: timeout(1), and terminals, may signal a process twice at once.
const sameInterrupt = 500 * time.Millisecond

// interrupts are what the user's Ctrl-C, a closed terminal or whoever stops this process asks of a run, from its first step to its last:
// to end, and then to leave at once.
type interrupts struct {
	first, second chan struct{} // closed at each
	same          time.Duration
	patience      time.Duration // once there was one, for a write that does not go on
	telling       sync.Mutex    // holds lines apart
	signal        os.Signal     // set, with at, before first is closed
	at            time.Time     // of the first
}

// watchInterrupts takes this process's interrupts until stop is called.
func watchInterrupts() (in *interrupts, stop func()) {
	in = newInterrupts()
	signals, over := make(chan os.Signal, 2), make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	go in.watch(signals, over)
	return in, func() {
		signal.Stop(signals)
		close(over)
	}
}

func newInterrupts() *interrupts {
	return &interrupts{first: make(chan struct{}), second: make(chan struct{}), same: sameInterrupt, patience: patience}
}

// watch takes signals until the second interrupt or over.
func (in *interrupts) watch(signals <-chan os.Signal, over <-chan struct{}) {
	for {
		select {
		case s := <-signals:
			switch {
			case in.at.IsZero():
				in.at, in.signal = time.Now(), s
				close(in.first)
			case time.Since(in.at) >= in.same:
				close(in.second)
				return
			}
		case <-over:
			return
		}
	}
}

// exit gives the end of an interrupted run the exit code of the signal that it was.
func (in *interrupts) exit(err error) error {
	if err == nil || !in.came() {
		return err
	}
	var end *exitError
	if s, ok := in.signal.(syscall.Signal); ok && errors.As(err, &end) && end.code == exitInterrupted {
		end.code = 128 + int(s)
	}
	return interruptedError{err, in}
}

// after waits for an interrupt that answers what was said at a moment: the first, if it came later than that, else the second. What ends
// a whole pipeline (Ctrl-C in godwit run | tee) may take its reader before this process hears of it, so that an interrupt just after the
// moment is of before. It is false when ctx ends.
func (in *interrupts) after(ctx context.Context, said time.Time) bool {
	select {
	case <-in.first:
	case <-ctx.Done():
		return false
	}
	if in.at.Sub(said) >= in.same {
		return true
	}
	select {
	case <-in.second:
		return true
	case <-ctx.Done():
		return false
	}
}

// came says whether there was an interrupt.
func (in *interrupts) came() bool { return closed(in.first) }

// nothingYet is the end of a run that was interrupted before it had submitted anything; else err.
func (in *interrupts) nothingYet(err error) error {
	if !in.came() {
		return err
	}
	return &exitError{exitInterrupted, "interrupted: nothing was submitted"}
}

// until is ctx, which ends with ch too.
func until(ctx context.Context, ch <-chan struct{}) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() { // ends with ctx
		select {
		case <-ch:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
