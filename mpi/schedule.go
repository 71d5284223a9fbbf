package mpi

import "slices"

// schedule is a collective as rounds over point-to-point operations. It depends
// only on the call's arguments, the rank and the communicator's size, so it is
// built again, equal, when a frozen call is made again.
type schedule struct {
	rounds  []round
	scratch uint64 // bytes
}

// round starts its transfers together, waits for them all, then does its local
// work in order.
type round struct {
	transfers []transfer
	work      []action
}

// transfer is one send to or receive from a rank of the communicator.
type transfer struct {
	recv bool
	peer int
	buf  span
}

// action is local work: dst = left, or dst = left op right.
type action struct {
	dst, left, right span
	op               uint32 // 0: copy
	typ              datatype
}

// progress is how far a collective is; with the scratch buffer and the
// outstanding requests it is all that a capture needs.
type progress struct {
	seq     uint32 // of the communicator's collectives: the tag
	round   uint32
	started bool  // the round's transfers
	class   int32 // first error, reported at the end
}

// alloc returns n bytes of scratch.
func (s *schedule) alloc(n uint32) span {
	off := s.scratch
	s.scratch += uint64(n)
	return span{scratch: true, off: uint32(off), len: n}
}

// round adds a round of transfers.
func (s *schedule) round(t ...transfer) {
	s.rounds = append(s.rounds, round{transfers: t})
}

// work adds local work to the last round.
func (s *schedule) work(a ...action) {
	if len(s.rounds) == 0 {
		s.round()
	}
	last := &s.rounds[len(s.rounds)-1]
	last.work = append(last.work, a...)
}

// copy adds a copy, unless it would do nothing.
func (s *schedule) copy(dst, src span) {
	if dst != src && src.len > 0 {
		s.work(action{dst: dst, left: src})
	}
}

func sendTo(peer int, buf span) transfer   { return transfer{peer: peer, buf: buf} }
func recvFrom(peer int, buf span) transfer { return transfer{recv: true, peer: peer, buf: buf} }

// collective runs a blocking collective, or goes on with a frozen one.
func (p *Proc) collective(c *comm, s *schedule, err error) (uint64, error) {
	if err == nil && s.scratch > uint64(min(p.w.cfg.MaxScratch, 1<<32-1)) {
		err = fail(errNoMem, "the collective needs %d bytes of scratch memory", s.scratch)
	}
	if err != nil {
		return 0, c.on(err)
	}
	var at progress
	var reqs []uint32
	if p.suspended != nil {
		at, reqs = p.suspended.coll, p.suspended.reqs
		if uint64(len(p.scratch)) != s.scratch {
			return 0, &callError{class: errIntern, why: "the captured scratch memory does not fit the call", fatal: true}
		}
	} else {
		c.collSeq++
		at.seq = c.collSeq & tagUB // wraps: billions of collectives later no old one is alive
		if uint64(cap(p.scratch)) < s.scratch {
			p.scratch = make([]byte, s.scratch)
		}
		p.scratch = p.scratch[:s.scratch]
	}
	if err := p.runRounds(c, s, &at, reqs); err != nil {
		return 0, err
	}
	p.suspended = nil
	if cap(p.scratch) > p.w.cfg.ChunkBytes {
		p.scratch = nil
	}
	p.scratch = p.scratch[:0]
	if at.class != success {
		return 0, c.on(fail(int(at.class), "a message of the collective is longer than its buffer: counts differ between ranks"))
	}
	return success, nil
}

// runRounds runs the rounds from at on.
func (p *Proc) runRounds(c *comm, s *schedule, at *progress, reqs []uint32) error {
	for int(at.round) < len(s.rounds) {
		r := &s.rounds[at.round]
		if !at.started {
			var err error
			if reqs, err = p.startRound(c, r, at.seq, reqs[:0]); err != nil {
				return c.on(err)
			}
			at.started = true
		}
		next := 0
		err := p.wait(func() bool {
			for next < len(reqs) {
				if q := p.request(reqs[next]); q != nil && !q.done {
					return false
				}
				next++
			}
			return true
		})
		if err != nil {
			p.suspend(slices.Clone(reqs)...).coll = *at
			return err
		}
		for _, i := range reqs {
			if st := p.take(i); st.class != success && at.class == success {
				at.class = st.class
			}
		}
		p.perform(r.work)
		at.round++
		at.started = false
	}
	return nil
}

// startRound starts the receives, then the sends.
func (p *Proc) startRound(c *comm, r *round, seq uint32, reqs []uint32) ([]uint32, error) {
	for _, recv := range [...]bool{true, false} {
		for _, t := range r.transfers {
			if t.recv != recv {
				continue
			}
			var q *request
			var err error
			if peer := p.worldRank(c, t.peer); recv {
				q, err = p.startRecv(c, c.collectiveContext(), peer, int32(seq), t.buf, true)
			} else {
				q, err = p.startSend(c, c.collectiveContext(), peer, int32(seq), t.buf, false, true)
			}
			if err != nil {
				return nil, err
			}
			reqs = append(reqs, q.index)
		}
	}
	return reqs, nil
}

// perform does local work. No request uses these buffers now, so large work is
// done without the lock.
func (p *Proc) perform(work []action) {
	var total uint64
	for _, a := range work {
		total += uint64(a.dst.len)
	}
	if total > uint64(p.w.cfg.EagerLimit) {
		p.w.mu.Unlock()
		defer p.w.mu.Lock()
	}
	for _, a := range work {
		dst, left := p.bytes(a.dst), p.bytes(a.left)
		if a.op == 0 {
			copy(dst, left)
			continue
		}
		if right := p.bytes(a.right); len(dst) == len(left) && len(left) == len(right) {
			combine(a.op, a.typ, dst, left, right)
		}
	}
}
