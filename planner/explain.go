package planner

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// Explanation says of an app why it waits, or why it is not moved.
type Explanation struct {
	// Verdict is what is so, in a sentence.
	Verdict string
	// Hosts are those that are there, those with most room for the app first.
	Hosts []*apiv1.ExplainedHost
	// Changes are what would change it.
	Changes []string
}

// Explain says of an app of the checker's view why it waits, or why it is not moved, host by host, and what would change that. why is what is said of one that waits, and head the first of the queue that does.
func (k Checker) Explain(app *apiv1.App, why string, head *apiv1.App) Explanation {
	phase := fsm.PhaseOf(app)
	switch {
	case phase == fsm.Queued:
		return Explanation{Verdict: why, Hosts: k.explainHosts(app), Changes: k.wouldPlace(app, head)}
	case phase == fsm.Frozen:
		return Explanation{Verdict: "it is frozen", Changes: []string{"godwit thaw " + app.GetId() + " has it wait for room, and go on"}}
	case phase.Terminal():
		return Explanation{Verdict: "it is over" + colon(app.GetReason())}
	}
	verdict, changes := k.whyStays(app)
	return Explanation{Verdict: verdict, Hosts: k.explainHosts(app), Changes: changes}
}

func colon(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// whyStays says why an app that has hosts is not moved, and what would change that.
func (k Checker) whyStays(app *apiv1.App) (verdict string, changes []string) {
	spec := app.GetSpec()
	if why := k.whyNot(app); why != "" {
		switch {
		case !(spec.GetMigrationCheckPeriod() > 0):
			changes = append(changes, "submit it with --migration-check-period TIME; godwit migrate moves ranks by hand, and a drain moves them in any case")
		case !app.GetMigratable():
			changes = append(changes, "build its program with godwit cc")
		}
		return "it is not moved: " + why, changes
	}
	if room := k.Room(); room < 1 {
		return fmt.Sprintf("it is not moved now: %d migrations of policies are under way, which is as many as may be", AtOnce(k.View)),
			[]string{"they end, or godwit policy set --migrations-at-once N allows more"}
	}
	if k.policyOf(app) == EmptyHosts {
		for _, p := range k.empty(hostsOf(k.View), k.Room()) {
			if p.App == fsm.AppID(app.GetId()) {
				return fmt.Sprintf("%d of its ranks are to move, so that a host becomes empty", len(p.Moves)), nil
			}
		}
		return "it stays: no host could be emptied by moving its ranks into free slots of other hosts in use", k.wouldMove(app)
	}
	moves, reason := k.plan(app, &ground{v: k.View})
	if len(moves) > 0 {
		return fmt.Sprintf("%d of its ranks are to move at the next look of %s", len(moves), k.policyOf(app)), nil
	}
	return fmt.Sprintf("it stays, by %s: %s", k.policyOf(app), reason), k.wouldMove(app)
}

// wouldMove is what would have an app move that stays.
func (k Checker) wouldMove(app *apiv1.App) []string {
	total := k.View.TotalOf(fsm.AppID(app.GetId()))
	if k.policyOf(app) != BinPack || total.Hosts < 2 {
		return nil
	}
	rank := fsm.RankMemory(app)
	best, short := "", 0
	for _, h := range offering(hostsOf(k.View), app.GetSpec()) {
		lacks := total.Ranks - h.freeFor(rank) - k.View.ShareOf(fsm.HostID(h.Name), fsm.AppID(app.GetId())).Ranks
		if roomFor(emptied([]Host{h}), rank) >= total.Ranks && (best == "" || lacks < short) {
			best, short = h.Name, lacks
		}
	}
	switch short = max(short, 1); {
	case best == "" && rank > 0:
		return []string{fmt.Sprintf("a host with slots and memory for %s joins: none that takes ranks has so much", slotsAnd(total.Ranks, rank))}
	case best == "":
		return []string{fmt.Sprintf("a host with %d slots joins: none that takes ranks has so many", total.Ranks)}
	case rank > 0 && short == 1:
		return []string{fmt.Sprintf("%s more becomes free, with a slot, on %s: then it fits one host", slotsAnd(short, rank), best)}
	case rank > 0:
		return []string{fmt.Sprintf("%s more become free, each with a slot, on %s: then it fits one host", slotsAnd(short, rank), best)}
	}
	return []string{fmt.Sprintf("%s on %s: then it fits one host", becomeFree(short), best)}
}

func becomeFree(slots int) string {
	if slots == 1 {
		return "1 more slot becomes free"
	}
	return more(slots) + " become free"
}

func more(slots int) string {
	if slots == 1 {
		return "1 more slot"
	}
	return fmt.Sprintf("%d more slots", slots)
}

// wouldPlace is what would have an app placed that waits.
func (k Checker) wouldPlace(app, head *apiv1.App) []string {
	v, spec, size := k.View, app.GetSpec(), int(app.GetSize())
	if app.GetHeld() {
		return []string{"one of its array that is not frozen ends"}
	}
	if len(app.GetWaitsFor()) > 0 {
		return []string{"the apps that it depends on end (godwit ps)"}
	}
	if over := whyOver(v, app); over != "" {
		change := fmt.Sprintf("godwit tenant set %s --slots N gives more", spec.GetTenant())
		if size <= int(v.Tenant(spec.GetTenant()).GetSlots()) {
			change = "other apps of the tenant end, or " + change
		}
		return []string{change}
	}
	hosts := offering(hostsOf(v), spec)
	rank := spec.GetMemoryBytes()
	free, slots := roomFor(hosts, rank), slotsOf(hosts)
	if rank > 0 {
		slots = roomFor(emptied(hosts), rank)
	}
	var out []string
	switch {
	case size > slots && rank > 0:
		out = append(out, fmt.Sprintf("workers join with slots and memory for %s; or it is submitted with fewer ranks, or with less memory for each (--mem)", slotsAnd(size-slots, rank)))
	case size > free && rank > 0:
		out = append(out, fmt.Sprintf("%s more become free, each with a slot%s", slotsAnd(size-free, rank), endsSoon(v, k.Now)))
	case size > slots && fsm.LacksLabel(nil, spec) != "":
		out = append(out, fmt.Sprintf("workers with %s join that have the labels for which it asks: godwit worker --label KEY=VALUE", more(size-slots)))
	case size > slots:
		out = append(out, fmt.Sprintf("workers with %s join; or it is submitted with fewer ranks, or with --oversubscribe", more(size-slots)))
	case size > free:
		out = append(out, becomeFree(size-free)+endsSoon(v, k.Now))
	}
	for _, h := range hosts {
		if h.Evicting && h.Slots > h.Used && h.Why != "" && len(out) < maxReasonsNamed {
			out = append(out, fmt.Sprintf("host %s takes ranks again: it is %s", h.Name, h.Why))
		}
	}
	if head != nil && head.GetId() != app.GetId() && size <= free {
		out = append(out, fmt.Sprintf("app %s, which is ahead of it, is placed; or its own priority is higher than %d (--priority)", head.GetId(), head.GetSpec().GetPriority()))
		if spec.GetTimeLimitMs() == 0 && !v.Scheduling().GetStrictOrder() {
			out = append(out, "it has a --time-limit that is over before the turn of that: then it may be placed ahead of it")
		}
	}
	return out
}

// endsSoon says which app is over first by its time limit.
func endsSoon(v *fsm.View, now time.Time) string {
	var first *apiv1.App
	var at time.Time
	for app := range v.Placed() {
		if end, ok := endOf(app, now); ok && (first == nil || end.Before(at)) {
			first, at = app, end
		}
	}
	if first == nil {
		return ": no app that runs has a time limit, so nobody knows when"
	}
	return fmt.Sprintf(": app %s with %d ends by its time limit in %v", first.GetId(), fsm.LiveRanks(first), max(0, at.Sub(now)).Round(time.Second))
}

// explainHosts says what each host has for an app.
func (k Checker) explainHosts(app *apiv1.App) []*apiv1.ExplainedHost {
	var out []*apiv1.ExplainedHost
	rank := fsm.RankMemory(app)
	for _, h := range offering(hostsOf(k.View), app.GetSpec()) {
		own := k.View.ShareOf(fsm.HostID(h.Name), fsm.AppID(app.GetId())).Ranks
		x := &apiv1.ExplainedHost{
			Host: h.Name, Slots: int32(h.Slots), Used: int32(h.Used), Own: int32(own), Room: int32(h.freeFor(rank) + own), Why: h.Why,
			MemoryBytes: h.Memory, MemoryUsed: h.MemoryUsed, Speed: h.Speed,
		}
		if x.Why == "" && h.memory().TooLittleFor(rank) {
			x.Why = fmt.Sprintf("it gives a rank at most %s of memory (its worker's --memory-limit), and one takes %s", apiv1.Bytes(h.RankMemory), apiv1.Bytes(rank))
		} else if x.Why == "" && h.freeFor(rank) == 0 && h.free() > 0 {
			x.Why = fmt.Sprintf("%s of its memory are free, and a rank takes %s", apiv1.Bytes(max(0, h.Memory-h.MemoryUsed)), apiv1.Bytes(rank))
		}
		shared := slices.ContainsFunc(h.Tenants, func(t string) bool { return t != app.GetSpec().GetTenant() })
		if compact := cmp.Or(app.GetSpec().GetPolicy(), k.View.Scheduling().GetPolicy()) == Compact; x.Why == "" && compact && shared {
			x.Room, x.Why = 0, "other tenants use it"
		}
		out = append(out, x)
	}
	slices.SortStableFunc(out, func(a, b *apiv1.ExplainedHost) int {
		return cmp.Or(cmp.Compare(b.Room, a.Room), cmp.Compare(b.Slots, a.Slots), cmp.Compare(b.Host, a.Host))
	})
	return out
}

// Candidates tells, of each app from some on that has opted in to migrations, what the checker would do now.
func (k Checker) Candidates(apps func(func(*apiv1.App) bool)) func(func(*apiv1.Candidate) bool) {
	return func(yield func(*apiv1.Candidate) bool) {
		on := &ground{v: k.View}
		var emptied map[fsm.AppID]Proposal
		for app := range apps {
			if !(app.GetSpec().GetMigrationCheckPeriod() > 0) || !fsm.PhaseOf(app).Placed() {
				continue
			}
			c := &apiv1.Candidate{App: app.GetId(), Name: app.GetName(), Policy: k.policyOf(app), Reason: k.whyNot(app)}
			switch {
			case c.Reason != "":
			case c.Policy == EmptyHosts:
				if emptied == nil {
					emptied = make(map[fsm.AppID]Proposal)
					for _, p := range k.empty(slices.Clone(on.all()), max(0, k.Room())) {
						emptied[p.App] = p
					}
				}
				if c.Moves = emptied[fsm.AppID(c.App)].Moves; c.Moves == nil {
					c.Reason = "no host could be emptied by moving its ranks"
				}
			default:
				c.Moves, c.Reason = k.plan(app, on)
				on.take(app, c.Moves)
			}
			if !yield(c) {
				return
			}
		}
	}
}
