package control

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// TestDispatch: the hosts of an app are told of each change once, and of its end.
func TestDispatch(t *testing.T) {
	b := newBench(t, nil)
	b.running()
	s, other := newSession("h1", "i-h1", func() {}), newSession("h3", "i-h3", func() {})
	b.l.inbox.open(s, nil)
	b.l.inbox.open(other, nil)
	dispatch := b.l.dispatcher()
	dispatch(b.ctx)
	rec := s.records["a"]
	require.NotNil(t, rec)
	require.Equal(t, map[string]string{"h1": "h1:1", "h2": "h2:1"}, rec.Addrs)
	require.Empty(t, other.records)
	delete(s.records, "a")
	dispatch(b.ctx)
	require.Empty(t, s.records, "nothing has changed")
	b.propose(&apiv1.Command{Op: &apiv1.Command_StopApp{StopApp: &apiv1.StopApp{App: "a", Phase: "cancelled"}}})
	dispatch(b.ctx)
	require.Equal(t, "cancelled", s.records["a"].App.Verdict)
	for _, h := range []string{"h1", "h2"} {
		st := &apiv1.AppStatus{App: "a"}
		for r := range int32(4) {
			st.Ranks = append(st.Ranks, &apiv1.RankStatus{Rank: r, Epoch: 1, State: "ended", ExitCode: 137})
		}
		b.report(h, st)
	}
	b.l.takeReports(b.ctx)
	dispatch(b.ctx)
	require.Equal(t, "cancelled", s.records["a"].App.Phase)
}

// TestTargetHearsOfTheAbort: a host that was told of a migration, and has not reported anything yet, is told of its end;
// one that reports of an app that is over is told so.
func TestTargetHearsOfTheAbort(t *testing.T) {
	b := newBench(t, nil)
	b.running()
	b.host("h3", 4)
	s := newSession("h3", "i-h3", func() {})
	b.l.inbox.open(s, nil)
	dispatch := b.l.dispatcher()
	b.propose(&apiv1.Command{Op: &apiv1.Command_ProposeMigration{ProposeMigration: &apiv1.ProposeMigration{
		Id: "m1", App: "a", FromEpoch: 1, Moves: []*apiv1.Move{{Rank: 0, From: "h1", To: "h3"}},
	}}})
	dispatch(b.ctx)
	require.Equal(t, "m1", s.records["a"].Migration.GetId())
	delete(s.records, "a")
	b.propose(&apiv1.Command{Op: &apiv1.Command_AbortMigration{AbortMigration: &apiv1.AbortMigration{Id: "m1", Reason: "test"}}})
	dispatch(b.ctx)
	require.NotNil(t, s.records["a"])
	require.Nil(t, s.records["a"].Migration)
	delete(s.records, "a")
	b.l.takeStatus(s, &apiv1.AppStatus{App: "a", Executor: "running"})
	require.NotNil(t, s.records["a"], "the app does not concern h3")
	b.l.takeStatus(s, &apiv1.AppStatus{App: "unheard-of", Executor: "running"})
	require.True(t, s.records["unheard-of"].Gone)
}

// TestWhoReportsHearsOfTheEnd: a host that an app has no ranks on any more, and that still says something of it, is told when it is over.
func TestWhoReportsHearsOfTheEnd(t *testing.T) {
	b := newBench(t, nil)
	b.running()
	b.host("h3", 4)
	dispatch := b.l.dispatcher()
	dispatch(b.ctx)
	b.report("h3", &apiv1.AppStatus{App: "a", Ranks: []*apiv1.RankStatus{{Rank: 0, State: apiv1.RankFrozen}}})
	b.propose(&apiv1.Command{Op: &apiv1.Command_StopApp{StopApp: &apiv1.StopApp{App: "a", Phase: "cancelled"}}})
	for host, ranks := range map[string][]*apiv1.EndedRank{"h1": {{Rank: 0, Epoch: 1}, {Rank: 1, Epoch: 1}}, "h2": {{Rank: 2, Epoch: 1}, {Rank: 3, Epoch: 1}}} {
		dispatch(b.ctx)
		b.propose(&apiv1.Command{Op: &apiv1.Command_RanksEnded{RanksEnded: &apiv1.RanksEnded{App: "a", Host: host, Ranks: ranks}}})
	}
	dispatch(b.ctx)
	_, rec, _ := b.l.sessions.of("h3").take()
	require.Equal(t, apiv1.AppCancelled, rec.GetApp().GetPhase())
}

// TestEndsRest: the ends of a large app are told together, all of them, to all hosts that wait for them, and what else happens to the app
// does not wait.
func TestEndsRest(t *testing.T) {
	b := newBench(t, nil)
	const hosts = 2 * manyHosts
	place := &apiv1.PlaceApp{App: "a"}
	sessions := make([]*session, hosts)
	for i := range sessions {
		name := fmt.Sprintf("h%03d", i)
		b.host(name, 1)
		place.Placement = append(place.Placement, name)
	}
	b.propose(&apiv1.Command{Op: &apiv1.Command_SubmitApp{SubmitApp: &apiv1.SubmitApp{
		Id: "a", Spec: &apiv1.AppSpec{Name: "a", ModuleDigest: testDigest, Size: hosts},
	}}})
	b.propose(&apiv1.Command{Op: &apiv1.Command_PlaceApp{PlaceApp: place}})
	now := time.Unix(0, 0)
	d := b.l.newDispatch(func() time.Time { return now })
	d.look(b.ctx)
	for i, name := range place.Placement {
		sessions[i] = b.l.sessions.of(fsm.HostID(name))
	}
	// told is what the last host is sent, and how many are sent something.
	told := func() (last *apiv1.AppRecord, n int) {
		d.look(b.ctx)
		for _, s := range sessions {
			if _, rec, some := s.take(); some {
				n++
				last = rec
			}
		}
		return last, n
	}
	told()
	end := func(r int) {
		b.propose(&apiv1.Command{Op: &apiv1.Command_RanksEnded{RanksEnded: &apiv1.RanksEnded{
			App: "a", Host: place.Placement[r], Ranks: []*apiv1.EndedRank{{Rank: int32(r), Epoch: 1}},
		}}})
	}
	end(0)
	rec, n := told()
	require.Equal(t, hosts, n)
	require.Equal(t, 1, rec.App.CountEnded())
	for r := 1; r < 10; r++ {
		end(r)
		_, n = told()
		require.Zero(t, n, "rank %d", r)
	}
	now = now.Add(hosts * endsPace)
	rec, n = told()
	require.Equal(t, hosts-1, n, "all but the host that has been told of all its ranks")
	require.Equal(t, 10, rec.App.CountEnded())
	end(10)
	b.propose(&apiv1.Command{Op: &apiv1.Command_StopApp{StopApp: &apiv1.StopApp{App: "a", Phase: "cancelled"}}})
	rec, n = told()
	require.Equal(t, hosts, n)
	require.Equal(t, "cancelled", rec.App.Verdict)
	require.Equal(t, 11, rec.App.CountEnded())
}

// fromCheckpoint is an app that starts on h3 from a checkpoint, of which second is to hold what h1, which is lost, and h2 have made.
func fromCheckpoint(t *testing.T, second string) *bench {
	t.Helper()
	b, _, _ := saved(t, nil)
	b.propose(&apiv1.Command{Op: &apiv1.Command_BeginCheckpoint{BeginCheckpoint: &apiv1.BeginCheckpoint{
		Id: "c1", App: "a", Epoch: 1, Cause: "manual", Parts: []*apiv1.CheckpointPart{{Host: "h1", Second: second}, {Host: "h2", Second: second}},
	}}})
	b.propose(&apiv1.Command{Op: &apiv1.Command_AnnounceCheckpoint{AnnounceCheckpoint: &apiv1.AnnounceCheckpoint{Id: "c1"}}})
	parts := []*apiv1.CheckpointPart{{Host: "h1"}, {Host: "h2"}}
	b.propose(&apiv1.Command{Op: &apiv1.Command_TakeCheckpoint{TakeCheckpoint: &apiv1.TakeCheckpoint{Id: "c1", Parts: parts}}})
	for _, p := range parts {
		p.Digest = make([]byte, 32)
	}
	b.propose(&apiv1.Command{Op: &apiv1.Command_CompleteCheckpoint{CompleteCheckpoint: &apiv1.CompleteCheckpoint{Id: "c1", Parts: parts}}})
	b.propose(&apiv1.Command{Op: &apiv1.Command_SetHostState{SetHostState: &apiv1.SetHostState{Host: "h1", Incarnation: "i-h1", State: "lost"}}})
	b.propose(&apiv1.Command{Op: &apiv1.Command_RanksEnded{RanksEnded: &apiv1.RanksEnded{App: "a", Host: "h2", Ranks: []*apiv1.EndedRank{{Rank: 1, Epoch: 1, ExitCode: 137}}}}})
	b.propose(&apiv1.Command{Op: &apiv1.Command_PlaceApp{PlaceApp: &apiv1.PlaceApp{App: "a", Placement: []string{"h3", "h3"}}}})
	return b
}

// TestHolderThatIsBack: who begins from a checkpoint hears of a host which holds a part of it, and is there again, though nothing of the app is on it and its address is as before.
func TestHolderThatIsBack(t *testing.T) {
	b := fromCheckpoint(t, "h3")
	d := b.l.newDispatch(time.Now)
	d.look(b.ctx)
	require.NotContains(t, d.told["a"].Addrs, "h1")
	h := &apiv1.Host{Id: "h1", Name: "h1", Addr: "h1:1", Slots: 1, Incarnation: "again", NodeId: "n-h1"}
	require.NoError(t, b.register(h, nil))
	d.look(b.ctx)
	require.Equal(t, "h1:1", d.told["a"].Addrs["h1"])
	_, rec, _ := b.l.sessions.of("h3").take()
	require.Equal(t, "h1:1", rec.GetAddrs()["h1"])

	b.report("h3", &apiv1.AppStatus{App: "a", Epoch: b.app("a").Epoch, Executor: apiv1.ExecutorRunning})
	b.l.takeReports(b.ctx)
	require.Equal(t, "running", b.app("a").Phase)
	b.propose(&apiv1.Command{Op: &apiv1.Command_SetHostState{SetHostState: &apiv1.SetHostState{Host: "h1", Incarnation: "again", State: "lost"}}})
	h.Addr, h.Incarnation = "h1:2", "and-again"
	require.NoError(t, b.register(h, nil))
	d.look(b.ctx)
	require.Equal(t, "h1:2", d.told["a"].Addrs["h1"], "its files may have to come still")
}
