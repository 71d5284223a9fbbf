package control

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// TestCheckerFollowsTheLog: an app is looked at when its period is over, counted from when it got hosts, and no more
// once it has none.
func TestCheckerFollowsTheLog(t *testing.T) {
	b := newBench(t, nil)
	feed, checks := newFollower(b.l.c.state), newSchedule[fsm.AppID]()
	follow := func() int { followChecks(feed, checks); return len(checks.at) }
	b.host("h1", 8)
	b.submit("a", &apiv1.AppSpec{Size: 1, MigrationCheckPeriod: 60})
	b.submit("b", &apiv1.AppSpec{Size: 1})
	require.Zero(t, follow())
	b.place()
	require.Equal(t, 1, follow())
	at, ok := checks.when("a")
	require.True(t, ok)
	require.Empty(t, checks.due(at.Add(-time.Nanosecond)))
	require.Equal(t, []fsm.AppID{"a"}, checks.due(at))
	b.propose(&apiv1.Command{Op: &apiv1.Command_StopApp{StopApp: &apiv1.StopApp{App: "a", Phase: "cancelled"}}})
	again, _ := checks.when("a")
	require.Equal(t, at, again, "a change of the app is no check of it")
	b.report("h1", &apiv1.AppStatus{App: "a", Ranks: []*apiv1.RankStatus{{Rank: 0, Epoch: 1, State: "ended", ExitCode: 137}}})
	b.l.takeReports(b.ctx)
	require.Zero(t, follow())
}
