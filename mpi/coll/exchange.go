package coll

import "github.com/godwit-run/godwit/mpi/layout"

// Parts are n buffers of a collective, one for each rank.
type Parts []layout.Span

// At is the i-th part.
func (x Parts) At(i int) layout.Span { return x[i] }

// whole is one span that holds all parts, if they follow each other without gaps.
func (x Parts) whole() (layout.Span, bool) {
	all := x[0]
	for _, s := range x[1:] {
		if all.Type != nil || s.Type != nil || s.Len != x[0].Len || s.Off != all.Off+all.Len {
			return layout.Span{}, false
		}
		all.Len += s.Len
	}
	return all, all.Type == nil
}

// Gather plans that root gets a part of each rank: to are where it keeps the parts. Equal small parts go along a binomial tree, others straight to root. Ranks decide
// by the number of bytes alone, so that layouts may differ between them.
func (s *Schedule) Gather(me, size, root int, in layout.Span, to Parts, even bool) {
	n := in.Len
	if me == root {
		n = to[me].Len
	}
	switch {
	case even && inTree(size, n):
		s.gatherTree(me, size, root, n, in, to)
	case me != root:
		s.Round(s.SendTo(root, in))
	default:
		s.GatherHere(me, to)
		s.Copy(to[me], in)
	}
}

// GatherHere takes a part of each rank but one.
func (s *Schedule) GatherHere(but int, to Parts) { s.withOthers(true, but, to) }

// ScatterHere gives a part to each rank but one.
func (s *Schedule) ScatterHere(but int, from Parts) { s.withOthers(false, but, from) }

// withOthers is a round of one transfer with each rank but one.
func (s *Schedule) withOthers(recv bool, but int, parts Parts) {
	all := make([]Transfer, 0, len(parts))
	for i := range parts {
		if i != but {
			all = append(all, s.Transfer(recv, i, 0, parts[i]))
		}
	}
	s.Round(all...)
}

// inTree reports whether parts of n bytes each are so small that it pays to pass them on together, whoever gets them last. Ranks of which some have
// parts that are, and some none that are, wait for each other for ever: as where a program's ranks call different collectives.
func inTree(size int, n uint32) bool {
	return size > 3 && uint64(n)*uint64(size) <= smallTree
}

// forTree returns scratch for what passes through a rank of a tree, and makes sure that there is a byte to fail with.
func (s *Schedule) forTree(n uint32) layout.Span { return s.Alloc(max(n, 1)).Part(0, n) }

// subtree is how many ranks a binomial tree has from the v-th one after its root on: itself and those below it.
func subtree(v, size int) int {
	if v == 0 {
		return size
	}
	return min(v&-v, size-v)
}

// gatherTree: each rank adds its part to those of its subtree, the k-th of which is of the k-th rank after it.
func (s *Schedule) gatherTree(me, size, root int, n uint32, in layout.Span, to Parts) {
	v := (me - root + size) % size
	rank := func(v int) int { return (v + root) % size }
	below := subtree(v, size)
	if below == 1 {
		s.Round(whole(s.SendTo(rank(v&(v-1)), in)))
		return
	}
	all := s.forTree(n * uint32(below))
	part := func(k, length int) layout.Span { return all.Part(uint32(k)*n, uint32(length)*n) }
	s.Copy(part(0, 1), in)
	s.Round()
	for mask := 1; mask < below; mask *= 2 {
		s.add(whole(s.RecvFrom(rank(v+mask), part(mask, subtree(v+mask, size)))))
	}
	if v > 0 {
		s.Round(whole(s.SendTo(rank(v&(v-1)), all)))
		return
	}
	s.Copy(to[root], in) // which may be shorter
	for k := 1; k < size; k++ {
		s.Copy(to[rank(k)], part(k, 1))
	}
}

// Scatter is gather the other way: from are the parts at root.
func (s *Schedule) Scatter(me, size, root int, out layout.Span, from Parts, even bool) {
	n := out.Len
	if me == root {
		n = from[me].Len
	}
	switch {
	case even && inTree(size, n):
		s.scatterTree(me, size, root, n, out, from)
	case me != root:
		s.Round(s.RecvFrom(root, out))
	default:
		s.ScatterHere(me, from)
		s.Copy(out, from[me])
	}
}

// scatterTree: each rank gets the parts of its subtree, and passes on what is not its own.
func (s *Schedule) scatterTree(me, size, root int, n uint32, out layout.Span, from Parts) {
	v := (me - root + size) % size
	rank := func(v int) int { return (v + root) % size }
	below := subtree(v, size)
	if below == 1 {
		s.Round(whole(s.RecvFrom(rank(v&(v-1)), out)))
		return
	}
	all := s.forTree(n * uint32(below))
	part := func(k, length int) layout.Span { return all.Part(uint32(k)*n, uint32(length)*n) }
	if v == 0 {
		for k := range size {
			s.Copy(part(k, 1), from[rank(k)])
		}
	} else {
		s.Round(whole(s.RecvFrom(rank(v&(v-1)), all)))
	}
	s.Copy(out, part(0, 1))
	s.Round()
	for mask := 1; mask < below; mask *= 2 {
		s.add(whole(s.SendTo(rank(v+mask), part(mask, subtree(v+mask, size)))))
	}
}

// Allgather plans that every rank gets all parts: its own part is in place. Equal small parts go in doubling runs, others round the ring. Ranks decide
// by the number of bytes alone, so that layouts may differ between them.
func (s *Schedule) Allgather(me, size int, to Parts, even bool) {
	n := to[me].Len
	if !even || uint64(n)*uint64(size) > SmallGather || size == 1 {
		s.allgatherRing(me, size, to)
		return
	}
	all, flat := to.whole()
	power := size&(size-1) == 0
	if !flat || !power {
		all = s.Alloc(n * uint32(size))
	}
	if power {
		if !flat {
			s.Copy(all.Part(uint32(me)*n, n), to[me])
		}
		s.allgatherDoubling(me, size, all)
	} else {
		s.Copy(all.Part(0, n), to[me])
		s.allgatherBruck(me, size, all)
	}
	for i := range to {
		switch {
		case i == me:
		case !power: // rank me's part is first
			s.Copy(to[i], all.Part(uint32((i-me+size)%size)*n, n))
		case !flat:
			s.Copy(to[i], all.Part(uint32(i)*n, n))
		}
	}
}

// allgatherRing passes the parts on from left to right; parts may differ in size.
func (s *Schedule) allgatherRing(me, size int, to Parts) {
	for k := range size - 1 {
		s.Round(
			s.RecvFrom((me-1+size)%size, to[(me-k-1+size)%size]),
			s.SendTo((me+1)%size, to[(me-k+size)%size]),
		)
	}
}

// allgatherDoubling exchanges ever larger aligned runs of equal parts of all;
// size must be a power of two.
func (s *Schedule) allgatherDoubling(me, size int, all layout.Span) {
	part := all.Len / uint32(size)
	run := func(first, n int) layout.Span { return all.Part(uint32(first)*part, uint32(n)*part) }
	for mask := 1; mask < size; mask *= 2 {
		mine, peer := me&^(mask-1), me^mask
		s.Round(s.RecvFrom(peer, run(peer&^(mask-1), mask)), s.SendTo(peer, run(mine, mask)))
	}
}

// allgatherBruck doubles the run of parts that begins with one's own; the k-th part of all is rank me+k's.
func (s *Schedule) allgatherBruck(me, size int, all layout.Span) {
	part := all.Len / uint32(size)
	run := func(first, n int) layout.Span { return all.Part(uint32(first)*part, uint32(n)*part) }
	for have := 1; have < size; have *= 2 {
		n := min(have, size-have)
		s.Round(s.RecvFrom((me+have)%size, run(have, n)), s.SendTo((me-have+size)%size, run(0, n)))
	}
}

// Alltoall plans that each rank has a part for each: equal small parts travel together, others go straight. Ranks decide by the number of bytes alone, so that layouts may differ between them.
func (s *Schedule) Alltoall(me, size int, from, to Parts, even bool) {
	if even && size >= 8 && to[0].Len <= SmallExchange {
		s.alltoallBruck(me, size, from, to)
		return
	}
	s.alltoallStraight(me, size, from, to)
}

// alltoallStraight talks to peers at growing distance, a batch at a time.
func (s *Schedule) alltoallStraight(me, size int, from, to Parts) {
	var batch []Transfer
	for k := 1; k < size; k++ {
		batch = append(batch, s.RecvFrom((me-k+size)%size, to[(me-k+size)%size]), s.SendTo((me+k)%size, from[(me+k)%size]))
		if len(batch) == 2*exchangeBatch || k == size-1 {
			s.Round(batch...)
			batch = nil
		}
	}
	s.Copy(to[me], from[me])
}

// alltoallBruck sends small parts of equal length together: in step k all those whose distance has bit k set.
func (s *Schedule) alltoallBruck(me, size int, from, to Parts) {
	n := to[0].Len
	all := s.Alloc(n * uint32(size))
	at := func(k int) layout.Span { return all.Part(uint32(k)*n, n) } // the part that has k ranks to go
	for k := range size {
		s.Copy(at(k), from[(me+k)%size])
	}
	half := (size + 1) / 2
	out, in := s.Alloc(n*uint32(half)), s.Alloc(n*uint32(half))
	for bit := 1; bit < size; bit *= 2 {
		var moved []int
		for k := range size {
			if k&bit != 0 {
				s.Copy(out.Part(uint32(len(moved))*n, n), at(k))
				moved = append(moved, k)
			}
		}
		bytes := uint32(len(moved)) * n
		s.Round(s.RecvFrom((me-bit+size)%size, in.Part(0, bytes)), s.SendTo((me+bit)%size, out.Part(0, bytes)))
		for i, k := range moved {
			s.Copy(at(k), in.Part(uint32(i)*n, n))
		}
	}
	for k := range size { // what arrived with distance k comes from rank me-k
		s.Copy(to[(me-k+size)%size], at(k))
	}
}

// InterExchange sends a part to each rank of the other group and receives one from each.
func (s *Schedule) InterExchange(from, to func(int) layout.Span, n int) {
	t := make([]Transfer, 0, 2*n)
	for i := range n {
		t = append(t, s.RecvFrom(i, to(i)), s.SendTo(i, from(i)))
	}
	s.Round(t...)
}
