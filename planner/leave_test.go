package planner

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// TestLeavingProperties: all plans of one view are accepted together; only ranks on hosts that are to be left move, to hosts that take ranks, within their slots; and what stays
// there finds no slot anywhere.
func TestLeavingProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCluster(t)
		n := rapid.IntRange(2, 6).Draw(t, "hosts")
		for i := range n {
			c.host(fmt.Sprintf("h%d", i), rapid.IntRange(0, 6).Draw(t, "slots"))
		}
		for i := range rapid.IntRange(1, 6).Draw(t, "apps") {
			id := fmt.Sprintf("a%d", i)
			c.submit(id, &apiv1.AppSpec{Size: int32(rapid.IntRange(1, 6).Draw(t, "size"))})
			if app, placement, _, ok := nextPlacement(c.m.View()); ok && app.GetId() == id {
				c.place(id, placement...)
				c.start(id)
				if app := c.app(id); app.GetSize() > 1 && rapid.Bool().Draw(t, "one has ended") {
					c.end(id, app.GetPlacement()[0], 0)
				}
			}
		}
		for i := range n {
			c.wish(fmt.Sprintf("h%d", i), rapid.SampledFrom([]fsm.Wish{fsm.Schedulable, fsm.Schedulable, fsm.Cordoned, fsm.Draining, fsm.Evicting}).Draw(t, "wish"))
		}
		v := c.m.View()
		toBeLeft := func(host string) bool { h, _ := v.Host(fsm.HostID(host)); return fsm.ToBeLeft(h) }
		leaving, free, stay := NewLeaving(v), 0, 0
		for host := range v.Hosts() {
			if fsm.TakesRanks(host) {
				free += fsm.Free(host)
			}
		}
		for app := range v.Placed() {
			d := leaving.Plan(app)
			require.Equal(t, d.Left > 0, d.Why != "")
			away := 0
			for _, r := range liveRanks(app) {
				if toBeLeft(app.GetPlacement()[r]) {
					away++
				}
			}
			require.Equal(t, away, len(d.Proposal.Moves)+d.Left)
			for _, m := range d.Proposal.Moves {
				require.True(t, toBeLeft(m.GetFrom()))
				require.False(t, toBeLeft(m.GetTo()))
			}
			free, stay = free-len(d.Proposal.Moves), stay+d.Left
			if len(d.Proposal.Moves) > 0 {
				r := c.propose("m-"+app.GetId(), d.Proposal)
				require.Empty(t, r.GetCode(), r.GetReason())
			}
		}
		require.GreaterOrEqual(t, free, 0)
		require.True(t, stay == 0 || free == 0, "%d stay, and %d slots are free", stay, free)
	})
}

// TestLeavingKeepsTogether: ranks that leave go where most of their app's are.
func TestLeavingKeepsTogether(t *testing.T) {
	c := newCluster(t)
	for i, slots := range []int{4, 3, 8, 8} {
		c.host(fmt.Sprintf("h%d", i), slots)
	}
	c.submit("a", &apiv1.AppSpec{Size: 4})
	c.place("a", "h0", "h0", "h1", "h2")
	c.start("a")
	c.wish("h0", fsm.Draining)
	d := NewLeaving(c.m.View()).Plan(c.app("a"))
	require.Equal(t, CauseDrain, d.Proposal.Cause)
	var to []string
	for _, m := range d.Proposal.Moves {
		to = append(to, m.GetTo())
	}
	require.Equal(t, []string{"h2", "h2"}, to, "of two with as many the larger")
	c.wish("h1", fsm.Evicting)
	d = NewLeaving(c.m.View()).Plan(c.app("a"))
	require.Equal(t, CauseEvict, d.Proposal.Cause)
	require.Len(t, d.Proposal.Moves, 3)
	require.False(t, slices.ContainsFunc(d.Proposal.Moves, func(m *apiv1.Move) bool { return m.GetTo() != "h2" }))

	c.submit("f", &apiv1.AppSpec{Size: 1, ModuleDigest: "fixed"})
	c.place("f", "h3")
	c.start("f")
	c.wish("h3", fsm.Draining)
	d = NewLeaving(c.m.View()).Plan(c.app("f"))
	require.Empty(t, d.Proposal.Moves)
	require.Equal(t, 1, d.Left)
	require.Contains(t, d.Why, "cannot be frozen; build it with godwit cc")
}

// TestLeavingSoonerFirst: where there is room for some, it is for those of the host that goes sooner.
func TestLeavingSoonerFirst(t *testing.T) {
	c := newCluster(t)
	for i, slots := range []int{3, 2, 4, 2} {
		c.host(fmt.Sprintf("h%d", i), slots)
	}
	c.submit("a", &apiv1.AppSpec{Size: 9})
	c.place("a", "h0", "h0", "h0", "h1", "h1", "h2", "h2", "h2", "h2")
	c.start("a")
	in := func(host string, wish fsm.Wish, ms int64) {
		c.do(&apiv1.Command{At: &timestamppb.Timestamp{Seconds: 100}, Op: &apiv1.Command_SetHostWish{SetHostWish: &apiv1.SetHostWish{Host: host, Wish: string(wish), InMs: ms}}})
	}
	in("h0", fsm.Evicting, 60_000)
	in("h1", fsm.Draining, 30_000)
	in("h2", fsm.Draining, 0)
	d := NewLeaving(c.m.View()).Plan(c.app("a"))
	require.Equal(t, 7, d.Left)
	require.True(t, d.Short)
	var from []string
	for _, m := range d.Proposal.Moves {
		from = append(from, m.GetFrom())
	}
	require.Equal(t, []string{"h1", "h1"}, from)
}

// TestLeavingDespiteImages: a checkpoint that is taken, and whose images are on their way, keeps no rank on a host that is to be left; one for which ranks stand still does.
func TestLeavingDespiteImages(t *testing.T) {
	c := newCluster(t)
	c.do(&apiv1.Command{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: fsm.FeatureLevel}}})
	c.host("h0", 2)
	c.host("h1", 2)
	c.submit("a", &apiv1.AppSpec{Size: 2})
	c.place("a", "h0", "h0")
	c.wish("h0", fsm.Draining)
	d := NewLeaving(c.m.View()).Plan(c.app("a"))
	require.Equal(t, 2, d.Left, "it begins")
	require.True(t, d.Fits)
	require.False(t, d.Short)
	c.start("a")
	c.do(&apiv1.Command{Op: &apiv1.Command_BeginCheckpoint{BeginCheckpoint: &apiv1.BeginCheckpoint{Id: "c1", App: "a", Epoch: 1, Cause: "period", Parts: []*apiv1.CheckpointPart{{Host: "h0", Second: "h1"}}}}})
	c.do(&apiv1.Command{Op: &apiv1.Command_AnnounceCheckpoint{AnnounceCheckpoint: &apiv1.AnnounceCheckpoint{Id: "c1"}}})
	d = NewLeaving(c.m.View()).Plan(c.app("a"))
	require.Contains(t, d.Why, "checkpoint c1 under way")
	require.Empty(t, d.Proposal.Moves)
	c.do(&apiv1.Command{Op: &apiv1.Command_TakeCheckpoint{TakeCheckpoint: &apiv1.TakeCheckpoint{Id: "c1", Parts: []*apiv1.CheckpointPart{{Host: "h0"}}}}})
	d = NewLeaving(c.m.View()).Plan(c.app("a"))
	require.Empty(t, d.Why)
	require.Len(t, d.Proposal.Moves, 2)
	require.Empty(t, c.propose("g", d.Proposal).GetCode())
	d = NewLeaving(c.m.View()).Plan(c.app("a"))
	require.Contains(t, d.Why, "migration g under way")
}

// TestWhoHasNoSlot: one rank has none, and several have none.
func TestWhoHasNoSlot(t *testing.T) {
	require.Equal(t, "the one rank has", ofRanks(1, 1)+" "+have(1))
	require.Equal(t, "1 of the 3 ranks has", ofRanks(1, 3)+" "+have(1))
	require.Equal(t, "all ranks have", ofRanks(2, 2)+" "+have(2))
}
