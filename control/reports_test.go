package control

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// TestPoisonReports: whatever a worker reports, the leader neither stops nor repeats proposals that come to nothing.
func TestPoisonReports(t *testing.T) {
	ended := func(rank int32, epoch uint64) *apiv1.RankStatus {
		return &apiv1.RankStatus{Rank: rank, Epoch: epoch, State: apiv1.RankEnded}
	}
	for name, st := range map[string]*apiv1.AppStatus{
		"a queued app":            {App: "queued", Executor: apiv1.ExecutorRunning, Ranks: []*apiv1.RankStatus{ended(0, 0)}},
		"rank -1":                 {App: "a", Ranks: []*apiv1.RankStatus{ended(-1, 1)}},
		"the lowest rank":         {App: "a", Ranks: []*apiv1.RankStatus{ended(math.MinInt32, 1)}},
		"a rank too many":         {App: "a", Ranks: []*apiv1.RankStatus{ended(4, 1)}},
		"another host's rank":     {App: "a", Ranks: []*apiv1.RankStatus{ended(3, 1)}},
		"another epoch":           {App: "a", Ranks: []*apiv1.RankStatus{ended(0, 2)}},
		"an unknown app":          {App: "nobody", Executor: apiv1.ExecutorRunning, Ranks: []*apiv1.RankStatus{ended(0, 1)}},
		"no app":                  {},
		"an unknown migration":    {App: "a", AckedMigration: "m", Ranks: []*apiv1.RankStatus{{Rank: 0, Migration: "m", PauseMs: 1}}},
		"a pause that is no time": {App: "a", Ranks: []*apiv1.RankStatus{{Rank: 0, Migration: "m", PauseMs: math.NaN()}}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			b.running()
			b.submit("queued", &apiv1.AppSpec{Size: 100})
			before := b.log.index
			b.report("h1", st)
			for range 3 {
				b.l.takeReports(b.ctx)
				b.l.driver()(b.ctx)
				b.l.dispatcher()(b.ctx)
			}
			require.Equal(t, before, b.log.index, "nothing was proposed")
		})
	}
}

// TestEndsAreSplit: an app whose ranks end with long reasons costs itself entries, all of which are made.
func TestEndsAreSplit(t *testing.T) {
	b := newBench(t, nil)
	const size = 2400
	b.host("h1", size)
	b.submit("a", &apiv1.AppSpec{Size: size})
	b.place()
	reason := strings.Repeat("\x1b[2Jtrap ", 4096)
	st := &apiv1.AppStatus{App: "a", Executor: apiv1.ExecutorRunning}
	for r := range int32(size) {
		st.Ranks = append(st.Ranks, &apiv1.RankStatus{
			Rank: r, Epoch: 1, State: apiv1.RankEnded, ExitCode: 1, Reason: reason,
		}, &apiv1.RankStatus{Rank: r, Epoch: 1, State: apiv1.RankEnded, ExitCode: 2}) // said twice
	}
	b.report("h1", st)
	b.l.takeReports(b.ctx)
	app := b.app("a")
	require.Equal(t, "failed", app.Phase)
	require.NotContains(t, app.Reason, "\x1b")
}

// TestStartedBeforeEnded: an app whose start and end come in one report has a start in the log.
func TestStartedBeforeEnded(t *testing.T) {
	tr := newTrio(t, nil) // its log commits what is proposed together in any order
	s1 := tr.servers[0]
	tr.lead(s1, tr.servers[1], tr.servers[2])
	require.Eventually(t, func() bool { return s1.machine.View().LeaseMs() > 0 }, time.Minute, time.Millisecond)
	w, err := tr.connect(s1, "i1")
	require.NoError(t, err)
	_, err = s1.Propose(t.Context(), &apiv1.Command{Op: &apiv1.Command_AddModule{AddModule: &apiv1.AddModule{Module: &apiv1.Module{Digest: testDigest}}}})
	require.NoError(t, err)
	for range 20 {
		res, err := s1.control.Submit(t.Context(), &apiv1.SubmitRequest{Spec: &apiv1.AppSpec{Name: "x", ModuleDigest: testDigest, Size: 1}})
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			app, _ := s1.machine.View().App(fsm.AppID(res.App.Id))
			return app.GetPhase() == "starting"
		}, time.Minute, time.Millisecond)
		w.send(t, &apiv1.SessionRequest{Msg: &apiv1.SessionRequest_Status{Status: &apiv1.AppStatus{
			App: res.App.Id, Epoch: 1, Executor: apiv1.ExecutorRunning, Ranks: []*apiv1.RankStatus{{Epoch: 1, State: apiv1.RankEnded}},
		}}})
		end, err := s1.control.WaitApp(t.Context(), &apiv1.WaitAppRequest{App: res.App.Id, Timeout: 60})
		require.NoError(t, err)
		require.NotNil(t, end.App.StartedAt)
	}
}

// TestRefusedLossLeavesTheHostHeard: only a loss that the log has taken ends a host's session and forgets its reports.
func TestRefusedLossLeavesTheHostHeard(t *testing.T) {
	b := newBench(t, nil)
	b.running()
	ended := false
	s := newSession("h1", "i-h1", func() { ended = true })
	b.l.inbox.open(s, []*apiv1.AppStatus{{App: "a", Executor: apiv1.ExecutorRunning}})
	lost, _ := b.l.endHost(b.ctx, "h1", "an incarnation before", fsm.Lost, "test")
	require.False(t, lost)
	require.False(t, ended)
	require.NotNil(t, b.l.inbox.report("h1", "a"))
	require.True(t, b.l.sessions.hear(s))
	lost, _ = b.l.endHost(b.ctx, "h1", "i-h1", fsm.Lost, "test")
	require.True(t, lost)
	require.True(t, ended)
	require.Nil(t, b.l.inbox.report("h1", "a"))
	s.echo(1)
	again := newSession("h1", "i-h1", func() { ended = true })
	ended = false
	b.l.inbox.open(again, nil)
	b.l.answer(again, 1)
	require.True(t, ended, "a host that the log calls lost gets no lease")
}
