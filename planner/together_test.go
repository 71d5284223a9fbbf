package planner

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// apart tells by trying all ways whether n ranks fit hosts with so much room, of which some have ranks already, with none alone.
func apart(own, room []int, n int) bool {
	if len(room) == 0 {
		return n == 0
	}
	for k := 0; k <= min(n, room[0]); k++ {
		if (k != 1 || own[0] > 0) && apart(own[1:], room[1:], n-k) {
			return true
		}
	}
	return false
}

// TestNeverAloneBesideBruteForce: where memory, or slots, do not let the last host have what is left over, never_alone finds a way to keep its word wherever there is one, and else says that there is none.
func TestNeverAloneBesideBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		req := drawRequest(t, rapid.SampledFrom([]string{KindNew, KindScale}).Draw(t, "kind"))
		req.Policy, req.Hint, req.within = BinPack, NeverAlone, !req.Oversubscribe
		req.Ranks = max(req.Ranks, 2)
		plan, err := Decide(req)
		require.NoError(t, err)
		var own, room []int
		for _, c := range candidates(req) {
			if c.Evicting {
				continue
			}
			own, room = append(own, c.own), append(room, c.room)
			if req.Oversubscribe {
				room[len(room)-1] = max(0, c.memory)
			}
		}
		for i, n := range room {
			room[i] = min(n, req.Ranks)
		}
		require.Equal(t, apart(own, room, req.Ranks), plan.Outcome == Placed, "%+v", plan)
		if plan.Outcome != Placed {
			return
		}
		n := count(plan.Placement)
		for _, c := range candidates(req) {
			require.NotEqual(t, 1, n[c.Name]*(c.own+n[c.Name]), "a rank is alone on %s", c.Name)
			require.LessOrEqual(t, n[c.Name], max(0, c.memory))
			if !req.Oversubscribe {
				require.LessOrEqual(t, n[c.Name], c.room)
			}
		}
	})
}

// TestNeverAloneIsPlaced: an app whose ranks would go beyond a host's slots is placed on others, rather than wait for ever.
func TestNeverAloneIsPlaced(t *testing.T) {
	req := Request{Kind: KindNew, Hint: NeverAlone, Ranks: 4, within: true}
	for i, slots := range []int{3, 2} {
		req.Hosts = append(req.Hosts, Host{Name: fmt.Sprintf("h%d", i), Slots: slots})
	}
	plan, err := Decide(req)
	require.NoError(t, err)
	require.Equal(t, []string{"h0", "h0", "h1", "h1"}, plan.Placement, "%+v", plan)
}
