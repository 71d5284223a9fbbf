package planner

import (
	"cmp"
	"fmt"
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// migrate answers whether the app should move, and how.
func migrate(req Request) Plan {
	cs := candidates(req)
	if req.Spread != "" && req.Policy != Spot {
		return stay("its ranks are spread over %s", req.Spread)
	}
	switch req.Policy {
	case Compact:
		return migrateCompact(req, cs)
	case Spot:
		return migrateSpot(req, cs)
	case Traffic:
		return migrateTraffic(req, cs)
	default:
		return migrateBinPack(req, cs)
	}
}

func migrateBinPack(req Request, cs []candidate) Plan {
	n := len(req.Current)
	cs, quotas, left := gang(cs, n, byRoom)
	if left > 0 {
		return stay("%d of its %d ranks would have no slot%s", left, n, orMemory(req.RankMemory))
	}
	own := make([]int, len(cs))
	for i, c := range cs {
		own[i] = c.own
	}
	return better(req, cs, own, quotas, differ(cs))
}

// better moves an app from what it has of the candidates to the quotas, if that is better by enough. uneven: some hosts are faster than others.
func better(req Request, cs []candidate, own, quotas []int, uneven bool) Plan {
	n := len(req.Current)
	now, then := spreadOf(cs, own, n), spreadOf(cs, quotas, n)
	if uneven && now == then {
		return faster(req, cs, own, quotas, now)
	}
	if !then.betterThan(now) {
		return stay("%s already; no placement is better than %s", now, then)
	}
	if then.hosts == now.hosts && (now.links-then.links)*100 < now.links*req.MinGainPercent {
		return stay("%s already; %s would save less than %d %% of the links", now, then, req.MinGainPercent)
	}
	return moved(req, cs, quotas)
}

// faster moves an app that has as few links as can be already, if its slowest host is faster then by enough.
func faster(req Request, cs []candidate, own, quotas []int, at spread) Plan {
	for i := range cs {
		cs[i].rate = cs[i].speed()
	}
	now, then := slowest(cs, own), slowest(cs, quotas)
	switch {
	case then <= now:
		return stay("%s already at speed %g; no placement with as few links is faster", at, now)
	case (then-now)*100 < now*float64(req.MinGainPercent):
		return stay("%s already at speed %g; speed %g would be less than %d %% faster", at, now, then, req.MinGainPercent)
	}
	return moved(req, cs, quotas)
}

// orMemory is what ranks lack beside slots, to be put behind the word of those.
func orMemory(rank int64) string {
	if rank == 0 {
		return ""
	}
	return " with " + apiv1.Bytes(rank) + " of memory"
}

// spread is how far apart an app's ranks are: less is better, hosts first.
type spread struct {
	hosts int
	links int // pairs of ranks that are not on one host; those in two racks count twice
}

// spreadOf counts over the ranks on each host, n in all.
func spreadOf(cs []candidate, ranks []int, n int) spread {
	var s spread
	var racks map[string]int // nil: all ranks are in one, or none
	first := -1
	for i, r := range ranks {
		if r == 0 {
			continue
		}
		s.hosts++
		s.links += r * (n - r)
		if first < 0 {
			first = i
		}
		if racks == nil && cs[i].Labels[RackLabel] != cs[first].Labels[RackLabel] {
			racks = make(map[string]int)
		}
	}
	if racks != nil {
		for i, r := range ranks {
			racks[cs[i].Labels[RackLabel]] += r
		}
	}
	for _, r := range racks {
		s.links += r * (n - r)
	}
	s.links /= 2
	return s
}

func (s spread) betterThan(t spread) bool {
	return s.hosts < t.hosts || (s.hosts == t.hosts && s.links < t.links)
}

func (s spread) String() string {
	if s.hosts == 1 {
		return "on 1 host"
	}
	return fmt.Sprintf("on %d hosts with %d links between them", s.hosts, s.links)
}

func migrateCompact(req Request, cs []candidate) Plan {
	freeNow, all := 0, cs
	for _, c := range all {
		if c.Used == 0 {
			freeNow++
		}
	}
	cs = keep(slices.Clone(all), func(c candidate) bool { return !c.shared })
	slices.SortFunc(cs, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.Used-b.own, a.Used-a.own), largerFirst(a, b))
	})
	quotas, left := fill(cs, len(req.Current))
	if left > 0 {
		return stay("%d of its %d ranks have no slot%s on hosts without other tenants", left, len(req.Current), orMemory(req.RankMemory))
	}
	given := make(map[string]int, len(cs))
	for i, c := range cs {
		given[c.Name] = quotas[i]
	}
	freeThen := 0
	for _, c := range all {
		if c.Used-c.own+given[c.Name] == 0 {
			freeThen++
		}
	}
	if freeThen <= freeNow {
		return stay("%d hosts are wholly free, and would be %d", freeNow, freeThen)
	}
	return moved(req, cs, quotas)
}

func migrateSpot(req Request, cs []candidate) Plan {
	if !slices.ContainsFunc(cs, func(c candidate) bool { return c.Evicting && c.own > 0 }) {
		return stay("none of its hosts is evicting")
	}
	cs = keep(cs, func(c candidate) bool { return !c.Evicting })
	slices.SortFunc(cs, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.own, a.own), largerFirst(a, b))
	})
	quotas, left := fill(cs, len(req.Current))
	if left > 0 {
		return Plan{Outcome: MustFreeze, Reason: fmt.Sprintf("%d of its %d ranks have no slot%s on hosts that stay", left, len(req.Current), orMemory(req.RankMemory))}
	}
	return moved(req, cs, quotas)
}

func stay(format string, args ...any) Plan {
	return Plan{Outcome: DoNotMigrate, Reason: fmt.Sprintf(format, args...)}
}

// moved hands out the quotas with the fewest moves: every rank whose host still
// has quota stays, in rank order; the rest get the hosts that have quota left,
// in name order. So a host either gains ranks or loses some, never both, and
// what it gains fits beside all that it has now: targets can be reserved before
// sources are released.
func moved(req Request, cs []candidate, quotas []int) Plan {
	quota := make(map[string]int, len(cs))
	for i, c := range cs {
		quota[c.Name] = quotas[i]
	}
	placement := make([]string, len(req.Current))
	for r, host := range req.Current {
		if quota[host] > 0 {
			quota[host]--
			placement[r] = host
		}
	}
	var targets []string
	for _, c := range slices.SortedFunc(slices.Values(cs), byName) {
		targets = append(targets, slices.Repeat([]string{c.Name}, quota[c.Name])...)
	}
	var moves []Move
	for r, host := range placement {
		if host == "" {
			placement[r], targets = targets[0], targets[1:]
			moves = append(moves, Move{Rank: r, From: req.Current[r], To: placement[r]})
		}
	}
	return Plan{Outcome: Migrate, Placement: placement, Moves: moves}
}
