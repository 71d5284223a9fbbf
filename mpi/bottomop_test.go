package mpi

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
)

// A program's operation works on a type of absolute addresses that lie above the memory for its operands (MPI 5.0 sections
// 5.1.12 and 6.9.5).
func TestUserOpAtBottom(t *testing.T) {
	for _, at := range []int{sbuf, 1_000_000} { // below and above the test's heap
		run1(t, 2, func(g *guest) {
			g.functions[affineFn] = func(p ...uint32) uint32 {
				in, out := int(int32(p[0]))+at, int(int32(p[1]))+at // wasm adds modulo 2^32
				g.setInts(out, g.int(in)+g.int(out))
				return 0
			}
			g.call("MPI_Op_create", affineFn, 1, 64)
			g.setInts(128, 1)
			g.setInts(132, at)
			g.call("MPI_Type_create_hindexed", 1, 128, 132, tInt, 68)
			g.call("MPI_Type_commit", 68)
			g.setInts(at, g.rank+5)
			g.call("MPI_Allreduce", abi.InPlace, abi.Bottom, 1, g.int(68), g.int(64), abi.CommWorld)
			require.Equal(t, 11, g.int(at), "at %d", at)
		})
	}
}
