package coll

import "github.com/godwit-run/godwit/mpi/layout"

const (
	// exchangeBatch is how many peers an all-to-all talks to at a time.
	exchangeBatch = 16
	// LargeBcast is from how many bytes on a broadcast goes in parts that all ranks pass on.
	LargeBcast = 256 << 10
	// LargeReduction is from how many bytes on a reduction is split among the ranks.
	LargeReduction = 64 << 10
	// SmallExchange is up to how many bytes a part of an all-to-all travels with others, by Bruck's algorithm.
	SmallExchange = 256
	// SmallGather is up to how many bytes in all an allgather goes in doubling runs; larger ones go round.
	SmallGather = 64 << 10
	// smallTree is up to how many bytes in all a gather or scatter goes along a tree: half of what a call may always have.
	smallTree = 32 << 10
)

// Barrier plans a dissemination: after round k a rank has heard of 2^(k+1) ranks.
func (s *Schedule) Barrier(me, size int) {
	for d := 1; d < size; d *= 2 {
		s.Round(s.SendTo((me+d)%size, layout.Span{}), s.RecvFrom((me-d+size)%size, layout.Span{}))
	}
}

// Bcast plans a binomial tree from root; a large contiguous one is scattered first, and the parts go round. Ranks decide
// by the number of bytes alone, so that layouts may differ between them.
func (s *Schedule) Bcast(me, size, root int, buf layout.Span) {
	if buf.Len >= LargeBcast && size > 3 {
		s.bcastParts(me, size, root, buf)
		return
	}
	v := (me - root + size) % size
	mask := 1
	for ; mask < size; mask *= 2 {
		if v&mask != 0 {
			s.Round(s.RecvFrom((v-mask+root)%size, buf))
			break
		}
	}
	first := true
	for mask /= 2; mask > 0; mask /= 2 {
		if v+mask >= size {
			continue
		}
		if first {
			s.Round()
			first = false
		}
		s.add(s.SendTo((v+mask+root)%size, buf))
	}
}

// bcastParts: root gives each rank a part, then the parts go round (van de Geijn).
func (s *Schedule) bcastParts(me, size, root int, buf layout.Span) {
	each := (buf.Len + uint32(size) - 1) / uint32(size)
	part := func(v int) layout.Span { return buf.Part(uint32(v)*each, each) } // of the v-th rank after root
	v := (me - root + size) % size
	if v == 0 {
		var sends []Transfer
		for i := 1; i < size; i++ {
			sends = append(sends, s.SendTo((i+root)%size, part(i)))
		}
		s.Round(sends...)
	} else {
		s.Round(s.RecvFrom(root, part(v)))
	}
	for k := range size - 1 {
		s.Round(
			s.RecvFrom((me-1+size)%size, part((v-k-1+size)%size)),
			s.SendTo((me+1)%size, part((v-k+size)%size)),
		)
	}
}

// Reduce plans a binomial tree to rank 0, whatever the root, so that all roots get
// equal bits; then on to root. out is used at root only.
func (s *Schedule) Reduce(me, size, root int, in, out layout.Span, r *Reduction) {
	cur, acc, tmp := in, layout.Span{}, layout.Span{}
	if me%2 == 0 && me+1 < size {
		tmp, acc = s.Alloc(in.Len), out
		if me != 0 || root != 0 || out.Len != in.Len {
			acc = s.Alloc(in.Len)
		}
	}
	for mask := 1; mask < size; mask *= 2 {
		if me&mask != 0 {
			s.Round(s.SendTo(me-mask, cur))
			break
		}
		if me+mask < size {
			s.Round(s.RecvFrom(me+mask, tmp))
			s.work(r.combine(acc, cur, tmp))
			cur = acc
		}
	}
	switch {
	case me == 0 && root == 0:
		s.Copy(out, cur)
	case me == 0:
		s.Round(s.SendTo(root, cur))
	case me == root:
		s.Round(s.RecvFrom(0, out))
	}
}

// Fold prepares a reduction for a power of two of ranks: so many pairs of the lowest ranks, (0,1), (2,3), ..., become one rank each, and power are left.
func Fold(size int) (power, folded int) {
	power = 1
	for power*2 <= size {
		power *= 2
	}
	return power, size - power
}

// fold is Fold as a rank sees it: v is the rank among those that are left, -1 for one that is not; rank translates back.
func fold(me, size int) (power, folded, v int, rank func(int) int) {
	power, folded = Fold(size)
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

// Allreduce plans a reduction whose result all ranks get: large data is reduced in parts by different ranks. Ranks decide by the number of bytes alone. The program's own operations
// want whole vectors.
func (s *Schedule) Allreduce(me, size int, in, out layout.Span, r *Reduction) {
	if r.Op.Func == 0 && in.Len >= LargeReduction && size > 2 {
		s.allreduceHalving(me, size, in, out, r)
		return
	}
	s.allreduceDoubling(me, size, in, out, r)
}

// allreduceDoubling: recursive doubling. If size is no power of two, pairs of the lowest
// ranks are folded into one first, and unfolded last.
func (s *Schedule) allreduceDoubling(me, size int, in, out layout.Span, r *Reduction) {
	if size == 1 {
		s.Copy(out, in)
		return
	}
	power, folded, v, rank := fold(me, size)
	tmp := s.Alloc(in.Len)
	cur := in
	if v < 0 {
		s.Round(s.SendTo(me+1, in))
		s.Round(s.RecvFrom(me+1, out))
		return
	}
	if me < 2*folded {
		s.Round(s.RecvFrom(me-1, tmp))
		s.work(r.combine(out, tmp, cur))
		cur = out
	}
	for mask := 1; mask < power; mask *= 2 {
		peer := v ^ mask
		s.Round(s.RecvFrom(rank(peer), tmp), s.SendTo(rank(peer), cur))
		if peer < v {
			s.work(r.combine(out, tmp, cur))
		} else {
			s.work(r.combine(out, cur, tmp))
		}
		cur = out
	}
	if me < 2*folded {
		s.Round(s.SendTo(me-1, out))
	}
}

// allreduceHalving: each rank reduces a part, by halving, and the parts are gathered by doubling (Rabenseifner). For
// operations that commute. Parts end at elements.
func (s *Schedule) allreduceHalving(me, size int, in, out layout.Span, r *Reduction) {
	power, folded, v, rank := fold(me, size)
	if v < 0 {
		s.Round(s.SendTo(me+1, in))
		s.Round(s.RecvFrom(me+1, out))
		return
	}
	tmp := s.Alloc(in.Len)
	s.Copy(out, in)
	if me < 2*folded {
		s.Round(s.RecvFrom(me-1, tmp))
		s.work(r.combine(out, tmp, out))
	}
	count := uint64(in.Len) / uint64(r.Type.Size)
	cut := func(i int) uint32 { return uint32(count * uint64(i) / uint64(power) * uint64(r.Type.Size)) }
	run := func(s layout.Span, first, n int) layout.Span { return s.Part(cut(first), cut(first+n)-cut(first)) }
	first, n := 0, power
	for mask := power / 2; mask > 0; mask /= 2 {
		n /= 2
		keep, give := first, first+n
		if v&mask != 0 {
			keep, give = give, keep
		}
		peer := rank(v ^ mask)
		s.Round(s.RecvFrom(peer, run(tmp, keep, n)), s.SendTo(peer, run(out, give, n)))
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
		s.Round(s.RecvFrom(peer, run(out, other, n)), s.SendTo(peer, run(out, first, n)))
		first, n = min(first, other), 2*n
	}
	if me < 2*folded {
		s.Round(s.SendTo(me-1, out))
	}
}

// ReduceScatter plans a reduction of all parts, each for its rank; part cuts a span into them. What is large goes straight to where it is reduced, where the order
// of operands may change and in is not where mine is; else everything is reduced at rank 0.
func (s *Schedule) ReduceScatter(me, size int, in, mine layout.Span, part func(layout.Span) Parts, r *Reduction, place bool) {
	if r.Op.Commutes && r.Op.Func == 0 && in.Len >= LargeReduction && !place {
		s.reduceScatterPairs(me, size, part(in), mine, r)
		return
	}
	var all layout.Span
	if me == 0 {
		all = s.Alloc(in.Len)
	}
	s.Reduce(me, size, 0, in, all, r)
	s.Scatter(me, size, 0, mine, part(all), false)
}

// reduceScatterPairs: each rank gets its part from every other rank, and adds up in the order of ranks to the right
// of it. For operations that commute.
func (s *Schedule) reduceScatterPairs(me, size int, in Parts, mine layout.Span, r *Reduction) {
	tmp := s.Alloc(mine.Len)
	s.Copy(mine, in[me])
	for k := 1; k < size; k++ {
		to, from := (me+k)%size, (me-k+size)%size
		s.Round(s.RecvFrom(from, tmp), s.SendTo(to, in[to]))
		s.work(r.combine(mine, tmp, mine))
	}
}

// Scan plans a prefix reduction by recursive doubling. part is the reduction over the last 2^k ranks up to
// this one; out collects the parts to the left. An exclusive scan starts empty,
// and leaves rank 0's out alone (MPI 5.0 section 6.11.2).
func (s *Schedule) Scan(me, size int, in, out layout.Span, r *Reduction, exclusive bool) {
	part, tmp := s.Alloc(in.Len), s.Alloc(in.Len)
	s.Copy(part, in)
	have := !exclusive
	if have {
		s.Copy(out, in)
	}
	for d := 1; d < size; d *= 2 {
		s.Round()
		if me-d >= 0 {
			s.add(s.RecvFrom(me-d, tmp))
		}
		if me+d < size {
			s.add(s.SendTo(me+d, part))
		}
		if me-d < 0 {
			continue
		}
		s.work(r.combine(part, tmp, part))
		if have {
			s.work(r.combine(out, tmp, out))
		} else {
			s.Copy(out, tmp)
			have = true
		}
	}
}

// Reduction is what all reducing collectives share.
type Reduction struct {
	Op   *layout.Op
	Type *layout.Type
}

func (r *Reduction) combine(dst, left, right layout.Span) Action {
	return Action{Dst: dst, Left: left, Right: right, Op: r.Op, Type: r.Type}
}
