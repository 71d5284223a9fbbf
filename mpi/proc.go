package mpi

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
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
	patience    patience // of the guest
	far         farLook  // of the guest
	removed     bool     // from its World: its memory may be gone
	toSelf      bool     // it has sent something to itself in this call
	news        bool     // something has changed that may end a wait
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
	over       []bool     // by peer: it has ended, and is in no World any more
	active     []*request // collectives under way, in the order they were started
	advancing  bool       // they are being taken further
	kept       int64      // bytes that the rank is charged for
	offers     int        // sends that their receivers may be copying
	backlog    queue[*channel]
	urge       []*Proc   // ranks of this World that were sent something urgent, to be served if their programs compute
	sketch     *schedule // the memory of a collective that is over, to be used again
	spare      []byte    // scratch memory of the last collective, to be used again
	bounce     []byte    // memory to pack into
	head       [headerBytes]byte
	payloads   payloads
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
	p := &Proc{
		w: w, rank: r, epoch: epoch, mem: mem,
		in:         newInbox(),
		patience:   patience{rounds: mostRounds},
		clockStart: w.start,
		channels:   make([]*channel, w.cfg.Size),
		over:       make([]bool, w.cfg.Size),
		objects:    newObjects(&group{ranks: []Rank{r}}, w.everyone, r),
	}
	p.far.over = p.enough
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

// lock takes the rank's lock, and what is in its inbox.
func (p *Proc) lock() {
	p.mu.Lock()
	p.drain()
}

// tryLock is lock, unless somebody has it for longer than a short call takes.
func (p *Proc) tryLock() bool {
	for range tries {
		if p.mu.TryLock() {
			p.drain()
			return true
		}
		relax()
	}
	return false
}

// tries is how often tryLock tries: for some microseconds.
const tries = 200

// release gives the lock back, for who is not the guest: work that can be done is done before, and the guest hears of what has changed.
func (p *Proc) release() {
	for {
		p.settle()
		if p.news {
			p.news = false
			p.in.wake()
		}
		if p.unlock(); !p.in.urgent.Load() || !p.mu.TryLock() {
			return
		}
		p.drain() // somebody has found the lock taken, and left it to us
	}
}

// enter begins a call of the guest, of its program or of a function that a call has called back. What is in the inbox is left to the call.
func (p *Proc) enter() {
	p.mu.Lock()
	p.in.busy.Store(true)
}

// leave ends a call of the guest, which computes from now on.
func (p *Proc) leave() {
	if p.toSelf {
		p.toSelf = false
		p.drain()
	}
	p.settle()
	p.news = false // it looks by itself
	p.depart()
}

// unlock gives the lock back, and then serves those ranks that compute while something urgent waits for them.
func (p *Proc) unlock() {
	if len(p.urge) == 0 {
		p.mu.Unlock()
		return
	}
	var few [8]*Proc
	urge := few[:copy(few[:], p.urge)]
	if len(p.urge) > len(few) {
		urge, p.urge = p.urge, nil
	}
	p.urge = p.urge[:0]
	p.mu.Unlock()
	for _, q := range urge {
		if !q.in.busy.Load() {
			q.serve()
		}
	}
}

// serve takes what is in the inbox in the rank's stead, unless somebody has the lock, who will find it. Where more waits than the ring holds it waits
// for its turn: who sends so much takes his part in the work.
func (p *Proc) serve() {
	if p.in.spilt.Load() {
		p.mu.Lock()
	} else if !p.mu.TryLock() {
		return
	}
	p.drain()
	p.release()
}

// depart releases the lock for something long that the rank's own goroutine does within a call: others serve it as while its program computes.
func (p *Proc) depart() {
	p.in.busy.Store(false)
	p.unlock()
	if p.in.urgent.Load() {
		p.serve()
	}
}

// comeBack ends that.
func (p *Proc) comeBack() {
	p.mu.Lock()
	p.in.busy.Store(true)
}

// unlocked runs f, which works on n bytes of the program's own buffers, without the lock if that takes long.
func (p *Proc) unlocked(n uint32, f func()) {
	if int64(n) > int64(p.w.cfg.EagerLimit) {
		p.depart()
		defer p.comeBack()
	}
	f()
}

// drain takes what is in the inbox. Holds mu.
func (p *Proc) drain() {
	if p.in.urgent.Load() {
		p.in.urgent.Store(false) // before the look
		if p.reopened.CompareAndSwap(true, false) {
			p.scheduleAll()
		}
	}
	if p.in.some() && !p.removed {
		p.in.take(p)
	}
}

// takeNear takes a packet of a rank of this World.
func (p *Proc) takeNear(from Rank, k *packet) {
	c := p.channel(from)
	if k.kind == frameAck {
		c.credit(k.context)
		return
	}
	k.seq = c.recvNext
	c.take(k)
}

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
	p.changed()
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

// changed notes that a wait of the rank's guest may be over.
func (p *Proc) changed() { p.news = true }

// wait blocks the guest until done, which is asked under the lock. Collectives under way go on meanwhile. What is done
// is done even if the rank is to freeze: the call then ends.
func (p *Proc) wait(done func() bool) error {
	for {
		seen := p.in.kicks.Load()
		p.drain()
		p.news = false
		if len(p.active) > 0 {
			if err := p.progress(); err != nil {
				return err
			}
		}
		p.settle() // what progress has begun, too
		if done() {
			return nil
		}
		if err := p.interrupted(p.running.depth > 1); err != nil {
			return err
		}
		if p.news { // a collective may go on by what was settled
			continue
		}
		if p.since == 0 {
			p.since = p.w.now()
		}
		p.park(seen)
	}
}

// park releases the lock until something has happened since seen.
func (p *Proc) park(seen uint32) {
	began := p.w.now()
	rounds, each, far, longest := yields, 1, false, soon
	switch {
	case p.offers > 0: // it takes long; and then it is best to go on where the copy was made
		rounds = 2
	case p.w.spins():
		rounds, each = p.patience.at(began), looks
	default:
		far = p.w.roomy() && !p.patience.calms(began)
	}
	p.unlock()
	defer p.mu.Lock()
	if far && p.w.net.Poll(p.lookFar(seen, began)) {
		rounds, longest = 0, farSoon
	}
	if p.looked(seen, rounds, each) || p.wanted(seen) {
		p.patience.ended(true, p.w.now()-began, longest)
		return
	}
	p.in.parked.Store(true)
	defer p.in.parked.Store(false)
	if !p.wanted(seen) {
		<-p.in.wakeCh
	}
	p.patience.ended(false, p.w.now()-began, longest)
}

// wanted reports whether something has happened since seen. Only the guest calls it.
func (p *Proc) wanted(seen uint32) bool {
	return p.in.kicks.Load() != seen || p.in.some() || p.reopened.Load()
}

// looked looks for what has happened since seen, some rounds of so many times, and reports whether something has. Only the guest calls it, without
// the lock.
func (p *Proc) looked(seen uint32, rounds, each int) bool {
	last := time.Duration(0)
	for range rounds {
		for range each {
			if p.wanted(seen) {
				return true
			}
			if each > 1 {
				relax()
			}
		}
		runtime.Gosched()
		if each > 1 && p.keptAway(&last) {
			return p.wanted(seen)
		}
	}
	return false
}

// keptAway notes, and reports, whether the guest was kept from its processor since it was last asked, at the World's time last; 0: it was not yet.
func (p *Proc) keptAway(last *time.Duration) bool {
	now := p.w.now()
	lost := *last > 0 && now-*last > keptAway
	if lost {
		p.patience.lost(now)
	}
	*last = now
	return lost
}

// farLook is how far the guest is in looking for what comes from elsewhere.
type farLook struct {
	seen       uint32
	most, left int
	looks      int
	last       time.Duration
	over       func(came bool) bool // enough
}

// lookFar begins a look for what has happened since seen, whatever brings it. It returns what says when that is to end.
func (p *Proc) lookFar(seen uint32, now time.Duration) (over func(came bool) bool) {
	n := p.patience.at(now) * farLooks
	p.far.seen, p.far.most, p.far.left, p.far.last = seen, n, n, 0
	return p.far.over
}

// enough is asked between one look and the next. As long as something comes, looking is of use, and takes what it takes.
func (p *Proc) enough(came bool) bool {
	f := &p.far
	if came {
		f.left, f.last = f.most, 0
	}
	if f.left == 0 || p.wanted(f.seen) {
		return true
	}
	f.left--
	if p.keptAway(&f.last) {
		return true
	}
	if f.looks++; f.looks%farLooks == 0 {
		runtime.Gosched()
	}
	return false
}

// scheduleAll has all channels go on that can.
func (p *Proc) scheduleAll() {
	for _, c := range p.channels {
		if c != nil {
			c.schedule()
		}
	}
}

// settle lets channels with work go on, one chunk at a time, and gives the lock away in between.
func (p *Proc) settle() {
	for p.backlog.len() > 0 {
		c := p.backlog.pop()
		c.queued = false
		c.pump()
		if p.backlog.len() > 0 {
			p.unlock()
			p.mu.Lock()
		}
	}
}
