package planner

import (
	"fmt"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// NextPlacement finds the next queued app to place, in strict order of
// submission: an app that must wait holds up all later ones, so that none
// starves; only one that would not fit the empty cluster is passed over. ok
// tells whether there is one. waiting says why the apps looked at before it
// wait: those passed over, and, if ok is false, the head of the line.
func NextPlacement(v *fsm.View) (app *apiv1.App, placement []string, waiting map[fsm.AppID]string, ok bool) {
	waiting = make(map[fsm.AppID]string)
	hosts := hostsOf(v)
	for app := range v.Queue() {
		plan, never := tryPlace(app, hosts)
		if plan.Outcome == Placed {
			return app, plan.Placement, waiting, true
		}
		waiting[fsm.AppID(app.GetId())] = plan.Reason
		if !never {
			break
		}
	}
	return nil, nil, waiting, false
}

// WhyQueued says why a queued app is not placed, for people to read. It is empty
// for an app that is not queued.
func WhyQueued(v *fsm.View, app *apiv1.App) string {
	if fsm.PhaseOf(app) != fsm.Queued {
		return ""
	}
	hosts := hostsOf(v)
	for ahead := range v.Queue() {
		plan, never := tryPlace(ahead, hosts)
		switch {
		case ahead.GetId() == app.GetId() && plan.Outcome == Placed:
			return "about to be placed"
		case ahead.GetId() == app.GetId():
			return plan.Reason
		case plan.Outcome == Placed:
			return fmt.Sprintf("waits behind app %s, which is about to be placed", ahead.GetId())
		case never:
			continue
		}
		return fmt.Sprintf("waits behind app %s, which %s", ahead.GetId(), plan.Reason)
	}
	return "about to be looked at" // submitted after this view
}

// tryPlace places the app on these hosts. never tells whether it would not fit
// them even if they were empty; the plan's reason then says so.
func tryPlace(app *apiv1.App, hosts []Host) (plan Plan, never bool) {
	plan, err := placeApp(app, hosts)
	if err != nil {
		return Plan{Outcome: NotEnoughSlots, Reason: "cannot be placed: " + err.Error()}, true
	}
	if plan.Outcome == Placed {
		return plan, false
	}
	empty, err := placeApp(app, emptied(hosts))
	if err != nil || empty.Outcome == Placed {
		return plan, false
	}
	if has := slotsOf(hosts); int(app.GetSize()) > has {
		empty.Reason = fmt.Sprintf("needs %d slots; the cluster has %d", app.GetSize(), has)
	} else {
		empty.Reason = "does not fit the empty cluster: " + empty.Reason
	}
	return empty, true
}

// placeApp makes a plan that the log accepts: one that goes beyond the slots,
// though the app did not ask for it, becomes NotEnoughSlots.
func placeApp(app *apiv1.App, hosts []Host) (Plan, error) {
	spec := app.GetSpec()
	if len(spec.GetPlace()) > 0 {
		return Explicit(spec.GetPlace(), int(spec.GetSize()), spec.GetOversubscribe(), hosts)
	}
	plan, err := Decide(Request{
		ID:            app.GetId(),
		Kind:          KindNew,
		Policy:        spec.GetPolicy(),
		Hint:          spec.GetHint(),
		MainHost:      spec.GetMainHost(),
		Oversubscribe: spec.GetOversubscribe(),
		Tenant:        spec.GetTenant(),
		Ranks:         int(spec.GetSize()),
		Hosts:         hosts,
	})
	if err != nil || plan.Outcome != Placed || spec.GetOversubscribe() {
		return plan, err
	}
	need := make(map[string]int)
	for _, name := range plan.Placement {
		need[name]++
	}
	for _, h := range hosts {
		if need[h.Name] > h.free() {
			return Plan{Outcome: NotEnoughSlots, Reason: fmt.Sprintf("%s puts %d ranks on %s, which has %d free slots",
				spec.GetHint(), need[h.Name], h.Name, h.free())}, nil
		}
	}
	return plan, nil
}
