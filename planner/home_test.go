package planner

import (
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// TestMoveHome: ranks go first, then the directory goes to where most of them are.
func TestMoveHome(t *testing.T) {
	c := newCluster(t)
	for _, name := range []string{"h1", "h2", "h3", "h4"} {
		c.host(name, 4)
	}
	c.do(&apiv1.Command{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: 4}}})
	c.submit("a", &apiv1.AppSpec{Size: 4})
	c.place("a", "h1", "h2", "h3", "h3")
	c.start("a")
	plan := func(tries int) HomePlan { return MoveHome(c.m.View(), c.app("a"), tries) }
	require.Zero(t, plan(0), "it has no files")
	c.do(&apiv1.Command{Op: &apiv1.Command_ChangeFiles{ChangeFiles: &apiv1.ChangeFiles{App: "a", Host: "h1", What: apiv1.ChangeFiles_WHAT_OPENED}}})
	require.Zero(t, plan(0), "nothing is wished")
	c.end("a", "h1", 0)
	require.Zero(t, plan(0), "a rank that has ended there is no reason")
	c.wish("h1", fsm.Evicting)
	got := plan(0)
	require.Equal(t, HomePlan{To: "h3", Urgent: true, Why: "host h1 is evicting"}, got)
	require.Equal(t, fsm.HostID("h2"), plan(1).To, "another one when that has failed")
	c.wish("h3", fsm.Cordoned)
	require.Equal(t, fsm.HostID("h2"), plan(0).To)
	c.wish("h2", fsm.Draining)
	require.Equal(t, fsm.HostID("h4"), plan(0).To, "rather than lost")
	c.wish("h4", fsm.Draining)
	require.Equal(t, "no other host takes them", plan(0).Waits)

	c.wish("h4", fsm.Schedulable)
	for _, what := range []apiv1.ChangeFiles_What{apiv1.ChangeFiles_WHAT_MOVES, apiv1.ChangeFiles_WHAT_MOVED} {
		c.do(&apiv1.Command{Op: &apiv1.Command_ChangeFiles{ChangeFiles: &apiv1.ChangeFiles{App: "a", Host: "h4", What: what, Move: 1}}})
	}
	c.host("h5", 4)
	require.Empty(t, plan(0).To, "from one host without its ranks to another it would go on for ever")
	c.wish("h2", fsm.Schedulable)
	require.Equal(t, fsm.HostID("h2"), plan(0).To)
}
