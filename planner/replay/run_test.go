package replay

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/planner"
)

func rulesOf(t *testing.T, name, policy string, spot bool) Rules {
	t.Helper()
	r, err := RulesOf(name, policy, time.Second, spot)
	require.NoError(t, err)
	return r
}

// everyRule are the schedulers and policies that there are.
func everyRule(t *testing.T, spot bool) (out []Rules) {
	t.Helper()
	for _, name := range []string{Batch, Slurm, Granny} {
		out = append(out, rulesOf(t, name, "", spot))
	}
	for _, policy := range []string{planner.BinPack, planner.Compact, planner.Spot} {
		out = append(out, rulesOf(t, Godwit, policy, spot))
	}
	return out
}

// TestTinyTrace is computed by hand: two hosts of 4 slots, and at once a job A of 2 ranks and 10 s, B of 2 ranks and 100 s, C of 4 ranks and 10 s,
// which is three times slower as 2+2.
func TestTinyTrace(t *testing.T) {
	t.Parallel()
	tr := &Trace{Name: "tiny", Hosts: 2, Slots: 4, Jobs: []Job{
		{Ranks: 2, Alone: 10, Penalty: 3}, {Ranks: 2, Alone: 100, Penalty: 3}, {Ranks: 4, Alone: 10, Penalty: 3},
	}}
	// A is on one host and B on the other. Slurm puts C on the rest of both: 30 s, with 4 links.
	spread := Result{
		Makespan: 100, LinkSeconds: 120, MeanLinks: 1.2, Idle: 100 * (1 - 340.0/800),
		Slowdown: Spread{Mean: 5.0 / 3, P95: 3},
	}
	// Batch has C wait for A.
	whole := Result{
		Makespan: 100, Idle: 100 * (1 - 260.0/800), Wait: Spread{Mean: 10.0 / 3, P95: 10},
		Slowdown: Spread{Mean: 4.0 / 3, P95: 2},
	}
	// Where C is moved it is so when A ends: it has done a third, stands still for a second, and takes two thirds of 10 s more.
	end := 11 + 20.0/3
	packed := Result{
		Makespan: 100, LinkSeconds: 44, MeanLinks: 0.44, Idle: 100 * (1 - (220+4*end)/800), Counts: Counts{Migrations: 1, Moves: 2},
		Slowdown: Spread{Mean: (2 + end/10) / 3, P95: end / 10},
	}
	for _, rules := range everyRule(t, false) {
		want := map[string]Result{Batch: whole, Slurm: spread, Granny: packed, "godwit/bin_pack": packed, "godwit/compact": spread, "godwit/spot": spread}[rules.Name()]
		got, err := Run(tr, rules, Config{StepCost: time.Second})
		require.NoError(t, err)
		require.Equal(t, rules.Name(), got.Scheduler)
		require.Equal(t, want.Counts, got.Counts, rules.Name())
		for name, pair := range map[string][2]float64{
			"makespan": {want.Makespan, got.Makespan}, "links": {want.LinkSeconds, got.LinkSeconds}, "mean": {want.MeanLinks, got.MeanLinks},
			"idle": {want.Idle, got.Idle}, "wait": {want.Wait.Mean, got.Wait.Mean}, "wait95": {want.Wait.P95, got.Wait.P95},
			"slowdown": {want.Slowdown.Mean, got.Slowdown.Mean}, "slowdown95": {want.Slowdown.P95, got.Slowdown.P95},
		} {
			require.InDelta(t, pair[0], pair[1], 0.002, "%s of %s", name, rules.Name())
		}
	}
}

// TestClosedLoop: a job is submitted a second after the one before it was placed, and waits for an end if it does not fit.
func TestClosedLoop(t *testing.T) {
	t.Parallel()
	tr := &Trace{Hosts: 1, Slots: 2, Closed: true, Jobs: []Job{{Ranks: 1, Alone: 10}, {Ranks: 1, Alone: 10}, {Ranks: 1, Alone: 5}, {Ranks: 2, Alone: 1}}}
	got, err := Run(tr, rulesOf(t, Slurm, "", false), Config{})
	require.NoError(t, err)
	// 0..10 and 1..11; the third is tried at 2 and waits until 10; the fourth is tried at 11, when one still runs, and has room at 15.
	require.InDelta(t, 16, got.Makespan, 1e-3)
	require.InDelta(t, (8.0+4)/4, got.Wait.Mean, 1e-3)
}

// TestReserve: granny admits nothing that would leave less than a twentieth of the slots free, but to an empty cluster.
func TestReserve(t *testing.T) {
	t.Parallel()
	tr := &Trace{Hosts: 2, Slots: 10, Jobs: []Job{{Ranks: 10, Alone: 10}, {Ranks: 10, Alone: 10}, {Ranks: 20, Alone: 10}}}
	for name, want := range map[string]float64{Slurm: 20, Granny: 30} {
		got, err := Run(tr, rulesOf(t, name, "", false), Config{})
		require.NoError(t, err)
		require.InDelta(t, want, got.Makespan, 1e-3, name)
	}
}

// TestSpot: hosts that fail end what is on them, where it does not leave; on a full cluster it can only be frozen.
func TestSpot(t *testing.T) {
	t.Parallel()
	half, full := &Trace{Hosts: 8, Slots: 2}, &Trace{Hosts: 8, Slots: 2}
	for i := range 16 {
		if full.Jobs = append(full.Jobs, Job{Ranks: 1, Alone: 250}); i%2 == 0 {
			half.Jobs = append(half.Jobs, Job{Ranks: 1, Alone: 250})
		}
	}
	for _, rules := range everyRule(t, true) {
		for seed := range uint64(2) {
			cfg := Config{Seed: seed, Spot: true, StepCost: time.Second}
			got, err := Run(half, rules, cfg)
			require.NoError(t, err)
			require.Equal(t, !rules.Leaves, got.Restarts > 0, rules.Name())
			require.Zero(t, got.Freezes, "there is room elsewhere")
			got, err = Run(full, rules, cfg)
			require.NoError(t, err)
			require.Equal(t, !rules.Leaves, got.Restarts > 0, rules.Name())
			require.Equal(t, rules.Leaves, got.Freezes > 0, rules.Name())
			require.Zero(t, got.Failed)
		}
	}
}

// TestFreeze is computed by hand: of four jobs on a full cluster one has notice at 60, is frozen from 90 to 91, waits until the others end at 110, stands
// still for another second, and has 20 s of its 110 to go.
func TestFreeze(t *testing.T) {
	t.Parallel()
	tr := &Trace{Hosts: 4, Slots: 1}
	for range 4 {
		tr.Jobs = append(tr.Jobs, Job{Ranks: 1, Alone: 110})
	}
	got, err := Run(tr, rulesOf(t, Godwit, planner.BinPack, true), Config{Spot: true, StepCost: time.Second})
	require.NoError(t, err)
	require.InDelta(t, 131, got.Makespan, 1e-3)
	require.Equal(t, Counts{Freezes: 1}, got.Counts)
}

// TestNeverEnds: jobs that always fail before their end are told of.
func TestNeverEnds(t *testing.T) {
	t.Parallel()
	tr := &Trace{Hosts: 4, Slots: 1, Jobs: []Job{{Ranks: 4, Alone: 1000}}}
	_, err := Run(tr, rulesOf(t, Slurm, "", true), Config{Spot: true})
	require.ErrorContains(t, err, "job j0000000 cannot run on hosts that fail so often")
}

// TestSameSeedSameBytes: a report is the same each time; another seed has other faults.
func TestSameSeedSameBytes(t *testing.T) {
	t.Parallel()
	g := Generator{Hosts: 12, Slots: 4, Jobs: 30, Ranks: 10, Load: 0.9, Mean: 60}
	tr, err := g.Trace(7, Shape{})
	require.NoError(t, err)
	report := func(seed uint64) string {
		r, err := Compare(tr, everyRule(t, true), Config{Seed: seed, Spot: true, StepCost: time.Second}, 2)
		require.NoError(t, err)
		b, err := json.Marshal(r)
		require.NoError(t, err)
		return string(b)
	}
	first := report(1)
	require.Equal(t, first, report(1))
	require.NotEqual(t, first, report(2))
}

// TestHeld: no more jobs are submitted than the state takes, and all are run in their order.
func TestHeld(t *testing.T) {
	t.Parallel()
	tr := &Trace{Hosts: 1, Slots: 1}
	for range 10 {
		tr.Jobs = append(tr.Jobs, Job{Ranks: 1, Alone: 1})
	}
	for most, held := range map[int]int{0: 0, 4: 6} {
		got, err := Run(tr, rulesOf(t, Slurm, "", false), Config{mostLive: most})
		require.NoError(t, err)
		require.Equal(t, held, got.Held)
		require.InDelta(t, 4.5, got.Wait.Mean, 1e-3, "from when they would have been submitted")
		require.InDelta(t, 10, got.Makespan, 1e-3)
	}
}

func TestRulesErrors(t *testing.T) {
	t.Parallel()
	_, err := RulesOf("fifo", "", 0, false)
	require.ErrorContains(t, err, `scheduler "fifo" is not one of batch, slurm, granny, godwit`)
	_, err = RulesOf(Godwit, "fastest", 0, false)
	require.ErrorContains(t, err, `policy: "fastest" is not one of`)
	_, err = RulesOf(Godwit, planner.MainFirst, 0, false)
	require.NoError(t, err, "running apps are looked at by bin_pack then")
}

// TestWhatIf: rules that godwit does not have.
func TestWhatIf(t *testing.T) {
	t.Parallel()
	tr := &Trace{Hosts: 2, Slots: 4, Jobs: []Job{{Ranks: 2, Alone: 10}, {Ranks: 2, Alone: 10}, {Ranks: 4, Alone: 10, Penalty: 3}}}
	rules := rulesOf(t, Godwit, planner.BinPack, false)
	rules.Period = 0
	for what, links := range map[WhatIf]float64{{}: 120, {Snug: true}: 0} { // the second job beside the first leaves a host to the third
		rules.WhatIf = what
		got, err := Run(tr, rules, Config{})
		require.NoError(t, err)
		require.InDelta(t, links, got.LinkSeconds, 1e-3)
	}
	rules.WhatIf = WhatIf{Reserve: 0.2, Snug: true} // one slot of eight: the third waits for the others
	got, err := Run(tr, rules, Config{})
	require.NoError(t, err)
	require.Equal(t, "godwit/bin_pack+reserve=0.2+snug", got.Scheduler)
	require.InDelta(t, 20, got.Makespan, 1e-3)

	full := &Trace{Hosts: 8, Slots: 2}
	for range 16 {
		full.Jobs = append(full.Jobs, Job{Ranks: 1, Alone: 250})
	}
	rules = rulesOf(t, Godwit, planner.BinPack, true)
	now, err := Run(full, rules, Config{Spot: true, StepCost: time.Second})
	require.NoError(t, err)
	rules.Heed = 10 * time.Second
	late, err := Run(full, rules, Config{Spot: true, StepCost: time.Second})
	require.NoError(t, err)
	require.Zero(t, late.Restarts, "ten seconds are enough")
	require.Less(t, late.Makespan, now.Makespan)
}

func TestParseWhatIf(t *testing.T) {
	t.Parallel()
	w, err := ParseWhatIf("reserve=0.05,snug,heed=30s")
	require.NoError(t, err)
	require.Equal(t, WhatIf{Reserve: 0.05, Snug: true, Heed: 30 * time.Second}, w)
	require.Equal(t, "+reserve=0.05+snug+heed=30s", w.words())
	for bad, want := range map[string]string{
		"luck": `"luck" is not one of reserve=SHARE, snug and heed=TIME`, "reserve=1": `reserve: "1" is no number from 0 to below 1`,
		"heed=2m": `heed: "2m" is no time above 0 s and up to 60 s`,
	} {
		_, err := ParseWhatIf(bad)
		require.ErrorContains(t, err, want)
	}
}

// TestStop: a run ends when it is told to.
func TestStop(t *testing.T) {
	t.Parallel()
	tr := &Trace{Hosts: 1, Slots: 1, Jobs: []Job{{Ranks: 1, Alone: 1}}}
	_, err := Run(tr, rulesOf(t, Slurm, "", false), Config{Stop: func() error { return context.Canceled }})
	require.ErrorIs(t, err, context.Canceled)
}

// TestFewHosts: a plan made of the hosts that matter, proposed one by one, is what one look at all hosts and jobs makes.
func TestFewHosts(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		g := Generator{Hosts: 30, Slots: 6, Jobs: 300, Ranks: 14, Load: 0.95, Mean: 60}
		tr, err := g.Trace(seed, Shape{})
		require.NoError(t, err)
		rules := rulesOf(t, Godwit, planner.BinPack, false)
		rules.Period = 7 * time.Second
		all, err := Run(tr, rules, Config{StepCost: time.Second, few: 30})
		require.NoError(t, err)
		some, err := Run(tr, rules, Config{StepCost: time.Second, few: 1})
		require.NoError(t, err)
		require.Positive(t, all.Migrations)
		require.Equal(t, all, some)
	}
}
