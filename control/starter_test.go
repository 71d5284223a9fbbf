package control

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// starting is an app that w1 has started, and w2 is to start; the function looks at it once a second, that many times.
func starting(t *testing.T) (*bench, func(seconds int)) {
	b := newBench(t, nil)
	b.host("w1", 1)
	b.host("w2", 1)
	b.submit("a", &apiv1.AppSpec{Size: 2, Place: []*apiv1.PlaceRule{{Host: "w1", Ranks: 1}, {Host: "w2", Ranks: 1}}})
	b.place()
	b.report("w1", &apiv1.AppStatus{App: "a", Epoch: 1, Executor: apiv1.ExecutorRunning})
	b.l.takeReports(b.ctx)
	s, now := b.l.newStarts(), time.Now()
	return b, func(seconds int) {
		for range seconds {
			now = now.Add(time.Second)
			s.look(b.ctx, now)
		}
	}
}

// TestNoServerGivesTheModule: an app's start that has no module for long is given up with what is wrong, and its host is not passed over for it.
func TestNoServerGivesTheModule(t *testing.T) {
	b, pass := starting(t)
	b.l.c.setLeader(b.l)
	b.report("w2", &apiv1.AppStatus{App: "a", Epoch: 1, Executor: apiv1.ExecutorStarting, StartTrouble: "no server has given it the module yet: its disk\nfails"})
	require.Contains(t, b.l.c.awaited(b.l.c.state.View(), b.app("a")), "; no server has given it the module yet: its disk fails)")
	pass(120)
	require.Empty(t, b.app("a").Verdict)
	pass(3)
	require.Equal(t, "failed", b.app("a").Verdict)
	require.Contains(t, b.app("a").Reason, "w2 did not start its ranks for 2m0s: no server has given it the module yet: its disk")
	b.l.hearFitness(b.l.sessions.of("w2"), "")
	b.l.takeFitness(b.ctx)
	h, _ := b.l.c.state.View().Host("w2")
	require.Empty(t, fsm.WhyUnfit(h))
}

// TestStalledStartIsGivenUp: the app ends when the host says so, not before; the host is passed over, with the reason, for a while.
func TestStalledStartIsGivenUp(t *testing.T) {
	b, pass := starting(t)
	b.report("w2", &apiv1.AppStatus{App: "a", Epoch: 1, Executor: apiv1.ExecutorStarting})
	pass(120)
	require.Empty(t, b.app("a").Verdict)
	pass(3)
	require.Equal(t, "failed", b.app("a").Verdict)
	require.Equal(t, "starting", b.app("a").Phase, "whether its ranks run is the hosts' to say")
	require.Contains(t, b.l.c.awaited(b.l.c.state.View(), b.app("a")), "is being stopped (w2 did not start its ranks: no progress for 2m0s")

	b.l.hearFitness(b.l.sessions.of("w2"), "")
	b.l.hearFitness(b.l.sessions.of("w1"), "")
	b.l.takeFitness(b.ctx)
	unfit := func(id fsm.HostID) string { h, _ := b.l.c.state.View().Host(id); return h.Unfit }
	require.Contains(t, unfit("w2"), "no progress for 2m0s in the start of app a")
	require.Contains(t, unfit("w2"), "or until its worker has a new session; the next leader may try it sooner")
	require.Empty(t, unfit("w1"))

	for host, rank := range map[string]int32{"w1": 0, "w2": 1} {
		b.report(host, &apiv1.AppStatus{App: "a", Epoch: 1, Executor: apiv1.ExecutorEnded, Ranks: []*apiv1.RankStatus{
			{Rank: rank, Epoch: 1, State: apiv1.RankEnded, ExitCode: 137, Reason: "stopped before it ran"},
		}})
		b.l.takeReports(b.ctx)
	}
	b.l.takeReports(b.ctx)
	require.Equal(t, "failed", b.app("a").Phase)
	require.Contains(t, b.app("a").Reason, "w2 did not start its ranks")
	require.Empty(t, b.l.sessions.of("w2").passedOver(time.Now().Add(2*passOver)), "it is tried again")
	h, _ := b.l.c.state.View().Host("w2")
	b.l.inbox.open(newSession("w2", h.Incarnation, func() {}), nil)
	b.l.hearFitness(b.l.sessions.of("w2"), "")
	b.l.takeFitness(b.ctx)
	require.Empty(t, unfit("w2"), "as it says")
}

// TestSlowStartIsNotGivenUp: one that is at work, or whose host has another session, or that nobody looked at.
func TestSlowStartIsNotGivenUp(t *testing.T) {
	b, pass := starting(t)
	for step := range uint64(10) {
		b.report("w2", &apiv1.AppStatus{App: "a", Epoch: 1, Executor: apiv1.ExecutorStarting, StartSteps: step})
		pass(100)
	}
	h, _ := b.l.c.state.View().Host("w2")
	b.l.inbox.open(newSession("w2", h.Incarnation, func() {}), nil)
	pass(100)
	require.Empty(t, b.app("a").Verdict)

	s, now := b.l.newStarts(), time.Now()
	for range 10 { // a process that stands still for hours at a time
		s.look(b.ctx, now)
		now = now.Add(time.Hour)
	}
	require.Empty(t, b.app("a").Verdict)
}

// TestStartsAreLookedAtInTurn: an app of many whose start works is looked at a few times in the bound, not each second.
func TestStartsAreLookedAtInTurn(t *testing.T) {
	b := newBench(t, nil)
	b.host("w1", 1)
	b.submit("a", &apiv1.AppSpec{Size: 1})
	b.place()
	s, now, looks := b.l.newStarts(), time.Now(), 0
	for i := range uint64(240) {
		b.report("w1", &apiv1.AppStatus{App: "a", Epoch: 1, Executor: apiv1.ExecutorStarting, StartSteps: i})
		now = now.Add(time.Second)
		s.look(b.ctx, now)
		if is := s.apps["a"]["w1"]; is.since.Equal(now) {
			looks++
		}
	}
	require.Equal(t, 2*startLooks, looks)
	require.Empty(t, b.app("a").Verdict)
}

// TestStartIsCountedBySession: what a host tells after it has come back counts anew, though it has got no further: it may have been cut off.
func TestStartIsCountedBySession(t *testing.T) {
	b, pass := starting(t)
	h, _ := b.l.c.state.View().Host("w2")
	still := &apiv1.AppStatus{App: "a", Epoch: 1, Executor: apiv1.ExecutorStarting, StartSteps: 3}
	for range 3 {
		b.l.inbox.open(newSession("w2", h.Incarnation, func() {}), []*apiv1.AppStatus{still})
		pass(100)
		require.Empty(t, b.app("a").Verdict)
	}
	pass(25 + 120/startLooks) // it is seen that late that the session is another
	require.Equal(t, "failed", b.app("a").Verdict)
}

// TestStalledStartFromACheckpoint: an app that begins from a checkpoint does not fail for what does not come: it waits while those that hold it are there, and else in the queue. Where its host
// stands still it runs again, elsewhere.
func TestStalledStartFromACheckpoint(t *testing.T) {
	b := fromCheckpoint(t, "h3")
	s, now := b.l.newStarts(), time.Now()
	pass := func(seconds int) {
		for range seconds {
			now = now.Add(time.Second)
			s.look(b.ctx, now)
		}
	}
	waits := func(trouble string) {
		b.report("h3", &apiv1.AppStatus{App: "a", Epoch: b.app("a").Epoch, Executor: apiv1.ExecutorStarting, StartTrouble: trouble})
	}
	waits("checkpoint c1 does not come: host h2: it is busy")
	pass(1000)
	require.Empty(t, b.app("a").Verdict, "h2, and h3 itself, are there")
	waits("")
	pass(124)
	app := b.app("a")
	require.Equal(t, "queued", app.Verdict)
	require.Equal(t, "c1", app.Restore)
	require.EqualValues(t, 2, app.RestoredInVain)
	require.Contains(t, app.Reason, "h3 did not start its ranks: no progress for 2m0s")

	b = fromCheckpoint(t, "")
	s = b.l.newStarts()
	waits("")
	pass(100)
	require.Empty(t, b.app("a").Verdict)
	waits("checkpoint c1 does not come: host h1, which holds it, is gone")
	pass(20)
	app = b.app("a")
	require.Equal(t, "queued", app.Verdict)
	require.EqualValues(t, 1, app.RestoredInVain, "that is not counted")
	require.Contains(t, app.Reason, "waits for host h1 to be back")
}

// TestDirectoryThatComesIsProgress: ranks that wait for their app's directory, which comes from the checkpoint, are not given up for as long as it gets on.
func TestDirectoryThatComesIsProgress(t *testing.T) {
	b := fromCheckpoint(t, "h3")
	b.propose(&apiv1.Command{Op: &apiv1.Command_ChangeFiles{ChangeFiles: &apiv1.ChangeFiles{App: "a", Host: "h3", What: apiv1.ChangeFiles_WHAT_OPENED}}})
	s, now := b.l.newStarts(), time.Now()
	for n := range 10 {
		b.report("h3", &apiv1.AppStatus{App: "a", Epoch: b.app("a").Epoch, Executor: apiv1.ExecutorStarting, Files: &apiv1.FilesStatus{Progress: fmt.Sprintf("%d bytes", n)}})
		for range 100 {
			now = now.Add(time.Second)
			s.look(b.ctx, now)
		}
	}
	require.Empty(t, b.app("a").Verdict)
	for range 40 {
		now = now.Add(time.Second)
		s.look(b.ctx, now)
	}
	require.Equal(t, "queued", b.app("a").Verdict)
}

// TestRefusedStart: an app that a host has no room for is queued again at once, the host is passed over, and that is not counted; of a checkpoint that nobody has whole it goes on from none.
func TestRefusedStart(t *testing.T) {
	b := fromCheckpoint(t, "h3")
	st := &apiv1.AppStatus{App: "a", Epoch: b.app("a").Epoch, Executor: apiv1.ExecutorStarting, StartRefused: "this host's disk: its disk has room for 32 MiB"}
	b.report("h2", st) // which has nothing of it
	b.l.takeReports(b.ctx)
	require.Empty(t, b.app("a").Verdict)
	b.report("h3", st)
	b.l.takeReports(b.ctx)
	require.Equal(t, "queued", b.app("a").Verdict)
	require.EqualValues(t, 1, b.app("a").RestoredInVain)
	require.Contains(t, b.app("a").Reason, "host h3: this host's disk: its disk has room for 32 MiB")
	h, _ := b.l.c.state.View().Host("h3")
	require.Empty(t, h.Unfit, "others may have room there")
	require.Contains(t, b.l.roomless.of("a")["h3"], "room for 32 MiB")
	require.Empty(t, b.l.roomless.of("b"))
	b.propose(&apiv1.Command{Op: &apiv1.Command_RanksEnded{RanksEnded: &apiv1.RanksEnded{App: "a", Host: "h3", Ranks: []*apiv1.EndedRank{{Rank: 0, Epoch: b.app("a").Epoch}, {Rank: 1, Epoch: b.app("a").Epoch}}}}})
	require.Equal(t, "queued", b.app("a").Phase)
	b.submit("b", &apiv1.AppSpec{Size: 2})
	b.submit("c", &apiv1.AppSpec{Size: 1, Policy: "main_first", MainHost: "h3"})
	b.l.c.setLeader(b.l)
	require.Contains(t, b.l.c.queueReasons(b.l.c.state.View()).of(b.app("a")), "it cannot begin on h3 (host h3: this host's disk")
	place := b.l.placer()
	place(b.ctx)
	require.Equal(t, []string{"h3", "h3"}, b.app("b").Placement, "which does not wait for it")
	require.Equal(t, []string{"h3"}, b.app("c").Placement)
	require.Equal(t, "queued", b.app("a").Phase)
	b.host("h4", 2)
	place(b.ctx)
	require.Equal(t, []string{"h4", "h4"}, b.app("a").Placement)
	require.False(t, b.l.roomless.over(time.Now()))
	require.True(t, b.l.roomless.over(time.Now().Add(passOver+1)))
	require.Empty(t, b.l.roomless.apps)

	for _, inFiles := range []bool{true, false} {
		b = fromCheckpoint(t, "h3")
		st = &apiv1.AppStatus{App: "a", Epoch: b.app("a").Epoch, Executor: apiv1.ExecutorStarting, StartRefused: "nobody has it whole", StartLost: true}
		if inFiles {
			b.propose(&apiv1.Command{Op: &apiv1.Command_ChangeFiles{ChangeFiles: &apiv1.ChangeFiles{App: "a", Host: "h3", What: apiv1.ChangeFiles_WHAT_OPENED}}})
			st = &apiv1.AppStatus{
				App: "a", Epoch: b.app("a").Epoch, Executor: apiv1.ExecutorRunning,
				Files: &apiv1.FilesStatus{Lost: "nobody has it whole", Nowhere: true, Attempt: b.app("a").Attempt},
			}
		}
		b.report("h3", st)
		b.l.takeReports(b.ctx)
		require.Equal(t, "failed", b.app("a").Verdict, "there is no other")
		require.Contains(t, b.app("a").Reason, "nobody has it whole; it does not run again from checkpoint c1: nobody has checkpoint c1 whole any more")
		require.Empty(t, b.l.roomless.of("a"))
		ck, _ := b.l.c.state.View().Checkpoint("c1")
		require.True(t, ck.Lost)
	}
}

// TestStoreThatOneHostDoesNotFind: an app that one host cannot begin, for it finds in the object store nothing of what that has, begins elsewhere; those that wait for the checkpoint wait on.
func TestStoreThatOneHostDoesNotFind(t *testing.T) {
	a := newArchived(t)
	c := a.complete("file:///mnt/ckpt")
	a.propose(&apiv1.Command{Op: &apiv1.Command_StoreCheckpoint{StoreCheckpoint: &apiv1.StoreCheckpoint{Id: c.Id, To: c.To}}})
	a.host("h9", 8)
	for _, id := range []string{"x", "y"} {
		a.submit(id, &apiv1.AppSpec{Size: a.app("a").Size, Restore: c.Id})
	}
	a.propose(&apiv1.Command{Op: &apiv1.Command_PlaceApp{PlaceApp: &apiv1.PlaceApp{App: "x", Runs: []*apiv1.PlaceRule{{Host: "h9", Ranks: a.app("a").Size}}}}})
	a.report("h9", &apiv1.AppStatus{App: "x", Epoch: a.app("x").Epoch, Executor: apiv1.ExecutorStarting, StartRefused: "nobody has it whole", StartLost: true})
	a.l.takeReports(a.ctx)
	require.Equal(t, "queued", a.app("x").Verdict)
	require.Equal(t, "queued", a.app("y").Phase)
	require.Contains(t, a.l.roomless.of("x")["h9"], "nobody has it whole")
	ck, _ := a.l.c.state.View().Checkpoint(fsm.CheckpointID(c.Id))
	require.False(t, ck.Lost)
	require.Equal(t, "h9", ck.DoubtedBy)
}

// TestHoldersThatWillNotBeBack: a host which only says that who held an app's files will not be back has room, and is not passed over.
func TestHoldersThatWillNotBeBack(t *testing.T) {
	b := fromCheckpoint(t, "")
	b.propose(&apiv1.Command{Op: &apiv1.Command_ChangeFiles{ChangeFiles: &apiv1.ChangeFiles{App: "a", Host: "h3", What: apiv1.ChangeFiles_WHAT_OPENED}}})
	v := b.l.c.state.View()
	for _, id := range []string{"h1", "h2"} {
		if h, ok := v.Host(fsm.HostID(id)); ok && !fsm.HostStateOf(h).Gone() {
			b.propose(&apiv1.Command{Op: &apiv1.Command_SetHostState{SetHostState: &apiv1.SetHostState{Host: id, Incarnation: h.Incarnation, State: "lost"}}})
		}
		b.propose(&apiv1.Command{Op: &apiv1.Command_RegisterHost{RegisterHost: &apiv1.RegisterHost{Host: &apiv1.Host{Id: id, Name: id, Addr: id + ":2", Slots: 4, Incarnation: "j-" + id, NodeId: "another-" + id}}}})
	}
	b.report("h3", &apiv1.AppStatus{App: "a", Epoch: b.app("a").Epoch, Executor: apiv1.ExecutorStarting, Files: &apiv1.FilesStatus{Progress: "1 bytes", Trouble: "it does not come"}})
	b.l.takeReports(b.ctx)
	require.Equal(t, "queued", b.app("a").Verdict)
	require.Empty(t, b.l.roomless.of("a"))
}
