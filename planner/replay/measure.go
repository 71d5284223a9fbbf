package replay

import (
	"slices"
	"time"
)

// gauge integrates what the cluster is used for over time, without sampling.
type gauge struct {
	at          time.Duration
	used, links int
	// Integrals over seconds.
	usedSeconds, linkSeconds float64
	points                   []point
}

// point is from when on so much is used.
type point struct {
	at          time.Duration
	used, links int
}

func (g *gauge) change(now time.Duration, used, links int) {
	if used == 0 && links == 0 {
		return
	}
	span := (now - g.at).Seconds()
	g.usedSeconds += float64(float64(g.used) * span)
	g.linkSeconds += float64(float64(g.links) * span)
	g.at, g.used, g.links = now, g.used+used, g.links+links
	if n := len(g.points); n > 0 && g.points[n-1].at == now {
		g.points = g.points[:n-1]
	}
	g.points = append(g.points, point{now, g.used, g.links})
}

// Counts are what happened in a run.
type Counts struct {
	Migrations int `json:"migrations"`
	Moves      int `json:"moves"` // ranks that migrations moved
	Freezes    int `json:"freezes"`
	// Restarts are jobs that lost a host and ran again, Failed those that did so too often.
	Restarts int `json:"restarts"`
	Failed   int `json:"failed"`
	// Held are jobs that were submitted late, for the state takes no more at a time.
	Held int `json:"held"`
}

// Spread is how a number is distributed.
type Spread struct {
	Mean float64 `json:"mean"`
	P95  float64 `json:"p95"`
}

// Result is what a run is measured by.
type Result struct {
	Scheduler string `json:"scheduler"`
	// Makespan is the seconds from the first submission to the last end.
	Makespan float64 `json:"makespan"`
	// Idle is the percentage of all slots over the makespan on which no rank was.
	Idle      float64 `json:"idle_percent"`
	MeanLinks float64 `json:"mean_links"`
	// LinkSeconds is the integral of links over time: the fragmentation.
	LinkSeconds float64 `json:"link_seconds"`
	// Wait is the seconds from submission to first placement. Slowdown is the time from submission to end, beside that of the job alone on empty hosts,
	// which counts as 10 s at least, or it would say nothing but how many jobs are short.
	Wait     Spread `json:"wait"`
	Slowdown Spread `json:"slowdown"`
	Counts

	points []point
}

// shortJob is the seconds that a job is taken to need at least, where slowdowns are told: as is usual with logs.
const shortJob = 10

func (r *run) result() *Result {
	r.gauge.change(r.clock.now, 0, 0)
	first, last := r.tasks[0].submitted, time.Duration(0)
	var waits, slowdowns []float64
	for _, t := range r.tasks {
		last = max(last, t.ended)
		waits = append(waits, (t.begun - t.submitted).Seconds())
		slowdowns = append(slowdowns, max(1, (t.ended-t.submitted).Seconds()/max(shortJob, t.best(r.trace.Slots))))
	}
	span := (last - first).Seconds()
	return &Result{
		Scheduler: r.rules.Name(), Makespan: rounded(span), Idle: rounded(100 * (1 - r.gauge.usedSeconds/(float64(r.trace.slots())*span))),
		MeanLinks: rounded(r.gauge.linkSeconds / span), LinkSeconds: rounded(r.gauge.linkSeconds),
		Wait: spreadOf(waits), Slowdown: spreadOf(slowdowns), Counts: r.counts, points: r.gauge.points,
	}
}

func spreadOf(xs []float64) Spread {
	slices.Sort(xs)
	sum := 0.0
	for _, x := range xs {
		sum += x
	}
	return Spread{Mean: rounded(sum / float64(len(xs))), P95: rounded(xs[(len(xs)*95+99)/100-1])}
}
