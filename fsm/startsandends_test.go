package fsm

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestStartAndEndTogether: a report of ends that says of the start leaves what two commands leave, one after the other.
func TestStartAndEndTogether(t *testing.T) {
	ends := func(code int32) *apiv1.RanksEnded {
		return &apiv1.RanksEnded{App: "a", Host: "h1", Ranks: []*apiv1.EndedRank{{Rank: 0, Epoch: 1, ExitCode: code}}}
	}
	run := func(t *testing.T, hosts []string, cmds ...*apiv1.Command) *apiv1.App {
		t.Helper()
		m := New()
		all := []*apiv1.Command{
			{Op: &apiv1.Command_InitCluster{InitCluster: &apiv1.InitCluster{ClusterId: "c"}}},
			{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: FeatureLevel}}},
			{Op: &apiv1.Command_AddModule{AddModule: &apiv1.AddModule{Module: &apiv1.Module{Digest: "m"}}}},
		}
		for _, h := range hosts {
			all = append(all, &apiv1.Command{Op: &apiv1.Command_RegisterHost{RegisterHost: &apiv1.RegisterHost{Host: &apiv1.Host{Id: h, NodeId: h, Incarnation: "i", Addr: h, Slots: 4}}}})
		}
		all = append(all,
			&apiv1.Command{Op: &apiv1.Command_SubmitApp{SubmitApp: &apiv1.SubmitApp{Id: "a", Spec: &apiv1.AppSpec{Name: "a", ModuleDigest: "m", Size: int32(len(hosts))}}}},
			&apiv1.Command{Op: &apiv1.Command_PlaceApp{PlaceApp: &apiv1.PlaceApp{App: "a", Placement: hosts}}})
		for _, cmd := range append(all, cmds...) {
			must(t, m, cmd)
		}
		app, ok := m.View().App("a")
		require.True(t, ok)
		return proto.CloneOf(app)
	}
	for _, hosts := range [][]string{{"h1"}, {"h1", "h2"}} {
		for _, code := range []int32{0, 3} {
			apart := run(t, hosts, &apiv1.Command{Op: &apiv1.Command_HostStarted{HostStarted: &apiv1.HostStarted{App: "a", Host: "h1", Epoch: 1}}},
				&apiv1.Command{Op: &apiv1.Command_RanksEnded{RanksEnded: ends(code)}})
			both := ends(code)
			both.StartedEpoch = 1
			together := run(t, hosts, &apiv1.Command{Op: &apiv1.Command_RanksEnded{RanksEnded: both}})
			together.EndedIndex = apart.EndedIndex // one entry sooner
			require.True(t, proto.Equal(apart, together), "%v\n%v", apart, together)
			require.Equal(t, []string{"h1"}, together.StartedHosts)
		}
	}
}

// TestStartIsSaidOnce: of a report that takes several commands the first says of the start.
func TestStartIsSaidOnce(t *testing.T) {
	op := &apiv1.RanksEnded{App: "a", Host: "h1", StartedEpoch: 7}
	for r := range int32(MaxAppSize) {
		op.Ranks = append(op.Ranks, &apiv1.EndedRank{Rank: r, Epoch: 7, Reason: "a reason of some length, so that it takes several commands"})
	}
	parts := SplitRanksEnded(op)
	require.Greater(t, len(parts), 1)
	for i, part := range parts {
		require.Equal(t, i == 0, part.StartedEpoch == 7)
		require.Equal(t, i != 0, part.StartedEpoch == 0)
	}
}
