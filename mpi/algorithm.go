package mpi

const (
	// exchangeBatch is how many peers an all-to-all talks to at a time.
	exchangeBatch = 16
	// largeBcast is from how many bytes on a broadcast goes in parts that all ranks pass on.
	largeBcast = 256 << 10
	// largeReduction is from how many bytes on a reduction is split among the ranks.
	largeReduction = 64 << 10
	// smallExchange is up to how many bytes a part of an all-to-all travels with others, by Bruck's algorithm.
	smallExchange = 256
	// smallGather is up to how many bytes in all an allgather goes in doubling runs; larger ones go round.
	smallGather = 64 << 10
)

// barrier plans a dissemination: after round k a rank has heard of 2^(k+1) ranks.
func (s *schedule) barrier(me, size int) {
	for d := 1; d < size; d *= 2 {
		s.round(s.sendTo((me+d)%size, span{}), s.recvFrom((me-d+size)%size, span{}))
	}
}

// bcast plans a binomial tree from root; a large contiguous one is scattered first, and the parts go round. Ranks decide
// by the number of bytes alone, so that layouts may differ between them.
func (s *schedule) bcast(me, size, root int, buf span) {
	if buf.len >= largeBcast && size > 3 {
		s.bcastParts(me, size, root, buf)
		return
	}
	v := (me - root + size) % size
	mask := 1
	for ; mask < size; mask *= 2 {
		if v&mask != 0 {
			s.round(s.recvFrom((v-mask+root)%size, buf))
			break
		}
	}
	first := true
	for mask /= 2; mask > 0; mask /= 2 {
		if v+mask >= size {
			continue
		}
		if first {
			s.round()
			first = false
		}
		s.add(s.sendTo((v+mask+root)%size, buf))
	}
}

// bcastParts: root gives each rank a part, then the parts go round (van de Geijn).
func (s *schedule) bcastParts(me, size, root int, buf span) {
	each := (buf.len + uint32(size) - 1) / uint32(size)
	part := func(v int) span { return buf.part(uint32(v)*each, each) } // of the v-th rank after root
	v := (me - root + size) % size
	if v == 0 {
		var sends []transfer
		for i := 1; i < size; i++ {
			sends = append(sends, s.sendTo((i+root)%size, part(i)))
		}
		s.round(sends...)
	} else {
		s.round(s.recvFrom(root, part(v)))
	}
	for k := range size - 1 {
		s.round(
			s.recvFrom((me-1+size)%size, part((v-k-1+size)%size)),
			s.sendTo((me+1)%size, part((v-k+size)%size)),
		)
	}
}

// reduce plans a binomial tree to rank 0, whatever the root, so that all roots get
// equal bits; then on to root. out is used at root only.
func (s *schedule) reduce(me, size, root int, in, out span, r *reduction) {
	cur, acc, tmp := in, span{}, span{}
	if me%2 == 0 && me+1 < size {
		tmp, acc = s.alloc(in.len), out
		if me != 0 || root != 0 || out.len != in.len {
			acc = s.alloc(in.len)
		}
	}
	for mask := 1; mask < size; mask *= 2 {
		if me&mask != 0 {
			s.round(s.sendTo(me-mask, cur))
			break
		}
		if me+mask < size {
			s.round(s.recvFrom(me+mask, tmp))
			s.work(r.combine(acc, cur, tmp))
			cur = acc
		}
	}
	switch {
	case me == 0 && root == 0:
		s.copy(out, cur)
	case me == 0:
		s.round(s.sendTo(root, cur))
	case me == root:
		s.round(s.recvFrom(0, out))
	}
}

// fold prepares a reduction for a power of two of ranks: pairs of the lowest ranks become one. v is the rank among
// those that are left, -1 for one that is not; rank translates back.
func fold(me, size int) (power, folded, v int, rank func(int) int) {
	power = 1
	for power*2 <= size {
		power *= 2
	}
	folded = size - power // pairs (0,1), (2,3), ...
	v = me - folded
	if me < 2*folded {
		v = me / 2
		if me%2 == 0 {
			v = -1
		}
	}
	return power, folded, v, func(v int) int {
		if v < folded {
			return 2*v + 1
		}
		return v + folded
	}
}

// allreduce plans a reduction whose result all ranks get: large data is reduced in parts by different ranks. Ranks decide by the number of bytes alone. The program's own operations
// want whole vectors.
func (s *schedule) allreduce(me, size int, in, out span, r *reduction) {
	if r.op.fn == 0 && in.len >= largeReduction && size > 2 {
		s.allreduceHalving(me, size, in, out, r)
		return
	}
	s.allreduceDoubling(me, size, in, out, r)
}

// allreduceDoubling: recursive doubling. If size is no power of two, pairs of the lowest
// ranks are folded into one first, and unfolded last.
func (s *schedule) allreduceDoubling(me, size int, in, out span, r *reduction) {
	if size == 1 {
		s.copy(out, in)
		return
	}
	power, folded, v, rank := fold(me, size)
	tmp := s.alloc(in.len)
	cur := in
	if v < 0 {
		s.round(s.sendTo(me+1, in))
		s.round(s.recvFrom(me+1, out))
		return
	}
	if me < 2*folded {
		s.round(s.recvFrom(me-1, tmp))
		s.work(r.combine(out, tmp, cur))
		cur = out
	}
	for mask := 1; mask < power; mask *= 2 {
		peer := v ^ mask
		s.round(s.recvFrom(rank(peer), tmp), s.sendTo(rank(peer), cur))
		if peer < v {
			s.work(r.combine(out, tmp, cur))
		} else {
			s.work(r.combine(out, cur, tmp))
		}
		cur = out
	}
	if me < 2*folded {
		s.round(s.sendTo(me-1, out))
	}
}

// allreduceHalving: each rank reduces a part, by halving, and the parts are gathered by doubling (Rabenseifner). For
// operations that commute. Parts end at elements.
func (s *schedule) allreduceHalving(me, size int, in, out span, r *reduction) {
	power, folded, v, rank := fold(me, size)
	if v < 0 {
		s.round(s.sendTo(me+1, in))
		s.round(s.recvFrom(me+1, out))
		return
	}
	tmp := s.alloc(in.len)
	s.copy(out, in)
	if me < 2*folded {
		s.round(s.recvFrom(me-1, tmp))
		s.work(r.combine(out, tmp, out))
	}
	count := uint64(in.len) / uint64(r.typ.size)
	cut := func(i int) uint32 { return uint32(count * uint64(i) / uint64(power) * uint64(r.typ.size)) }
	run := func(s span, first, n int) span { return s.part(cut(first), cut(first+n)-cut(first)) }
	first, n := 0, power
	for mask := power / 2; mask > 0; mask /= 2 {
		n /= 2
		keep, give := first, first+n
		if v&mask != 0 {
			keep, give = give, keep
		}
		peer := rank(v ^ mask)
		s.round(s.recvFrom(peer, run(tmp, keep, n)), s.sendTo(peer, run(out, give, n)))
		left, right := run(out, keep, n), run(tmp, keep, n)
		if v&mask != 0 {
			left, right = right, left
		}
		s.work(r.combine(run(out, keep, n), left, right))
		first = keep
	}
	for mask := 1; mask < power; mask *= 2 {
		peer, other := rank(v^mask), first+n
		if v&mask != 0 {
			other = first - n
		}
		s.round(s.recvFrom(peer, run(out, other, n)), s.sendTo(peer, run(out, first, n)))
		first, n = min(first, other), 2*n
	}
	if me < 2*folded {
		s.round(s.sendTo(me-1, out))
	}
}

// reduceScatter plans a reduction of all parts, each for its rank; part cuts a span into them. What is large goes straight to where it is reduced, where the order
// of operands may change and in is not where mine is; else everything is reduced at rank 0.
func (s *schedule) reduceScatter(me, size int, in, mine span, part func(span) parts, r *reduction, place bool) {
	if r.op.commutes && r.op.fn == 0 && in.len >= largeReduction && !place {
		s.reduceScatterPairs(me, size, part(in), mine, r)
		return
	}
	var all span
	if me == 0 {
		all = s.alloc(in.len)
	}
	s.reduce(me, size, 0, in, all, r)
	s.scatter(me, size, 0, mine, part(all), false)
}

// reduceScatterPairs: each rank gets its part from every other rank, and adds up in the order of ranks to the right
// of it. For operations that commute.
func (s *schedule) reduceScatterPairs(me, size int, in parts, mine span, r *reduction) {
	tmp := s.alloc(mine.len)
	s.copy(mine, in[me])
	for k := 1; k < size; k++ {
		to, from := (me+k)%size, (me-k+size)%size
		s.round(s.recvFrom(from, tmp), s.sendTo(to, in[to]))
		s.work(r.combine(mine, tmp, mine))
	}
}

// scan plans a prefix reduction by recursive doubling. part is the reduction over the last 2^k ranks up to
// this one; out collects the parts to the left. An exclusive scan starts empty,
// and leaves rank 0's out alone (MPI 5.0 section 6.11.2).
func (s *schedule) scan(me, size int, in, out span, r *reduction, exclusive bool) {
	part, tmp := s.alloc(in.len), s.alloc(in.len)
	s.copy(part, in)
	have := !exclusive
	if have {
		s.copy(out, in)
	}
	for d := 1; d < size; d *= 2 {
		s.round()
		if me-d >= 0 {
			s.add(s.recvFrom(me-d, tmp))
		}
		if me+d < size {
			s.add(s.sendTo(me+d, part))
		}
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

// reduction is what all reducing collectives share.
type reduction struct {
	op  *operation
	typ *datatype
}

func (r *reduction) combine(dst, left, right span) action {
	return action{dst: dst, left: left, right: right, op: r.op, typ: r.typ}
}
