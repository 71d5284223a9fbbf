package mpi

// The algorithms depend on rank, size and byte counts only, never on where
// ranks are. Reductions combine neighbouring blocks of ranks, lower ranks left,
// so a result is the same on every rank and every placement.

// exchangeBatch is how many peers an all-to-all talks to at a time.
const exchangeBatch = 16

// barrier: dissemination; after round k a rank has heard of 2^(k+1) ranks.
func (s *schedule) barrier(me, size int) {
	for d := 1; d < size; d *= 2 {
		s.round(sendTo((me+d)%size, span{}), recvFrom((me-d+size)%size, span{}))
	}
}

// bcast: a binomial tree from root.
func (s *schedule) bcast(me, size, root int, buf span) {
	v := (me - root + size) % size
	mask := 1
	for ; mask < size; mask *= 2 {
		if v&mask != 0 {
			s.round(recvFrom((v-mask+root)%size, buf))
			break
		}
	}
	var sends []transfer
	for mask /= 2; mask > 0; mask /= 2 {
		if v+mask < size {
			sends = append(sends, sendTo((v+mask+root)%size, buf))
		}
	}
	if len(sends) > 0 {
		s.round(sends...)
	}
}

// reduction is what all reducing collectives share.
type reduction struct {
	op  uint32
	typ datatype
}

func (r reduction) combine(dst, left, right span) action {
	return action{dst: dst, left: left, right: right, op: r.op, typ: r.typ}
}

// reduce: a binomial tree to rank 0, whatever the root, so that all roots get
// equal bits; then on to root. out is used at root only.
func (s *schedule) reduce(me, size, root int, in, out span, r reduction) {
	cur, acc, tmp := in, span{}, span{}
	if me%2 == 0 && me+1 < size {
		tmp, acc = s.alloc(in.len), out
		if me != 0 || root != 0 {
			acc = s.alloc(in.len)
		}
	}
	for mask := 1; mask < size; mask *= 2 {
		if me&mask != 0 {
			s.round(sendTo(me-mask, cur))
			break
		}
		if me+mask < size {
			s.round(recvFrom(me+mask, tmp))
			s.work(r.combine(acc, cur, tmp))
			cur = acc
		}
	}
	switch {
	case me == 0 && root == 0:
		s.copy(out, cur)
	case me == 0:
		s.round(sendTo(root, cur))
	case me == root:
		s.round(recvFrom(0, out))
	}
}

// allreduce: recursive doubling. If size is no power of two, pairs of the lowest
// ranks are folded into one first, and unfolded last.
func (s *schedule) allreduce(me, size int, in, out span, r reduction) {
	if size == 1 {
		s.copy(out, in)
		return
	}
	power := 1
	for power*2 <= size {
		power *= 2
	}
	folded := size - power // pairs (0,1), (2,3), ...
	tmp := s.alloc(in.len)
	cur := in
	v := me - folded // the rank among those that are left
	if me < 2*folded {
		if me%2 == 0 {
			s.round(sendTo(me+1, in))
			s.round(recvFrom(me+1, out))
			return
		}
		s.round(recvFrom(me-1, tmp))
		s.work(r.combine(out, tmp, cur))
		cur, v = out, me/2
	}
	for mask := 1; mask < power; mask *= 2 {
		peer := v ^ mask
		partner := peer + folded
		if peer < folded {
			partner = 2*peer + 1
		}
		s.round(recvFrom(partner, tmp), sendTo(partner, cur))
		if peer < v {
			s.work(r.combine(out, tmp, cur))
		} else {
			s.work(r.combine(out, cur, tmp))
		}
		cur = out
	}
	if me < 2*folded {
		s.round(sendTo(me-1, out))
	}
}

// gather: everybody sends to root; at(i) is where root keeps rank i's part.
func (s *schedule) gather(me, size, root int, in span, at func(int) span) {
	if me != root {
		s.round(sendTo(root, in))
		return
	}
	recvs := make([]transfer, 0, size-1)
	for i := range size {
		if i != me {
			recvs = append(recvs, recvFrom(i, at(i)))
		}
	}
	s.round(recvs...)
	s.copy(at(me), in)
}

// scatter: root sends to everybody.
func (s *schedule) scatter(me, size, root int, out span, at func(int) span) {
	if me != root {
		s.round(recvFrom(root, out))
		return
	}
	sends := make([]transfer, 0, size-1)
	for i := range size {
		if i != me {
			sends = append(sends, sendTo(i, at(i)))
		}
	}
	s.round(sends...)
	s.copy(out, at(me))
}

// allgatherRing passes the parts on from left to right; parts may differ in size.
func (s *schedule) allgatherRing(me, size int, at func(int) span) {
	for k := range size - 1 {
		s.round(
			recvFrom((me-1+size)%size, at((me-k-1+size)%size)),
			sendTo((me+1)%size, at((me-k+size)%size)),
		)
	}
}

// allgatherDoubling exchanges ever larger aligned runs of equal parts of all;
// size must be a power of two.
func (s *schedule) allgatherDoubling(me, size int, all span) {
	part := all.len / uint32(size)
	run := func(first, n int) span { return all.part(uint32(first)*part, uint32(n)*part) }
	for mask := 1; mask < size; mask *= 2 {
		mine, peer := me&^(mask-1), me^mask
		s.round(recvFrom(peer, run(peer&^(mask-1), mask)), sendTo(peer, run(mine, mask)))
	}
}

// alltoall talks to peers at growing distance, a batch at a time.
func (s *schedule) alltoall(me, size int, from, to func(int) span) {
	var batch []transfer
	for k := 1; k < size; k++ {
		batch = append(batch, recvFrom((me-k+size)%size, to((me-k+size)%size)), sendTo((me+k)%size, from((me+k)%size)))
		if len(batch) == 2*exchangeBatch || k == size-1 {
			s.round(batch...)
			batch = nil
		}
	}
	s.copy(to(me), from(me))
}

// scan: recursive doubling. part is the reduction over the last 2^k ranks up to
// this one; out collects the parts to the left. An exclusive scan starts empty,
// and leaves rank 0's out alone (MPI 5.0 section 6.11.2).
func (s *schedule) scan(me, size int, in, out span, r reduction, exclusive bool) {
	part, tmp := s.alloc(in.len), s.alloc(in.len)
	s.copy(part, in)
	have := !exclusive
	if have {
		s.copy(out, in)
	}
	for d := 1; d < size; d *= 2 {
		var t []transfer
		if me-d >= 0 {
			t = append(t, recvFrom(me-d, tmp))
		}
		if me+d < size {
			t = append(t, sendTo(me+d, part))
		}
		s.round(t...)
		if me-d < 0 {
			continue
		}
		s.work(r.combine(part, tmp, part))
		if have {
			s.work(r.combine(out, tmp, out))
		} else {
			s.copy(out, tmp)
			have = true
		}
	}
}
