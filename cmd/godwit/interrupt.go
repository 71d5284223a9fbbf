package main

import (
	"context"
	"os"
	"os/signal"
)

// interrupts are what the user's Ctrl-C asks of a run, from its first step to its last: to end, and then to leave at once.
type interrupts struct {
	first, second chan struct{} // closed at each
}

// watchInterrupts takes this process's interrupts until stop is called.
func watchInterrupts() (in *interrupts, stop func()) {
	in = &interrupts{first: make(chan struct{}), second: make(chan struct{})}
	signals, over := make(chan os.Signal, 2), make(chan struct{})
	signal.Notify(signals, os.Interrupt)
	go func() { // ends with stop
		for _, ch := range []chan struct{}{in.first, in.second} {
			select {
			case <-signals:
				close(ch)
			case <-over:
				return
			}
		}
	}()
	return in, func() {
		signal.Stop(signals)
		close(over)
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
