package fsm

import (
	"cmp"
	"math"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// levelWishesStand is the level from which on wishes about a host stand beside each other
// where they say different things: that its machine will go, what people want of it, and
// what its worker wants. Before, each took the place of the one before.
const levelWishesStand = 4

// WishesStand says whether a worker's own wish may be proposed: a build that does not know
// it stops there.
func (v *View) WishesStand() bool { return v.feature >= levelWishesStand }

// WishesOf are all that is wished of a host, the strongest first, which is what WishOf says;
// none where it is schedulable.
func WishesOf(host *apiv1.Host) []*apiv1.HostWish {
	if WishOf(host) == Schedulable {
		return nil
	}
	first := &apiv1.HostWish{
		Wish: host.GetWish(), Reason: host.GetWishReason(), WishedAt: host.GetWishedAt(), Deadline: host.GetDeadline(), Force: host.GetForce(), Own: host.GetOwnWish(),
	}
	return append([]*apiv1.HostWish{first}, host.GetBesides()...)
}

// setWishes gives a draft its wishes, the strongest first; or, where there are none, the one
// that it be schedulable. A draining host that is drained is so only while that is the
// strongest: what is beside a stronger one is looked at anew when that is gone.
func setWishes(host *apiv1.Host, wishes []*apiv1.HostWish, none *apiv1.HostWish) {
	first := none
	host.Besides = nil
	if len(wishes) > 0 {
		first = wishes[0]
		for _, w := range wishes[1:] {
			if Wish(w.GetWish()) == Drained {
				w = clone(w)
				w.Wish = string(Draining)
			}
			host.Besides = append(host.Besides, w)
		}
	}
	host.Wish, host.WishReason, host.WishedAt = first.GetWish(), first.GetReason(), first.GetWishedAt()
	host.Deadline, host.Force, host.OwnWish = first.GetDeadline(), first.GetForce(), first.GetOwn() && len(wishes) > 0
}

// keepWishes gives the next incarnation of a host what was wished of the one before: a wish
// outlives the process and its absence. That a machine will go is no news of the next one of
// its name, nor is what its worker wanted.
func keepWishes(host, old *apiv1.Host) {
	wishes := WishesOf(old)
	if host.GetNodeId() != old.GetNodeId() {
		wishes = slices.DeleteFunc(wishes, func(w *apiv1.HostWish) bool { return Wish(w.GetWish()) == Evicting || w.GetOwn() })
	}
	if WishOf(old) == Schedulable {
		setWishes(host, nil, &apiv1.HostWish{Wish: old.GetWish(), Reason: old.GetWishReason(), WishedAt: old.GetWishedAt()})
		return
	}
	setWishes(host, wishes, nil)
}

// replaces tells whether a wish takes the place of an earlier one. A worker's own are apart
// from those of people, but for who wants the host to be schedulable. Of people the last word
// counts, but that somebody wants a host drained, or cordoned, does not make its machine stay.
func replaces(next, old *apiv1.HostWish) bool {
	was := Wish(old.GetWish())
	switch wish := Wish(next.GetWish()); {
	case next.GetOwn() || wish == Schedulable:
		return old.GetOwn() || !next.GetOwn()
	case old.GetOwn():
		return false
	case wish == Draining, wish == Cordoned:
		return was != Evicting
	case wish == Evicting:
		return was != Draining && was != Drained
	}
	return true
}

// stronger orders wishes: a machine that goes, and of those the one that goes sooner, then
// what is to be left, then what only takes no ranks; of equals those of people first.
func stronger(a, b *apiv1.HostWish) int {
	order := []Wish{Evicting, Draining, Drained, Cordoned}
	until := func(w *apiv1.HostWish) int64 {
		if w.GetDeadline() == nil || Wish(w.GetWish()) != Evicting {
			return math.MaxInt64
		}
		return w.GetDeadline().AsTime().UnixNano()
	}
	place := func(w *apiv1.HostWish) int { return slices.Index(order, Wish(w.GetWish())) }
	own := func(w *apiv1.HostWish) int { return map[bool]int{true: 1}[w.GetOwn()] }
	return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(until(a), until(b)), cmp.Compare(own(a), own(b)))
}

// setHostWish notes what is wanted of a host, whatever its state.
func (t *tx) setHostWish(op *apiv1.SetHostWish) outcome {
	id, wish, deadline := HostID(op.GetHost()), Wish(op.GetWish()), op.GetDeadline()
	if op.GetInMs() > 0 {
		nanos := int64(t.at.GetNanos()) + op.GetInMs()%1000*1e6
		deadline = &timestamppb.Timestamp{Seconds: t.at.GetSeconds() + op.GetInMs()/1000 + nanos/1e9, Nanos: int32(nanos % 1e9)}
	}
	old, ok := t.Host(id)
	switch {
	case op.GetInMs() < 0 || op.GetInMs() > MaxWishMs:
		return refuse(CodeInvalid, "a host is to be left in %d ms; 0 to %d are possible", op.GetInMs(), int64(MaxWishMs))
	case !wish.Known():
		return refuse(CodeInvalid, "%q is not a wish about a host; wishes are %s", op.GetWish(), words(wishes))
	case wish != Evicting && wish != Draining && deadline != nil:
		return refuse(CodeInvalid, "a deadline goes with %s and %s only, not with %s", Draining, Evicting, wish)
	case wish != Draining && op.GetForce():
		return refuse(CodeInvalid, "force goes with %s only, not with %s", Draining, wish)
	case op.GetOwn() && wish == Cordoned:
		return refuse(CodeInvalid, "a worker has its host %s or %s by itself, not %s", Draining, Evicting, wish)
	case !ok:
		return refuse(CodeNotFound, "no host %s", id)
	}
	next := &apiv1.HostWish{Wish: op.GetWish(), Reason: cleanReason(op.GetReason()), WishedAt: t.at, Deadline: deadline, Force: op.GetForce(), Own: op.GetOwn()}
	if !t.WishesStand() {
		return t.replaceWish(old, next)
	}
	wishes, same := wished(old, next)
	if same {
		return applied(string(id))
	}
	host := draftHost(old)
	setWishes(host, wishes, next)
	t.putHost(host)
	return applied(string(id))
}

// wished is what is wished of a host once somebody has wished it, and whether that is what was.
// An eviction that is said again, as by who asks a cloud each second, gives no new time; and a
// host that is drained stays so where somebody wants it drained for the same reason.
func wished(old *apiv1.Host, next *apiv1.HostWish) (out []*apiv1.HostWish, same bool) {
	all := WishesOf(old)
	gone := 0
	for _, w := range all {
		again := w.GetOwn() == next.GetOwn() && w.GetReason() == next.GetReason()
		switch {
		case !replaces(next, w):
			out = append(out, w)
			continue
		case again && w.GetWish() == string(Drained) && next.GetWish() == string(Draining),
			again && w.GetWish() == next.GetWish() && proto.Equal(w.GetDeadline(), next.GetDeadline()) && w.GetForce() == next.GetForce():
			return nil, true
		case Wish(w.GetWish()) == Evicting && next.GetWish() == w.GetWish():
			next.WishedAt = w.GetWishedAt()
		}
		gone++
	}
	if Wish(next.GetWish()) != Schedulable {
		out = append(out, next)
		slices.SortStableFunc(out, stronger)
		return out, false
	}
	return out, gone == 0 && (next.GetOwn() || old.GetWishReason() == next.GetReason())
}

// replaceWish has a wish take the place of all before.
func (t *tx) replaceWish(old *apiv1.Host, next *apiv1.HostWish) outcome {
	switch {
	case WishOf(old) == Drained && Wish(next.GetWish()) == Draining && old.GetWishReason() == next.GetReason():
		return applied(old.GetId())
	case WishOf(old) == Wish(next.GetWish()) && old.GetWishReason() == next.GetReason() && proto.Equal(old.GetDeadline(), next.GetDeadline()) && old.GetForce() == next.GetForce():
		return applied(old.GetId())
	case Wish(next.GetWish()) == Evicting && WishOf(old) == Evicting:
		next.WishedAt = old.GetWishedAt()
	}
	host := draftHost(old)
	setWishes(host, []*apiv1.HostWish{next}, nil)
	t.putHost(host)
	return applied(old.GetId())
}

// noteDrained makes draining hosts drained that the command has left nothing on.
func (t *tx) noteDrained() {
	for id, draft := range t.touched.drafts {
		if WishOf(draft) != Draining || t.InUse(id) {
			continue
		}
		draft.Wish, draft.WishedAt, draft.Deadline, draft.Force = string(Drained), t.at, nil, false
	}
}
