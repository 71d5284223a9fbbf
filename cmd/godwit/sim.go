package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/godwit-run/godwit/internal/durable"
	"github.com/godwit-run/godwit/planner"
	"github.com/godwit-run/godwit/planner/replay"
)

// simFlags say what is replayed, and how.
type simFlags struct {
	file, generate, name, format, workload, svg, whatIf string
	hosts, slots, runs                                  int
	penalty                                             float64
	schedulers, policies                                []string
	speeds                                              []float64
	period, cost                                        time.Duration
	seed                                                uint64
	spot                                                bool
}

// simGCPercent has the collector run less often than it does by itself: the state is large, and what is thrown away is small.
const simGCPercent = 200

const simLong = `Replay a trace of jobs in virtual time, with the very planner and state machine of the leader, and measure what comes of it under several schedulers.

FILE (- for standard input, packed by gzip or not) has job sizes in the form of the Granny paper's traces, or is a log in the Standard Workload Format.
batch gives jobs whole hosts. slurm fills the hosts with most free slots. granny does too, keeps 5 % of the slots free and moves running jobs.
godwit is a line for each of the policies. All place strictly in order of submission. How long a job takes follows where its ranks are, at every moment.
Links are pairs of ranks of a job that are on different hosts; /SLURM and /BATCH are their integral over time beside that of these. Times are in seconds.`

func newSim(o *options) *cobra.Command {
	f := &simFlags{}
	c := &cobra.Command{
		Use: "sim --trace FILE", Short: "Replay a trace of jobs under several schedulers, offline", Args: cobra.NoArgs, Long: simLong,
		Example: `  godwit sim --trace granny.json --name mpi-locality_25 --svg chart.svg
  godwit sim --trace granny.json --name mpi-spot_50 --spot --runs 10
  godwit sim --trace log.swf.gz --hosts 128 --slots 8 --scheduler slurm,godwit --policy bin_pack
  godwit sim --generate hosts=10000,jobs=100000 --scheduler slurm,godwit --period 30s -o json`,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.checkOutput(); err != nil {
				return err
			}
			return f.run(c.Context(), o, c.Flags().Changed("penalty"))
		},
	}
	d := replay.DefaultGenerator()
	fl := c.Flags()
	fl.StringVar(&f.file, "trace", "", "the trace to replay (this or --generate)")
	fl.StringVar(&f.generate, "generate", "", fmt.Sprintf("make a trace by --seed instead: hosts=%d,slots=%d,jobs=%d,ranks=%d (of the largest job),load=%g (share of all slots),mean=%g (s); what is left out is as here",
		d.Hosts, d.Slots, d.Jobs, d.Ranks, d.Load, d.Mean))
	fl.StringVar(&f.name, "name", "", "of the traces in FILE, this one (default: all)")
	fl.StringVar(&f.format, "format", "", "granny or swf (default: guessed)")
	fl.StringVar(&f.workload, "workload", "", "what jobs do of which only sizes are known: locality or compute (default: by the trace's name)")
	fl.IntVar(&f.hosts, "hosts", 0, "hosts of the cluster (default: as the trace says)")
	fl.IntVar(&f.slots, "slots", 0, "slots of each host (default: as the trace says)")
	fl.Float64SliceVar(&f.speeds, "speeds", nil, "speeds of the hosts, in turn, such as 1,1,2: a job is as fast as its slowest host (default: all 1)")
	fl.Float64Var(&f.penalty, "penalty", 0, "how much longer a job takes of which the trace has the time, with each rank on a host of its own, as a share (default: 1.295, as measured of the locality workload)")
	fl.StringSliceVar(&f.schedulers, "scheduler", []string{replay.Batch, replay.Slurm, replay.Granny, replay.Godwit}, "schedulers to compare")
	fl.StringSliceVar(&f.policies, "policy", []string{planner.BinPack, planner.Compact, planner.Spot}, "godwit's policies to compare")
	fl.StringVar(&f.whatIf, "what-if", "", "replay godwit as well with rules that it does not have: reserve=SHARE of the slots that is kept free, snug (a job's last host is the fullest with room for the rest), heed=TIME before its end at which a notice is heeded; commas between")
	fl.DurationVar(&f.period, "period", time.Second, "how often godwit looks whether running jobs should move; 0: never")
	fl.DurationVar(&f.cost, "cost", time.Second, "how long a job stands still for a migration, for being frozen and for being thawed")
	fl.Uint64Var(&f.seed, "seed", 1, "of what is random: generated traces, and which hosts fail")
	fl.BoolVar(&f.spot, "spot", false, "each minute a quarter of the hosts has notice that it restarts in a minute")
	fl.IntVar(&f.runs, "runs", 1, "with --spot, the mean of so many seeds")
	fl.StringVar(&f.svg, "svg", "", "draw slots and links over time into this file (one trace)")
	return o.outputFlag(c)
}

func (f *simFlags) run(ctx context.Context, o *options, penalty bool) error {
	rules, err := f.rules()
	if err != nil {
		return err
	}
	traces, err := f.traces(penalty)
	if err != nil {
		return err
	}
	for _, t := range traces {
		t.Speeds = f.speeds
	}
	debug.SetGCPercent(simGCPercent)
	var reports []*replay.Report
	for _, t := range traces {
		r, err := replay.Compare(t, rules, replay.Config{Seed: f.seed, Spot: f.spot, StepCost: f.cost, Stop: ctx.Err}, f.runs)
		if err != nil {
			return fmt.Errorf("replay %s: %w", t.Name, err)
		}
		reports = append(reports, r)
	}
	if f.svg != "" {
		var b bytes.Buffer
		if err := reports[0].WriteSVG(&b); err != nil {
			return err
		}
		if err := durable.WriteFile(f.svg, b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	if o.output == "json" {
		return printJSON(os.Stdout, reports)
	}
	for i, r := range reports {
		if err := printReport(r, i > 0); err != nil {
			return err
		}
	}
	return nil
}

func printReport(r *replay.Report, below bool) error {
	title := r.Title() + "\n"
	if below {
		title = "\n" + title
	}
	if err := printf("%s", title); err != nil {
		return err
	}
	header, rows := r.Table()
	if err := printTable(header, rows, func(row []string) []string { return row }); err != nil {
		return err
	}
	for _, note := range r.Notes() {
		if err := printf("%s\n", note); err != nil {
			return err
		}
	}
	return nil
}

// rules are those of the schedulers asked for, or what is wrong with the flags.
func (f *simFlags) rules() ([]replay.Rules, error) {
	switch {
	case (f.file == "") == (f.generate == ""):
		return nil, usagef("sim: give one of --trace FILE and --generate hosts=N,jobs=N")
	case f.generate != "" && (f.hosts != 0 || f.slots != 0 || f.name+f.format+f.workload != ""):
		return nil, usagef("sim: --hosts, --slots, --name, --format and --workload are for --trace; --generate has hosts=N and slots=N")
	case f.runs < 1 || f.runs > 1000:
		return nil, usagef("--runs %d: 1 to 1000 are possible", f.runs)
	case f.period < 0 || f.period > replay.MaxPeriod:
		return nil, usagef("--period %v: 0 to %v are possible", f.period, replay.MaxPeriod)
	case f.cost < 0 || f.cost > replay.MaxPeriod:
		return nil, usagef("--cost %v: 0 to %v are possible", f.cost, replay.MaxPeriod)
	case !(f.penalty >= 0 && f.penalty <= 1000): // also what is no number
		return nil, usagef("--penalty %g: 0 to 1000 are possible", f.penalty)
	case replay.CheckSpeeds(f.speeds) != nil:
		return nil, usagef("--speeds: %w", replay.CheckSpeeds(f.speeds))
	case len(f.schedulers) == 0:
		return nil, usagef("--scheduler: name one at least")
	case slices.Contains(f.schedulers, replay.Godwit) && len(f.policies) == 0:
		return nil, usagef("--policy: name one at least, or leave %s out of --scheduler", replay.Godwit)
	case f.whatIf != "" && !slices.Contains(f.schedulers, replay.Godwit):
		return nil, usagef("--what-if is of %s, which is not among --scheduler", replay.Godwit)
	}
	what, err := replay.ParseWhatIf(f.whatIf)
	if err != nil {
		return nil, usagef("--what-if: %w", err)
	}
	var out []replay.Rules
	for _, s := range f.schedulers {
		policies := []string{""}
		if s == replay.Godwit {
			policies = f.policies
		}
		for _, p := range policies {
			r, err := replay.RulesOf(s, p, f.period, f.spot)
			if err != nil {
				return nil, usageError{err}
			}
			if out = append(out, r); s == replay.Godwit && f.whatIf != "" {
				r.WhatIf = what
				out = append(out, r)
			}
		}
	}
	return out, nil
}

// traces reads or makes what is to be replayed.
func (f *simFlags) traces(penalty bool) ([]*replay.Trace, error) {
	shape := replay.Shape{Hosts: f.hosts, Slots: f.slots, Workload: replay.Workload(f.workload)}
	if penalty {
		shape.Penalty = &f.penalty
	}
	if err := shape.Check(); err != nil {
		return nil, usageError{err}
	}
	if f.generate != "" {
		g, err := replay.ParseGenerator(f.generate)
		if err != nil {
			return nil, usagef("--generate: %w", err)
		}
		t, err := g.Trace(f.seed, shape)
		if err != nil {
			return nil, usagef("--generate: %w", err)
		}
		return []*replay.Trace{t}, nil
	}
	in := os.Stdin
	if f.file != "-" {
		file, err := os.Open(f.file)
		if err != nil {
			return nil, err
		}
		defer file.Close() //nolint:errcheck // read only
		in = file
	}
	traces, err := replay.Read(in, f.format, shape)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.file, err)
	}
	var names []string
	for _, t := range traces {
		if t.Name == "" {
			t.Name = f.file
		}
		names = append(names, t.Name)
	}
	if f.name != "" {
		i := slices.Index(names, f.name)
		if i < 0 {
			return nil, usagef("--name %s: %s has %s", f.name, f.file, strings.Join(names, ", "))
		}
		return traces[i : i+1], nil
	}
	if f.svg != "" && len(traces) > 1 {
		return nil, usagef("--svg draws one trace; say which by --name: %s", strings.Join(names, ", "))
	}
	return traces, nil
}
