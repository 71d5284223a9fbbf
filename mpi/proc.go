package mpi

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/godwit-run/godwit/internal/fifo"
	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/channel"
	"github.com/godwit-run/godwit/mpi/layout"
)

// These bound the memory of collectives and lists of requests that is used again.
const (
	keptTransfers = 1024
	keptRequests  = 1024
)

// Proc is one local rank. Its guest makes calls from one goroutine at a time;
// the other methods may be called from any goroutine.
type Proc struct {
	w     *World
	rank  Rank
	epoch uint64
	mem   Memory

	attached atomic.Bool // messages reach it here; changed under w.mu
	crowded  atomic.Bool // the Network has had no room for what it wanted to send
	reopened atomic.Bool // it has again

	in inbox // from ranks of this World; keeps what is above and below in cache lines of their own

	// mu guards everything below, and the channels. It is held by the guest's call or by who brings a frame, for at most about one chunk's
	// copy at a time. Nobody who holds it waits for another rank's, but membership changes, which hold w.mu and take them by rank.
	mu sync.Mutex

	program     Guest    // what calls may call back; nil until Bind
	disk        Files    // the program's files; nil: it has none
	patience    patience // of the guest
	far         farLook  // of the guest
	removed     bool     // from its World: its memory may be gone
	toSelf      bool     // it has sent something to itself in this call
	news        bool     // something has changed that may end a wait
	freeze      bool
	haltCh      chan struct{} // closed when the guest is to stop; nil: nobody waits for that
	cancelErr   error
	initialized bool
	finalized   bool
	ended       bool          // the program has ended: the rank drains
	left        bool          // a peer is gone: some waits may be in vain
	clockStart  time.Time     // Wtime's zero
	decoded     time.Time     // when Decode made it; the clock stands still until Join
	came        time.Duration // when it was made here, on the World's clock
	hearings    [2]hearing    // of its traffic, that before the last one first

	running   running       // the call that the guest is in
	since     time.Duration // when it began to wait, on the World's clock; 0: it has not waited
	looksSeen uint32        // what kicks was when it last looked, before it slept
	suspended *suspended    // the blocking call that was begun and is to go on

	requests   []*request // by index; the guest's handle is baseRequest + index
	freeList   []uint32   // indices that are not in use, last freed last
	posted     []*request // receives not matched yet, in the order they were posted
	unexpected []*message // messages not matched yet, in the order they arrived
	pairs      []*pair    // by peer, nil until used
	over       []bool     // by peer: it has ended, and is in no World any more
	active     []*request // collectives under way, in the order they were started
	advancing  bool       // they are being taken further
	filing     []*request // operations on files that are not over, in the order they were started
	stepping   bool       // they are being taken further
	ioMemory   []byte     // memory for parts of files, to be used again
	kept       int64      // bytes that the rank is charged for
	offers     int        // sends that their receivers may be copying
	backlog    fifo.Queue[*pair]
	urge       []*Proc // ranks of this World that were sent something urgent, to be served if their programs compute
	sketch     *sketch // the memory of a collective that is over, to be used again
	spare      []byte  // scratch memory of the last collective, to be used again
	bounce     []byte  // memory to pack into
	head       [channel.HeaderBytes]byte
	pool       channel.Pool
	awaits     []uint32   // memory for the requests that a call waits for
	listed     []*request // memory for the requests that a call names
	idle       []*message // to be used again

	objects
}

// objects are what a rank's program has made, and what the library keeps for it in its memory.
type objects struct {
	world, self *comm
	nextID      uint64 // the last number used in ids of communicators and windows
	comms       table[comm]
	groups      table[group]
	types       table[layout.Type]
	typeAttrs   map[*layout.Type]*attributes // of derived datatypes that have a handle
	named       map[uint32]*overlay          // of predefined datatypes
	f90         map[string]*layout.Type      // types chosen by precision and the like, by what was asked
	ops         table[layout.Op]
	errhandlers table[errhandler]
	fileHandler *errhandler
	keyvals     table[keyval]
	infos       table[info]
	messages    table[message]
	sessions    table[session]
	wins        table[window]
	winByID     map[uint64]*window // those of files, too
	files       table[file]
	datareps    []*datarep // in the order they were registered
	codes       errorCodes
	tools       int // calls of MPI_T_init_thread without MPI_T_finalize

	bufferNext     uint32 // the number of the last buffered message
	flushes        []flush
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
	fatal := predefinedHandlers[abi.ErrorsAreFatal]
	return objects{
		world: &comm{handle: abi.CommWorld, group: world, me: int(rank), errhandler: fatal, name: "MPI_COMM_WORLD"},
		// Its id is one that this rank alone can make.
		self:   &comm{handle: abi.CommSelf, id: uint64(rank)<<idBits | 1, group: self, errhandler: fatal, name: "MPI_COMM_SELF"},
		nextID: 1,

		comms: newTable[comm](baseComm), groups: newTable[group](baseGroup), types: newTable[layout.Type](baseType), typeAttrs: map[*layout.Type]*attributes{},
		ops: newTable[layout.Op](baseOp), errhandlers: newTable[errhandler](baseErrhandler), keyvals: newTable[keyval](baseKeyval),
		infos: newTable[info](baseInfo), messages: newTable[message](baseMessage), sessions: newTable[session](baseSession),
		wins: newTable[window](baseWin), named: map[uint32]*overlay{}, f90: map[string]*layout.Type{}, winByID: map[uint64]*window{},
		files: newTable[file](baseFile), fileHandler: predefinedHandlers[abi.ErrorsReturn],
		codes: errorCodes{last: abi.ErrLastCode, classes: map[int]int{}, texts: map[int]string{}},
	}
}

func (w *World) newProc(r Rank, epoch uint64, mem Memory) *Proc {
	p := &Proc{
		w: w, rank: r, epoch: epoch, mem: mem,
		in:         newInbox(),
		patience:   patience{rounds: mostRounds},
		clockStart: w.start,
		came:       w.now(),
		pairs:      make([]*pair, w.cfg.Size),
		over:       make([]bool, w.cfg.Size),
		objects:    newObjects(&group{ranks: []Rank{r}}, w.everyone, r),
	}
	p.far.next = p.nextLook
	p.in.bell = w.net.Wake
	return p
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
	if c.Params[i] == abi.I32 {
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
	p.lock()
	defer p.release()
	return p.initialized
}

// Finalized reports whether the guest has called MPI_Finalize.
func (p *Proc) Finalized() bool {
	p.lock()
	defer p.release()
	return p.finalized
}

// Freeze asks the rank to stop at its next call, or in the one it is blocked in:
// that Invoke returns ErrFrozen, and so do all later ones until Unfreeze. It does
// not wait. The call that returned ErrFrozen must be the next call made. Inside a
// function that the library has called back, no call stops.
func (p *Proc) Freeze() {
	p.lock()
	defer p.release()
	p.freeze = true
	p.halt()
	p.changed()
}

// Halting returns a channel that is closed when the rank is to freeze, or was cancelled: for a guest that waits for something outside of any call. It is to make
// one then. nil: it is in a function that the library has called back, and cannot stop there.
func (p *Proc) Halting() <-chan struct{} {
	p.lock()
	defer p.release()
	if p.running.call != nil {
		return nil
	}
	if p.haltCh == nil {
		p.haltCh = make(chan struct{})
	}
	haltCh := p.haltCh
	if p.interrupted(false) != nil {
		p.halt()
	}
	return haltCh
}

// halt tells who waits outside of any call. Holds mu.
func (p *Proc) halt() {
	if p.haltCh != nil {
		close(p.haltCh)
		p.haltCh = nil
	}
}

// Unfreeze withdraws Freeze.
func (p *Proc) Unfreeze() {
	p.lock()
	defer p.release()
	p.freeze = false
}

// Cancel makes the current and every later call fail with err. The first
// error given stays.
func (p *Proc) Cancel(err error) {
	p.lock()
	defer p.release()
	if p.cancelErr == nil {
		p.cancelErr = err
	}
	p.halt()
	p.changed()
}

// interrupted returns why no call may go on, or nil. inside tells that the call is one that a callback makes.
func (p *Proc) interrupted(inside bool) error {
	if p.cancelErr != nil {
		return p.cancelErr
	}
	if (p.freeze || !p.attached.Load()) && !inside {
		return ErrFrozen
	}
	return nil
}
