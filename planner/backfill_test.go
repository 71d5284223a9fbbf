package planner

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// epoch is when apps of these tests have started.
var epoch = time.Unix(1000, 0)

// level raises the feature level, and gives tests a clock.
func (c *cluster) level() {
	c.do(&apiv1.Command{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: fsm.FeatureLevel}}})
}

// runs places an app on hosts and starts it at the epoch.
func (c *cluster) runs(id string, hosts ...string) {
	c.place(id, hosts...)
	for _, host := range slices.Compact(slices.Sorted(slices.Values(hosts))) {
		c.do(&apiv1.Command{At: timestamppb.New(epoch), Op: &apiv1.Command_HostStarted{HostStarted: &apiv1.HostStarted{App: id, Host: host, Epoch: 1}}})
	}
}

func (c *cluster) tenant(name string, slots, shares int32) {
	c.do(&apiv1.Command{Op: &apiv1.Command_SetTenant{SetTenant: &apiv1.SetTenant{Tenant: &apiv1.Tenant{Name: name, Slots: slots, Shares: shares}}}})
}

func limit(size int, d time.Duration) *apiv1.AppSpec {
	return &apiv1.AppSpec{Size: int32(size), TimeLimitMs: d.Milliseconds()}
}

func ids(next []Next) []string {
	out := []string{}
	for _, n := range next {
		out = append(out, n.App.GetId())
	}
	return out
}

// TestBackfill: what is over before the head's turn, or beside which the head fits, is placed ahead of it, and nothing else.
func TestBackfill(t *testing.T) {
	c := newCluster(t)
	c.level()
	c.host("h1", 4)
	c.host("h2", 4)
	c.submit("runs", limit(6, 10*time.Minute))
	c.runs("runs", "h1", "h1", "h1", "h1", "h2", "h2")
	c.submit("head", &apiv1.AppSpec{Size: 7})
	c.submit("forever", &apiv1.AppSpec{Size: 2})
	c.submit("long", limit(2, time.Hour))
	c.submit("short", limit(1, 2*time.Minute))
	c.submit("beside", &apiv1.AppSpec{Size: 1})
	require.Empty(t, nextOfAll(c.m.View(), 9))
	at := func(d time.Duration) []string {
		return ids(Backfill(Cluster{View: c.m.View()}, epoch.Add(d), 9))
	}
	require.Equal(t, []string{"short", "beside"}, at(time.Minute), "the head needs 7 of 8 slots when what runs is over")
	require.Equal(t, []string{"short"}, at(9*time.Minute), "it would not be over by then: it is what the head fits beside")
	c.do(&apiv1.Command{Op: &apiv1.Command_SetScheduling{SetScheduling: &apiv1.SetScheduling{Scheduling: &apiv1.Scheduling{StrictOrder: true}}}})
	require.Empty(t, at(time.Minute))
}

// TestBackfillKnowsNoTurn: while what has no time limit stands in the head's way, nothing is placed ahead of it.
func TestBackfillKnowsNoTurn(t *testing.T) {
	c := newCluster(t)
	c.level()
	c.host("h1", 4)
	c.submit("runs", &apiv1.AppSpec{Size: 2})
	c.runs("runs", "h1", "h1")
	c.submit("head", &apiv1.AppSpec{Size: 3})
	c.submit("short", limit(1, time.Second))
	require.Empty(t, Backfill(Cluster{View: c.m.View()}, epoch, 9))
}

// TestBackfillDelaysNobody: at the head's turn, when all is over whose time is, the head fits beside whatever was placed ahead of it.
func TestBackfillDelaysNobody(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCluster(t)
		c.level()
		pick := func(name string, n int) int { return rapid.IntRange(0, n).Draw(t, name) }
		for i := range 1 + pick("hosts", 3) {
			c.host(fmt.Sprintf("h%d", i), 1+pick("slots", 5))
		}
		for i := range 12 {
			spec := limit(1+pick("size", 6), time.Duration(pick("minutes", 30))*time.Minute)
			spec.Priority = int32(pick("priority", 1))
			c.submit(fmt.Sprintf("a%02d", i), spec)
			for _, n := range nextOfAll(c.m.View(), 9) {
				c.runs(n.App.GetId(), n.Placement...)
			}
		}
		now := epoch.Add(time.Duration(pick("now", 10)) * time.Minute)
		v := c.m.View()
		next := Backfill(Cluster{View: v}, now, 99)
		if len(next) == 0 {
			return
		}
		var head *apiv1.App
		for app := range v.Queue() {
			if _, never := tryBoth(app, hostsOf(v)); !never {
				head = app
				break
			}
		}
		when, _, _, ok := turnOf(v, head, hostsOf(v), nil, "", now)
		require.True(t, ok)
		for _, n := range next {
			require.Empty(t, c.try(&apiv1.Command{Op: &apiv1.Command_PlaceApp{PlaceApp: &apiv1.PlaceApp{App: n.App.GetId(), Placement: n.Placement}}}).GetCode())
		}
		v = c.m.View()
		var over []run
		for app := range v.Placed() {
			if end, ok := endOf(app, now); ok && !end.After(when) {
				over = append(over, run{app, end})
			}
		}
		plan, err := placeApp(head, without(v, hostsOf(v), nil, over), "")
		require.NoError(t, err)
		require.Equal(t, Placed, plan.Outcome, "%s at %v, behind %v", head.GetId(), when, ids(next))
	})
}

// TestPriorities: an app of a higher priority is placed first, and holds up those of lower ones.
func TestPriorities(t *testing.T) {
	c := newCluster(t)
	c.level()
	c.host("h1", 4)
	c.submit("low", &apiv1.AppSpec{Size: 1})
	c.submit("first", &apiv1.AppSpec{Size: 1, Priority: 5})
	c.submit("high", &apiv1.AppSpec{Size: 4, Priority: 1})
	require.Equal(t, []string{"first"}, ids(nextOfAll(c.m.View(), 9)))
	board := NewBoard()
	board.Reset(c.m.View())
	require.Equal(t, []string{"first"}, ids(board.Next(c.m.View(), 9)))
	require.Contains(t, new(Lines).Of(c.m.View(), nil).Why(c.app("low")), "waits behind app first")
}

// TestTenants: an app beyond its tenant's slots holds up its tenant alone, and by their shares tenants take turns.
func TestTenants(t *testing.T) {
	c := newCluster(t)
	c.level()
	c.host("h1", 12)
	c.tenant("few", 3, 0)
	for i := range 3 {
		c.submit(fmt.Sprintf("few%d", i), &apiv1.AppSpec{Size: 2 - int32(i/2), Tenant: "few"})
	}
	c.submit("toolarge", &apiv1.AppSpec{Size: 4, Tenant: "few"})
	c.submit("other", &apiv1.AppSpec{Size: 2, Tenant: "many"})
	board := NewBoard()
	board.Reset(c.m.View())
	require.Equal(t, []string{"few0", "other"}, ids(board.Next(c.m.View(), 9)))
	c.place("few0", "h1", "h1")
	line := new(Lines).Of(c.m.View(), nil)
	require.Equal(t, "needs 2 slots; tenant few has 2 of its 3", line.Why(c.app("few1")))
	require.Equal(t, "needs 4 slots; tenant few may have 3", line.Why(c.app("toolarge")))
	require.Equal(t, Soon, line.Why(c.app("other")))

	// few has 2 slots of one share, many none of three.
	c.tenant("few", 0, 1)
	c.tenant("many", 0, 3)
	for i := range 4 {
		c.submit(fmt.Sprintf("many%d", i), &apiv1.AppSpec{Size: 2, Tenant: "many"})
	}
	board.Reset(c.m.View())
	require.Equal(t, []string{"other", "many0", "many1", "few1"}, ids(board.Next(c.m.View(), 4)))
}

// TestWaitsForApps: what waits for other apps is not placed, holds up nobody, and says for what it waits.
func TestWaitsForApps(t *testing.T) {
	c := newCluster(t)
	c.level()
	c.host("h1", 2)
	c.submit("a", &apiv1.AppSpec{Size: 2})
	c.submit("b", &apiv1.AppSpec{Size: 1, DependsOn: []*apiv1.Dependency{{App: "a"}}})
	for i := range int32(3) {
		c.submit(fmt.Sprintf("x%d", i), &apiv1.AppSpec{Size: 1, Array: &apiv1.ArrayPlace{Id: "arr", Index: i, AtOnce: 1}})
	}
	require.Equal(t, []string{"a"}, ids(nextOfAll(c.m.View(), 1)))
	line := new(Lines).Of(c.m.View(), nil)
	require.Equal(t, "waits for the success of app a, which is queued", line.Why(c.app("b")))
	require.Equal(t, "waits for one of array arr to end: 1 of it are in flight, which is as many as may be", line.Why(c.app("x1")))
	c.runs("a", "h1", "h1")
	c.end("a", "h1", 0)
	c.end("a", "h1", 1)
	require.Equal(t, []string{"b", "x0"}, ids(nextOfAll(c.m.View(), 9)))
}

// TestDefaultPolicy: apps that name no policy are placed by the cluster's.
func TestDefaultPolicy(t *testing.T) {
	c := newCluster(t)
	c.level()
	c.host("h1", 4)
	c.host("h2", 3)
	c.submit("there", &apiv1.AppSpec{Size: 1, Tenant: "other"})
	c.place("there", "h1")
	c.do(&apiv1.Command{Op: &apiv1.Command_SetScheduling{SetScheduling: &apiv1.SetScheduling{Scheduling: &apiv1.Scheduling{Policy: Compact}}}})
	c.submit("a", &apiv1.AppSpec{Size: 2, Tenant: "me"})
	c.submit("b", &apiv1.AppSpec{Size: 1, Tenant: "me", Policy: BinPack})
	board := NewBoard()
	board.Reset(c.m.View())
	next := board.Next(c.m.View(), 9)
	require.Equal(t, []string{"a", "b"}, ids(next))
	require.Equal(t, []string{"h2", "h2"}, next[0].Placement)
	require.Equal(t, []string{"h1"}, next[1].Placement)
}

// TestBackfillWaitsForNobodyAway: slots of a host that is away are none at the head's turn.
func TestBackfillWaitsForNobodyAway(t *testing.T) {
	c := newCluster(t)
	c.level()
	c.host("h1", 4)
	c.host("h2", 4)
	c.submit("runs", limit(2, 10*time.Minute))
	c.runs("runs", "h1", "h1")
	c.submit("r2", limit(4, 20*time.Minute))
	c.runs("r2", "h2", "h2", "h2", "h2")
	c.submit("head", &apiv1.AppSpec{Size: 3})
	_, _, ended, ok := turnOf(c.m.View(), c.app("head"), hostsAfter(c.m.View(), nil, map[string]bool{"h1": true}), map[string]bool{"h1": true}, "", epoch)
	require.True(t, ok)
	require.Len(t, ended, 2, "not before the second, on h2")
}
