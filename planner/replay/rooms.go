package replay

import (
	"slices"

	"github.com/godwit-run/godwit/fsm"
)

// rooms counts hosts by what is free on them, and knows which are empty. It answers two questions without a look at all hosts:
// which are empty, for who wants whole ones, and whether a plan can be better, before the planner is asked for one.
type rooms struct {
	free  map[string]int // of the hosts that take ranks
	hosts []int          // how many of them have so many free slots
	total int            // free slots
	// empty are the hosts with nothing on them, by name, where somebody wants to know.
	empty     []string
	keepEmpty bool
}

func newRooms(v *fsm.View, keepEmpty bool) *rooms {
	r := &rooms{free: make(map[string]int), keepEmpty: keepEmpty}
	for host := range v.Hosts() {
		r.change(v, fsm.HostID(host.GetId()))
	}
	return r
}

// change takes a host as it is in a view.
func (r *rooms) change(v *fsm.View, id fsm.HostID) {
	name := string(id)
	if old, ok := r.free[name]; ok {
		r.hosts[old]--
		r.total -= old
		delete(r.free, name)
		if at, ok := slices.BinarySearch(r.empty, name); ok {
			r.empty = slices.Delete(r.empty, at, at+1)
		}
	}
	host, ok := v.Host(id)
	if !ok || !fsm.TakesRanks(host) {
		return
	}
	free := fsm.Free(host)
	for len(r.hosts) <= free {
		r.hosts = append(r.hosts, 0)
	}
	r.free[name] = free
	r.hosts[free]++
	r.total += free
	if r.keepEmpty && host.GetUsed() == 0 {
		at, _ := slices.BinarySearch(r.empty, name)
		r.empty = slices.Insert(r.empty, at, name)
	}
}

// share is what a job has on a host.
type share struct {
	host  string
	ranks int
}

// better tells whether bin_pack has a better placement for a job with these shares: whether the planner is worth asking, which
// costs a look at all hosts. It fills the largest rooms first, as the planner does, of hosts that are alike but for their room.
func (r *rooms) better(own []share) bool {
	n := 0
	var larger []int // rooms of the job's own hosts
	for _, s := range own {
		n += s.ranks
		room := s.ranks // a host that takes no ranks has room for those that it has
		if free, ok := r.free[s.host]; ok {
			room += free
		}
		larger = append(larger, room)
	}
	slices.SortFunc(larger, func(a, b int) int { return b - a })
	others := func(room int) int { // hosts with so much room, beside the job's own
		count := 0
		if room < len(r.hosts) {
			count = r.hosts[room]
		}
		for _, s := range own {
			if free, ok := r.free[s.host]; ok && free == room {
				count--
			}
		}
		return count
	}
	hosts, links, left := 0, 0, n
	use := func(room, count int) {
		for ; count > 0 && left > 0; count-- {
			k := min(room, left)
			hosts, links, left = hosts+1, links+k*(n-k), left-k
		}
	}
	for room := max(len(r.hosts)-1, larger[0]); room > 0 && left > 0; room-- {
		for len(larger) > 0 && larger[0] == room {
			use(room, 1)
			larger = larger[1:]
		}
		use(room, others(room))
	}
	return left == 0 && (hosts < len(own) || hosts == len(own) && links/2 < linksOf(own, n))
}
