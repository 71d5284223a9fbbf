package planner

import "slices"

// together gives ranks that are left over to hosts, beside those that they get already, up to as many as each may have, so that none of the app's ranks is alone on a host: first to one, then to the
// others in order. ok is false if there is no way.
//
// One rank may be left in the end, where there are hosts that have none. Then one that gets three or more, or that has had some before, gives one; else one that gets two gives both to a host that may have three.
// Where neither can be, all have two and may have two, and the rank has no place.
func together(cs []candidate, has, most []int, left, first int) (quotas []int, ok bool) {
	quotas = slices.Clone(has)
	give := func(i int) {
		if n := min(left, most[i]-quotas[i]); n > 0 && cs[i].own+quotas[i]+n > 1 {
			quotas[i], left = quotas[i]+n, left-n
		}
	}
	give(first)
	for i := range cs {
		give(i)
	}
	if left != 1 {
		return quotas, left == 0
	}
	find := func(fits func(i int) bool) int {
		for i := range cs {
			if fits(i) {
				return i
			}
		}
		return -1
	}
	empty := func(least int) int {
		return find(func(i int) bool { return cs[i].own+quotas[i] == 0 && most[i] >= least })
	}
	if i, to := find(func(i int) bool { return quotas[i] > 2 || quotas[i] > 0 && cs[i].own > 0 }), empty(2); i >= 0 && to >= 0 {
		quotas[i], quotas[to] = quotas[i]-1, 2
		return quotas, true
	}
	if i, to := find(func(i int) bool { return quotas[i] == 2 }), empty(3); i >= 0 && to >= 0 {
		quotas[i], quotas[to] = 0, 3
		return quotas, true
	}
	return quotas, false
}
