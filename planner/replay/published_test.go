package replay

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/planner"
)

// TestPublished replays the traces of which figures are published. The seconds are a model's; what is held is what they are beside each other.
func TestPublished(t *testing.T) {
	t.Parallel()
	file, err := os.Open("testdata/granny.json")
	require.NoError(t, err)
	defer file.Close() //nolint:errcheck // read only
	traces, err := Read(file, "", Shape{})
	require.NoError(t, err)
	require.Len(t, traces, 4)
	for _, tr := range traces {
		spot := strings.Contains(tr.Name, "spot")
		report, err := Compare(tr, everyRule(t, spot)[:4], Config{Seed: 1, Spot: spot, StepCost: time.Second}, 4)
		require.NoError(t, err)
		batch, slurm, granny, godwit := report.Rows[0], report.Rows[1], report.Rows[2], report.Rows[3]
		if spot {
			require.InDelta(t, slurm.Published.SpotSlowdown, slurm.Spot.Mean, 0.5)
			require.InDelta(t, batch.Published.SpotSlowdown, batch.Spot.Mean, 0.8)
			require.InDelta(t, granny.Published.SpotSlowdown, granny.Spot.Mean, 0.1)
			require.InDelta(t, 1.22, godwit.Spot.Mean, 0.06)
			require.Zero(t, godwit.Restarts, "who leaves in time loses nothing")
			continue
		}
		for _, row := range report.Rows[:3] {
			require.InDelta(t, row.Published.Idle, row.Idle, 6, row.Scheduler)
			require.InDelta(t, row.Published.LinksToBatch, *row.LinksToBatch, 0.16, row.Scheduler)
		}
		require.InDelta(t, report.LeastLinkSeconds, batch.LinkSeconds, 1, "whole hosts are the best placement")
		require.Less(t, *granny.LinksToSlurm, 0.87)
		require.Less(t, *godwit.LinksToSlurm, 0.88)
		for _, other := range []float64{batch.Makespan, slurm.Makespan, granny.Makespan, granny.Published.Makespan} {
			require.Less(t, godwit.Makespan, other)
		}
	}
}

// TestWhatReachesTheGoals holds what the report says of rules that godwit does not have.
func TestWhatReachesTheGoals(t *testing.T) {
	t.Parallel()
	file, err := os.Open("testdata/granny.json")
	require.NoError(t, err)
	defer file.Close() //nolint:errcheck // read only
	traces, err := Read(file, "", Shape{})
	require.NoError(t, err)
	for _, tr := range traces {
		spot := strings.Contains(tr.Name, "spot")
		rules := rulesOf(t, Godwit, planner.BinPack, spot)
		rules.WhatIf = WhatIf{Reserve: 0.05, Snug: true}
		if spot {
			rules.WhatIf = WhatIf{Heed: 30 * time.Second}
		}
		report, err := Compare(tr, []Rules{rulesOf(t, Slurm, "", spot), rules}, Config{Seed: 1, Spot: spot, StepCost: time.Second}, 2)
		require.NoError(t, err)
		if spot {
			require.Less(t, report.Rows[1].Spot.Most, 1.2)
			continue
		}
		avoidable := func(row Row) float64 { return row.LinkSeconds - report.LeastLinkSeconds }
		require.Less(t, avoidable(report.Rows[1]), 0.1*avoidable(report.Rows[0]), "of what could be avoided")
	}
}
