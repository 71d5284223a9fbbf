package mpi

// Collectives over intercommunicators (MPI 5.0 section 6.2.2): what a group has in common goes to its first rank, the
// first ranks talk, and the result goes on in the other group.

// local plans for the local group.
func (g *plan) local(f func()) { g.s.among(g.c.group.ranks, f) }

// interBcast: the root sends to the first rank of the other group, which passes it on.
func (g *plan) interBcast(root int, buf span) {
	if root == rootHere {
		g.s.round(g.s.sendTo(0, buf))
		return
	}
	if g.me == 0 {
		g.s.round(g.s.recvFrom(root, buf))
	}
	g.local(func() { g.s.bcast(g.me, g.size, 0, buf) })
}

func (g *plan) interReduce(a allreduceArgs, root int, r *reduction) error {
	if root == rootHere {
		out, err := g.p.elements(a.recvbuf, a.count, r.typ)
		if err != nil {
			return err
		}
		flat := g.operand(out, false)
		g.s.round(g.s.recvFrom(0, flat))
		g.s.copy(out, flat)
		return nil
	}
	in, err := g.p.elements(a.sendbuf, a.count, r.typ)
	if err != nil {
		return err
	}
	sum := g.reduceFirst(g.operand(in, true), r)
	if g.me == 0 {
		g.s.round(g.s.sendTo(root, sum))
	}
	return nil
}

// reduceFirst reduces over the local group, at its first rank.
func (g *plan) reduceFirst(in span, r *reduction) span {
	var sum span
	if g.me == 0 {
		sum = g.s.alloc(in.len)
	}
	g.local(func() { g.s.reduce(g.me, g.size, 0, in, sum, r) })
	return sum
}

// interAllreduce gives each group the other's result. Without a reduction it is a barrier.
func (g *plan) interAllreduce(in, out span, r *reduction) {
	var sum span
	if r != nil {
		sum = g.reduceFirst(in, r)
	} else {
		g.local(func() {
			to := make(parts, g.size)
			g.s.gather(g.me, g.size, 0, span{}, to, true)
		})
	}
	if g.me == 0 {
		g.s.round(g.s.recvFrom(0, out), g.s.sendTo(0, sum))
	}
	g.local(func() { g.s.bcast(g.me, g.size, 0, out) })
}

// interReduceScatter gives each group the other's result, in parts. The groups' totals are equal.
func (g *plan) interReduceScatter(in, mine span, part func(span) parts, r *reduction) {
	sum := g.reduceFirst(in, r)
	var got span
	if g.me == 0 {
		got = g.s.alloc(in.len)
		g.s.round(g.s.recvFrom(0, got), g.s.sendTo(0, sum))
	}
	g.local(func() { g.s.scatter(g.me, g.size, 0, mine, part(got), false) })
}
