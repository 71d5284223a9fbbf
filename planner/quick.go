package planner

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// inRacks tells whether some of the hosts are nearer to each other than others: of those that take ranks, and of an app's own. It costs the hosts that the app has.
func (b *Board) inRacks(v *fsm.View, app *apiv1.App) bool {
	if len(b.racks) > 1 {
		return true
	}
	racks := maps.Clone(b.racks)
	for name := range v.HostsOf(fsm.AppID(app.GetId())) {
		if host, ok := v.Host(name); ok {
			racks[host.GetLabels()[RackLabel]]++
		}
	}
	return len(racks) > 1
}

// asked is what an app that runs asks of hosts.
type asked struct {
	rank  int64  // memory of a rank
	rules string // labels and volumes
}

// orderFor are the hosts that have what an app asks for beside slots. Where it asks for labels or volumes the order is made by a look at all hosts of the view that the board has been brought to, and kept for the next app that asks for as much.
func (b *Board) orderFor(v *fsm.View, app *apiv1.App) *order {
	rank, spec := fsm.RankMemory(app), app.GetSpec()
	if len(spec.GetOn())+len(spec.GetMounts()) == 0 {
		return b.order(rank)
	}
	key := asked{rank, strings.Join(spec.GetOn(), "\x00") + "\x00\x00" + strings.Join(mounted(spec), "\x00")}
	o, ok := b.asking[key]
	if !ok {
		if len(b.asking) == maxOrders {
			clear(b.asking)
		}
		only, rules := make(map[string]bool), fsm.LabelRulesOf(&apiv1.AppSpec{On: spec.GetOn()})
		for name := range b.hosts {
			if host, ok := v.Host(fsm.HostID(name)); ok && fsm.LacksVolume(host, spec) == "" && rules.Lacks(host.GetLabels()) == "" {
				only[name] = true
			}
		}
		o = newOrder(rank, b.hosts, only)
		b.asking[key] = o
	}
	return o
}

// migrateBinPack is the plan of migrateBinPack for the live ranks of an app, which are not spread over a label, on the board's hosts as they are. It costs the hosts that the app has and would get: the board has the others in order; and where there are racks, some of each. ok is
// false if one of its hosts is gone.
func (b *Board) migrateBinPack(v *fsm.View, app *apiv1.App, live []int, minGainPercent int) (plan Plan, ok bool) {
	n, o, racked := len(live), b.orderFor(v, app), b.inRacks(v, app)
	req := Request{Current: make([]string, n), MinGainPercent: minGainPercent, RankMemory: o.rank}
	mine := make([]candidate, 0, v.TotalOf(fsm.AppID(app.GetId())).Hosts)
	for i, r := range live {
		name := app.GetPlacement()[r]
		req.Current[i] = name
		if at := slices.IndexFunc(mine, func(c candidate) bool { return c.Name == name }); at >= 0 {
			mine[at].own++
			continue
		}
		host, known := v.Host(fsm.HostID(name))
		if !known || fsm.HostStateOf(host).Gone() {
			return Plan{}, false
		}
		c := b.candidate(host)
		if c.rack = host.GetLabels()[RackLabel]; racked {
			c.Labels = host.GetLabels()
		}
		mine = append(mine, c)
	}
	room := o.free
	for i := range mine {
		c := &mine[i]
		if s, takes := b.hosts[c.Name]; takes && o.has(c.Name) {
			room -= o.entry(s).room
		} else {
			c.Evicting = true
		}
		c.take(-c.own, o.rank) // its own slots, and memory, count as free
		c.memory = c.memoryFor(o.rank)
		c.room = max(0, min(c.Slots-c.Used, c.memory))
		if c.Evicting {
			c.room = min(c.own, c.room)
		}
		room += c.room
	}
	if room < n {
		return stay("%d of its %d ranks would have no slot%s", n-room, n, orMemory(o.rank)), true
	}
	gang := o.gang
	if racked {
		gang = o.gangInRacks
	}
	cs, quotas := gang(mine, n, byRoom, !v.EvenSpeeds())
	own := make([]int, len(cs))
	for i, c := range cs {
		own[i] = c.own
	}
	return better(req, cs, own, quotas, !v.EvenSpeeds()), true
}

// candidate is a host that has a rank of an app, as it is on the board, or in a view if it takes no ranks.
func (b *Board) candidate(host *apiv1.Host) candidate {
	c := candidate{Host: Host{Name: host.GetId(), Slots: int(host.GetSlots()), Evicting: true, Speed: fsm.SpeedOf(host)}, own: 1, rate: fsm.SpeedOf(host)}
	used, memory := min(int(host.GetUsed()), maxRanks), fsm.MemoryOf(host)
	if s, takes := b.hosts[c.Name]; takes {
		c.Evicting, used, memory = false, s.used, s.memory
	}
	c.Used, c.Memory, c.MemoryUsed, c.RankMemory = used, memory.All, memory.Used, memory.OfRank
	return c
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

// takeMoves counts the targets of an app's moves as used.
func (b *Board) takeMoves(app *apiv1.App, moves []*apiv1.Move) {
	for _, m := range moves {
		b.take(m.GetTo(), 1, fsm.RankMemory(app), nil)
	}
}
