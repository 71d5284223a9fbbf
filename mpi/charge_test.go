package mpi

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/coll"
	"github.com/godwit-run/godwit/mpi/layout"
)

// hungry runs a rank whose library may keep little for it.
func hungry(t *testing.T, size int, limit int64, f func(g *guest)) {
	t.Helper()
	cfg := smallConfig(size)
	cfg.MaxMemory = limit
	for r, err := range runLocal(t, cfg, func(g *guest) {
		g.call("MPI_Comm_set_errhandler", abi.CommWorld, abi.ErrorsReturn)
		g.call("MPI_Comm_set_errhandler", abi.CommSelf, abi.ErrorsReturn)
		f(g)
		g.call("MPI_Barrier", abi.CommWorld)
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
		for ; g.call("MPI_Type_indexed", 500, lens, displs, tInt, 16384+4*handles) == abi.Success; handles++ {
			require.Less(t, handles, 1000)
		}
		require.EqualValues(t, abi.ErrNoMem, g.call("MPI_Type_indexed", 500, lens, displs, tInt, 60))
		require.Greater(t, handles, 10)
		require.LessOrEqual(t, g.p.kept, int64(1<<20))
		full := g.p.kept
		g.call("MPI_Type_free", 16384)
		require.EqualValues(t, abi.Success, g.call("MPI_Type_dup", g.int(16388), 64), "that is small: it shares what it is made of")
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
		g.setInts(64, 1<<23, abi.DistributeCyclic, abi.DistributeArg, 1)
		require.EqualValues(t, abi.ErrNoMem, g.call("MPI_Type_create_darray", 1, 0, 1, 64, 68, 72, 76, abi.OrderC, tInt, 80))
		require.EqualValues(t, abi.ErrNoMem, g.call("MPI_Type_indexed", 100_000, 4096, 4096, tInt, 80))
		require.EqualValues(t, abi.ErrNoMem, g.call("MPI_Waitall", 200_000, 4096, 0))
		require.EqualValues(t, abi.ErrNoMem, g.call("MPI_Group_incl", abi.GroupEmpty, 100_000, 4096, 80))
		require.Equal(t, none, g.p.kept)
	})
}

// TestTablesAreCharged: groups, communicators and infos are charged for until they are freed.
func TestTablesAreCharged(t *testing.T) {
	hungry(t, 1, 1<<20, func(g *guest) {
		none := g.p.kept
		makes := map[string]func(at int) uint64{
			"MPI_Comm_group": func(at int) uint64 { return g.call("MPI_Comm_group", abi.CommWorld, at) },
			"MPI_Comm_dup":   func(at int) uint64 { return g.call("MPI_Comm_dup", abi.CommWorld, at) },
			"MPI_Info_create": func(at int) uint64 {
				if code := g.call("MPI_Info_create", at); code != abi.Success {
					return code
				}
				copy(g.mem[128:], "a key\x00a long value\x00")
				return g.call("MPI_Info_set", g.int(at), 128, 134)
			},
		}
		frees := map[string]string{"MPI_Comm_group": "MPI_Group_free", "MPI_Comm_dup": "MPI_Comm_free", "MPI_Info_create": "MPI_Info_free"}
		for name, make1 := range makes {
			n, code := 0, uint64(abi.Success)
			for ; code == abi.Success; n++ {
				g.setInts(16384+4*n, abi.InfoNull)
				code = make1(16384 + 4*n)
				require.Less(t, n, 60_000, name)
			}
			require.EqualValues(t, abi.ErrNoMem, code, name)
			require.LessOrEqual(t, g.p.kept, int64(1<<20))
			for i := range n {
				if h := g.int(16384 + 4*i); h != abi.InfoNull && h != 0 {
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
				g.call("MPI_Sendrecv", sbuf, 25_000, tByte, 0, 1, rbuf, 25_000, tByte, 0, 1, abi.CommWorld, 0)
			}
		} else {
			n := 0
			for ; g.call("MPI_Isendrecv_replace", sbuf, 25_000, tByte, 1, 1, 1, 1, abi.CommWorld, 64+4*n) == abi.Success; n++ {
				require.Less(t, n, 100)
			}
			require.Equal(t, 10, n)
			require.EqualValues(t, abi.ErrNoMem, g.call("MPI_Sendrecv_replace", sbuf, passing+1, tByte, 1, 1, 1, 1, abi.CommWorld, 0))
			require.LessOrEqual(t, g.p.kept, int64(256<<10))
			started <- n
			require.EqualValues(t, abi.Success, g.call("MPI_Waitall", n, 64, 0))
		}
		require.Equal(t, none, g.p.kept)
		require.EqualValues(t, abi.ErrNoMem, g.call("MPI_Iallreduce", sbuf, rbuf, 70_000, tInt, abi.OpSum, abi.CommWorld, 64))
		require.Equal(t, none, g.p.kept)
		require.EqualValues(t, abi.Success, g.call("MPI_Iallreduce", sbuf, rbuf, 1000, tInt, abi.OpSum, abi.CommWorld, 64))
		require.Greater(t, g.p.kept, none)
		g.call("MPI_Wait", 64, 0)
		require.Equal(t, none, g.p.kept)
		n := 0 // each of them is small
		for ; g.call("MPI_Allreduce_init", sbuf, rbuf, 3500, tInt, abi.OpSum, abi.CommWorld, abi.InfoNull, 64+4*n) == abi.Success; n++ {
			require.Less(t, n, 20)
		}
		require.LessOrEqual(t, g.p.kept, int64(256<<10))
		for i := range n {
			g.call("MPI_Request_free", 64+4*i)
		}
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
	g.call("MPI_Iallreduce", sbuf, rbuf, 1000, tInt, abi.OpSum, abi.CommWorld, 76)
	kept := g.p.kept
	require.Greater(t, kept, none+3*layout.TypeCost)
	a.move(0, NewWorld(DefaultConfig(2), &a.nets[0]), 2)
	require.Equal(t, kept, g.p.kept)
	g.call("MPI_Type_free", 64)
	require.Greater(t, g.p.kept, kept-2*layout.TypeCost)
	g.call("MPI_Type_free", 72)
	require.Less(t, g.p.kept, kept-3*layout.TypeCost)
}

// TestCopiesMoveCharged: so are copies, whether they have left already or not.
func TestCopiesMoveCharged(t *testing.T) {
	a := newApart(t, 1<<20)
	g := a.ranks[0]
	none := g.p.kept
	for i, n := range []int{1000, 300_000} { // the first one leaves at once
		g.call("MPI_Isendrecv_replace", sbuf, n, tByte, 1, 1, 1, 1, abi.CommWorld, 64+4*i)
	}
	kept := g.p.kept
	require.Greater(t, kept, none+301_000)
	a.move(0, NewWorld(DefaultConfig(2), &a.nets[0]), 2)
	require.Equal(t, kept, g.p.kept)
}

// TestAtTheLimit: what gives memory back, and what is small and passes, goes on when there is no room any more; a rank that has too much may move.
func TestAtTheLimit(t *testing.T) {
	const many = 2000
	hungry(t, 2, 1<<20, func(g *guest) {
		copy(g.mem[128:], "a key\x00a value\x00")
		g.call("MPI_Info_create", 200)
		g.call("MPI_Info_set", g.int(200), 128, 134)
		g.call("MPI_Type_contiguous", 3, tInt, 204)
		g.call("MPI_Comm_dup", abi.CommWorld, 208)
		g.call("MPI_Comm_group", abi.CommWorld, 212)
		g.call("MPI_Win_create", rbuf, 4096, 4, abi.InfoNull, abi.CommWorld, 216)
		g.call("MPI_Win_set_errhandler", g.int(216), abi.ErrorsReturn)
		g.call("MPI_Barrier_init", abi.CommWorld, abi.InfoNull, 220)
		g.call("MPI_Op_create", 1, 1, 224)
		g.call("MPI_Comm_create_errhandler", 1, 228)
		g.call("MPI_Irecv", rbuf, 1, tInt, 1-g.rank, 1, abi.CommWorld, 64)
		for i := range many {
			g.call("MPI_Irecv", rbuf, 1, tInt, g.rank, 2, abi.CommWorld, 16384+4*i)
		}
		kept := g.p.kept
		fill := func(n int64) {
			g.p.lock()
			defer g.p.release()
			g.p.kept = n
		}
		fill(2 << 20)
		g.setInts(sbuf, 7)
		require.EqualValues(t, abi.Success, g.call("MPI_Send", sbuf, 1, tInt, 1-g.rank, 1, abi.CommWorld))
		require.EqualValues(t, abi.Success, g.call("MPI_Waitall", 1, 64, 0))
		for range many {
			require.EqualValues(t, abi.Success, g.call("MPI_Send", sbuf, 1, tInt, g.rank, 2, abi.CommWorld))
		}
		require.EqualValues(t, abi.Success, g.call("MPI_Waitall", many, 16384, 0))
		require.EqualValues(t, abi.Success, g.call("MPI_Barrier", abi.CommWorld))
		g.call("MPI_Win_lock", abi.LockShared, 1-g.rank, 0, g.int(216))
		require.EqualValues(t, abi.Success, g.call("MPI_Fetch_and_op", sbuf, 240, tInt, 1-g.rank, 0, abi.OpSum, g.int(216)))
		require.EqualValues(t, abi.Success, g.call("MPI_Win_unlock", 1-g.rank, g.int(216)))
		require.Equal(t, 7, g.int(240))
		require.EqualValues(t, abi.Success, g.call("MPI_Sendrecv_replace", sbuf, 1, tInt, g.rank, 2, g.rank, 2, abi.CommWorld, 0))
		g.call("MPI_Buffer_attach", 32768, 4096)
		require.EqualValues(t, abi.Success, g.call("MPI_Bsend", sbuf, 1, tInt, g.rank, 2, abi.CommWorld))
		require.EqualValues(t, abi.Success, g.call("MPI_Recv", rbuf+64, 1, tInt, g.rank, 2, abi.CommWorld, 0))
		require.EqualValues(t, abi.Success, g.call("MPI_Type_create_f90_real", 6, abi.Undefined, 244))
		require.EqualValues(t, abi.ErrNoMem, g.call("MPI_Info_create", 64))
		require.EqualValues(t, abi.Success, g.call("MPI_Info_delete", g.int(200), 128))
		for at, name := range map[int]string{
			200: "MPI_Info_free", 204: "MPI_Type_free", 212: "MPI_Group_free", 220: "MPI_Request_free", 224: "MPI_Op_free", 228: "MPI_Errhandler_free",
		} {
			require.EqualValues(t, abi.Success, g.call(name, at), name)
		}
		require.EqualValues(t, abi.Success, g.call("MPI_Comm_free", 208))
		require.EqualValues(t, abi.Success, g.call("MPI_Win_free", 216))
		require.Less(t, g.p.kept, int64(2<<20)-layout.TypeCost-commCost-groupCost-2*infoCost)
		fill(kept)
	})
	a := newApart(t, 1<<20)
	a.ranks[0].call("MPI_Comm_dup", abi.CommSelf, 64)
	cfg := DefaultConfig(2)
	cfg.MaxMemory = 1
	a.move(0, NewWorld(cfg, &a.nets[0]), 2)
	require.Greater(t, a.ranks[0].p.kept, int64(1))
}

// TestDeepTypes: a type is made of types no deeper than whoever goes through it can go down, a rank that has the deepest one moves, and copies of copies are
// not deep.
func TestDeepTypes(t *testing.T) {
	a := newApart(t, 1<<20)
	g := a.ranks[0]
	g.call("MPI_Comm_set_errhandler", abi.CommWorld, abi.ErrorsReturn)
	none := g.p.kept
	deeper := func(name string, params ...int) bool {
		if g.call(name, params...) != abi.Success {
			return false
		}
		g.call("MPI_Type_free", 64)
		g.setInts(64, g.int(68))
		return true
	}
	g.call("MPI_Type_contiguous", 3, tInt, 64)
	depth := 1
	for ; deeper("MPI_Type_contiguous", 1, g.int(64), 68); depth++ {
		require.LessOrEqual(t, depth, layout.MaxDepth)
	}
	require.Greater(t, depth, layout.MaxDepth-2)
	require.Greater(t, g.p.kept, none+layout.TypeCost*layout.MaxDepth/2)
	a.move(0, NewWorld(DefaultConfig(2), &a.nets[0]), 2)
	g.call("MPI_Type_size", g.int(64), 72)
	require.Equal(t, 12, g.int(72))
	g.call("MPI_Type_free", 64)
	require.Equal(t, none, g.p.kept)

	g.call("MPI_Type_contiguous", 3, tInt, 64)
	for range 3 * layout.MaxDepth {
		require.True(t, deeper("MPI_Type_dup", g.int(64), 68))
	}
	require.LessOrEqual(t, g.p.kept, none+layout.TypeCost*(layout.MaxDepth+2)+wordCost*(layout.MaxDepth+2))
	g.call("MPI_Type_free", 64)
	require.Equal(t, none, g.p.kept)
}

// TestCallbacksDoNotCheatTheCharge: whatever a program's attribute functions free, what is still needed is charged for, once.
func TestCallbacksDoNotCheatTheCharge(t *testing.T) {
	w := NewWorld(smallConfig(1), noNetwork{})
	g := begun(t, w, 0, arenaBytes)
	prog := newProgram()
	g.p.Bind(prog)
	g.call("MPI_Comm_set_errhandler", abi.CommWorld, abi.ErrorsReturn)
	g.call("MPI_Comm_set_errhandler", abi.CommSelf, abi.ErrorsReturn)
	const copies, deletes, top = 11, 12, 64
	inside := func() {}
	prog.functions[copies] = func(...uint32) uint32 {
		inside()
		return abi.Success
	}
	prog.functions[deletes] = prog.functions[copies]
	once := func(f func()) {
		inside = func() {
			inside = func() {}
			f()
		}
	}
	none := g.p.kept

	// The type of which a copy is made is freed while it is made: 40 levels, each of which has the next one twice.
	g.call("MPI_Type_create_keyval", copies, deletes, 400, 0)
	g.call("MPI_Type_contiguous", 3, tInt, top)
	for range 40 {
		h := g.int(top)
		g.setInts(128, 1, 1)
		g.setInts(144, 0, 0)
		g.setInts(160, h, h)
		require.EqualValues(t, abi.Success, g.call("MPI_Type_create_struct", 2, 128, 144, 160, 68))
		g.call("MPI_Type_free", top)
		g.setInts(top, g.int(68))
	}
	with := g.p.kept
	g.call("MPI_Type_set_attr", g.int(top), g.int(400), 0)
	once(func() { require.EqualValues(t, abi.Success, g.call("MPI_Type_free", top)) })
	require.EqualValues(t, abi.Success, g.call("MPI_Type_dup", g.int(top), 68))
	require.Equal(t, abi.TypeNull, g.int(top))
	require.Greater(t, g.p.kept, with)
	g.call("MPI_Type_free", 68)
	require.Equal(t, none, g.p.kept)

	// What is freed again by its own delete function is freed once.
	g.call("MPI_Type_contiguous", 3, tInt, 64)
	g.call("MPI_Type_dup", g.int(64), 68)
	copied := g.p.kept
	g.call("MPI_Type_set_attr", g.int(64), g.int(400), 0)
	g.setInts(72, g.int(64))
	once(func() { require.EqualValues(t, abi.Success, g.call("MPI_Type_free", 72)) })
	require.EqualValues(t, abi.ErrType, g.call("MPI_Type_free", 64))
	require.Equal(t, copied, g.p.kept, "the copy needs it")
	g.call("MPI_Type_free", 68)
	require.Equal(t, none, g.p.kept)

	g.call("MPI_Comm_create_keyval", copies, deletes, 404, 0)
	g.call("MPI_Comm_dup", abi.CommWorld, 64)
	g.call("MPI_Comm_set_attr", g.int(64), g.int(404), 0)
	g.setInts(72, g.int(64))
	once(func() {
		require.EqualValues(t, abi.Success, g.call("MPI_Comm_free", 72))
		require.EqualValues(t, abi.Success, g.call("MPI_Comm_dup", abi.CommWorld, 76)) // which gets the handle
	})
	require.EqualValues(t, abi.ErrComm, g.call("MPI_Comm_free", 64))
	require.EqualValues(t, abi.Success, g.call("MPI_Comm_free", 76))
	require.Equal(t, none, g.p.kept)

	g.call("MPI_Win_create_keyval", copies, deletes, 408, 0)
	require.EqualValues(t, abi.Success, g.call("MPI_Win_allocate", 64, 1, abi.InfoNull, abi.CommWorld, 200, 64))
	g.call("MPI_Win_set_errhandler", g.int(64), abi.ErrorsReturn)
	g.call("MPI_Win_set_attr", g.int(64), g.int(408), 0)
	g.setInts(72, g.int(64))
	freed := prog.freed
	once(func() { require.EqualValues(t, abi.Success, g.call("MPI_Win_free", 72)) })
	require.EqualValues(t, abi.ErrWin, g.call("MPI_Win_free", 64))
	require.Equal(t, freed+1, prog.freed, "its memory is the program's again, once")
	require.Equal(t, none, g.p.kept)
}

// TestTopologiesAreCharged: by their edges, however they are made; and collectives on them by their messages.
func TestTopologiesAreCharged(t *testing.T) {
	const edges, n = 8192, 1000 // all from and to itself
	for name, makes := range map[string]struct {
		numbers int
		make    func(g *guest, out int) uint64
	}{
		"adjacent": {2 * n, func(g *guest, out int) uint64 {
			return g.call("MPI_Dist_graph_create_adjacent", abi.CommSelf, n, edges, 2, n, edges, 2, abi.InfoNull, 0, out)
		}},
		"distributed": {2 * n, func(g *guest, out int) uint64 {
			g.setInts(256, 0, n)
			return g.call("MPI_Dist_graph_create", abi.CommSelf, 1, 256, 260, edges, 2, abi.InfoNull, 0, out)
		}},
		"graph": {n + 1, func(g *guest, out int) uint64 {
			g.setInts(256, n)
			return g.call("MPI_Graph_create", abi.CommSelf, 1, 256, edges, 0, out)
		}},
		"grid": {1, func(g *guest, out int) uint64 {
			g.setInts(256, 1, 0)
			return g.call("MPI_Cart_create", abi.CommSelf, 1, 256, 260, 0, out)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			hungry(t, 1, 1<<20, func(g *guest) {
				none := g.p.kept
				require.EqualValues(t, abi.Success, makes.make(g, 64))
				with := g.p.kept
				bare := none + commCost + groupCost + rankCost
				require.GreaterOrEqual(t, with, bare+int64(makes.numbers)*wordCost)
				require.EqualValues(t, abi.Success, g.call("MPI_Comm_dup", g.int(64), 68))
				require.Equal(t, none+2*(with-none), g.p.kept)
				g.call("MPI_Comm_free", 68)
				require.EqualValues(t, abi.Success, g.call("MPI_Neighbor_allgather_init", sbuf, 0, tInt, rbuf, 0, tInt, g.int(64), abi.InfoNull, 68))
				require.GreaterOrEqual(t, g.p.kept, with+int64(makes.numbers-2)*transferCost/2)
				g.call("MPI_Request_free", 68)
				if name == "grid" {
					g.setInts(256, 1)
					require.EqualValues(t, abi.Success, g.call("MPI_Cart_sub", g.int(64), 256, 68))
					require.Equal(t, none+2*(with-none), g.p.kept)
					g.call("MPI_Comm_free", 68)
				}
				require.Equal(t, with, g.p.kept)
				g.call("MPI_Comm_free", 64)
				require.Equal(t, none, g.p.kept)

				g.p.kept = 1<<20 - (with - none) + 1 // what it takes, but for a byte
				full, comms := g.p.kept, len(g.p.comms.items)
				require.EqualValues(t, abi.ErrNoMem, makes.make(g, 64))
				require.Equal(t, full, g.p.kept)
				require.Len(t, g.p.comms.items, comms)
				g.p.kept = none
			})
		})
	}
}

// TestCostsAreSizes: what is charged for the pieces of lists is what they take, or up to as much again.
func TestCostsAreSizes(t *testing.T) {
	for _, x := range []struct {
		cost int64
		of   any
	}{{layout.TypeCost, layout.Type{}}, {layout.PieceCost, layout.Piece{}}, {roundCost, coll.Round{}}, {transferCost, coll.Transfer{}}, {actionCost, coll.Action{}}} {
		size := int64(reflect.TypeOf(x.of).Size())
		require.GreaterOrEqual(t, x.cost, size, "%T", x.of)
		require.LessOrEqual(t, x.cost, 2*size, "%T", x.of)
	}
}

// TestLongAccumulateIsRefused: an operation for which its target has no room is not done, its origin hears of it, and the window goes on.
func TestLongAccumulateIsRefused(t *testing.T) {
	hungry(t, 2, 256<<10, func(g *guest) {
		none := g.p.kept
		g.call("MPI_Win_create", rbuf, 500_000, 4, abi.InfoNull, abi.CommWorld, 64)
		g.call("MPI_Win_set_errhandler", g.int(64), abi.ErrorsReturn)
		if g.rank == 0 {
			g.setInts(sbuf, 5)
			for _, name := range []string{"MPI_Accumulate", "MPI_Get_accumulate"} {
				for _, n := range []int{60_000, 1} {
					g.call("MPI_Win_lock", abi.LockShared, 1, 0, g.int(64))
					if name == "MPI_Accumulate" {
						g.call(name, sbuf, n, tInt, 1, 0, n, tInt, abi.OpSum, g.int(64))
					} else {
						g.call(name, sbuf, n, tInt, 800_000, n, tInt, 1, 0, n, tInt, abi.OpSum, g.int(64))
					}
					code := g.call("MPI_Win_unlock", 1, g.int(64))
					require.Equal(t, n == 1, code == abi.Success, "%s of %d: %d", name, n, code)
				}
			}
		}
		g.call("MPI_Barrier", abi.CommWorld)
		if g.rank == 1 {
			require.Equal(t, 10, g.int(rbuf))
		}
		g.call("MPI_Win_free", 64)
		require.Equal(t, none, g.p.kept)
	})
}
