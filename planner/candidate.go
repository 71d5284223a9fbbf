package planner

import (
	"cmp"
	"slices"
)

// candidate is a host under consideration.
type candidate struct {
	Host
	own    int  // ranks of the app on it now
	room   int  // ranks of the app that it can have, by the request's kind
	shared bool // other tenants use it
}

// candidates looks at the request's hosts. For new and scale, room is what is
// free. For migrate the app's own slots count as free, and a host that takes no
// new ranks has room for those that it has.
func candidates(req Request) []candidate {
	own := req.own()
	out := make([]candidate, 0, len(req.Hosts))
	for _, h := range req.Hosts {
		c := candidate{Host: h, own: own[h.Name]}
		c.shared = slices.ContainsFunc(h.Tenants, func(t string) bool { return t != req.Tenant })
		c.room = max(0, h.Slots-h.Used)
		if req.Kind == KindMigrate {
			c.room = max(0, h.Slots-h.Used+c.own)
		}
		if h.Evicting {
			c.room = 0
			if req.Kind == KindMigrate {
				c.room = min(c.own, max(0, h.Slots-h.Used+c.own))
			}
		}
		out = append(out, c)
	}
	return out
}

func keep(cs []candidate, wanted func(candidate) bool) []candidate {
	return slices.DeleteFunc(cs, func(c candidate) bool { return !wanted(c) })
}

// largerFirst orders by free slots, then slots, then name, each descending.
func largerFirst(a, b candidate) int {
	return cmp.Or(cmp.Compare(b.room, a.room), cmp.Compare(b.Slots, a.Slots), cmp.Compare(b.Name, a.Name))
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
