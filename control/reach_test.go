package control

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// everybodyIsReached stands for the network where a test's workers have no port.
func everybodyIsReached(context.Context, *apiv1.Host) string { return "" }

// TestReach: a host takes ranks from when it is reached at its own address, not before.
func TestReach(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	for _, tc := range []struct{ name, addr, unfit string }{
		{"it is there", someone{host: "w1", incarnation: "i1"}.serve(t), ""},
		{"nobody is there", l.Addr().String(), "connection refused"},
		{"another host is there", someone{host: "w2", incarnation: "i1"}.serve(t), "where host \"w2\" answers"},
		{"another process is there", someone{host: "w1", incarnation: "i0"}.serve(t), "where host \"w1\" answers"},
		{"it is no address", "nosuchhost.invalid:1", "it is not reached at "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, nil)
			b.l.c.reach = b.l.c.askAtAddress
			h := &apiv1.Host{Id: "w1", Addr: tc.addr, Slots: 4, Incarnation: "i1", NodeId: "n-w1"}
			require.NoError(t, b.register(h, nil))
			state := func() *apiv1.Host {
				got, ok := b.l.c.state.View().Host("w1")
				require.True(t, ok)
				return got
			}
			if tc.unfit == "" {
				require.True(t, fsm.TakesRanks(state()))
				require.Empty(t, unreachedIn(b.l.c.state.View(), "w1"))
				return
			}
			require.False(t, fsm.TakesRanks(state()))
			require.Contains(t, state().Unreached, tc.unfit)
			require.Contains(t, state().Unreached, tc.addr)

			s := newSession("w1", "i1", func() {})
			s.setUnreached(unreachedIn(b.l.c.state.View(), "w1"))
			b.l.hearFitness(s, "")
			b.l.takeFitness(b.ctx)
			require.False(t, fsm.TakesRanks(state()), "that it calls itself fit is not enough")
			b.l.hearFitness(s, "its disk is full")
			b.l.takeFitness(b.ctx)
			require.Equal(t, "its disk is full", state().Unfit)
			require.NotEmpty(t, unreachedIn(b.l.c.state.View(), "w1"), "its worker's word takes nothing from the leader's")

			b.l.c.reach = everybodyIsReached
			b.l.reachAgain(b.ctx, s, b.l.c.dials.again)
			b.l.hearFitness(s, "")
			b.l.takeFitness(b.ctx)
			require.True(t, fsm.TakesRanks(state()))
		})
	}
}

// TestReachOfAnotherAddress: a process that registers again, at another address, is as reached as it is there.
func TestReachOfAnotherAddress(t *testing.T) {
	b := newBench(t, nil)
	b.l.c.reach = func(_ context.Context, h *apiv1.Host) string {
		if h.Addr == "blocked:1" {
			return "a firewall is before it"
		}
		return ""
	}
	s := newSession("w1", "i1", func() {})
	for _, addr := range []string{"open:1", "blocked:1", "open:1"} {
		h := &apiv1.Host{Id: "w1", Addr: addr, Slots: 4, Incarnation: "i1", NodeId: "n-w1"}
		require.NoError(t, b.register(h, nil))
		why := unreachedIn(b.l.c.state.View(), "w1")
		require.Equal(t, addr == "blocked:1", why != "", addr)
		s.setUnreached(why)
		b.l.hearFitness(s, "")
		b.l.takeFitness(b.ctx)
		require.Equal(t, why, unreachedIn(b.l.c.state.View(), "w1"))
	}
	s.setUnreached("a firewall is before it") // by a session that is over: the log says that it is reached
	b.l.hearFitness(s, "")
	require.NoError(t, b.register(&apiv1.Host{Id: "w1", Addr: "open:2", Slots: 4, Incarnation: "i1", NodeId: "n-w1"}, nil))
	s.setUnreached("")
	b.l.hearFitness(s, "")
	b.l.takeFitness(b.ctx)
	require.Empty(t, unreachedIn(b.l.c.state.View(), "w1"))
}

// TestReachIsBounded: of many hosts that do not answer some are asked at a time, and one that comes is not kept waiting by those
// that were tried before.
func TestReachIsBounded(t *testing.T) {
	const hosts = 200
	b := newBench(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	var now atomic.Int32
	asked := make(chan struct{}, hosts)
	b.l.c.reach = func(ctx context.Context, h *apiv1.Host) string {
		if h.Id == "open" {
			return ""
		}
		assert.LessOrEqual(t, now.Add(1), int32(dialsAtOnce))
		defer now.Add(-1)
		asked <- struct{}{}
		<-ctx.Done()
		return "nobody answers"
	}
	var g sync.WaitGroup
	for i := range hosts {
		g.Go(func() {
			_, err := b.l.c.reachLater(ctx, b.l.c.dials.again, &apiv1.Host{Id: fmt.Sprint(i)})
			assert.Error(t, err)
		})
	}
	for range dialsAtOnce {
		<-asked
	}
	require.Len(t, b.l.c.dials.again, dialsAtOnce)
	why, _ := b.l.c.reachNow(t.Context(), &apiv1.Host{Id: "open"})
	require.Empty(t, why, "it comes first")
	for range dialsAtOnce {
		require.NoError(t, b.l.c.dials.first.enter(t.Context(), 0))
	}
	why, next := b.l.c.reachNow(t.Context(), &apiv1.Host{Id: "open", Addr: "a:1"})
	require.Contains(t, why, "at a:1 yet", "it does not wait for long")
	require.Equal(t, b.l.c.dials.first, next, "it has not been tried")
	cancel()
	g.Wait()
	require.Empty(t, b.l.c.dials.again)
}

// TestWhoWasTriedLeavesTheFirstPlaces: a host that was tried in vain waits behind its like from then on, not before those that come, also
// when another leader finds it so in the log. One for which there was no place has the first ones until it was tried.
func TestWhoWasTriedLeavesTheFirstPlaces(t *testing.T) {
	b := newBench(t, nil)
	var tries []string // the places taken at each
	good := false
	b.l.c.reach = func(context.Context, *apiv1.Host) string {
		tries = append(tries, fmt.Sprint(len(b.l.c.dials.first), len(b.l.c.dials.again)))
		if good {
			return ""
		}
		good = true
		return "nobody answers"
	}
	open := func(l *leader) { // as a session does
		next, err := l.register(b.ctx, &apiv1.Host{Id: "w1", Addr: "w1:1", Slots: 1, Incarnation: "i1", NodeId: "n1"}, nil)
		require.NoError(t, err)
		require.NotEmpty(t, unreachedIn(l.c.state.View(), "w1"))
		for range len(l.c.dials.first) {
			l.c.dials.first.leave()
		}
		l.reachAgain(b.ctx, newSession("w1", "i1", func() {}), next)
	}
	open(b.l)
	require.Equal(t, []string{"1 0", "0 1"}, tries, "it registered")
	tries = nil
	open(newLeader(b.l.c, 8, make(chan struct{})))
	require.Equal(t, []string{"0 1"}, tries, "another leader")

	b = newBench(t, nil)
	b.l.c.reach = func(context.Context, *apiv1.Host) string {
		tries = append(tries, fmt.Sprint(len(b.l.c.dials.first), len(b.l.c.dials.again)))
		good = !good
		if good {
			return ""
		}
		return "nobody answers"
	}
	for range dialsAtOnce {
		require.NoError(t, b.l.c.dials.first.enter(b.ctx, 0))
	}
	tries, good = nil, true
	open(b.l)
	require.Equal(t, []string{"1 0", "0 1"}, tries, "no place")
}
