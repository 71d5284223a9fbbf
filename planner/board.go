package planner

import (
	"slices"
	"strings"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// Board is the cluster as it is kept by who places apps again and again: the hosts
// that take ranks, larger first. It answers as a look at all hosts would, but what an
// app without special wishes costs are the hosts that it gets, and what a change of
// the cluster costs are the hosts that have changed, and moving the list of hosts in
// memory by one for each. Apps that declare memory have a list of their own for each size, which is made when the first asks for it. It is for one goroutine.
type Board struct {
	hosts  map[string]*seat // which are replaced, and not changed
	orders map[int64]*order // by what a rank takes of memory; that of 0 is always there
	asking map[asked]*order // by what apps that run ask of hosts beside slots; a host with other labels or volumes, or a new one, ends all of them
	mosts  mosts
	racks  map[string]int  // how many of the hosts are in each rack
	away   map[string]bool // hosts that take no ranks for the moment: their slots count as taken
	avoid  Avoid
	fits   *fits // nil: nothing is known of the hosts as they are
	// short is, of apps whose rules the hosts could not meet, one host that could not: as long as that is so, the others need no look.
	short map[fsm.Place]shortage
}

// maxOrders bounds the lists of hosts that are kept, that of apps that declare no memory among them, and maxIdle the changes of hosts for which one is kept that nobody asks for.
const (
	maxOrders = 16
	maxIdle   = 4096
)

// shortage is a host of which rules ask more than it has.
type shortage struct {
	host string
	need int // slots, 0: that it is there
}

// lasts reports whether the board's hosts still lack it.
func (b *Board) lasts(s shortage) bool {
	has, ok := b.hosts[s.host]
	return !ok || s.need > has.slots
}

// seat is a host that takes ranks.
type seat struct {
	name, rack        string
	offers            string // its labels and volumes
	slots, used, free int
	memory            fsm.Memory
	speed             float64
}

// NewBoard is the board of a cluster without hosts.
func NewBoard() *Board {
	return &Board{hosts: make(map[string]*seat), orders: map[int64]*order{0: {}}, asking: make(map[asked]*order), mosts: mosts{}, racks: make(map[string]int)}
}

// Avoid is which hosts an app is not to be placed on, and why: those that could not begin it. It is empty for most.
type Avoid func(fsm.AppID) map[string]string

// of is which hosts an app avoids.
func (a Avoid) of(app *apiv1.App) map[string]string {
	if a == nil || app.GetRestore() == "" {
		return nil
	}
	return a(fsm.AppID(app.GetId()))
}

// SetAvoid says which hosts apps avoid. One that fits on no other is passed over.
func (b *Board) SetAvoid(avoid Avoid) { b.avoid = avoid }

// SetAway says whether a host of a view takes no ranks for the moment, though the view has it as one that does: apps go to others, or wait.
func (b *Board) SetAway(v *fsm.View, id fsm.HostID, away bool) {
	if b.away == nil {
		b.away = make(map[string]bool)
	}
	if b.away[string(id)] = away; !away {
		delete(b.away, string(id))
	}
	b.Change(v, id)
}

// Reset makes the board that of a view.
func (b *Board) Reset(v *fsm.View) {
	fresh := NewBoard()
	fresh.away, fresh.avoid = b.away, b.avoid
	*b = *fresh
	for host := range v.Hosts() {
		if s, ok := b.seatOf(host); ok {
			b.hosts[s.name] = s
			b.racks[s.rack]++
		}
	}
	b.orders[0] = newOrder(0, b.hosts, nil)
}

// order are the hosts for ranks that take so much memory.
func (b *Board) order(rank int64) *order {
	o, ok := b.orders[rank]
	if !ok {
		if len(b.orders) == maxOrders {
			idlest := int64(-1)
			for r, o := range b.orders {
				if r != 0 && (idlest < 0 || o.idle > b.orders[idlest].idle || o.idle == b.orders[idlest].idle && r < idlest) {
					idlest = r
				}
			}
			delete(b.orders, idlest)
		}
		o = newOrder(rank, b.hosts, nil)
		b.orders[rank] = o
	}
	o.idle = 0
	return o
}

// Change takes a host as it is in a view.
func (b *Board) Change(v *fsm.View, id fsm.HostID) {
	if host, ok := v.Host(id); ok {
		if s, ok := b.seatOf(host); ok {
			b.put(s)
			return
		}
	}
	b.drop(string(id))
}

func (b *Board) seatOf(host *apiv1.Host) (s *seat, ok bool) {
	s = &seat{
		name: host.GetId(), rack: host.GetLabels()[RackLabel], offers: offers(host), slots: int(host.GetSlots()), used: min(int(host.GetUsed()), maxRanks), free: fsm.Free(host),
		memory: fsm.MemoryOf(host), speed: fsm.SpeedOf(host),
	}
	if b.away[s.name] {
		s.free = 0
	}
	return s, fsm.TakesRanks(host)
}

// offers is what a host has that apps ask for beside slots.
func offers(host *apiv1.Host) string {
	if len(host.GetLabels())+len(host.GetVolumes()) == 0 {
		return ""
	}
	var list []string
	for k, v := range host.GetLabels() {
		list = append(list, k+"="+v)
	}
	slices.Sort(list)
	return strings.Join(append(list, fsm.VolumeNames(host)...), "\x00")
}

func (b *Board) put(s *seat) {
	old, ok := b.hosts[s.name]
	if ok && *old == *s {
		return
	}
	if !ok || old.slots != s.slots || old.memory.All != s.memory.All || old.memory.OfRank != s.memory.OfRank || old.speed != s.speed || old.offers != s.offers {
		b.fits = nil
	}
	if !ok || old.offers != s.offers {
		clear(b.asking)
	}
	b.mosts.change(old, s)
	b.remove(s.name)
	b.hosts[s.name] = s
	b.racks[s.rack]++
	for _, o := range b.asking {
		o.put(s)
	}
	for rank, o := range b.orders {
		if o.put(s); rank != 0 {
			if o.idle++; o.idle > maxIdle {
				delete(b.orders, rank)
			}
		}
	}
}

func (b *Board) drop(name string) {
	if s, ok := b.hosts[name]; ok {
		b.fits = nil
		b.mosts.change(s, nil)
		b.remove(name)
	}
}

func (b *Board) remove(name string) {
	s, ok := b.hosts[name]
	if !ok {
		return
	}
	delete(b.hosts, name)
	for _, o := range b.orders {
		o.remove(s)
	}
	for _, o := range b.asking {
		o.remove(s)
	}
	if b.racks[s.rack]--; b.racks[s.rack] == 0 {
		delete(b.racks, s.rack)
	}
}

// Next finds the next queued apps to place, at most limit, in the order of
// the queue, strictly: an app that must wait holds up all later ones, so that none starves;
// only one that would not fit the empty cluster, or whose checkpoint is away, is passed over. Each plan counts the
// slots of those before it as taken, so all can be proposed at once. v is the view
// that the board has been brought to. An app for whose ranks the servers keep no
// memory waits as one without slots does.
func (b *Board) Next(v *fsm.View, limit int) []Next {
	next, room := b.next(v, limit), v.PlacingRoom()
	for i, n := range next {
		if !room.Take(n.App) {
			return next[:i]
		}
	}
	return next
}

func (b *Board) next(v *fsm.View, limit int) []Next {
	if v.Queued() == 0 || limit < 1 {
		return nil
	}
	var out []Next
	before := make(map[string]*seat) // those that have been taken from, as they were
	defer func() {
		for _, s := range before {
			b.put(s)
		}
	}()
	turn, policy := newTurns(v), v.Scheduling().GetPolicy()
	for head := range turn.all() {
		spec := wish(head, policy)
		size := int(spec.GetSize())
		var placement []string
		switch {
		case v.WhyAway(head) != "" || turn.over(head):
			continue
		case len(b.avoid.of(head)) > 0:
			if placement = b.besides(v, head, out); placement == nil {
				continue
			}
			for _, host := range placement {
				b.take(host, 1, spec.GetMemoryBytes(), before)
			}
		case len(spec.GetPlace()) > 0 && slotsOnly(spec):
			var never bool
			if placement, never = b.asked(head, before); never {
				continue
			} else if placement == nil {
				return out
			}
		case !b.places(spec):
			if b.fits != nil && !fuller(spec) && b.fits.never(head, policy) != "" {
				continue
			}
			return nextAfter(v, out, limit, &b.fits, b.away, b.avoid)
		default:
			if size > b.mosts.of(spec.GetMemoryBytes(), b.hosts) {
				continue // it would not fit the empty cluster
			}
			o := b.order(spec.GetMemoryBytes())
			if size > o.free {
				return out
			}
			placement = b.fill(o, size, !v.EvenSpeeds(), before)
		}
		turn.took(head)
		if out = append(out, Next{head, placement}); len(out) == limit {
			return out
		}
	}
	return out
}

// places tells whether the board places an app by itself, as far as it is placed at all.
func (b *Board) places(spec *apiv1.AppSpec) bool {
	if !plain(spec) {
		return false
	}
	size := int(spec.GetSize())
	if size > b.mosts.of(spec.GetMemoryBytes(), b.hosts) {
		return !spec.GetOversubscribe()
	}
	o := b.order(spec.GetMemoryBytes())
	if size > o.free {
		return !spec.GetOversubscribe()
	}
	return len(b.racks) < 2 || size <= o.list[0].room
}

// besides places an app on others than those that it avoids, behind those that have been placed; nil: it does not fit there.
func (b *Board) besides(v *fsm.View, app *apiv1.App, out []Next) []string {
	hosts := besides(hostsAfter(v, out, b.away), b.avoid.of(app))
	if plan, err := placeApp(app, hosts, v.Scheduling().GetPolicy()); err == nil && plan.Outcome == Placed {
		return plan.Placement
	}
	return nil
}

// plain tells whether the placement is bin_pack's, without a hint: larger first.
func plain(spec *apiv1.AppSpec) bool {
	return len(spec.GetPlace()) == 0 && anywhere(spec) && placesAs(spec.GetPolicy()) == BinPack &&
		(spec.GetHint() == "" || spec.GetHint() == HintNone) && spec.GetSize() > 0
}

// fill takes slots, and memory, for n ranks, for which there is room, and returns the host of each.
func (b *Board) fill(o *order, n int, uneven bool, before map[string]*seat) []string {
	placement := make([]string, 0, n)
	cs, quotas := o.gang(nil, n, largerFirst, uneven)
	for i, quota := range quotas {
		if quota > 0 {
			placement = append(placement, slices.Repeat([]string{cs[i].Name}, quota)...)
			b.take(cs[i].Name, quota, o.rank, before)
		}
	}
	return placement
}

// asked takes the slots that an app's rules name. placement is nil if they are not free; never tells that the hosts do not have them.
func (b *Board) asked(app *apiv1.App, before map[string]*seat) (placement []string, never bool) {
	spec := app.GetSpec()
	if s, ok := b.short[fsm.SubmissionOf(app)]; ok && b.lasts(s) {
		return nil, true
	}
	placement, need, err := byRules(spec.GetPlace(), int(spec.GetSize()))
	if err != nil {
		return nil, true
	}
	full := false
	for name, n := range need {
		if spec.GetOversubscribe() {
			n = 0
		}
		if s := (shortage{name, n}); b.lasts(s) {
			if b.short == nil || len(b.short) == maxShapes {
				b.short = make(map[fsm.Place]shortage)
			}
			b.short[fsm.SubmissionOf(app)] = s
			return nil, true
		}
		full = full || n > b.hosts[name].free
	}
	if full {
		return nil, false
	}
	for name, n := range need {
		b.take(name, n, 0, before)
	}
	return placement, false
}

// take counts n more ranks on a host, which take so much memory each. before gets the host as it was; it may be nil.
func (b *Board) take(name string, n int, rank int64, before map[string]*seat) {
	was := b.hosts[name]
	if _, ok := before[name]; !ok && before != nil {
		before[name] = was
	}
	s := *was
	s.used = min(s.used+n, maxRanks)
	s.free = max(0, s.free-n)
	s.memory.Used += int64(n) * rank
	b.put(&s)
}
