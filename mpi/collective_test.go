package mpi

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/layout"
)

const (
	sbuf = 1 << 12 // where tests keep send and receive buffers
	rbuf = 1 << 18
)

// value is element i of rank's contribution.
func value(rank, i int) int { return (rank+1)*1000 + i*3 }

func (g *guest) fill(at, n int) {
	for i := range n {
		g.setInts(at+4*i, value(g.rank, i))
	}
}

// contribution gives every rank's values to the naive recomputation.
func contribution(rank, n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = value(rank, i)
	}
	return out
}

func sums(ranks, n int) []int {
	out := make([]int, n)
	for r := range ranks {
		for i := range out {
			out[i] += value(r, i)
		}
	}
	return out
}

// Every collective against a naive recomputation (MPI 5.0 chapter 6): sizes, odd
// roots, zero counts, counts over all limits, in place or not.
func TestCollectives(t *testing.T) {
	for size := 1; size <= 9; size++ {
		for _, n := range []int{0, 1, 3, 700} {
			root := (size*5 + n) % size
			t.Run(fmt.Sprintf("size=%d/count=%d/root=%d", size, n, root), func(t *testing.T) {
				run1(t, size, func(g *guest) {
					for _, place := range []bool{false, true} {
						g.checkReductions(t, n, root, place)
						g.checkMoves(t, n, root, place)
					}
					g.call("MPI_Barrier", abi.CommWorld)
				})
			})
		}
	}
}

// in returns where a call's input goes, and what to pass for it.
func (g *guest) in(place bool, n int) int {
	if place {
		g.fill(rbuf, n)
		return abi.InPlace
	}
	g.fill(sbuf, n)
	return sbuf
}

func (g *guest) checkReductions(t *testing.T, n, root int, place bool) {
	g.call("MPI_Reduce", g.in(place && g.rank == root, n), rbuf, n, tInt, abi.OpSum, root, abi.CommWorld)
	if g.rank == root {
		require.Equal(t, sums(g.size, n), g.ints(rbuf, n))
	}
	g.call("MPI_Allreduce", g.in(place, n), rbuf, n, tInt, abi.OpSum, abi.CommWorld)
	require.Equal(t, sums(g.size, n), g.ints(rbuf, n))
	g.call("MPI_Scan", g.in(place, n), rbuf, n, tInt, abi.OpSum, abi.CommWorld)
	require.Equal(t, sums(g.rank+1, n), g.ints(rbuf, n))
	g.call("MPI_Exscan", g.in(place, n), rbuf, n, tInt, abi.OpSum, abi.CommWorld)
	if g.rank > 0 {
		require.Equal(t, sums(g.rank, n), g.ints(rbuf, n))
	}
	g.call("MPI_Reduce_scatter_block", g.in(place, n*g.size), rbuf, n, tInt, abi.OpSum, abi.CommWorld)
	require.Equal(t, sums(g.size, n*g.size)[g.rank*n:(g.rank+1)*n], g.ints(rbuf, n))
}

func (g *guest) checkMoves(t *testing.T, n, root int, place bool) {
	g.fill(sbuf, n)
	g.call("MPI_Bcast", sbuf, n, tInt, root, abi.CommWorld)
	require.Equal(t, contribution(root, n), g.ints(sbuf, n))

	part := func(base, i int) int { return base + 4*n*i }
	all := []int{}
	for r := range g.size {
		all = append(all, contribution(r, n)...)
	}
	own := func(place bool) int {
		if place {
			g.fill(part(rbuf, g.rank), n)
			return abi.InPlace
		}
		g.fill(sbuf, n)
		return sbuf
	}
	g.call("MPI_Gather", own(place && g.rank == root), n, tInt, rbuf, n, tInt, root, abi.CommWorld)
	if g.rank == root {
		require.Equal(t, all, g.ints(rbuf, n*g.size))
	}
	clear(g.mem[rbuf : rbuf+4*n*g.size])
	g.call("MPI_Allgather", own(place), n, tInt, rbuf, n, tInt, abi.CommWorld)
	require.Equal(t, all, g.ints(rbuf, n*g.size))

	out := pick(place && g.rank == root, abi.InPlace, rbuf)
	g.fill(sbuf, n*g.size)
	g.call("MPI_Scatter", sbuf, n, tInt, out, n, tInt, root, abi.CommWorld)
	if out == rbuf {
		require.Equal(t, contribution(root, n*g.size)[g.rank*n:(g.rank+1)*n], g.ints(rbuf, n))
	}
	g.call("MPI_Alltoall", g.in(place, n*g.size), n, tInt, rbuf, n, tInt, abi.CommWorld)
	for r := range g.size {
		require.Equal(t, contribution(r, n*g.size)[g.rank*n:(g.rank+1)*n], g.ints(part(rbuf, r), n))
	}
	g.checkVectors(t, n, root)
}

// checkVectors gives rank r a part of n+r elements, in reverse order of ranks.
func (g *guest) checkVectors(t *testing.T, n, root int) {
	const counts, displs = 64, 256
	at := 0
	for r := g.size - 1; r >= 0; r-- {
		g.setInts(counts+4*r, n+r)
		g.setInts(displs+4*r, at)
		at += n + r
	}
	want := func(r int) []int { return contribution(r, n+r) }
	check := func() {
		for r := range g.size {
			require.Equal(t, want(r), g.ints(rbuf+4*g.int(displs+4*r), n+r))
		}
	}
	g.fill(sbuf, n+g.rank)
	g.call("MPI_Gatherv", sbuf, n+g.rank, tInt, rbuf, counts, displs, tInt, root, abi.CommWorld)
	if g.rank == root {
		check()
	}
	clear(g.mem[rbuf : rbuf+4*at])
	g.call("MPI_Allgatherv", sbuf, n+g.rank, tInt, rbuf, counts, displs, tInt, abi.CommWorld)
	check()
	clear(g.mem[sbuf : sbuf+4*(n+g.rank)])
	g.call("MPI_Scatterv", rbuf, counts, displs, tInt, sbuf, n+g.rank, tInt, root, abi.CommWorld)
	require.Equal(t, want(g.rank), g.ints(sbuf, n+g.rank))
}

// A reduction gives the same bits on every rank, and for every root.
func TestReduceBits(t *testing.T) {
	for _, size := range []int{3, 4, 6, 7} {
		results := make([][]uint64, size)
		run1(t, size, func(g *guest) {
			set := func() {
				order.PutUint64(g.mem[sbuf:], math.Float64bits(1/float64(3*g.rank+7)+1e10*float64(g.rank%2)))
			}
			set()
			g.call("MPI_Allreduce", sbuf, rbuf, 1, tDouble, abi.OpSum, abi.CommWorld)
			results[g.rank] = append(results[g.rank], order.Uint64(g.mem[rbuf:]))
		})
		for r := range results {
			require.Equal(t, results[0], results[r])
		}
	}
}

// Every operation on every type it is defined for, also at odd addresses.
func TestOperations(t *testing.T) {
	for op, name := range abi.OpNames {
		for _, typ := range layout.Predefined() {
			if typ.Base == nil || !layout.OpFits(op, typ.Class) || typ.Size == 0 {
				continue
			}
			n := int(typ.Size)
			for shift := range 2 {
				l, r := make([]byte, 200)[shift:shift+3*n], make([]byte, 200)[shift:shift+3*n]
				for i := range 3 {
					put(typ, l[i*n:], float64(i))
					put(typ, r[i*n:], float64(3-i))
				}
				layout.Combine(op, typ, r, l, r)
				for i := range 3 {
					want := naive(op, float64(i), float64(3-i))
					require.Equal(t, want, get(typ, r[i*n:]), "%s %s %d", name, typ.Name, i)
				}
			}
		}
	}
}

// put stores a number in an element; the rest of it (an imaginary part, an index) is zero.
func put(t *layout.Type, b []byte, v float64) {
	switch {
	case t.Class == layout.PairType:
		value, _ := t.Pair()
		put(value, b, v)
	case t.Class == layout.QuadType || t.Class == layout.QuadComplexType:
		putQuad(b, v)
	case t.Class == layout.ComplexType && t.Size == 8, t.Class == layout.FloatType && t.Size == 4:
		order.PutUint32(b, math.Float32bits(float32(v)))
	case t.Class == layout.ComplexType, t.Class == layout.FloatType:
		order.PutUint64(b, math.Float64bits(v))
	default:
		b[0] = byte(v)
	}
}

// putQuad stores a long double, IEEE binary128; getQuad reads one that is no more exact than a double.
func putQuad(b []byte, v float64) {
	bits := math.Float64bits(v)
	exponent, mantissa := bits>>52&0x7ff, bits&(1<<52-1)
	if exponent != 0 { // no test has subnormals
		exponent += 16383 - 1023
	}
	order.PutUint64(b, mantissa<<60)
	order.PutUint64(b[8:], bits>>63<<63|exponent<<48|mantissa>>4)
}

func getQuad(b []byte) float64 {
	low, high := order.Uint64(b), order.Uint64(b[8:])
	exponent := high >> 48 & 0x7fff
	if exponent != 0 {
		exponent -= 16383 - 1023
	}
	return math.Float64frombits(high>>63<<63 | exponent<<52 | high<<4&(1<<52-1) | low>>60)
}

func get(t *layout.Type, b []byte) float64 {
	switch {
	case t.Class == layout.PairType:
		value, _ := t.Pair()
		return get(value, b)
	case t.Class == layout.QuadType || t.Class == layout.QuadComplexType:
		return getQuad(b)
	case t.Class == layout.ComplexType && t.Size == 8, t.Class == layout.FloatType && t.Size == 4:
		return float64(math.Float32frombits(order.Uint32(b)))
	case t.Class == layout.ComplexType, t.Class == layout.FloatType:
		return math.Float64frombits(order.Uint64(b))
	default:
		return float64(b[0])
	}
}

func naive(op uint32, a, b float64) float64 {
	x, y := int(a), int(b)
	switch op {
	case abi.OpSum:
		return a + b
	case abi.OpProd:
		return a * b
	case abi.OpMin, abi.OpMinloc:
		return min(a, b)
	case abi.OpMax, abi.OpMaxloc:
		return max(a, b)
	case abi.OpBand:
		return float64(x & y)
	case abi.OpBor:
		return float64(x | y)
	case abi.OpBxor:
		return float64(x ^ y)
	case abi.OpLand:
		return float64(truth(x != 0 && y != 0))
	case abi.OpLor:
		return float64(truth(x != 0 || y != 0))
	case abi.OpReplace:
		return a
	case abi.OpNoOp:
		return b
	default:
		return float64(truth((x != 0) != (y != 0)))
	}
}

// Collectives of different communicators, and user messages with any tag, keep apart.
func TestContextsKeepApart(t *testing.T) {
	run1(t, 4, func(g *guest) {
		g.call("MPI_Irecv", 64, 1, tInt, abi.AnySource, abi.AnyTag, abi.CommWorld, 8)
		g.call("MPI_Barrier", abi.CommWorld)
		g.call("MPI_Allreduce", sbuf, rbuf, 1, tInt, abi.OpMax, abi.CommSelf)
		g.call("MPI_Test", 8, 12, 0)
		require.Equal(t, 0, g.int(12))
		g.call("MPI_Barrier", abi.CommWorld)
		g.setInts(sbuf, g.rank)
		g.call("MPI_Send", sbuf, 1, tInt, (g.rank+1)%4, 9, abi.CommWorld)
		g.call("MPI_Wait", 8, 0)
		require.Equal(t, (g.rank+3)%4, g.int(64))
	})
}

// MPI 5.0 section 7.4.2: a duplicate has contexts of its own.
func TestCommDup(t *testing.T) {
	run1(t, 3, func(g *guest) {
		g.call("MPI_Comm_set_errhandler", abi.CommWorld, abi.ErrorsReturn)
		g.call("MPI_Comm_dup", abi.CommWorld, 64)
		g.call("MPI_Comm_dup", abi.CommSelf, 68)
		dup, alone := g.int(64), g.int(68)
		next, prev := (g.rank+1)%3, (g.rank+2)%3
		g.setInts(100, 1, 2)
		g.call("MPI_Isend", 100, 1, tInt, next, 0, abi.CommWorld, 72)
		g.call("MPI_Isend", 104, 1, tInt, next, 0, dup, 76)
		g.call("MPI_Irecv", 108, 1, tInt, abi.AnySource, abi.AnyTag, dup, 80)
		g.call("MPI_Allreduce", 100, 112, 1, tInt, abi.OpSum, dup)
		g.call("MPI_Allreduce", 100, 116, 1, tInt, abi.OpSum, alone)
		g.call("MPI_Comm_free", 64)
		require.Equal(t, abi.CommNull, g.int(64))
		g.call("MPI_Wait", 80, 16) // goes on after the communicator is freed
		g.call("MPI_Recv", 120, 1, tInt, prev, 0, abi.CommWorld, 0)
		require.Equal(t, []int{2, 3, 1, 1}, g.ints(108, 4))
		require.Equal(t, prev, g.int(16))
		g.call("MPI_Waitall", 2, 72, 0)
		g.setInts(124, abi.CommWorld)
		require.EqualValues(t, abi.ErrComm, g.call("MPI_Comm_free", 124))
		g.call("MPI_Comm_set_errhandler", abi.CommSelf, abi.ErrorsReturn)
		require.EqualValues(t, abi.ErrComm, g.call("MPI_Barrier", dup))
		g.call("MPI_Comm_free", 68)
		require.Empty(t, g.p.comms.items)
	})
}
