package planner

import (
	"cmp"
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// plainToMigrate tells whether a board can plan how an app moves by BinPack: it asks nothing of hosts but slots, and no host is nearer, or faster, than another.
func (b *Board) plainToMigrate(app *apiv1.App) bool {
	return slotsOnly(app.GetSpec()) && len(b.racks) < 2
}

// migrateBinPack is the plan of migrateBinPack for the live ranks of an app, which is plainToMigrate, on the board's hosts as they are. It costs the hosts that the app has and would get: the board has the others in order. ok is
// false if one of its hosts is gone.
func (b *Board) migrateBinPack(v *fsm.View, app *apiv1.App, live []int, minGainPercent int) (plan Plan, ok bool) {
	n := len(live)
	current := make([]string, n)
	var mine []candidate
	for i, r := range live {
		current[i] = app.GetPlacement()[r]
		if at := slices.IndexFunc(mine, func(c candidate) bool { return c.Name == current[i] }); at >= 0 {
			mine[at].own++
			continue
		}
		host, known := v.Host(fsm.HostID(current[i]))
		if !known || fsm.HostStateOf(host).Gone() {
			return Plan{}, false
		}
		mine = append(mine, candidate{Host: Host{Name: current[i], Slots: int(host.GetSlots()), Used: min(int(host.GetUsed()), maxRanks), Evicting: true}, own: 1})
	}
	room := b.free
	for i := range mine {
		c := &mine[i]
		if s, takes := b.hosts[c.Name]; takes {
			c.Used, c.Evicting = s.used, false
			room -= s.free
		}
		c.room = max(0, c.Slots-c.Used+c.own)
		if c.Evicting {
			c.room = min(c.own, c.room)
		}
		room += c.room
	}
	if room < n {
		return stay("%d of its %d ranks would have no slot", n-room, n), true
	}
	cs, quotas := b.fillWith(mine, n)
	own := make([]int, len(cs))
	for i, c := range cs {
		own[i] = c.own
	}
	return better(Request{Current: current, MinGainPercent: minGainPercent}, cs, own, quotas), true
}

// fillWith gives n ranks to the hosts of a board, and those of an app, which it has as mine, in BinPack's order. The answer has those that get some, and all of mine.
func (b *Board) fillWith(mine []candidate, n int) (cs []candidate, quotas []int) {
	slices.SortFunc(mine, byRoom)
	i, j := 0, 0
	for n > 0 {
		for i < len(b.order) && slices.ContainsFunc(mine, func(c candidate) bool { return c.Name == b.order[i].name }) {
			i++
		}
		var next candidate
		if i < len(b.order) {
			s := b.order[i]
			next = candidate{Host: Host{Name: s.name, Slots: s.slots, Used: s.used}, room: s.free}
		}
		if j < len(mine) && (i == len(b.order) || byRoom(mine[j], next) < 0) {
			next = mine[j]
			j++
		} else {
			i++
		}
		quota := min(next.room, n)
		cs, quotas, n = append(cs, next), append(quotas, quota), n-quota
	}
	for ; j < len(mine); j++ {
		cs, quotas = append(cs, mine[j]), append(quotas, 0)
	}
	return cs, quotas
}

// byRoom is BinPack's order of hosts for an app that runs.
func byRoom(a, b candidate) int {
	switch {
	case a.room != b.room:
		return cmp.Compare(b.room, a.room)
	case a.rate != b.rate:
		return cmp.Compare(b.rate, a.rate)
	case a.own != b.own:
		return cmp.Compare(b.own, a.own)
	}
	return largerFirst(a, b)
}

// takeMoves counts the targets of moves as used.
func (b *Board) takeMoves(moves []*apiv1.Move) {
	for _, m := range moves {
		s := b.hosts[m.GetTo()]
		s.used++
		s.free = max(0, s.free-1)
		b.put(s)
	}
}
