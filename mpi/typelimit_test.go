package mpi

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/layout"
)

// TestTypesDoNotWrap: what is larger than can be counted is refused, however it comes about.
func TestTypesDoNotWrap(t *testing.T) {
	const list = 8192
	hungry(t, 1, 1<<30, func(g *guest) {
		g.call("MPI_Type_create_resized", tByte, 0, 0, 64) // elements without extent reach nowhere
		refused := func(name string, a ...int) {
			t.Helper()
			require.EqualValues(t, abi.ErrArg, g.call(name, a...), name)
		}
		subarray := func(sizes ...int64) {
			n := len(sizes)
			for i, v := range sizes {
				order.PutUint64(g.mem[list+8*i:], uint64(v))
				order.PutUint64(g.mem[list+8*n+8*i:], uint64(v))
				order.PutUint64(g.mem[list+16*n+8*i:], 0)
			}
			refused("MPI_Type_create_subarray_c", n, list, list+8*n, list+16*n, abi.OrderC, g.int(64), 68)
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
			g.setInts(96, abi.DistributeBlock, abi.DistributeArg, 2)
			refused("MPI_Type_create_darray_c", 2, 1, 1, list, 96, 100, 104, abi.OrderC, tByte, 68)
		}

		// The least of all numbers is none that its opposite is as large as.
		const least = -1 << 63
		g.call("MPI_Type_vector", 2, 1, 2, tInt, 76)
		for _, x := range []int{least, least + 1, 1<<63 - 1, 1<<52 + 1, -1<<52 - 1} {
			refused("MPI_Type_create_hvector_c", 3, 1, x, g.int(76), 68)
			refused("MPI_Type_create_resized_c", g.int(76), 0, x, 68)
			refused("MPI_Type_create_resized_c", g.int(76), x, 0, 68)
			order.PutUint64(g.mem[list:], 1)
			order.PutUint64(g.mem[list+8:], uint64(x))
			g.setInts(list+16, tInt)
			refused("MPI_Type_create_struct_c", 1, list, list+8, list+16, 68)
			refused("MPI_Type_create_hindexed_c", 1, list, list+8, tInt, 68)
		}
		refused("MPI_Type_create_resized_c", tInt, 1<<52, 1, 68)
		require.EqualValues(t, abi.Success, g.call("MPI_Type_create_resized_c", g.int(76), 0, -1<<52, 68))
		g.call("MPI_Type_commit", 68)
		for _, n := range []int{3, 1<<12 + 1, 1 << 28} { // their product with the extent is beyond all numbers
			require.NotZero(t, g.call("MPI_Isend", sbuf, n, g.int(68), 0, 0, abi.CommWorld, 200))
		}

		require.EqualValues(t, abi.Success, g.call("MPI_Type_contiguous_c", 1<<40, g.int(64), 72))
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
	g.setInts(64, 1<<30, abi.DistributeBlock, abi.DistributeArg, 1)
	g.call("MPI_Type_create_darray", 1, 0, 1, 64, 68, 72, 76, abi.OrderC, tByte, 80)
	g.setInts(64, 1<<20, abi.DistributeCyclic, 1<<10, 1)
	g.call("MPI_Type_create_darray", 1, 0, 1, 64, 68, 72, 76, abi.OrderC, tByte, 84)
	a.move(0, NewWorld(DefaultConfig(2), &a.nets[0]), 2)
	g.call("MPI_Type_size", g.int(80), 88)
	g.call("MPI_Type_size", g.int(84), 92)
	require.Equal(t, []int{1 << 30, 1 << 20}, g.ints(88, 2))
}

// TestTimes: the bounded product is the product, or too large, on its side of zero.
func TestTimes(t *testing.T) {
	for _, x := range [][3]int64{
		{3, 4, 12},
		{-3, 4, -12},
		{-3, -4, 12},
		{0, -1 << 63, 0},
		{1, -1 << 63, -1 << 54},
		{-1, -1 << 63, 1 << 54},
		{-1 << 63, -1 << 63, 1 << 54},
		{1<<63 - 1, 2, 1 << 54},
		{1 << 32, 1 << 32, 1 << 54},
		{-1 << 32, 1 << 32, -1 << 54},
		{1 << 27, 1 << 27, 1 << 54},
		{1 << 27, -1 << 27, -1 << 54},
	} {
		require.Equal(t, x[2], layout.Times(x[0], x[1]), "%d times %d", x[0], x[1])
		require.Equal(t, x[2], layout.Times(x[1], x[0]), "%d times %d", x[1], x[0])
	}
}

// TestDamagedDarray: a state whose distributed array has steps that wrap is refused.
func TestDamagedDarray(t *testing.T) {
	for _, x := range [][2]int64{{1 << 32, 1 << 32}, {1 << 40, 1}, {1, 1 << 40}, {1 << 62, 4}} {
		for _, distribution := range []int64{abi.DistributeCyclic, abi.DistributeBlock} {
			m := layout.Contents{Combiner: abi.CombinerDarray, Ints: []int64{1, 0, 1, 1 << 20, distribution, x[0], x[1], abi.OrderC}, Types: []*layout.Type{layout.Predefined()[tInt]}}
			require.False(t, m.Whole(), "%v", x)
		}
	}
}

// TestQuestionsCostWhatTheTypeIs: what asks about a type of very many elements does not go from one to the next, nor through a type as often as others
// refer to it.
func TestQuestionsCostWhatTheTypeIs(t *testing.T) {
	const list, status, name = 8192, 9000, 9100
	hungry(t, 1, 1<<30, func(g *guest) {
		wide := func(at uint32) int64 { return int64(order.Uint64(g.mem[at:])) }
		copy(g.mem[name:], "external32\x00")
		g.setInts(72, tInt)
		basics := int64(1)
		for range 45 { // each of the one before, twice, and apart
			g.setInts(list, 1, 1, 0, 64, g.int(72), g.int(72))
			require.EqualValues(t, abi.Success, g.call("MPI_Type_create_struct", 2, list, list+8, list+16, 72))
			basics *= 2
			g.call("MPI_Type_create_resized", g.int(72), 0, 64, 72)
		}
		g.call("MPI_Type_commit", 72)
		g.call("MPI_Status_set_elements_c", status, g.int(72), int(basics-1))
		g.call("MPI_Get_elements_c", status, g.int(72), 80)
		require.Equal(t, basics-1, wide(80))
		g.call("MPI_Pack_external_size_c", name, 3, g.int(72), 80)
		require.Equal(t, 12*basics, wide(80))

		g.call("MPI_Type_contiguous", 0, tInt, 72)
		g.call("MPI_Type_commit", 72)
		order.PutUint64(g.mem[80:], 5)
		require.EqualValues(t, abi.Success, g.call("MPI_Pack_external_c", name, sbuf, 1<<62, g.int(72), rbuf, 100, 80))
		require.EqualValues(t, abi.Success, g.call("MPI_Unpack_external_c", name, rbuf, 100, 80, sbuf, 1<<62, g.int(72)))
		require.EqualValues(t, 5, wide(80))
	})
}
