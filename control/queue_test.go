package control

import (
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
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
