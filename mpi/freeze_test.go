package mpi

import (
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/channel"
)

// A call that was frozen goes on where it was, in place, and takes only one message.
func TestFreezeBlocked(t *testing.T) {
	w := NewWorld(smallConfig(2), noNetwork{})
	calls := callsByName()
	var guests [2]*guest
	for r := range guests {
		g := newGuest(r, 2, calls)
		g.mem = make(arena, 1<<16)
		p, err := w.AddRank(Rank(r), 1, g.mem)
		require.NoError(t, err)
		g.p = p
		g.call("MPI_Init", 0, 0)
		guests[r] = g
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		require.NoError(t, guests[0].run(func(g *guest) {
			g.call("MPI_Recv", 64, 1, tInt, 1, 0, abi.CommWorld, 0)
			g.call("MPI_Recv", 68, 1, tInt, 1, 0, abi.CommWorld, 0)
			g.call("MPI_Send", 64, 2, tInt, 1, 1, abi.CommWorld)
		}))
	})
	g, p := guests[0], guests[0].p
	for i := range 3 {
		for !strings.Contains(w.Inspect(0), "MPI_Recv(") { // until it is blocked
			runtime.Gosched()
		}
		p.Freeze()
		<-g.ctl.frozenCh
		require.Contains(t, w.Inspect(0), "frozen in MPI_Recv")
		p.Unfreeze()
		if i == 1 { // a message that arrives while nobody waits
			guests[1].setInts(64, 7)
			guests[1].call("MPI_Send", 64, 1, tInt, 0, 0, abi.CommWorld)
		}
		g.thawCh <- thawed{p, g.mem}
	}
	guests[1].setInts(64, 8)
	guests[1].call("MPI_Send", 64, 1, tInt, 0, 0, abi.CommWorld)
	guests[1].call("MPI_Recv", 64, 2, tInt, 0, 1, abi.CommWorld, 0)
	require.Equal(t, []int{7, 8}, guests[1].ints(64, 2))
	wg.Wait()
}

// Another call than the frozen one is the caller's error, not a panic.
func TestFrozenCallIsMadeAgain(t *testing.T) {
	_, p, _ := busyWorld(t)
	require.NoError(t, p.w.Resume(0))
	_, err := p.Invoke(callsByName()["MPI_Barrier"], []uint64{abi.CommWorld})
	require.ErrorContains(t, err, "a frozen MPI_Recv was not made again first")
}

// Cancel ends a blocked call.
func TestCancel(t *testing.T) {
	errs := runLocal(t, smallConfig(3), func(g *guest) {
		if g.rank == 2 {
			g.call("MPI_Abort", abi.CommWorld, 5)
		}
		g.call("MPI_Recv", 64, 1, tInt, abi.AnySource, 0, abi.CommWorld, 0)
	})
	require.ErrorIs(t, errs[0], errPeer)
	require.ErrorIs(t, errs[1], errPeer)
	require.ErrorContains(t, errs[2], "rank 2: MPI_Abort(errorcode=5)")
}

// A sender that runs ahead holds at most a window at the receiver, and one in its
// replay buffer; a peer that has ended holds nobody up.
func TestBounds(t *testing.T) {
	w := NewWorld(smallConfig(2), sink{})
	g := newGuest(0, 2, callsByName())
	g.mem = make(arena, 1<<16)
	var err error
	g.p, err = w.AddRank(0, 1, g.mem)
	require.NoError(t, err)
	g.call("MPI_Init", 0, 0)
	for range 1000 {
		g.call("MPI_Isend", 4096, 100, tInt, 1, 0, abi.CommWorld, 64)
	}
	c := g.p.pair(1)
	require.LessOrEqual(t, c.Inflight(channel.Talk), w.cfg.WindowBytes)
	require.Greater(t, c.pending.Len(), 900)
	g.call("MPI_Finalize")
	drained := make(chan error, 1)
	go func() { drained <- g.p.Drain() }()
	require.Empty(t, drained)
	w.PeerEnded(1)
	require.NoError(t, <-drained)

	// The same with a local receiver: beyond its credit, messages wait at their sender.
	w = NewWorld(smallConfig(1), noNetwork{})
	g = newGuest(0, 1, callsByName())
	g.mem = make(arena, 1<<16)
	g.p, err = w.AddRank(0, 1, g.mem)
	require.NoError(t, err)
	g.call("MPI_Init", 0, 0)
	for range 1000 {
		g.call("MPI_Isend", 4096, 100, tInt, 0, 0, abi.CommWorld, 64)
	}
	held := 0
	for _, m := range g.p.unexpected {
		held += len(m.payload)
	}
	require.LessOrEqual(t, held, w.cfg.WindowBytes)
	require.Positive(t, held)
}

func TestConfig(t *testing.T) {
	require.NoError(t, DefaultConfig(1).Validate())
	for _, change := range []func(c *Config){
		func(c *Config) { c.Size = 0 },
		func(c *Config) { c.EagerLimit = c.ChunkBytes + 1 },
		func(c *Config) { c.FarEager = c.ChunkBytes + 1 },
		func(c *Config) { c.ChunkBytes, c.EagerLimit, c.FarEager = 0, 0, 0 },
		func(c *Config) { c.WindowBytes = c.ChunkBytes },
		func(c *Config) { c.MaxRequests = 0 },
		func(c *Config) { c.MaxScratch = -1 },
	} {
		c := DefaultConfig(1)
		change(&c)
		require.Error(t, c.Validate())
	}
}

// A guest that waits for something outside of any call hears that it is to stop, and not in a function that the library has called back.
func TestHalting(t *testing.T) {
	w := NewWorld(smallConfig(1), sink{})
	g := begun(t, w, 0, arenaBytes)
	stop := g.p.Halting()
	g.p.Freeze()
	<-stop
	<-g.p.Halting()
	_, err := g.p.Invoke(g.calls["MPI_Wtime"], nil)
	require.ErrorIs(t, err, ErrFrozen)
	g.p.Unfreeze()
	stop = g.p.Halting()
	select {
	case <-stop:
		require.Fail(t, "nobody has asked")
	default:
	}
	g.functions[7] = func(...uint32) uint32 {
		require.Nil(t, g.p.Halting())
		return 0
	}
	g.call("MPI_Comm_create_errhandler", 7, 64)
	g.call("MPI_Comm_set_errhandler", abi.CommWorld, g.int(64))
	g.call("MPI_Send", sbuf, 1, tInt, 9, 0, abi.CommWorld)
	g.p.Cancel(errPeer)
	<-stop
}
