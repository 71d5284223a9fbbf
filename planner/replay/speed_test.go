package replay

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/planner"
)

// TestSlowestHost: a job takes as long as on its slowest host, goes where that is fastest, and moves there when it becomes free.
func TestSlowestHost(t *testing.T) {
	trace := &Trace{
		Name: "speeds", Hosts: 2, Slots: 4, Speeds: []float64{1, 2},
		Jobs: []Job{{Ranks: 4, Alone: 100}, {Ranks: 4, Alone: 100}, {Submit: 200 * time.Second, Ranks: 8, Alone: 100}},
	}
	run := func(policy string, period time.Duration) *Result {
		rules, err := RulesOf(Godwit, policy, period, false)
		require.NoError(t, err)
		res, err := Run(trace, rules, Config{StepCost: time.Second})
		require.NoError(t, err)
		return res
	}
	// The first is on the fast host for 50 s. The second has done 50 of 100 s then, moves in 1 s, and takes 25 s for the rest. The third is as fast as its slowest.
	require.InDelta(t, 300, run(planner.BinPack, 0).Makespan, 0.01)
	require.Equal(t, 1, run(planner.BinPack, time.Second).Migrations)
}
