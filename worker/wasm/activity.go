package wasm

import (
	"sync"
	"sync/atomic"
)

// Activity knows which guests are inside machine code right now. Go cannot preempt machine code:
// whatever stops the world while a guest is inside (a garbage collection above all) stalls the process
// until that guest makes its next host call. TryExclusive finds a moment when none is.
//
// The zero value is ready. All methods may be called from any goroutine.
type Activity struct {
	gate atomic.Bool

	mu     sync.Mutex             // held while the gate is closed; guests that find it closed queue up here
	guests map[*presence]struct{} // guarded by mu
}

// presence says whether one guest is inside machine code. It is alone in its cache line: guests enter and leave with each host call.
type presence struct {
	_        [64]byte
	inside   atomic.Bool
	released bool // it runs in the native engine, for which nobody waits: it is never inside
	activity *Activity
	_        [64]byte
}

// join adds a guest, until quit.
func (a *Activity) join() *presence {
	p := &presence{activity: a}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.guests == nil {
		a.guests = map[*presence]struct{}{}
	}
	a.guests[p] = struct{}{}
	return p
}

// quit removes a guest that runs no more.
func (p *presence) quit() {
	p.activity.mu.Lock()
	defer p.activity.mu.Unlock()
	delete(p.activity.guests, p)
}

// enter is called by a guest's goroutine right before machine code runs. It blocks while a function given
// to TryExclusive runs.
func (p *presence) enter() {
	if p.released {
		return
	}
	for {
		p.inside.Store(true)
		if !p.activity.gate.Load() {
			return
		}
		p.inside.Store(false)
		p.activity.mu.Lock()   // wait until the gate is open again
		p.activity.mu.Unlock() //nolint:staticcheck // nothing to do inside
	}
}

// leave is called when machine code has handed over to the host.
func (p *presence) leave() {
	if p.released {
		return
	}
	if !p.inside.Swap(false) {
		panic("wasm: activity left more often than entered")
	}
}

// Idle tells whether no guest is inside machine code. The answer is old as soon as it is given.
func (a *Activity) Idle() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.idle()
}

// idle is Idle. Holds mu.
func (a *Activity) idle() bool {
	for p := range a.guests {
		if p.inside.Load() {
			return false
		}
	}
	return true
}

// TryExclusive runs f while no guest is inside machine code and none can enter, and returns true; if a
// guest is inside, it returns false at once without running f.
func (a *Activity) TryExclusive(f func()) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gate.Store(true)
	defer a.gate.Store(false)
	if !a.idle() {
		return false
	}
	f()
	return true
}
