package mpi

import "slices"

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
	case topoCart:
		for d := range t.dims {
			down, up := t.shift(g.me, d, -1), t.shift(g.me, d, 1)
			in = append(in, neighbor{down, 2*d + 1}, neighbor{up, 2 * d})
			out = append(out, neighbor{down, 2 * d}, neighbor{up, 2*d + 1})
		}
	case topoGraph:
		for _, r := range t.graphNeighbors(g.me) {
			in, out = append(in, neighbor{r, 0}), append(out, neighbor{r, 0})
		}
	case topoDist:
		for _, r := range t.sources {
			in = append(in, neighbor{r, 0})
		}
		for _, r := range t.destinations {
			out = append(out, neighbor{r, 0})
		}
	default:
		return nil, nil, fail(errTopology, "the communicator has no topology")
	}
	return in, out, nil
}

// meet exchanges parts with the neighbours.
func (g *plan) meet(in, out []neighbor, from, to func(int) span) {
	var t []transfer
	for i, n := range in {
		if n.rank != procNull {
			t = append(t, g.s.transfer(true, n.rank, n.slot, to(i)))
		}
	}
	for i, n := range out {
		if n.rank != procNull {
			t = append(t, g.s.transfer(false, n.rank, n.slot, from(i)))
		}
	}
	g.s.round(t...)
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

func (g *plan) neighborAllgather(a givenArgs, in, out []neighbor, to parts) error {
	mine, err := g.neighborInput(a)
	if err != nil {
		return err
	}
	g.meet(in, out, func(int) span { return mine }, to.at)
	return nil
}

func (g *plan) neighborInput(a givenArgs) (span, error) {
	if a.sendbuf == inPlace {
		return span{}, fail(errBuffer, "MPI_IN_PLACE is not for neighbourhood collectives")
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
	g.meet(in, out, from.at, to.at)
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
	g.meet(in, out, given.at, gotten.at)
	return nil
}
