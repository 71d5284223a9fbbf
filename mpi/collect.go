package mpi

import "slices"

// sketch is a collective while it is planned, and the memory that it runs in.
type sketch struct {
	schedule
	comm    *comm
	counted bool // among the collectives of comm, once it has its request
	plan    plan
	running collective
	own     hostBuffer
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
	s.schedule.begin(c.peers().ranks, c.context(contextCollective), tagOf(c.collSeq+1), &s.own)
	s.comm, s.counted, s.plan, s.running, s.own = c, true, plan{}, collective{reqs: s.running.reqs[:0]}, hostBuffer{}
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
	rounds   []round
	host     *hostBuffer
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
	if limit := uint64(min(p.w.cfg.MaxScratch, 1<<32-1)); s.scratch > limit {
		return nil, s.comm.on(fail(errNoMem, "the collective needs %d bytes of scratch memory, the limit is %d", s.scratch, limit))
	}
	s.running.comm, s.running.rounds, s.running.host = s.comm, s.rounds, s.host
	cost := int64(s.scratch) + s.running.cost() // which has no scratch yet
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
	}
	r.charged = cost
	p.kept += cost
	r.comm = s.comm
	r.coll = &s.running
	if uint64(cap(p.spare)) >= s.scratch {
		s.host.b, p.spare = p.spare[:s.scratch], nil
	} else {
		s.host.b = make([]byte, s.scratch)
	}
	copy(s.host.b[min(s.scratch, uint64(s.seedAt)):], s.seed)
	r.result = emptyStatus()
	return r, nil
}

// mayCollect fails inside of a reduction's function, where a collective could not go on.
func (p *Proc) mayCollect() error {
	if p.advancing {
		return fail(errOther, "a function of a reduction may not communicate (MPI 5.0 section 6.9.5)")
	}
	return nil
}

// launch begins a collective: whatever can be done now is done.
func (p *Proc) launch(r *request) error {
	if err := p.mayCollect(); err != nil {
		return r.comm.on(err)
	}
	r.done = false
	r.coll.round, r.coll.started, r.coll.class = 0, false, success
	p.active = append(p.active, r)
	return p.progress()
}

// progress takes every collective under way as far as it can go. It runs on the guest's goroutine, in any call: a
// reduction may call the program.
func (p *Proc) progress() error {
	if p.advancing {
		return nil // a reduction's function has made a call: it goes on when that is over
	}
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
		if r.result.class = r.coll.class; r.result.class < success {
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
			st := p.take(i)
			if st.class != success && c.class == success {
				c.class, c.from = st.class, st.source
			}
			if c.received && k == 0 {
				r.result = st
			}
		}
		c.reqs = c.reqs[:0]
		if err := p.perform(c, step.work); err != nil {
			return false, err
		}
		c.round++
		c.started = false
	}
	if at := int(c.madeAt); c.made != nil && at+8 <= len(c.host.b) {
		c.made.id = order.Uint64(c.host.b[at:])
	}
	return true, nil
}

// startRound starts the receives, then the sends.
func (p *Proc) startRound(c *collective, r *round) error {
	for _, recv := range [...]bool{true, false} {
		for i := range r.transfers {
			t := &r.transfers[i]
			if t.recv != recv {
				continue
			}
			var q *request
			var err error
			if recv {
				q, err = p.startRecv(c.comm, t.context, t.peer, t.tag, t.buf, true)
			} else {
				q, err = p.startSend(c.comm, t.context, t.peer, t.tag, t.buf, modeStandard, true)
			}
			if err != nil {
				return err
			}
			c.reqs = append(c.reqs, q.index)
		}
	}
	return nil
}

// perform does local work. No request uses these buffers now, so large work is
// done without the lock.
func (p *Proc) perform(c *collective, work []action) error {
	var total uint64
	for i := range work {
		total += uint64(work[i].dst.len)
		if op := work[i].op; op != nil && op.fn != 0 {
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
func (p *Proc) act(a *action) {
	if a.op == nil {
		p.move(a.dst, a.left)
		return
	}
	dst, left, right := p.bytes(a.dst), p.bytes(a.left), p.bytes(a.right)
	if len(dst) == len(left) && len(left) == len(right) {
		combine(a.op.handle, a.typ, dst, left, right)
	}
}

// performUser does work with operations of the program.
func (p *Proc) performUser(c *collective, work []action) error {
	for i := range work {
		a := &work[i]
		if a.op == nil || a.op.fn == 0 {
			p.act(a)
			continue
		}
		if err := p.applyUser(a.op, a.typ, a.dst, a.left, a.right); err != nil {
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
	return c.on(p.takeCollective(reqs[0]))
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

// takeCollective ends a blocking collective's request and returns its error.
func (p *Proc) takeCollective(index uint32) error {
	return p.take(index).failed()
}

// failed makes the error of a collective's outcome.
func (s status) failed() error {
	switch s.class {
	case success:
		return nil
	case errTruncate:
		return fail(errTruncate, "a message of the collective is longer than its buffer: counts differ between ranks")
	case classEnded, classNotReceived:
		return fail(errOther, "rank %d of MPI_COMM_WORLD has ended without taking part in the collective", s.source)
	}
	return fail(int(s.class), "the collective has failed")
}
