package planner

import (
	"fmt"
	"slices"
	"strings"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// Explicit places size ranks as the rules say, in rank order, if each host has
// the free slots or oversubscribe is set, and the memory that each rank takes (0: none). A host that is not there, or takes no
// ranks, has no free slots, whatever oversubscribe says: it may come. An error
// means that the rules are invalid.
func Explicit(rules []*apiv1.PlaceRule, size int, oversubscribe bool, rankMemory int64, hosts []Host) (Plan, error) {
	placement, need, err := byRules(rules, size)
	if err != nil {
		return Plan{}, err
	}
	at := make(map[string]*Host, len(hosts))
	for i := range hosts {
		at[hosts[i].Name] = &hosts[i]
	}
	var missing []string
	unknown, more := false, 0
	for _, rule := range rules {
		name := rule.GetHost()
		n, ok := need[name]
		if !ok {
			continue // another rule has named it
		}
		delete(need, name)
		why, known := lacks(at[name], name, n, oversubscribe, rankMemory)
		switch {
		case why == "":
		case len(missing) == maxHostsNamed:
			more++
		default:
			missing, unknown = append(missing, why), unknown || !known
		}
	}
	if more > 0 {
		missing = append(missing, fmt.Sprintf("and %d more", more))
	}
	if unknown {
		var there []string
		for _, h := range hosts {
			there = append(there, h.Name)
		}
		missing = append(missing, hostsThere(there))
	}
	if len(missing) > 0 {
		return Plan{Outcome: NotEnoughSlots, Reason: strings.Join(missing, "; ")}.complete(""), nil
	}
	return Plan{Outcome: Placed, Placement: placement}.complete(""), nil
}

// lacks says why a host cannot take n ranks; empty if it can. known tells whether there is such a host.
func lacks(h *Host, name string, n int, oversubscribe bool, rank int64) (why string, known bool) {
	switch {
	case h == nil:
		return fmt.Sprintf("%s is not a host of this cluster", name), false
	case h.Evicting:
		return fmt.Sprintf("host %s takes no ranks", name) + h.because(), true
	case !oversubscribe && n > h.Slots:
		return fmt.Sprintf("%s has %d slots, %d are asked for", name, h.Slots, n), true
	case !oversubscribe && n > h.free():
		return fmt.Sprintf("needs %d slots on %s, which has %d free", n, name, h.free()), true
	case h.memory().TooLittleFor(rank):
		return name + " " + h.memory().Lacks(n, rank), true
	case n > h.memoryFor(rank):
		return fmt.Sprintf("needs %s on %s, which has %s free of %s", slotsAnd(n, rank), name, apiv1.Bytes(max(0, h.Memory-h.MemoryUsed)), apiv1.Bytes(h.Memory)), true
	}
	return "", true
}

// byRules is the placement that rules ask for, and how many ranks on each host.
func byRules(rules []*apiv1.PlaceRule, size int) (placement []string, need map[string]int, err error) {
	need = make(map[string]int)
	for i, rule := range rules {
		if rule.GetHost() == "" {
			return nil, nil, fmt.Errorf("place[%d].host: empty", i)
		}
		if rule.GetRanks() < 1 || int(rule.GetRanks()) > size {
			return nil, nil, fmt.Errorf("place[%d].ranks: %d; 1 to %d are possible", i, rule.GetRanks(), size)
		}
		need[rule.GetHost()] += int(rule.GetRanks())
		if total := len(placement) + int(rule.GetRanks()); total > size {
			return nil, nil, fmt.Errorf("place: the rules place at least %d ranks, the app has %d", total, size)
		}
		placement = append(placement, slices.Repeat([]string{rule.GetHost()}, int(rule.GetRanks()))...)
	}
	if len(placement) != size {
		return nil, nil, fmt.Errorf("place: the rules place %d ranks, the app has %d", len(placement), size)
	}
	return placement, need, nil
}

// hostsThere names the hosts, for whoever has named another: some of them, of a large cluster.
func hostsThere(names []string) string {
	if len(names) == 0 {
		return "there is no host"
	}
	slices.Sort(names)
	if more := len(names) - maxHostsNamed; more > 0 {
		names = append(names[:maxHostsNamed], fmt.Sprintf("and %d more", more))
	}
	return "the hosts are " + strings.Join(names, ", ")
}

// because is why an evicting host takes no ranks, to be put behind the word of it.
func (h Host) because() string {
	if h.Why == "" {
		return ""
	}
	return " (it is " + h.Why + ")"
}

// free is how many ranks the host can take now.
func (h Host) free() int {
	if h.Evicting {
		return 0
	}
	return max(0, h.Slots-h.Used)
}
