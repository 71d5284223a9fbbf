package planner

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// TestQuickMigrationsAreTheSame: a board plans how apps move as a look at all hosts does, plan by plan.
func TestQuickMigrationsAreTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCluster(t)
		c.level()
		uneven := rapid.Bool().Draw(t, "uneven")
		c.do(&apiv1.Command{Op: &apiv1.Command_SetScheduling{SetScheduling: &apiv1.SetScheduling{Scheduling: &apiv1.Scheduling{MinGainPercent: rapid.SampledFrom([]int32{0, 30, 100}).Draw(t, "gain")}}}})
		pick := func(name string, n int) int { return rapid.IntRange(0, n).Draw(t, name) }
		hosts := 2 + pick("hosts", 6)
		racks, rackOf := pick("racks", 2), map[int]map[string]string{}
		labels := rapid.Bool().Draw(t, "labels")
		declared := func(i, slots int) {
			if rackOf[i] == nil {
				rackOf[i] = map[string]string{RackLabel: fmt.Sprint(pick("rack", racks))}
				if labels && pick("label", 1) == 0 {
					rackOf[i]["disk"] = "ssd"
				}
			}
			c.do(&apiv1.Command{Op: &apiv1.Command_RegisterHost{RegisterHost: &apiv1.RegisterHost{Host: &apiv1.Host{
				Id: fmt.Sprintf("h%d", i), Slots: int32(slots), NodeId: fmt.Sprintf("h%d", i), Incarnation: "1", Labels: rackOf[i],
				MemoryBytes: drawMemory(t, 6), RankMemoryBytes: drawMemory(t, 3), Speed: drawSpeed(t, uneven),
			}}}})
		}
		for i := range hosts {
			declared(i, 1+pick("slots", 6))
		}
		for i := range 8 {
			id, size := fmt.Sprintf("a%d", i), 1+pick("size", 5)
			spec := &apiv1.AppSpec{Size: int32(size), MigrationCheckPeriod: 1, Oversubscribe: pick("over", 6) == 0, MemoryBytes: drawMemory(t, 2)}
			if labels && pick("asks", 1) == 0 {
				spec.On = []string{"disk=ssd"}
			}
			if pick("compact", 3) == 0 {
				spec.Policy, spec.Tenant = Compact, fmt.Sprint(pick("tenant", 1))
			}
			c.submit(id, spec)
			var placement []string
			for range size {
				placement = append(placement, fmt.Sprintf("h%d", pick("on", hosts-1)))
			}
			if c.try(&apiv1.Command{Op: &apiv1.Command_PlaceApp{PlaceApp: &apiv1.PlaceApp{App: id, Placement: placement}}}).GetCode() == "" {
				c.start(id)
				if pick("ends", 3) == 0 {
					c.end(id, placement[0], 0)
				}
			}
		}
		for i := range hosts {
			c.wish(fmt.Sprintf("h%d", i), rapid.SampledFrom([]fsm.Wish{fsm.Schedulable, fsm.Schedulable, fsm.Cordoned, fsm.Draining}).Draw(t, "wish"))
			if pick("shrinks", 5) == 0 {
				declared(i, 1)
			}
		}
		v := c.m.View()
		k, on := Checker{View: v}, &ground{v: v}
		for app := range v.Placed() {
			if k.whyNot(app) != "" {
				continue
			}
			live := liveRanks(app)
			quick, why := k.plan(app, on)
			slow, also := k.planByAll(app, live, on.all())
			require.Equal(t, slow, quick)
			require.Equal(t, also, why)
			if k.stays(app, on) {
				require.Empty(t, slow, "%v has %s", app, why)
			}
			on.take(app, quick)
		}
	})
}

// TestMostAppsCostNoLook: what has nothing to gain is found so without a look at all hosts, whatever the racks, labels and policies.
func TestMostAppsCostNoLook(t *testing.T) {
	c := newCluster(t)
	c.level()
	for i := range 4 {
		c.equipped(fmt.Sprintf("h%d", i), 6, 0, 0, map[string]string{RackLabel: fmt.Sprint(i / 2), "disk": "ssd"})
	}
	for id, spec := range map[string]*apiv1.AppSpec{
		"racks": {}, "labels": {On: []string{"disk=ssd"}}, "compact": {Policy: Compact}, "spread": {Spread: RackLabel}, "spot": {Policy: Spot},
	} {
		spec.Size, spec.MigrationCheckPeriod = 2, 1
		c.submit(id, spec)
		c.runs(id, "h0", "h2")
	}
	v := c.m.View()
	k, on := Checker{View: v}, &ground{v: v}
	for app := range v.Placed() {
		if id := app.GetId(); id == "racks" || id == "labels" { // they would be on one host
			require.False(t, k.stays(app, on))
			continue
		}
		require.True(t, k.stays(app, on), app.GetId())
	}
	require.Nil(t, on.hosts)
}

// TestRackThatTakesNoRanks: the hosts that an app has in a rack of which none takes ranks are a way for it as well.
func TestRackThatTakesNoRanks(t *testing.T) {
	c := newCluster(t)
	c.level()
	for name, rack := range map[string]string{"h0": "a", "h1": "a", "h2": "b", "h3": "c"} {
		c.equipped(name, 1, 0, map[string]float64{"a": 0.5, "b": 1, "c": 1}[rack], map[string]string{RackLabel: rack})
	}
	c.submit("a", &apiv1.AppSpec{Size: 2, MigrationCheckPeriod: 1})
	c.runs("a", "h0", "h1")
	c.wish("h0", fsm.Cordoned)
	c.wish("h1", fsm.Cordoned)
	v := c.m.View()
	k, on := Checker{View: v}, &ground{v: v}
	moves, why := k.plan(c.app("a"), on)
	slow, also := k.planByAll(c.app("a"), []int{0, 1}, on.all())
	require.Equal(t, slow, moves)
	require.Equal(t, also, why)
	require.Contains(t, why, "on 2 hosts with 1 links")
}
