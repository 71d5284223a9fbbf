package mpi

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/channel"
)

// TestStraightWay: short blocking messages within a World need no request, whatever they are received by; what is out of the ordinary is as it is
// elsewhere.
func TestStraightWay(t *testing.T) {
	w := NewWorld(smallConfig(2), noNetwork{})
	var guests [2]*guest
	for r := range guests {
		g := begun(t, w, r, arenaBytes)
		g.call("MPI_Comm_set_errhandler", abi.CommWorld, abi.ErrorsReturn)
		guests[r] = g
	}
	a, b := guests[0], guests[1]
	for _, g := range guests { // they have had to do with each other
		g.call("MPI_Isend", sbuf, 0, tByte, 1-g.rank, 9, abi.CommWorld, 64)
		g.call("MPI_Wait", 64, 0)
	}
	for _, g := range guests {
		g.call("MPI_Recv", rbuf, 0, tByte, 1-g.rank, 9, abi.CommWorld, 0)
	}
	requests := func() int { return len(a.p.requests) + len(b.p.requests) - len(a.p.freeList) - len(b.p.freeList) }
	a.p.requests, a.p.freeList, b.p.requests, b.p.freeList, b.p.idle = nil, nil, nil, nil, nil
	const st = 2048
	for _, n := range []int{0, 1, 18, 100} {
		for _, by := range [][2]int{{0, 7}, {abi.AnySource, 7}, {0, abi.AnyTag}, {abi.AnySource, abi.AnyTag}} {
			a.fill(sbuf, n)
			a.call("MPI_Send", sbuf, n, tInt, 1, 7, abi.CommWorld)
			b.call("MPI_Recv", rbuf, 100, tInt, by[0], by[1], abi.CommWorld, st)
			require.Equal(t, contribution(0, n), b.ints(rbuf, n))
			require.Equal(t, []int{0, 7}, b.ints(st, 2))
			require.Equal(t, 4*n, b.int(st+statusCount))
		}
	}
	require.Empty(t, a.p.requests)
	require.Empty(t, b.p.requests)
	require.Empty(t, b.p.idle, "nor a message")

	a.call("MPI_Send", sbuf, 8, tInt, 1, 7, abi.CommWorld)
	require.EqualValues(t, abi.ErrTruncate, b.call("MPI_Recv", rbuf, 7, tInt, 0, 7, abi.CommWorld, st))
	a.call("MPI_Send", sbuf, 1, tInt, 1, 1, abi.CommWorld) // not in the order that they are wanted in
	a.call("MPI_Send", sbuf+4, 1, tInt, 1, 2, abi.CommWorld)
	b.call("MPI_Recv", rbuf+4, 1, tInt, 0, 2, abi.CommWorld, 0)
	b.call("MPI_Recv", rbuf, 1, tInt, 0, 1, abi.CommWorld, 0)
	require.Equal(t, a.ints(sbuf, 2), b.ints(rbuf, 2))
	a.call("MPI_Send", sbuf, 1, tInt, 1, 1, abi.CommWorld)
	b.call("MPI_Iprobe", 0, 1, abi.CommWorld, 96, 0) // it is taken from the ring, and waits
	a.call("MPI_Send", sbuf+4, 1, tInt, 1, 1, abi.CommWorld)
	b.call("MPI_Recv", rbuf, 1, tInt, 0, 1, abi.CommWorld, 0)
	b.call("MPI_Recv", rbuf+4, 1, tInt, 0, 1, abi.CommWorld, 0)
	require.Equal(t, a.ints(sbuf, 2), b.ints(rbuf, 2))
	b.call("MPI_Irecv", rbuf, 1, tInt, 0, abi.AnyTag, abi.CommWorld, 64) // which comes first
	a.call("MPI_Send", sbuf+4, 1, tInt, 1, 1, abi.CommWorld)
	a.call("MPI_Send", sbuf, 1, tInt, 1, 2, abi.CommWorld)
	b.call("MPI_Recv", rbuf+4, 1, tInt, 0, abi.AnyTag, abi.CommWorld, 0)
	b.call("MPI_Wait", 64, 0)
	require.Equal(t, []int{a.int(sbuf + 4), a.int(sbuf)}, b.ints(rbuf, 2))
	for _, bad := range [][]int{{0, 1, tInt, 1, 7}, {sbuf, -1, tInt, 1, 7}, {sbuf, 1, 77, 1, 7}, {sbuf, 1, tInt, 2, 7}, {sbuf, 1, tInt, 1, -1}, {arenaBytes - 2, 1, tInt, 1, 7}} {
		require.NotZero(t, a.call("MPI_Send", append(bad, abi.CommWorld)...), "%v", bad)
		require.NotZero(t, b.call("MPI_Recv", append(bad, abi.CommWorld, 0)...), "%v", bad)
	}
	require.Zero(t, requests())
}

// TestStraightSendrecv: a message both ways needs no request where the one that is wanted is here; else it is as always.
func TestStraightSendrecv(t *testing.T) {
	w := NewWorld(smallConfig(2), noNetwork{})
	a, b := begun(t, w, 0, arenaBytes), begun(t, w, 1, arenaBytes)
	for _, g := range []*guest{a, b} {
		g.call("MPI_Comm_set_errhandler", abi.CommWorld, abi.ErrorsReturn)
		g.call("MPI_Isend", sbuf, 0, tByte, 1-g.rank, 9, abi.CommWorld, 64)
		g.call("MPI_Wait", 64, 0)
	}
	for _, g := range []*guest{a, b} {
		g.call("MPI_Recv", rbuf, 0, tByte, 1-g.rank, 9, abi.CommWorld, 0)
		g.p.requests, g.p.freeList, g.p.idle = nil, nil, nil
	}
	const st = 2048
	both := func(n, tag, from int) int32 {
		return int32(b.call("MPI_Sendrecv", sbuf, n, tInt, 0, tag+10, rbuf, 50, tInt, from, tag, abi.CommWorld, st))
	}
	for _, n := range []int{0, 1, 18, 50} {
		for _, from := range []int{0, abi.AnySource} {
			a.fill(sbuf, n)
			b.fill(sbuf, n)
			a.call("MPI_Send", sbuf, n, tInt, 1, 7, abi.CommWorld)
			require.Zero(t, both(n, 7, from))
			require.Equal(t, contribution(0, n), b.ints(rbuf, n))
			require.Equal(t, []int{0, 7}, b.ints(st, 2))
			require.Equal(t, 4*n, b.int(st+statusCount))
			a.call("MPI_Recv", rbuf, n, tInt, 1, 17, abi.CommWorld, 0)
			require.Equal(t, contribution(1, n), a.ints(rbuf, n))
		}
	}
	require.Empty(t, b.p.requests)
	require.Empty(t, b.p.idle)

	for i, other := range []func(){ // each leaves one more message of tag 7 to a's
		func() { // it is not the first
			a.call("MPI_Send", sbuf+4, 1, tInt, 1, 8, abi.CommWorld)
			a.call("MPI_Send", sbuf, 1, tInt, 1, 7, abi.CommWorld)
			require.Zero(t, both(1, 7, 0))
			b.call("MPI_Recv", rbuf+4, 1, tInt, 0, 8, abi.CommWorld, 0)
			require.Equal(t, a.ints(sbuf, 2), b.ints(rbuf, 2))
		},
		func() { // it is too long
			a.call("MPI_Send", sbuf, 51, tInt, 1, 7, abi.CommWorld)
			require.EqualValues(t, abi.ErrTruncate, both(1, 7, 0))
		},
		func() { // an earlier one waits
			a.call("MPI_Send", sbuf, 1, tInt, 1, 7, abi.CommWorld)
			b.call("MPI_Iprobe", 0, 7, abi.CommWorld, 96, 0)
			a.call("MPI_Send", sbuf+4, 1, tInt, 1, 7, abi.CommWorld)
			require.Zero(t, both(1, 7, 0))
			require.Equal(t, a.int(sbuf), b.int(rbuf))
			b.call("MPI_Recv", rbuf, 1, tInt, 0, 7, abi.CommWorld, 0)
			require.Equal(t, a.int(sbuf+4), b.int(rbuf))
		},
	} {
		other()
		require.Len(t, a.p.unexpected, 0, "%d", i)
		a.call("MPI_Recv", rbuf, 1, tInt, 1, 17, abi.CommWorld, 0)
		require.Equal(t, b.int(sbuf), a.int(rbuf))
	}
	// What is wrong is refused, and nothing has been sent.
	a.call("MPI_Send", sbuf, 1, tInt, 1, 7, abi.CommWorld)
	require.NotZero(t, b.call("MPI_Sendrecv", sbuf, 1, tInt, 2, 17, rbuf, 50, tInt, 0, 7, abi.CommWorld, st))
	require.NotZero(t, b.call("MPI_Sendrecv", sbuf, 1, tInt, 0, 17, rbuf, 50, tInt, 0, 7, abi.CommWorld, arenaBytes-4))
	require.NotZero(t, b.call("MPI_Sendrecv", sbuf, -1, tInt, 0, 17, rbuf, 50, tInt, 0, 7, abi.CommWorld, st))
	a.call("MPI_Iprobe", 1, abi.AnyTag, abi.CommWorld, 96, 0)
	require.Zero(t, a.int(96))
	require.Zero(t, both(1, 7, 0))
}

// TestStraightWayKeepsOrder: what somebody else takes from the inbox while a receive waits for it comes before what is there then.
func TestStraightWayKeepsOrder(t *testing.T) {
	w := NewWorld(smallConfig(2), noNetwork{})
	var guests [2]*guest
	for r := range guests {
		guests[r] = begun(t, w, r, arenaBytes)
	}
	g := guests[1]
	p := g.p
	put := func(tag int32) { p.in.put(0, &channel.Packet{Kind: channel.Eager, Tag: tag}, nil) }
	for range 500 {
		var received sync.WaitGroup
		received.Go(func() {
			for tag := range 2 {
				g.call("MPI_Recv", rbuf, 0, tInt, abi.AnySource, abi.AnyTag, abi.CommWorld, 2048)
				require.Equal(t, tag, g.int(2048+4))
			}
		})
		for !p.in.busy.Load() { // it waits, without the lock, or is about to
			runtime.Gosched()
		}
		p.mu.Lock()
		put(0)
		p.drain()
		put(1)
		p.release()
		received.Wait()
	}
}

// straightPair are two ranks of a World that have had to do with each other, and have made requests.
type straightPair struct {
	t    *testing.T
	a, b *guest
}

const (
	straightList   = 64 // where their requests are
	straightMost   = 8
	straightStatus = 2048
)

func newStraightPair(t *testing.T) straightPair {
	t.Helper()
	const list, most = straightList, straightMost
	w := NewWorld(smallConfig(2), noNetwork{})
	a, b := begun(t, w, 0, arenaBytes), begun(t, w, 1, arenaBytes)
	for _, g := range []*guest{a, b} {
		g.call("MPI_Comm_set_errhandler", abi.CommWorld, abi.ErrorsReturn)
		for i := range most {
			g.call("MPI_Isend", sbuf, 0, tByte, 1-g.rank, 9, abi.CommWorld, list+4*i)
		}
		g.call("MPI_Waitall", most, list, 0)
	}
	for _, g := range []*guest{a, b} {
		for range most {
			g.call("MPI_Recv", rbuf, 0, tByte, 1-g.rank, 9, abi.CommWorld, 0)
		}
		g.p.idle = nil
	}
	return straightPair{t, a, b}
}

// quick makes a call that must take the straight way.
func (x straightPair) quick(g *guest, name string, params ...int) {
	x.t.Helper()
	v := make([]uint64, len(params))
	for i, p := range params {
		v[i] = 0xdead<<32 | uint64(uint32(int32(p)))
	}
	g.p.enter()
	defer g.p.leave()
	require.True(x.t, g.calls[name].quick(g.p, v), name)
}

// free requires that nothing is left: all requests are as new, and no message was made.
func (x straightPair) free() {
	x.t.Helper()
	for _, g := range []*guest{x.a, x.b} {
		require.Len(x.t, g.p.freeList, len(g.p.requests))
		for _, r := range g.p.requests {
			require.Equal(x.t, request{index: r.index}, *r, "as new")
		}
		require.Empty(x.t, g.p.idle, "no message was made")
	}
}

// TestStraightRequests: nonblocking calls of short messages take the straight way, and what they give is what the long one gives.
func TestStraightRequests(t *testing.T) {
	x := newStraightPair(t)
	a, b := x.a, x.b
	const st, list = straightStatus, straightList
	for _, first := range []bool{false, true} { // posted before, or after
		for _, n := range []int{0, 1, 18, 100} {
			for _, by := range [][2]int{{0, 7}, {abi.AnySource, 7}, {0, abi.AnyTag}, {abi.AnySource, abi.AnyTag}} {
				a.fill(sbuf, n)
				if first {
					x.quick(b, "MPI_Irecv", rbuf, 100, tInt, by[0], by[1], abi.CommWorld, list)
				}
				x.quick(a, "MPI_Isend", sbuf, n, tInt, 1, 7, abi.CommWorld, list)
				x.quick(a, "MPI_Wait", list, st)
				require.Equal(t, abi.RequestNull, a.int(list))
				require.Equal(t, []int{abi.AnySource, abi.AnyTag}, a.ints(st, 2), "an empty status")
				if !first {
					x.quick(b, "MPI_Irecv", rbuf, 100, tInt, by[0], by[1], abi.CommWorld, list)
					x.quick(b, "MPI_Wait", list, st)
				} else {
					b.p.idle = nil
					b.call("MPI_Wait", list, st)
					b.p.idle = nil // it came into the midst
				}
				require.Equal(t, abi.RequestNull, b.int(list))
				require.Equal(t, contribution(0, n), b.ints(rbuf, n))
				require.Equal(t, []int{0, 7}, b.ints(st, 2))
				require.Equal(t, 4*n, b.int(st+statusCount))
				x.free()
			}
		}
	}
}

// TestStraightAmongOthers: receives take the straight way although messages wait, be it theirs or another, and although earlier receives are posted. Each message gives
// its credit back.
func TestStraightAmongOthers(t *testing.T) {
	x := newStraightPair(t)
	a, b := x.a, x.b
	const st, list = straightStatus, straightList
	a.fill(sbuf, 8)
	b.fill(sbuf, 8)
	send := func(tags ...int) {
		for _, tag := range tags {
			x.quick(a, "MPI_Send", sbuf+4*tag, 1, tInt, 1, tag, abi.CommWorld)
		}
	}
	got := func(at, tag int) { require.Equal(t, a.int(sbuf+4*tag), b.int(at), "tag %d", tag) }
	wait := func() { b.call("MPI_Iprobe", 0, abi.TagUB, abi.CommWorld, 96, 0) } // what is in the inbox
	credit, n := b.p.pair(0).Consumed(), uint64(0)

	send(1, 2, 3, 4)
	wait()
	require.Len(t, b.p.unexpected, 4)
	x.quick(b, "MPI_Recv", rbuf, 1, tInt, 0, 2, abi.CommWorld, st)
	got(rbuf, 2)
	require.Equal(t, []int{0, 2}, b.ints(st, 2))
	x.quick(b, "MPI_Irecv", rbuf, 1, tInt, abi.AnySource, 4, abi.CommWorld, list)
	x.quick(b, "MPI_Wait", list, 0)
	got(rbuf, 4)
	x.quick(b, "MPI_Sendrecv", sbuf, 1, tInt, 0, 5, rbuf, 1, tInt, 0, abi.AnyTag, abi.CommWorld, st)
	got(rbuf, 1)
	x.quick(a, "MPI_Recv", rbuf, 1, tInt, 1, 5, abi.CommWorld, 0)
	require.Equal(t, b.int(sbuf), a.int(rbuf))
	n += 3

	require.Len(t, b.p.unexpected, 1) // of tag 3
	send(5, 6, 7)
	x.quick(b, "MPI_Recv", rbuf, 1, tInt, 0, 5, abi.CommWorld, 0)
	got(rbuf, 5)
	x.quick(b, "MPI_Irecv", rbuf, 1, tInt, 0, 6, abi.CommWorld, list)
	x.quick(b, "MPI_Wait", list, 0)
	got(rbuf, 6)
	x.quick(b, "MPI_Sendrecv", sbuf, 0, tInt, 0, 5, rbuf, 1, tInt, 0, 7, abi.CommWorld, st)
	got(rbuf, 7)
	x.quick(a, "MPI_Recv", rbuf, 1, tInt, 1, 5, abi.CommWorld, 0)
	x.quick(b, "MPI_Recv", rbuf, 1, tInt, 0, 3, abi.CommWorld, 0)
	got(rbuf, 3)
	n += 4

	for i, tag := range []int{2, abi.AnyTag, 3} {
		x.quick(b, "MPI_Irecv", rbuf+4*i, 1, tInt, 0, tag, abi.CommWorld, list+4*i)
	}
	send(2, 1, 3, 7)
	x.quick(b, "MPI_Recv", rbuf+12, 1, tInt, 0, 7, abi.CommWorld, 0) // which gives the others theirs
	x.quick(b, "MPI_Waitall", 3, list, 0)
	for i, tag := range []int{2, 1, 3, 7} {
		got(rbuf+4*i, tag)
	}
	n += 4
	require.Equal(t, credit+n*(channel.FrameCost+4), b.p.pair(0).Consumed())
	require.Len(t, b.p.idle, 4, "those that waited are used again")
}

// TestStraightRequestsKeepOrder: messages come in their order, whichever way each of them and its receive takes.
func TestStraightRequestsKeepOrder(t *testing.T) {
	x := newStraightPair(t)
	a, b := x.a, x.b
	const st, list, most = straightStatus, straightList, straightMost
	for i := range most { // in their order, whether they were posted before or after they have come
		b.call("MPI_Irecv", rbuf+8*i, 1, tInt, 0, 1, abi.CommWorld, list)
		a.setInts(sbuf, 2*i, 2*i+1)
		a.call("MPI_Isend", sbuf, 1, tInt, 1, 1, abi.CommWorld, list)
		a.call("MPI_Isend", sbuf+4, 1, tInt, 1, 1, abi.CommWorld, list+4)
		b.call("MPI_Irecv", rbuf+8*i+4, 1, tInt, 0, 1, abi.CommWorld, list+4)
		b.call("MPI_Waitall", 2, list, 0)
		a.call("MPI_Waitall", 2, list, 0)
		require.Equal(t, []int{2 * i, 2*i + 1}, b.ints(rbuf+8*i, 2))
		b.p.idle = nil
	}
	a.fill(sbuf, most)
	for _, g := range []*guest{a, b} {
		for i := range most {
			g.setInts(st+abi.StatusBytes*i+8, 77) // what ERROR was
		}
	}
	a.call("MPI_Iprobe", 1, 9, abi.CommWorld, 96, 0) // it hears of its credit
	for i := range most {                            // all of them after
		x.quick(a, "MPI_Isend", sbuf+4*i, 1, tInt, 1, 1, abi.CommWorld, list+4*i)
	}
	for i := range most {
		x.quick(b, "MPI_Irecv", rbuf+4*i, 1, tInt, 0, 1, abi.CommWorld, list+4*i)
	}
	for _, g := range []*guest{a, b} {
		x.quick(g, "MPI_Waitall", most, list, st)
		for i := range most {
			require.Equal(t, abi.RequestNull, g.int(list+4*i))
			require.Zero(t, g.int(st+abi.StatusBytes*i+8), "ERROR")
		}
	}
	require.Equal(t, a.ints(sbuf, most), b.ints(rbuf, most))
	x.free()
}

// TestStraightLists: one handle twice in a list, one that is null, one that is not done.
func TestStraightLists(t *testing.T) {
	x := newStraightPair(t)
	a, b := x.a, x.b
	const list = straightList
	a.fill(sbuf, 8)
	x.quick(a, "MPI_Isend", sbuf, 1, tInt, 1, 1, abi.CommWorld, list)
	a.setInts(list+4, a.int(list))
	x.quick(a, "MPI_Waitall", 2, list, 0)
	require.Equal(t, abi.RequestNull, a.int(list))
	x.quick(a, "MPI_Isend", sbuf+4, 1, tInt, 1, 1, abi.CommWorld, list)
	a.setInts(list+4, abi.RequestNull)
	a.call("MPI_Waitall", 2, list, 0)
	b.call("MPI_Irecv", rbuf, 1, tInt, 0, 1, abi.CommWorld, list)
	b.call("MPI_Irecv", rbuf+4, 1, tInt, 0, 1, abi.CommWorld, list+4)
	b.call("MPI_Irecv", rbuf+8, 1, tInt, 0, 1, abi.CommWorld, list+8)
	b.p.enter()
	require.False(t, b.p.quickWaitall([]uint64{3, list, 0}), "the third is not here")
	b.p.leave()
	require.NotEqual(t, abi.RequestNull, b.int(list))
	a.call("MPI_Send", sbuf+8, 1, tInt, 1, 1, abi.CommWorld)
	b.call("MPI_Waitall", 3, list, 0)
	require.Equal(t, a.ints(sbuf, 3), b.ints(rbuf, 3))
	b.p.idle = nil // some came into the midst
	x.free()
}

// TestStraightWayRefuses: a message that is too long, one that was taken back, and what is wrong are as they are elsewhere.
func TestStraightWayRefuses(t *testing.T) {
	x := newStraightPair(t)
	a, b := x.a, x.b
	const st, list = straightStatus, straightList
	a.fill(sbuf, 8)
	x.quick(a, "MPI_Isend", sbuf, 8, tInt, 1, 7, abi.CommWorld, list)
	b.call("MPI_Irecv", rbuf, 7, tInt, 0, 7, abi.CommWorld, list)
	require.EqualValues(t, abi.ErrTruncate, b.call("MPI_Wait", list, st))
	a.call("MPI_Wait", list, 0)
	x.quick(a, "MPI_Isend", sbuf, 8, tInt, 1, 7, abi.CommWorld, list)
	a.call("MPI_Cancel", list)
	b.call("MPI_Iprobe", 0, 7, abi.CommWorld, 96, 0) // it answers
	a.call("MPI_Wait", list, st)
	a.call("MPI_Test_cancelled", st, 96)
	require.Equal(t, 1, a.int(96))
	for _, bad := range [][]int{
		{0, 1, tInt, 1, 7, list},
		{sbuf, -1, tInt, 1, 7, list},
		{sbuf, 1, 77, 1, 7, list},
		{sbuf, 1, tInt, 2, 7, list},
		{sbuf, 1, tInt, 1, -7, list},
		{arenaBytes - 2, 1, tInt, 1, 7, list},
		{sbuf, 1, tInt, 1, 7, 0},
		{sbuf, 1, tInt, 1, 7, arenaBytes - 3},
	} {
		params := append(append([]int{}, bad[:5]...), abi.CommWorld, bad[5])
		require.NotZero(t, a.call("MPI_Isend", params...), "%v", bad)
		require.NotZero(t, b.call("MPI_Irecv", params...), "%v", bad)
	}
	for _, g := range []*guest{a, b} {
		require.NotZero(t, g.call("MPI_Wait", 0, 0))
		require.NotZero(t, g.call("MPI_Wait", arenaBytes-3, 0))
		require.NotZero(t, g.call("MPI_Waitall", -1, list, 0))
		require.NotZero(t, g.call("MPI_Waitall", 2, arenaBytes-4, 0))
		g.p.idle = nil
	}
	x.free()
}

// TestWindowsInOrder: nonblocking messages are received in the order they were sent in, whichever of the two ranks is ahead, also those that come while it
// is seen which receives they are for.
func TestWindowsInOrder(t *testing.T) {
	const window, handles, answer = 64, 64, 1
	errs := runLocal(t, DefaultConfig(2), func(g *guest) {
		for n := range pick(testing.Short(), 300, 3000) {
			if g.rank == 0 {
				for i := range window {
					order.PutUint32(g.mem[sbuf:], uint32(n*window+i))
					g.call("MPI_Isend", sbuf, 1, tInt, 1, 0, abi.CommWorld, handles+4*i)
				}
				g.call("MPI_Waitall", window, handles, 0)
				g.call("MPI_Recv", sbuf, 0, tInt, 1, answer, abi.CommWorld, 0)
				continue
			}
			for i := range window {
				if i%16 == 15 { // blocking ones among them
					g.call("MPI_Recv", rbuf+4*i, 1, tInt, 0, 0, abi.CommWorld, 0)
					order.PutUint32(g.mem[handles+4*i:], abi.RequestNull)
				} else {
					g.call("MPI_Irecv", rbuf+4*i, 1, tInt, 0, 0, abi.CommWorld, handles+4*i)
				}
			}
			g.call("MPI_Waitall", window, handles, 0)
			for i, v := range g.ints(rbuf, window) {
				if v != n*window+i {
					panic(abortPanic{fmt.Errorf("window %d: message %d is %d", n, i, v)})
				}
			}
			g.call("MPI_Send", sbuf, 0, tInt, 0, answer, abi.CommWorld)
		}
	})
	for _, err := range errs {
		require.NoError(t, err)
	}
}
