package control

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestStartingSaysWhomItWaitsFor: in show and in ps, in a text that does not grow with the app.
func TestStartingSaysWhomItWaitsFor(t *testing.T) {
	b := newBench(t, nil)
	b.host("w1", 3)
	b.host("w2", 4)
	b.submit("a", &apiv1.AppSpec{Size: 7, Place: []*apiv1.PlaceRule{{Host: "w1", Ranks: 3}, {Host: "w2", Ranks: 4}}})
	b.place()
	said := func() string {
		res, err := b.l.c.GetApp(b.ctx, &apiv1.GetAppRequest{App: "a"})
		require.NoError(t, err)
		list, err := b.l.c.ListApps(b.ctx, &apiv1.ListAppsRequest{})
		require.NoError(t, err)
		require.Equal(t, res.App.Reason, list.Apps[0].Reason)
		return res.App.Reason
	}
	require.Equal(t, "waits for w1 (rank 0, 1 and 1 more), w2 (rank 3, 4 and 2 more)", said())
	b.l.c.setLeader(b.l) // which the hosts tell
	b.report("w2", &apiv1.AppStatus{App: "a", Epoch: 1, StartInLine: true})
	require.Equal(t, "waits for w1 (rank 0, 1 and 1 more), w2 (rank 3, 4 and 2 more; it waits for a server to give it the module)", said())
	b.report("w2", &apiv1.AppStatus{App: "a", Epoch: 1})
	b.report("w1", &apiv1.AppStatus{App: "a", Epoch: 1, Executor: apiv1.ExecutorRunning})
	b.l.takeReports(b.ctx)
	require.Equal(t, "waits for w2 (rank 3, 4 and 2 more)", said())
	b.report("w2", &apiv1.AppStatus{App: "a", Epoch: 1, Executor: apiv1.ExecutorRunning})
	b.l.takeReports(b.ctx)
	require.Empty(t, said())
	b.propose(&apiv1.Command{Op: &apiv1.Command_StopApp{StopApp: &apiv1.StopApp{App: "a", Phase: "cancelled", Reason: "by the user"}}})
	b.propose(&apiv1.Command{Op: &apiv1.Command_SetHostUnfit{SetHostUnfit: &apiv1.SetHostUnfit{
		Host: "w2", Incarnation: "i-w2", Reason: "its disk hangs",
	}}})
	require.Equal(t, "is being stopped (by the user), waits for w1 (rank 0, 1 and 1 more), w2 (rank 3, 4 and 2 more; its disk hangs) to end; "+
		"a host that does not answer gives them up when its worker is started again", said())
}

func nothingElse(string) string { return "" }

func TestAwaitedIsBounded(t *testing.T) {
	app := &apiv1.App{Phase: "starting"}
	for i := range 1000 {
		app.Placement = append(app.Placement, fmt.Sprintf("w%d", i))
	}
	require.Equal(t, "waits for w0 (rank 0), w1 (rank 1), w2 (rank 2), w3 (rank 3), 996 more hosts", awaited(app, nothingElse))
	app.Verdict, app.Reason = "cancelled", "by the user"
	require.Contains(t, awaited(app, nothingElse), "is being stopped (by the user), waits for w0 (rank 0)")
}
