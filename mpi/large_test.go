package mpi

import (
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
)

// TestThousandRanks: an app of 1,024 ranks in eight Worlds goes on while some of them move.
func TestThousandRanks(t *testing.T) {
	const size, rounds = 1024, 3
	rnd := rand.New(rand.NewPCG(seed(t), 0)) //nolint:gosec // a test's
	moves := 0
	runCluster(t, DefaultConfig(size), 8, func(g *guest) {
		right, left := (g.rank+1)%size, (g.rank-1+size)%size
		for i := range rounds {
			g.setInts(sbuf, g.rank+i)
			g.call("MPI_Sendrecv", sbuf, 1, tInt, right, i, rbuf, 1, tInt, left, i, abi.CommWorld, 0)
			require.Equal(t, left+i, g.int(rbuf))
			g.call("MPI_Allreduce", sbuf, rbuf, 1, tInt, abi.OpSum, abi.CommWorld)
			require.Equal(t, size*(size-1)/2+size*i, g.int(rbuf))
			g.call("MPI_Barrier", abi.CommWorld)
		}
	}, func(c *cluster, guests []*guest, endedCh <-chan struct{}) {
		for !ended(endedCh) && moves < 100 {
			g := guests[rnd.IntN(size)]
			if c.move(g, rnd.IntN(len(c.worlds)), true, rnd.IntN(2) == 0) {
				moves++
			}
		}
	})
	require.Positive(t, moves)
	t.Logf("%d moves", moves)
}

// TestMoveCostsWhatItChanges: a rank that moves, and a route that is new, cost something for those that the rank has had to do with, and nothing for the others.
func TestMoveCostsWhatItChanges(t *testing.T) {
	const size, mover = 256, 5
	blocked := make(chan struct{}, size)
	goOn := make(chan struct{})
	peers := map[int]bool{mover - 1: true, mover + 1: true} // the ring's
	channels := func(guests []*guest, c *cluster) (n int) {
		for _, g := range guests {
			p := g.current(c)
			p.lock()
			for _, c := range p.pairs {
				n += truth(c != nil)
			}
			p.release()
		}
		return n
	}
	runCluster(t, smallConfig(size), 4, func(g *guest) {
		right, left := (g.rank+1)%size, (g.rank-1+size)%size
		g.call("MPI_Sendrecv", sbuf, 1, tInt, right, 1, rbuf, 1, tInt, left, 1, abi.CommWorld, 0)
		blocked <- struct{}{}
		if g.rank == mover {
			g.call("MPI_Recv", rbuf, 1, tInt, mover+1, 2, abi.CommWorld, 0)
			return
		}
		<-goOn
		if g.rank == mover+1 {
			g.call("MPI_Send", sbuf, 1, tInt, mover, 2, abi.CommWorld)
		}
	}, func(c *cluster, guests []*guest, _ <-chan struct{}) {
		for range size {
			<-blocked
		}
		before := channels(guests, c)
		sent := c.sent.Load()
		for to := range c.worlds {
			require.True(t, c.move(guests[mover], to, true, to%2 == 0))
		}
		require.LessOrEqual(t, c.sent.Load()-sent, int64(8*len(c.worlds)*len(peers)))
		require.LessOrEqual(t, channels(guests, c), before)
		close(goOn)
	})
}

// firstWord has rank 0 send its first message to rank 1.
func (a *apart) firstWord() {
	a.ranks[0].setInts(sbuf, 42)
	a.ranks[0].call("MPI_Send", sbuf, 1, tInt, 1, 1, abi.CommWorld)
}

// heard requires that the message is there.
func (a *apart) heard(t *testing.T) {
	t.Helper()
	g := a.ranks[1]
	require.EqualValues(t, abi.Success, g.call("MPI_Iprobe", 0, 1, abi.CommWorld, 96, 0))
	require.Equal(t, 1, g.int(96), "it is there")
	g.call("MPI_Recv", rbuf, 1, tInt, 0, 1, abi.CommWorld, 0)
	require.Equal(t, 42, g.int(rbuf))
}

// visit has rank 1, whose state was taken and which was removed, run elsewhere for a while and come back, of which rank 0 does not hear.
func (a *apart) visit(t *testing.T, state []byte, epoch uint64) {
	t.Helper()
	away := NewWorld(DefaultConfig(2), &byHand{})
	_, err := away.RestoreRank(1, epoch, a.ranks[1].mem, state)
	require.NoError(t, err)
	state, err = away.Capture(1)
	require.NoError(t, err)
	a.ranks[1].p, err = a.worlds[1].RestoreRank(1, epoch+1, a.ranks[1].mem, state)
	require.NoError(t, err)
}

// passThrough has rank 0 move to its peer's World and away again, of which that one hears late: it holds the rank to be there.
func (a *apart) passThrough(t *testing.T) {
	t.Helper()
	home := a.worlds[1]
	state, err := a.worlds[0].Capture(0)
	require.NoError(t, err)
	p, err := home.RestoreRank(0, 2, a.ranks[0].mem, state)
	require.NoError(t, err)
	a.worlds[0].Remove(0)
	state, err = home.Capture(0)
	require.NoError(t, err)
	require.Nil(t, p.pairs[1])
	away := NewWorld(DefaultConfig(2), &a.nets[0])
	a.ranks[0].p, err = away.RestoreRank(0, 3, a.ranks[0].mem, state)
	require.NoError(t, err)
	a.worlds[0] = away
}

// TestFirstMessageIsDropped: what was dropped of the first message between two ranks comes again, though neither had had to do with the other: the receiver stood
// still, or its World held the sender to be there still.
func TestFirstMessageIsDropped(t *testing.T) {
	t.Run("resumed", func(t *testing.T) {
		a := newApart(t, arenaBytes)
		_, err := a.worlds[1].Capture(1)
		require.NoError(t, err)
		a.firstWord()
		a.carry(2)
		require.NoError(t, a.worlds[1].Resume(1))
		a.carry(3)
		a.heard(t)
	})
	t.Run("captured elsewhere", func(t *testing.T) {
		a := newApart(t, arenaBytes)
		state, err := a.worlds[1].Capture(1)
		require.NoError(t, err)
		a.firstWord()
		a.carry(2) // after the state was taken
		a.worlds[1].Remove(1)
		a.nets[1] = byHand{}
		w := NewWorld(DefaultConfig(2), &a.nets[1])
		a.worlds[1] = w
		for _, early := range []bool{true, false} { // the sender hears of the route before the rank is there, or after
			if early {
				a.worlds[0].Reconnect(1)
				a.carry(1)
				require.Len(t, w.missed, 1)
				continue
			}
			p, err := w.RestoreRank(1, 2, a.ranks[1].mem, state)
			require.NoError(t, err)
			a.ranks[1].p = p
		}
		a.carry(3)
		a.heard(t)
	})
	t.Run("away and back", func(t *testing.T) { // and the sender does not hear that it was away
		a := newApart(t, arenaBytes)
		home := a.worlds[1]
		state, err := home.Capture(1)
		require.NoError(t, err)
		a.firstWord()
		a.carry(2) // after the state was taken
		home.Remove(1)
		a.visit(t, state, 2)
		a.carry(3)
		a.heard(t)
	})
	t.Run("held to be here", func(t *testing.T) {
		a := newApart(t, arenaBytes)
		home := a.worlds[1]
		a.passThrough(t)
		a.firstWord()
		a.carry(2)
		home.Remove(0)
		a.carry(3)
		a.heard(t)
	})
}

// TestSenderHeldToBeHere: the receiver's state was taken when a frame came from a sender that was held to be here still; it goes away and back before that one's old
// place is given up.
func TestSenderHeldToBeHere(t *testing.T) {
	a := newApart(t, arenaBytes)
	home := a.worlds[1]
	a.passThrough(t)
	state, err := home.Capture(1)
	require.NoError(t, err)
	a.firstWord()
	a.carry(2) // dropped: it stands still, and the sender is held to be here
	home.Remove(1)
	a.visit(t, state, 4)
	a.carry(2)
	home.Remove(0)
	a.carry(4)
	a.heard(t)
}

// TestFrameForARankThatLeaves: one that has found the rank, and gets its lock when it has left, is remembered too.
func TestFrameForARankThatLeaves(t *testing.T) {
	for _, try := range []bool{false, true} { // as who looks brings it, who then leaves it to another
		a := newApart(t, arenaBytes)
		home := a.worlds[1]
		p := a.ranks[1].p
		state, err := home.Capture(1)
		require.NoError(t, err)
		a.firstWord()
		frames := a.nets[0].frames
		a.nets[0].frames = nil
		home.Remove(1)
		home.procs[1].Store(p) // as found before
		if try {
			require.False(t, home.TryReceive(frames[0]))
			home.procs[1].Store(nil)
			home.Receive(frames[0])
		} else {
			received := make(chan struct{})
			go func() { home.Receive(frames[0]); close(received) }()
			for !ended(received) && p.mu.TryLock() { // until it has found the rank
				p.mu.Unlock()
				runtime.Gosched()
			}
			home.procs[1].Store(nil)
			<-received
		}
		require.True(t, home.missed[1][0])
		a.visit(t, state, 2)
		a.carry(4)
		a.heard(t)
	}
}
