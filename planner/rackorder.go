package planner

import (
	"maps"
	"math"
	"slices"
)

// byRack are the hosts of the order by their racks. It costs a look at all of them when it is asked for first.
func (o *order) byRack() map[string]*order {
	if o.racks == nil {
		o.racks = make(map[string]*order)
		for _, e := range o.list {
			r := o.rack(e.seat)
			r.list = append(r.list, e)
			r.free += e.room
		}
	}
	return o.racks
}

// rack is the order of a host's rack.
func (o *order) rack(s *seat) *order {
	r, ok := o.racks[s.rack]
	if !ok {
		r = &order{rank: o.rank, labels: map[string]string{RackLabel: s.rack}}
		o.racks[s.rack] = r
	}
	return r
}

// gangInRacks is gang where hosts are in several racks: all together, or of one rack where that is better, as nearest has it. It costs some hosts of each rack that has room for all. mine have their labels.
func (o *order) gangInRacks(mine []candidate, n int, by func(a, b candidate) int, uneven bool) (cs []candidate, quotas []int) {
	cs, quotas = o.nearest(mine, n, math.Inf(1), by, uneven)
	if uneven {
		cs, quotas = o.nearest(mine, n, slowest(cs, quotas), by, uneven)
	}
	for _, c := range mine { // what it has elsewhere
		if !slices.ContainsFunc(cs, func(x candidate) bool { return x.Name == c.Name }) {
			cs, quotas = append(cs, c), append(quotas, 0)
		}
	}
	return cs, quotas
}

// nearest is one pass of gangInRacks, in which no more than so much of a speed is of use.
func (o *order) nearest(mine []candidate, n int, best float64, by func(a, b candidate) int, uneven bool) (cs []candidate, quotas []int) {
	racks := o.byRack()
	cs = o.labelled(o.near(mine, n, best, uneven))
	quotas = ranked(cs, n, best, by)
	if len(cs) == 0 || cs[0].room >= n {
		lastFaster(cs, quotas)
		return cs, quotas
	}
	if uneven { // the last host may change places with another one of its rack
		last := cs[lastOf(quotas)].Labels[RackLabel]
		for _, c := range near(racks[last], mine, last, n, best, uneven) {
			if !slices.ContainsFunc(cs, func(x candidate) bool { return x.Name == c.Name }) {
				cs = append(cs, c)
			}
		}
		quotas = ranked(cs, n, best, by)
		lastFaster(cs, quotas)
	}
	least, speed := spreadOf(cs, quotas, n), slowest(cs, quotas)
	var first *candidate // of the rack; nil: it is all together
	names := slices.Collect(maps.Keys(racks))
	for _, c := range mine { // also where no host takes ranks: those that are there may stay
		if rack := c.Labels[RackLabel]; racks[rack] == nil && !slices.Contains(names, rack) {
			names = append(names, rack)
		}
	}
	for _, name := range names {
		r, room := racks[name], 0
		if r != nil {
			room = r.free
		}
		for _, c := range mine {
			if c.Labels[RackLabel] == name {
				room += c.room // its hosts may be counted twice
			}
		}
		if room < n {
			continue
		}
		some := near(r, mine, name, n, best, uneven)
		q := ranked(some, n, best, by)
		if sum(q) < n {
			continue
		}
		lastFaster(some, q)
		m, s := spreadOf(some, q, n), slowest(some, q)
		if m.betterThan(least) || m == least && (s > speed || s == speed && first != nil && by(some[0], *first) < 0) {
			cs, quotas, least, speed, first = some, q, m, s, &some[0]
		}
	}
	return cs, quotas
}

// near are the hosts of a rack that may get some of n ranks, those of an app there among them.
func near(r *order, mine []candidate, rack string, n int, best float64, each bool) []candidate {
	var there []candidate
	for _, c := range mine {
		if c.Labels[RackLabel] == rack {
			there = append(there, c)
		}
	}
	if r == nil { // no host of it takes ranks
		return there
	}
	return r.near(there, n, best, each)
}

// labelled gives candidates of the order the labels of their racks.
func (o *order) labelled(cs []candidate) []candidate {
	for i := range cs {
		if r := o.racks[cs[i].rack]; cs[i].Labels == nil && r != nil {
			cs[i].Labels = r.labels
		}
	}
	return cs
}

// ranked sorts candidates, of whose speeds no more than so much is of use, and gives them n ranks in order, as far as they have room.
func ranked(cs []candidate, n int, best float64, by func(a, b candidate) int) []int {
	for i := range cs {
		cs[i].rate = min(cs[i].rate, best)
	}
	slices.SortFunc(cs, by)
	quotas, _ := fill(cs, n)
	return quotas
}

// lastOf is the place of the last host that has ranks.
func lastOf(quotas []int) int {
	last := 0
	for i, q := range quotas {
		if q > 0 {
			last = i
		}
	}
	return last
}

func sum(quotas []int) int {
	n := 0
	for _, q := range quotas {
		n += q
	}
	return n
}
