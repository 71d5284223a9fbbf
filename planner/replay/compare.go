package replay

import (
	"math"
	"slices"
)

// Report is one trace under several schedulers.
type Report struct {
	Trace string `json:"trace"`
	Hosts int    `json:"hosts"`
	Slots int    `json:"slots"` // of each host
	Jobs  int    `json:"jobs"`
	// TooLarge and Unusable are jobs that were left out.
	TooLarge int    `json:"too_large"`
	Unusable int    `json:"unusable"`
	Seed     uint64 `json:"seed"`
	Spot     bool   `json:"spot"`
	// LeastLinkSeconds is what no scheduler can have less of: each job at its best placement all the time.
	LeastLinkSeconds float64 `json:"least_link_seconds"`
	Rows             []Row   `json:"rows"`
}

// Row is one scheduler. What was not run, or not published, is null.
type Row struct {
	*Result
	LinksToSlurm *float64 `json:"links_to_slurm"`
	LinksToBatch *float64 `json:"links_to_batch"`
	// Spot is the makespan with faults beside that without them.
	Spot      *SpotSlowdown `json:"spot_slowdown"`
	Published *Published    `json:"published"`
}

// SpotSlowdown is over several seeds; the row's other numbers are those of the first.
type SpotSlowdown struct {
	Without float64 `json:"makespan_without"`
	Runs    int     `json:"runs"`
	Mean    float64 `json:"mean"`
	Least   float64 `json:"least"`
	Most    float64 `json:"most"`
}

// Published are the figures of the Granny paper's artifact, of a real cluster. What it does not say is 0.
type Published struct {
	Makespan     float64 `json:"makespan,omitempty"`
	Idle         float64 `json:"idle_percent,omitempty"`
	LinksToBatch float64 `json:"links_to_batch,omitempty"`
	SpotSlowdown float64 `json:"spot_slowdown,omitempty"`
}

// published is what is known of a trace under a scheduler.
func published(trace, scheduler string, spot bool) *Published {
	type key struct{ trace, scheduler string }
	plain := map[key]Published{
		{"mpi-locality_25", Batch}:  {Makespan: 3802, Idle: 37.9, LinksToBatch: 1},
		{"mpi-locality_25", Slurm}:  {Makespan: 3485, Idle: 26.3, LinksToBatch: 1.27},
		{"mpi-locality_25", Granny}: {Makespan: 3032, Idle: 19.5, LinksToBatch: 1.08},
		{"mpi-locality_50", Batch}:  {Makespan: 3102, Idle: 31.2, LinksToBatch: 1},
		{"mpi-locality_50", Slurm}:  {Makespan: 3307, Idle: 20.3, LinksToBatch: 1.45},
		{"mpi-locality_50", Granny}: {Makespan: 2926, Idle: 21.1, LinksToBatch: 1.08},
	}
	faulty := map[key]Published{
		{"mpi-spot_25", Slurm}:  {SpotSlowdown: 2.15},
		{"mpi-spot_25", Batch}:  {SpotSlowdown: 1.55},
		{"mpi-spot_25", Granny}: {SpotSlowdown: 1.21},
		{"mpi-spot_50", Slurm}:  {SpotSlowdown: 2.19},
		{"mpi-spot_50", Batch}:  {SpotSlowdown: 1.91},
		{"mpi-spot_50", Granny}: {SpotSlowdown: 1.26},
	}
	if spot {
		plain = faulty
	}
	if p, ok := plain[key{trace, scheduler}]; ok {
		return &p
	}
	return nil
}

// Compare replays a trace by each of the rules. With spot faults it does so for that many seeds, from cfg's on, and once without faults.
func Compare(t *Trace, all []Rules, cfg Config, runs int) (*Report, error) {
	out := &Report{
		Trace: t.Name, Hosts: t.Hosts, Slots: t.Slots, Jobs: len(t.Jobs), TooLarge: t.TooLarge, Unusable: t.Unusable,
		Seed: cfg.Seed, Spot: cfg.Spot, LeastLinkSeconds: rounded(t.least()),
	}
	for _, rules := range all {
		res, err := Run(t, rules, cfg)
		if err != nil {
			return nil, err
		}
		row := Row{Result: res, Published: published(t.Name, rules.Scheduler, cfg.Spot)}
		if cfg.Spot {
			if row.Spot, err = spotSlowdown(t, rules, cfg, runs, res); err != nil {
				return nil, err
			}
		}
		out.Rows = append(out.Rows, row)
	}
	for i := range out.Rows {
		row := &out.Rows[i]
		row.LinksToSlurm, row.LinksToBatch = out.linksTo(row, Slurm), out.linksTo(row, Batch)
	}
	return out, nil
}

// linksTo is a row's integral of links beside that of a scheduler.
func (r *Report) linksTo(row *Row, scheduler string) *float64 {
	i := slices.IndexFunc(r.Rows, func(row Row) bool { return row.Scheduler == scheduler })
	if i < 0 || r.Rows[i].LinkSeconds == 0 {
		return nil
	}
	ratio := rounded(row.LinkSeconds / r.Rows[i].LinkSeconds)
	return &ratio
}

// spotSlowdown runs what is needed beside the run of the first seed.
func spotSlowdown(t *Trace, rules Rules, cfg Config, runs int, first *Result) (*SpotSlowdown, error) {
	calm := cfg
	calm.Spot = false
	without, err := Run(t, rules.calm(), calm)
	if err != nil {
		return nil, err
	}
	s := &SpotSlowdown{Without: without.Makespan, Runs: runs, Least: math.Inf(1)}
	for i := range runs {
		res := first
		if i > 0 {
			cfg.Seed++
			if res, err = Run(t, rules, cfg); err != nil {
				return nil, err
			}
		}
		x := res.Makespan / without.Makespan
		s.Mean += x / float64(runs)
		s.Least, s.Most = min(s.Least, x), max(s.Most, x)
	}
	s.Mean, s.Least, s.Most = rounded(s.Mean), rounded(s.Least), rounded(s.Most)
	return s, nil
}

// rounded is a number to a thousandth, which is all that a report says.
func rounded(x float64) float64 { return math.Round(x*1000) / 1000 }
