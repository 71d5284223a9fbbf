package planner

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// unit is the memory that tests count in.
const unit = 100 << 20

// drawMemory draws up to so many units, or none.
func drawMemory(t *rapid.T, most int) int64 {
	return unit * int64(rapid.IntRange(0, most).Draw(t, "memory"))
}

// drawSpeed draws a host's speed; 0 where all are as fast.
func drawSpeed(t *rapid.T, uneven bool) float64 {
	if !uneven {
		return 0
	}
	return rapid.SampledFrom([]float64{0, 0.5, 1, 2, 3}).Draw(t, "speed")
}

// declared registers a host with memory and a speed.
func (c *cluster) declared(name string, slots int, memory int64, speed float64) {
	c.equipped(name, slots, memory, speed, nil)
}

func (c *cluster) equipped(name string, slots int, memory int64, speed float64, labels map[string]string) {
	c.do(&apiv1.Command{Op: &apiv1.Command_RegisterHost{RegisterHost: &apiv1.RegisterHost{
		Host: &apiv1.Host{Id: name, Slots: int32(slots), NodeId: name, Incarnation: "1", MemoryBytes: memory, Speed: speed, Labels: labels},
	}}})
}

// on is how many ranks of a placement are on each of a request's hosts.
func on(req Request, placement []string) (cs []candidate, ranks []int) {
	cs = candidates(req)
	n := count(placement)
	for _, c := range cs {
		ranks = append(ranks, n[c.Name])
	}
	return cs, ranks
}

func spreadOfPlaced(req Request, placement []string) spread {
	cs, ranks := on(req, placement)
	return spreadOf(cs, ranks, len(placement))
}

func speedOver(req Request, placement []string) float64 {
	cs, ranks := on(req, placement)
	return slowest(cs, ranks)
}

// TestBackfillHeedsMemory: what is placed ahead of others leaves their memory, and is counted as free where it is over in time.
func TestBackfillHeedsMemory(t *testing.T) {
	c := newCluster(t)
	c.level()
	c.declared("h1", 8, 4*unit, 0)
	runs := limit(2, 60e9)
	runs.MemoryBytes = unit
	c.submit("runs", runs)
	c.runs("runs", "h1", "h1")
	c.submit("head", &apiv1.AppSpec{Size: 3, MemoryBytes: unit})
	c.submit("long", &apiv1.AppSpec{Size: 2, MemoryBytes: unit})
	short := limit(2, 10e9)
	short.MemoryBytes = unit
	c.submit("short", short)
	c.submit("beside", &apiv1.AppSpec{Size: 1, MemoryBytes: unit})
	next := Backfill(Cluster{View: c.m.View()}, epoch, 9)
	var ids []string
	for _, n := range next {
		ids = append(ids, n.App.GetId())
	}
	require.Equal(t, []string{"short"}, ids, "long would delay the head, and beside finds no memory left")
}

// TestMemoryExplained: who waits for memory is told how much there is, and what would help.
func TestMemoryExplained(t *testing.T) {
	c := newCluster(t)
	c.level()
	c.declared("h1", 8, 4*unit, 2)
	c.declared("h2", 8, 0, 0)
	c.submit("a", &apiv1.AppSpec{Size: 3, MemoryBytes: unit, Place: []*apiv1.PlaceRule{{Host: "h1", Ranks: 3}}})
	c.place("a", "h1", "h1", "h1")
	c.start("a")
	c.submit("rules", &apiv1.AppSpec{Size: 2, MemoryBytes: unit, Place: []*apiv1.PlaceRule{{Host: "h1", Ranks: 2}}})
	c.wish("h2", fsm.Cordoned)
	v := c.m.View()
	require.Equal(t, "needs 2 x 100 MiB on h1, which has 100 MiB free of 400 MiB", new(Lines).Of(v, nil).Why(c.app("rules")))
	c.submit("b", &apiv1.AppSpec{Size: 2, MemoryBytes: unit, Priority: 1})
	v = c.m.View()
	require.Equal(t, "needs 2 x 100 MiB; free: h1 1 (5 slots, 100 MiB)", new(Lines).Of(v, nil).Why(c.app("b")))
	x := Checker{View: v, Now: epoch}.Explain(c.app("b"), "", c.app("b"))
	require.Contains(t, x.Changes[0], "1 x 100 MiB more become free, each with a slot")
	require.EqualValues(t, 4*unit, x.Hosts[0].GetMemoryBytes())
	require.EqualValues(t, 3*unit, x.Hosts[0].GetMemoryUsed())
	require.InDelta(t, 2, x.Hosts[0].GetSpeed(), 0)
	_, err := ManualMove(v, c.app("a"), []int32{0}, "h2")
	require.ErrorContains(t, err, "cordoned")
	c.wish("h2", fsm.Schedulable)
	c.declared("h2", 8, unit/2, 0)
	_, err = ManualMove(c.m.View(), c.app("a"), []int32{0}, "h2")
	var refused *RefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, fsm.CodeNotEnoughMemory, refused.Code)
	require.Equal(t, "host h2 has 50 MiB free of 50 MiB of memory; needed are 1 x 100 MiB", refused.Reason)
}

// TestAdviceKnowsMemory: what would have an app fit one host is said of hosts that hold its memory.
func TestAdviceKnowsMemory(t *testing.T) {
	c := newCluster(t)
	c.level()
	c.declared("h1", 4, 3*unit, 1)
	c.declared("h2", 4, 3*unit, 1)
	c.submit("a", &apiv1.AppSpec{Size: 4, MemoryBytes: unit, MigrationCheckPeriod: 1})
	c.runs("a", "h1", "h2", "h2", "h2")
	advice := func() []string {
		return Checker{View: c.m.View(), Now: epoch.Add(time.Hour)}.Explain(c.app("a"), "", nil).Changes
	}
	require.Equal(t, []string{"a host with slots and memory for 4 x 100 MiB joins: none that takes ranks has so much"}, advice())

	c.declared("h3", 4, 6*unit, 1)
	c.submit("b", &apiv1.AppSpec{Size: 1, MemoryBytes: 3 * unit})
	c.runs("b", "h3")
	require.Equal(t, []string{"1 x 100 MiB more becomes free, with a slot, on h3: then it fits one host"}, advice())
}

// TestOneHostMovesToAFaster: an app on one host has no links to save, and moves to a faster one, by enough, as one on several does.
func TestOneHostMovesToAFaster(t *testing.T) {
	c := newCluster(t)
	c.level()
	c.declared("h1", 4, 0, 1)
	c.declared("h2", 4, 0, 1.2)
	c.submit("a", &apiv1.AppSpec{Size: 2, MigrationCheckPeriod: 1})
	c.runs("a", "h1", "h1")
	proposals := CheckMigrations(c.m.View(), []fsm.AppID{"a"})
	require.Len(t, proposals, 1)
	require.Len(t, proposals[0].Moves, 2)
	require.Equal(t, "h2", proposals[0].Moves[0].GetTo())
	c.do(&apiv1.Command{Op: &apiv1.Command_SetScheduling{SetScheduling: &apiv1.SetScheduling{Scheduling: &apiv1.Scheduling{MinGainPercent: 25}}}})
	require.Empty(t, CheckMigrations(c.m.View(), []fsm.AppID{"a"}))
	for x := range (Checker{View: c.m.View()}).Candidates(c.m.View().Placed()) {
		require.Equal(t, "on 1 host already at speed 1; speed 1.2 would be less than 25 % faster", x.GetReason())
	}
}

// TestRankLimitExplained: who declares more than a host gives one rank is not placed there, nor moved there, and told so.
func TestRankLimitExplained(t *testing.T) {
	c := newCluster(t)
	c.level()
	small := &apiv1.Host{Id: "h1", Slots: 8, NodeId: "h1", Incarnation: "1", MemoryBytes: 64 * unit, RankMemoryBytes: unit}
	c.do(&apiv1.Command{Op: &apiv1.Command_RegisterHost{RegisterHost: &apiv1.RegisterHost{Host: small}}})
	c.submit("a", &apiv1.AppSpec{Size: 1, MemoryBytes: 2 * unit})
	c.submit("b", &apiv1.AppSpec{Size: 1, MemoryBytes: 2 * unit, Place: []*apiv1.PlaceRule{{Host: "h1", Ranks: 1}}})
	v := c.m.View()
	require.Equal(t, "needs 1 x 200 MiB; the cluster has memory and slots for 0 of them with nothing else on it (less for a rank, by --memory-limit of their workers, give: h1)", new(Lines).Of(v, nil).Why(c.app("a")))
	require.Contains(t, new(Lines).Of(v, nil).Why(c.app("b")), "h1 gives a rank at most 100 MiB of memory (its worker's --memory-limit); needed are 1 x 200 MiB")
	require.Equal(t, "it gives a rank at most 100 MiB of memory (its worker's --memory-limit), and one takes 200 MiB", Checker{View: v}.Explain(c.app("a"), "", nil).Hosts[0].GetWhy())
	c.declared("h2", 2, 0, 0)
	c.runs("a", "h2")
	_, err := ManualMove(c.m.View(), c.app("a"), []int32{0}, "h1")
	var refused *RefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, fsm.CodeNotEnoughMemory, refused.Code)
	c.wish("h2", fsm.Draining)
	require.Empty(t, NewLeaving(c.m.View()).Plan(c.app("a")).Proposal.Moves)
}

// TestFastestHostNeedsNoPlan: an app on one host of the highest speed that is there is not planned for, whatever that speed is; a faster one that is lost changes nothing.
func TestFastestHostNeedsNoPlan(t *testing.T) {
	c := newCluster(t)
	c.level()
	c.declared("h1", 4, 0, 2)
	c.declared("h2", 4, 0, 1)
	c.declared("h3", 4, 0, 3)
	c.submit("a", &apiv1.AppSpec{Size: 2, MigrationCheckPeriod: 1})
	c.runs("a", "h1", "h1")
	require.False(t, Checker{View: c.m.View()}.bestAlready(c.app("a")))
	c.hostState("h3", fsm.Lost)
	require.True(t, Checker{View: c.m.View()}.bestAlready(c.app("a")))
	require.Empty(t, CheckMigrations(c.m.View(), []fsm.AppID{"a"}))
}

// TestOrdersAreBounded: a board keeps so many lists of hosts, and none that nobody asks for.
func TestOrdersAreBounded(t *testing.T) {
	c := newCluster(t)
	c.level()
	c.declared("h1", 4, 64*unit, 0)
	b := NewBoard()
	b.Reset(c.m.View())
	for i := range 2 * maxOrders {
		require.Equal(t, min(4, 64/(i+1)), b.order(int64(i+1)*unit).free)
		require.LessOrEqual(t, len(b.orders), maxOrders)
	}
	for range maxIdle {
		b.take("h1", 1, 0, nil)
		b.take("h1", -1, 0, nil)
	}
	require.Len(t, b.orders, 1)
}
