package control

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/planner"
)

// TestWaitingQueueCostsNothing: a queue that waits is not planned again before an app or a host has changed.
func TestWaitingQueueCostsNothing(t *testing.T) {
	b := newBench(t, nil)
	place := b.l.placer()
	b.host("h1", 1)
	b.submit("a", &apiv1.AppSpec{Size: 1})
	b.submit("b", &apiv1.AppSpec{Size: 1})
	place(b.ctx)
	require.Equal(t, "starting queued", b.app("a").Phase+" "+b.app("b").Phase)
	place(b.ctx)
	require.Zero(t, testing.AllocsPerRun(10, func() { place(b.ctx) }))
	b.host("h2", 1)
	place(b.ctx)
	require.Equal(t, "starting", b.app("b").Phase)
}

// TestStoredCheckpointIsALook: the queue is looked at when a checkpoint changes, for which an app may wait.
func TestStoredCheckpointIsALook(t *testing.T) {
	b := newBench(t, nil)
	board := planner.NewBoard()
	a := newArchived(t)
	c := a.complete(testStore)
	change := []fsm.Change{{Checkpoints: []fsm.CheckpointID{fsm.CheckpointID(c.Id)}}}
	require.False(t, followBoard(board, a.l.c.state.View(), change, false), "nobody waits for that")
	a.propose(&apiv1.Command{Op: &apiv1.Command_StoreCheckpoint{StoreCheckpoint: &apiv1.StoreCheckpoint{Id: c.Id, To: c.To}}})
	require.True(t, followBoard(board, a.l.c.state.View(), change, false))
	require.False(t, followBoard(board, b.l.c.state.View(), []fsm.Change{{Migrations: []fsm.MigrationID{"m1"}}}, false))
}

// TestNothingGoesToTheSilent: a host that is not heard for some heartbeats is given no ranks until it is heard again: apps go elsewhere, or wait.
func TestNothingGoesToTheSilent(t *testing.T) {
	for name, spec := range map[string]*apiv1.AppSpec{
		"whatever fits":            {Size: 4},
		"by its rules":             {Size: 4, Place: []*apiv1.PlaceRule{{Host: "h1", Ranks: 4}}},
		"by another policy":        {Size: 4, Policy: planner.Compact},
		"more than the others are": {Size: 7},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			place := b.l.placer()
			b.host("h1", 8) // the first choice
			b.host("h2", 4)
			place(b.ctx)
			heard := func(ago time.Duration) {
				b.l.sessions.mu.Lock()
				defer b.l.sessions.mu.Unlock()
				b.l.sessions.heard.set("h1", time.Now().Add(-ago))
			}
			quiet := b.l.c.cfg.quietAfter()
			require.Less(t, quiet, b.l.c.cfg.Lease)
			heard(quiet)
			b.submit("a", spec)
			b.submit("behind", &apiv1.AppSpec{Size: 1})
			place(b.ctx)
			if name == "whatever fits" || name == "by another policy" {
				require.Equal(t, []string{"h2", "h2", "h2", "h2"}, b.app("a").Placement)
				require.Equal(t, "queued", b.app("behind").Phase, "the others are full")
			} else {
				b.l.c.setLeader(b.l)
				defer b.l.c.setLeader(nil)
				require.Contains(t, b.l.c.shown(b.l.c.state.View(), b.app("a")).Reason, "about to be placed, not on a host that is not heard at the moment (h1)")
				require.Contains(t, b.l.c.shown(b.l.c.state.View(), b.app("behind")).Reason, "about to be placed, not on a host that is not heard at the moment")
				require.Equal(t, "queued", b.app("a").Phase)
				require.Equal(t, "queued", b.app("behind").Phase, "it was first")
			}
			place(b.ctx)
			require.Equal(t, "queued", b.app("behind").Phase)
			heard(0)
			place(b.ctx)
			require.NotEqual(t, "queued", b.app("a").Phase)
			require.NotEqual(t, "queued", b.app("behind").Phase)
			require.Contains(t, append(b.app("a").Placement, b.app("behind").Placement...), "h1")
		})
	}
}

// TestNothingGoesToTheUnheard: a new leader gives no ranks to a host that it has not heard: it may have died with the leader before.
func TestNothingGoesToTheUnheard(t *testing.T) {
	b := newBench(t, nil)
	b.host("h1", 8)
	b.host("h2", 4)
	b.l = newLeader(b.l.c, 8, make(chan struct{})) // the next one, as Lead begins
	place := b.l.placer()
	for _, h := range []fsm.HostID{"h1", "h2"} {
		b.l.sessions.await(h, time.Now())
	}
	b.submit("a", &apiv1.AppSpec{Size: 4})
	place(b.ctx)
	require.Equal(t, "queued", b.app("a").Phase)
	require.True(t, b.l.sessions.add(newSession("h2", "i-h2", func() {})))
	place(b.ctx)
	require.Equal(t, "queued", b.app("a").Phase, "h1 may be about to be heard")
	b.l.began = time.Now().Add(-b.l.c.cfg.quietAfter())
	place(b.ctx)
	require.Equal(t, []string{"h2", "h2", "h2", "h2"}, b.app("a").Placement)
	b.submit("b", &apiv1.AppSpec{Size: 4})
	place(b.ctx)
	require.Equal(t, "queued", b.app("b").Phase)
	require.True(t, b.l.sessions.add(newSession("h1", "i-h1", func() {})))
	place(b.ctx)
	require.Equal(t, "starting", b.app("b").Phase)
	b.l.sessions.await("h9", time.Now())
	require.Equal(t, []fsm.HostID{"h9"}, b.l.sessions.quiet(time.Now().Add(-time.Hour)))
	require.ElementsMatch(t, []fsm.HostID{"h1", "h2", "h9"}, b.l.sessions.quiet(time.Now().Add(time.Second)), "each once")
	b.l.sessions.forget("h9")
	require.Empty(t, b.l.sessions.quiet(time.Now().Add(-time.Hour)))

	s := newSession("h9", "i-h9", func() {})
	require.True(t, b.l.sessions.add(s))
	b.l.sessions.forget("h9") // by who has seen an older state
	b.l.sessions.await("h9", time.Now())
	require.True(t, b.l.sessions.hear(s))
	require.Empty(t, b.l.sessions.quiet(time.Now().Add(-time.Hour)), "it is heard")
}

// TestNewLeaderWaitsForHosts: a new leader places nothing on the first host that it hears while it may soon hear the others: what is spread is spread.
func TestNewLeaderWaitsForHosts(t *testing.T) {
	b := scheduling(t)
	for zone, name := range map[string]string{"a": "h1", "b": "h2", "c": "h3"} {
		require.NoError(t, b.register(&apiv1.Host{Id: name, Name: name, Addr: name + ":1", Slots: 4, Incarnation: "i-" + name, NodeId: "n-" + name, Labels: map[string]string{"zone": zone}}, nil))
	}
	b.propose(&apiv1.Command{Op: &apiv1.Command_SetHostState{SetHostState: &apiv1.SetHostState{Host: "h3", Incarnation: "i-h3", State: string(fsm.Lost), Reason: "x"}}})
	b.l = newLeader(b.l.c, 8, make(chan struct{}))
	for h := range b.l.c.state.View().Hosts() {
		b.l.expect(h, time.Now())
	}
	place := b.l.placer()
	b.submit("a", &apiv1.AppSpec{Size: 2, Spread: "zone"})
	for _, host := range []fsm.HostID{"h1", "h2"} { // h3 is lost: nobody waits for it
		place(b.ctx)
		require.Equal(t, "queued", b.app("a").Phase)
		require.True(t, b.l.sessions.add(newSession(host, "i-"+string(host), func() {})))
	}
	place(b.ctx)
	require.ElementsMatch(t, []string{"h1", "h2"}, b.app("a").Placement)
}

// TestWorkersHere: what is known of a leader's workers, which the alarms' advice goes by.
func TestWorkersHere(t *testing.T) {
	r := newSessions()
	require.Equal(t, noWorkers, r.workers())
	r.await("h1", time.Now())
	require.Equal(t, workersUnknown, r.workers())
	r.forget("h1")
	require.Equal(t, noWorkers, r.workers())
	s := newSession("h1", "i-h1", func() {})
	require.True(t, r.add(s))
	r.forget("h1") // by who has seen an older state
	require.Equal(t, someWorkers, r.workers(), "it is connected")
	require.True(t, r.hear(s))
	require.True(t, r.endOf("h1", "i-h1"))
	require.Equal(t, noWorkers, r.workers())
}

func TestQueueInOrder(t *testing.T) {
	b := newBench(t, nil)
	b.host("h1", 4)
	b.submit("a", &apiv1.AppSpec{Size: 3})
	b.submit("b", &apiv1.AppSpec{Size: 4})
	b.submit("c", &apiv1.AppSpec{Size: 1})
	b.submit("d", &apiv1.AppSpec{Size: 40})
	b.place()
	phases := func() string { return b.app("a").Phase + " " + b.app("b").Phase + " " + b.app("c").Phase }
	require.Equal(t, "starting queued queued", phases(), "c would fit, but b was first")
	res, err := b.l.c.ListApps(b.ctx, &apiv1.ListAppsRequest{})
	require.NoError(t, err)
	require.Contains(t, res.Apps[1].Reason, "4")
	require.NotEmpty(t, res.Apps[3].Reason)
	b.propose(&apiv1.Command{Op: &apiv1.Command_StopApp{StopApp: &apiv1.StopApp{App: "b", Phase: "cancelled"}}})
	b.place()
	require.Equal(t, "starting cancelled starting", phases())
}
