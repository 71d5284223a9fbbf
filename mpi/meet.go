package mpi

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/coll"
	"github.com/godwit-run/godwit/mpi/layout"
)

// A short collective that every rank has to wait for anyway is a meeting where all ranks of its communicator are in one World: each takes its seat, and
// whoever comes last does it for all, in their memory. Until then nothing has been sent and nothing has changed, so that everybody may get up again, and does
// the collective by messages: when one of them does it so, leaves the World, ends, or asks for something else than the others.

const (
	// meetBytes is up to how many bytes a rank gives to a meeting, and gets.
	meetBytes = 1 << 10
	// meetRanks is up to how many ranks meet that have a processor each: they come one after another, and the messages of more go side by side. Where they share
	// processors any number meets.
	meetRanks = 8
)

// meeting is where the ranks of a communicator meet. It is there as long as one of them has joined it.
type meeting struct {
	id uint64 // the communicator's

	mu     sync.Mutex // taken with a rank's lock held, or meetings.mu; held for no more than the copies of one meeting
	seats  []*seat    // by rank in the communicator, nil: it has not joined
	joined int        // ranks that know of it: until all do they do nothing here
	seated int        // ranks that wait
	begun  uint32     // the highest number of a collective that one of them has begun by messages: they all do those up to it so
}

// seat is a rank's place. While it waits, the seat is the meeting's; else the rank's.
type seat struct {
	p      *Proc
	state  atomic.Uint32
	number uint32 // of the collective, as in its messages' tag
	task   task
	other  uint8 // seatWrong: the kind of another's task
}

// States of a seat.
const (
	seatFree   = iota
	seatTaken  // the rank waits
	seatMet    // the collective is done
	seatBroken // it is to be done by messages
	seatWrong  // it is none: ranks have called different ones
)

// task is what a rank asks for.
type task struct {
	kind uint8
	part int          // bytes that a rank gives to each of the others, or to all
	op   uint32       // of a reduction
	typ  *layout.Type // likewise
	in   []byte       // the rank's memory
	out  []byte
}

const (
	taskBarrier = iota + 1
	taskAllreduce
	taskAllgather
	taskAlltoall
)

var taskNames = [...]string{taskBarrier: "MPI_Barrier", taskAllreduce: "MPI_Allreduce", taskAllgather: "MPI_Allgather", taskAlltoall: "MPI_Alltoall"} //nolint:gochecknoglobals // immutable

// same reports whether two ranks ask for the same.
func (t *task) same(u *task) bool {
	return t.kind == u.kind && t.part == u.part && t.op == u.op && t.typ == u.typ
}

// meetings are those of a World, by the communicator's id.
type meetings struct {
	mu sync.Mutex // taken with a rank's lock held
	by map[uint64]*meeting
}

// join gives a rank its seat in the meeting of a communicator, or returns nil: only a damaged state leads there.
func (s *meetings) join(p *Proc, c *comm) *meeting {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.by[c.id]
	if m == nil {
		m = &meeting{id: c.id, seats: make([]*seat, c.size()), begun: c.collSeq}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.seats) != c.size() || c.me < 0 || c.me >= len(m.seats) || m.seats[c.me] != nil {
		return nil
	}
	m.seats[c.me] = &seat{p: p}
	m.joined++
	m.note(c.collSeq)
	s.by[c.id] = m
	return m
}

// leave gives up the seat of a rank that has one.
func (s *meetings) leave(m *meeting, me int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.breakUp()
	m.seats[me] = nil
	if m.joined--; m.joined == 0 {
		delete(s.by, m.id)
	}
}

// note notes that a rank has begun a collective by messages. Numbers wrap. Holds mu.
func (m *meeting) note(number uint32) {
	if int32(number-m.begun) > 0 {
		m.begun = number
	}
}

// breakUp has those who wait do their collective by messages. Holds mu.
func (m *meeting) breakUp() {
	if m.seated > 0 {
		m.rise(seatBroken)
	}
}

// rise ends the wait of all who wait. Holds mu.
func (m *meeting) rise(outcome uint32) {
	m.seated = 0
	for _, s := range m.seats {
		if s != nil && s.state.Load() == seatTaken {
			s.state.Store(outcome)
			s.p.in.wake()
		}
	}
}

// sit takes a rank's seat for the collective of a number, does the collective if all others have, and returns the seat's state.
func (m *meeting) sit(p *Proc, s *seat, number uint32, t *task) uint32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.joined < len(m.seats) || int32(number-m.begun) <= 0 {
		return seatFree
	}
	s.number, s.task = number, *t
	s.state.Store(seatTaken)
	if m.seated++; m.seated < len(m.seats) {
		return seatTaken
	}
	outcome := m.agree()
	if outcome == seatMet {
		m.perform(p)
	}
	m.rise(outcome)
	return outcome
}

// stand leaves the seat, and returns its state until then.
func (m *meeting) stand(s *seat) uint32 {
	state := s.state.Load()
	if state == seatTaken { // until it has the lock
		m.mu.Lock()
		defer m.mu.Unlock()
		if state = s.state.Load(); state == seatTaken {
			m.seated--
		}
	}
	s.state.Store(seatFree)
	s.task = task{}
	return state
}

// agree returns what comes of it that all have come: seatMet if they ask for the same.
func (m *meeting) agree() uint32 {
	outcome := uint32(seatMet)
	first := m.seats[0]
	for _, s := range m.seats {
		switch {
		case s.number != first.number:
			return seatBroken
		case s.task.kind != first.task.kind:
			outcome, first.other, s.other = seatWrong, s.task.kind, first.task.kind
		case outcome == seatMet && !s.task.same(&first.task):
			outcome = seatBroken
		}
	}
	if outcome == seatWrong {
		for _, s := range m.seats {
			if s.task.kind == first.task.kind {
				s.other = first.other
			}
		}
	}
	return outcome
}

// perform does the collective, on the goroutine of the rank that came last, whose lock is held: the others do nothing but wait.
func (m *meeting) perform(last *Proc) {
	n := m.seats[0].task.part
	if n == 0 { // as of a barrier, whose seats have no buffers
		return
	}
	switch m.seats[0].task.kind {
	case taskAllreduce:
		m.reduce(last)
	case taskAllgather:
		for i, from := range m.seats {
			for _, to := range m.seats {
				copy(to.task.out[i*n:], from.task.in[:n])
			}
		}
	case taskAlltoall:
		for i, from := range m.seats {
			for k, to := range m.seats {
				copy(to.task.out[i*n:], from.task.in[k*n:(k+1)*n])
			}
		}
	}
}

// reduce combines all inputs in the order of coll's Allreduce, so that where the ranks are changes no bit of the result.
func (m *meeting) reduce(last *Proc) {
	n := m.seats[0].task.part
	power, folded := coll.Fold(len(m.seats))
	sum := last.scratchpad(n * (1 + bits.Len(uint(power))))
	m.sum(0, power, folded, sum)
	for _, to := range m.seats {
		copy(to.task.out, sum[:n])
	}
}

// sum combines the inputs of so many ranks, of those that are left after the fold, at the beginning of the memory.
func (m *meeting) sum(first, count, folded int, memory []byte) {
	t := &m.seats[0].task
	in := func(i int) []byte { return m.seats[i].task.in }
	to := memory[:t.part]
	switch {
	case count > 1:
		m.sum(first, count/2, folded, memory)
		m.sum(first+count/2, count/2, folded, memory[t.part:])
		layout.Combine(t.op, t.typ, to, to, memory[t.part:2*t.part])
	case first < folded:
		layout.Combine(t.op, t.typ, to, in(2*first), in(2*first+1))
	default:
		copy(to, in(first+folded))
	}
}

// meet does a collective in a meeting, if it can, and reports whether it has. What is done is done even if there is an error.
func (p *Proc) meet(c *comm, t *task) (met bool, err error) {
	m := p.meeting(c)
	if m == nil {
		return false, nil
	}
	s := m.seats[c.me]
	switch m.sit(p, s, c.collSeq+1, t) {
	case seatFree:
		return false, nil
	case seatTaken:
		err = p.wait(c.met)
	}
	switch m.stand(s) {
	case seatMet:
		c.collSeq++
		return true, nil
	case seatWrong: // the next one is the next for all
		c.collSeq++
		return true, c.on(abi.Fail(abi.ErrOther, "rank %d of the communicator has called %s where another has called %s", c.me, taskNames[t.kind], taskNames[s.other]))
	}
	return false, err
}

// mayMeet reports whether the rank may do the collective that it has called, on a communicator, in a meeting. While others wait for it, no function of the program
// runs: it might move its memory.
func (p *Proc) mayMeet(c *comm) bool {
	n := c.size()
	if n < 2 || c.inter() || n > meetRanks && p.w.roomy() {
		return false
	}
	return p.running.resumed == nil && len(p.active)+len(p.filing) == 0 && !p.advancing && !p.left && p.attached.Load()
}

// meeting is that of a communicator, which the rank joins if all its ranks are here, or nil.
func (p *Proc) meeting(c *comm) *meeting {
	if c.meeting != nil {
		return c.meeting
	}
	now := p.w.changes.Load()
	if c.apart == now || int(p.w.crowd.Load()) < c.size() {
		return nil
	}
	for _, r := range c.group.ranks {
		if p.w.proc(r) == nil {
			c.apart = now
			return nil
		}
	}
	m := p.w.meetings.join(p, c)
	if m == nil {
		return nil
	}
	s := m.seats[c.me]
	c.meeting, c.met = m, func() bool { return s.state.Load() != seatTaken }
	return m
}

// part gives up the rank's seat in the meeting of a communicator.
func (p *Proc) part(c *comm) {
	if m := c.meeting; m != nil {
		c.meeting, c.met = nil, nil
		p.w.meetings.leave(m, c.me)
	}
}

// partAll gives up all its seats.
func (p *Proc) partAll() {
	p.part(p.world)
	for _, c := range p.comms.items {
		p.part(c)
	}
}

// byMessages notes that the rank has begun its latest collective on the communicator by messages.
func (c *comm) byMessages() {
	m := c.meeting
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.note(c.collSeq)
	m.breakUp()
}

// barrierTask and those that follow are what the calls of these names ask of a meeting, if that is ordinary.
func barrierTask(*Proc, *comm, noArgs) (task, bool) { return task{kind: taskBarrier}, true }

func allreduceTask(p *Proc, _ *comm, a allreduceArgs) (t task, ok bool) {
	t.kind, t.op, t.typ = taskAllreduce, uint32(a.op), p.w.named(uint32(a.datatype))
	if t.out, ok = p.plainBytes(t.typ, int64(a.count), uint32(a.recvbuf)); !ok {
		return t, false
	}
	t.part = len(t.out)
	if t.in = t.out; a.sendbuf != abi.InPlace {
		if t.in, ok = p.plainBytes(t.typ, int64(a.count), uint32(a.sendbuf)); !ok || a.sendbuf == a.recvbuf {
			return t, false
		}
	}
	o, err := p.reducer(t.op, t.typ)
	return t, err == nil && o.Func == 0 && t.part <= meetBytes
}

func allgatherTask(p *Proc, c *comm, a allgatherArgs) (t task, ok bool) {
	if t, ok = p.exchangeTask(c, taskAllgather, a.gottenArgs); !ok || a.sendbuf == a.recvbuf {
		return t, false
	}
	if a.sendbuf == abi.InPlace {
		t.in = t.out[c.me*t.part:]
		return t, true
	}
	t.in, ok = p.plainBytes(p.w.named(uint32(a.sendtype)), int64(a.sendcount), uint32(a.sendbuf))
	return t, ok && len(t.in) == t.part
}

func alltoallTask(p *Proc, c *comm, a allgatherArgs) (t task, ok bool) {
	if t, ok = p.exchangeTask(c, taskAlltoall, a.gottenArgs); !ok || a.sendbuf == a.recvbuf || a.sendbuf == abi.InPlace || int64(a.sendcount) > meetBytes {
		return t, false
	}
	t.in, ok = p.plainBytes(p.w.named(uint32(a.sendtype)), int64(a.sendcount)*int64(c.size()), uint32(a.sendbuf))
	return t, ok && len(t.in) == len(t.out)
}

// exchangeTask is what a rank gets that gets a part of each.
func (p *Proc) exchangeTask(c *comm, kind uint8, a gottenArgs) (t task, ok bool) {
	t.kind = kind
	if int64(a.recvcount) > meetBytes {
		return t, false
	}
	t.out, ok = p.plainBytes(p.w.named(uint32(a.recvtype)), int64(a.recvcount)*int64(c.size()), uint32(a.recvbuf))
	t.part = len(t.out) / c.size()
	return t, ok && len(t.out) <= meetBytes
}
