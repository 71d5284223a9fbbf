package mpi

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
)

// vast is memory of which only what is used is there: the race detector would go through all of what Go allocates.
func vast(t *testing.T, n int) arena {
	mem, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE|syscall.MAP_NORESERVE)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, syscall.Munmap(mem)) })
	return mem
}

// MPI 5.0 section 5.1.5: absolute addresses from MPI_BOTTOM, also beyond 2 GiB, where an MPI_Aint is negative.
func TestBottomBeyondHalf(t *testing.T) {
	const high = 1<<31 + 64
	errs := runLocal(t, smallConfig(1), func(g *guest) {
		mem := vast(t, 1<<31+4096)
		copy(mem, g.mem)
		g.mem, g.p.mem = mem, mem
		for _, displs := range [][2]int{{high, high + 16}, {4096, high}} {
			order.PutUint32(mem[displs[0]:], 11)
			order.PutUint32(mem[displs[1]:], 22)
			g.setInts(64, 1, 1, displs[0], displs[1], tInt, tInt)
			g.call("MPI_Type_create_struct", 2, 64, 72, 80, 100)
			g.call("MPI_Type_commit", 100)
			g.setInts(104, 0)
			g.call("MPI_Pack", abi.Bottom, 1, g.int(100), 200, 8, 104, abi.CommWorld)
			require.Equal(t, []int{11, 22}, g.ints(200, 2))
			g.setInts(200, 33, 44)
			g.setInts(104, 0)
			g.call("MPI_Unpack", 200, 8, 104, abi.Bottom, 1, g.int(100), abi.CommWorld)
			require.EqualValues(t, 33, order.Uint32(mem[displs[0]:]))
			require.EqualValues(t, 44, order.Uint32(mem[displs[1]:]))
			g.call("MPI_Type_free", 100)
		}
	})
	require.NoError(t, errs[0])
}
