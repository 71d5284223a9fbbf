package steps

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// TestEndsAreSplit: an app whose ranks end with long reasons costs itself entries, and nothing it reports is too large.
func TestEndsAreSplit(t *testing.T) {
	s := newStage(t)
	const size = 2400
	s.host("h1", size)
	placement := make([]string, size)
	st := &apiv1.AppStatus{App: "a", Epoch: 1, Executor: apiv1.ExecutorRunning}
	reason := strings.Repeat("\x1b[2Jtrap ", 4096)
	for r := range int32(size) {
		placement[r] = "h1"
		st.Ranks = append(st.Ranks, &apiv1.RankStatus{
			Rank: r, Epoch: 1, State: apiv1.RankEnded, ExitCode: 1, Reason: reason,
		}, &apiv1.RankStatus{Rank: r, Epoch: 1, State: apiv1.RankEnded, ExitCode: 2}) // said twice
	}
	s.run(placement...)
	news := News(s.view(), s.app(), "h1", st)
	require.Greater(t, len(news), 3)
	what := map[string]bool{}
	for _, step := range news {
		require.LessOrEqual(t, proto.Size(step.Command), 64<<10+1024)
		require.False(t, what[step.What], "what is refused of one keeps no other")
		what[step.What] = true
		s.apply(step.Command)
	}
	require.Equal(t, "failed", s.app().Phase)
	require.NotContains(t, s.app().Reason, "\x1b")
	require.Empty(t, News(s.view(), s.app(), "h1", st), "it is over")
}

// TestAnEndIsTakenOnce: a report that names a rank's end twice makes one end of it.
func TestAnEndIsTakenOnce(t *testing.T) {
	s := running(t)
	twice := &apiv1.RankStatus{Rank: 1, Epoch: 1, State: apiv1.RankEnded, Reason: "its last\x1b[2J words"}
	ends := newlyEnded(s.view(), s.app(), "h1", &apiv1.AppStatus{App: "a", Ranks: []*apiv1.RankStatus{twice, twice}})
	require.Len(t, ends, 1)
	require.NotContains(t, ends[0].Reason, "\x1b", "and cleans what it says")
}

// TestToldByReason: whether a rank's reason says how it ended goes into the log where the level in force has the field, and a program's
// own words, however they begin, stay its own.
func TestToldByReason(t *testing.T) {
	st := &apiv1.AppStatus{App: "a", Ranks: []*apiv1.RankStatus{
		{Rank: 0, Epoch: 1, State: apiv1.RankEnded, ExitCode: 1, Reason: "ended without MPI_Finalize (exit code 0)", ToldByReason: true},
		{Rank: 1, Epoch: 1, State: apiv1.RankEnded, ExitCode: 7, Reason: "ended by the program's own wish"},
	}}
	s := running(t)
	for _, e := range newlyEnded(s.view(), s.app(), "h1", st) {
		require.False(t, e.ToldByReason, "a build of level 1 would stop at the field")
	}
	s.newest()
	ends := newlyEnded(s.view(), s.app(), "h1", st)
	require.Len(t, ends, 2)
	require.True(t, ends[0].ToldByReason)
	require.False(t, ends[1].ToldByReason)
	st.Ranks = st.Ranks[1:]
	for _, step := range News(s.view(), s.app(), "h1", st) {
		s.apply(step.Command)
	}
	require.Equal(t, "rank 1 on h1 exited 7 (ended by the program's own wish)", s.app().Reason)
}

// TestStartBeforeEnd: what one report says of an app's start comes before what it says of its ranks' ends.
func TestStartBeforeEnd(t *testing.T) {
	s := newStage(t)
	s.host("h1", 1)
	s.apply(&apiv1.Command{Op: &apiv1.Command_SubmitApp{SubmitApp: &apiv1.SubmitApp{Id: "a", Spec: &apiv1.AppSpec{Name: "a", ModuleDigest: testDigest, Size: 1}}}})
	s.apply(&apiv1.Command{Op: &apiv1.Command_PlaceApp{PlaceApp: &apiv1.PlaceApp{App: "a", Placement: []string{"h1"}}}})
	for _, step := range News(s.view(), s.app(), "h1", &apiv1.AppStatus{
		App: "a", Epoch: 1, Executor: apiv1.ExecutorRunning, Ranks: []*apiv1.RankStatus{{Epoch: 1, State: apiv1.RankEnded}},
	}) {
		s.apply(step.Command)
	}
	require.Equal(t, fsm.Succeeded, fsm.PhaseOf(s.app()))
	require.NotNil(t, s.app().StartedAt)
}

// TestStartOfAnEarlierPlacement: an executor that runs on a host as the target of a migration of an earlier attempt, as a report says that comes late, is none of those that begin this one: the app does not run, and
// that the host refuses to begin it is heard.
func TestStartOfAnEarlierPlacement(t *testing.T) {
	s := newStage(t)
	s.host("h1", 4)
	s.run("h1")
	app := proto.CloneOf(s.app())
	app.Phase, app.Epoch, app.StartedHosts = string(fsm.Starting), 2, nil
	require.False(t, started(app, "h1", &apiv1.AppStatus{App: "a", Epoch: 1, Executor: apiv1.ExecutorRunning}))
	require.True(t, started(app, "h1", &apiv1.AppStatus{App: "a", Epoch: 2, Executor: apiv1.ExecutorRunning}))
}

// TestStartAndEndAreOneCommand: a report of ranks that have ended on a host of which the log does not know that it has started makes one command, where the level in
// force has the field, and two before.
func TestStartAndEndAreOneCommand(t *testing.T) {
	for _, newest := range []bool{false, true} {
		s := newStage(t)
		s.host("h1", 2)
		if newest {
			s.newest()
		}
		s.place("h1", "h1")
		st := &apiv1.AppStatus{App: "a", Epoch: 1, Executor: apiv1.ExecutorRunning, Ranks: []*apiv1.RankStatus{
			{Rank: 0, Epoch: 1, State: apiv1.RankEnded}, {Rank: 1, Epoch: 1, State: apiv1.RankRunning},
		}}
		news := News(s.view(), s.app(), "h1", st)
		if newest {
			require.Len(t, news, 1)
			require.EqualValues(t, 1, news[0].Command.GetRanksEnded().GetStartedEpoch())
		} else {
			require.Len(t, news, 2)
			require.NotNil(t, news[0].Command.GetHostStarted())
			require.Zero(t, news[1].Command.GetRanksEnded().GetStartedEpoch())
		}
		for _, step := range news {
			s.apply(step.Command)
		}
		require.Equal(t, "running", s.app().Phase)
		require.Empty(t, News(s.view(), s.app(), "h1", st))
		st.Ranks[1].State = apiv1.RankEnded
		news = News(s.view(), s.app(), "h1", st)
		require.Len(t, news, 1)
		require.Zero(t, news[0].Command.GetRanksEnded().GetStartedEpoch(), "that is known")
		s.apply(news[0].Command)
		require.Equal(t, "succeeded", s.app().Phase)
	}
}
