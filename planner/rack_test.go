package planner

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

func rack(name string) map[string]string { return map[string]string{RackLabel: name} }

// TestRacks: an app that needs several hosts gets those of one rack, where that takes no more hosts; and moves to be near.
func TestRacks(t *testing.T) {
	hosts := []Host{
		{Name: "a", Slots: 4, Labels: rack("r1")}, {Name: "b", Slots: 4, Labels: rack("r2")}, {Name: "c", Slots: 4, Labels: rack("r1")}, {Name: "d", Slots: 2, Labels: rack("r2")},
	}
	plan, err := Decide(Request{Kind: KindNew, Ranks: 8, Hosts: hosts})
	require.NoError(t, err)
	require.Equal(t, map[string]int{"a": 4, "c": 4}, count(plan.Placement), "c and b would be larger first")
	plan, err = Decide(Request{Kind: KindNew, Ranks: 10, Hosts: hosts})
	require.NoError(t, err)
	require.Len(t, count(plan.Placement), 3, "no rack holds it")
	plan, err = Decide(Request{Kind: KindNew, Ranks: 4, Hosts: hosts})
	require.NoError(t, err)
	require.Equal(t, map[string]int{"c": 4}, count(plan.Placement), "one host is nearest")

	hosts[0].Used, hosts[1].Used = 4, 4
	plan, err = Decide(Request{Kind: KindMigrate, Hosts: hosts, Current: []string{"a", "a", "a", "a", "b", "b", "b", "b"}})
	require.NoError(t, err)
	require.Equal(t, Migrate, plan.Outcome, "two hosts as before, of one rack")
	require.Equal(t, map[string]int{"a": 4, "c": 4}, count(plan.Placement))
	for i := range hosts {
		hosts[i].Labels = nil
	}
	plan, err = Decide(Request{Kind: KindMigrate, Hosts: hosts, Current: []string{"a", "a", "a", "a", "b", "b", "b", "b"}})
	require.NoError(t, err)
	require.Equal(t, DoNotMigrate, plan.Outcome)
}

// TestRacksTakeNoMoreHosts: whatever the racks, no more hosts are used than without them, and no more links.
func TestRacksTakeNoMoreHosts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		req := drawRequest(t, KindNew)
		req.Policy, req.Hint, req.Oversubscribe = BinPack, HintNone, false
		without := decide(t, req)
		for i := range req.Hosts {
			req.Hosts[i].Labels = rack(rapid.SampledFrom([]string{"", "r1", "r2"}).Draw(t, "rack"))
		}
		plan := decide(t, req)
		require.Equal(t, without.Outcome, plan.Outcome)
		require.Len(t, count(plan.Placement), len(count(without.Placement)))
		cs := candidates(req)
		links := func(placement []string) spread {
			n := count(placement)
			quotas := make([]int, len(cs))
			for i, c := range cs {
				quotas[i] = n[c.Name]
			}
			return spreadOf(cs, quotas, len(placement))
		}
		require.False(t, links(without.Placement).betterThan(links(plan.Placement)))
	})
}

// TestSpread: ranks are even over the values of a label, as far as there is room, and hosts without it get none.
func TestSpread(t *testing.T) {
	zone := func(name string) map[string]string { return map[string]string{"zone": name} }
	req := Request{Kind: KindNew, Ranks: 6, Spread: "zone", Hosts: []Host{
		{Name: "a", Slots: 8, Labels: zone("x")}, {Name: "b", Slots: 2, Labels: zone("y")}, {Name: "c", Slots: 1, Labels: zone("y")}, {Name: "d", Slots: 9},
	}}
	plan, err := Decide(req)
	require.NoError(t, err)
	require.Equal(t, map[string]int{"a": 3, "b": 2, "c": 1}, count(plan.Placement))
	req.Ranks = 9
	plan, err = Decide(req)
	require.NoError(t, err)
	require.Equal(t, map[string]int{"a": 6, "b": 2, "c": 1}, count(plan.Placement))
	req.Ranks = 12
	plan, err = Decide(req)
	require.NoError(t, err)
	require.Equal(t, NotEnoughSlots, plan.Outcome)
}

// TestLabels: ranks are on hosts with the labels that their app asks for only, by whatever policy, and the log refuses others.
func TestLabels(t *testing.T) {
	c := newCluster(t)
	c.level()
	for i, zone := range []string{"a", "b", "a", ""} {
		h := &apiv1.Host{Id: fmt.Sprintf("h%d", i), Slots: int32(4 + i), NodeId: fmt.Sprint(i), Incarnation: "1", Labels: map[string]string{}}
		if zone != "" {
			h.Labels["zone"] = zone
		}
		c.do(&apiv1.Command{Op: &apiv1.Command_RegisterHost{RegisterHost: &apiv1.RegisterHost{Host: h}}})
	}
	for id, on := range map[string][]string{"one": {"zone=a"}, "either": {"zone=b,c"}, "not": {"zone!=a,b"}, "none": {"zone=z"}, "both": {"zone=a", "zone!=a"}} {
		c.submit(id, &apiv1.AppSpec{Size: 2, On: on})
	}
	c.submit("spread", &apiv1.AppSpec{Size: 2, Spread: "zone"})
	board := NewBoard()
	board.Reset(c.m.View())
	got := map[string][]string{}
	for _, n := range board.Next(c.m.View(), 99) {
		got[n.App.GetId()] = n.Placement
	}
	require.Equal(t, []string{"h2", "h2"}, got["one"])
	require.Equal(t, []string{"h1", "h1"}, got["either"])
	require.Equal(t, []string{"h3", "h3"}, got["not"])
	require.Len(t, count(got["spread"]), 2)
	require.NotContains(t, got["spread"], "h3")
	require.Len(t, got, 4)
	require.Contains(t, new(Lines).Of(c.m.View(), nil).Why(c.app("none")), "no host takes ranks: h0 is without zone=z")
	r := c.try(&apiv1.Command{Op: &apiv1.Command_PlaceApp{PlaceApp: &apiv1.PlaceApp{App: "one", Placement: []string{"h1", "h1"}}}})
	require.Equal(t, "host h1 is without zone=a, for which the app asks", r.GetReason())
	for _, bad := range []string{"zone", "=a", "zone=", "zone=a,", "zo ne=a", "zone!a"} {
		r := c.try(&apiv1.Command{Op: &apiv1.Command_SubmitApp{SubmitApp: &apiv1.SubmitApp{Id: "bad", Spec: &apiv1.AppSpec{Size: 1, ModuleDigest: "m", On: []string{bad}}}}})
		require.Contains(t, r.GetReason(), "spec.on", bad)
	}
	c.place("one", "h2", "h2")
	c.start("one")
	_, err := ManualMove(c.m.View(), c.app("one"), []int32{0}, "h1")
	require.ErrorContains(t, err, "without zone=a")
}
