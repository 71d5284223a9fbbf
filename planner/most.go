package planner

// mosts is for how many ranks a board's hosts would have room with nothing on them, by what a rank takes of memory. It is of those sizes that apps have asked for, and kept as hosts come, go, or
// have other slots or memory: what the apps cost that never fit is one look at all hosts for each size.
type mosts map[int64]int

// of looks at the hosts for a size that nobody has asked for.
func (m mosts) of(rank int64, hosts map[string]*seat) int {
	most, ok := m[rank]
	if !ok {
		for _, s := range hosts {
			most += s.holds(rank)
		}
		if len(m) == maxShapes {
			clear(m)
		}
		m[rank] = most
	}
	return most
}

// change takes a host's slots and memory for what they are; was or is may be nil, for a host that comes or goes.
func (m mosts) change(was, is *seat) {
	if was != nil && is != nil && was.slots == is.slots && was.memory.All == is.memory.All && was.memory.OfRank == is.memory.OfRank {
		return
	}
	for rank := range m {
		m[rank] += is.holds(rank) - was.holds(rank)
	}
}

// holds is for how many ranks that take so much memory a host would have room with nothing on it.
func (s *seat) holds(rank int64) int {
	if s == nil {
		return 0
	}
	empty := s.memory
	empty.Used = 0
	return min(s.slots, empty.For(rank))
}
