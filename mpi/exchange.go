package mpi

// parts are n buffers of a collective, one for each rank.
type parts []span

// at is the i-th part.
func (x parts) at(i int) span { return x[i] }

// whole is one span that holds all parts, if they follow each other without gaps.
func (x parts) whole() (span, bool) {
	all := x[0]
	for _, s := range x[1:] {
		if all.typ != nil || s.typ != nil || s.len != x[0].len || s.off != all.off+all.len {
			return span{}, false
		}
		all.len += s.len
	}
	return all, all.typ == nil
}

// gather plans that root gets a part of each rank: to are where it keeps the parts. Equal small parts go along a binomial tree, others straight to root. Ranks decide
// by the number of bytes alone, so that layouts may differ between them.
func (s *schedule) gather(me, size, root int, in span, to parts, even bool) {
	n := in.len
	if me == root {
		n = to[me].len
	}
	switch {
	case even && inTree(size, n):
		s.gatherTree(me, size, root, n, in, to)
	case me != root:
		s.round(s.sendTo(root, in))
	default:
		s.gatherHere(me, to)
		s.copy(to[me], in)
	}
}

// gatherHere takes a part of each rank but one.
func (s *schedule) gatherHere(but int, to parts) {
	recvs := make([]transfer, 0, len(to))
	for i := range to {
		if i != but {
			recvs = append(recvs, s.recvFrom(i, to[i]))
		}
	}
	s.round(recvs...)
}

// inTree reports whether parts of n bytes each are so small that it pays to pass them on together, whoever gets them last.
func inTree(size int, n uint32) bool {
	return size > 3 && n > 0 && uint64(n)*uint64(size) <= smallGather
}

// subtree is how many ranks a binomial tree has from the v-th one after its root on: itself and those below it.
func subtree(v, size int) int {
	if v == 0 {
		return size
	}
	return min(v&-v, size-v)
}

// gatherTree: each rank adds its part to those of its subtree, the k-th of which is of the k-th rank after it.
func (s *schedule) gatherTree(me, size, root int, n uint32, in span, to parts) {
	v := (me - root + size) % size
	rank := func(v int) int { return (v + root) % size }
	below := subtree(v, size)
	if below == 1 {
		s.round(s.sendTo(rank(v&(v-1)), in))
		return
	}
	all := s.alloc(n * uint32(below))
	part := func(k, length int) span { return all.part(uint32(k)*n, uint32(length)*n) }
	s.copy(part(0, 1), in)
	s.round()
	for mask := 1; mask < below; mask *= 2 {
		s.add(s.recvFrom(rank(v+mask), part(mask, subtree(v+mask, size))))
	}
	if v > 0 {
		s.round(s.sendTo(rank(v&(v-1)), all))
		return
	}
	for k := range size {
		s.copy(to[rank(k)], part(k, 1))
	}
}

// scatter is gather the other way: from are the parts at root.
func (s *schedule) scatter(me, size, root int, out span, from parts, even bool) {
	n := out.len
	if me == root {
		n = from[me].len
	}
	switch {
	case even && inTree(size, n):
		s.scatterTree(me, size, root, n, out, from)
	case me != root:
		s.round(s.recvFrom(root, out))
	default:
		s.scatterHere(me, from)
		s.copy(out, from[me])
	}
}

// scatterHere gives a part to each rank but one.
func (s *schedule) scatterHere(but int, from parts) {
	sends := make([]transfer, 0, len(from))
	for i := range from {
		if i != but {
			sends = append(sends, s.sendTo(i, from[i]))
		}
	}
	s.round(sends...)
}

// scatterTree: each rank gets the parts of its subtree, and passes on what is not its own.
func (s *schedule) scatterTree(me, size, root int, n uint32, out span, from parts) {
	v := (me - root + size) % size
	rank := func(v int) int { return (v + root) % size }
	below := subtree(v, size)
	if below == 1 {
		s.round(s.recvFrom(rank(v&(v-1)), out))
		return
	}
	all := s.alloc(n * uint32(below))
	part := func(k, length int) span { return all.part(uint32(k)*n, uint32(length)*n) }
	if v == 0 {
		for k := range size {
			s.copy(part(k, 1), from[rank(k)])
		}
	} else {
		s.round(s.recvFrom(rank(v&(v-1)), all))
	}
	s.copy(out, part(0, 1))
	s.round()
	for mask := 1; mask < below; mask *= 2 {
		s.add(s.sendTo(rank(v+mask), part(mask, subtree(v+mask, size))))
	}
}

// allgather plans that every rank gets all parts: its own part is in place. Equal small parts go in doubling runs, others round the ring. Ranks decide
// by the number of bytes alone, so that layouts may differ between them.
func (s *schedule) allgather(me, size int, to parts, even bool) {
	n := to[me].len
	if !even || uint64(n)*uint64(size) > smallGather || size == 1 {
		s.allgatherRing(me, size, to)
		return
	}
	all, flat := to.whole()
	power := size&(size-1) == 0
	if !flat || !power {
		all = s.alloc(n * uint32(size))
	}
	if power {
		if !flat {
			s.copy(all.part(uint32(me)*n, n), to[me])
		}
		s.allgatherDoubling(me, size, all)
	} else {
		s.copy(all.part(0, n), to[me])
		s.allgatherBruck(me, size, all)
	}
	for i := range to {
		switch {
		case i == me:
		case !power: // rank me's part is first
			s.copy(to[i], all.part(uint32((i-me+size)%size)*n, n))
		case !flat:
			s.copy(to[i], all.part(uint32(i)*n, n))
		}
	}
}

// allgatherRing passes the parts on from left to right; parts may differ in size.
func (s *schedule) allgatherRing(me, size int, to parts) {
	for k := range size - 1 {
		s.round(
			s.recvFrom((me-1+size)%size, to[(me-k-1+size)%size]),
			s.sendTo((me+1)%size, to[(me-k+size)%size]),
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
		s.round(s.recvFrom(peer, run(peer&^(mask-1), mask)), s.sendTo(peer, run(mine, mask)))
	}
}

// allgatherBruck doubles the run of parts that begins with one's own; the k-th part of all is rank me+k's.
func (s *schedule) allgatherBruck(me, size int, all span) {
	part := all.len / uint32(size)
	run := func(first, n int) span { return all.part(uint32(first)*part, uint32(n)*part) }
	for have := 1; have < size; have *= 2 {
		n := min(have, size-have)
		s.round(s.recvFrom((me+have)%size, run(have, n)), s.sendTo((me-have+size)%size, run(0, n)))
	}
}

// alltoall plans that each rank has a part for each: equal small parts travel together, others go straight. Ranks decide by the number of bytes alone, so that layouts may differ between them.
func (s *schedule) alltoall(me, size int, from, to parts, even bool) {
	if even && size >= 8 && to[0].len <= smallExchange {
		s.alltoallBruck(me, size, from, to)
		return
	}
	s.alltoallStraight(me, size, from, to)
}

// alltoallStraight talks to peers at growing distance, a batch at a time.
func (s *schedule) alltoallStraight(me, size int, from, to parts) {
	var batch []transfer
	for k := 1; k < size; k++ {
		batch = append(batch, s.recvFrom((me-k+size)%size, to[(me-k+size)%size]), s.sendTo((me+k)%size, from[(me+k)%size]))
		if len(batch) == 2*exchangeBatch || k == size-1 {
			s.round(batch...)
			batch = nil
		}
	}
	s.copy(to[me], from[me])
}

// alltoallBruck sends small parts of equal length together: in step k all those whose distance has bit k set.
func (s *schedule) alltoallBruck(me, size int, from, to parts) {
	n := to[0].len
	all := s.alloc(n * uint32(size))
	at := func(k int) span { return all.part(uint32(k)*n, n) } // the part that has k ranks to go
	for k := range size {
		s.copy(at(k), from[(me+k)%size])
	}
	half := (size + 1) / 2
	out, in := s.alloc(n*uint32(half)), s.alloc(n*uint32(half))
	for bit := 1; bit < size; bit *= 2 {
		var moved []int
		for k := range size {
			if k&bit != 0 {
				s.copy(out.part(uint32(len(moved))*n, n), at(k))
				moved = append(moved, k)
			}
		}
		bytes := uint32(len(moved)) * n
		s.round(s.recvFrom((me-bit+size)%size, in.part(0, bytes)), s.sendTo((me+bit)%size, out.part(0, bytes)))
		for i, k := range moved {
			s.copy(at(k), in.part(uint32(i)*n, n))
		}
	}
	for k := range size { // what arrived with distance k comes from rank me-k
		s.copy(to[(me-k+size)%size], at(k))
	}
}

// interExchange sends a part to each rank of the other group and receives one from each.
func (s *schedule) interExchange(from, to func(int) span, n int) {
	t := make([]transfer, 0, 2*n)
	for i := range n {
		t = append(t, s.recvFrom(i, to(i)), s.sendTo(i, from(i)))
	}
	s.round(t...)
}
