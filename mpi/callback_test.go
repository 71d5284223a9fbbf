package mpi

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAttributeFunctionsCommunicate: a library keeps a communicator of its own in an attribute, makes another when the program's is duplicated, and frees
// it with it: all of that is collective, inside of a call that is.
func TestAttributeFunctionsCommunicate(t *testing.T) {
	const copies, deletes = 11, 12
	for r, err := range runLocal(t, smallConfig(3), func(g *guest) {
		g.p.Bind(g.program)
		g.functions[copies] = func(a ...uint32) uint32 { // object, key, state, value, where the new value goes, the flag
			order.PutUint32(g.mem[300:], 0)
			g.call("MPI_Comm_dup", int(a[3]), 300)
			order.PutUint32(g.mem[a[4]:], uint32(g.int(300)))
			order.PutUint32(g.mem[a[5]:], 1)
			return success
		}
		g.functions[deletes] = func(a ...uint32) uint32 {
			g.setInts(sbuf, 1)
			g.call("MPI_Allreduce", sbuf, rbuf, 1, tInt, opSum, int(a[2]))
			require.Equal(t, 3, g.int(rbuf))
			g.setInts(300, int(int32(a[2])))
			return uint32(g.call("MPI_Comm_free", 300))
		}
		comms := len(g.p.comms.items)
		g.call("MPI_Comm_create_keyval", copies, deletes, 400, 0)
		g.call("MPI_Comm_dup", commWorld, 64)
		g.call("MPI_Comm_dup", commWorld, 68)
		g.call("MPI_Comm_set_attr", g.int(64), g.int(400), g.int(68))
		g.call("MPI_Comm_dup", g.int(64), 72)
		require.Len(t, g.p.comms.items, comms+4)
		g.call("MPI_Comm_idup", g.int(72), 76, 80)
		g.call("MPI_Wait", 80, 0)
		for _, at := range []int{76, 64, 72} {
			require.EqualValues(t, success, g.call("MPI_Comm_free", at))
		}
		require.Len(t, g.p.comms.items, comms)
	}) {
		require.NoError(t, err, "rank %d", r)
	}
}

// TestReductionsDoNotCommunicate: a collective inside of a reduction's function is an error, not a wait without end.
func TestReductionsDoNotCommunicate(t *testing.T) {
	const adds = 11
	for r, err := range runLocal(t, smallConfig(2), func(g *guest) {
		g.p.Bind(g.program)
		g.call("MPI_Comm_set_errhandler", commWorld, errorsReturn)
		requests := len(g.p.requests) - len(g.p.freeList)
		g.functions[adds] = func(...uint32) uint32 {
			require.EqualValues(t, errOther, g.call("MPI_Barrier", commWorld))
			require.EqualValues(t, errOther, g.call("MPI_Ibarrier", commWorld, 300))
			return success
		}
		g.call("MPI_Op_create", adds, 1, 64)
		require.EqualValues(t, success, g.call("MPI_Allreduce", sbuf, rbuf, 1, tInt, g.int(64), commWorld))
		require.EqualValues(t, success, g.call("MPI_Barrier", commWorld))
		require.Equal(t, requests, len(g.p.requests)-len(g.p.freeList))
	}) {
		require.NoError(t, err, "rank %d", r)
	}
}
