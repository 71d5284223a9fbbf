package mpi

import (
	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/coll"
	"github.com/godwit-run/godwit/mpi/layout"
)

// Collectives over intercommunicators (MPI 5.0 section 6.2.2): what a group has in common goes to its first rank, the
// first ranks talk, and the result goes on in the other group.

// local plans for the local group.
func (g *plan) local(f func()) { g.s.Among(g.c.group.ranks, f) }

// interBcast: the root sends to the first rank of the other group, which passes it on.
func (g *plan) interBcast(root int, buf layout.Span) {
	if root == abi.RootHere {
		g.s.Round(g.s.SendTo(0, buf))
		return
	}
	if g.me == 0 {
		g.s.Round(g.s.RecvFrom(root, buf))
	}
	g.local(func() { g.s.Bcast(g.me, g.size, 0, buf) })
}

func (g *plan) interReduce(a allreduceArgs, root int, r *coll.Reduction) error {
	if root == abi.RootHere {
		out, err := g.p.elements(a.recvbuf, a.count, r.Type)
		if err != nil {
			return err
		}
		flat := g.operand(out, false)
		g.s.Round(g.s.RecvFrom(0, flat))
		g.s.Copy(out, flat)
		return nil
	}
	in, err := g.p.elements(a.sendbuf, a.count, r.Type)
	if err != nil {
		return err
	}
	sum := g.reduceFirst(g.operand(in, true), r)
	if g.me == 0 {
		g.s.Round(g.s.SendTo(root, sum))
	}
	return nil
}

// reduceFirst reduces over the local group, at its first rank.
func (g *plan) reduceFirst(in layout.Span, r *coll.Reduction) layout.Span {
	var sum layout.Span
	if g.me == 0 {
		sum = g.s.Alloc(in.Len)
	}
	g.local(func() { g.s.Reduce(g.me, g.size, 0, in, sum, r) })
	return sum
}

// interAllreduce gives each group the other's result. Without a reduction it is a barrier.
func (g *plan) interAllreduce(in, out layout.Span, r *coll.Reduction) {
	var sum layout.Span
	if r != nil {
		sum = g.reduceFirst(in, r)
	} else {
		g.local(func() {
			to := make(coll.Parts, g.size)
			g.s.Gather(g.me, g.size, 0, layout.Span{}, to, true)
		})
	}
	if g.me == 0 {
		g.s.Round(g.s.RecvFrom(0, out), g.s.SendTo(0, sum))
	}
	g.local(func() { g.s.Bcast(g.me, g.size, 0, out) })
}

// interReduceScatter gives each group the other's result, in parts. The groups' totals are equal.
func (g *plan) interReduceScatter(in, mine layout.Span, part func(layout.Span) coll.Parts, r *coll.Reduction) {
	sum := g.reduceFirst(in, r)
	var got layout.Span
	if g.me == 0 {
		got = g.s.Alloc(in.Len)
		g.s.Round(g.s.RecvFrom(0, got), g.s.SendTo(0, sum))
	}
	g.local(func() { g.s.Scatter(g.me, g.size, 0, mine, part(got), false) })
}
