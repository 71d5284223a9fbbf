package planner

import "slices"

// nearest is candidates, in their order, with those first of the rack that would hold n ranks best: on the fewest hosts, with the fewest links. It is as it was where one host holds them all, where hosts are in one
// rack, or none, and where no rack does better than all together.
func nearest(cs []candidate, n int) []candidate {
	if len(cs) == 0 || cs[0].room >= n {
		return cs
	}
	racks := make(map[string]int) // the room of each
	var names []string            // in order of their first hosts
	for _, c := range cs {
		rack := c.Labels[RackLabel]
		if _, ok := racks[rack]; !ok {
			names = append(names, rack)
		}
		racks[rack] += c.room
	}
	if len(names) < 2 {
		return cs
	}
	measure := func(order []candidate) spread {
		quotas, _ := fill(order, n)
		return spreadOf(order, quotas, n)
	}
	best, least := cs, measure(cs)
	for _, rack := range names {
		if racks[rack] < n {
			continue
		}
		of := func(c candidate) bool { return c.Labels[RackLabel] == rack }
		order := append(keep(slices.Clone(cs), of), keep(slices.Clone(cs), func(c candidate) bool { return !of(c) })...)
		if m := measure(order); m.betterThan(least) {
			best, least = order, m
		}
	}
	return best
}

// fillEvenly gives n ranks to the candidates so that those with each value of a label get as many as the others, as far as they have room; among those with one value it fills in order.
func fillEvenly(cs []candidate, n int, label string) (quotas []int, left int) {
	quotas = make([]int, len(cs))
	given, next := make(map[string]int), make(map[string][]int) // by value: ranks, and places of the candidates that have room, in order
	var values []string                                         // in order of their first candidates
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
	for ; n > 0; n-- {
		best := ""
		for _, v := range values {
			if len(next[v]) > 0 && (best == "" || given[v] < given[best]) {
				best = v
			}
		}
		if best == "" {
			break
		}
		i := next[best][0]
		given[best]++
		if quotas[i]++; quotas[i] == cs[i].room {
			next[best] = next[best][1:]
		}
	}
	return quotas, n
}
