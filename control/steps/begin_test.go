package steps

import (
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// TestSecondHosts: another of the app's, if there is one, the same as before, if it is there; any other of the cluster if not.
func TestSecondHosts(t *testing.T) {
	v := newSaving(t).view()
	alone := &apiv1.App{Id: "b", Placement: []string{"h3", "h3"}}
	parts := seconds(v, alone, 0)
	require.Len(t, parts, 1)
	require.Contains(t, []string{"h1", "h2"}, parts[0].Second)
	require.Equal(t, parts, seconds(v, alone, 0), "it is the same each time")
	three := &apiv1.App{Id: "c", Placement: []string{"h2", "h1", "h3"}}
	for i, p := range seconds(v, three, 0) {
		require.Equal(t, []string{"h2", "h3", "h1"}[i], p.Second)
	}
	require.Empty(t, seconds(fsm.New().View(), alone, 0)[0].Second, "there is nobody else")
}

// TestOpening: a new session hears of apps that have ranks on its host, of those that it has reported, and of those that are just being saved of which only ranks that have ended are there.
func TestOpening(t *testing.T) {
	s := newStage(t)
	s.newest()
	s.host("h1", 4)
	s.host("h2", 4)
	s.run("h1", "h2")
	heard := func(host fsm.HostID, reported ...string) (ids []string) {
		for _, rec := range Opening(s.view(), host, reported, 7) {
			ids = append(ids, rec.App.Id)
		}
		return ids
	}
	require.Equal(t, []string{"a"}, heard("h2"))
	s.apply(&apiv1.Command{Op: &apiv1.Command_RanksEnded{RanksEnded: &apiv1.RanksEnded{App: "a", Host: "h2", Ranks: []*apiv1.EndedRank{{Rank: 1, Epoch: 1}}}}})
	require.Empty(t, heard("h2"))
	require.Equal(t, []string{"a", "b"}, heard("h2", "a", "b"))
	s.take(BeginCheckpoint(s.view(), s.app(), "c1", CauseAsked, apiv1.AfterCheckpoint_AFTER_CHECKPOINT_UNSPECIFIED))
	require.Equal(t, []string{"a"}, heard("h2"))
	require.Equal(t, []string{"a"}, heard("h2", "a"))
}
