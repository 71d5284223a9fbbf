package main

import (
	"fmt"
	"strconv"
	"strings"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// constrained says whether the command line says anything about where ranks go. If not, the cluster decides.
func (p *part) constrained() bool { return len(p.hosts) > 0 || p.perHost > 0 || p.byNode }

// size is the number of ranks: as asked for, else as many on each host as asked for, else 1.
func (p *part) size(hosts int) int {
	switch {
	case p.ranks > 0:
		return p.ranks
	case p.perHost > 0:
		return p.perHost * hosts
	default:
		return 1
	}
}

// place gives each rank of the part a host. It takes the slots that are free; where those are too few, those there will be
// when other apps have ended; with oversubscribe, more than there are. What it takes it takes from rooms too.
func (p *part) place(rooms []room, oversubscribe bool) ([]string, error) {
	n := p.size(len(rooms))
	limit := func(slots int) int {
		if p.perHost > 0 {
			return min(slots, p.perHost)
		}
		return slots
	}
	free, all := make([]int, len(rooms)), make([]int, len(rooms))
	for i, r := range rooms {
		free[i], all[i] = limit(r.free), limit(r.all)
		if oversubscribe && p.perHost > 0 {
			all[i] = p.perHost
		}
	}
	quotas, left := p.share(n, free)
	if left > 0 {
		quotas, left = p.share(n, all)
	}
	for i := 0; left > 0; i++ {
		if !oversubscribe || p.perHost > 0 {
			return nil, &exitError{exitFailed, notEnoughSlots(n, "", rooms, p.perHost)}
		}
		quotas[i%len(quotas)]++
		left--
	}
	for i := range rooms {
		rooms[i].free, rooms[i].all = max(0, rooms[i].free-quotas[i]), max(0, rooms[i].all-quotas[i])
	}
	return p.order(rooms, quotas), nil
}

// share divides n ranks over hosts with so many slots: one host after the other, or one rank to each in turn.
func (p *part) share(n int, slots []int) (quotas []int, left int) {
	quotas = make([]int, len(slots))
	for progress := true; progress && n > 0; {
		progress = false
		for i := range slots {
			k := min(n, slots[i]-quotas[i])
			if p.byNode {
				k = min(k, 1)
			}
			if k > 0 {
				quotas[i], n, progress = quotas[i]+k, n-k, true
			}
		}
	}
	return quotas, n
}

// order lists the hosts of the ranks: with byNode neighbours are on different hosts.
func (p *part) order(rooms []room, quotas []int) []string {
	var out []string
	for progress := true; progress; {
		progress = false
		for i := range quotas {
			k := quotas[i]
			if p.byNode {
				k = min(k, 1)
			}
			for range k {
				out, progress = append(out, rooms[i].name), true
			}
			quotas[i] -= k
		}
	}
	return out
}

// rulesOf is a placement in the form of the API.
func rulesOf(placement []string) []*apiv1.PlaceRule {
	var rules []*apiv1.PlaceRule
	for _, host := range placement {
		if len(rules) > 0 && rules[len(rules)-1].Host == host {
			rules[len(rules)-1].Ranks++
			continue
		}
		rules = append(rules, &apiv1.PlaceRule{Host: host, Ranks: 1})
	}
	return rules
}

// maxHostsNamed keeps messages short on large clusters.
const maxHostsNamed = 8

// tooMany says that the parts together have more ranks than there are slots in rooms.
func (l *launch) tooMany(rooms []room) error {
	n := 0
	var each []string
	for _, p := range l.parts {
		n += p.size(len(rooms))
		each = append(each, strconv.Itoa(p.size(len(rooms))))
	}
	return &exitError{exitFailed, notEnoughSlots(n, " ("+strings.Join(each, " + ")+")", rooms, 0)}
}

// notEnoughSlots says what there is, what would fit, and what to do. parts is the sum that n is, if it is one.
func notEnoughSlots(n int, parts string, rooms []room, perHost int) string {
	total := 0
	var each []string
	for i, r := range rooms {
		slots := r.all
		if perHost > 0 {
			slots = min(slots, perHost)
		}
		total += slots
		switch {
		case i < maxHostsNamed:
			each = append(each, fmt.Sprintf("%s %d of %d free", r.name, r.free, r.all))
		case i == maxHostsNamed:
			each = append(each, fmt.Sprintf("and %d more hosts", len(rooms)-i))
		}
	}
	text := fmt.Sprintf("not enough slots for %d ranks%s: there are %d (%s)", n, parts, total, strings.Join(each, ", "))
	if perHost > 0 {
		text += fmt.Sprintf(", with at most %d ranks on a host", perHost)
	}
	if total > 0 && parts == "" {
		text += fmt.Sprintf("; -n %d fits", total)
	}
	if perHost > 0 {
		return text + ", a larger -N may"
	}
	return text + "; --oversubscribe runs several ranks on a slot, another godwit worker adds slots"
}
