package planner

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// Resident is an app that runs, as a policy over all apps sees it.
type Resident struct {
	ID string `json:"id"`
	// Current is the host of each rank now.
	Current []string `json:"current"`
	// Volumes are those that it mounts: it goes only where they are.
	Volumes []string `json:"volumes,omitempty"`
	// On is what it asks of the labels of hosts.
	On []string `json:"on,omitempty"`
	// RankMemory is what each rank takes of its host's memory, in bytes; 0: nothing.
	RankMemory int64 `json:"rank_memory,omitempty"`
}

// emptying plans to have hosts be without ranks, over all apps at once: as many hosts as can be, with few moves.
//
// Ranks take a slot each, so a set of hosts can be emptied if its ranks fit the free slots of the other hosts that are in use: if the slots, used and free, of
// the set are no more than what is free on all hosts in use. So those with the fewest slots make the largest set; of hosts with as many slots those with the fewest ranks, the slower ones first, are
// the ones to take. A host stays on which there is more than ranks of these apps. What volumes, labels and memory forbid is found when ranks are given hosts: a host whose ranks do not
// all find one is left as it is.
type emptying struct {
	hosts []Host
	at    map[string]int // their places
	apps  []Resident
	rules map[int]*fsm.LabelRules // what those apps ask of labels that ask for some
	on    [][]int                 // on each host, by its place: the apps that have ranks there, in order
	ranks []int                   // on each host: how many ranks these apps have there

	set     map[string]bool        // the hosts to be emptied
	targets []int                  // places of hosts that may get ranks, the fullest first
	left    map[int64][]int        // those of them that are not full for ranks that take so much memory
	to      map[int][]string       // where the ranks of an app are to be of which some are to go elsewhere
	own     map[int]map[string]int // how many ranks an app has on its hosts then: made when it is asked for
}

// emptyHosts plans for those apps that may move, on hosts as they are, of which Used is then what it is with the plan: targets are used, and sources not free. The answer has
// the moves of each app; at most so many apps have some, or those on one host.
func emptyHosts(apps []Resident, hosts []Host, most int) [][]Move {
	e := newEmptying(apps, hosts)
	set := e.chosen()
	for _, h := range set {
		e.set[h.Name] = true
	}
	for i, h := range hosts {
		if h.Used > 0 && h.free() > 0 && !e.set[h.Name] {
			e.targets = append(e.targets, i)
		}
	}
	slices.SortStableFunc(e.targets, func(a, b int) int {
		return cmp.Or(cmp.Compare(hosts[a].free(), hosts[b].free()), cmp.Compare(hosts[b].speed(), hosts[a].speed()), cmp.Compare(hosts[a].Name, hosts[b].Name))
	})
	moving := make(map[int]bool)
	for _, h := range set {
		more, on := 0, e.on[e.at[h.Name]]
		for _, i := range on {
			if !moving[i] {
				more++
			}
		}
		// A host with ranks of more apps is left by and by: the caller takes as many of them as may move.
		if (len(moving)+more <= most || len(moving) == 0) && e.empty(h.Name) {
			for _, i := range on {
				moving[i] = true
			}
		}
	}
	out := make([][]Move, len(apps))
	for i, places := range e.to {
		for r, to := range places {
			if from := apps[i].Current[r]; to != from {
				out[i] = append(out[i], Move{Rank: r, From: from, To: to})
			}
		}
	}
	return out
}

// newEmptying counts which apps are where.
func newEmptying(apps []Resident, hosts []Host) *emptying {
	e := &emptying{
		hosts: hosts, apps: apps, at: make(map[string]int, len(hosts)), on: make([][]int, len(hosts)), ranks: make([]int, len(hosts)), rules: make(map[int]*fsm.LabelRules),
		set: make(map[string]bool), left: make(map[int64][]int), to: make(map[int][]string), own: make(map[int]map[string]int),
	}
	for i, h := range hosts {
		e.at[h.Name] = i
	}
	for i, app := range apps {
		if len(app.On) > 0 {
			e.rules[i] = fsm.LabelRulesOf(&apiv1.AppSpec{On: app.On})
		}
		last, at := "", -1
		for _, host := range app.Current {
			if host != last || at < 0 {
				found, ok := e.at[host]
				if !ok {
					at = -1
					continue // it is gone: nothing is to be emptied there
				}
				last, at = host, found
			}
			if on := e.on[at]; len(on) == 0 || on[len(on)-1] != i {
				e.on[at] = append(on, i)
			}
			e.ranks[at]++
		}
	}
	return e
}

// ownOf is how many ranks an app has on its hosts, as it is planned.
func (e *emptying) ownOf(app int) map[string]int {
	own := e.own[app]
	if own == nil {
		own = make(map[string]int)
		for _, host := range e.apps[app].Current {
			own[host]++
		}
		e.own[app] = own
	}
	return own
}

// move plans for a rank to be on a host.
func (e *emptying) move(app, rank int, to string) {
	if e.to[app] == nil {
		e.to[app] = slices.Clone(e.apps[app].Current)
	}
	e.to[app][rank] = to
}

// mayEmpty tells whether all that is on a host are ranks of these apps.
func (e *emptying) mayEmpty(i int) bool {
	h, ranks := &e.hosts[i], e.ranks[i]
	return !h.Evicting && ranks > 0 && ranks == h.Used && h.Used <= h.Slots
}

// chosen are the hosts to be emptied, those with the fewest ranks first.
func (e *emptying) chosen() []*Host {
	may := make([]*Host, 0, len(e.hosts))
	free := 0
	for i := range e.hosts {
		h := &e.hosts[i]
		if h.Used > 0 {
			free += h.free()
		}
		if e.mayEmpty(i) {
			may = append(may, h)
		}
	}
	slices.SortFunc(may, func(a, b *Host) int {
		return cmp.Or(cmp.Compare(a.Slots, b.Slots), cmp.Compare(a.Used, b.Used), cmp.Compare(a.speed(), b.speed()), cmp.Compare(a.Name, b.Name))
	})
	n := 0
	for n < len(may) && may[n].Slots <= free {
		free -= may[n].Slots
		n++
	}
	set, rest := slices.Clone(may[:n]), slices.Clone(may[n:])
	fewest := func(a, b *Host) int {
		return cmp.Or(cmp.Compare(a.Used, b.Used), cmp.Compare(a.speed(), b.speed()), cmp.Compare(a.Name, b.Name))
	}
	slices.SortFunc(set, fewest)
	slices.SortFunc(rest, fewest)
	for i := len(set) - 1; i >= 0 && len(rest) > 0; i-- { // one with fewer ranks in the place of one with many
		if more := rest[0].Slots - set[i].Slots; rest[0].Used < set[i].Used && more <= free {
			free -= more
			set[i], rest = rest[0], rest[1:]
		}
	}
	slices.SortFunc(set, fewest)
	return set
}

// empty plans for all ranks on a host to go to hosts in use that are not of the set: for all or none, which it says.
func (e *emptying) empty(name string) bool {
	type place struct{ app, rank int }
	var took []place
	for _, i := range e.on[e.at[name]] {
		for r, host := range e.apps[i].Current {
			if host != name {
				continue
			}
			to := e.target(i)
			if to < 0 {
				for _, p := range took {
					host := e.to[p.app][p.rank]
					e.hosts[e.at[host]].take(-1, e.apps[p.app].RankMemory)
					e.ownOf(p.app)[host]--
					e.move(p.app, p.rank, name)
				}
				return false
			}
			took = append(took, place{i, r})
			e.move(i, r, e.hosts[to].Name)
			e.ownOf(i)[e.hosts[to].Name]++
			e.hosts[to].take(1, e.apps[i].RankMemory)
		}
	}
	return true
}

// target is the place of the host that a rank of an app goes to: where its app has most ranks, else the fullest with room; -1: there is none.
func (e *emptying) target(app int) int {
	best, own := -1, e.ownOf(app)
	for _, name := range slices.Sorted(maps.Keys(own)) {
		n := own[name]
		if i, ok := e.at[name]; ok && n > 0 && e.takes(i, app) && (best < 0 || n > own[e.hosts[best].Name]) {
			best = i
		}
	}
	rank := e.apps[app].RankMemory
	targets, ok := e.left[rank]
	if !ok {
		targets = e.targets
	}
	for len(targets) > 0 && e.hosts[targets[0]].freeFor(rank) == 0 {
		targets = targets[1:]
	}
	e.left[rank] = targets
	for _, i := range targets {
		if best >= 0 {
			break
		}
		if e.takes(i, app) {
			best = i
		}
	}
	return best
}

// takes tells whether a host may get one more rank of an app.
func (e *emptying) takes(i, app int) bool {
	h, rules := &e.hosts[i], e.rules[app]
	return h.Used > 0 && h.freeFor(e.apps[app].RankMemory) > 0 && !e.set[h.Name] &&
		!slices.ContainsFunc(e.apps[app].Volumes, func(v string) bool { return !slices.Contains(h.Volumes, v) }) &&
		(rules == nil || rules.Lacks(h.Labels) == "")
}

// clusterPlan answers KindCluster: the moves of all apps.
func clusterPlan(req Request) Plan {
	var plan Plan
	for i, moves := range emptyHosts(req.Apps, slices.Clone(req.Hosts), len(req.Apps)) {
		for _, m := range moves {
			m.App = req.Apps[i].ID
			plan.Moves = append(plan.Moves, m)
		}
	}
	if len(plan.Moves) == 0 {
		return stay("no host can be emptied: what is on one does not fit the free slots of others in use, or does not move")
	}
	plan.Outcome = Migrate
	return plan
}

// validateCluster checks what only KindCluster has.
func (req Request) validateCluster() error {
	if len(req.Apps) == 0 || len(req.Apps) > maxRanks {
		return fmt.Errorf("apps: %d; 1 to %d are possible", len(req.Apps), maxRanks)
	}
	known, ranks := make(map[string]int, len(req.Hosts)), make(map[string]int)
	for i, h := range req.Hosts {
		known[h.Name] = i
	}
	ids := make(map[string]bool, len(req.Apps))
	for i, app := range req.Apps {
		if app.ID == "" || len(app.Current) == 0 || ids[app.ID] {
			return fmt.Errorf("apps[%d]: it has no id, or that of another, or no ranks", i)
		}
		ids[app.ID] = true
		if err := checkRules(app.On); err != nil {
			return fmt.Errorf("apps[%d].on: %w", i, err)
		}
		for r, host := range app.Current {
			if _, ok := known[host]; !ok {
				return fmt.Errorf("apps[%d].current[%d]: host %q is not among hosts", i, r, host)
			}
			ranks[host]++
		}
	}
	for name, n := range ranks {
		if i := known[name]; req.Hosts[i].Used < n {
			return fmt.Errorf("hosts[%d].used: %d; the apps have %d ranks there", i, req.Hosts[i].Used, n)
		}
	}
	return nil
}
