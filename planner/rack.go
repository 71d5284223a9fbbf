package planner

import (
	"math"
	"slices"
)

// nearest is candidates, in their order, with those first of the rack that would hold n ranks best: on the fewest hosts, with the fewest links. It is as it was where one host holds them all, where hosts are in one
// rack, or none, and where no rack does better than all together.
func nearest(cs []candidate, n int) []candidate {
	if len(cs) == 0 || cs[0].room >= n {
		return cs
	}
	racks := make(map[string][]candidate)
	var names []string // in order of their first hosts
	for _, c := range cs {
		rack := c.Labels[RackLabel]
		if racks[rack] == nil {
			names = append(names, rack)
		}
		racks[rack] = append(racks[rack], c)
	}
	if len(names) < 2 {
		return cs
	}
	quotas, _ := fill(cs, n)
	lastFaster(cs, quotas)
	best, least, speed := "", spreadOf(cs, quotas, n), slowest(cs, quotas)
	found := false
	for _, rack := range names {
		quotas, left := fill(racks[rack], n)
		if left > 0 {
			continue
		}
		lastFaster(racks[rack], quotas)
		m, s := spreadOf(racks[rack], quotas, n), slowest(racks[rack], quotas)
		if m.betterThan(least) || m == least && s > speed {
			best, least, speed, found = rack, m, s, true
		}
	}
	if !found {
		return cs
	}
	return append(slices.Clone(racks[best]), keep(slices.Clone(cs), func(c candidate) bool { return c.Labels[RackLabel] != best })...)
}

// spreadOver gives n ranks to the candidates so that those with each value of a label get as many as the others, as far as they have room. Where hosts are of different speed, and gangs, the slowest host of the app is as
// fast as can be: those with each value get theirs as gang has it, and what is faster than the slowest of all is of no use.
func spreadOver(cs []candidate, n int, label string, gangs bool) (ordered []candidate, quotas []int, left int) {
	quotas, left = fillEvenly(cs, n, label)
	if left > 0 || !gangs || !differ(cs) {
		return cs, quotas, left
	}
	ranks, groups := make(map[string]int), make(map[string][]candidate)
	var values []string // in order of their first candidates
	for i, c := range cs {
		v := c.Labels[label]
		if groups[v] == nil {
			values = append(values, v)
		}
		groups[v] = append(groups[v], c)
		ranks[v] += quotas[i]
	}
	best := math.Inf(1)
	for _, v := range values {
		some, q, _ := gang(slices.Clone(groups[v]), ranks[v], largerFirst)
		best = min(best, slowest(some, q))
	}
	quotas = nil
	for _, v := range values {
		for i := range groups[v] {
			groups[v][i].rate = min(groups[v][i].rate, best)
		}
		some, q, _ := gang(groups[v], ranks[v], largerFirst)
		ordered, quotas = append(ordered, some...), append(quotas, q...)
	}
	return ordered, quotas, 0
}

// fillEvenly gives n ranks to the candidates so that those with each value of a label get as many as the others, as far as they have room; among those with one value it fills in order.
func fillEvenly(cs []candidate, n int, label string) (quotas []int, left int) {
	quotas = make([]int, len(cs))
	next := make(map[string][]int) // by value: places of the candidates that have room, in order
	var values []string            // in order of their first candidates
	for i, c := range cs {
		v := c.Labels[label]
		if v == "" || c.room == 0 {
			continue
		}
		if next[v] == nil {
			values = append(values, v)
		}
		next[v] = append(next[v], i)
	}
	for n > 0 && len(values) > 0 { // each round gives one to each value that has room
		still := values[:0]
		for _, v := range values {
			if n == 0 {
				break
			}
			i := next[v][0]
			n--
			if quotas[i]++; quotas[i] == cs[i].room {
				next[v] = next[v][1:]
			}
			if len(next[v]) > 0 {
				still = append(still, v)
			}
		}
		values = still
	}
	return quotas, n
}
