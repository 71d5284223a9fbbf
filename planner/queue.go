package planner

import (
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// Next is where a queued app is to be placed.
type Next struct {
	App       *apiv1.App
	Placement []string
}

// hostsAfter are the hosts of a view, with what has been placed counted, and those that are away full.
func hostsAfter(v *fsm.View, out []Next, away map[string]bool) []Host {
	hosts := hostsOf(v)
	for i := range hosts {
		if h := &hosts[i]; away[h.Name] {
			h.Used = max(h.Used, h.Slots)
		}
	}
	for _, n := range out {
		take(hosts, n.App, n.Placement)
	}
	return hosts
}

// besides are the hosts without those that an app avoids.
func besides(hosts []Host, avoid map[string]string) []Host {
	hosts = slices.Clone(hosts)
	for i := range hosts {
		if why, ok := avoid[hosts[i].Name]; ok {
			hosts[i].Evicting, hosts[i].Why = true, why
		}
	}
	return hosts
}

// nextAfter goes on with the queue behind those that have been placed, by a look
// at all hosts. known is what is known of them, and is replaced if they are others.
func nextAfter(v *fsm.View, out []Next, limit int, known **fits, away map[string]bool, avoid Avoid) []Next {
	hosts := hostsAfter(v, nil, away)
	*known = (*known).follow(hosts)
	done := make(map[string]bool, len(out))
	for _, n := range out {
		take(hosts, n.App, n.Placement)
		done[n.App.GetId()] = true
	}
	turn, policy := newTurns(v), v.Scheduling().GetPolicy()
	for _, n := range out {
		turn.took(n.App)
	}
	for head := range turn.all() {
		if done[head.GetId()] || v.WhyAway(head) != "" || turn.over(head) {
			continue
		}
		var plan Plan
		never := "it avoids hosts"
		if not := avoid.of(head); len(not) > 0 {
			plan, _ = placeApp(head, besides(hosts, not), policy)
		} else {
			plan, never = (*known).try(head, hosts, policy)
		}
		if plan.Outcome == Placed {
			if out = append(out, Next{head, plan.Placement}); len(out) == limit {
				break
			}
			take(hosts, head, plan.Placement)
			turn.took(head)
		} else if never == "" {
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
			h.take(n, fsm.RankMemory(app))
			h.Used = min(h.Used, maxRanks)
			if !slices.Contains(h.Tenants, tenant) {
				h.Tenants = append(slices.Clone(h.Tenants), tenant)
			}
		}
	}
}

// wish is what an app asks of its placement, by the policy of those that name none. One that runs again since a host was lost goes to whatever hosts there are: those that it has named may be gone.
func wish(app *apiv1.App, policy string) *apiv1.AppSpec {
	spec := app.GetSpec()
	again := app.GetRestored() > 0 && (len(spec.GetPlace()) > 0 || spec.GetMainHost() != "")
	if !again && (spec.GetPolicy() != "" || placesAs(policy) == BinPack) {
		return spec
	}
	if own := spec.GetPolicy(); own != "" && own != MainFirst {
		policy = own
	}
	out := &apiv1.AppSpec{Size: spec.GetSize(), Tenant: spec.GetTenant(), Oversubscribe: spec.GetOversubscribe(), Mounts: spec.GetMounts(), On: spec.GetOn(), Spread: spec.GetSpread(), MemoryBytes: spec.GetMemoryBytes(), Policy: policy}
	if !again {
		out.Hint, out.MainHost, out.Place = spec.GetHint(), spec.GetMainHost(), spec.GetPlace()
	}
	return out
}

// KnownDefault tells whether a policy is one that apps may have that name none; the empty one is.
func KnownDefault(policy string) bool {
	return slices.Contains([]string{"", BinPack, Compact, Spot, EmptyHosts, Traffic}, policy)
}

// placesAs is the policy by which a policy has apps placed: those that are of apps that run place as BinPack.
func placesAs(policy string) string {
	switch policy {
	case "", Spot, Traffic:
		return BinPack
	default:
		return policy
	}
}

// placeApp makes a plan that the log accepts: it goes beyond the slots of no host, unless the app asks for that.
func placeApp(app *apiv1.App, hosts []Host, policy string) (Plan, error) {
	spec := wish(app, policy)
	hosts = offering(hosts, spec)
	if len(spec.GetPlace()) > 0 {
		return Explicit(spec.GetPlace(), int(spec.GetSize()), spec.GetOversubscribe(), spec.GetMemoryBytes(), hosts)
	}
	return Decide(Request{
		ID:            app.GetId(),
		Kind:          KindNew,
		Policy:        placesAs(spec.GetPolicy()),
		Hint:          spec.GetHint(),
		MainHost:      spec.GetMainHost(),
		Oversubscribe: spec.GetOversubscribe(),
		Tenant:        spec.GetTenant(),
		Ranks:         int(spec.GetSize()),
		Spread:        spec.GetSpread(),
		RankMemory:    spec.GetMemoryBytes(),
		Hosts:         hosts,
		within:        !spec.GetOversubscribe(),
	})
}
