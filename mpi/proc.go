package mpi

import (
	"runtime"
	"sync/atomic"
	"time"
)

// spins is how often a blocked rank yields before it parks: a few microseconds,
// which is what a local peer needs to answer.
const spins = 40

// Proc is one local rank. Its guest makes calls from one goroutine at a time;
// the other methods may be called from any goroutine.
type Proc struct {
	w     *World
	rank  Rank
	epoch uint64
	mem   Memory

	wakes  atomic.Uint32 // counts events that may end a wait
	parked atomic.Bool
	wakeCh chan struct{} // capacity 1

	// All below is guarded by w.mu.

	attached    bool
	freeze      bool
	cancelErr   error
	initialized bool
	finalized   bool
	clockStart  time.Time // Wtime's zero

	comms       []*comm   // world, self, then those the program made
	nextID      [2]uint32 // of communicators over the world's group, and over the rank alone
	world, self *comm
	requests    []*request // by index; the guest's handle is firstRequest + index
	freeList    []uint32   // indices that are not in use, last freed last
	posted      []*request // receives not matched yet, in the order they were posted
	unexpected  []*message // messages not matched yet, in the order they arrived
	channels    []*channel // by peer, nil until used
	suspended   *suspended // the blocking call that was begun and is to go on
	scratch     []byte     // of the suspended or running collective

	current     *Call // the running call, for Inspect
	currentArgs []uint64
	quiesced    []chan struct{} // closed when every frame is acked
}

// suspended is a blocking call that has begun: the requests it waits for and,
// for a collective, how far it is. It is kept only for as long as the call is
// not finished, so a call that was frozen finds it when it is made again.
type suspended struct {
	call string
	args []uint32
	reqs []uint32
	coll progress
}

// is reports whether a call made now is the suspended one made again.
func (s *suspended) is(c *Call, a args) bool {
	if s.call != c.Name || len(s.args) != len(a) {
		return false
	}
	for i, v := range s.args {
		if v != a.u32(i) {
			return false
		}
	}
	return true
}

// suspend remembers the running call.
func (p *Proc) suspend(reqs ...uint32) *suspended {
	s := &suspended{call: p.current.Name, args: make([]uint32, len(p.currentArgs)), reqs: reqs}
	for i, v := range p.currentArgs {
		s.args[i] = uint32(v)
	}
	p.suspended = s
	return s
}

// Rank returns the rank in MPI_COMM_WORLD.
func (p *Proc) Rank() Rank { return p.rank }

// Initialized reports whether the guest has called MPI_Init.
func (p *Proc) Initialized() bool {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	return p.initialized
}

// Finalized reports whether the guest has called MPI_Finalize.
func (p *Proc) Finalized() bool {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	return p.finalized
}

// Freeze asks the rank to stop at its next call, or in the one it is blocked in:
// that Invoke returns ErrFrozen, and so do all later ones until Unfreeze. It does
// not wait. The call that returned ErrFrozen must be the next call made.
func (p *Proc) Freeze() {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.freeze = true
	p.wake()
}

// Unfreeze withdraws Freeze.
func (p *Proc) Unfreeze() {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.freeze = false
}

// Cancel makes the current and every later call fail with err. The first
// error given stays.
func (p *Proc) Cancel(err error) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if p.cancelErr == nil {
		p.cancelErr = err
	}
	p.wake()
}

// interrupted returns why no call may go on, or nil.
func (p *Proc) interrupted() error {
	if p.cancelErr != nil {
		return p.cancelErr
	}
	if p.freeze || !p.attached {
		return ErrFrozen
	}
	return nil
}

// wake ends a wait of the rank's guest, which then looks again.
func (p *Proc) wake() {
	p.wakes.Add(1)
	if p.parked.Load() {
		select {
		case p.wakeCh <- struct{}{}:
		default: // a wake-up is under way already
		}
	}
}

// wait blocks the guest until done, which is asked under the lock. What is done
// is done even if the rank is to freeze: the call then ends.
func (p *Proc) wait(done func() bool) error {
	for {
		p.w.settle()
		if done() {
			return nil
		}
		if err := p.interrupted(); err != nil {
			return err
		}
		p.park()
	}
}

// park releases the lock until the next wake.
func (p *Proc) park() {
	seen := p.wakes.Load()
	p.w.mu.Unlock()
	defer p.w.mu.Lock()
	for range spins {
		if p.wakes.Load() != seen {
			return
		}
		runtime.Gosched()
	}
	p.parked.Store(true)
	defer p.parked.Store(false)
	if p.wakes.Load() == seen {
		<-p.wakeCh
	}
}
