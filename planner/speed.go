package planner

import (
	"cmp"
	"math"
	"slices"
)

// speed is how fast the host is beside others: 1, where nobody says.
func (h *Host) speed() float64 {
	if h.Speed == 0 {
		return 1
	}
	return h.Speed
}

// differ tells whether some of the hosts are faster than others.
func differ(cs []candidate) bool {
	for i := range cs {
		if cs[i].speed() != cs[0].speed() {
			return true
		}
	}
	return false
}

// slowest is the speed of the slowest host that has ranks: the app's, for its ranks run in step.
func slowest(cs []candidate, ranks []int) float64 {
	least := math.Inf(1)
	for i, n := range ranks {
		if n > 0 {
			least = min(least, cs[i].rate)
		}
	}
	return least
}

// gang gives n ranks to the candidates by bin_pack: on as few hosts, with as few links, as can be, by an order of hosts that goes by their room first. left are those that have no slot.
// Where hosts are of different speed it is, of all ways with as few links, one whose slowest host is as fast as can be. It prefers hosts that are no faster than that:
// what is faster than the app's slowest is of no use to it.
//
// All ways with as few links have the same number of ranks on each of their hosts, the largest first: greedy filling majorises every other. So hosts may change places
// with those of as much room, and the last host, which is not filled, with any that has room for its ranks.
func gang(cs []candidate, n int, order func(a, b candidate) int) (ordered []candidate, quotas []int, left int) {
	slices.SortFunc(cs, order)
	if _, left = fill(cs, n); left > 0 {
		return cs, nil, left
	}
	ordered = nearest(cs, n)
	quotas, _ = fill(ordered, n)
	if !differ(cs) {
		return ordered, quotas, 0
	}
	lastFaster(ordered, quotas)
	best := slowest(ordered, quotas)
	for i := range cs {
		cs[i].rate = min(cs[i].rate, best)
	}
	slices.SortFunc(cs, order)
	ordered = nearest(cs, n)
	quotas, _ = fill(ordered, n)
	lastFaster(ordered, quotas)
	return ordered, quotas, 0
}

// lastFaster gives the ranks of the last host that has some to another one with room for them, in its rack where the app has more hosts, if the app's slowest host is faster then.
func lastFaster(cs []candidate, quotas []int) {
	last, rest := 0, math.Inf(1)
	for i, q := range quotas {
		if q > 0 {
			last = i
		}
	}
	for i := range last {
		rest = min(rest, cs[i].rate)
	}
	to := last
	for i := last + 1; i < len(cs); i++ {
		if cs[i].room < quotas[last] || last > 0 && cs[i].Labels[RackLabel] != cs[last].Labels[RackLabel] {
			continue
		}
		if by := cmp.Compare(min(rest, cs[i].rate), min(rest, cs[to].rate)); by > 0 || by == 0 && to != last && cs[i].own > cs[to].own {
			to = i
		}
	}
	quotas[last], quotas[to] = quotas[to], quotas[last]
}
