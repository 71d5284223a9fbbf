package planner

import (
	"cmp"
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// Board is the cluster as it is kept by who places apps again and again: the hosts
// that take ranks, larger first. It answers as a look at all hosts would, but what an
// app without special wishes costs are the hosts that it gets, and what a change of
// the cluster costs are the hosts that have changed, and moving the list of hosts in
// memory by one for each. It is for one goroutine.
type Board struct {
	hosts map[string]seat
	order []seat // by largerSeat
	// of all of them
	free, slots int
}

// seat is a host that takes ranks.
type seat struct {
	name              string
	slots, used, free int
}

// largerSeat orders as largerFirst does.
func largerSeat(a, b seat) int {
	return cmp.Or(cmp.Compare(b.free, a.free), cmp.Compare(b.slots, a.slots), cmp.Compare(b.name, a.name))
}

// NewBoard is the board of a cluster without hosts.
func NewBoard() *Board { return &Board{hosts: make(map[string]seat)} }

// Reset makes the board that of a view.
func (b *Board) Reset(v *fsm.View) {
	*b = *NewBoard()
	for host := range v.Hosts() {
		if s, ok := seatOf(host); ok {
			b.hosts[s.name] = s
			b.order = append(b.order, s)
			b.free += s.free
			b.slots += s.slots
		}
	}
	slices.SortFunc(b.order, largerSeat)
}

// Change takes a host as it is in a view.
func (b *Board) Change(v *fsm.View, id fsm.HostID) {
	if host, ok := v.Host(id); ok {
		if s, ok := seatOf(host); ok {
			b.put(s)
			return
		}
	}
	b.drop(string(id))
}

func seatOf(host *apiv1.Host) (s seat, ok bool) {
	s = seat{name: host.GetId(), slots: int(host.GetSlots()), used: min(int(host.GetUsed()), maxRanks), free: fsm.Free(host)}
	return s, fsm.TakesRanks(host)
}

func (b *Board) put(s seat) {
	if b.hosts[s.name] == s {
		return
	}
	b.drop(s.name)
	b.hosts[s.name] = s
	at, _ := slices.BinarySearchFunc(b.order, s, largerSeat)
	b.order = slices.Insert(b.order, at, s)
	b.free += s.free
	b.slots += s.slots
}

func (b *Board) drop(name string) {
	s, ok := b.hosts[name]
	if !ok {
		return
	}
	delete(b.hosts, name)
	at, _ := slices.BinarySearchFunc(b.order, s, largerSeat)
	b.order = slices.Delete(b.order, at, at+1)
	b.free -= s.free
	b.slots -= s.slots
}

// Next finds the next queued apps to place, at most limit, in strict order of
// submission: an app that must wait holds up all later ones, so that none starves;
// only one that would not fit the empty cluster is passed over. Each plan counts the
// slots of those before it as taken, so all can be proposed at once. v is the view
// that the board has been brought to.
func (b *Board) Next(v *fsm.View, limit int) []Next {
	if v.Queued() == 0 || limit < 1 {
		return nil
	}
	var out []Next
	before := make(map[string]seat) // those that have been taken from, as they were
	defer func() {
		for _, s := range before {
			b.put(s)
		}
	}()
	for head := range v.Queue() {
		size := int(head.GetSpec().GetSize())
		switch {
		case !plain(head.GetSpec()) || size > b.free && head.GetSpec().GetOversubscribe():
			return nextAfter(v, out, limit)
		case size > b.slots:
			continue // it would not fit the empty cluster
		case size > b.free:
			return out
		}
		if out = append(out, Next{head, b.fill(size, before)}); len(out) == limit {
			return out
		}
	}
	return out
}

// plain tells whether the placement is bin_pack's, without a hint: larger first.
func plain(spec *apiv1.AppSpec) bool {
	return len(spec.GetPlace()) == 0 && (spec.GetPolicy() == "" || spec.GetPolicy() == BinPack) &&
		(spec.GetHint() == "" || spec.GetHint() == HintNone) && spec.GetSize() > 0
}

// fill takes n slots, which are free, from the first hosts, and returns the host of each.
func (b *Board) fill(n int, before map[string]seat) []string {
	placement := make([]string, 0, n)
	var given []int
	for i := 0; len(placement) < n; i++ {
		quota := min(b.order[i].free, n-len(placement))
		given = append(given, quota)
		placement = append(placement, slices.Repeat([]string{b.order[i].name}, quota)...)
	}
	for i, s := range slices.Clone(b.order[:len(given)]) {
		if _, ok := before[s.name]; !ok {
			before[s.name] = s
		}
		s.used += given[i]
		s.free -= given[i]
		b.put(s)
	}
	return placement
}
