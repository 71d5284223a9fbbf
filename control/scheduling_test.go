package control

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/planner"
)

// scheduling is a bench whose feature level has all that bears on scheduling.
func scheduling(t *testing.T) *bench {
	b := newBench(t, nil)
	b.propose(&apiv1.Command{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: fsm.FeatureLevel}}})
	return b
}

// starts has a host's executor run what it has of an app, since some time.
func (b *bench) starts(app, host string, ago time.Duration) {
	b.t.Helper()
	cmd := &apiv1.Command{At: timestamppb.New(time.Now().Add(-ago)), Op: &apiv1.Command_HostStarted{HostStarted: &apiv1.HostStarted{App: app, Host: host, Epoch: b.app(app).Epoch}}}
	res, err := b.log.Propose(b.ctx, cmd)
	require.NoError(b.t, err)
	require.Empty(b.t, res.Code, res.Reason)
}

// TestTimeIsOver: an app that has run for as long as it may is ended, for good; others are not.
func TestTimeIsOver(t *testing.T) {
	b := scheduling(t)
	b.host("h1", 4)
	b.submit("over", &apiv1.AppSpec{Size: 1, TimeLimitMs: 60_000, Restarts: 3})
	b.submit("not-yet", &apiv1.AppSpec{Size: 1, TimeLimitMs: 3_600_000})
	b.submit("forever", &apiv1.AppSpec{Size: 1})
	b.submit("starting", &apiv1.AppSpec{Size: 1, TimeLimitMs: 1})
	b.place()
	for _, id := range []string{"over", "not-yet", "forever"} {
		b.starts(id, "h1", 2*time.Minute)
	}
	keep := b.l.timekeeper()
	keep(b.ctx)
	keep(b.ctx)
	require.Equal(t, []string{"failed", "it has run for 1m0s, its time limit"}, []string{b.app("over").Verdict, b.app("over").Reason})
	require.EqualValues(t, fsm.ExitTimeLimit, b.app("over").ExitCode)
	for _, id := range []string{"not-yet", "forever", "starting"} {
		require.Empty(t, b.app(id).Verdict, id)
	}
	b.report("h1", &apiv1.AppStatus{App: "over", Ranks: []*apiv1.RankStatus{{Rank: 0, Epoch: 1, State: "ended", ExitCode: 143}}})
	b.l.takeReports(b.ctx)
	require.Equal(t, "failed", b.app("over").Phase, "it has restarts, and no time")
}

// TestPlacedAhead: the leader places apps ahead of a head that has to wait, and looks again when something has changed.
func TestPlacedAhead(t *testing.T) {
	b := scheduling(t)
	place := b.l.placer()
	b.host("h1", 4)
	b.submit("runs", &apiv1.AppSpec{Size: 3, TimeLimitMs: 600_000})
	place(b.ctx)
	b.starts("runs", "h1", 0)
	b.submit("head", &apiv1.AppSpec{Size: 4})
	b.submit("long", &apiv1.AppSpec{Size: 1})
	place(b.ctx)
	require.Equal(t, "queued queued", b.app("head").Phase+" "+b.app("long").Phase)
	b.submit("short", &apiv1.AppSpec{Size: 1, TimeLimitMs: 60_000})
	require.Eventually(t, func() bool { place(b.ctx); return b.app("short").Phase == "starting" }, 5*time.Second, time.Millisecond, "also when the look before was a moment ago")
	require.Equal(t, "queued queued", b.app("head").Phase+" "+b.app("long").Phase)
}

// TestRulesOfTheCluster: the rules are set field by field, for tenants too, and told.
func TestRulesOfTheCluster(t *testing.T) {
	b := scheduling(t)
	c := b.l.c
	_, err := c.SetScheduling(b.ctx, &apiv1.SetSchedulingRequest{Scheduling: &apiv1.Scheduling{Policy: planner.Spot, CoolDownMs: 5}, Fields: []string{"policy"}})
	require.NoError(t, err)
	res, err := c.SetScheduling(b.ctx, &apiv1.SetSchedulingRequest{Scheduling: &apiv1.Scheduling{CoolDownMs: 7000}, Fields: []string{"cool_down_ms"}})
	require.NoError(t, err)
	require.Equal(t, "spot", res.Scheduling.Policy)
	require.EqualValues(t, 7000, res.Scheduling.CoolDownMs)
	_, err = c.SetScheduling(b.ctx, &apiv1.SetSchedulingRequest{Scheduling: &apiv1.Scheduling{Policy: "main_first"}})
	require.ErrorContains(t, err, "scheduling.policy")
	_, err = c.SetScheduling(b.ctx, &apiv1.SetSchedulingRequest{Scheduling: &apiv1.Scheduling{}, Fields: []string{"speed"}})
	require.ErrorContains(t, err, `"speed" is no field`)

	b.host("h1", 4)
	_, err = c.SetTenant(b.ctx, &apiv1.SetTenantRequest{Tenant: &apiv1.Tenant{Name: "t", Slots: 2}})
	require.NoError(t, err)
	_, err = c.SetTenant(b.ctx, &apiv1.SetTenantRequest{Tenant: &apiv1.Tenant{Name: "t", Shares: 3}, Fields: []string{"shares"}})
	require.NoError(t, err)
	require.EqualValues(t, 2, b.l.c.state.View().Tenant("t").Slots, "what is not named stays")
	b.submit("a", &apiv1.AppSpec{Size: 2, Tenant: "t"})
	b.submit("b", &apiv1.AppSpec{Size: 1, Tenant: "t"})
	b.submit("c", &apiv1.AppSpec{Size: 1, Tenant: "u"})
	place := b.l.placer()
	place(b.ctx)
	require.Equal(t, "starting queued starting", b.app("a").Phase+" "+b.app("b").Phase+" "+b.app("c").Phase)
	got, err := c.GetScheduling(b.ctx, &apiv1.GetSchedulingRequest{})
	require.NoError(t, err)
	require.Len(t, got.Tenants, 2)
	require.EqualValues(t, 2, got.Tenants[0].Used)
	require.Equal(t, "u", got.Tenants[1].Tenant.Name)
	x, err := c.Explain(b.ctx, &apiv1.ExplainRequest{App: "b"})
	require.NoError(t, err)
	require.Equal(t, "needs 1 slot; tenant t has 2 of its 2", x.Verdict)
	_, err = c.SetTenant(b.ctx, &apiv1.SetTenantRequest{Tenant: &apiv1.Tenant{Name: "t"}, Remove: true})
	require.NoError(t, err)
	place(b.ctx)
	require.Equal(t, "starting", b.app("b").Phase, "a change of the rules is a look")
	_, err = c.SetTenant(b.ctx, &apiv1.SetTenantRequest{Tenant: &apiv1.Tenant{Name: "t"}, Remove: true})
	require.ErrorContains(t, err, "nothing is said of tenant t")
}

// TestCandidates: what is told of apps that have opted in is what the checker does.
func TestCandidates(t *testing.T) {
	b := newBench(t, nil)
	b.running()
	res, err := b.l.c.ListCandidates(b.ctx, &apiv1.ListCandidatesRequest{})
	require.NoError(t, err)
	require.Len(t, res.Candidates, 1)
	want := b.l.c.checkerOf(b.l.c.state.View()).Check([]fsm.AppID{"a"})
	require.Len(t, want, 1)
	require.Len(t, res.Candidates[0].Moves, len(want[0].Moves))
	for i, m := range want[0].Moves {
		require.True(t, proto.Equal(m, res.Candidates[0].Moves[i]))
	}
	x, err := b.l.c.Explain(b.ctx, &apiv1.ExplainRequest{App: "a"})
	require.NoError(t, err)
	require.Equal(t, "2 of its ranks are to move at the next look of bin_pack", x.Verdict)
	require.Len(t, x.Hosts, 2)
}

// TestLabelsAreTakenAgain: a worker that comes back with other labels, as the same incarnation, has them.
func TestLabelsAreTakenAgain(t *testing.T) {
	b := scheduling(t)
	host := func(zone string) *apiv1.Host {
		return &apiv1.Host{Id: "h1", Name: "h1", Addr: "h1:1", Slots: 4, Incarnation: "i", NodeId: "n", Labels: map[string]string{"zone": zone}}
	}
	require.NoError(t, b.register(host("a"), nil))
	require.NoError(t, b.register(host("b"), nil))
	h, _ := b.l.c.state.View().Host("h1")
	require.Equal(t, "b", h.Labels["zone"])
	index := b.log.index
	require.NoError(t, b.register(host("b"), nil))
	require.Equal(t, index, b.log.index, "the same costs no entry")
}
