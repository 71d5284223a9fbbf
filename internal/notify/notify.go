// Package notify wakes goroutines: one, or all that wait. What has happened is said elsewhere.
package notify

import "sync"

// Signal wakes the one goroutine that receives from it: once, however often it was set since the last receive. NewSignal makes it.
type Signal chan struct{}

// NewSignal returns a signal that is not set.
func NewSignal() Signal { return make(Signal, 1) }

// Set wakes whoever receives, now or later. It does not block.
func (s Signal) Set() {
	select {
	case s <- struct{}{}:
	default: // it is set
	}
}

// Broadcast wakes all that wait. The zero value is ready.
type Broadcast struct {
	mu sync.Mutex // guards ch
	ch chan struct{}
}

// Watch returns a channel that is closed at the next Wake. Take it first, then look, then wait: nothing is missed.
func (b *Broadcast) Watch() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

// Wake wakes all that have watched since the last Wake. It does not block.
func (b *Broadcast) Wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}
