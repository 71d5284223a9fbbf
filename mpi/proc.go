package mpi

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/godwit-run/godwit/internal/notify"
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
	wakeCh notify.Signal

	// All below is guarded by w.mu.

	program     Guest // what calls may call back; nil until Bind
	attached    bool
	freeze      bool
	cancelErr   error
	initialized bool
	finalized   bool
	ended       bool      // the program has ended: the rank drains
	left        bool      // a peer is gone: some waits may be in vain
	clockStart  time.Time // Wtime's zero
	decoded     time.Time // when Decode made it; the clock stands still until Join

	running   running       // the call that the guest is in
	since     time.Duration // when it began to wait, on the World's clock; 0: it has not waited
	suspended *suspended    // the blocking call that was begun and is to go on

	requests   []*request // by index; the guest's handle is baseRequest + index
	freeList   []uint32   // indices that are not in use, last freed last
	posted     []*request // receives not matched yet, in the order they were posted
	unexpected []*message // messages not matched yet, in the order they arrived
	channels   []*channel // by peer, nil until used
	active     []*request // collectives under way, in the order they were started
	spare      []byte     // scratch memory of the last collective, to be used again

	objects
}

// objects are what a rank's program has made, and what the library keeps for it in its memory.
type objects struct {
	world, self *comm
	nextID      uint64 // the last number used in ids of communicators and windows
	comms       table[comm]
	groups      table[group]
	types       table[datatype]
	named       map[uint32]*overlay  // of predefined datatypes
	f90         map[string]*datatype // types chosen by precision and the like, by what was asked
	ops         table[operation]
	errhandlers table[errhandler]
	fileHandler *errhandler
	keyvals     table[keyval]
	infos       table[info]
	messages    table[message]
	sessions    table[session]
	wins        table[window]
	winByID     map[uint64]*window
	codes       errorCodes
	tools       int // calls of MPI_T_init_thread without MPI_T_finalize

	bufferAttached bool // for buffered sends
	bufferAddr     uint32
	bufferSize     int64
	buffered       int64 // bytes of messages that have not left, with their overhead

	attrMemory    uint32 // values of predefined attributes
	operandMemory uint32 // operands of the program's operations
	operandBytes  uint32
	operandsInUse bool // never while the rank is frozen
}

func newObjects(self *group, world *group, rank Rank) objects {
	fatal := predefinedHandlers[errorsAreFatal]
	return objects{
		world: &comm{handle: commWorld, group: world, me: int(rank), errhandler: fatal, name: "MPI_COMM_WORLD"},
		// Its id is one that this rank alone can make.
		self:   &comm{handle: commSelf, id: uint64(rank)<<idBits | 1, group: self, errhandler: fatal, name: "MPI_COMM_SELF"},
		nextID: 1,

		comms: newTable[comm](baseComm), groups: newTable[group](baseGroup), types: newTable[datatype](baseType),
		ops: newTable[operation](baseOp), errhandlers: newTable[errhandler](baseErrhandler), keyvals: newTable[keyval](baseKeyval),
		infos: newTable[info](baseInfo), messages: newTable[message](baseMessage), sessions: newTable[session](baseSession),
		wins: newTable[window](baseWin), named: map[uint32]*overlay{}, f90: map[string]*datatype{}, winByID: map[uint64]*window{},
		fileHandler: predefinedHandlers[errorsReturn],
		codes:       errorCodes{last: errLastCode, classes: map[int]int{}, texts: map[int]string{}},
	}
}

func (w *World) newProc(r Rank, epoch uint64, mem Memory) *Proc {
	return &Proc{
		w: w, rank: r, epoch: epoch, mem: mem,
		wakeCh:     notify.NewSignal(),
		clockStart: w.start,
		channels:   make([]*channel, w.cfg.Size),
		objects:    newObjects(&group{ranks: []Rank{r}}, w.everyone, r),
	}
}

// suspended is a blocking call that has begun: how far it is, and the requests it waits for. It is kept only for
// as long as the call is not finished, so a call that was frozen finds it when it is made again.
type suspended struct {
	call    string
	args    []uint64
	results [][]byte // of the phases that are over
	reqs    []uint32
}

// is reports whether a call made now is the suspended one made again. Of 32-bit parameters the upper half does not count.
func (s *suspended) is(c *Call, v []uint64) bool {
	if s.call != c.Name || len(s.args) != len(v) {
		return false
	}
	for i, x := range s.args {
		if x != c.argument(v, i) {
			return false
		}
	}
	return true
}

// argument is a parameter's value.
func (c *Call) argument(v []uint64, i int) uint64 {
	if c.Params[i] == I32 {
		return uint64(uint32(v[i]))
	}
	return v[i]
}

// suspend remembers the running call.
func (p *Proc) suspend(reqs []uint32) {
	r := &p.running
	s := &suspended{call: r.call.Name, args: make([]uint64, len(r.args)), results: r.results, reqs: reqs}
	for i := range r.args {
		s.args[i] = r.call.argument(r.args, i)
	}
	p.suspended = s
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
// not wait. The call that returned ErrFrozen must be the next call made. Inside a
// function that the library has called back, no call stops.
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

// interrupted returns why no call may go on, or nil. inside tells that the call is one that a callback makes.
func (p *Proc) interrupted(inside bool) error {
	if p.cancelErr != nil {
		return p.cancelErr
	}
	if (p.freeze || !p.attached) && !inside {
		return ErrFrozen
	}
	return nil
}

// wake ends a wait of the rank's guest, which then looks again.
func (p *Proc) wake() {
	p.wakes.Add(1)
	if p.parked.Load() {
		p.wakeCh.Set()
	}
}

// wait blocks the guest until done, which is asked under the lock. Collectives under way go on meanwhile. What is done
// is done even if the rank is to freeze: the call then ends.
func (p *Proc) wait(done func() bool) error {
	for {
		seen := p.wakes.Load()
		if len(p.active) > 0 {
			if err := p.progress(); err != nil {
				return err
			}
		}
		p.w.settle() // what progress has begun, too
		if done() {
			return nil
		}
		if err := p.interrupted(p.running.depth > 1); err != nil {
			return err
		}
		if p.since == 0 {
			p.since = p.w.now()
		}
		p.park(seen)
	}
}

// park releases the lock until something has happened since seen.
func (p *Proc) park(seen uint32) {
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
