package fsm

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

func place(op *apiv1.PlaceApp) *apiv1.Command {
	return &apiv1.Command{Op: &apiv1.Command_PlaceApp{PlaceApp: op}}
}

// TestPlacementForms: both forms of a placement make the same app, and the shorter is chosen.
func TestPlacementForms(t *testing.T) {
	many := slices.Concat(slices.Repeat([]string{"h1"}, 600), slices.Repeat([]string{"h2"}, 400))
	for name, placement := range map[string][]string{
		"one": {"h1"}, "runs": {"h1", "h1", "h2", "h2", "h2", "h1", "h1"}, "mixed": {"h1", "h2", "h1", "h2"}, "many": many,
	} {
		t.Run(name, func(t *testing.T) {
			op := NewPlaceApp("a", placement)
			require.NoError(t, Check(place(op)))
			require.Equal(t, placement, placementOf(op))
			plain := &apiv1.PlaceApp{App: "a", Placement: placement}
			require.LessOrEqual(t, proto.Size(op), proto.Size(plain))
			var apps []*apiv1.App
			for _, op := range []*apiv1.PlaceApp{op, plain} {
				m := New()
				mustApply(t, m, "init c1", "module m", "host h1 1000 n1 i1", "host h2 1000 n2 i1", fmt.Sprintf("submit a m %d", len(placement)))
				results, err := applyEntry(m, m.View().Index()+1, &apiv1.Entry{Commands: []*apiv1.Command{place(op)}})
				require.NoError(t, err)
				require.Empty(t, results[0].GetCode(), results[0].GetReason())
				requireSound(t, m)
				app, _ := m.View().App("a")
				apps = append(apps, app)
			}
			require.True(t, proto.Equal(apps[0], apps[1]))
		})
	}
	require.Less(t, proto.Size(NewPlaceApp("a", many)), 32)
}

func TestRunsAreChecked(t *testing.T) {
	run := func(host string, ranks int32) *apiv1.PlaceRule { return &apiv1.PlaceRule{Host: host, Ranks: ranks} }
	for want, op := range map[string]*apiv1.PlaceApp{
		"runs: the placement is given as well":      {App: "a", Placement: []string{"h1"}, Runs: []*apiv1.PlaceRule{run("h1", 1)}},
		"runs.ranks: 0 ranks":                       {App: "a", Runs: []*apiv1.PlaceRule{run("h1", 0)}},
		"runs.ranks: -1 ranks":                      {App: "a", Runs: []*apiv1.PlaceRule{run("h1", 2), run("h1", -1)}},
		"runs.host":                                 {App: "a", Runs: []*apiv1.PlaceRule{run("../h", 1)}},
		fmt.Sprintf("runs: %d ranks", MaxAppSize+1): {App: "a", Runs: []*apiv1.PlaceRule{run("h1", MaxAppSize), run("h2", 1)}},
		"runs: 4294967294 ranks":                    {App: "a", Runs: []*apiv1.PlaceRule{run("h1", 1<<31-1), run("h2", 1<<31-1)}},
	} {
		err := Check(place(op))
		require.Error(t, err, want)
		require.True(t, strings.HasPrefix(err.Error(), want), "%v", err)
	}
	m := New()
	mustApply(t, m, "module m", "host h1 4 n1 i1", "submit a m 3")
	results, err := applyEntry(m, m.View().Index()+1, &apiv1.Entry{Commands: []*apiv1.Command{place(&apiv1.PlaceApp{App: "a", Runs: []*apiv1.PlaceRule{run("h1", 2)}})}})
	require.NoError(t, err)
	require.Equal(t, string(CodeInvalid), results[0].GetCode())
}
