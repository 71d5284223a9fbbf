package planner

import (
	"slices"
	"sort"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

const (
	// maxBackfillLooks bounds the apps behind the head that one look plans for, maxBackfillHosts the hosts that it looks at for that: each plan costs them all. It plans for leastBackfillLooks in any case.
	maxBackfillLooks   = 1000
	maxBackfillHosts   = 500_000
	leastBackfillLooks = 16
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
	a := &aheadOf{v: v, now: now, away: c.Away, hosts: hostsAfter(v, nil, c.Away), policy: v.Scheduling().GetPolicy()}
	var (
		turn  = newTurns(v)
		known = (*fits)(nil).follow(a.hosts)
		out   []Next
		room  = v.PlacingRoom()
		looks = max(leastBackfillLooks, min(maxBackfillLooks, maxBackfillHosts/(len(a.hosts)+1)))
	)
	for app := range turn.all() {
		if v.WhyAway(app) != "" || len(c.Avoid.of(app)) > 0 || turn.over(app) {
			continue
		}
		if a.head == nil {
			plan, never := known.try(app, a.hosts, a.policy)
			if plan.Outcome == Placed { // it is about to be placed
				return nil
			}
			if never == "" && !a.behind(app) {
				return nil
			}
			continue
		}
		if len(out) == limit || a.free == 0 {
			break
		}
		if a.tooLarge(app) {
			continue
		}
		if looks--; looks < 0 {
			break
		}
		if placement, ok := a.place(app); ok && room.Take(app) {
			a.took(app, placement)
			turn.took(app)
			out = append(out, Next{app, placement})
		}
	}
	return out
}

// aheadOf is the hosts now, and as they are at the turn of the head of the queue.
type aheadOf struct {
	v      *fsm.View
	now    time.Time
	policy string
	away   map[string]bool

	hosts []Host // now
	free  int    // slots on them
	head  *apiv1.App
	when  time.Time // its turn, at the latest
	then  []Host    // the hosts at that time, without it
	quota int       // slots that its tenant may have beside it then; -1: there is no bound
}

// behind makes an app the head. It is false if it is not known when its turn comes.
func (a *aheadOf) behind(head *apiv1.App) bool {
	when, then, ended, ok := turnOf(a.v, head, a.hosts, a.away, a.policy, a.now)
	if !ok {
		return false
	}
	a.head, a.when, a.then, a.quota = head, when, then, -1
	tenant := head.GetSpec().GetTenant()
	if most := int(a.v.Tenant(tenant).GetSlots()); most > 0 {
		a.quota = most - int(head.GetSize()) - a.v.TenantSlots(tenant)
		for _, r := range ended {
			if r.app.GetSpec().GetTenant() == tenant {
				total := a.v.TotalOf(fsm.AppID(r.app.GetId()))
				a.quota += total.Ranks + total.Reserved
			}
		}
		a.quota = max(0, a.quota)
	}
	for _, h := range a.hosts {
		a.free += h.free()
	}
	return true
}

// tooLarge tells of an app, without a plan, that it does not fit.
func (a *aheadOf) tooLarge(app *apiv1.App) bool {
	return int(app.GetSize()) > a.free && !app.GetSpec().GetOversubscribe() && app.GetRestore() == ""
}

// place places an app ahead of the head, if that delays the head by nothing.
func (a *aheadOf) place(app *apiv1.App) ([]string, bool) {
	if !a.over(app) && a.quota >= 0 && a.sameTenant(app) && int(app.GetSize()) > a.quota {
		return nil, false // the head would be beyond its tenant's slots
	}
	plan, err := placeApp(app, a.hosts, a.policy)
	if err != nil || plan.Outcome != Placed {
		return nil, false
	}
	if a.over(app) {
		return plan.Placement, true
	}
	beside := slices.Clone(a.then)
	take(beside, app, plan.Placement)
	still, err := placeApp(a.head, beside, a.policy)
	return plan.Placement, err == nil && still.Outcome == Placed
}

func (a *aheadOf) sameTenant(app *apiv1.App) bool {
	return app.GetSpec().GetTenant() == a.head.GetSpec().GetTenant()
}

// over tells whether an app that is placed now is over at the head's turn.
func (a *aheadOf) over(app *apiv1.App) bool { return overBy(a.when, app, a.now) }

// took counts an app as placed.
func (a *aheadOf) took(app *apiv1.App, placement []string) {
	take(a.hosts, app, placement)
	a.free -= min(a.free, len(placement))
	if a.over(app) {
		return
	}
	take(a.then, app, placement)
	if a.quota >= 0 && a.sameTenant(app) {
		a.quota = max(0, a.quota-int(app.GetSize()))
	}
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

// turnOf is when the head's turn comes at the latest, the hosts as they are then without it, and what has ended by then. ok is false if that is not known.
func turnOf(v *fsm.View, head *apiv1.App, hosts []Host, away map[string]bool, policy string, now time.Time) (when time.Time, then []Host, ended []run, ok bool) {
	var runs []run
	for app := range v.Placed() {
		if end, ok := endOf(app, now); ok {
			runs = append(runs, run{app, end})
		}
	}
	slices.SortStableFunc(runs, func(a, b run) int { return a.end.Compare(b.end) })
	fits := func(n int) bool {
		plan, err := placeApp(head, without(v, hosts, away, runs[:n]), policy)
		return err == nil && plan.Outcome == Placed
	}
	n := sort.Search(len(runs)+1, fits)
	if n == 0 || n > len(runs) {
		return time.Time{}, nil, nil, false
	}
	for n < len(runs) && runs[n].end.Equal(runs[n-1].end) {
		n++
	}
	return runs[n-1].end, without(v, hosts, away, runs[:n]), runs[:n], true
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

// without are hosts when some apps have ended; those that are away stay full.
func without(v *fsm.View, hosts []Host, away map[string]bool, ended []run) []Host {
	hosts = slices.Clone(hosts)
	at := make(map[string]int, len(hosts))
	for i, h := range hosts {
		at[h.Name] = i
	}
	for _, r := range ended {
		for host, share := range v.HostsOf(fsm.AppID(r.app.GetId())) {
			if i, ok := at[string(host)]; ok && !away[string(host)] {
				hosts[i].take(-min(share.Ranks+share.Reserved, hosts[i].Used), fsm.RankMemory(r.app))
			}
		}
	}
	return hosts
}
