package replay

import (
	"slices"

	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/planner"
)

// rooms has the hosts by what is free on them. It answers without a look at all hosts: which are empty, whether bin_pack has a
// better placement for a job, and which hosts matter for that.
type rooms struct {
	numbers map[string]int // of all hosts: their names are in the order of their numbers
	names   []string
	free    []int   // on each; -1: it takes no ranks
	by      [][]int // the numbers of the hosts with so many free slots, in order
	total   int     // free slots
}

func newRooms(v *fsm.View) *rooms {
	r := &rooms{numbers: make(map[string]int)}
	for host := range v.Hosts() {
		r.numbers[host.GetId()] = len(r.names)
		r.names = append(r.names, host.GetId())
		r.free = append(r.free, -1)
		r.change(v, fsm.HostID(host.GetId()))
	}
	return r
}

// change takes a host as it is in a view.
func (r *rooms) change(v *fsm.View, id fsm.HostID) {
	i := r.numbers[string(id)]
	if old := r.free[i]; old >= 0 {
		at, _ := slices.BinarySearch(r.by[old], i)
		r.by[old] = slices.Delete(r.by[old], at, at+1)
		r.total -= old
	}
	r.free[i] = -1
	host, ok := v.Host(id)
	if !ok || !fsm.TakesRanks(host) {
		return
	}
	free := fsm.Free(host)
	for len(r.by) <= free {
		r.by = append(r.by, nil)
	}
	at, _ := slices.BinarySearch(r.by[free], i)
	r.by[free] = slices.Insert(r.by[free], at, i)
	r.free[i] = free
	r.total += free
}

// empty are the numbers of the hosts of which all these slots are free.
func (r *rooms) empty(slots int) []int {
	if slots < len(r.by) {
		return r.by[slots]
	}
	return nil
}

// share is what a job has on a host.
type share struct {
	host  string
	ranks int
}

// room is how many ranks of a job a host has room for on which it has some: one that takes no ranks has room for those that it has.
func (r *rooms) room(s share) int { return s.ranks + max(0, r.free[r.numbers[s.host]]) }

// others counts the hosts with so much room on which a job has nothing.
func (r *rooms) others(room int, own []share) int {
	if room >= len(r.by) {
		return 0
	}
	count := len(r.by[room])
	for _, s := range own {
		if r.free[r.numbers[s.host]] == room {
			count--
		}
	}
	return count
}

// better tells whether bin_pack has a better placement for a job with these shares: whether the planner is worth asking. It fills
// the largest rooms first, as the planner does, of hosts that are alike but for their room.
func (r *rooms) better(own []share) bool {
	n := 0
	var rooms []int // of the job's own hosts
	for _, s := range own {
		n += s.ranks
		rooms = append(rooms, r.room(s))
	}
	slices.SortFunc(rooms, func(a, b int) int { return b - a })
	hosts, links, left := 0, 0, n
	use := func(room, count int) {
		for ; count > 0 && left > 0; count-- {
			k := min(room, left)
			hosts, links, left = hosts+1, links+k*(n-k), left-k
		}
	}
	for room := max(len(r.by)-1, rooms[0]); room > 0 && left > 0; room-- {
		for len(rooms) > 0 && rooms[0] == room {
			use(room, 1)
			rooms = rooms[1:]
		}
		use(room, r.others(room, own))
	}
	return left == 0 && (hosts < len(own) || hosts == len(own) && links/2 < linksOf(own, n))
}

// matter are the hosts that can have a part in bin_pack's plan for a job with these shares: its own, and as many of the largest others as have room for all of it.
func (r *rooms) matter(v *fsm.View, own []share) []planner.Host {
	var out []planner.Host
	add := func(name string) {
		if host, ok := v.Host(fsm.HostID(name)); ok {
			out = append(out, planner.Host{Name: name, Slots: int(host.GetSlots()), Used: int(host.GetUsed()), Evicting: !fsm.TakesRanks(host)})
		}
	}
	left := 0
	for _, s := range own {
		left += s.ranks
		add(s.host)
	}
	for room := len(r.by) - 1; room > 0; room-- {
		for _, i := range slices.Backward(r.by[room]) {
			if left <= 0 {
				return out
			}
			if !slices.ContainsFunc(own, func(s share) bool { return s.host == r.names[i] }) {
				left -= room
				add(r.names[i])
			}
		}
	}
	return out
}
