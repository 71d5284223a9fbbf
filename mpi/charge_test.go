package mpi

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// hungry runs a rank whose library may keep little for it.
func hungry(t *testing.T, size int, limit int64, f func(g *guest)) {
	t.Helper()
	cfg := smallConfig(size)
	cfg.MaxMemory = limit
	for r, err := range runLocal(t, cfg, func(g *guest) {
		g.call("MPI_Comm_set_errhandler", commWorld, errorsReturn)
		g.call("MPI_Comm_set_errhandler", commSelf, errorsReturn)
		f(g)
		g.call("MPI_Barrier", commWorld)
	}) {
		require.NoError(t, err, "rank %d", r)
	}
}

// TestTypesAreCharged: a program may make so many and so large datatypes as there is room for, in whatever way they hang together, and when it has freed them
// nothing is left of the charge.
func TestTypesAreCharged(t *testing.T) {
	hungry(t, 1, 1<<20, func(g *guest) {
		none := g.p.kept
		const lens, displs = 4096, 8192
		for i := range 500 {
			g.setInts(lens+4*i, 1)
			g.setInts(displs+4*i, 2*i)
		}
		handles := 0
		for ; g.call("MPI_Type_indexed", 500, lens, displs, tInt, 16384+4*handles) == success; handles++ {
			require.Less(t, handles, 1000)
		}
		require.EqualValues(t, errNoMem, g.call("MPI_Type_indexed", 500, lens, displs, tInt, 60))
		require.Greater(t, handles, 10)
		require.LessOrEqual(t, g.p.kept, int64(1<<20))
		full := g.p.kept
		g.call("MPI_Type_free", 16384)
		require.EqualValues(t, success, g.call("MPI_Type_dup", g.int(16388), 64), "that is small: it shares what it is made of")
		g.call("MPI_Type_free", 16388)
		require.Greater(t, g.p.kept, full-2*(full-none)/int64(handles), "the copy still needs it")
		g.call("MPI_Type_free", 64)
		for i := 2; i < handles; i++ {
			g.call("MPI_Type_free", 16384+4*i)
		}
		require.Equal(t, none, g.p.kept)
	})
}

// TestLongListsAreRefused: what would take the library more than there is room for is refused before it is made.
func TestLongListsAreRefused(t *testing.T) {
	hungry(t, 1, 1<<20, func(g *guest) {
		none := g.p.kept
		g.setInts(64, 1<<23, distributeCyclic, distributeArg, 1)
		require.EqualValues(t, errNoMem, g.call("MPI_Type_create_darray", 1, 0, 1, 64, 68, 72, 76, orderC, tInt, 80))
		require.EqualValues(t, errNoMem, g.call("MPI_Type_indexed", 100_000, 4096, 4096, tInt, 80))
		require.EqualValues(t, errNoMem, g.call("MPI_Waitall", 200_000, 4096, 0))
		require.EqualValues(t, errNoMem, g.call("MPI_Group_incl", groupEmpty, 100_000, 4096, 80))
		require.Equal(t, none, g.p.kept)
	})
}

// TestTablesAreCharged: groups, communicators and infos are charged for until they are freed.
func TestTablesAreCharged(t *testing.T) {
	hungry(t, 1, 1<<20, func(g *guest) {
		none := g.p.kept
		makes := map[string]func(at int) uint64{
			"MPI_Comm_group": func(at int) uint64 { return g.call("MPI_Comm_group", commWorld, at) },
			"MPI_Comm_dup":   func(at int) uint64 { return g.call("MPI_Comm_dup", commWorld, at) },
			"MPI_Info_create": func(at int) uint64 {
				if code := g.call("MPI_Info_create", at); code != success {
					return code
				}
				copy(g.mem[128:], "a key\x00a long value\x00")
				return g.call("MPI_Info_set", g.int(at), 128, 134)
			},
		}
		frees := map[string]string{"MPI_Comm_group": "MPI_Group_free", "MPI_Comm_dup": "MPI_Comm_free", "MPI_Info_create": "MPI_Info_free"}
		for name, make1 := range makes {
			n, code := 0, uint64(success)
			for ; code == success; n++ {
				g.setInts(16384+4*n, infoNull)
				code = make1(16384 + 4*n)
				require.Less(t, n, 60_000, name)
			}
			require.EqualValues(t, errNoMem, code, name)
			require.LessOrEqual(t, g.p.kept, int64(1<<20))
			for i := range n {
				if h := g.int(16384 + 4*i); h != infoNull && h != 0 {
					g.call(frees[name], 16384+4*i)
				}
			}
			require.Equal(t, none, g.p.kept, name)
		}
	})
}

// TestRequestsAreCharged: copies and scratch memory of calls under way count until they are over.
func TestRequestsAreCharged(t *testing.T) {
	started := make(chan int, 1)
	hungry(t, 2, 256<<10, func(g *guest) {
		none := g.p.kept
		if g.rank == 1 {
			for range <-started {
				g.call("MPI_Sendrecv", sbuf, 25_000, tByte, 0, 1, rbuf, 25_000, tByte, 0, 1, commWorld, 0)
			}
		} else {
			n := 0
			for ; g.call("MPI_Isendrecv_replace", sbuf, 25_000, tByte, 1, 1, 1, 1, commWorld, 64+4*n) == success; n++ {
				require.Less(t, n, 100)
			}
			require.Equal(t, 10, n)
			require.EqualValues(t, errNoMem, g.call("MPI_Sendrecv_replace", sbuf, 25_000, tByte, 1, 1, 1, 1, commWorld, 0))
			require.LessOrEqual(t, g.p.kept, int64(256<<10))
			started <- n
			require.EqualValues(t, success, g.call("MPI_Waitall", n, 64, 0))
		}
		require.Equal(t, none, g.p.kept)
		require.EqualValues(t, errNoMem, g.call("MPI_Iallreduce", sbuf, rbuf, 70_000, tInt, opSum, commWorld, 64))
		require.Equal(t, none, g.p.kept)
		require.EqualValues(t, success, g.call("MPI_Iallreduce", sbuf, rbuf, 1000, tInt, opSum, commWorld, 64))
		require.Greater(t, g.p.kept, none)
		g.call("MPI_Wait", 64, 0)
		require.Equal(t, none, g.p.kept)
	})
}

// TestChargeMoves: a rank that was captured and restored is charged as it was.
func TestChargeMoves(t *testing.T) {
	a := newApart(t, 1<<20)
	g := a.ranks[0]
	none := g.p.kept
	g.setInts(4096, 1, 1, 1)
	g.call("MPI_Type_indexed", 3, 4096, 4096, tInt, 64)
	g.call("MPI_Type_dup", g.int(64), 68)
	g.call("MPI_Type_contiguous", 5, g.int(68), 72)
	g.call("MPI_Type_free", 68)
	g.call("MPI_Iallreduce", sbuf, rbuf, 1000, tInt, opSum, commWorld, 76)
	kept := g.p.kept
	require.Greater(t, kept, none+3*typeCost)
	a.move(0, NewWorld(DefaultConfig(2), &a.nets[0]), 2)
	require.Equal(t, kept, g.p.kept)
	g.call("MPI_Type_free", 64)
	require.Greater(t, g.p.kept, kept-2*typeCost)
	g.call("MPI_Type_free", 72)
	require.Less(t, g.p.kept, kept-3*typeCost)
}

// TestCopiesMoveCharged: so are copies, whether they have left already or not.
func TestCopiesMoveCharged(t *testing.T) {
	a := newApart(t, 1<<20)
	g := a.ranks[0]
	none := g.p.kept
	for i, n := range []int{1000, 300_000} { // the first one leaves at once
		g.call("MPI_Isendrecv_replace", sbuf, n, tByte, 1, 1, 1, 1, commWorld, 64+4*i)
	}
	kept := g.p.kept
	require.Greater(t, kept, none+301_000)
	a.move(0, NewWorld(DefaultConfig(2), &a.nets[0]), 2)
	require.Equal(t, kept, g.p.kept)
}

// TestAtTheLimit: what gives memory back, and what is small, goes on when there is no room any more; a rank that has too much may move.
func TestAtTheLimit(t *testing.T) {
	hungry(t, 2, 1<<20, func(g *guest) {
		g.call("MPI_Irecv", rbuf, 1, tInt, 1-g.rank, 1, commWorld, 64)
		kept := g.p.kept
		g.p.kept = 2 << 20
		g.setInts(sbuf, 7)
		require.EqualValues(t, success, g.call("MPI_Send", sbuf, 1, tInt, 1-g.rank, 1, commWorld))
		require.EqualValues(t, success, g.call("MPI_Waitall", 1, 64, 0))
		require.EqualValues(t, success, g.call("MPI_Barrier", commWorld))
		require.EqualValues(t, errNoMem, g.call("MPI_Info_create", 64))
		g.p.kept = kept
	})
	a := newApart(t, 1<<20)
	a.ranks[0].call("MPI_Comm_dup", commSelf, 64)
	cfg := DefaultConfig(2)
	cfg.MaxMemory = 1
	a.move(0, NewWorld(cfg, &a.nets[0]), 2)
	require.Greater(t, a.ranks[0].p.kept, int64(1))
}

// TestDeepTypes: a type is made of types no deeper than whoever goes through it can go down.
func TestDeepTypes(t *testing.T) {
	hungry(t, 1, 1<<30, func(g *guest) {
		none := g.p.kept
		g.call("MPI_Type_contiguous", 3, tInt, 64)
		depth := 1
		for ; g.call("MPI_Type_dup", g.int(64), 68) == success; depth++ {
			g.call("MPI_Type_free", 64)
			g.setInts(64, g.int(68))
			require.LessOrEqual(t, depth, maxTypeDepth)
		}
		require.Greater(t, depth, maxTypeDepth-2)
		require.Greater(t, g.p.kept, none+typeCost*maxTypeDepth/2)
		g.call("MPI_Type_free", 64)
		require.Equal(t, none, g.p.kept)
	})
}

// TestTopologiesAreCharged: by their edges; and collectives on them by their messages.
func TestTopologiesAreCharged(t *testing.T) {
	hungry(t, 1, 1<<20, func(g *guest) {
		none := g.p.kept
		const edges, n = 8192, 1000 // all from and to itself
		require.EqualValues(t, success, g.call("MPI_Dist_graph_create_adjacent", commSelf, n, edges, 2, n, edges, 2, infoNull, 0, 64))
		with := g.p.kept
		require.GreaterOrEqual(t, with, none+2*n*wordCost)
		require.EqualValues(t, success, g.call("MPI_Neighbor_allgather_init", sbuf, 0, tInt, rbuf, 0, tInt, g.int(64), infoNull, 68))
		require.GreaterOrEqual(t, g.p.kept, with+2*n*transferCost)
		g.call("MPI_Request_free", 68)
		require.Equal(t, with, g.p.kept)
		g.call("MPI_Comm_free", 64)
		require.Equal(t, none, g.p.kept)
	})
}

// TestLongAccumulateIsRefused: an operation for which its target has no room is not done, its origin hears of it, and the window goes on.
func TestLongAccumulateIsRefused(t *testing.T) {
	hungry(t, 2, 256<<10, func(g *guest) {
		none := g.p.kept
		g.call("MPI_Win_create", rbuf, 500_000, 4, infoNull, commWorld, 64)
		g.call("MPI_Win_set_errhandler", g.int(64), errorsReturn)
		if g.rank == 0 {
			g.setInts(sbuf, 5)
			for _, name := range []string{"MPI_Accumulate", "MPI_Get_accumulate"} {
				for _, n := range []int{60_000, 1} {
					g.call("MPI_Win_lock", lockShared, 1, 0, g.int(64))
					if name == "MPI_Accumulate" {
						g.call(name, sbuf, n, tInt, 1, 0, n, tInt, opSum, g.int(64))
					} else {
						g.call(name, sbuf, n, tInt, 800_000, n, tInt, 1, 0, n, tInt, opSum, g.int(64))
					}
					code := g.call("MPI_Win_unlock", 1, g.int(64))
					require.Equal(t, n == 1, code == success, "%s of %d: %d", name, n, code)
				}
			}
		}
		g.call("MPI_Barrier", commWorld)
		if g.rank == 1 {
			require.Equal(t, 10, g.int(rbuf))
		}
		g.call("MPI_Win_free", 64)
		require.Equal(t, none, g.p.kept)
	})
}
