package replay

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/planner"
)

// TestBetterIsThePlanner: rooms says that a better placement is there exactly where the planner makes a plan.
func TestBetterIsThePlanner(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tr := &Trace{Hosts: rapid.IntRange(1, 6).Draw(t, "hosts"), Slots: rapid.IntRange(1, 6).Draw(t, "slots")}
		c, err := newCluster(tr, &agenda{})
		require.NoError(t, err)
		rules := Rules{Policy: planner.BinPack, Period: 1}
		var ids []fsm.AppID
		for i := range rapid.IntRange(1, 6).Draw(t, "apps") {
			id := fmt.Sprintf("a%d", i)
			var placement []string
			for range rapid.IntRange(1, 8).Draw(t, "size") {
				host := hostName(rapid.IntRange(0, tr.Hosts-1).Draw(t, "on"))
				if v := c.follow(); fsm.Free(hostOf(v, host)) > count(placement, host) {
					placement = append(placement, host)
				}
			}
			if len(placement) == 0 {
				continue
			}
			require.NoError(t, c.apply(
				&apiv1.Command{Op: &apiv1.Command_SubmitApp{SubmitApp: &apiv1.SubmitApp{Id: id, Spec: rules.spec(len(placement))}}},
				&apiv1.Command{Op: &apiv1.Command_PlaceApp{PlaceApp: &apiv1.PlaceApp{App: id, Placement: placement}}},
			))
			for _, s := range sharesOf(c.m.View(), fsm.AppID(id)) {
				require.NoError(t, c.apply(&apiv1.Command{Op: &apiv1.Command_HostStarted{HostStarted: &apiv1.HostStarted{App: id, Host: s.host, Epoch: 1}}}))
			}
			ids = append(ids, fsm.AppID(id))
		}
		if rapid.Bool().Draw(t, "evict") {
			require.NoError(t, c.apply(&apiv1.Command{Op: &apiv1.Command_SetHostWish{SetHostWish: &apiv1.SetHostWish{Host: hostName(0), Wish: string(fsm.Evicting)}}}))
		}
		v := c.follow()
		for _, id := range ids {
			shares := sharesOf(v, id)
			plans := planner.CheckMigrations(v, []fsm.AppID{id})
			require.Equal(t, len(plans) > 0, c.rooms.better(shares), shares)
			app, _ := v.App(id)
			few, err := planner.Decide(planner.Request{Kind: planner.KindMigrate, Hosts: c.rooms.matter(v, shares), Current: app.GetPlacement()})
			require.NoError(t, err)
			require.Equal(t, len(plans) > 0, len(few.Moves) > 0)
			for i, m := range few.Moves {
				all := plans[0].Moves[i]
				require.Equal(t, m, planner.Move{Rank: int(all.GetRank()), From: all.GetFrom(), To: all.GetTo()})
			}
		}
		total, empty := 0, 0
		for host := range v.Hosts() {
			if total += fsm.Free(host); fsm.TakesRanks(host) && host.GetUsed() == 0 {
				empty++
			}
		}
		require.Equal(t, total, c.rooms.total)
		require.Len(t, c.rooms.empty(tr.Slots), empty)
	})
}

func hostOf(v *fsm.View, name string) *apiv1.Host {
	host, _ := v.Host(fsm.HostID(name))
	return host
}

func count(placement []string, host string) (n int) {
	for _, h := range placement {
		if h == host {
			n++
		}
	}
	return n
}
