package planner

import (
	"math"
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// stays tells, of what an app's own hosts and the largest others are, that no plan of its policy moves it. It costs those hosts: most apps have nothing to gain, and racks only leave fewer ways that are as good. False says nothing.
func (k Checker) stays(app *apiv1.App, on *ground) bool {
	switch policy := k.policyOf(app); {
	case policy == Spot, app.GetSpec().GetSpread() != "", policy == Traffic && k.Traffic == nil:
		return true
	case policy == Compact:
		return !on.ordered().frees(k.View, app)
	case policy != BinPack:
		return false
	}
	best, ok := on.ordered().bound(k.View, app)
	return !ok || best.stays(int(k.View.Scheduling().GetMinGainPercent()), k.View.TopSpeed())
}

// bound is how an app is spread, and how little it would be if hosts were in no racks.
type bound struct {
	now, least spread
	speed      float64 // of its slowest host
	room       bool    // there is room for all of it
	racked     bool    // hosts are in several racks: least may be out of reach
}

// stays tells that no plan by BinPack is better. Each is on as many hosts as the least at least, with as many links: greedy filling majorises every other. One with as few hosts and links as now is better if its
// slowest host is faster.
func (b bound) stays(minGainPercent int, top float64) bool {
	switch {
	case !b.room || b.least.hosts > b.now.hosts:
		return true
	case b.least.hosts < b.now.hosts:
		return false
	case b.least.links > b.now.links:
		return true
	case b.least.links < b.now.links && (b.now.links-b.least.links)*100 >= b.now.links*minGainPercent:
		return false
	case b.least.links < b.now.links && !b.racked:
		return true // the plan has as few links as can be, and not as many as now
	}
	return b.speed >= top || (top-b.speed)*100 < b.speed*float64(minGainPercent)
}

// held is a host that has live ranks of an app.
type held struct {
	name, rack string
	own, used  int
	room       int // how many of the app's ranks it can have
	speed      float64
}

// holders are the hosts that have live ranks of an app, of which those that are not in the order take no more; ok is false if one of them is gone.
func (b *Board) holders(v *fsm.View, app *apiv1.App, o *order) (out []held, ok bool) {
	places := map[string]int{}
	for _, name := range liveHosts(app) {
		at, seen := places[name]
		if !seen {
			at = len(out)
			places[name] = at
			out = append(out, held{name: name})
		}
		out[at].own++
	}
	rank := fsm.RankMemory(app)
	for i := range out {
		h := &out[i]
		s, takes := b.hosts[h.name]
		if !takes {
			host, known := v.Host(fsm.HostID(h.name))
			if !known || fsm.HostStateOf(host).Gone() {
				return nil, false
			}
			s, _ = b.seatOf(host)
		}
		h.rack, h.used, h.speed = s.rack, s.used, s.speed
		memory := s.memory
		memory.Used -= int64(h.own) * rank
		h.room = max(0, min(s.slots-s.used+h.own, memory.For(rank)))
		if !takes || !o.has(h.name) {
			h.room = min(h.own, h.room)
		}
	}
	return out, true
}

// frees tells whether an app has one of its hosts for itself, with all that is on it: only then there may be more hosts without ranks when it has moved.
func (b *Board) frees(v *fsm.View, app *apiv1.App) bool {
	mine, ok := b.holders(v, app, b.order(0))
	return ok && slices.ContainsFunc(mine, func(h held) bool { return h.used == h.own })
}

// bound is the bound of an app that runs; ok is false if one of its hosts is gone.
func (b *Board) bound(v *fsm.View, app *apiv1.App) (out bound, ok bool) {
	o := b.orderFor(v, app)
	mine, ok := b.holders(v, app, o)
	if !ok {
		return bound{}, false
	}
	n := 0
	out = bound{now: spread{hosts: len(mine)}, speed: math.Inf(1)}
	out.racked = len(b.racks) > 1
	all, alone := map[string]int{}, 0 // ranks by rack; twice the links within hosts
	for _, h := range mine {
		n += h.own
		out.racked = out.racked || h.rack != mine[0].rack || len(b.racks) == 1 && b.racks[h.rack] == 0
		out.speed = min(out.speed, h.speed)
		all[h.rack] += h.own
		alone += h.own * h.own
	}
	out.now.links = (n*n - alone) / 2
	between := n * n
	for _, q := range all {
		between -= q * q
	}
	out.now.links += between / 2 // those between racks count twice
	slices.SortFunc(mine, func(a, b held) int { return b.room - a.room })
	out.least, out.room = o.least(mine, n)
	return out, true
}

// least is how little n ranks are spread over the hosts of an app, those with more room first, and of the order, in which they may be as well; ok is false if there is no room.
func (o *order) least(mine []held, n int) (s spread, ok bool) {
	rest, own := n, mine
	is := make(map[string]bool, len(mine))
	for _, h := range mine {
		is[h.name] = true
	}
	give := func(room int) {
		q := min(room, rest)
		rest -= q
		s.hosts++
		s.links += q * (n - q)
	}
	for i := 0; rest > 0; {
		for i < len(o.list) && is[o.list[i].name] {
			i++
		}
		other := 0
		if i < len(o.list) {
			other = o.list[i].room
		}
		switch {
		case len(own) > 0 && own[0].room >= other && own[0].room > 0:
			give(own[0].room)
			own = own[1:]
		case other > 0:
			give(other)
			i++
		default:
			return s, false
		}
	}
	s.links /= 2
	return s, true
}
