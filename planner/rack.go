package planner

import "slices"

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
