package planner

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

func (c *cluster) labelled(name string, slots int, incarnation string, labels map[string]string) {
	c.do(&apiv1.Command{Op: &apiv1.Command_RegisterHost{RegisterHost: &apiv1.RegisterHost{
		Host: &apiv1.Host{Id: name, Slots: int32(slots), NodeId: name, Incarnation: incarnation, Labels: labels},
	}}})
}

// TestBoardFollowsLabels: an app that no host was for is placed when a worker comes back with what it asks for, and as many slots.
func TestBoardFollowsLabels(t *testing.T) {
	c := newCluster(t)
	c.level()
	c.labelled("h1", 4, "1", nil)
	c.submit("gpu", &apiv1.AppSpec{Size: 1, On: []string{"gpu=yes"}})
	b := NewBoard()
	b.Reset(c.m.View())
	require.Empty(t, b.Next(c.m.View(), 9))
	c.labelled("h1", 4, "2", map[string]string{"gpu": "yes"})
	b.Change(c.m.View(), "h1")
	require.Equal(t, []string{"gpu"}, ids(b.Next(c.m.View(), 9)))
}

// TestBackfillHeedsTheHeadsTenant: nothing of the head's tenant is placed ahead of it that would have it beyond its tenant's slots when its turn comes.
func TestBackfillHeedsTheHeadsTenant(t *testing.T) {
	c := newCluster(t)
	c.level()
	c.host("h1", 8)
	c.host("h2", 4)
	c.tenant("t", 9, 0)
	c.submit("runs", limit(8, 10*time.Minute))
	c.runs("runs", "h1", "h1", "h1", "h1", "h1", "h1", "h1", "h1")
	c.submit("head", &apiv1.AppSpec{Size: 8, Tenant: "t"})
	c.submit("forever", &apiv1.AppSpec{Size: 2, Tenant: "t"})
	c.submit("one", &apiv1.AppSpec{Size: 1, Tenant: "t"})
	c.submit("another", &apiv1.AppSpec{Size: 1, Tenant: "t"})
	require.Equal(t, []string{"one"}, ids(Backfill(Cluster{View: c.m.View()}, epoch, 9)), "9 slots, of which the head needs 8")
}

// TestWhyBehindATenant: who waits behind an app of its tenant says so, and what would change it names those that hold it up.
func TestWhyBehindATenant(t *testing.T) {
	c := newCluster(t)
	c.level()
	c.host("h1", 12)
	c.tenant("few", 4, 0)
	c.submit("r", &apiv1.AppSpec{Size: 2, Tenant: "few"})
	c.place("r", "h1", "h1")
	c.submit("x", &apiv1.AppSpec{Size: 3, Tenant: "few"})
	c.submit("y", &apiv1.AppSpec{Size: 1, Tenant: "few"})
	c.submit("z", &apiv1.AppSpec{Size: 1})
	line := new(Lines).Of(c.m.View(), nil)
	require.Equal(t, "needs 3 slots; tenant few has 2 of its 4", line.Why(c.app("x")))
	require.Equal(t, "waits behind app x of its tenant, which needs 3 slots; tenant few has 2 of its 4", line.Why(c.app("y")))
	require.Equal(t, Soon, line.Why(c.app("z")))
	require.Equal(t, "z", line.Head().GetId())
	require.Empty(t, Checker{View: c.m.View(), Now: epoch}.Explain(c.app("z"), Soon, line.Head()).Changes)
}

// TestHostOfManyAppsBecomesEmpty: one with more apps than may move at once is left by and by.
func TestHostOfManyAppsBecomesEmpty(t *testing.T) {
	c := newCluster(t)
	c.level()
	c.host("h1", 20)
	c.host("h2", 40)
	c.submit("b", &apiv1.AppSpec{Size: 18, Policy: EmptyHosts, MigrationCheckPeriod: 1})
	place := make([]string, 18)
	for i := range place {
		place[i] = "h2"
	}
	c.runs("b", place...)
	for i := range 17 {
		id := fmt.Sprintf("a%02d", i)
		c.submit(id, &apiv1.AppSpec{Size: 1, Policy: EmptyHosts, MigrationCheckPeriod: 1})
		c.runs(id, "h1")
	}
	proposals := CheckMigrations(c.m.View(), []fsm.AppID{"b"})
	require.Len(t, proposals, DefaultMigrationsAtOnce)
	for i, p := range proposals {
		require.Equal(t, "h2", p.Moves[0].GetTo())
		require.Empty(t, c.propose(fmt.Sprintf("g%d", i), p).GetCode())
	}
}

// TestAgainByItsOwnPolicy: an app that runs again somewhere else keeps its policy, whatever the cluster's is.
func TestAgainByItsOwnPolicy(t *testing.T) {
	app := &apiv1.App{Id: "a", Size: 2, Restored: 1, Spec: &apiv1.AppSpec{Size: 2, Policy: BinPack, MainHost: "gone", Tenant: "me"}}
	hosts := []Host{{Name: "h1", Slots: 8, Used: 1, Tenants: []string{"other"}}}
	for policy, outcome := range map[string]string{BinPack: Placed, Compact: NotEnoughSlots, MainFirst: Placed} {
		app.Spec.Policy = policy
		plan, err := placeApp(app, hosts, "")
		require.NoError(t, err)
		require.Equal(t, outcome, plan.Outcome, policy)
	}
	app.Spec.Policy = BinPack
	plan, err := placeApp(app, hosts, Compact)
	require.NoError(t, err)
	require.Equal(t, Placed, plan.Outcome)
}
