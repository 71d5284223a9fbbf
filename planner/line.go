package planner

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// Lines makes the lines of a cluster's views, and remembers between them what was found of its hosts. The zero value is ready, and may be
// used concurrently.
type Lines struct {
	mu   sync.Mutex // guards fits
	fits *fits
}

// Line is the queue of one view, for who is asked why apps wait. What it costs are the hosts, once, and those who stand at its front and
// do not fit them; of apps of a shape that has been asked about before, in this view or in one with the same hosts, nothing is planned
// again. It may be used concurrently.
type Line struct {
	view  *fsm.View
	hosts []Host
	fits  *fits
	avoid Avoid
	// policy is that of apps that name none.
	policy string
	look   sync.Once // sets the fields below
	head   *apiv1.App
	plan   Plan                  // the head's
	full   map[string]*apiv1.App // of tenants, the first app that is beyond their slots
}

// Of is the queue of a view, of apps that avoid these hosts.
func (ls *Lines) Of(v *fsm.View, avoid Avoid) *Line {
	hosts := hostsOf(v)
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.fits = ls.fits.follow(hosts)
	return &Line{view: v, hosts: hosts, fits: ls.fits, avoid: avoid, policy: v.Scheduling().GetPolicy()}
}

// Why says why an app of the view is not placed, for people to read. It is empty for one that is not queued.
func (l *Line) Why(app *apiv1.App) string {
	if fsm.PhaseOf(app) != fsm.Queued {
		return ""
	}
	if why := whyWaits(l.view, app); why != "" {
		return why
	}
	if away := l.view.WhyAway(app); away != "" {
		return away
	}
	if over := whyOver(l.view, app); over != "" {
		return over
	}
	l.look.Do(l.front)
	if first := l.full[app.GetSpec().GetTenant()]; first != nil && first.GetId() != app.GetId() {
		return fmt.Sprintf("waits behind app %s of its tenant, which %s", first.GetId(), whyOver(l.view, first))
	}
	if not := l.avoid.of(app); len(not) > 0 {
		return whyBesides(app, besides(l.hosts, not), not, l.policy)
	}
	if l.head.GetId() == app.GetId() {
		return whyHead(l.plan)
	}
	if never := l.fits.stuck(app, l.hosts, l.policy); never != "" || l.head == nil {
		return never
	}
	return behind(l.head, l.plan)
}

// whyWaits says for which apps an app waits, whatever room there is; empty: for none.
func whyWaits(v *fsm.View, app *apiv1.App) string {
	if app.GetHeld() {
		array := app.GetSpec().GetArray()
		return fmt.Sprintf("waits for one of array %s to end: %d of it are in flight, which is as many as may be", array.GetId(), v.ArrayInFlight(array.GetId()))
	}
	if len(app.GetWaitsFor()) == 0 {
		return ""
	}
	id, end := app.GetWaitsFor()[0], "success"
	d := fsm.DependencyOf(app, id)
	if d.GetAnyEnd() {
		end = "end"
	}
	why := fmt.Sprintf("waits for the %s of app %s", end, id)
	if on, ok := v.App(fsm.AppID(id)); ok {
		why += fmt.Sprintf(", which %s", apiv1.AppStands(on.GetPhase(), false))
	} else if d.GetArray() != "" {
		why = fmt.Sprintf("waits for the %s of array %s", end, d.GetArray())
	}
	if more := len(app.GetWaitsFor()) - 1; more > 0 {
		why += fmt.Sprintf(", and for %d more", more)
	}
	return why
}

// whyBesides says why an app is not placed that avoids some hosts.
func whyBesides(app *apiv1.App, hosts []Host, not map[string]string, policy string) string {
	plan, err := placeApp(app, hosts, policy)
	switch {
	case err != nil:
		return "cannot be placed: " + err.Error()
	case plan.Outcome == Placed:
		return Soon
	}
	var named []string
	for i, host := range slices.Sorted(maps.Keys(not)) {
		if i == maxReasonsNamed {
			named = append(named, fmt.Sprintf("and on %d more", len(not)-i))
			break
		}
		named = append(named, fmt.Sprintf("%s (%s)", host, not[host]))
	}
	return plan.Reason + "; it cannot begin on " + strings.Join(named, ", ")
}

// front finds the first app that waits for others, and not for other hosts, and those that are beyond their tenants' slots.
func (l *Line) front() {
	turn, quotas := newTurns(l.view), false
	l.full = turn.full
	for t := range l.view.Tenants() {
		quotas = quotas || t.GetSlots() > 0
	}
	for app := range turn.all() {
		if l.view.WhyAway(app) != "" || len(l.avoid.of(app)) > 0 || turn.over(app) {
			continue
		}
		if l.head != nil { // only for who is beyond
			continue
		}
		plan, never := l.fits.try(app, l.hosts, l.policy)
		if never != "" {
			continue
		}
		if room := l.view.PlacingRoom(); plan.Outcome == Placed && !room.Take(app) {
			plan = Plan{Outcome: NotEnoughSlots, Reason: "waits for ranks of other apps to end: the servers have memory for no more"}
		}
		if l.head, l.plan = app, plan; !quotas {
			return
		}
	}
}

// Head is the first app that waits for others, and not for other hosts; nil: there is none.
func (l *Line) Head() *apiv1.App {
	l.look.Do(l.front)
	return l.head
}

// Soon is what is said of an app that fits: it is placed at the next look.
const Soon = "about to be placed"

// whyHead says why the head of the line waits.
func whyHead(plan Plan) string {
	if plan.Outcome == Placed {
		return Soon
	}
	return plan.Reason
}

// behind says why those behind the head of the line wait.
func behind(head *apiv1.App, plan Plan) string {
	if plan.Outcome == Placed {
		return fmt.Sprintf("waits behind app %s, which is %s", head.GetId(), Soon)
	}
	return fmt.Sprintf("waits behind app %s, which %s", head.GetId(), plan.Reason)
}
