package mpi

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/channel"
)

// looker is a Network whose frames are carried only by ranks that look.
type looker struct {
	byHand
	to    *World
	polls int
	first func()        // done at the first look
	over  chan struct{} // told when looks have been in vain
	bell  chan struct{}
	forUs bool // others of its World wait
	came  bool // what the next look says, after a sleep
	full  bool // there is no room to sleep
	looks int  // at once
}

func (n *looker) Poll(next func(came bool) Look) bool {
	n.polls++
	for came := false; ; {
		switch next(came) {
		case LookNoMore:
			return true
		case LookForUs:
			n.forUs = true
			return true
		case LookLater:
			select {
			case n.over <- struct{}{}:
			default:
			}
			if n.full {
				return true
			}
			<-n.bell
			came, n.came = n.came, false
		case LookAgain:
			n.looks++
			came = len(n.frames) > 0
			if n.first != nil {
				n.first()
				n.first = nil
			}
			n.deliver(n.to)
		}
	}
}

func (n *looker) Wake() {
	select {
	case n.bell <- struct{}{}:
	default:
	}
}

// lookers are a rank whose Network has to be looked at, and one elsewhere that has sent it a message, which is not carried yet.
func lookers(t *testing.T) (n *looker, g *guest, w *World) {
	t.Helper()
	n = &looker{over: make(chan struct{}, 1), bell: make(chan struct{}, 1)}
	var there byHand
	w, away := NewWorld(DefaultConfig(2), n), NewWorld(DefaultConfig(2), &there)
	w.cores = 2
	n.to = w
	g = begun(t, w, 0, arenaBytes)
	x := begun(t, away, 1, arenaBytes)
	x.setInts(sbuf, 42)
	x.call("MPI_Send", sbuf, 1, tInt, 0, 1, abi.CommWorld)
	n.frames = there.frames
	return n, g, w
}

func receive(g *guest) <-chan error {
	c := g.calls["MPI_Recv"]
	done := make(chan error, 1)
	go func() {
		_, err := g.p.Invoke(c, []uint64{rbuf, 1, uint64(tInt), 1, 1, abi.CommWorld, 0})
		done <- err
	}()
	return done
}

func inTime(t *testing.T, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(time.Minute):
		require.FailNow(t, "it hangs")
		return nil
	}
}

// TestLooksElsewhere: a rank that waits carries what its Network has for it; what it does not find comes by itself; and it stops looking when it is to freeze or
// to end.
func TestLooksElsewhere(t *testing.T) {
	t.Run("found", func(t *testing.T) {
		n, g, _ := lookers(t)
		require.NoError(t, inTime(t, receive(g)))
		require.Equal(t, 42, g.int(rbuf))
		require.Equal(t, 1, n.polls)
	})
	t.Run("something comes in its sleep", func(t *testing.T) { // not for it: it looks again, and falls asleep anew
		n, g, w := lookers(t)
		frames := n.frames
		n.frames = [][]byte{[]byte("no frame")}
		p, looks := g.p, n.polls
		done := receive(g)
		<-n.over
		require.EqualValues(t, 1, w.sleepers.Load())
		n.came = true
		n.Wake()
		<-n.over
		require.EqualValues(t, 1, w.sleepers.Load())
		require.True(t, p.in.parked.Load())
		require.True(t, p.in.asleep.Load())
		require.True(t, w.TryReceive(frames[0]))
		require.NoError(t, inTime(t, done))
		require.Equal(t, looks+1, n.polls)
		require.False(t, n.forUs, "no other sleeps")
		require.Zero(t, w.sleepers.Load())
		require.Equal(t, 42, g.int(rbuf))
	})
	t.Run("others wait", func(t *testing.T) {
		n, g, w := lookers(t)
		w.sleepers.Add(1)
		require.NoError(t, inTime(t, receive(g)))
		require.True(t, n.forUs)
	})
	t.Run("others sleep where there is room", func(t *testing.T) {
		n, g, w := lookers(t)
		n.full = true
		frames := n.frames
		n.frames = nil
		done := receive(g)
		<-n.over
		require.EqualValues(t, 1, w.sleepers.Load(), "it is one of those that wait")
		require.True(t, w.TryReceive(frames[0]))
		require.NoError(t, inTime(t, done))
		require.Zero(t, w.sleepers.Load())
	})
	t.Run("later", func(t *testing.T) {
		n, g, w := lookers(t)
		frames := n.frames
		n.frames = nil
		done := receive(g)
		<-n.over
		for _, f := range frames {
			require.True(t, w.TryReceive(f))
		}
		require.NoError(t, inTime(t, done))
		require.Equal(t, 42, g.int(rbuf))
	})
	t.Run("frozen", func(t *testing.T) {
		n, g, _ := lookers(t)
		n.frames, n.first = nil, func() { g.p.Freeze() }
		require.ErrorIs(t, inTime(t, receive(g)), ErrFrozen)
	})
	t.Run("cancelled", func(t *testing.T) {
		n, g, _ := lookers(t)
		why := errors.New("enough")
		n.frames, n.first = nil, func() { g.p.Cancel(why) }
		require.ErrorIs(t, inTime(t, receive(g)), why)
	})
	why := errors.New("enough")
	for name, c := range map[string]struct {
		wake func(g *guest)
		err  error
	}{
		"frozen in its sleep":    {func(g *guest) { g.p.Freeze() }, ErrFrozen},
		"cancelled in its sleep": {func(g *guest) { g.p.Cancel(why) }, why},
		"a neighbour's message": {wake: func(g *guest) {
			g.setInts(sbuf, 42)
			k := channel.Packet{Kind: channel.Eager, Context: g.p.world.context(contextPoint), Tag: 1, Length: 4, Payload: g.mem[sbuf : sbuf+4]}
			g.p.in.put(1, &k, nil)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			n, g, _ := lookers(t)
			n.frames = nil
			done := receive(g)
			<-n.over
			c.wake(g)
			require.ErrorIs(t, inTime(t, done), c.err)
			require.False(t, g.p.in.parked.Load())
			require.False(t, g.p.in.asleep.Load())
			if c.err == nil {
				require.Equal(t, 42, g.int(rbuf))
			}
		})
	}
	for name, not := range map[string]func(w *World, p *Proc){
		"no processor for it": func(w *World, _ *Proc) { w.cores = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			n, g, w := lookers(t)
			not(w, g.p)
			done := receive(g)
			require.Eventually(t, g.p.in.parked.Load, time.Minute, time.Millisecond)
			require.Zero(t, n.polls)
			n.deliver(w)
			require.NoError(t, inTime(t, done))
		})
	}
}

// TestTryReceive: a frame for a rank that is in a long call, or not here, is refused, and nothing has happened.
func TestTryReceive(t *testing.T) {
	n, g, w := lookers(t)
	frames := n.frames
	g.p.mu.Lock()
	require.False(t, w.TryReceive(frames[0]))
	require.Zero(t, g.p.pair(1).Received()[channel.Talk])
	g.p.mu.Unlock()
	require.True(t, w.TryReceive([]byte("no frame")))
	other := bytesOf(&channel.Frame{Packet: channel.Packet{Kind: channel.Ack}, Src: 0, Dst: 1, Epoch: 1})
	require.False(t, w.TryReceive(other))
	require.Empty(t, w.missed, "it was not noted")
	for _, f := range frames {
		require.True(t, w.TryReceive(f))
	}
	n.frames = nil
	require.NoError(t, inTime(t, receive(g)))
	require.Equal(t, 42, g.int(rbuf))
}

// busyLooker is a Network over which much comes that is not for the rank, some of it slowly, before what is.
type busyLooker struct {
	looker
	looks int // at once
}

func (n *busyLooker) Poll(next func(came bool) Look) bool {
	n.polls++
	for came := false; next(came) == LookAgain; came = true {
		switch n.looks--; {
		case n.looks == 0:
			n.deliver(n.to)
		case n.looks%100 == 0:
			for began := time.Now(); time.Since(began) < 2*keptAway; { //nolint:revive // it works
			}
		}
	}
	return true
}

// TestLooksAsLongAsSomethingComes: looking goes on, however long, and what is done meanwhile is no time that the rank was kept from its processor.
func TestLooksAsLongAsSomethingComes(t *testing.T) {
	n, g, w := lookers(t)
	busy := &busyLooker{looker: *n, looks: 5 * mostRounds * farLooks}
	w.net = busy
	require.NoError(t, inTime(t, receive(g)))
	require.Equal(t, 42, g.int(rbuf))
	require.Equal(t, 1, busy.polls)
	require.Zero(t, g.p.patience.until)
}

// TestRoomIsNotMissed: a rank in a call is not waited for when there is room for its frames again; it finds that before it sleeps, and who takes its lock does.
func TestRoomIsNotMissed(t *testing.T) {
	_, g, w := lookers(t)
	p := g.p
	for range 2 {
		p.crowded.Store(true)
		p.mu.Lock()
		w.Room()
		require.True(t, p.wanted(p.in.kicks.Load()))
		p.mu.Unlock()
		p.lock()
		require.False(t, p.reopened.Load())
		p.release()
	}
	p.crowded.Store(true)
	w.Room()
	require.False(t, p.reopened.Load(), "nobody has the lock: it goes on at once")
	w.Room()
	require.False(t, p.reopened.Load(), "it wants none")
}

// looksInVain has a rank look for what does not come until it sleeps, and returns how often it looked, and how often it gave its processor
// away. A look that was cut short, for the test itself was kept from its processor, does not count.
func looksInVain(t *testing.T, prepare func(p *Proc), yield func()) (p *Proc, looks, yields int) {
	t.Helper()
	for range 1000 {
		n, g, w := lookers(t)
		frames := n.frames
		n.frames = nil
		yields = 0
		w.yield = func() {
			yields++
			yield()
		}
		prepare(g.p)
		done := receive(g)
		<-n.over
		looks = n.looks
		cut := g.p.patience.until != 0
		require.True(t, w.TryReceive(frames[0]))
		require.NoError(t, inTime(t, done))
		if !cut {
			return g.p, looks, yields
		}
	}
	require.FailNow(t, "each of a thousand looks was cut short")
	return nil, 0, 0
}

// TestLookerGivesItsProcessorAway: after a dozen looks in vain, between each and the next; where others want it from the first on, and then it soon sleeps.
func TestLookerGivesItsProcessorAway(t *testing.T) {
	_, looks, yields := looksInVain(t, func(*Proc) {}, func() {})
	require.Greater(t, looks, selfishLooks)
	require.Equal(t, looks-selfishLooks, yields)
	_, looks, yields = looksInVain(t, func(p *Proc) { p.patience.shares = p.w.now() + time.Hour }, func() {})
	require.Equal(t, politeLooks, looks)
	require.Equal(t, politeLooks, yields)
}

// TestLookerFindsItsProcessorWanted: who finds that in the midst of its looks gives it away at each that is left, and these are few.
func TestLookerFindsItsProcessorWanted(t *testing.T) {
	p, looks, yields := looksInVain(t, func(*Proc) {}, func() { time.Sleep(2 * wantedAway) })
	require.Equal(t, looks-selfishLooks, yields)
	require.LessOrEqual(t, yields, oftenWanted+politeLooks)
	require.NotZero(t, p.patience.shares)
}

// TestLookerBecomesPolite: a rank that was kept from its processor in the midst of a wait looks little from then on, though something comes.
func TestLookerBecomesPolite(t *testing.T) {
	_, g, w := lookers(t)
	p := g.p
	next := p.lookFar(p.in.kicks.Load(), w.now())
	p.patience.until = w.now() + time.Hour
	next(true)
	require.LessOrEqual(t, p.far.left, politeLooks)
	require.Zero(t, p.far.selfish)
}

// TestWhoYieldsIsNotKeptAway: the time for which a rank has given its processor away is none for which it was kept from it.
func TestWhoYieldsIsNotKeptAway(t *testing.T) {
	_, g, w := lookers(t)
	p, back := g.p, time.Duration(0)
	w.yield = func() {
		time.Sleep(time.Millisecond)
		back = w.now()
	}
	p.patience.shares = w.now() + time.Hour
	p.lookFar(p.in.kicks.Load(), w.now())(false)
	require.NotZero(t, back)
	require.GreaterOrEqual(t, p.far.last, back)
}
