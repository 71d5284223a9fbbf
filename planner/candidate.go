package planner

import (
	"cmp"
	"slices"
)

// candidate is a host under consideration.
type candidate struct {
	Host
	own    int     // ranks of the app on it now
	room   int     // ranks of the app that it can have, by the request's kind
	memory int     // how many it has memory for, whatever its slots, by the request's kind
	rate   float64 // its speed, as far as that is of use
	shared bool    // other tenants use it
	rack   string  // of a board's host
}

// candidates looks at the request's hosts. For new and scale, room is what is
// free. For migrate the app's own slots count as free, and a host that takes no
// new ranks has room for those that it has.
func candidates(req Request) []candidate {
	own := req.own()
	out := make([]candidate, 0, len(req.Hosts))
	for _, h := range req.Hosts {
		c := candidate{Host: h, own: own[h.Name], rate: h.speed()}
		c.shared = slices.ContainsFunc(h.Tenants, func(t string) bool { return t != req.Tenant })
		if req.Kind == KindMigrate {
			h.take(-c.own, req.RankMemory) // its own slots, and memory, count as free
		}
		c.memory = h.memoryFor(req.RankMemory)
		c.room = max(0, min(h.Slots-h.Used, c.memory))
		if h.Evicting {
			c.room = min(c.room, c.own)
			if req.Kind != KindMigrate {
				c.room = 0
			}
		}
		out = append(out, c)
	}
	return out
}

func keep(cs []candidate, wanted func(candidate) bool) []candidate {
	return slices.DeleteFunc(cs, func(c candidate) bool { return !wanted(c) })
}

// largerFirst orders by room, then speed, slots and name, each descending; what of a host's speed is of no use is left for others.
func largerFirst(a, b candidate) int {
	switch {
	case a.room != b.room:
		return cmp.Compare(b.room, a.room)
	case a.rate != b.rate:
		return cmp.Compare(b.rate, a.rate)
	case a.speed() != b.speed():
		return cmp.Compare(a.speed(), b.speed())
	case a.Slots != b.Slots:
		return cmp.Compare(b.Slots, a.Slots)
	}
	return cmp.Compare(b.Name, a.Name)
}

func byName(a, b candidate) int { return cmp.Compare(a.Name, b.Name) }

// fill gives n ranks to the candidates, as many as each has room for, in order.
// It returns how many each gets, and how many are left over.
func fill(cs []candidate, n int) (quotas []int, left int) {
	quotas = make([]int, len(cs))
	for i, c := range cs {
		quotas[i] = min(c.room, n)
		n -= quotas[i]
	}
	return quotas, n
}
