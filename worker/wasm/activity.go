package wasm

import (
	"sync"
	"sync/atomic"
)

// Activity counts the guests that are inside machine code right now. Go cannot preempt machine code:
// whatever stops the world while a guest is inside (a garbage collection above all) stalls the process
// until that guest makes its next host call. TryExclusive finds a moment when none is.
//
// The zero value is ready. All methods may be called from any goroutine.
type Activity struct {
	inside atomic.Int64
	gate   atomic.Bool

	mu sync.Mutex // held while the gate is closed; guests that find it closed queue up here
}

// Enter is called by a guest's goroutine right before machine code runs. It blocks while a function given
// to TryExclusive runs.
func (a *Activity) Enter() {
	for {
		a.inside.Add(1)
		if !a.gate.Load() {
			return
		}
		a.inside.Add(-1)
		a.mu.Lock()   // wait until the gate is open again
		a.mu.Unlock() //nolint:staticcheck // nothing to do inside
	}
}

// Leave is called when machine code has handed over to the host.
func (a *Activity) Leave() {
	if a.inside.Add(-1) < 0 {
		panic("wasm: activity left more often than entered")
	}
}

// Idle tells whether no guest is inside machine code. The answer is old as soon as it is given.
func (a *Activity) Idle() bool { return a.inside.Load() == 0 }

// TryExclusive runs f while no guest is inside machine code and none can enter, and returns true; if a
// guest is inside, it returns false at once without running f.
func (a *Activity) TryExclusive(f func()) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gate.Store(true)
	defer a.gate.Store(false)
	if a.inside.Load() != 0 {
		return false
	}
	f()
	return true
}
