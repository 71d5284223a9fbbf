package planner

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// TestRanksWaitForMemory: with slots for more ranks than the servers have memory for, the others wait, and say so.
func TestRanksWaitForMemory(t *testing.T) {
	c := newCluster(t)
	c.do(&apiv1.Command{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: fsm.FeatureLevel}}})
	for i := range 4 {
		c.host(fmt.Sprintf("h%d", i), fsm.MaxSlots)
	}
	var waiting []fsm.AppID
	for i := 0; len(waiting) < 2; i++ {
		id := fmt.Sprintf("a%03d", i)
		c.submit(id, &apiv1.AppSpec{Size: fsm.MaxAppSize})
		b := NewBoard()
		b.Reset(c.m.View())
		next := b.Next(c.m.View(), 64)
		if len(next) == 0 {
			waiting = append(waiting, fsm.AppID(id))
			continue
		}
		require.Empty(t, waiting, "in order")
		require.Len(t, next, 1)
		c.do(&apiv1.Command{Op: &apiv1.Command_PlaceApp{PlaceApp: fsm.NewPlaceApp(fsm.AppID(id), next[0].Placement)}})
	}
	why := whyAllQueued(c.m.View())
	require.Equal(t, "waits for ranks of other apps to end: the servers have memory for no more", why[waiting[0]])
	require.Equal(t, fmt.Sprintf("waits behind app %s, which waits for ranks of other apps to end: the servers have memory for no more", waiting[0]), why[waiting[1]])

	first := slices.Collect(c.m.View().Placed())[0]
	c.do(&apiv1.Command{Op: &apiv1.Command_StopApp{StopApp: &apiv1.StopApp{App: first.Id, Phase: string(fsm.Cancelled)}}})
	for host := range c.m.View().HostsOf(fsm.AppID(first.Id)) {
		op := &apiv1.RanksEnded{App: first.Id, Host: string(host)}
		for r := range first.Size {
			op.Ranks = append(op.Ranks, &apiv1.EndedRank{Rank: r, Epoch: 1})
		}
		c.do(&apiv1.Command{Op: &apiv1.Command_RanksEnded{RanksEnded: op}})
	}
	b := NewBoard()
	b.Reset(c.m.View())
	require.Len(t, b.Next(c.m.View(), 64), 1)
	require.Equal(t, "about to be placed", whyAllQueued(c.m.View())[waiting[0]])
}
