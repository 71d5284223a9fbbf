package mpi

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
)

// TestNothingIsLeftOfWhatFails: a call that makes several things and has no room for the last leaves none.
func TestNothingIsLeftOfWhatFails(t *testing.T) {
	cfg := smallConfig(1)
	cfg.MaxRequests = 4
	for r, err := range runLocal(t, cfg, func(g *guest) {
		g.call("MPI_Comm_set_errhandler", abi.CommWorld, abi.ErrorsReturn)
		g.call("MPI_Comm_set_errhandler", abi.CommSelf, abi.ErrorsReturn)
		for i := range cfg.MaxRequests {
			g.call("MPI_Irecv", rbuf, 1, tInt, 0, i, abi.CommWorld, 64+4*i)
		}
		kept, comms := g.p.kept, len(g.p.comms.items)
		require.NotZero(t, g.call("MPI_Comm_idup", abi.CommWorld, 100, 104))
		require.Equal(t, []any{kept, comms}, []any{g.p.kept, len(g.p.comms.items)})
		for i := range cfg.MaxRequests {
			g.call("MPI_Cancel", 64+4*i)
		}
		g.call("MPI_Waitall", cfg.MaxRequests, 64, 0)

		kept, types := g.p.kept, len(g.p.types.items)
		require.NotZero(t, g.call("MPI_Type_dup", tInt, 0))
		g.p.kept = cfg.MaxMemory
		require.EqualValues(t, abi.ErrNoMem, g.call("MPI_Type_dup", tInt, 100))
		require.EqualValues(t, abi.ErrNoMem, g.call("MPI_Comm_dup", abi.CommWorld, 100))
		require.EqualValues(t, abi.ErrNoMem, g.call("MPI_Comm_idup", abi.CommWorld, 100, 104))
		g.setInts(128, 1, 0)
		require.EqualValues(t, abi.ErrNoMem, g.call("MPI_Cart_create", abi.CommWorld, 1, 128, 132, 0, 100))
		require.EqualValues(t, cfg.MaxMemory, g.p.kept)
		g.p.kept = kept
		require.Equal(t, []int{types, comms}, []int{len(g.p.types.items), len(g.p.comms.items)})
		require.Len(t, g.p.freeList, len(g.p.requests))
	}) {
		require.NoError(t, err, "rank %d", r)
	}
}

// TestRefusedCollectiveIsMadeAgain: a collective for which a rank had no room is still the one that the others are in.
func TestRefusedCollectiveIsMadeAgain(t *testing.T) {
	hungry(t, 2, 1<<20, func(g *guest) {
		g.setInts(sbuf, 5)
		if g.rank == 0 {
			kept := g.p.kept
			g.p.kept = 1 << 20
			require.EqualValues(t, abi.ErrNoMem, g.call("MPI_Iallreduce", sbuf, rbuf, 30_000, tInt, abi.OpSum, abi.CommWorld, 64))
			require.EqualValues(t, abi.ErrNoMem, g.call("MPI_Allreduce_init", sbuf, rbuf, 30_000, tInt, abi.OpSum, abi.CommWorld, abi.InfoNull, 64))
			require.EqualValues(t, abi.ErrNoMem, g.call("MPI_Comm_idup", abi.CommWorld, 64, 68))
			require.EqualValues(t, abi.ErrNoMem, g.call("MPI_Comm_dup", abi.CommWorld, 64))
			g.p.kept = kept
		}
		g.call("MPI_Comm_group", abi.CommWorld, 140)
		g.call("MPI_Intercomm_create", abi.CommSelf, 0, abi.CommWorld, 1-g.rank, 9, 144)
		for _, again := range []func() uint64{
			func() uint64 { return g.call("MPI_Comm_dup", abi.CommWorld, 64) },
			func() uint64 { return g.call("MPI_Comm_split", abi.CommWorld, 3, -g.rank, 64) },
			func() uint64 {
				g.setInts(128, 2, 1)
				return g.call("MPI_Cart_create", abi.CommWorld, 1, 128, 132, 0, 64)
			},
			func() uint64 { return g.call("MPI_Comm_create_group", abi.CommWorld, g.int(140), 5, 64) },
			func() uint64 { return g.call("MPI_Intercomm_merge", g.int(144), g.rank, 64) },
			func() uint64 {
				g.setInts(128, g.rank, 1, 1-g.rank)
				return g.call("MPI_Dist_graph_create", abi.CommWorld, 1, 128, 132, 136, 2, abi.InfoNull, 0, 64)
			},
		} {
			if g.rank == 0 {
				kept := g.p.kept
				g.p.kept = 1<<20 - 10
				require.EqualValues(t, abi.ErrNoMem, again())
				g.p.kept = kept
			}
			require.EqualValues(t, abi.Success, again())
			require.EqualValues(t, abi.Success, g.call("MPI_Allreduce", sbuf, rbuf, 1, tInt, abi.OpSum, g.int(64)))
			require.Equal(t, 10, g.int(rbuf))
			g.call("MPI_Comm_free", 64)
		}
		require.EqualValues(t, abi.Success, g.call("MPI_Comm_idup", abi.CommWorld, 64, 68))
		require.EqualValues(t, abi.Success, g.call("MPI_Allreduce", sbuf, rbuf, 30_000, tInt, abi.OpSum, abi.CommWorld))
		require.Equal(t, 10, g.int(rbuf))
		g.call("MPI_Wait", 68, 0)
		require.EqualValues(t, abi.Success, g.call("MPI_Allreduce", sbuf, rbuf, 1, tInt, abi.OpSum, g.int(64)))
		g.call("MPI_Comm_free", 64)

		// One that a function of the program has let fail is over, as an MPI_Comm_dup is, and the key of an attribute that was copied before is not needed any more.
		const copies = 11
		g.p.Bind(g.program)
		fails := g.rank == 0
		g.functions[copies] = func(...uint32) uint32 {
			if fails {
				return abi.ErrOther
			}
			return abi.Success
		}
		keys, comms, requests := len(g.p.keyvals.items), len(g.p.comms.items), len(g.p.requests)-len(g.p.freeList)
		g.call("MPI_Comm_create_keyval", 1, 0, 400, 0) // MPI_COMM_DUP_FN
		g.call("MPI_Comm_create_keyval", copies, 0, 404, 0)
		g.call("MPI_Comm_set_attr", abi.CommWorld, g.int(400), 1)
		g.call("MPI_Comm_set_attr", abi.CommWorld, g.int(404), 1)
		for range 2 {
			if g.rank == 0 {
				require.NotZero(t, g.call("MPI_Comm_idup", abi.CommWorld, 64, 68))
			} else {
				require.EqualValues(t, abi.Success, g.call("MPI_Comm_idup", abi.CommWorld, 64, 68))
				require.EqualValues(t, abi.Success, g.call("MPI_Wait", 68, 0))
				require.EqualValues(t, abi.Success, g.call("MPI_Comm_free", 64))
			}
			g.setInts(sbuf, 5, 6)
			require.EqualValues(t, abi.Success, g.call("MPI_Allreduce", sbuf, rbuf, 2, tInt, abi.OpSum, abi.CommWorld))
			require.Equal(t, []int{10, 12}, g.ints(rbuf, 2))
		}
		fails = false
		require.EqualValues(t, abi.Success, g.call("MPI_Comm_idup", abi.CommWorld, 64, 68))
		g.call("MPI_Wait", 68, 0)
		require.EqualValues(t, abi.Success, g.call("MPI_Barrier", g.int(64)))
		require.EqualValues(t, abi.Success, g.call("MPI_Barrier", abi.CommWorld))
		g.call("MPI_Comm_free", 64)
		require.Equal(t, []int{comms, requests}, []int{len(g.p.comms.items), len(g.p.requests) - len(g.p.freeList)})
		for _, at := range []int{400, 404} {
			g.call("MPI_Comm_delete_attr", abi.CommWorld, g.int(at))
			g.call("MPI_Comm_free_keyval", at)
		}
		require.Len(t, g.p.keyvals.items, keys)
	})
}
