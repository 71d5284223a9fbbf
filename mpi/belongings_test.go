package mpi

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
)

// belonging is something that rank 0 has when it is frozen, and uses in another World. The other ranks begin their side of it
// before that, and go on after it; rank 2 only where it is collective.
type belonging struct {
	name                string
	make, use           func(x *ice)
	makeOther, useOther func(x *ice)
	collective          bool
}

func nothing(*ice) {}

// alone is a belonging of rank 0 without another side.
func alone(name string, first, then func(x *ice)) belonging {
	return belonging{name: name, make: first, use: then, makeOther: nothing, useOther: nothing}
}

// Whatever a program has made moves with it.
func TestBelongingsMove(t *testing.T) {
	for _, b := range slices.Concat(belongings(), transfers(), together()) {
		t.Run(b.name, func(t *testing.T) {
			freezeRow(t, frozenRow{name: "MPI_Recv", all: func(x *ice) {
				switch x.rank {
				case 0:
					b.make(x)
					x.call("MPI_Recv", 0, 0, tInt, 1, tellTag, abi.CommWorld, 0) // all of rank 1's beginning is here
					x.block()
					x.call("MPI_Recv", 0, 0, tInt, 1, tellTag, abi.CommWorld, 0)
					b.use(x)
				case 1:
					b.makeOther(x)
					x.call("MPI_Send", 0, 0, tInt, 0, tellTag, abi.CommWorld)
					x.release()
					x.call("MPI_Send", 0, 0, tInt, 0, tellTag, abi.CommWorld)
					b.useOther(x)
				case 2:
					if b.collective {
						b.makeOther(x)
						b.useOther(x)
					}
				}
			}})
		})
	}
}

// handles of belongings are from here on.
const own = 1024

func belongings() []belonging {
	const fn, deleted = 21, 22
	return []belonging{
		alone("communicators, their names, attributes and handlers", func(x *ice) {
			x.call("MPI_Comm_dup", abi.CommSelf, own)
			copy(x.mem[own+8:], "mine\x00")
			x.call("MPI_Comm_set_name", x.int(own), own+8)
			x.functions[deleted] = func(p ...uint32) uint32 { x.setInts(own+200, int(p[2])); return 0 }
			x.call("MPI_Comm_create_keyval", abi.CopyNull, deleted, own+4, 0)
			x.call("MPI_Comm_set_attr", x.int(own), x.int(own+4), 77)
			x.call("MPI_Comm_free_keyval", own+4) // the attribute keeps it
			x.functions[fn] = func(p ...uint32) uint32 { x.setInts(own+204, x.int(int(p[1]))); return 0 }
			x.call("MPI_Comm_create_errhandler", fn, own+16)
			x.call("MPI_Comm_set_errhandler", x.int(own), x.int(own+16))
			x.call("MPI_Errhandler_free", own+16)
		}, func(x *ice) {
			x.call("MPI_Comm_get_name", x.int(own), own+32, own+100)
			require.Equal(x.t, "mine\x00", string(x.mem[own+32:own+37]))
			require.EqualValues(x.t, abi.ErrRank, x.call("MPI_Send", sbuf, 1, tInt, 7, 0, x.int(own)))
			require.Equal(x.t, abi.ErrRank, x.int(own+204))
			x.call("MPI_Comm_free", own)
			require.Equal(x.t, 77, x.int(own+200))
		}),
		alone("types, named or not, freed or not", func(x *ice) {
			x.call("MPI_Type_vector", 3, 1, 2, tInt, own)
			x.call("MPI_Type_contiguous", 2, x.int(own), own+4)
			x.call("MPI_Type_free", own)
			copy(x.mem[own+8:], "int\x00")
			x.call("MPI_Type_set_name", tInt, own+8)
			x.call("MPI_Type_create_f90_integer", 9, own+16)
			x.call("MPI_Type_get_value_index", tLong, tAint, own+20)
		}, func(x *ice) {
			x.call("MPI_Type_commit", own+4)
			for i := range 11 {
				x.setInts(sbuf+4*i, i)
			}
			x.setInts(own+24, 0)
			x.call("MPI_Pack", sbuf, 1, x.int(own+4), rbuf, 24, own+24, abi.CommWorld)
			require.Equal(x.t, []int{0, 2, 4, 5, 7, 9}, x.ints(rbuf, 6))
			x.call("MPI_Type_get_name", tInt, own+32, own+100)
			require.Equal(x.t, "int\x00", string(x.mem[own+32:own+36]))
			x.call("MPI_Type_create_f90_integer", 9, own+28)
			require.Equal(x.t, x.int(own+16), x.int(own+28))
			x.call("MPI_Type_get_value_index", tLong, tAint, own+28)
			require.Equal(x.t, x.int(own+20), x.int(own+28))
			x.call("MPI_Type_get_contents", x.int(own+4), 1, 0, 1, own+28, 0, own+32)
			x.call("MPI_Type_size", x.int(own+32), own+36)
			require.Equal(x.t, 12, x.int(own+36))
		}),
		alone("operations, groups, hints, error codes, sessions", func(x *ice) {
			x.functions[fn] = func(p ...uint32) uint32 {
				x.setInts(int(p[1]), x.int(int(p[0]))-x.int(int(p[1])))
				return 0
			}
			x.call("MPI_Op_create", fn, 0, own)
			x.call("MPI_Comm_group", abi.CommWorld, own+4)
			x.call("MPI_Info_create", own+8)
			copy(x.mem[own+12:], "key\x00")
			x.call("MPI_Info_set", x.int(own+8), own+12, own+12)
			x.call("MPI_Add_error_class", own+16)
			x.call("MPI_Add_error_code", x.int(own+16), own+20)
			x.call("MPI_Add_error_string", x.int(own+20), own+12)
			x.call("MPI_Session_init", abi.InfoNull, abi.ErrorsReturn, own+24)
			x.call("MPI_Comm_get_attr", abi.CommWorld, abi.KeyLastUsedCode, own+28, own+32)
		}, func(x *ice) {
			x.setInts(sbuf, 10, 3)
			x.call("MPI_Reduce_local", sbuf, sbuf+4, 1, tInt, x.int(own))
			require.Equal(x.t, 7, x.int(sbuf+4))
			x.call("MPI_Group_size", x.int(own+4), own+36)
			require.Equal(x.t, 3, x.int(own+36))
			x.call("MPI_Info_get", x.int(own+8), own+12, 10, own+40, own+36)
			require.Equal(x.t, "key\x00", string(x.mem[own+40:own+44]))
			x.call("MPI_Error_class", x.int(own+20), own+36)
			require.Equal(x.t, x.int(own+16), x.int(own+36))
			x.call("MPI_Error_string", x.int(own+20), own+40, own+36)
			require.Equal(x.t, "key\x00", string(x.mem[own+40:own+44]))
			require.Equal(x.t, x.int(own+20), x.int(x.int(own+28))) // the attribute points to the last code
			x.call("MPI_Session_finalize", own+24)
		}),
		alone("a generalized request", func(x *ice) {
			x.functions[fn] = func(p ...uint32) uint32 {
				x.call("MPI_Status_set_elements", int(p[1]), tInt, int(p[0]))
				x.call("MPI_Status_set_cancelled", int(p[1]), 0)
				return 0
			}
			x.functions[deleted] = func(...uint32) uint32 { return 0 }
			x.call("MPI_Grequest_start", fn, deleted, deleted, 5, own)
		}, func(x *ice) {
			x.call("MPI_Grequest_complete", x.int(own))
			x.call("MPI_Wait", own, own+32)
			x.call("MPI_Get_elements", own+32, tInt, own+4)
			require.Equal(x.t, 5, x.int(own+4))
		}),
	}
}

// pair makes a communicator of ranks 0 and 1.
func (x *ice) pair(at int) {
	x.setInts(own+128, 0, 1)
	x.call("MPI_Comm_group", abi.CommWorld, own+136)
	x.call("MPI_Group_incl", x.int(own+136), 2, own+128, own+140)
	x.call("MPI_Comm_create_group", abi.CommWorld, x.int(own+140), 1, at)
}

// transfers are under way when the rank moves.
func transfers() []belonging {
	reqs := func(x *ice, n int) { x.call("MPI_Waitall", n, own, 0) }
	return []belonging{
		{name: "messages that were probed or wait", make: func(x *ice) {
			x.call("MPI_Mprobe", 1, 1, abi.CommWorld, own, 0)
			x.call("MPI_Mprobe", 1, 2, abi.CommWorld, own+4, 0)
		}, use: func(x *ice) {
			for i, n := range []int{short, long} {
				x.call("MPI_Mrecv", rbuf, n, tInt, own+4*i, 0)
				x.expect(rbuf, 1, n)
				x.call("MPI_Recv", rbuf, n, tInt, 1, 3+i, abi.CommWorld, 0)
				x.expect(rbuf, 1, n)
			}
		}, makeOther: func(x *ice) {
			x.numbers(sbuf, 1, long)
			for i := range 4 {
				x.call("MPI_Isend", sbuf, []int{short, long}[i%2], tInt, 0, 1+i, abi.CommWorld, own+4*i)
			}
		}, useOther: func(x *ice) { reqs(x, 4) }},
		{name: "receives on a communicator and into a type that are freed", make: func(x *ice) {
			x.pair(own + 8)
			x.call("MPI_Type_vector", long, 1, 2, tInt, own+12)
			x.call("MPI_Type_commit", own+12)
			x.blank(rbuf, 8*long)
			x.call("MPI_Irecv", rbuf, 1, x.int(own+12), 1, 5, x.int(own+8), own)
			x.call("MPI_Irecv", sbuf, short, tInt, 1, 6, x.int(own+8), own+4)
			x.call("MPI_Type_free", own+12)
			x.call("MPI_Comm_free", own+8)
		}, use: func(x *ice) {
			reqs(x, 2)
			for i := range long - 1 {
				require.Equal(x.t, []int{value(1, i), untouched}, x.ints(rbuf+8*i, 2))
			}
			x.expect(sbuf, 1, short)
		}, makeOther: func(x *ice) {
			x.pair(own + 8)
			x.numbers(sbuf, 1, long)
		}, useOther: func(x *ice) {
			x.call("MPI_Send", sbuf, long, tInt, 0, 5, x.int(own+8))
			x.call("MPI_Send", sbuf, short, tInt, 0, 6, x.int(own+8))
		}},
		{name: "sends, buffered and not", make: func(x *ice) {
			x.call("MPI_Buffer_attach", 1<<17, 1<<16)
			x.numbers(sbuf, 0, long)
			x.call("MPI_Bsend", sbuf, long, tInt, 1, 4, abi.CommWorld)
			x.call("MPI_Isend", sbuf, long, tInt, 1, 5, abi.CommWorld, own)
			x.call("MPI_Issend", sbuf, short, tInt, 1, 6, abi.CommWorld, own+4)
			x.call("MPI_Ssend_init", sbuf, short, tInt, 1, 7, abi.CommWorld, own+8)
			x.call("MPI_Start", own+8)
			x.call("MPI_Ssend_init", sbuf, short, tInt, 1, 8, abi.CommWorld, own+12)
		}, use: func(x *ice) {
			x.call("MPI_Start", own+12)
			reqs(x, 4)
			x.call("MPI_Request_free", own+8)
			x.call("MPI_Request_free", own+12)
			x.call("MPI_Buffer_detach", own, own+4)
			require.Equal(x.t, []int{1 << 17, 1 << 16}, x.ints(own, 2))
		}, makeOther: nothing, useOther: func(x *ice) {
			for i, n := range []int{long, long, short, short, short} {
				x.call("MPI_Recv", rbuf, n, tInt, 0, 4+i, abi.CommWorld, 0)
				x.expect(rbuf, 0, n)
			}
		}},
	}
}

// together are collectives and windows.
func together() []belonging {
	sum := func(x *ice) { require.Equal(x.t, sums(3, long), x.ints(rbuf, long)) }
	start := func(x *ice) {
		x.fill(sbuf, long)
		x.call("MPI_Iallreduce", sbuf, rbuf, long, tInt, abi.OpSum, abi.CommWorld, own)
		x.call("MPI_Ibarrier", abi.CommWorld, own+4)
		x.call("MPI_Comm_idup", abi.CommWorld, own+12, own+8)
	}
	open := func(x *ice) {
		x.numbers(windowAt, x.rank, 100)
		x.call("MPI_Win_create", windowAt, 400, 4, abi.InfoNull, abi.CommWorld, own)
		x.call("MPI_Win_create_dynamic", abi.InfoNull, abi.CommWorld, own+4)
		x.call("MPI_Win_attach", x.int(own+4), windowAt, 400)
		x.call("MPI_Barrier", abi.CommWorld)
	}
	shut := func(x *ice) {
		x.call("MPI_Win_free", own)
		x.call("MPI_Win_free", own+4)
	}
	return []belonging{
		{name: "collectives under way", collective: true, make: start, makeOther: nothing, use: func(x *ice) {
			x.call("MPI_Waitall", 3, own, 0)
			sum(x)
			x.sum(x.int(own+12), everyone)
		}, useOther: func(x *ice) {
			start(x)
			x.call("MPI_Waitall", 3, own, 0)
			sum(x)
			x.sum(x.int(own+12), everyone)
		}},
		{name: "persistent collectives", collective: true, make: func(x *ice) {
			x.fill(sbuf, long)
			x.call("MPI_Allreduce_init", sbuf, rbuf, long, tInt, abi.OpSum, abi.CommWorld, abi.InfoNull, own)
		}, makeOther: func(x *ice) {
			x.fill(sbuf, long)
			x.call("MPI_Allreduce_init", sbuf, rbuf, long, tInt, abi.OpSum, abi.CommWorld, abi.InfoNull, own)
		}, use: func(x *ice) { x.again(own, func() { sum(x) }) }, useOther: func(x *ice) { x.again(own, func() { sum(x) }) }},
		{name: "windows, a lock and what it covers", collective: true, make: func(x *ice) {
			open(x)
			x.call("MPI_Win_lock", abi.LockExclusive, 1, 0, x.int(own))
			x.call("MPI_Win_lock_all", 0, x.int(own+4))
			x.numbers(sbuf, 5, 100)
			x.call("MPI_Rput", sbuf, 100, tInt, 1, 0, 100, tInt, x.int(own), own+8)
			x.call("MPI_Rget", rbuf, 100, tInt, 1, windowAt, 100, tInt, x.int(own+4), own+12)
		}, makeOther: open, use: func(x *ice) {
			x.call("MPI_Waitall", 2, own+8, 0)
			x.call("MPI_Win_unlock_all", x.int(own+4))
			x.call("MPI_Win_unlock", 1, x.int(own))
			x.call("MPI_Barrier", abi.CommWorld)
			shut(x)
		}, useOther: func(x *ice) {
			x.call("MPI_Barrier", abi.CommWorld)
			if x.rank == 1 {
				x.expect(windowAt, 5, 100)
			}
			shut(x)
		}},
		{name: "a window that is exposed", collective: true, make: func(x *ice) {
			open(x)
			x.call("MPI_Win_post", x.group(1), 0, x.int(own))
		}, makeOther: open, use: func(x *ice) {
			x.call("MPI_Win_wait", x.int(own))
			x.expect(windowAt, 5, 100)
			shut(x)
		}, useOther: func(x *ice) {
			if x.rank == 1 {
				x.numbers(sbuf, 5, 100)
				x.call("MPI_Win_start", x.group(0), 0, x.int(own))
				x.put(0, 100, x.int(own))
				x.call("MPI_Win_complete", x.int(own))
			}
			shut(x)
		}},
	}
}

// again starts a persistent request twice.
func (x *ice) again(at int, check func()) {
	for range 2 {
		x.blank(rbuf, 4*long)
		x.call("MPI_Start", at)
		x.call("MPI_Wait", at, 0)
		check()
	}
	x.call("MPI_Request_free", at)
}

// TestTypesKeepTheirAttributes: attributes of a derived datatype go with their rank, and end with the type, not with one of its handles.
func TestTypesKeepTheirAttributes(t *testing.T) {
	w := NewWorld(smallConfig(1), noNetwork{})
	g := begun(t, w, 0, arenaBytes)
	g.call("MPI_Type_create_keyval", 0, 0, 64, 0)
	g.call("MPI_Type_contiguous", 3, tInt, 68)
	g.call("MPI_Type_set_attr", g.int(68), g.int(64), 77)
	state, err := w.Capture(0)
	require.NoError(t, err)
	w.Remove(0)
	g.p, err = NewWorld(smallConfig(1), noNetwork{}).RestoreRank(0, 2, g.mem, state)
	require.NoError(t, err)
	has := func() bool {
		g.call("MPI_Type_get_attr", g.int(68), g.int(64), 72, 76)
		if g.int(76) != 0 {
			require.Equal(t, 77, g.int(72))
		}
		return g.int(76) != 0
	}
	require.True(t, has())
	g.setInts(80, 1, 0, g.int(68))
	g.call("MPI_Type_create_struct", 1, 80, 84, 88, 92)
	g.call("MPI_Type_get_contents", g.int(92), 10, 10, 10, 4096, 4200, 96) // another handle of it
	require.Equal(t, g.int(68), g.int(96))
	g.setInts(100, g.int(68))
	g.call("MPI_Type_free", 100)
	require.True(t, has())
	require.Len(t, g.p.typeAttrs, 1)
	g.call("MPI_Type_free", 68)
	require.Empty(t, g.p.typeAttrs)
	for range 3 { // a copy that fails leaves nothing
		g.p.kept = g.p.w.cfg.MaxMemory
		g.call("MPI_Comm_set_errhandler", abi.CommSelf, abi.ErrorsReturn)
		g.call("MPI_Comm_set_errhandler", abi.CommWorld, abi.ErrorsReturn)
		require.NotZero(t, g.call("MPI_Type_dup", g.int(92), 104))
		g.p.kept = 0
	}
	require.Empty(t, g.p.typeAttrs)
}
