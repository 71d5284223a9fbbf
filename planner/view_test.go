package planner

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// cluster is a state machine that tests feed.
type cluster struct {
	t require.TestingT
	m *fsm.Machine
}

func newCluster(t require.TestingT) *cluster {
	c := &cluster{t: t, m: fsm.New()}
	c.do(&apiv1.Command{Op: &apiv1.Command_AddModule{AddModule: &apiv1.AddModule{Module: &apiv1.Module{Digest: "m", Migratable: true}}}})
	c.do(&apiv1.Command{Op: &apiv1.Command_AddModule{AddModule: &apiv1.AddModule{Module: &apiv1.Module{Digest: "fixed"}}}})
	return c
}

func (c *cluster) try(cmd *apiv1.Command) *apiv1.Result {
	data, err := fsm.Encode(&apiv1.Entry{Commands: []*apiv1.Command{cmd}})
	require.NoError(c.t, err)
	results, err := c.m.Apply(c.m.View().Index()+1, 1, data)
	require.NoError(c.t, err)
	return results[0]
}

func (c *cluster) do(cmd *apiv1.Command) {
	r := c.try(cmd)
	require.Empty(c.t, r.GetCode(), r.GetReason())
}

func (c *cluster) host(name string, slots int) {
	c.do(&apiv1.Command{Op: &apiv1.Command_RegisterHost{RegisterHost: &apiv1.RegisterHost{
		Host: &apiv1.Host{Id: name, Slots: int32(slots), NodeId: name, Incarnation: "1"},
	}}})
}

func (c *cluster) hostState(name string, state fsm.HostState) {
	c.do(&apiv1.Command{Op: &apiv1.Command_SetHostState{SetHostState: &apiv1.SetHostState{
		Host: name, Incarnation: "1", State: string(state),
	}}})
}

func (c *cluster) wish(name string, wish fsm.Wish) {
	c.do(&apiv1.Command{Op: &apiv1.Command_SetHostWish{SetHostWish: &apiv1.SetHostWish{Host: name, Wish: string(wish)}}})
}

func (c *cluster) submit(id string, spec *apiv1.AppSpec) {
	if spec.GetModuleDigest() == "" {
		spec.ModuleDigest = "m"
	}
	c.do(&apiv1.Command{Op: &apiv1.Command_SubmitApp{SubmitApp: &apiv1.SubmitApp{Id: id, Spec: spec}}})
}

func (c *cluster) place(id string, placement ...string) {
	c.do(&apiv1.Command{Op: &apiv1.Command_PlaceApp{PlaceApp: &apiv1.PlaceApp{App: id, Placement: placement}}})
}

func (c *cluster) start(id string) {
	for host := range c.m.View().Hosts() {
		c.try(&apiv1.Command{Op: &apiv1.Command_HostStarted{HostStarted: &apiv1.HostStarted{App: id, Host: host.GetId(), Epoch: 1}}})
	}
	require.Equal(c.t, fsm.Running, fsm.PhaseOf(c.app(id)))
}

func (c *cluster) end(id, host string, rank int32) {
	c.do(&apiv1.Command{Op: &apiv1.Command_RanksEnded{RanksEnded: &apiv1.RanksEnded{
		App: id, Host: host, Ranks: []*apiv1.EndedRank{{Rank: rank, Epoch: 1}},
	}}})
}

func (c *cluster) app(id string) *apiv1.App {
	app, ok := c.m.View().App(fsm.AppID(id))
	require.True(c.t, ok)
	return app
}

func (c *cluster) propose(id string, p Proposal) *apiv1.Result {
	return c.try(&apiv1.Command{Op: &apiv1.Command_ProposeMigration{ProposeMigration: &apiv1.ProposeMigration{
		Id: id, App: string(p.App), FromEpoch: p.FromEpoch, Moves: p.Moves, Cause: p.Cause,
	}}})
}

// whyAllQueued says of every queued app why.
func whyAllQueued(v *fsm.View) map[fsm.AppID]string {
	out, line := map[fsm.AppID]string{}, new(Lines).Of(v, nil)
	for app := range v.Queue() {
		out[fsm.AppID(app.GetId())] = line.Why(app)
	}
	return out
}

// nextPlacement is the next app to place, and why those that were looked at before it wait.
func nextPlacement(v *fsm.View) (app *apiv1.App, placement []string, waiting map[fsm.AppID]string, ok bool) {
	waiting = whyAllQueued(v)
	for id, why := range waiting {
		if strings.HasPrefix(why, "waits behind") || why == "about to be placed" {
			delete(waiting, id)
		}
	}
	next := nextOfAll(v, 1)
	if len(next) == 0 {
		return nil, nil, waiting, false
	}
	return next[0].App, next[0].Placement, waiting, true
}

// TestPlacementsTogether: several plans of one look can all be proposed, in any order.
func TestPlacementsTogether(t *testing.T) {
	c := newCluster(t)
	c.host("w1", 8)
	c.host("w2", 4)
	for i := range 7 {
		c.submit(fmt.Sprintf("a%d", i), &apiv1.AppSpec{Size: 2})
	}
	require.Len(t, nextOfAll(c.m.View(), 2), 2)
	next := nextOfAll(c.m.View(), 100)
	require.Len(t, next, 6, "the seventh does not fit behind the others")
	slices.Reverse(next)
	for _, n := range next {
		c.place(n.App.GetId(), n.Placement...)
	}
	require.Empty(t, nextOfAll(c.m.View(), 100))
}

func TestQueueGoesInOrder(t *testing.T) {
	c := newCluster(t)
	_, _, waiting, ok := nextPlacement(c.m.View())
	require.False(t, ok)
	require.Empty(t, waiting)

	c.submit("huge", &apiv1.AppSpec{Size: 40})
	c.submit("bad", &apiv1.AppSpec{Size: 1, Policy: "fastest"})
	c.submit("elsewhere", &apiv1.AppSpec{Size: 1, Place: []*apiv1.PlaceRule{{Host: "w9", Ranks: 1}}})
	c.submit("first", &apiv1.AppSpec{Size: 6})
	c.submit("second", &apiv1.AppSpec{Size: 8})
	c.submit("third", &apiv1.AppSpec{Size: 1})
	why := whyAllQueued(c.m.View())
	require.Equal(t, "needs 40 slots; the cluster has 0", why["huge"])
	c.host("w1", 8)
	c.host("w2", 4)

	app, placement, waiting, ok := nextPlacement(c.m.View())
	require.True(t, ok)
	require.Equal(t, "first", app.GetId())
	require.Equal(t, map[fsm.AppID]string{
		"huge":      "needs 40 slots; the cluster has 12",
		"bad":       `cannot be placed: policy: "fastest" is not one of ["bin_pack" "main_first" "compact" "spot" "empty_hosts" "traffic"], which new knows`,
		"elsewhere": "cannot be placed as asked for: w9 is not a host of this cluster; the hosts are w1, w2",
	}, waiting)
	c.place("first", placement...)

	// The next does not fit now: it holds up the one after it, which would.
	_, _, waiting, ok = nextPlacement(c.m.View())
	require.False(t, ok)
	require.Equal(t, "needs 8 slots; free: w1 2, w2 4", waiting["second"])
	require.NotContains(t, waiting, fsm.AppID("third"))
	require.Equal(t, "needs 8 slots; free: w1 2, w2 4", new(Lines).Of(c.m.View(), nil).Why(c.app("second")))
	require.Equal(t, "waits behind app second, which needs 8 slots; free: w1 2, w2 4", new(Lines).Of(c.m.View(), nil).Why(c.app("third")))
	require.Empty(t, new(Lines).Of(c.m.View(), nil).Why(c.app("first")))

	c.host("w3", 2)
	app, _, _, ok = nextPlacement(c.m.View())
	require.True(t, ok)
	require.Equal(t, "second", app.GetId())
	require.Equal(t, "about to be placed", new(Lines).Of(c.m.View(), nil).Why(c.app("second")))
	require.Equal(t, "waits behind app second, which is about to be placed", new(Lines).Of(c.m.View(), nil).Why(c.app("third")))
}

// TestNeverAloneWaits: what the hint would put beyond the slots goes to other hosts, or waits.
func TestNeverAloneWaits(t *testing.T) {
	c := newCluster(t)
	c.level()
	c.host("w1", 2)
	c.host("w2", 2)
	c.submit("three", &apiv1.AppSpec{Size: 3, Hint: NeverAlone})
	c.submit("over", &apiv1.AppSpec{Size: 3, Hint: NeverAlone, Oversubscribe: true})
	app, placement, waiting, ok := nextPlacement(c.m.View())
	require.True(t, ok)
	require.Equal(t, "does not fit the empty cluster: needs 3 slots; free: w1 2, w2 2 (never_alone: a rank would be alone, or without a slot)", waiting["three"])
	require.Equal(t, "over", app.GetId())
	c.place("over", placement...)
	c.host("w3", 4)
	c.host("w4", 3)
	c.submit("five", &apiv1.AppSpec{Size: 5, Hint: NeverAlone, Priority: 1})
	app, placement, _, ok = nextPlacement(c.m.View())
	require.True(t, ok)
	require.Equal(t, "five", app.GetId())
	require.Equal(t, []string{"w3", "w3", "w3", "w4", "w4"}, placement)
	c.place("five", placement...)
}

func TestDrainingHostsTakeNothing(t *testing.T) {
	c := newCluster(t)
	c.host("w1", 4)
	c.host("w2", 4)
	c.host("w3", 4)
	c.wish("w1", fsm.Draining)
	c.hostState("w2", fsm.Lost)
	c.submit("a", &apiv1.AppSpec{Size: 5})
	_, _, waiting, ok := nextPlacement(c.m.View())
	require.False(t, ok)
	require.Equal(t, "needs 5 slots; the cluster has 4", waiting["a"])
}

// all are the apps of a view, in no order that means something.
func all(v *fsm.View) []fsm.AppID {
	var out []fsm.AppID
	for app := range v.Apps() {
		out = append(out, fsm.AppID(app.GetId()))
	}
	slices.Reverse(out)
	return out
}

// TestCheckCountsEarlierPlans: two apps that both want the free host in one tick.
func TestCheckCountsEarlierPlans(t *testing.T) {
	c := newCluster(t)
	for _, w := range []string{"w1", "w2", "w3"} {
		c.host(w, 4)
	}
	for _, id := range []string{"b", "a"} {
		c.submit(id, &apiv1.AppSpec{Size: 4, MigrationCheckPeriod: 1})
		c.place(id, "w1", "w1", "w2", "w2")
		c.start(id)
	}
	proposals := CheckMigrations(c.m.View(), all(c.m.View()))
	require.Len(t, proposals, 1, "the second finds w3 taken, and w1 and w2 not free yet")
	p := proposals[0]
	require.Equal(t, fsm.AppID("b"), p.App, "in submission order")
	require.Equal(t, BinPack, p.Cause)
	require.Len(t, p.Moves, 4)
	require.Empty(t, c.propose("g1", p).GetCode())
	require.Empty(t, CheckMigrations(c.m.View(), all(c.m.View())))
	require.Empty(t, CheckMigrations(c.m.View(), []fsm.AppID{"b"}))
}

func TestCheckPassesOver(t *testing.T) {
	c := newCluster(t)
	c.host("w1", 9)
	c.host("w2", 9)
	spread := func(id string, spec *apiv1.AppSpec) {
		spec.Size = 2
		c.submit(id, spec)
		c.place(id, "w1", "w2")
	}
	spread("starting", &apiv1.AppSpec{MigrationCheckPeriod: 1})
	spread("off", &apiv1.AppSpec{})
	spread("fixed", &apiv1.AppSpec{MigrationCheckPeriod: 1, ModuleDigest: "fixed"})
	spread("stopping", &apiv1.AppSpec{MigrationCheckPeriod: 1})
	for _, id := range []string{"off", "fixed", "stopping"} {
		c.start(id)
	}
	c.do(&apiv1.Command{Op: &apiv1.Command_StopApp{StopApp: &apiv1.StopApp{App: "stopping", Phase: string(fsm.Cancelled)}}})
	require.Empty(t, CheckMigrations(c.m.View(), all(c.m.View())))
	c.start("starting")
	require.Len(t, CheckMigrations(c.m.View(), all(c.m.View())), 1)
	require.Empty(t, CheckMigrations(c.m.View(), nil))
}

// TestCheckMovesLiveRanksOnly: ranks that have ended neither move nor count.
func TestCheckMovesLiveRanksOnly(t *testing.T) {
	c := newCluster(t)
	c.host("w1", 2)
	c.host("w2", 4)
	c.submit("a", &apiv1.AppSpec{Size: 4, MigrationCheckPeriod: 1})
	c.place("a", "w1", "w1", "w2", "w2")
	c.start("a")
	c.end("a", "w1", 0)
	proposals := CheckMigrations(c.m.View(), all(c.m.View()))
	require.Len(t, proposals, 1)
	require.Len(t, proposals[0].Moves, 1)
	require.EqualValues(t, 1, proposals[0].Moves[0].GetRank())
	require.Equal(t, "w2", proposals[0].Moves[0].GetTo())
}

// TestCheckProposalsAreAccepted: on random clusters, the log accepts every
// proposal of a tick, in order.
func TestCheckProposalsAreAccepted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, uneven := newCluster(t), rapid.Bool().Draw(t, "uneven")
		c.level()
		hosts := rapid.IntRange(1, 4).Draw(t, "hosts")
		for i := range hosts {
			c.declared(fmt.Sprintf("w%d", i), rapid.IntRange(1, 8).Draw(t, "slots"), drawMemory(t, 8), drawSpeed(t, uneven))
		}
		for i := range rapid.IntRange(1, 6).Draw(t, "apps") {
			id := fmt.Sprintf("a%d", i)
			size := rapid.IntRange(1, 5).Draw(t, "size")
			c.submit(id, &apiv1.AppSpec{
				Size: int32(size), MigrationCheckPeriod: 1, Oversubscribe: rapid.IntRange(0, 4).Draw(t, "over") == 0, MemoryBytes: drawMemory(t, 2),
				Policy: rapid.SampledFrom([]string{"", MainFirst, Compact, Spot, EmptyHosts, Traffic}).Draw(t, "policy"), Tenant: rapid.SampledFrom([]string{"", "x"}).Draw(t, "tenant"),
			})
			var placement []string
			for range size {
				placement = append(placement, fmt.Sprintf("w%d", rapid.IntRange(0, hosts-1).Draw(t, "on")))
			}
			r := c.try(&apiv1.Command{Op: &apiv1.Command_PlaceApp{PlaceApp: &apiv1.PlaceApp{App: id, Placement: placement}}})
			if r.GetCode() == "" {
				c.start(id)
			}
		}
		if rapid.Bool().Draw(t, "drain") {
			c.wish("w0", fsm.Draining)
		}
		v, traffic := c.m.View(), map[fsm.AppID]*Matrix{}
		for app := range v.Placed() {
			traffic[fsm.AppID(app.GetId())] = drawTraffic(t, len(liveRanks(app)))
		}
		check := Checker{View: v, Traffic: func(id fsm.AppID) *Matrix { return traffic[id] }}
		proposals := check.Check(all(v))
		require.Equal(t, proposals, check.Check(all(v)), "the same view gives the same plans")
		for i, p := range proposals {
			r := c.propose(fmt.Sprintf("g%d", i), p)
			require.Empty(t, r.GetCode(), r.GetReason())
		}
		if app, placement, _, ok := nextPlacement(c.m.View()); ok {
			c.place(app.GetId(), placement...)
		}
		leaving := NewLeaving(c.m.View())
		for app := range leaving.view.Placed() {
			if d := leaving.Plan(app); len(d.Proposal.Moves) > 0 {
				r := c.propose("l-"+app.GetId(), d.Proposal)
				require.Empty(t, r.GetCode(), r.GetReason())
			}
		}
	})
}

func TestManualMove(t *testing.T) {
	c := newCluster(t)
	c.host("w1", 4)
	c.host("w2", 2)
	c.host("w3", 1)
	c.host("w4", 1)
	c.submit("a", &apiv1.AppSpec{Size: 3})
	c.submit("fixed", &apiv1.AppSpec{Size: 1, ModuleDigest: "fixed"})
	c.submit("queued", &apiv1.AppSpec{Size: 1})
	c.place("a", "w1", "w1", "w2")
	c.place("fixed", "w3")
	c.start("a")
	c.start("fixed")
	c.wish("w4", fsm.Draining)
	c.end("a", "w1", 1)
	for _, tt := range []struct {
		app   string
		ranks []int32
		to    fsm.HostID
		want  fsm.Code
	}{
		{"queued", []int32{0}, "w2", fsm.CodeWrongPhase},
		{"fixed", []int32{0}, "w2", fsm.CodeNotMigratable},
		{"a", []int32{3}, "w2", fsm.CodeInvalid},
		{"a", []int32{-1}, "w2", fsm.CodeInvalid},
		{"a", []int32{1}, "w2", fsm.CodeRankEnded},
		{"a", []int32{0}, "w9", fsm.CodeNotFound},
		{"a", []int32{0}, "w1", fsm.CodeInvalid},
		{"a", []int32{0}, "w3", fsm.CodeNotEnoughSlots},
		{"a", []int32{0}, "w4", fsm.CodeHostNotReady},
		{"a", []int32{0, 0}, "w2", fsm.CodeInvalid},
		{"a", []int32{0, 2}, "w2", fsm.CodeInvalid},
		{"a", []int32{0, 2}, "w3", fsm.CodeNotEnoughSlots},
	} {
		_, err := ManualMove(c.m.View(), c.app(tt.app), tt.ranks, tt.to)
		var refused *RefusedError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, tt.want, refused.Code, err)
		if tt.to == "w9" {
			require.Equal(t, "w9 is not a host of this cluster; the hosts are w1, w2, w3, w4", refused.Reason)
		}
	}
	c.host("w5", 2)
	p, err := ManualMove(c.m.View(), c.app("a"), []int32{0, 2}, "w5")
	require.NoError(t, err)
	require.Len(t, p.Moves, 2)
	require.Equal(t, "w2", p.Moves[1].From)
	_, err = ManualMove(c.m.View(), c.app("a"), []int32{0, 1, 2}, "w5")
	require.Error(t, err)
	p, err = ManualMove(c.m.View(), c.app("a"), []int32{0}, "w2")
	require.NoError(t, err)
	require.Equal(t, CauseManual, p.Cause)
	require.Empty(t, c.propose("g1", p).GetCode())
	_, err = ManualMove(c.m.View(), c.app("a"), []int32{2}, "w1")
	var refused *RefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, fsm.CodeMigrationPending, refused.Code)
}

// TestRunsAgainAnywhere: an app that has lost a host goes to whatever hosts there are, whichever it has named.
func TestRunsAgainAnywhere(t *testing.T) {
	t.Parallel()
	app := &apiv1.App{Id: "a", Size: 2, Spec: &apiv1.AppSpec{Size: 2, Place: []*apiv1.PlaceRule{{Host: "gone", Ranks: 2}}}}
	hosts := []Host{{Name: "h1", Slots: 2}}
	plan, err := placeApp(app, hosts, "")
	require.NoError(t, err)
	require.NotEqual(t, Placed, plan.Outcome)
	app.Restored = 1
	plan, err = placeApp(app, hosts, "")
	require.NoError(t, err)
	require.Equal(t, []string{"h1", "h1"}, plan.Placement)
	app.Spec = &apiv1.AppSpec{Size: 2, Policy: "main_first", MainHost: "gone"}
	plan, err = placeApp(app, hosts, "")
	require.NoError(t, err)
	require.Equal(t, []string{"h1", "h1"}, plan.Placement)
}

// TestCheckpointIsAway: an app whose checkpoint is on hosts that are away is passed over, and says so, until one of them is back.
func TestCheckpointIsAway(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.do(&apiv1.Command{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: fsm.FeatureLevel}}})
	for _, h := range []string{"h1", "h2", "h3"} {
		c.host(h, 2)
	}
	c.submit("a", &apiv1.AppSpec{Size: 2})
	c.place("a", "h1", "h2")
	c.start("a")
	holders := []*apiv1.CheckpointPart{{Host: "h1", Second: "h2"}, {Host: "h2", Second: "h1"}}
	c.do(&apiv1.Command{Op: &apiv1.Command_BeginCheckpoint{BeginCheckpoint: &apiv1.BeginCheckpoint{Id: "k", App: "a", Epoch: 1, Parts: holders}}})
	c.do(&apiv1.Command{Op: &apiv1.Command_AnnounceCheckpoint{AnnounceCheckpoint: &apiv1.AnnounceCheckpoint{Id: "k"}}})
	c.do(&apiv1.Command{Op: &apiv1.Command_TakeCheckpoint{TakeCheckpoint: &apiv1.TakeCheckpoint{Id: "k"}}})
	var made []*apiv1.CheckpointPart
	for _, p := range holders {
		digest := sha256.Sum256([]byte(p.Host))
		made = append(made, &apiv1.CheckpointPart{Host: p.Host, Second: p.Second, Digest: digest[:], Bytes: 1})
	}
	c.do(&apiv1.Command{Op: &apiv1.Command_CompleteCheckpoint{CompleteCheckpoint: &apiv1.CompleteCheckpoint{Id: "k", Parts: made}}})
	c.hostState("h1", fsm.Lost)
	c.hostState("h2", fsm.Lost)
	c.submit("b", &apiv1.AppSpec{Size: 1})
	c.submit("wants-hints", &apiv1.AppSpec{Size: 1, Policy: MainFirst})

	app, placement, waiting, ok := nextPlacement(c.m.View())
	require.True(t, ok)
	require.Equal(t, "b", app.GetId())
	require.Equal(t, []string{"h3"}, placement)
	require.Contains(t, waiting["a"], "waits for host h1 or h2 to be back")
	require.Len(t, nextOfAll(c.m.View(), 3), 2)
	board := NewBoard()
	board.Reset(c.m.View())
	next := board.Next(c.m.View(), 3)
	require.Len(t, next, 2)
	require.Equal(t, "b", next[0].App.GetId())

	c.do(&apiv1.Command{Op: &apiv1.Command_RegisterHost{RegisterHost: &apiv1.RegisterHost{Host: &apiv1.Host{Id: "h2", Slots: 2, NodeId: "h2", Incarnation: "2"}}}})
	app, _, _, ok = nextPlacement(c.m.View())
	require.True(t, ok)
	require.Equal(t, "a", app.GetId())
}

// TestCheckByPolicy: an app is looked at by the policy that it has asked for, also on one host where that may gain something.
func TestCheckByPolicy(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.host("h1", 4)
	c.host("h2", 4)
	for id, policy := range map[string]string{"a": Compact, "b": BinPack, "s": Spot} {
		c.submit(id, &apiv1.AppSpec{Size: 1, MigrationCheckPeriod: 1, Policy: policy})
	}
	c.place("a", "h1")
	c.place("b", "h2")
	c.place("s", "h2")
	for _, id := range []string{"a", "b", "s"} {
		c.start(id)
	}
	ps := CheckMigrations(c.m.View(), []fsm.AppID{"a", "b", "s"})
	require.Len(t, ps, 1)
	require.Equal(t, Compact, ps[0].Cause)
	require.EqualValues(t, "a", ps[0].App)
	require.Equal(t, "h2", ps[0].Moves[0].GetTo(), "which leaves h1 wholly free")
}
