package mpi

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
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
			return abi.Success
		}
		g.functions[deletes] = func(a ...uint32) uint32 {
			g.setInts(sbuf, 1)
			g.call("MPI_Allreduce", sbuf, rbuf, 1, tInt, abi.OpSum, int(a[2]))
			require.Equal(t, 3, g.int(rbuf))
			g.setInts(300, int(int32(a[2])))
			return uint32(g.call("MPI_Comm_free", 300))
		}
		comms := len(g.p.comms.items)
		g.call("MPI_Comm_create_keyval", copies, deletes, 400, 0)
		g.call("MPI_Comm_dup", abi.CommWorld, 64)
		g.call("MPI_Comm_dup", abi.CommWorld, 68)
		g.call("MPI_Comm_set_attr", g.int(64), g.int(400), g.int(68))
		g.call("MPI_Comm_dup", g.int(64), 72)
		require.Len(t, g.p.comms.items, comms+4)
		g.call("MPI_Comm_idup", g.int(72), 76, 80)
		g.call("MPI_Wait", 80, 0)
		for _, at := range []int{76, 64, 72} {
			require.EqualValues(t, abi.Success, g.call("MPI_Comm_free", at))
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
		g.call("MPI_Comm_set_errhandler", abi.CommWorld, abi.ErrorsReturn)
		requests := len(g.p.requests) - len(g.p.freeList)
		g.functions[adds] = func(...uint32) uint32 {
			require.EqualValues(t, abi.ErrOther, g.call("MPI_Barrier", abi.CommWorld))
			require.EqualValues(t, abi.ErrOther, g.call("MPI_Ibarrier", abi.CommWorld, 300))
			require.EqualValues(t, abi.ErrOther, g.call("MPI_Start", 700))
			return abi.Success
		}
		g.setInts(500, 1)
		g.call("MPI_Allreduce_init", 500, 600, 1, tInt, abi.OpSum, abi.CommWorld, abi.InfoNull, 700)
		g.call("MPI_Op_create", adds, 1, 64)
		require.EqualValues(t, abi.Success, g.call("MPI_Allreduce", sbuf, rbuf, 1, tInt, g.int(64), abi.CommWorld))
		require.EqualValues(t, abi.Success, g.call("MPI_Start", 700))
		require.EqualValues(t, abi.Success, g.call("MPI_Wait", 700, 0))
		require.Equal(t, 2, g.int(600))
		g.call("MPI_Request_free", 700)
		require.EqualValues(t, abi.Success, g.call("MPI_Barrier", abi.CommWorld))
		require.Equal(t, requests, len(g.p.requests)-len(g.p.freeList))
	}) {
		require.NoError(t, err, "rank %d", r)
	}
}

// TestCallsInLargeCalls: counts have 64 bits in a large-count function, and not in a call that a function of the program makes meanwhile.
func TestCallsInLargeCalls(t *testing.T) {
	const adds = 11
	for r, err := range runLocal(t, smallConfig(1), func(g *guest) {
		g.p.Bind(g.program)
		called := false
		g.functions[adds] = func(...uint32) uint32 {
			require.True(t, g.p.large())
			g.setInts(300, 1, 2, 3, 4)
			g.call("MPI_Type_size", tDouble, 300)
			g.call("MPI_Type_size_x", tDouble, 308)
			require.Equal(t, []int{8, 2, 8, 0}, g.ints(300, 4))
			require.True(t, g.p.large())
			called = true
			return abi.Success
		}
		g.call("MPI_Op_create_c", adds, 1, 64)
		g.setInts(sbuf, 1)
		require.EqualValues(t, abi.Success, g.call("MPI_Reduce_local_c", sbuf, rbuf, 1, tInt, g.int(64)))
		require.True(t, called)
	}) {
		require.NoError(t, err, "rank %d", r)
	}
}

// TestRequestsThatEndThemselves: functions of a generalized request that end it, or another that the same call waits for, and whose places are another's then, cost
// nothing but an error.
func TestRequestsThatEndThemselves(t *testing.T) {
	const queries, frees = 11, 12
	for name, f := range map[string]func(g *guest, inside *func(where int)) uint64{
		"free function frees it": func(g *guest, inside *func(where int)) uint64 {
			*inside = func(where int) {
				if where == frees {
					g.call("MPI_Request_free", 68)
					g.call("MPI_Ibarrier", abi.CommWorld, 72)
				}
			}
			return g.call("MPI_Wait", 64, 0)
		},
		"query function frees it": func(g *guest, inside *func(where int)) uint64 {
			*inside = func(where int) {
				if where == queries {
					g.call("MPI_Request_free", 68)
					g.call("MPI_Ibarrier", abi.CommWorld, 72)
				}
			}
			return g.call("MPI_Wait", 64, 0)
		},
		"free function completes it": func(g *guest, inside *func(where int)) uint64 {
			g.call("MPI_Wait", 64, 0)
			*inside = func(int) { g.call("MPI_Grequest_complete", g.int(68)) }
			g.call("MPI_Grequest_start", queries, frees, 0, 0, 64)
			g.setInts(68, g.int(64))
			g.call("MPI_Request_free", 64)
			code := g.call("MPI_Grequest_complete", g.int(68))
			g.call("MPI_Irecv", rbuf, 1, tInt, 1, 5, abi.CommWorld, 100)
			require.False(t, g.p.request(uint32(g.int(100))-baseRequest).done, "no message has come")
			g.call("MPI_Cancel", 100)
			g.call("MPI_Request_free", 100)
			require.EqualValues(t, abi.Success, g.call("MPI_Ibarrier", abi.CommWorld, 72))
			return code
		},
		"it frees itself twice": func(g *guest, inside *func(where int)) uint64 {
			*inside = func(int) {
				g.call("MPI_Request_free", 68)
				g.call("MPI_Ibarrier", abi.CommWorld, 72)
			}
			return g.call("MPI_Request_free", 64)
		},
		"query function ends another": func(g *guest, inside *func(where int)) uint64 {
			g.call("MPI_Isend", sbuf, 1, tInt, 0, 5, abi.CommWorld, 80)
			g.setInts(84, g.int(64), g.int(80))
			*inside = func(where int) {
				if where == queries {
					g.call("MPI_Wait", 80, 0)
					g.call("MPI_Ibarrier", abi.CommWorld, 72)
				}
			}
			return g.call("MPI_Waitall", 2, 84, 0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := begun(t, NewWorld(smallConfig(2), noNetwork{}), 0, arenaBytes)
			begun(t, g.p.w, 1, arenaBytes)
			g.p.Bind(g.program)
			g.call("MPI_Comm_set_errhandler", abi.CommWorld, abi.ErrorsReturn)
			g.call("MPI_Comm_set_errhandler", abi.CommSelf, abi.ErrorsReturn)
			inside := func(int) {}
			for _, fn := range []uint32{queries, frees} {
				g.functions[fn] = func(...uint32) uint32 {
					now := inside
					inside = func(int) {}
					if now(int(fn)); fn == queries && name[0] == 'f' { // it is the other's turn
						inside = now
					}
					return abi.Success
				}
			}
			g.call("MPI_Grequest_start", queries, frees, 0, 0, 64)
			g.setInts(68, g.int(64))
			g.call("MPI_Grequest_complete", g.int(64))
			code := f(g, &inside)
			require.Equal(t, name == "query function ends another", code == abi.Success, "code %d", code)
			require.NotEqual(t, abi.RequestNull, g.int(72))
			require.Len(t, g.p.active, 1, "the barrier goes on")
			require.Equal(t, uint8(reqCollective), g.p.request(uint32(g.int(72))-baseRequest).kind)
			require.Len(t, g.p.freeList, len(g.p.requests)-1-len(g.p.active[0].coll.reqs))
		})
	}
}
