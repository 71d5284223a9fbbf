package planner

import (
	"fmt"
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// Next is where a queued app is to be placed.
type Next struct {
	App       *apiv1.App
	Placement []string
}

// nextAfter goes on with the queue behind those that have been placed, by a look
// at all hosts.
func nextAfter(v *fsm.View, out []Next, limit int) []Next {
	hosts := hostsOf(v)
	done := make(map[string]bool, len(out))
	for _, n := range out {
		take(hosts, n.App, n.Placement)
		done[n.App.GetId()] = true
	}
	for head := range v.Queue() {
		if done[head.GetId()] {
			continue
		}
		plan, never := tryPlace(head, hosts)
		if plan.Outcome == Placed {
			if out = append(out, Next{head, plan.Placement}); len(out) == limit {
				break
			}
			take(hosts, head, plan.Placement)
		} else if !never {
			break
		}
	}
	return out
}

// take counts an app's ranks as placed.
func take(hosts []Host, app *apiv1.App, placement []string) {
	ranks := make(map[string]int)
	for _, host := range placement {
		ranks[host]++
	}
	tenant := app.GetSpec().GetTenant()
	for i := range hosts {
		h := &hosts[i]
		if n := ranks[h.Name]; n > 0 {
			h.Used = min(h.Used+n, maxRanks)
			if !slices.Contains(h.Tenants, tenant) {
				h.Tenants = append(slices.Clone(h.Tenants), tenant)
			}
		}
	}
}

// WhyQueued says why a queued app is not placed, for people to read. It is empty
// for an app that is not queued. It plans for the app and for those at the head of
// the line, as far as one that could be placed in time, not for the whole queue.
// To ask for many apps, use WhyAllQueued.
func WhyQueued(v *fsm.View, app *apiv1.App) string {
	if fsm.PhaseOf(app) != fsm.Queued {
		return ""
	}
	hosts := hostsOf(v)
	own, never := tryPlace(app, hosts)
	if never {
		return own.Reason
	}
	for head := range v.Queue() {
		if head.GetId() == app.GetId() {
			return whyHead(own)
		}
		if plan, never := tryPlace(head, hosts); !never {
			return behind(head, plan)
		}
	}
	return whyHead(own)
}

// whyHead says why the head of the line waits.
func whyHead(plan Plan) string {
	if plan.Outcome == Placed {
		return "about to be placed"
	}
	return plan.Reason
}

// behind says why those behind the head of the line wait.
func behind(head *apiv1.App, plan Plan) string {
	if plan.Outcome == Placed {
		return fmt.Sprintf("waits behind app %s, which is about to be placed", head.GetId())
	}
	return fmt.Sprintf("waits behind app %s, which %s", head.GetId(), plan.Reason)
}

// WhyAllQueued says of every queued app why it is not placed.
func WhyAllQueued(v *fsm.View) map[fsm.AppID]string {
	out := make(map[fsm.AppID]string)
	hosts := hostsOf(v)
	line := ""
	for app := range v.Queue() {
		id := fsm.AppID(app.GetId())
		plan, never := tryPlace(app, hosts)
		switch {
		case never:
			out[id] = plan.Reason
		case line != "":
			out[id] = line
		default:
			out[id], line = whyHead(plan), behind(app, plan)
		}
	}
	return out
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
	if len(app.GetSpec().GetPlace()) > 0 {
		empty.Reason = "cannot be placed as asked for: " + empty.Reason // names the hosts; they may join yet, or others be named
	} else if has := slotsOf(hosts); int(app.GetSize()) > has {
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
