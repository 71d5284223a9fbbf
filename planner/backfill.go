package planner

import (
	"slices"
	"sort"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

const (
	// maxBackfillLooks bounds the apps behind the head that one look plans for.
	maxBackfillLooks = 1000
	// startMargin is how long the ranks of an app may take to start, from when on its time counts: so much earlier than the turn of the head its time has to be over. A start that takes longer delays
	// the head by the rest.
	startMargin = 5 * time.Second
)

// Cluster is the hosts of a view as the queue sees them.
type Cluster struct {
	View *fsm.View
	// Away are hosts that take no ranks for the moment, though the view has them as such that do.
	Away map[string]bool
	// Avoid is which hosts apps are not to be placed on.
	Avoid Avoid
}

// Backfill finds apps that can be placed ahead of the head of the queue, which has to wait, without delaying it: at most limit. When the head's turn comes is known from the time
// limits of what runs. An app is placed ahead of it if its own time limit is over by then, or if the head fits beside it as well. An app without a time limit may run for ever: one that runs and whose slots the head
// needs leaves it unknown when that is, and then nothing is placed ahead of it. All plans can be proposed together. It is the EASY backfill of
// Lifka (1995), by slots of hosts.
func Backfill(c Cluster, now time.Time, limit int) []Next {
	v := c.View
	if v.Scheduling().GetStrictOrder() || v.Queued() < 2 {
		return nil
	}
	hosts, policy := hostsAfter(v, nil, c.Away), v.Scheduling().GetPolicy()
	var (
		turn  = newTurns(v)
		known = (*fits)(nil).follow(hosts)
		head  *apiv1.App
		when  time.Time
		then  []Host // at the head's turn, without it
		out   []Next
		room  = v.PlacingRoom()
		looks int
	)
	for app := range turn.all() {
		if v.WhyAway(app) != "" || len(c.Avoid.of(app)) > 0 || turn.over(app) {
			continue
		}
		if head == nil {
			plan, never := known.try(app, hosts, policy)
			if plan.Outcome == Placed { // it is about to be placed
				return nil
			}
			if never != "" {
				continue
			}
			head = app
			var ok bool
			if when, then, ok = turnOf(v, head, hosts, policy, now); !ok {
				return nil
			}
			continue
		}
		if looks++; looks > maxBackfillLooks || len(out) == limit {
			break
		}
		placement, ok := ahead(app, head, hosts, then, policy, now, when)
		if !ok || !room.Take(app) {
			continue
		}
		take(hosts, app, placement)
		if !overBy(when, app, now) {
			take(then, app, placement)
		}
		turn.took(app)
		out = append(out, Next{app, placement})
	}
	return out
}

// ahead places an app ahead of the head, if that delays the head by nothing.
func ahead(app, head *apiv1.App, hosts, then []Host, policy string, now, when time.Time) ([]string, bool) {
	plan, err := placeApp(app, hosts, policy)
	if err != nil || plan.Outcome != Placed {
		return nil, false
	}
	if overBy(when, app, now) {
		return plan.Placement, true
	}
	beside := slices.Clone(then)
	take(beside, app, plan.Placement)
	still, err := placeApp(head, beside, policy)
	return plan.Placement, err == nil && still.Outcome == Placed
}

// overBy tells whether an app that is placed now is over by then.
func overBy(when time.Time, app *apiv1.App, now time.Time) bool {
	end, ok := endOf(app, now)
	return ok && !end.After(when)
}

// TimeLeft is how long the ranks of an app that is placed now may run, by its time limit; it means nothing for one without.
func TimeLeft(app *apiv1.App) time.Duration {
	return max(0, time.Duration(app.GetSpec().GetTimeLimitMs()-app.GetRanMs())*time.Millisecond)
}

// turnOf is when the head's turn comes at the latest, and the hosts as they are then without it. ok is false if that is not known.
func turnOf(v *fsm.View, head *apiv1.App, hosts []Host, policy string, now time.Time) (when time.Time, then []Host, ok bool) {
	var runs []run
	for app := range v.Placed() {
		if end, ok := endOf(app, now); ok {
			runs = append(runs, run{app, end})
		}
	}
	slices.SortStableFunc(runs, func(a, b run) int { return a.end.Compare(b.end) })
	fits := func(n int) bool {
		plan, err := placeApp(head, without(v, hosts, runs[:n]), policy)
		return err == nil && plan.Outcome == Placed
	}
	n := sort.Search(len(runs)+1, fits)
	if n == 0 || n > len(runs) {
		return time.Time{}, nil, false
	}
	for n < len(runs) && runs[n].end.Equal(runs[n-1].end) {
		n++
	}
	return runs[n-1].end, without(v, hosts, runs[:n]), true
}

// run is an app that has hosts, and when its time is over.
type run struct {
	app *apiv1.App
	end time.Time
}

// endOf is when an app is over at the latest that has hosts, or is placed now; ok is false for one without a time limit.
func endOf(app *apiv1.App, now time.Time) (end time.Time, ok bool) {
	switch {
	case app.GetSpec().GetTimeLimitMs() == 0:
		return time.Time{}, false
	case app.GetStartedAt() == nil:
		return now.Add(startMargin + TimeLeft(app)), true
	}
	return app.GetStartedAt().AsTime().Add(TimeLeft(app)), true
}

// without are hosts when some apps have ended.
func without(v *fsm.View, hosts []Host, ended []run) []Host {
	hosts = slices.Clone(hosts)
	at := make(map[string]int, len(hosts))
	for i, h := range hosts {
		at[h.Name] = i
	}
	for _, r := range ended {
		for host, share := range v.HostsOf(fsm.AppID(r.app.GetId())) {
			if i, ok := at[string(host)]; ok {
				hosts[i].Used = max(0, hosts[i].Used-share.Ranks-share.Reserved)
			}
		}
	}
	return hosts
}
