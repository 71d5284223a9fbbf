package mpi

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTypesDoNotWrap: what is larger than can be counted is refused, however it comes about.
func TestTypesDoNotWrap(t *testing.T) {
	const list = 8192
	hungry(t, 1, 1<<30, func(g *guest) {
		g.call("MPI_Type_create_resized", tByte, 0, 0, 64) // elements without extent reach nowhere
		refused := func(name string, a ...int) {
			t.Helper()
			require.EqualValues(t, errArg, g.call(name, a...), name)
		}
		subarray := func(sizes ...int64) {
			n := len(sizes)
			for i, v := range sizes {
				order.PutUint64(g.mem[list+8*i:], uint64(v))
				order.PutUint64(g.mem[list+8*n+8*i:], uint64(v))
				order.PutUint64(g.mem[list+16*n+8*i:], 0)
			}
			refused("MPI_Type_create_subarray_c", n, list, list+8*n, list+16*n, orderC, g.int(64), 68)
		}
		threes := make([]int64, 43)
		for i := range threes {
			threes[i] = 3
		}
		subarray(threes[:41]...) // a negative product
		subarray(threes...)
		subarray(append([]int64{1, 1 << 62, 4}, threes[:2]...)...) // zero, in the midst
		subarray(1<<63-1, 1)

		for _, v := range []int64{1<<63 - 1, 1 << 53} {
			order.PutUint64(g.mem[list:], uint64(v))
			g.setInts(96, distributeBlock, distributeArg, 2)
			refused("MPI_Type_create_darray_c", 2, 1, 1, list, 96, 100, 104, orderC, tByte, 68)
		}

		require.EqualValues(t, success, g.call("MPI_Type_contiguous_c", 1<<40, g.int(64), 72))
		const blocks = 4096 // of 2^52 bytes each: all of them together are zero again
		for i := range blocks {
			g.setInts(list+4*i, 1<<12)
			g.setInts(list+4*blocks+4*i, 0)
		}
		refused("MPI_Type_indexed", blocks, list, list+4*blocks, g.int(72), 68)
	})
}

// TestLongDarrayMoves: a type of a dimension as long as the constructor allows can be restored.
func TestLongDarrayMoves(t *testing.T) {
	a := newApart(t, 1<<20)
	g := a.ranks[0]
	g.setInts(64, 1<<30, distributeBlock, distributeArg, 1)
	g.call("MPI_Type_create_darray", 1, 0, 1, 64, 68, 72, 76, orderC, tByte, 80)
	g.setInts(64, 1<<20, distributeCyclic, 1<<10, 1)
	g.call("MPI_Type_create_darray", 1, 0, 1, 64, 68, 72, 76, orderC, tByte, 84)
	a.move(0, NewWorld(DefaultConfig(2), &a.nets[0]), 2)
	g.call("MPI_Type_size", g.int(80), 88)
	g.call("MPI_Type_size", g.int(84), 92)
	require.Equal(t, []int{1 << 30, 1 << 20}, g.ints(88, 2))
}
