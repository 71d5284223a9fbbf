package planner

import (
	"cmp"
	"math"
	"slices"
	"sort"
)

// order is a board's hosts for ranks that take so much memory each, larger first: as largerFirst has candidates.
type order struct {
	rank   int64
	list   []entry
	free   int               // for how many such ranks the hosts have room
	idle   int               // changes of hosts since it was asked for
	only   map[string]bool   // nil: all hosts are in it
	racks  map[string]*order // the same by racks; nil: nobody has asked for that
	labels map[string]string // of the rack of which it is
}

// has tells whether a host of the board is in the order.
func (o *order) has(name string) bool { return o.only == nil || o.only[name] }

// entry is a host in an order.
type entry struct {
	room int // how many more of the ranks it can have
	*seat
}

func newOrder(rank int64, hosts map[string]*seat, only map[string]bool) *order {
	o := &order{rank: rank, only: only, list: make([]entry, 0, len(hosts))}
	for _, s := range hosts {
		if !o.has(s.name) {
			continue
		}
		e := o.entry(s)
		o.list = append(o.list, e)
		o.free += e.room
	}
	slices.SortFunc(o.list, largerEntry)
	return o
}

func largerEntry(a, b entry) int {
	switch {
	case a.room != b.room:
		return cmp.Compare(b.room, a.room)
	case a.speed != b.speed:
		return cmp.Compare(b.speed, a.speed)
	case a.slots != b.slots:
		return cmp.Compare(b.slots, a.slots)
	}
	return cmp.Compare(b.name, a.name)
}

func (o *order) entry(s *seat) entry {
	return entry{room: max(0, min(s.free, s.memory.For(o.rank))), seat: s}
}

func (o *order) put(s *seat) {
	if !o.has(s.name) {
		return
	}
	e := o.entry(s)
	at, _ := slices.BinarySearchFunc(o.list, e, largerEntry)
	o.list = slices.Insert(o.list, at, e)
	o.free += e.room
	if o.racks != nil {
		o.rack(s).put(s)
	}
}

func (o *order) remove(s *seat) {
	if !o.has(s.name) {
		return
	}
	e := o.entry(s)
	at, _ := slices.BinarySearchFunc(o.list, e, largerEntry)
	o.list = slices.Delete(o.list, at, at+1)
	o.free -= e.room
	if o.racks != nil {
		if r := o.rack(s); len(r.list) == 1 {
			delete(o.racks, s.rack)
		} else {
			r.remove(s)
		}
	}
}

// gang gives n ranks, for which there is room, to the hosts of the order and those of an app, which has ranks on them: what gang gives of all, by an order of candidates that goes by their room, their speed, and what of that is no use,
// in this order, as byRoom and largerFirst do. uneven: hosts are of different speed. The answer has those that get some, all of the app's, and others. It costs the hosts that the app has and would get, and where speeds
// differ one for each number of free slots that there is.
func (o *order) gang(mine []candidate, n int, by func(a, b candidate) int, uneven bool) (cs []candidate, quotas []int) {
	cs = o.near(mine, n, math.Inf(1), uneven)
	slices.SortFunc(cs, by)
	quotas, _ = fill(cs, n)
	if !uneven {
		return cs, quotas
	}
	lastFaster(cs, quotas)
	best := slowest(cs, quotas)
	cs = o.near(mine, n, best, true)
	for i := range cs {
		cs[i].rate = min(cs[i].rate, best)
	}
	slices.SortFunc(cs, by)
	quotas, _ = fill(cs, n)
	lastFaster(cs, quotas)
	return cs, quotas
}

// near are those hosts of the order that may get some of n ranks, or have the last of them, if no more than so much of a speed is of use: as many as have room for n, one more, and where each is wanted the first of each room. mine
// are among the answer, and have the place of theirs.
//
// Of hosts with as much room the others are never better for the last host's ranks than the first, by lastFaster: they are no faster.
func (o *order) near(mine []candidate, n int, best float64, each bool) []candidate {
	out := append(make([]candidate, 0, len(mine)+4), mine...)
	add := func(e entry) bool {
		for i := range mine {
			if mine[i].Name == e.name {
				return false
			}
		}
		out = append(out, candidate{
			Host: Host{Name: e.name, Slots: e.slots, Used: e.used, Speed: e.speed, Memory: e.memory.All, MemoryUsed: e.memory.Used, RankMemory: e.memory.OfRank, Labels: o.labels},
			rack: e.rack, room: e.room, memory: e.memory.For(o.rank), rate: e.speed,
		})
		n -= e.room
		return true
	}
	for i := 0; i < len(o.list) && o.list[i].room > 0 && (each || n > 0); {
		end := i + sort.Search(len(o.list)-i, func(j int) bool { return o.list[i+j].room < o.list[i].room })
		o.level(i, end, best, func(e entry) bool {
			full := n <= 0
			return !add(e) || !full
		})
		i = end
	}
	return out
}

// level gives the places from i to end, of hosts with as much room, in their order if no more than so much of a speed is of use, as long as they are wanted: the slowest of those that are fast enough first.
func (o *order) level(i, end int, best float64, want func(entry) bool) {
	slower := i
	if o.list[i].speed > best {
		slower += sort.Search(end-i, func(j int) bool { return o.list[i+j].speed < best })
	}
	for to := slower; to > i; {
		from := i + sort.Search(to-i, func(j int) bool { return o.list[i+j].speed <= o.list[to-1].speed })
		for _, e := range o.list[from:to] {
			if !want(e) {
				return
			}
		}
		to = from
	}
	for _, e := range o.list[slower:end] {
		if !want(e) {
			return
		}
	}
}
