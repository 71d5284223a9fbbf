package mpi

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/layout"
)

// runEnds runs f on ranks of several worlds. A rank ends as in an executor: it drains, leaves its world, and all worlds hear
// that it has ended. A failure cancels the others. It returns how each ended.
func runEnds(t *testing.T, cfg Config, worlds int, f func(g *guest)) []error {
	t.Helper()
	c := newCluster(t, cfg, worlds)
	defer c.close()
	errs := make([]error, cfg.Size)
	guests := make([]*guest, cfg.Size)
	for r := range guests {
		g := newGuest(r, cfg.Size, callsByName())
		g.mem = make(arena, arenaBytes)
		var err error
		g.p, err = c.worlds[c.where[r]].AddRank(Rank(r), 1, g.mem)
		require.NoError(t, err)
		guests[r] = g
	}
	var wg sync.WaitGroup
	for r, g := range guests {
		wg.Go(func() {
			errs[r] = g.run(func(g *guest) {
				g.call("MPI_Init", 0, 0)
				f(g)
				g.call("MPI_Finalize")
				g.drain()
			})
			if errs[r] != nil {
				for _, o := range guests {
					o.p.Cancel(errPeer)
				}
				return
			}
			c.over(Rank(r))
		})
	}
	waitFor(t, &wg, func() string { return inspectAll(c.worlds...) })
	return errs
}

// pairOfWorlds are two ranks, each in a world of its own, whose frames the test delivers.
func pairOfWorlds(t *testing.T) (worlds [2]*World, nets *[2]byHand, guests [2]*guest) {
	nets = &[2]byHand{}
	for r := range guests {
		worlds[r] = NewWorld(smallConfig(2), &nets[r])
		g := newGuest(r, 2, callsByName())
		g.mem = make(arena, arenaBytes)
		var err error
		g.p, err = worlds[r].AddRank(Rank(r), 1, g.mem)
		require.NoError(t, err)
		g.call("MPI_Init", 0, 0)
		guests[r] = g
	}
	return worlds, nets, guests
}

// isDrained asks a rank whether its Drain may return.
func (p *Proc) isDrained() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended && p.drained()
}

// begin calls Drain on a goroutine of its own.
func begin(t *testing.T, p *Proc) <-chan error {
	done := make(chan error, 1)
	go func() { done <- p.Drain() }()
	require.Eventually(t, p.Ended, time.Minute, time.Millisecond)
	return done
}

// What a rank sends before its end arrives though its receiver is frozen meanwhile, and goes on elsewhere; however long that
// takes (MPI 5.0 section 3.5: progress).
func TestLastMessageWaitsForAFrozenReceiver(t *testing.T) {
	worlds, nets, guests := pairOfWorlds(t)
	a, b := guests[0], guests[1]
	b.p.Freeze()
	state, err := worlds[1].Capture(1)
	require.NoError(t, err)
	a.setInts(64, 42)
	a.call("MPI_Send", 64, 1, tInt, 1, 7, abi.CommWorld)
	a.call("MPI_Finalize")
	done := begin(t, a.p)
	nets[0].deliver(worlds[1]) // to a rank that stands still
	require.False(t, a.p.isDrained())

	var net byHand
	elsewhere := NewWorld(smallConfig(2), &net)
	q, err := elsewhere.RestoreRank(1, 2, b.mem, state)
	require.NoError(t, err)
	b.p = q
	worlds[0].Reconnect(1)
	for range 4 { // attach, welcome and what was lost, acks
		net.deliver(worlds[0])
		nets[0].deliver(elsewhere)
	}
	b.call("MPI_Recv", 64, 1, tInt, 0, 7, abi.CommWorld, 0)
	require.Equal(t, 42, b.int(64))
	net.deliver(worlds[0])
	require.NoError(t, <-done)
}

// The same within one world.
func TestLastMessageWaitsForAFrozenNeighbour(t *testing.T) {
	w := NewWorld(smallConfig(2), noNetwork{})
	var guests [2]*guest
	for r := range guests {
		guests[r] = begun(t, w, r, arenaBytes)
	}
	a, b := guests[0], guests[1]
	b.p.Freeze()
	_, err := w.Capture(1)
	require.NoError(t, err)
	a.setInts(64, 42)
	a.call("MPI_Send", 64, 1, tInt, 1, 7, abi.CommWorld)
	a.call("MPI_Finalize")
	done := begin(t, a.p)
	require.False(t, a.p.isDrained())
	require.NoError(t, w.Resume(1))
	b.p.Unfreeze()
	require.NoError(t, <-done)
	w.PeerEnded(0)
	w.Remove(0)
	b.call("MPI_Recv", 64, 1, tInt, 0, 7, abi.CommWorld, 0)
	require.Equal(t, 42, b.int(64))
}

// Two ranks that have ended with messages for each other wait for nothing: neither wants them. They are told by each other.
func TestBothEndedWithMessagesForEachOther(t *testing.T) {
	worlds, nets, guests := pairOfWorlds(t)
	var done [2]<-chan error
	for r, g := range guests {
		g.call("MPI_Buffer_attach", 65536, 65536)
		g.call("MPI_Bsend", 4096, 2000, tInt, 1-r, 7, abi.CommWorld) // beyond the eager limit
		g.call("MPI_Finalize")
		done[r] = begin(t, g.p)
		require.False(t, g.p.isDrained())
	}
	for len(nets[0].frames)+len(nets[1].frames) > 0 {
		nets[0].deliver(worlds[1])
		nets[1].deliver(worlds[0])
	}
	require.NoError(t, <-done[0])
	require.NoError(t, <-done[1])
}

// A receiver that is gone for good releases its senders, whatever was under way.
func TestEndedReceiverReleasesItsSender(t *testing.T) {
	worlds, nets, guests := pairOfWorlds(t)
	a := guests[0]
	a.call("MPI_Buffer_attach", 65536, 65536)
	a.call("MPI_Bsend", 4096, 2000, tInt, 1, 7, abi.CommWorld)
	a.call("MPI_Isend", 4096, 10, tInt, 1, 7, abi.CommWorld, 64)
	a.call("MPI_Finalize")
	done := begin(t, a.p)
	nets[0].frames = nil
	require.False(t, a.p.isDrained())
	worlds[0].PeerEnded(1)
	require.NoError(t, <-done)
	require.Zero(t, a.p.buffered)
	for range 100 { // nothing is kept for it
		a.p.lock()
		_, err := a.p.startSend(a.p.world, 0, 1, 0, layout.Span{Off: 4096, Len: 400}, modeStandard, true)
		a.p.release()
		require.NoError(t, err)
	}
	require.Zero(t, a.p.pair(1).Unacked())
}

// A rank that drains can be frozen, and goes on draining where it is restored; cancelled, it ends.
func TestDrainingRankMovesAndIsCancelled(t *testing.T) {
	worlds, nets, guests := pairOfWorlds(t)
	a, b := guests[0], guests[1]
	for i := range 2000 {
		a.setInts(4096+4*i, i)
	}
	a.call("MPI_Isend", 4096, 2000, tInt, 1, 7, abi.CommWorld, 64)
	a.call("MPI_Request_free", 64) // it completes by itself (MPI 5.0 section 3.7.3)
	a.call("MPI_Finalize")
	done := begin(t, a.p)
	nets[0].deliver(worlds[1])
	nets[1].deliver(worlds[0])
	require.False(t, a.p.isDrained(), "the envelope is there, the data is not")
	a.p.Freeze()
	require.ErrorIs(t, <-done, ErrFrozen)
	state, err := worlds[0].Capture(0)
	require.NoError(t, err)
	worlds[0].Remove(0)

	var net byHand
	elsewhere := NewWorld(smallConfig(2), &net)
	q, err := elsewhere.RestoreRank(0, 2, a.mem, state)
	require.NoError(t, err)
	require.True(t, q.Ended())
	done = begin(t, q)
	b.call("MPI_Irecv", 4096, 2000, tInt, 0, 7, abi.CommWorld, 64)
	for range 20 {
		net.deliver(worlds[1])
		nets[1].deliver(elsewhere)
	}
	b.call("MPI_Wait", 64, 0)
	require.Equal(t, a.ints(4096, 2000), b.ints(4096, 2000))
	net.deliver(worlds[1])
	nets[1].deliver(elsewhere)
	require.NoError(t, <-done)

	b.call("MPI_Send", 4096, 1, tInt, 0, 9, abi.CommWorld) // dropped: rank 0 wants nothing
	nets[1].frames = nil
	b.p.pair(0).ended = false // as if that had not been heard
	b.call("MPI_Send", 4096, 1, tInt, 0, 9, abi.CommWorld)
	b.call("MPI_Finalize")
	done = begin(t, b.p)
	require.False(t, b.p.isDrained())
	b.p.Cancel(errPeer)
	require.ErrorIs(t, <-done, errPeer)
}

// What waits for a message of a rank that has ended without sending it fails, and names both.
func TestNothingMoreComesFromAnEndedRank(t *testing.T) {
	const gone = "rank 1 of MPI_COMM_WORLD has ended"
	for name, tt := range map[string]struct {
		f    func(g *guest)
		want string
	}{
		"Recv":        {func(g *guest) { g.call("MPI_Recv", 64, 1, tInt, 1, 7, abi.CommWorld, 0) }, gone},
		"Recv any":    {func(g *guest) { g.call("MPI_Recv", 64, 1, tInt, abi.AnySource, 7, abi.CommWorld, 0) }, "all other ranks have ended"},
		"Probe":       {func(g *guest) { g.call("MPI_Probe", 1, 7, abi.CommWorld, 0) }, gone},
		"Probe any":   {func(g *guest) { g.call("MPI_Probe", abi.AnySource, 7, abi.CommWorld, 0) }, "all other ranks have ended"},
		"Mprobe":      {func(g *guest) { g.call("MPI_Mprobe", 1, 7, abi.CommWorld, 64, 0) }, gone},
		"Sendrecv":    {func(g *guest) { g.call("MPI_Sendrecv", 64, 1, tInt, 1, 7, 128, 1, tInt, 1, 7, abi.CommWorld, 0) }, gone},
		"Ssend":       {func(g *guest) { g.call("MPI_Ssend", 64, 1, tInt, 1, 7, abi.CommWorld) }, gone + " without receiving"},
		"Send, large": {func(g *guest) { g.call("MPI_Send", 4096, 4000, tInt, 1, 7, abi.CommWorld) }, gone + " without receiving"},
		"Barrier":     {func(g *guest) { g.call("MPI_Barrier", abi.CommWorld) }, gone},
		"Ibarrier":    {func(g *guest) { g.call("MPI_Ibarrier", abi.CommWorld, 64); g.call("MPI_Wait", 64, 0) }, gone},
		"Wait":        {func(g *guest) { g.irecv(64, 1); g.call("MPI_Wait", 64, 0) }, gone},
		"Waitall": {func(g *guest) {
			g.irecv(64, 1)
			g.irecv(68, abi.AnySource)
			g.call("MPI_Waitall", 2, 64, abi.StatusIgnore)
		}, gone},
		"Waitany":  {func(g *guest) { g.irecv(64, 1); g.irecv(68, 1); g.call("MPI_Waitany", 2, 64, 96, 0) }, gone},
		"Waitsome": {func(g *guest) { g.irecv(64, 1); g.call("MPI_Waitsome", 1, 64, 96, 100, abi.StatusIgnore) }, gone},
		"Test":     {func(g *guest) { g.irecv(64, 1); g.until("MPI_Test", 64, 96, 0) }, gone},
		"Testall":  {func(g *guest) { g.irecv(64, 1); g.until("MPI_Testall", 1, 64, 96, abi.StatusIgnore) }, gone},
		"persistent": {func(g *guest) {
			g.call("MPI_Recv_init", 64, 1, tInt, 1, 7, abi.CommWorld, 128)
			g.call("MPI_Start", 128)
			g.call("MPI_Wait", 128, 0)
		}, gone},
		"partitioned": {func(g *guest) {
			g.call("MPI_Precv_init", 64, 1, 1, tInt, 1, 7, abi.CommWorld, abi.InfoNull, 128)
			g.call("MPI_Start", 128)
			g.call("MPI_Wait", 128, 0)
		}, gone},
		"Sendrecv_rpl": {func(g *guest) { g.call("MPI_Sendrecv_replace", 64, 1, tInt, 1, 7, 1, 7, abi.CommWorld, 0) }, gone},
	} {
		for worlds := 1; worlds <= 2; worlds++ {
			t.Run(fmt.Sprintf("%s/%d", name, worlds), func(t *testing.T) {
				errs := runEnds(t, smallConfig(2), worlds, func(g *guest) {
					if g.rank == 1 {
						g.call("MPI_Send", 64, 1, tInt, 0, 1, abi.CommWorld) // of another tag
						return
					}
					tt.f(g)
				})
				require.ErrorContains(t, errs[0], "rank 0: MPI_")
				require.ErrorContains(t, errs[0], tt.want)
			})
		}
	}
}

// The same of a window whose other rank has ended.
func TestWindowOfAnEndedRank(t *testing.T) {
	const win = 64
	for name, f := range map[string]func(g *guest){
		"Win_lock":    func(g *guest) { g.untilGone(1); g.call("MPI_Win_lock", abi.LockShared, 1, 0, g.int(win)) },
		"Win_fence":   func(g *guest) { g.call("MPI_Win_fence", 0, g.int(win)) },
		"Win_free":    func(g *guest) { g.call("MPI_Win_free", win) },
		"Win_lockall": func(g *guest) { g.untilGone(1); g.call("MPI_Win_lock_all", 0, g.int(win)) },
		"Win_start": func(g *guest) {
			g.call("MPI_Comm_group", abi.CommWorld, 80)
			g.setInts(84, 1)
			g.call("MPI_Group_incl", g.int(80), 1, 84, 88)
			g.call("MPI_Win_start", g.int(88), 0, g.int(win))
		},
		"Win_wait": func(g *guest) {
			g.call("MPI_Comm_group", abi.CommWorld, 80)
			g.setInts(84, 1)
			g.call("MPI_Group_incl", g.int(80), 1, 84, 88)
			g.call("MPI_Win_post", g.int(88), 0, g.int(win))
			g.call("MPI_Win_wait", g.int(win))
		},
		"Win_test": func(g *guest) {
			g.call("MPI_Comm_group", abi.CommWorld, 80)
			g.setInts(84, 1)
			g.call("MPI_Group_incl", g.int(80), 1, 84, 88)
			g.call("MPI_Win_post", g.int(88), 0, g.int(win))
			g.until("MPI_Win_test", g.int(win), 96)
		},
		"Rget": func(g *guest) {
			g.untilGone(1)
			g.p.winOf(g.int(win)).fenced = true
			g.call("MPI_Rget", 8192, 2000, tInt, 1, 0, 2000, tInt, g.int(win), 128)
			g.call("MPI_Wait", 128, 0)
		},
	} {
		for worlds := 1; worlds <= 2; worlds++ {
			t.Run(fmt.Sprintf("%s/%d", name, worlds), func(t *testing.T) {
				errs := runEnds(t, smallConfig(2), worlds, func(g *guest) {
					g.call("MPI_Win_create", 16384, 65536, 4, abi.InfoNull, abi.CommWorld, win)
					if g.rank == 0 {
						f(g)
					}
				})
				require.ErrorContains(t, errs[0], "rank 0: MPI_")
				require.ErrorContains(t, errs[0], "rank 1 of MPI_COMM_WORLD has ended")
			})
		}
	}
}

func (p *Proc) winOf(handle int) *window {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wins.get(uint32(handle))
}

func (g *guest) irecv(at, from int) { g.call("MPI_Irecv", 8192, 1, tInt, from, 7, abi.CommWorld, at) }

// until makes a call that tests until its flag, at 96, is set.
func (g *guest) until(name string, a ...int) {
	for g.int(96) == 0 {
		g.call(name, a...)
	}
}

// A message to itself is none of an ended rank: a receive of any source is not given up while the rank can still send.
func TestAnySourceFromItself(t *testing.T) {
	errs := runEnds(t, smallConfig(2), 2, func(g *guest) {
		if g.rank == 1 {
			g.call("MPI_Send", 64, 1, tInt, 0, 1, abi.CommWorld)
			return
		}
		g.call("MPI_Recv", 64, 1, tInt, 1, 1, abi.CommWorld, 0)
		g.irecv(64, abi.AnySource)
		for !g.peerGone(1) {
			g.call("MPI_Test", 64, 96, 0)
		}
		g.call("MPI_Test", 64, 96, 0)
		g.call("MPI_Send", 4096, 1, tInt, 0, 7, abi.CommWorld)
		g.call("MPI_Wait", 64, 0)
	})
	require.Equal(t, []error{nil, nil}, errs)
}

// untilGone polls until another rank has ended.
func (g *guest) untilGone(r Rank) {
	for !g.peerGone(r) {
		g.call("MPI_Iprobe", int(r), 3, abi.CommWorld, 96, 0)
	}
}

func (g *guest) peerGone(r Rank) bool {
	g.p.mu.Lock()
	defer g.p.mu.Unlock()
	return g.p.gone(r)
}

// Programs whose last act is a send, eager or not, end under random moves of all ranks, draining ones too, and broken links.
func TestLastWordsWhileRanksMove(t *testing.T) {
	rnd := rand.New(rand.NewPCG(seed(t), 0))
	moves := 0
	for range 20 {
		runCluster(t, smallConfig(4), 3, func(g *guest) {
			if g.rank%2 == 0 { // its last words: the others receive them when it has ended
				g.call("MPI_Buffer_attach", 1<<19, 1<<19)
				for i, n := range []int{1, 100, 2000} { // eager, eager of some size, rendezvous
					for to := 1; to < 4; to += 2 {
						g.setInts(4096, g.rank*1000+i)
						g.call("MPI_Bsend", 4096, n, tInt, to, i, abi.CommWorld)
					}
				}
				return
			}
			for from := 0; from < 4; from += 2 {
				for _, i := range []int{2, 0, 1} {
					g.call("MPI_Recv", 65536, 2000, tInt, from, i, abi.CommWorld, 0)
					if g.int(65536) != from*1000+i {
						panic(abortPanic{errors.New("wrong data")})
					}
				}
			}
		}, wanderer(rnd, &moves))
	}
	t.Logf("%d moves", moves)
}
