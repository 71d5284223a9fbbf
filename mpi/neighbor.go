package mpi

import (
	"slices"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/coll"
	"github.com/godwit-run/godwit/mpi/layout"
)

// neighborCalls are the neighbourhood collectives (MPI 5.0 section 8.6), in all their forms.
func neighborCalls() []entry {
	return slices.Concat(
		forms("Neighbor_allgather", planNeighborAllgather),
		forms("Neighbor_allgatherv", planNeighborAllgatherv),
		forms("Neighbor_alltoall", planNeighborAlltoall),
		forms("Neighbor_alltoallv", planNeighborAlltoallv),
		forms("Neighbor_alltoallw", planNeighborAlltoallw),
	)
}

// neighbor is a rank to talk to, and the slot that tells apart messages between the same two ranks. In a grid a message
// that goes one way arrives from the other: that matters where both neighbours are the same rank.
type neighbor struct{ rank, slot int }

// neighbors lists whom a rank receives from and sends to, in the order of the buffers' parts.
func (g *plan) neighbors() (in, out []neighbor, err error) {
	t := g.c.topology
	switch t.status() {
	case abi.TopoCart:
		for d := range t.dims {
			down, up := t.shift(g.me, d, -1), t.shift(g.me, d, 1)
			in = append(in, neighbor{down, 2*d + 1}, neighbor{up, 2 * d})
			out = append(out, neighbor{down, 2 * d}, neighbor{up, 2*d + 1})
		}
	case abi.TopoGraph:
		for _, r := range t.graphNeighbors(g.me) {
			in, out = append(in, neighbor{r, 0}), append(out, neighbor{r, 0})
		}
	case abi.TopoDist:
		for _, r := range t.sources {
			in = append(in, neighbor{r, 0})
		}
		for _, r := range t.destinations {
			out = append(out, neighbor{r, 0})
		}
	default:
		return nil, nil, abi.Fail(abi.ErrTopology, "the communicator has no topology")
	}
	return in, out, nil
}

// meet exchanges parts with the neighbours.
func (g *plan) meet(in, out []neighbor, from, to func(int) layout.Span) {
	var t []coll.Transfer
	for i, n := range in {
		if n.rank != abi.ProcNull {
			t = append(t, g.s.Transfer(true, n.rank, n.slot, to(i)))
		}
	}
	for i, n := range out {
		if n.rank != abi.ProcNull {
			t = append(t, g.s.Transfer(false, n.rank, n.slot, from(i)))
		}
	}
	g.s.Round(t...)
}

func planNeighborAllgather(g *plan, a allgatherArgs) error {
	in, out, err := g.neighbors()
	if err != nil {
		return err
	}
	to, err := g.equal(len(in), a.recvbuf, a.recvcount, a.recvtype)
	if err != nil {
		return err
	}
	return g.neighborAllgather(a.givenArgs, in, out, to)
}

func planNeighborAllgatherv(g *plan, a allgathervArgs) error {
	in, out, err := g.neighbors()
	if err != nil {
		return err
	}
	to, err := g.vector(len(in), a.vector())
	if err != nil {
		return err
	}
	return g.neighborAllgather(a.givenArgs, in, out, to)
}

func (g *plan) neighborAllgather(a givenArgs, in, out []neighbor, to coll.Parts) error {
	mine, err := g.neighborInput(a)
	if err != nil {
		return err
	}
	g.meet(in, out, func(int) layout.Span { return mine }, to.At)
	return nil
}

func (g *plan) neighborInput(a givenArgs) (layout.Span, error) {
	if a.sendbuf == abi.InPlace {
		return layout.Span{}, abi.Fail(abi.ErrBuffer, "MPI_IN_PLACE is not for neighbourhood collectives")
	}
	return g.p.buffer(a.sendbuf, a.sendcount, a.sendtype)
}

func planNeighborAlltoall(g *plan, a allgatherArgs) error {
	in, out, err := g.neighbors()
	if err != nil {
		return err
	}
	from, err := g.equal(len(out), a.sendbuf, a.sendcount, a.sendtype)
	if err != nil {
		return err
	}
	to, err := g.equal(len(in), a.recvbuf, a.recvcount, a.recvtype)
	if err != nil {
		return err
	}
	g.meet(in, out, from.At, to.At)
	return nil
}

func planNeighborAlltoallv(g *plan, a alltoallvArgs) error {
	from, to := a.vectors()
	return g.neighborAlltoallv(from, to)
}

func planNeighborAlltoallw(g *plan, a alltoallwArgs) error {
	from, to := a.vectors()
	return g.neighborAlltoallv(from, to)
}

func (g *plan) neighborAlltoallv(from, to vector) error {
	in, out, err := g.neighbors()
	if err != nil {
		return err
	}
	given, err := g.vector(len(out), from)
	if err != nil {
		return err
	}
	gotten, err := g.vector(len(in), to)
	if err != nil {
		return err
	}
	g.meet(in, out, given.At, gotten.At)
	return nil
}
