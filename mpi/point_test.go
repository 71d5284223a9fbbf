package mpi

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
)

const (
	tInt    = 0x209
	tByte   = 0x247
	tDouble = 0x214
)

// Sizes around every limit of the protocol, to the other rank and to oneself.
func TestSendRecvSizes(t *testing.T) {
	for _, n := range []int{0, 1, 511, 512, 513, 1024, 5000, 100_000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			run1(t, 2, func(g *guest) {
				const out, in, st = 64, 300_000, 16
				for i := range n {
					g.mem[out+i] = byte(i*7 + g.rank)
				}
				peer := 1 - g.rank
				g.call("MPI_Sendrecv", out, n, tByte, peer, 5, in, n, tByte, peer, 5, abi.CommWorld, st)
				require.Equal(t, []int{peer, 5}, g.ints(st, 2))
				g.call("MPI_Get_count", st, tByte, 8)
				require.Equal(t, n, g.int(8))
				for i := range n {
					require.Equal(t, byte(i*7+peer), g.mem[in+i])
				}
				// To oneself, and over MPI_COMM_SELF.
				g.call("MPI_Irecv", in, n, tByte, 0, 1, abi.CommSelf, 8)
				g.call("MPI_Send", out, n, tByte, 0, 1, abi.CommSelf)
				g.call("MPI_Wait", 8, st)
				require.Equal(t, []int{0, 1}, g.ints(st, 2))
				require.Equal(t, abi.RequestNull, g.int(8))
				require.Equal(t, g.mem[out:out+n], g.mem[in:in+n])
			})
		})
	}
}

// MPI 5.0 section 3.5: messages do not overtake each other, whatever protocol
// each of them takes.
func TestOrder(t *testing.T) {
	run1(t, 3, func(g *guest) {
		const n = 300
		if g.rank > 0 {
			for i := range n {
				g.setInts(64, g.rank, i)
				g.call("MPI_Send", 64, pick(i%7 == 0, 2000, 2), tInt, 0, i%2, abi.CommWorld)
			}
			return
		}
		next := map[int]int{}
		for range 2 * n {
			g.call("MPI_Recv", 64, 2000, tInt, abi.AnySource, abi.AnyTag, abi.CommWorld, 16)
			src := g.int(64)
			require.Equal(t, src, g.int(16))
			require.Equal(t, next[src], g.int(68))
			require.Equal(t, next[src]%2, g.int(20))
			next[src]++
		}
	})
}

// MPI 5.0 section 3.10: MPI_PROC_NULL.
func TestProcNull(t *testing.T) {
	run1(t, 1, func(g *guest) {
		g.call("MPI_Send", 64, 1, tInt, abi.ProcNull, 0, abi.CommWorld)
		g.call("MPI_Recv", 64, 1, tInt, abi.ProcNull, abi.AnyTag, abi.CommWorld, 16)
		require.Equal(t, []int{abi.ProcNull, abi.AnyTag}, g.ints(16, 2))
		g.call("MPI_Get_count", 16, tInt, 8)
		require.Equal(t, 0, g.int(8))
		g.call("MPI_Probe", abi.ProcNull, 0, abi.CommWorld, 16)
		require.Equal(t, []int{abi.ProcNull, abi.AnyTag}, g.ints(16, 2))
	})
}

// MPI 5.0 section 3.2.4: a longer message is an error, and the next is intact.
func TestTruncate(t *testing.T) {
	for _, n := range []int{100, 1000} { // eager and rendezvous
		run1(t, 2, func(g *guest) {
			g.call("MPI_Comm_set_errhandler", abi.CommWorld, abi.ErrorsReturn)
			if g.rank == 0 {
				for i := range n {
					g.setInts(64+4*i, i)
				}
				g.call("MPI_Send", 64, n, tInt, 1, 1, abi.CommWorld)
				g.call("MPI_Send", 68, 1, tInt, 1, 1, abi.CommWorld)
				return
			}
			g.setInts(64+40, -1)
			require.EqualValues(t, abi.ErrTruncate, g.call("MPI_Recv", 64, 10, tInt, 0, 1, abi.CommWorld, 16))
			require.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, -1}, g.ints(64, 11))
			require.EqualValues(t, abi.Success, g.call("MPI_Recv", 64, 10, tInt, 0, 1, abi.CommWorld, 16))
			require.Equal(t, 1, g.int(64))
		})
	}
}

// A receive's count is a bound, which programs that know that the message is short give as large as there are: what the memory has no room for is no part of the buffer.
func TestReceiveBound(t *testing.T) {
	const bound, tag = 0x7fffffff, 1
	run1(t, 2, func(g *guest) {
		g.call("MPI_Comm_set_errhandler", abi.CommWorld, abi.ErrorsReturn)
		g.call("MPI_Type_vector", 2, 1, 2, tInt, 8)
		strided := g.int(8)
		g.call("MPI_Type_commit", 8)
		if g.rank == 0 {
			for i := range 2000 {
				g.setInts(64+4*i, i)
			}
			for _, n := range []int{10, 1000, 10, 10, 10, 10, 10} {
				g.call("MPI_Send", 64, n, tInt, 1, tag, abi.CommWorld)
			}
			return
		}
		got := func(n int) {
			require.Equal(t, n-1, g.int(64+4*(n-1)))
			g.call("MPI_Get_count", 16, tInt, 12)
			require.Equal(t, n, g.int(12))
			g.setInts(64, make([]int, n)...)
		}
		for _, n := range []int{10, 1000} { // eager and rendezvous
			require.EqualValues(t, abi.Success, g.call("MPI_Recv", 64, bound, tInt, 0, tag, abi.CommWorld, 16))
			got(n)
		}
		require.EqualValues(t, abi.Success, g.call("MPI_Irecv", 64, bound, tByte, 0, tag, abi.CommWorld, 8))
		require.EqualValues(t, abi.Success, g.call("MPI_Wait", 8, 16))
		got(10)
		require.EqualValues(t, abi.Success, g.call("MPI_Recv_init", 64, bound, tInt, 0, tag, abi.CommWorld, 8))
		g.call("MPI_Start", 8)
		require.EqualValues(t, abi.Success, g.call("MPI_Wait", 8, 16))
		got(10)
		g.call("MPI_Request_free", 8)
		require.EqualValues(t, abi.Success, g.call("MPI_Mprobe", 0, tag, abi.CommWorld, 8, 16))
		require.EqualValues(t, abi.Success, g.call("MPI_Mrecv", 64, bound, tInt, 8, 16))
		got(10)
		require.EqualValues(t, abi.Success, g.call("MPI_Sendrecv", 64, 1, tInt, 1, 2, 64, bound, tInt, 0, tag, abi.CommWorld, 16)) // what it sends itself stays
		got(10)
		require.EqualValues(t, abi.Success, g.call("MPI_Recv", 64, bound, strided, 0, tag, abi.CommWorld, 16))
		require.Equal(t, []int{0, 0, 1, 2, 0, 3, 4, 0}, g.ints(64, 8))

		require.EqualValues(t, abi.ErrBuffer, g.call("MPI_Recv", 0, bound, tInt, 0, tag, abi.CommWorld, 16))
		require.EqualValues(t, abi.ErrBuffer, g.call("MPI_Recv", 0xfffffff0, bound, tInt, 0, tag, abi.CommWorld, 16))
		require.EqualValues(t, abi.ErrBuffer, g.call("MPI_Send", 64, bound, tInt, 0, tag, abi.CommWorld), "all that is sent there must be")
	})
}

// MPI 5.0 section 3.4: a synchronous send ends only after the receive has begun.
func TestSsend(t *testing.T) {
	run1(t, 2, func(g *guest) {
		if g.rank == 0 {
			g.call("MPI_Issend", 64, 1, tInt, 1, 1, abi.CommWorld, 8)
			g.call("MPI_Test", 8, 12, 0)
			require.Equal(t, 0, g.int(12))
			g.call("MPI_Send", 64, 1, tInt, 1, 2, abi.CommWorld)
			g.call("MPI_Wait", 8, 0)
			g.call("MPI_Ssend", 64, 0, tInt, 1, 3, abi.CommWorld)
			return
		}
		for _, tag := range []int{2, 1, 3} {
			g.call("MPI_Recv", 64, 1, tInt, 0, tag, abi.CommWorld, 0)
		}
	})
}

// MPI 5.0 sections 3.7.5 and 3.8: multiple completions and probing.
func TestCompletions(t *testing.T) {
	run1(t, 2, func(g *guest) {
		const reqs, st, n = 1000, 2000, 20
		if g.rank == 0 {
			for i := range n {
				g.setInts(100+4*i, i)
				g.call("MPI_Isend", 100+4*i, 1, tInt, 1, i, abi.CommWorld, reqs+4*i)
			}
			g.call("MPI_Waitall", n, reqs, 0)
			g.call("MPI_Probe", 1, abi.AnyTag, abi.CommWorld, st)
			require.Equal(t, []int{1, 77}, g.ints(st, 2))
			g.call("MPI_Get_count", st, tInt, 8)
			require.Equal(t, 700, g.int(8))
			g.call("MPI_Recv", 5000, 700, tInt, 1, 77, abi.CommWorld, 0)
			return
		}
		for i := range n {
			g.call("MPI_Irecv", 100+4*i, 1, tInt, 0, i, abi.CommWorld, reqs+4*i)
		}
		seen := map[int]bool{}
		for range 5 {
			g.call("MPI_Waitany", n, reqs, 8, st)
			seen[g.int(8)] = true
			require.Equal(t, g.int(8), g.int(st+4))
		}
		require.Len(t, seen, 5)
		for g.setInts(8, 0); g.int(8) == 0; {
			g.call("MPI_Testall", n, reqs, 8, st)
		}
		for i := range n {
			require.Equal(t, i, g.int(100+4*i))
			require.Equal(t, pick(seen[i], []int{abi.AnySource, abi.AnyTag}, []int{0, i})[1], g.int(st+abi.StatusBytes*i+4))
		}
		g.call("MPI_Waitany", n, reqs, 8, st)
		require.Equal(t, abi.Undefined, g.int(8))
		g.call("MPI_Iprobe", 0, abi.AnyTag, abi.CommWorld, 8, st)
		require.Equal(t, 0, g.int(8))
		g.call("MPI_Send", 100, 700, tInt, 0, 77, abi.CommWorld)
	})
}

// MPI 5.0 section 9.3: the fatal handler ends the app and says why.
func TestErrors(t *testing.T) {
	tests := []struct {
		name string
		args []int
		want string
		code int
	}{
		{"MPI_Send", []int{64, 1, tInt, 9, 0, abi.CommWorld}, "rank 0: MPI_Send(buf=0x40, count=1, datatype=MPI_INT, dest=9, tag=0, comm=MPI_COMM_WORLD): MPI_ERR_RANK: rank 9 is not in 0..0", abi.ErrRank},
		{"MPI_Send", []int{64, -1, tInt, 0, 0, abi.CommWorld}, "MPI_ERR_COUNT", abi.ErrCount},
		{"MPI_Send", []int{64, 1, 7, 0, 0, abi.CommWorld}, "MPI_ERR_TYPE", abi.ErrType},
		{"MPI_Send", []int{64, 1, tInt, 0, -5, abi.CommWorld}, "MPI_ERR_TAG", abi.ErrTag},
		{"MPI_Send", []int{64, 1, tInt, 0, 0, 0x999}, "MPI_ERR_COMM", abi.ErrComm},
		{"MPI_Send", []int{arenaBytes - 2, 1, tInt, 0, 0, abi.CommWorld}, "MPI_ERR_BUFFER", abi.ErrBuffer},
		{"MPI_Send", []int{-8, 0x7fffffff, tDouble, 0, 0, abi.CommWorld}, "MPI_ERR_BUFFER", abi.ErrBuffer},
		{"MPI_Recv", []int{64, 1, tInt, 0, 0, abi.CommWorld, arenaBytes - 8}, "MPI_ERR_ARG", abi.ErrArg},
		{"MPI_Bcast", []int{64, 1, tInt, 3, abi.CommWorld}, "MPI_ERR_ROOT", abi.ErrRoot},
		{"MPI_Allreduce", []int{64, 128, 1, tDouble, abi.OpBand, abi.CommWorld}, "MPI_ERR_OP", abi.ErrOp},
		{"MPI_Allreduce", []int{64, 128, 1, tDouble, 5, abi.CommWorld}, "MPI_ERR_OP", abi.ErrOp},
		{"MPI_Wait", []int{64, 0}, "MPI_ERR_REQUEST", abi.ErrRequest},
		{"MPI_Init", []int{0, 0}, "MPI_ERR_OTHER", abi.ErrOther},
		{"MPI_Abort", []int{abi.CommWorld, 42}, "MPI_Abort(errorcode=42)", 42},
	}
	for _, tt := range tests {
		t.Run(tt.name+" "+tt.want[:min(16, len(tt.want))], func(t *testing.T) {
			errs := runLocal(t, smallConfig(1), func(g *guest) { g.call(tt.name, tt.args...) })
			var abort *AbortError
			require.ErrorAs(t, errs[0], &abort)
			require.Contains(t, abort.Message, tt.want)
			require.Equal(t, tt.code, abort.Code)
		})
	}
}

// Calls outside of MPI_Init .. MPI_Finalize are fatal (MPI 5.0 section 11.2).
func TestOutsideInit(t *testing.T) {
	w := NewWorld(smallConfig(1), noNetwork{})
	g := newGuest(0, 1, callsByName())
	g.mem = make(arena, 100)
	var err error
	g.p, err = w.AddRank(0, 1, g.mem)
	require.NoError(t, err)
	err = g.run(func(g *guest) { g.call("MPI_Barrier", abi.CommWorld) })
	require.ErrorContains(t, err, "outside of MPI_Init")
	_, err = w.AddRank(0, 1, g.mem)
	require.ErrorIs(t, err, ErrRankExists)
	_, err = w.AddRank(1, 1, g.mem)
	require.ErrorIs(t, err, ErrNoRank)
}

func TestEnvironment(t *testing.T) {
	run1(t, 2, func(g *guest) {
		g.call("MPI_Comm_rank", abi.CommWorld, 8)
		g.call("MPI_Comm_size", abi.CommWorld, 12)
		g.call("MPI_Initialized", 16)
		g.call("MPI_Finalized", 20)
		require.Equal(t, []int{g.rank, 2, 1, 0}, g.ints(8, 4))
		g.call("MPI_Type_size", tDouble, 8)
		g.call("MPI_Error_class", abi.ErrTruncate, 12)
		g.call("MPI_Error_string", abi.ErrTruncate, 100, 16)
		require.Equal(t, []int{8, abi.ErrTruncate, len("MPI_ERR_TRUNCATE: message truncated on receive")}, g.ints(8, 3))
		g.call("MPI_Get_processor_name", 100, 8)
		g.call("MPI_Get_version", 8, 12)
		g.call("MPI_Comm_get_errhandler", abi.CommWorld, 16)
		require.Equal(t, []int{5, 0, abi.ErrorsAreFatal}, g.ints(8, 3))
	})
}

// MPI 5.0 section 4.2: partitioned operations match in the order in which they are initialized, whatever is started first, for each rank and tag.
func TestPartitionedOrder(t *testing.T) {
	const n = 6 // operations, of two tags
	run1(t, 2, func(g *guest) {
		at, request := func(i int) int { return 64 + 4*i }, func(i int) int { return 128 + 4*i }
		for i := range n {
			g.setInts(at(i), pick(g.rank == 0, i, -1))
			g.call(pick(g.rank == 0, "MPI_Psend_init", "MPI_Precv_init"), at(i), 1, 1, tInt, 1-g.rank, i%2, abi.CommWorld, abi.InfoNull, request(i))
		}
		for range 2 { // once more, as they are
			for _, i := range []int{4, 1, 5, 0, 2, 3} {
				g.call("MPI_Start", request(pick(g.rank == 0, i, n-1-i)))
				if g.rank == 0 {
					g.call("MPI_Pready", 0, g.int(request(i)))
				}
			}
			g.call("MPI_Waitall", n, request(0), abi.StatusIgnore)
			for i := range n {
				require.Equal(t, i, g.int(at(i)))
				if g.rank == 1 {
					g.setInts(at(i), -1)
				}
			}
			g.call("MPI_Barrier", abi.CommWorld)
		}
	})
}

// MPI 5.0 section 3.6: a flush that is begun waits for nothing, and is done when what was buffered before it has left; what is buffered later is none of its.
func TestIflush(t *testing.T) {
	for _, n := range []int{10, 1000} { // eager and rendezvous
		run1(t, 1, func(g *guest) {
			g.call("MPI_Buffer_attach", 8192, 3*(4*n+abi.BsendOverhead))
			g.setInts(64, make([]int, n)...)
			done := func() int {
				g.call("MPI_Test", 20, 24, abi.StatusIgnore)
				return g.int(24)
			}
			g.call("MPI_Buffer_iflush", 20)
			require.Equal(t, 1, done(), "nothing was buffered")
			g.call("MPI_Bsend", 64, n, tInt, 0, 1, abi.CommSelf)
			g.call("MPI_Buffer_iflush", 20)
			g.call("MPI_Bsend", 64, n, tInt, 0, 2, abi.CommSelf)
			if n > 10 { // a long one stays with its sender until it is received
				require.Zero(t, done())
			}
			g.call("MPI_Recv", 4200, n, tInt, 0, 1, abi.CommSelf, abi.StatusIgnore)
			g.call("MPI_Wait", 20, abi.StatusIgnore)
			g.call("MPI_Buffer_iflush", 20)
			g.call("MPI_Recv", 4200, n, tInt, 0, 2, abi.CommSelf, abi.StatusIgnore)
			g.call("MPI_Wait", 20, abi.StatusIgnore)
		})
	}
}
