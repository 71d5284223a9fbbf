package mpi

import (
	"slices"

	"github.com/godwit-run/godwit/mpi/abi"
)

func (p *Proc) readGraph(c *comm, n int, indexPtr, edgesPtr uint32) (*topology, error) {
	if n < 0 || n > c.size() {
		return nil, abi.Fail(abi.ErrArg, "nnodes is %d, the communicator has %d ranks", n, c.size())
	}
	index, err := p.ints(indexPtr, n)
	if err != nil {
		return nil, err
	}
	last := 0
	for i, v := range index {
		if v < last {
			return nil, abi.Fail(abi.ErrArg, "index %d is %d, less than the one before", i, v)
		}
		last = v
	}
	edges, err := p.ints(edgesPtr, last)
	if err != nil {
		return nil, err
	}
	for i, e := range edges {
		if e < 0 || e >= n {
			return nil, abi.Fail(abi.ErrArg, "edge %d leads to %d, there are %d nodes", i, e, n)
		}
	}
	return &topology{kind: abi.TopoGraph, index: index, edges: edges}, nil
}

type graphCreateArgs struct {
	commOld      handle
	nnodes       int
	index, edges address
	_            int `mpi:"reorder"`
	commGraph    address
}

func callGraphCreate(p *Proc, a graphCreateArgs) error {
	c, err := p.intra(a.commOld)
	if err != nil {
		return err
	}
	t, err := p.readGraph(c, a.nnodes, a.index, a.edges)
	if err != nil {
		return c.on(err)
	}
	return p.attachTopology(c, t, a.nnodes, a.commGraph)
}

type graphMapArgs struct {
	comm                  handle
	nnodes                int
	index, edges, newrank address
}

func callGraphMap(p *Proc, a graphMapArgs) error {
	c, err := p.intra(a.comm)
	if err != nil {
		return err
	}
	if _, err := p.readGraph(c, a.nnodes, a.index, a.edges); err != nil {
		return c.on(err)
	}
	return c.on(p.putInt(a.newrank, pick(c.me < a.nnodes, c.me, abi.Undefined)))
}

type graphdimsGetArgs struct {
	comm           handle
	nnodes, nedges address
}

func callGraphdimsGet(p *Proc, a graphdimsGetArgs) error {
	c, t, err := p.topologyOf(a.comm, abi.TopoGraph)
	if err != nil {
		return err
	}
	if err := p.putInt(a.nnodes, len(t.index)); err != nil {
		return c.on(err)
	}
	return c.on(p.putInt(a.nedges, len(t.edges)))
}

type graphGetArgs struct {
	comm               handle
	maxindex, maxedges int
	index, edges       address
}

func callGraphGet(p *Proc, a graphGetArgs) error {
	c, t, err := p.topologyOf(a.comm, abi.TopoGraph)
	if err != nil {
		return err
	}
	if err := p.putInts(a.index, t.index[:min(max(a.maxindex, 0), len(t.index))]); err != nil {
		return c.on(err)
	}
	return c.on(p.putInts(a.edges, t.edges[:min(max(a.maxedges, 0), len(t.edges))]))
}

type nodeArgs struct {
	comm handle
	rank int
}

// node finds a rank of a graph.
func (p *Proc) node(a nodeArgs) (*comm, []int, error) {
	c, t, err := p.topologyOf(a.comm, abi.TopoGraph)
	if err != nil {
		return nil, nil, err
	}
	if r := a.rank; r < 0 || r >= c.size() {
		return nil, nil, c.on(abi.Fail(abi.ErrRank, "rank %d is not in 0..%d", r, c.size()-1))
	}
	return c, t.graphNeighbors(a.rank), nil
}

type graphNeighborsCountArgs struct {
	nodeArgs
	nneighbors address
}

func callGraphNeighborsCount(p *Proc, a graphNeighborsCountArgs) error {
	c, list, err := p.node(a.nodeArgs)
	if err != nil {
		return err
	}
	return c.on(p.putInt(a.nneighbors, len(list)))
}

type graphNeighborsArgs struct {
	nodeArgs
	maxneighbors int
	neighbors    address
}

func callGraphNeighbors(p *Proc, a graphNeighborsArgs) error {
	c, list, err := p.node(a.nodeArgs)
	if err != nil {
		return err
	}
	return c.on(p.putInts(a.neighbors, list[:min(max(a.maxneighbors, 0), len(list))]))
}

// readEdges reads a list of neighbours and their weights.
func (p *Proc) readEdges(c *comm, n int, ranksPtr, weightsPtr uint32) (ranks, weights []int, err error) {
	if n < 0 {
		return nil, nil, abi.Fail(abi.ErrArg, "a degree is %d", n)
	}
	if ranks, err = p.ints(ranksPtr, n); err != nil {
		return nil, nil, err
	}
	for _, r := range ranks {
		if r < 0 || r >= c.size() {
			return nil, nil, abi.Fail(abi.ErrRank, "rank %d is not in 0..%d", r, c.size()-1)
		}
	}
	if weightsPtr == abi.Unweighted || weightsPtr == abi.WeightsEmpty {
		return ranks, nil, nil
	}
	weights, err = p.ints(weightsPtr, n)
	return ranks, weights, err
}

type distAdjacentArgs struct {
	commOld                   handle
	indegree                  int
	sources, sourceweights    address
	outdegree                 int
	destinations, destweights address
	info                      handle
	_                         int `mpi:"reorder"`
	commDistGraph             address
}

func callDistAdjacent(p *Proc, a distAdjacentArgs) error {
	c, err := p.intra(a.commOld)
	if err != nil {
		return err
	}
	t := &topology{kind: abi.TopoDist, weighted: a.sourceweights != abi.Unweighted && a.destweights != abi.Unweighted}
	t.sources, t.inWeights, err = p.readEdges(c, a.indegree, a.sources, a.sourceweights)
	if err == nil {
		t.destinations, t.outWeights, err = p.readEdges(c, a.outdegree, a.destinations, a.destweights)
	}
	if err == nil {
		_, err = p.hints(a.info)
	}
	if err != nil {
		return c.on(err)
	}
	return p.attachTopology(c, t, c.size(), a.commDistGraph)
}

type distCreateArgs struct {
	commOld                                 handle
	n                                       int
	sources, degrees, destinations, weights address
	info                                    handle
	_                                       int `mpi:"reorder"`
	commDistGraph                           address
}

// callDistCreate takes edges of any ranks from any rank. They are told to both ends: first how many to each rank, then
// which.
func callDistCreate(p *Proc, a distCreateArgs) error {
	c, err := p.intra(a.commOld)
	if err != nil {
		return err
	}
	if _, err := p.handles(a.commDistGraph, 1); err != nil {
		return c.on(err)
	}
	edges, weighted, err := p.listEdges(c, a)
	if err == nil {
		_, err = p.hints(a.info)
	}
	if err != nil {
		return c.on(err)
	}
	// Every rank learns the longest list, then all lists: graphs are small beside what they describe.
	longest, err := p.phase(1, func() ([]byte, error) {
		return p.contribute(c, 8, func() ([]byte, error) {
			return order.AppendUint64(nil, uint64(len(edges))), p.roomForComm(c.ranks(), nil)
		})
	})
	if err != nil {
		return err
	}
	n := uint64(0)
	for i := range c.size() {
		n = max(n, order.Uint64(longest[8*i:]))
	}
	if n > 1<<20 {
		return c.on(abi.Fail(abi.ErrArg, "a rank lists %d edges, the limit is %d", n, 1<<20))
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
		return err
	}
	d, err := p.newComm(c, order.Uint64(all), c.group, nil)
	if err != nil {
		return err
	}
	if err := p.shape(d, collectEdges(all, each, c, weighted)); err != nil {
		return c.on(err)
	}
	return p.giveComm(d, a.commDistGraph)
}

// edge is source, destination, weight, and nothing.
type edge [4]int32

func (p *Proc) listEdges(c *comm, a distCreateArgs) (edges []edge, weighted bool, err error) {
	n := a.n
	sources, _, err := p.readEdges(c, n, a.sources, abi.Unweighted)
	if err != nil {
		return nil, false, err
	}
	degrees, err := p.ints(a.degrees, n)
	if err != nil {
		return nil, false, err
	}
	total := 0
	for _, d := range degrees {
		if d < 0 {
			return nil, false, abi.Fail(abi.ErrArg, "a degree is %d", d)
		}
		if total += d; total > 1<<20 {
			return nil, false, abi.Fail(abi.ErrArg, "more than %d edges", 1<<20)
		}
	}
	destinations, weights, err := p.readEdges(c, total, a.destinations, a.weights)
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
	return edges, a.weights != abi.Unweighted, nil
}

// collectEdges picks this rank's edges out of all that were listed.
func collectEdges(all []byte, each int, c *comm, weighted bool) *topology {
	t := &topology{kind: abi.TopoDist, weighted: weighted}
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

type distNeighborsCountArgs struct {
	comm                          handle
	indegree, outdegree, weighted address
}

func callDistNeighborsCount(p *Proc, a distNeighborsCountArgs) error {
	c, t, err := p.topologyOf(a.comm, abi.TopoDist)
	if err != nil {
		return err
	}
	if err := p.putInt(a.indegree, len(t.sources)); err != nil {
		return c.on(err)
	}
	if err := p.putInt(a.outdegree, len(t.destinations)); err != nil {
		return c.on(err)
	}
	return c.on(p.putInt(a.weighted, truth(t.weighted)))
}

type distNeighborsArgs struct {
	comm                      handle
	maxindegree               int
	sources, sourceweights    address
	maxoutdegree              int
	destinations, destweights address
}

func callDistNeighbors(p *Proc, a distNeighborsArgs) error {
	c, t, err := p.topologyOf(a.comm, abi.TopoDist)
	if err != nil {
		return err
	}
	in, out := min(max(a.maxindegree, 0), len(t.sources)), min(max(a.maxoutdegree, 0), len(t.destinations))
	put := func(ptr uint32, list []int, n int, weights bool) {
		if err != nil || (weights && (!t.weighted || ptr == abi.Unweighted || ptr == abi.WeightsEmpty)) {
			return
		}
		err = p.putInts(ptr, slices.Clone(list[:min(n, len(list))]))
	}
	put(a.sources, t.sources, in, false)
	put(a.sourceweights, t.inWeights, in, true)
	put(a.destinations, t.destinations, out, false)
	put(a.destweights, t.outWeights, out, true)
	return c.on(err)
}
