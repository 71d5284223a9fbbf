package mpi

import (
	"cmp"
	"slices"

	"github.com/godwit-run/godwit/mpi/abi"
)

// topology is what MPI_Cart_create and its kin attach to a communicator (MPI 5.0 chapter 8).
type topology struct {
	kind int // topoCart, topoGraph, topoDist

	dims    []int // cartesian
	periods []bool

	index, edges []int // graph: as given

	sources, destinations []int // distributed graph: of this rank
	inWeights, outWeights []int
	weighted              bool
}

// status is what MPI_Topo_test says.
func (t *topology) status() int {
	if t == nil {
		return abi.Undefined
	}
	return t.kind
}

// topologyOf finds a communicator with a topology of a kind.
func (p *Proc) topologyOf(handle uint32, kind int) (*comm, *topology, error) {
	c, err := p.comm(handle)
	if err != nil {
		return nil, nil, err
	}
	if c.topology.status() != kind {
		names := map[int]string{abi.TopoCart: "cartesian", abi.TopoGraph: "graph", abi.TopoDist: "distributed graph"}
		return nil, nil, c.on(abi.Fail(abi.ErrTopology, "the communicator has no %s topology", names[kind]))
	}
	return c, c.topology, nil
}

// topologyCalls are the functions of chapter 8, but for the neighbourhood collectives.
func topologyCalls() []entry {
	return []entry{
		{name: "MPI_Dims_create", impl: bind(callDimsCreate), any: true},
		{name: "MPI_Cart_create", impl: bind(callCartCreate)},
		{name: "MPI_Cartdim_get", impl: bind(callCartdimGet)},
		{name: "MPI_Cart_get", impl: bind(callCartGet)},
		{name: "MPI_Cart_rank", impl: bind(callCartRank)},
		{name: "MPI_Cart_coords", impl: bind(callCartCoords)},
		{name: "MPI_Cart_shift", impl: bind(callCartShift)},
		{name: "MPI_Cart_sub", impl: bind(callCartSub)},
		{name: "MPI_Cart_map", impl: bind(callCartMap)},
		{name: "MPI_Graph_create", impl: bind(callGraphCreate)},
		{name: "MPI_Graph_map", impl: bind(callGraphMap)},
		{name: "MPI_Graphdims_get", impl: bind(callGraphdimsGet)},
		{name: "MPI_Graph_get", impl: bind(callGraphGet)},
		{name: "MPI_Graph_neighbors_count", impl: bind(callGraphNeighborsCount)},
		{name: "MPI_Graph_neighbors", impl: bind(callGraphNeighbors)},
		{name: "MPI_Dist_graph_create_adjacent", impl: bind(callDistAdjacent)},
		{name: "MPI_Dist_graph_create", impl: bind(callDistCreate)},
		{name: "MPI_Dist_graph_neighbors_count", impl: bind(callDistNeighborsCount)},
		{name: "MPI_Dist_graph_neighbors", impl: bind(callDistNeighbors)},
	}
}

// coords are a rank's coordinates, in row-major order.
func (t *topology) coords(rank int) []int {
	out := make([]int, len(t.dims))
	for i := len(t.dims) - 1; i >= 0; i-- {
		out[i] = rank % t.dims[i]
		rank /= t.dims[i]
	}
	return out
}

// rank is the rank at coordinates; procNull outside of a dimension that is not periodic.
func (t *topology) rank(coords []int) int {
	r := 0
	for i, x := range coords {
		n := t.dims[i]
		if t.periods[i] {
			x = (x%n + n) % n
		}
		if x < 0 || x >= n {
			return abi.ProcNull
		}
		r = r*n + x
	}
	return r
}

// shift is the rank that lies disp away in a dimension.
func (t *topology) shift(rank, dim, disp int) int {
	at := t.coords(rank)
	at[dim] += disp
	return t.rank(at)
}

// graphNeighbors are a node's neighbours in a graph topology.
func (t *topology) graphNeighbors(rank int) []int {
	first := 0
	if rank > 0 {
		first = t.index[rank-1]
	}
	return t.edges[first:t.index[rank]]
}

type dimsCreateArgs struct {
	nnodes, ndims int
	dims          address
}

func callDimsCreate(p *Proc, a dimsCreateArgs) error {
	n, d := a.nnodes, a.ndims
	if n < 1 || d < 0 || d > 1<<20 {
		return abi.Fail(abi.ErrArg, "nnodes is %d, ndims is %d", n, d)
	}
	dims, err := p.ints(a.dims, d)
	if err != nil {
		return err
	}
	if err := fillDims(n, dims); err != nil {
		return err
	}
	return p.putInts(a.dims, dims)
}

// fillDims sets the dimensions that are 0, as equal as can be, in non-increasing order (MPI 5.0 section 8.5.2).
func fillDims(n int, dims []int) error {
	var free []int
	for i, d := range dims {
		switch {
		case d < 0:
			return abi.Fail(abi.ErrDims, "dimension %d is %d", i, d)
		case d == 0:
			free = append(free, i)
		case n%d != 0:
			return abi.Fail(abi.ErrDims, "the nodes cannot be divided among dimensions that are set: dimension %d is %d", i, d)
		default:
			n /= d
		}
	}
	if len(free) == 0 {
		if n != 1 && len(dims) > 0 {
			return abi.Fail(abi.ErrDims, "the dimensions that are set hold too few nodes")
		}
		return nil
	}
	for i, f := range bestFactors(n, len(free)) {
		dims[free[i]] = f
	}
	return nil
}

// bestFactors splits n into k factors, non-increasing: those with the smallest spread, then the smallest sum, then the
// greatest by the first factor that differs.
func bestFactors(n, k int) []int {
	if primes := primeFactors(n); len(primes) <= k { // each by itself: any product of two is more than their sum and a 1
		for len(primes) < k {
			primes = append(primes, 1)
		}
		return primes
	}
	var best []int
	var try func(rest, limit int, chosen []int)
	try = func(rest, limit int, chosen []int) {
		left := k - len(chosen)
		if left == 1 {
			found := append(append([]int{}, chosen...), rest)
			if rest <= limit && (best == nil || cmp.Or(spread(found)-spread(best), sum(found)-sum(best), slices.Compare(best, found)) < 0) {
				best = found
			}
			return
		}
		for _, f := range divisors(rest) {
			if f > limit || pow(f, left) < rest {
				continue
			}
			first := f
			if len(chosen) > 0 {
				first = chosen[0]
			}
			// The last factor is at most the root of what is left.
			if best != nil && pow(first-spread(best), left-1) > rest/f && first > spread(best) {
				if len(chosen) == 0 {
					return
				}
				continue
			}
			try(rest/f, f, append(chosen, f))
		}
	}
	try(n, n, nil)
	return best
}

// primeFactors are those of n, the greatest first.
func primeFactors(n int) (primes []int) {
	for f := 2; f*f <= n; f++ {
		for ; n%f == 0; n /= f {
			primes = append(primes, f)
		}
	}
	if n > 1 {
		primes = append(primes, n)
	}
	slices.Reverse(primes)
	return primes
}

func sum(f []int) int {
	total := 0
	for _, v := range f {
		total += v
	}
	return total
}

func spread(f []int) int { return f[0] - f[len(f)-1] }

// pow is a bounded power.
func pow(f, k int) int {
	v := 1
	for range k {
		if v *= f; v > 1<<40 {
			return 1 << 40
		}
	}
	return v
}

// divisors are all divisors of n, ascending.
func divisors(n int) []int {
	var low, high []int
	for d := 1; d*d <= n; d++ {
		if n%d == 0 {
			low = append(low, d)
			if d*d != n {
				high = append([]int{n / d}, high...)
			}
		}
	}
	return append(low, high...)
}
