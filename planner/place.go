package planner

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// place answers new and scale.
func place(req Request) Plan {
	cs := keep(candidates(req), func(c candidate) bool {
		return !c.Evicting && (req.Policy != Compact || !c.shared)
	})
	var quotas []int
	left := req.Ranks
	switch packs := req.Kind == KindNew && req.Spread == "" && req.Hint == HintNone && req.Policy != MainFirst; {
	case packs && req.Policy == EmptyHosts:
		cs, quotas, left = inUse(cs, req.Ranks, largerFirst)
	case packs:
		cs, quotas, left = gang(cs, req.Ranks, largerFirst)
	default:
		sortForPlacement(cs, req)
	}
	main := slices.IndexFunc(cs, func(c candidate) bool { return c.Name == req.MainHost })
	if len(cs) == 0 {
		return notEnough(req, cs, "")
	}
	if req.Hint == ForceLocal {
		return placeLocal(req, cs, main)
	}
	if req.Hint == Underfull {
		half := &cs[max(main, 0)]
		half.room = max(0, min(half.room, half.Slots/2-half.own))
	}
	if req.Spread != "" {
		cs, quotas, left = spreadOver(cs, req.Ranks, req.Spread, req.Kind == KindNew)
	} else if quotas == nil {
		quotas, left = fill(cs, req.Ranks)
	}
	if left > 0 && !req.Oversubscribe {
		return notEnough(req, cs, "")
	}
	if req.Hint == NeverAlone && (req.Ranks > 1 || req.Kind == KindScale) {
		return placeNeverAlone(req, cs, main)
	}
	return placed(req, cs, quotas, left, overflowHost(quotas, main))
}

func sortForPlacement(cs []candidate, req Request) {
	switch {
	case req.Kind == KindScale:
		slices.SortFunc(cs, func(a, b candidate) int {
			return cmp.Or(cmp.Compare(b.own, a.own), largerFirst(a, b))
		})
	case req.Policy == MainFirst:
		slices.SortFunc(cs, func(a, b candidate) int {
			if aMain, bMain := a.Name == req.MainHost, b.Name == req.MainHost; aMain != bMain {
				if aMain {
					return -1
				}
				return 1
			}
			return byName(a, b)
		})
	default:
		slices.SortFunc(cs, largerFirst)
	}
}

// overflowHost is where ranks beyond all slots go: the main host, or the first
// host used, or the first of all where none is.
func overflowHost(quotas []int, main int) int {
	if main >= 0 {
		return main
	}
	return max(0, slices.IndexFunc(quotas, func(q int) bool { return q > 0 }))
}

// placed gives the ranks hosts in the order of the candidates, and those left
// over, which are the last ranks, the overflow host; others where it has no memory for them.
func placed(req Request, cs []candidate, quotas []int, left, overflow int) Plan {
	more, ok := spill(cs, quotas, left, overflow)
	if !ok {
		return notEnough(req, cs, "memory is never oversubscribed")
	}
	var placement []string
	for i, q := range quotas {
		placement = append(placement, slices.Repeat([]string{cs[i].Name}, q)...)
	}
	placement = append(placement, slices.Repeat([]string{cs[overflow].Name}, more[overflow])...)
	for i, q := range more {
		if i != overflow {
			placement = append(placement, slices.Repeat([]string{cs[i].Name}, q)...)
		}
	}
	return Plan{Outcome: Placed, Placement: placement}
}

// placeLocal puts all ranks on the main host. Without one it is the first host
// with room for all, or the first of all.
func placeLocal(req Request, cs []candidate, main int) Plan {
	if main < 0 && req.MainHost != "" {
		why := ""
		if i := slices.IndexFunc(req.Hosts, func(h Host) bool { return h.Name == req.MainHost }); i >= 0 {
			why = req.Hosts[i].because()
		}
		return notEnough(req, cs, fmt.Sprintf("force_local: the main host %s takes no ranks%s", req.MainHost, why))
	}
	if main < 0 {
		main = slices.IndexFunc(cs, func(c candidate) bool { return c.room >= req.Ranks })
	}
	if main < 0 && req.Oversubscribe {
		main = slices.IndexFunc(cs, func(c candidate) bool { return c.memory >= req.Ranks })
	}
	main = max(0, main)
	if cs[main].room < req.Ranks && !req.Oversubscribe || cs[main].memory < req.Ranks {
		return notEnough(req, cs, "force_local: all ranks on "+cs[main].Name)
	}
	return placed(req, cs, make([]int, len(cs)), req.Ranks, main)
}

// placeNeverAlone fills, passing over hosts that would end with a single rank of
// the app; what is left over goes to the last host used, even beyond its slots.
// Where that has no memory for it, or may not go beyond its slots, it goes to others too, as long as no rank is alone then.
func placeNeverAlone(req Request, cs []candidate, main int) Plan {
	quotas, left, last := make([]int, len(cs)), req.Ranks, -1
	for i, c := range cs {
		n := min(c.room, left)
		if n == 0 || n+c.own == 1 {
			continue
		}
		quotas[i], left, last = n, left-n, i
	}
	first := last
	if last < 0 {
		first = max(main, 0)
	}
	switch {
	case last < 0 && !req.Oversubscribe:
		return notEnough(req, cs, "never_alone: no host has room for two ranks")
	case left == 0 || !req.within && cs[first].memory >= quotas[first]+left:
		return placed(req, cs, quotas, left, first)
	}
	slots, memory := make([]int, len(cs)), make([]int, len(cs))
	for i, c := range cs {
		slots[i], memory[i] = c.room, max(0, c.memory)
	}
	if all, ok := together(cs, quotas, slots, left, first); ok {
		return placed(req, cs, all, 0, first)
	}
	if !req.Oversubscribe {
		return notEnough(req, cs, "never_alone: a rank would be alone, or without a slot"+orMemory(req.RankMemory))
	}
	if all, ok := together(cs, quotas, memory, left, first); ok {
		return placed(req, cs, all, 0, first)
	}
	return notEnough(req, cs, "never_alone: a rank would be alone, or without memory, which is never oversubscribed")
}

// maxHostsNamed keeps reasons short on large clusters; maxReasonsNamed is as many, where each has a text of its own.
const (
	maxHostsNamed   = 8
	maxReasonsNamed = 3
)

// notEnough says what is needed and what is there, such as "needs 8 slots; free:
// w1 2, w2 1".
func notEnough(req Request, cs []candidate, why string) Plan {
	named := slices.SortedFunc(slices.Values(cs), byName)
	var free []string
	for i, c := range named {
		if i == maxHostsNamed {
			free = append(free, fmt.Sprintf("and %d more hosts", len(named)-i))
			break
		}
		free = append(free, c.hasFree(req.RankMemory))
	}
	reason := fmt.Sprintf("needs %s; ", slotsAnd(req.Ranks, req.RankMemory))
	if len(free) == 0 {
		reason += "no host takes ranks" + whyNone(req.Hosts)
	} else {
		reason += "free: " + strings.Join(free, ", ")
	}
	if req.Hint == Underfull && why == "" {
		why = "underfull: half of the main host is left free"
	}
	if why != "" {
		reason += " (" + why + ")"
	}
	return Plan{Outcome: NotEnoughSlots, Reason: reason}
}

// whyNone is what is known of why hosts take no ranks, to be put behind the word of it.
func whyNone(hosts []Host) string {
	var why []string
	for _, h := range hosts {
		if h.Why == "" {
			continue
		}
		if len(why) == maxReasonsNamed {
			why = append(why, "and others take none either")
			break
		}
		why = append(why, h.Name+" is "+h.Why)
	}
	if len(why) == 0 {
		return ""
	}
	return ": " + strings.Join(why, "; ")
}
