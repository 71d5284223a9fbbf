package mpi

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
)

// cancelled waits for a request and reports whether it was cancelled.
func (g *guest) cancelled(req int) bool {
	const st, flag = 2048, 2080
	g.call("MPI_Wait", req, st)
	g.call("MPI_Test_cancelled", st, flag)
	return g.int(flag) == 1
}

// pending reports whether a message is there.
func (g *guest) pending(source, tag int) bool {
	g.call("MPI_Iprobe", source, tag, abi.CommWorld, 2084, 0)
	return g.int(2084) == 1
}

// cancelTests are two ranks' programs: rank 1 goes on when rank 0 has sent with tag 1, and the other way round.
var cancelTests = map[string][2]func(t *testing.T, g *guest){
	"a receive that nothing matches": {func(t *testing.T, g *guest) {
		g.call("MPI_Irecv", rbuf, 1, tInt, 1, 5, abi.CommWorld, 64)
		g.call("MPI_Cancel", 64)
		require.True(t, g.cancelled(64))
		require.Equal(t, abi.RequestNull, g.int(64))
		g.signal(1)
		g.setInts(rbuf, -1)
		g.call("MPI_Recv", rbuf+4, 1, tInt, 1, 5, abi.CommWorld, 0) // the next one gets the message
		require.Equal(t, []int{-1, 42}, g.ints(rbuf, 2))
	}, func(_ *testing.T, g *guest) {
		g.await(0)
		g.setInts(sbuf, 42)
		g.call("MPI_Send", sbuf, 1, tInt, 0, 5, abi.CommWorld)
	}},
	"a receive that has matched": {func(t *testing.T, g *guest) {
		for i, n := range []int{short, long} {
			g.call("MPI_Irecv", rbuf, n, tInt, 1, 5+i, abi.CommWorld, 64)
			g.signal(1)
			g.await(1) // behind the message
			g.call("MPI_Cancel", 64)
			require.False(t, g.cancelled(64))
			require.Equal(t, contribution(1, n), g.ints(rbuf, n))
		}
	}, func(_ *testing.T, g *guest) {
		for i, n := range []int{short, long} {
			g.fill(sbuf, n)
			g.await(0)
			g.call("MPI_Isend", sbuf, n, tInt, 0, 5+i, abi.CommWorld, 64)
			g.signal(0)
			g.call("MPI_Wait", 64, 0)
		}
	}},
	"sends that nobody has matched": {func(t *testing.T, g *guest) {
		for _, send := range []string{"MPI_Isend", "MPI_Issend"} {
			for _, n := range []int{0, short, long} {
				g.call(send, sbuf, n, tInt, 1, 5, abi.CommWorld, 64)
				g.call("MPI_Isend", sbuf, 1, tInt, 1, 6, abi.CommWorld, 68)
				g.call("MPI_Cancel", 64)
				require.True(t, g.cancelled(64), "%s %d", send, n)
				g.call("MPI_Wait", 68, 0)
			}
		}
		g.signal(1)
	}, func(t *testing.T, g *guest) {
		g.await(0)
		require.False(t, g.pending(0, 5))
		for range 6 {
			g.call("MPI_Recv", rbuf, 1, tInt, 0, 6, abi.CommWorld, 0)
		}
	}},
	"sends that were matched": {func(t *testing.T, g *guest) {
		g.fill(sbuf, long)
		for _, n := range []int{short, long} {
			g.await(1) // the receive is posted
			g.call("MPI_Isend", sbuf, n, tInt, 1, 5, abi.CommWorld, 64)
			g.call("MPI_Isend", sbuf, n, tInt, 1, 6, abi.CommWorld, 68)
			g.await(1) // both have come, the second is taken by MPI_Mprobe
			g.call("MPI_Cancel", 64)
			g.call("MPI_Cancel", 68)
			g.signal(1)
			require.False(t, g.cancelled(64))
			require.False(t, g.cancelled(68))
		}
	}, func(t *testing.T, g *guest) {
		for _, n := range []int{short, long} {
			g.call("MPI_Irecv", rbuf, n, tInt, 0, 5, abi.CommWorld, 64)
			g.signal(0)
			g.call("MPI_Mprobe", 0, 6, abi.CommWorld, 68, 0)
			g.signal(0)
			g.await(0)
			g.call("MPI_Mrecv", rbuf+8192, n, tInt, 68, 0)
			g.call("MPI_Wait", 64, 0)
			require.Equal(t, contribution(0, n), g.ints(rbuf, n))
			require.Equal(t, contribution(0, n), g.ints(rbuf+8192, n))
		}
	}},
	"sends that have not left": {func(t *testing.T, g *guest) {
		const reqs, n = 4096, 300 // more than a window holds
		for i := range n {
			g.setInts(1<<16+400*i, i)
			g.call("MPI_Isend", 1<<16+400*i, 100, tInt, 1, 5, abi.CommWorld, reqs+4*i)
		}
		g.call("MPI_Cancel", reqs+4*(n-1))
		g.call("MPI_Cancel", reqs+4*(n-3))
		g.signal(1)
		g.call("MPI_Waitall", n-3, reqs, 0)
		require.True(t, g.cancelled(reqs+4*(n-3)))
		require.False(t, g.cancelled(reqs+4*(n-2)))
		require.True(t, g.cancelled(reqs+4*(n-1)))
	}, func(t *testing.T, g *guest) {
		g.await(0) // none is matched before the two are taken back
		for i := range 298 {
			g.call("MPI_Recv", rbuf, 100, tInt, 0, 5, abi.CommWorld, 0)
			require.Equal(t, pick(i == 297, 298, i), g.int(rbuf))
		}
		require.False(t, g.pending(0, 5))
	}},
	"persistent operations": {func(t *testing.T, g *guest) {
		g.call("MPI_Ssend_init", sbuf, short, tInt, 1, 5, abi.CommWorld, 64)
		g.call("MPI_Recv_init", rbuf, short, tInt, 1, 5, abi.CommWorld, 68)
		for range 2 {
			g.call("MPI_Startall", 2, 64)
			g.call("MPI_Cancel", 64)
			g.call("MPI_Cancel", 68)
			require.True(t, g.cancelled(64))
			require.True(t, g.cancelled(68))
		}
		g.signal(1)
		g.call("MPI_Startall", 2, 64)
		require.False(t, g.cancelled(64))
		require.False(t, g.cancelled(68))
		require.Equal(t, contribution(1, short), g.ints(rbuf, short))
		g.call("MPI_Request_free", 64)
		g.call("MPI_Request_free", 68)
	}, func(t *testing.T, g *guest) {
		g.await(0)
		g.fill(sbuf, short)
		g.call("MPI_Send", sbuf, short, tInt, 0, 5, abi.CommWorld)
		g.call("MPI_Recv", rbuf, short, tInt, 0, 5, abi.CommWorld, 0)
		require.False(t, g.pending(0, 5))
	}},
	"requests that are freed": {func(_ *testing.T, g *guest) {
		g.call("MPI_Issend", sbuf, short, tInt, 1, 5, abi.CommWorld, 64)
		g.call("MPI_Irecv", rbuf, short, tInt, 1, 5, abi.CommWorld, 68)
		for _, r := range []int{64, 68} {
			g.call("MPI_Cancel", r)
			g.call("MPI_Request_free", r)
		}
		g.signal(1)
	}, func(t *testing.T, g *guest) {
		g.await(0)
		require.False(t, g.pending(0, 5))
	}},
}

func (g *guest) signal(to int)  { g.call("MPI_Send", 0, 0, tInt, to, 1, abi.CommWorld) }
func (g *guest) await(from int) { g.call("MPI_Recv", 0, 0, tInt, from, 1, abi.CommWorld, 0) }

// MPI_Cancel either takes an operation back for both sides, or changes nothing (MPI 5.0 section 3.8.4), between ranks of one
// World and of two.
func TestCancelOperations(t *testing.T) {
	for name, f := range cancelTests {
		t.Run(name, func(t *testing.T) {
			run1(t, 2, func(g *guest) { f[g.rank](t, g) })
			runCluster(t, smallConfig(2), 2, func(g *guest) { f[g.rank](t, g) }, calm)
		})
	}
}

// cancelScript sends many messages and wants some of them back, while the other side receives, and at its end takes back
// receives itself.
type cancelScript struct {
	t         *testing.T
	seed      uint64
	taken     int // sends that were cancelled
	delivered int
}

func (s *cancelScript) run(g *guest) {
	rnd := rand.New(rand.NewPCG(s.seed, uint64(g.rank)))
	for range 4 {
		if g.rank == 0 {
			s.send(g, rnd)
		} else {
			s.receive(g, rnd)
		}
	}
}

const (
	cancelReqs = 4096
	cancelMost = 40
	cancelRoom = 2400 // bytes of a message at most
)

func (s *cancelScript) send(g *guest, rnd *rand.Rand) {
	n := 1 + rnd.IntN(cancelMost)
	for i := range n {
		at := sbuf + 4096 + i*cancelRoom
		size := []int{1, 20, 100, 600}[rnd.IntN(4)]
		for k := range size {
			g.setInts(at+4*k, i)
		}
		g.call([]string{"MPI_Isend", "MPI_Issend"}[rnd.IntN(2)], at, size, tInt, 1, 5, abi.CommWorld, cancelReqs+4*i)
		if k := rnd.IntN(i + 1); rnd.IntN(2) == 0 {
			g.call("MPI_Cancel", cancelReqs+4*k)
		}
	}
	var left []int
	for i := range n {
		if g.cancelled(cancelReqs + 4*i) {
			s.taken++
		} else {
			left = append(left, i)
		}
	}
	g.setInts(sbuf, left...)
	g.call("MPI_Ssend", sbuf, len(left), tInt, 1, 6, abi.CommWorld)
}

func (s *cancelScript) receive(g *guest, rnd *rand.Rand) {
	got := []int{}
	take := func(at int) { got = append(got, g.int(at)) }
	posted := 0
	for ; !g.pending(0, 6); pause(rnd) {
		if posted < cancelMost && rnd.IntN(3) > 0 { // they match in the order they are posted
			g.call("MPI_Irecv", rbuf+posted*cancelRoom, cancelRoom/4, tInt, 0, 5, abi.CommWorld, cancelReqs+4*posted)
			posted++
		}
	}
	for i := range posted {
		g.call("MPI_Cancel", cancelReqs+4*i)
		if !g.cancelled(cancelReqs + 4*i) {
			take(rbuf + i*cancelRoom)
		}
	}
	for g.pending(0, 5) {
		g.call("MPI_Recv", rbuf, cancelRoom/4, tInt, 0, 5, abi.CommWorld, 0)
		take(rbuf)
	}
	g.call("MPI_Recv", rbuf, cancelMost, tInt, 0, 6, abi.CommWorld, 16)
	g.call("MPI_Get_count", 16, tInt, 8)
	require.Equal(s.t, g.ints(rbuf, g.int(8)), got, "seed %d", s.seed)
	s.delivered += len(got)
}

// What is cancelled never arrives, and all else arrives once and in order, whatever moves or breaks.
func TestCancelScript(t *testing.T) {
	first := seed(t)
	moves := 0
	for i := range uint64(12) {
		s := &cancelScript{t: t, seed: first + i}
		rnd := rand.New(rand.NewPCG(first, i))
		switch i % 4 {
		case 0:
			run1(t, 2, s.run)
		case 1:
			runCluster(t, smallConfig(2), 2, s.run, calm)
		case 2:
			runCluster(t, smallConfig(2), 2, s.run, breaker(rnd))
		default:
			runCluster(t, smallConfig(2), 3, s.run, wanderer(rnd, &moves))
		}
		t.Logf("%d taken back, %d delivered, %d moves so far", s.taken, s.delivered, moves)
	}
}

// What cannot be cancelled (MPI 5.0 section 3.8.4).
func TestCancelRefused(t *testing.T) {
	run1(t, 1, func(g *guest) {
		g.call("MPI_Comm_set_errhandler", abi.CommWorld, abi.ErrorsReturn)
		g.call("MPI_Ibarrier", abi.CommWorld, 64)
		g.setInts(68, abi.RequestNull)
		require.EqualValues(t, abi.ErrRequest, g.call("MPI_Cancel", 64))
		require.EqualValues(t, abi.ErrRequest, g.call("MPI_Cancel", 68))
		g.call("MPI_Wait", 64, 0)
		g.call("MPI_Recv_init", rbuf, 1, tInt, 0, 5, abi.CommWorld, 64)
		require.EqualValues(t, abi.ErrRequest, g.call("MPI_Cancel", 64)) // not active
		g.call("MPI_Request_free", 64)
		g.call("MPI_Irecv", rbuf, 1, tInt, abi.ProcNull, 5, abi.CommWorld, 64)
		g.call("MPI_Cancel", 64)
		require.False(t, g.cancelled(64))
		g.call("MPI_Buffer_attach", sbuf, 4096)
		g.call("MPI_Ibsend", rbuf, 1, tInt, 0, 5, abi.CommWorld, 64)
		g.call("MPI_Cancel", 64)
		require.False(t, g.cancelled(64)) // the copy is on its way
		g.call("MPI_Recv", rbuf, 1, tInt, 0, 5, abi.CommWorld, 0)
		g.call("MPI_Buffer_detach", 64, 68)
	})
}
