package mpi

import "slices"

func (p *Proc) readGraph(c *comm, n int, indexPtr, edgesPtr uint32) (*topology, error) {
	if n < 0 || n > c.size() {
		return nil, fail(errArg, "nnodes is %d, the communicator has %d ranks", n, c.size())
	}
	index, err := p.ints(indexPtr, n)
	if err != nil {
		return nil, err
	}
	last := 0
	for i, v := range index {
		if v < last {
			return nil, fail(errArg, "index %d is %d, less than the one before", i, v)
		}
		last = v
	}
	edges, err := p.ints(edgesPtr, last)
	if err != nil {
		return nil, err
	}
	for i, e := range edges {
		if e < 0 || e >= n {
			return nil, fail(errArg, "edge %d leads to %d, there are %d nodes", i, e, n)
		}
	}
	return &topology{kind: topoGraph, index: index, edges: edges}, nil
}

func callGraphCreate(p *Proc, a args) (uint64, error) {
	c, err := p.intra(a.u32(0))
	if err != nil {
		return 0, err
	}
	t, err := p.readGraph(c, a.int(1), a.u32(2), a.u32(3))
	if err != nil {
		return 0, c.on(err)
	}
	return p.attachTopology(c, t, a.int(1), a.u32(5))
}

func callGraphMap(p *Proc, a args) (uint64, error) {
	c, err := p.intra(a.u32(0))
	if err != nil {
		return 0, err
	}
	if _, err := p.readGraph(c, a.int(1), a.u32(2), a.u32(3)); err != nil {
		return 0, c.on(err)
	}
	return success, c.on(p.putInt(a.u32(4), pick(c.me < a.int(1), c.me, undefined)))
}

func callGraphdimsGet(p *Proc, a args) (uint64, error) {
	c, t, err := p.topologyOf(a.u32(0), topoGraph)
	if err != nil {
		return 0, err
	}
	if err := p.putInt(a.u32(1), len(t.index)); err != nil {
		return 0, c.on(err)
	}
	return success, c.on(p.putInt(a.u32(2), len(t.edges)))
}

func callGraphGet(p *Proc, a args) (uint64, error) {
	c, t, err := p.topologyOf(a.u32(0), topoGraph)
	if err != nil {
		return 0, err
	}
	if err := p.putInts(a.u32(3), t.index[:min(max(a.int(1), 0), len(t.index))]); err != nil {
		return 0, c.on(err)
	}
	return success, c.on(p.putInts(a.u32(4), t.edges[:min(max(a.int(2), 0), len(t.edges))]))
}

// node finds a rank of a graph.
func (p *Proc) node(a args) (*comm, []int, error) {
	c, t, err := p.topologyOf(a.u32(0), topoGraph)
	if err != nil {
		return nil, nil, err
	}
	if r := a.int(1); r < 0 || r >= c.size() {
		return nil, nil, c.on(fail(errRank, "rank %d is not in 0..%d", r, c.size()-1))
	}
	return c, t.graphNeighbors(a.int(1)), nil
}

func callGraphNeighborsCount(p *Proc, a args) (uint64, error) {
	c, list, err := p.node(a)
	if err != nil {
		return 0, err
	}
	return success, c.on(p.putInt(a.u32(2), len(list)))
}

func callGraphNeighbors(p *Proc, a args) (uint64, error) {
	c, list, err := p.node(a)
	if err != nil {
		return 0, err
	}
	return success, c.on(p.putInts(a.u32(3), list[:min(max(a.int(2), 0), len(list))]))
}

// readEdges reads a list of neighbours and their weights.
func (p *Proc) readEdges(c *comm, n int, ranksPtr, weightsPtr uint32) (ranks, weights []int, err error) {
	if n < 0 {
		return nil, nil, fail(errArg, "a degree is %d", n)
	}
	if ranks, err = p.ints(ranksPtr, n); err != nil {
		return nil, nil, err
	}
	for _, r := range ranks {
		if r < 0 || r >= c.size() {
			return nil, nil, fail(errRank, "rank %d is not in 0..%d", r, c.size()-1)
		}
	}
	if weightsPtr == unweighted || weightsPtr == weightsEmpty {
		return ranks, nil, nil
	}
	weights, err = p.ints(weightsPtr, n)
	return ranks, weights, err
}

func callDistAdjacent(p *Proc, a args) (uint64, error) {
	c, err := p.intra(a.u32(0))
	if err != nil {
		return 0, err
	}
	t := &topology{kind: topoDist, weighted: a.u32(3) != unweighted && a.u32(6) != unweighted}
	t.sources, t.inWeights, err = p.readEdges(c, a.int(1), a.u32(2), a.u32(3))
	if err == nil {
		t.destinations, t.outWeights, err = p.readEdges(c, a.int(4), a.u32(5), a.u32(6))
	}
	if err == nil {
		_, err = p.hints(a.u32(7))
	}
	if err != nil {
		return 0, c.on(err)
	}
	return p.attachTopology(c, t, c.size(), a.u32(9))
}

// callDistCreate takes edges of any ranks from any rank. They are told to both ends: first how many to each rank, then
// which.
func callDistCreate(p *Proc, a args) (uint64, error) {
	c, err := p.intra(a.u32(0))
	if err != nil {
		return 0, err
	}
	if _, err := p.handles(a.u32(8), 1); err != nil {
		return 0, c.on(err)
	}
	edges, weighted, err := p.listEdges(c, a)
	if err == nil {
		_, err = p.hints(a.u32(6))
	}
	if err != nil {
		return 0, c.on(err)
	}
	// Every rank learns the longest list, then all lists: graphs are small beside what they describe.
	longest, err := p.phase(1, func() ([]byte, error) {
		return p.contribute(c, 8, func() ([]byte, error) {
			return order.AppendUint64(nil, uint64(len(edges))), p.roomForComm(c.ranks(), nil)
		})
	})
	if err != nil {
		return 0, err
	}
	n := uint64(0)
	for i := range c.size() {
		n = max(n, order.Uint64(longest[8*i:]))
	}
	if n > 1<<20 {
		return 0, c.on(fail(errArg, "a rank lists %d edges, the limit is %d", n, 1<<20))
	}
	each := 16 + 16*int(n)
	all, err := p.contribute(c, each, func() ([]byte, error) {
		b := order.AppendUint64(nil, p.newID())
		b = order.AppendUint64(b, uint64(len(edges)))
		for _, e := range edges {
			for _, v := range e {
				b = order.AppendUint32(b, uint32(v))
			}
		}
		return append(b, make([]byte, each-len(b))...), nil
	})
	if err != nil {
		return 0, err
	}
	d, err := p.newComm(c, order.Uint64(all), c.group, nil)
	if err != nil {
		return 0, err
	}
	if err := p.shape(d, collectEdges(all, each, c, weighted)); err != nil {
		return 0, c.on(err)
	}
	return p.giveComm(d, a.u32(8))
}

// edge is source, destination, weight, and nothing.
type edge [4]int32

func (p *Proc) listEdges(c *comm, a args) (edges []edge, weighted bool, err error) {
	n := a.int(1)
	sources, _, err := p.readEdges(c, n, a.u32(2), unweighted)
	if err != nil {
		return nil, false, err
	}
	degrees, err := p.ints(a.u32(3), n)
	if err != nil {
		return nil, false, err
	}
	total := 0
	for _, d := range degrees {
		if d < 0 {
			return nil, false, fail(errArg, "a degree is %d", d)
		}
		if total += d; total > 1<<20 {
			return nil, false, fail(errArg, "more than %d edges", 1<<20)
		}
	}
	destinations, weights, err := p.readEdges(c, total, a.u32(4), a.u32(5))
	if err != nil {
		return nil, false, err
	}
	for i, s := range sources {
		for range degrees[i] {
			e := edge{int32(s), int32(destinations[len(edges)]), 1, 0}
			if weights != nil {
				e[2] = int32(weights[len(edges)])
			}
			edges = append(edges, e)
		}
	}
	return edges, a.u32(5) != unweighted, nil
}

// collectEdges picks this rank's edges out of all that were listed.
func collectEdges(all []byte, each int, c *comm, weighted bool) *topology {
	t := &topology{kind: topoDist, weighted: weighted}
	for i := range c.size() {
		b := all[each*i:]
		n := min(order.Uint64(b[8:]), uint64(each-16)/16)
		for k := range n {
			e := b[16+16*k:]
			from, to, weight := int(order.Uint32(e)), int(order.Uint32(e[4:])), int(int32(order.Uint32(e[8:])))
			if to == c.me {
				t.sources, t.inWeights = append(t.sources, from), append(t.inWeights, weight)
			}
			if from == c.me {
				t.destinations, t.outWeights = append(t.destinations, to), append(t.outWeights, weight)
			}
		}
	}
	return t
}

func callDistNeighborsCount(p *Proc, a args) (uint64, error) {
	c, t, err := p.topologyOf(a.u32(0), topoDist)
	if err != nil {
		return 0, err
	}
	for i, v := range []int{len(t.sources), len(t.destinations), truth(t.weighted)} {
		if err := p.putInt(a.u32(1+i), v); err != nil {
			return 0, c.on(err)
		}
	}
	return success, nil
}

func callDistNeighbors(p *Proc, a args) (uint64, error) {
	c, t, err := p.topologyOf(a.u32(0), topoDist)
	if err != nil {
		return 0, err
	}
	in, out := min(max(a.int(1), 0), len(t.sources)), min(max(a.int(4), 0), len(t.destinations))
	put := func(ptr uint32, list []int, n int, weights bool) {
		if err != nil || (weights && (!t.weighted || ptr == unweighted || ptr == weightsEmpty)) {
			return
		}
		err = p.putInts(ptr, slices.Clone(list[:min(n, len(list))]))
	}
	put(a.u32(2), t.sources, in, false)
	put(a.u32(3), t.inWeights, in, true)
	put(a.u32(5), t.destinations, out, false)
	put(a.u32(6), t.outWeights, out, true)
	return success, c.on(err)
}
