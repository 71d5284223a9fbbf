package planner

import "slices"

// inUse gives n ranks to the candidates as EmptyHosts has them placed: none goes to a host with nothing on it as long as those in use have room for all, so that what has become empty stays so. All go to the
// fullest host in use that has room for all; else as gang has it to those in use, with as few others, the largest, as it takes. left are those that have no slot.
func inUse(cs []candidate, n int, order func(a, b candidate) int) (ordered []candidate, quotas []int, left int) {
	slices.SortFunc(cs, order)
	var used, rest []candidate
	room, one := 0, -1
	for _, c := range cs {
		if c.Used == 0 {
			rest = append(rest, c)
			continue
		}
		if c.room >= n && (one < 0 || c.room < used[one].room) {
			one = len(used)
		}
		used = append(used, c)
		room += c.room
	}
	if one >= 0 {
		used[0], used[one] = used[one], used[0]
		ordered = append(used, rest...)
		quotas, left = fill(ordered, n)
		return ordered, quotas, left
	}
	for len(rest) > 0 && room < n {
		room += rest[0].room
		used, rest = append(used, rest[0]), rest[1:]
	}
	ordered, quotas, left = gang(used, n, order)
	return append(ordered, rest...), append(quotas, make([]int, len(rest))...), left
}
