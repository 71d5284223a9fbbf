package mpi

import (
	"slices"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/coll"
	"github.com/godwit-run/godwit/mpi/layout"
)

// sketch is a collective while it is planned, and the memory that it runs in.
type sketch struct {
	coll.Schedule
	comm    *comm
	counted bool // among the collectives of comm, once it has its request
	plan    plan
	running collective
	own     layout.Buffer
}

// newSketch begins a collective on c.
func newSketch(c *comm) *sketch {
	s := &sketch{}
	s.begin(c)
	return s
}

// begin makes the sketch an empty one on c, in the memory that it has. A call that fails before the sketch is a request may be made again: it
// is still the same collective to the other ranks.
func (s *sketch) begin(c *comm) {
	s.Begin(c.peers().ranks, c.context(contextCollective), coll.TagOf(c.collSeq+1), &s.own)
	s.comm, s.counted, s.plan, s.running, s.own = c, true, plan{}, collective{reqs: s.running.reqs[:0]}, layout.Buffer{}
}

// newSketch begins a collective on c that runs once, in the memory of one that is over.
func (p *Proc) newSketch(c *comm) *sketch {
	s := p.sketch
	if s == nil {
		return newSketch(c)
	}
	p.sketch = nil
	s.begin(c)
	return s
}

// collective is a schedule that runs: between its calls that is all that a capture needs.
type collective struct {
	comm     *comm
	rounds   []coll.Round
	host     *layout.Buffer
	round    int
	started  bool     // the round's transfers
	reqs     []uint32 // of the round
	class    int32    // first error, reported at the end
	from     Rank     // whose message it was about
	received bool     // the result is that of the first request: a send-receive
	made     *comm    // a communicator whose id is then in host
	madeAt   uint32

	plan *sketch // whose memory is used again when the collective is over; nil: it has none, or is kept
}

// scheduled makes a collective that is planned a request that has not begun.
func (p *Proc) scheduled(s *sketch, internal bool) (*request, error) {
	if err := p.mayCollect(); err != nil {
		return nil, s.comm.on(err)
	}
	if limit := uint64(min(p.w.cfg.MaxScratch, 1<<32-1)); s.Scratch > limit {
		return nil, s.comm.on(abi.Fail(abi.ErrNoMem, "the collective needs %d bytes of scratch memory, the limit is %d", s.Scratch, limit))
	}
	s.running.comm, s.running.rounds, s.running.host = s.comm, s.Rounds, s.Host
	cost := int64(s.Scratch) + s.running.cost() // which has no scratch yet
	room := p.room
	if internal { // it is over when the call is
		room = p.roomToPass
	}
	if err := room(cost); err != nil {
		return nil, s.comm.on(err)
	}
	r, err := p.newRequest(reqCollective, internal)
	if err != nil {
		return nil, s.comm.on(err)
	}
	if s.counted {
		s.comm.collSeq++
		s.comm.byMessages()
	}
	r.charged = cost
	p.kept += cost
	r.comm = s.comm
	r.coll = &s.running
	if uint64(cap(p.spare)) >= s.Scratch {
		s.Host.Bytes, p.spare = p.spare[:s.Scratch], nil
	} else {
		s.Host.Bytes = make([]byte, s.Scratch)
	}
	copy(s.Host.Bytes[min(s.Scratch, uint64(s.SeedAt)):], s.Seed)
	r.result = emptyStatus()
	return r, nil
}

// mayCollect fails inside of a reduction's function, where a collective could not go on.
func (p *Proc) mayCollect() error {
	if p.advancing {
		return abi.Fail(abi.ErrOther, "a function of a reduction may not communicate (MPI 5.0 section 6.9.5)")
	}
	return nil
}

// launch begins a collective: whatever can be done now is done.
func (p *Proc) launch(r *request) error {
	if err := p.mayCollect(); err != nil {
		return r.comm.on(err)
	}
	p.goesOn(r)
	return p.progress()
}

// takePart has a collective begin of which nobody hears: a later call takes it further.
func (p *Proc) takePart(r *request) {
	r.internal, r.orphan = true, true // no handle is its
	p.goesOn(r)
}

// goesOn has a collective be one of those under way, at its beginning.
func (p *Proc) goesOn(r *request) {
	r.done = false
	r.coll.round, r.coll.started, r.coll.class = 0, false, abi.Success
	p.active = append(p.active, r)
}

// progress takes every collective and every operation on a file under way as far as it can go. It runs on the guest's goroutine, in any call: a
// reduction may call the program.
func (p *Proc) progress() error {
	if p.advancing {
		return nil // a reduction's function has made a call: it goes on when that is over
	}
	if err := p.advanceAll(); err != nil {
		return err
	}
	return p.stepFiles()
}

// advanceAll does that for collectives.
func (p *Proc) advanceAll() error {
	p.advancing = true
	defer func() { p.advancing = false }()
	for i := 0; i < len(p.active); {
		r := p.active[i]
		over, err := p.advance(r)
		if err != nil {
			return err
		}
		if !over {
			i++
			continue
		}
		p.active = slices.Delete(p.active, i, i+1)
		if r.result.class = r.coll.class; r.result.class < abi.Success {
			r.result.source = r.coll.from
		}
		p.complete(r)
	}
	return nil
}

// advance runs the rounds of one collective until it has to wait, and reports whether it is over.
func (p *Proc) advance(r *request) (bool, error) {
	c := r.coll
	for c.round < len(c.rounds) {
		step := &c.rounds[c.round]
		if !c.started {
			if err := p.startRound(c, step); err != nil {
				return false, c.comm.on(err)
			}
			c.started = true
		}
		for _, i := range c.reqs {
			if q := p.request(i); q != nil && !q.done && !p.lost(q, false) {
				return false, nil
			}
		}
		for k, i := range c.reqs {
			q := p.request(i)
			short := step.Whole() && q != nil && q.kind == reqRecv && q.result.size < q.buf.Len
			st := p.conclude(i)
			if short && st.class == abi.Success {
				st.class = classPart
			}
			if st.class != abi.Success && c.class == abi.Success {
				c.class, c.from = st.class, st.source
			}
			if c.received && k == 0 {
				r.result = st
			}
		}
		c.reqs = c.reqs[:0]
		if !step.Whole() || c.class == abi.Success {
			if err := p.perform(c, step.Work); err != nil {
				return false, err
			}
		}
		c.round++
		c.started = false
	}
	if at := int(c.madeAt); c.made != nil && at+8 <= len(c.host.Bytes) {
		c.made.id = order.Uint64(c.host.Bytes[at:])
	}
	return true, nil
}

// startRound starts the receives, then the sends.
func (p *Proc) startRound(c *collective, r *coll.Round) error {
	for _, recv := range [...]bool{true, false} {
		for i := range r.Transfers {
			t := &r.Transfers[i]
			if t.Recv != recv {
				continue
			}
			buf := t.Buf
			if t.Whole && !recv && c.class != abi.Success { // the next rank is to know
				buf = t.Failed(c.host)
			}
			var q *request
			var err error
			switch x := p.pairs[t.Peer]; {
			case recv:
				q, err = p.startRecv(c.comm, t.Context, t.Peer, t.Tag, buf, true)
			case x != nil && buf.Type == nil && x.leaves(t, buf):
				continue
			default:
				q, err = p.startSend(c.comm, t.Context, t.Peer, t.Tag, buf, modeStandard, true)
			}
			if err != nil {
				return err
			}
			c.reqs = append(c.reqs, q.index)
		}
	}
	return nil
}

// leaves sends a short transfer that can leave at once, of what is in buf, and reports whether it has.
func (c *pair) leaves(t *coll.Transfer, buf layout.Span) bool {
	payload := c.p.bytes(buf)
	if len(payload) != int(buf.Len) { // only a damaged state leads here
		return false
	}
	_, ok := c.sendNow(t.Context, t.Tag, payload)
	return ok
}

// perform does local work. No request uses these buffers now, so large work is
// done without the lock.
func (p *Proc) perform(c *collective, work []coll.Action) error {
	var total uint64
	for i := range work {
		total += uint64(work[i].Dst.Len)
		if op := work[i].Op; op != nil && op.Func != 0 {
			return p.performUser(c, work)
		}
	}
	if total > uint64(p.w.cfg.EagerLimit) {
		p.depart()
		defer p.comeBack()
	}
	for i := range work {
		p.act(&work[i])
	}
	return nil
}

// act does one action with a predefined operation, or a copy.
func (p *Proc) act(a *coll.Action) {
	if a.Op == nil {
		p.move(a.Dst, a.Left)
		return
	}
	dst, left, right := p.bytes(a.Dst), p.bytes(a.Left), p.bytes(a.Right)
	if len(dst) == len(left) && len(left) == len(right) {
		layout.Combine(a.Op.Handle, a.Type, dst, left, right)
	}
}

// performUser does work with operations of the program.
func (p *Proc) performUser(c *collective, work []coll.Action) error {
	for i := range work {
		a := &work[i]
		if a.Op == nil || a.Op.Func == 0 {
			p.act(a)
			continue
		}
		if err := p.applyUser(p.call, a.Op, a.Type, a.Dst, a.Left, a.Right); err != nil {
			return c.comm.on(err)
		}
	}
	return nil
}

// collect makes the call of a blocking collective: build plans it.
func (p *Proc) collect(c *comm, build func(s *sketch) error) error {
	reqs, err := p.once(func() ([]uint32, error) { return p.begin(c, build, true) })
	if err != nil {
		return c.on(err)
	}
	if err := p.finish(reqs); err != nil {
		return err
	}
	return c.on(p.concludeCollective(reqs[0]))
}

// begin plans a collective and launches it.
func (p *Proc) begin(c *comm, build func(s *sketch) error, internal bool) ([]uint32, error) {
	s := p.newSketch(c)
	if err := build(s); err != nil {
		return nil, err
	}
	r, err := p.scheduled(s, internal)
	if err != nil {
		return nil, err
	}
	r.coll.plan = s
	return p.awaited(r.index), p.launch(r)
}

// concludeCollective ends a blocking collective's request and returns its error.
func (p *Proc) concludeCollective(index uint32) error {
	return p.conclude(index).failed()
}

// failed makes the error of a collective's outcome.
func (s status) failed() error {
	switch s.class {
	case abi.Success:
		return nil
	case abi.ErrTruncate:
		return abi.Fail(abi.ErrTruncate, "a message of the collective is longer than its buffer: counts differ between ranks")
	case classEnded, classNotReceived:
		return abi.Fail(abi.ErrOther, "rank %d of MPI_COMM_WORLD has ended without taking part in the collective", s.source)
	}
	if s.class == classPart {
		return abi.Fail(abi.ErrOther, "a part is missing: a rank has ended without taking part in the collective, or counts differ between ranks")
	}
	return abi.Fail(int(s.class), "the collective has failed")
}
