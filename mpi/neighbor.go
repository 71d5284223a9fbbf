package mpi

// neighborCalls are the neighbourhood collectives (MPI 5.0 section 8.6), in all their forms.
func neighborCalls() []entry {
	var calls []entry
	for _, r := range []struct {
		name  string
		comm  int
		build planner
	}{
		{"Neighbor_allgather", 6, planNeighborAllgather},
		{"Neighbor_allgatherv", 7, planNeighborAllgatherv},
		{"Neighbor_alltoall", 6, planNeighborAlltoall},
		{"Neighbor_alltoallv", 8, planNeighborAlltoallv},
		{"Neighbor_alltoallw", 8, planNeighborAlltoallw},
	} {
		calls = append(calls, forms(r.name, r.comm, r.build)...)
	}
	return calls
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

func planNeighborAllgather(g *plan, a args) error {
	in, out, err := g.neighbors()
	if err != nil {
		return err
	}
	to, err := g.equal(len(in), a.u32(3), a.count(4), a.u32(5))
	if err != nil {
		return err
	}
	return g.neighborAllgather(a, in, out, to)
}

func planNeighborAllgatherv(g *plan, a args) error {
	in, out, err := g.neighbors()
	if err != nil {
		return err
	}
	to, err := g.vector(len(in), a.u32(3), a.u32(4), a.u32(5), a.u32(6), false)
	if err != nil {
		return err
	}
	return g.neighborAllgather(a, in, out, to)
}

func (g *plan) neighborAllgather(a args, in, out []neighbor, to parts) error {
	mine, err := g.neighborInput(a)
	if err != nil {
		return err
	}
	g.meet(in, out, func(int) span { return mine }, to.at)
	return nil
}

func (g *plan) neighborInput(a args) (span, error) {
	if a.u32(0) == inPlace {
		return span{}, fail(errBuffer, "MPI_IN_PLACE is not for neighbourhood collectives")
	}
	return g.p.buffer(a.u32(0), a.count(1), a.u32(2))
}

func planNeighborAlltoall(g *plan, a args) error {
	in, out, err := g.neighbors()
	if err != nil {
		return err
	}
	from, err := g.equal(len(out), a.u32(0), a.count(1), a.u32(2))
	if err != nil {
		return err
	}
	to, err := g.equal(len(in), a.u32(3), a.count(4), a.u32(5))
	if err != nil {
		return err
	}
	g.meet(in, out, from.at, to.at)
	return nil
}

func planNeighborAlltoallv(g *plan, a args) error { return g.neighborAlltoallv(a, false) }
func planNeighborAlltoallw(g *plan, a args) error { return g.neighborAlltoallv(a, true) }

func (g *plan) neighborAlltoallv(a args, each bool) error {
	in, out, err := g.neighbors()
	if err != nil {
		return err
	}
	from, err := g.vector(len(out), a.u32(0), a.u32(1), a.u32(2), a.u32(3), each)
	if err != nil {
		return err
	}
	to, err := g.vector(len(in), a.u32(4), a.u32(5), a.u32(6), a.u32(7), each)
	if err != nil {
		return err
	}
	g.meet(in, out, from.at, to.at)
	return nil
}
