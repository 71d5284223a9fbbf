package control

import (
	"cmp"
	"container/list"
	"slices"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// copyWaiting are the thin parts without a copy under way. Each is tried in its turn, and then not again before something has changed that may make a difference, or its pause is over.
type copyWaiting struct {
	untried, tried list.List // of *copyWatch
	due            time.Time // when the first of those tried may be tried again by itself; zero: none
	idle           bool      // there is no host that a copy could go to
	sessions       uint64    // that hosts had begun when this was looked at last
}

func newCopyWaiting() *copyWaiting { return &copyWaiting{} }

// add has a part tried, which is new or may have changed.
func (q *copyWaiting) add(w *copyWatch) {
	if w.in != &q.untried {
		q.put(w, &q.untried)
	}
}

func (q *copyWaiting) put(w *copyWatch, in *list.List) {
	q.remove(w)
	w.in, w.place = in, in.PushBack(w)
}

// remove removes a part, if it is there.
func (q *copyWaiting) remove(w *copyWatch) {
	if w.in != nil {
		w.in.Remove(w.place)
		w.in, w.place = nil, nil
	}
}

// stir has all parts tried again, after those that wait for their first try. It costs those that were tried since the last time.
func (q *copyWaiting) stir() {
	for e := q.tried.Front(); e != nil; e = q.tried.Front() {
		q.put(watchOf(e), &q.untried)
	}
	q.due, q.idle = time.Time{}, false
}

// look says whether there is a part to be tried.
func (q *copyWaiting) look(now time.Time, sessions uint64) bool {
	if sessions != q.sessions || !q.due.IsZero() && !now.Before(q.due) {
		q.sessions = sessions
		q.stir()
	}
	return q.untried.Len() > 0 && !q.idle
}

// next is the next part to be tried, of which there are some; nil: its pause is not over.
func (q *copyWaiting) next(now time.Time) *copyWatch {
	w := watchOf(q.untried.Front())
	q.put(w, &q.tried)
	if due := w.due(); now.Before(due) {
		if q.due.IsZero() || due.Before(q.due) {
			q.due = due
		}
		return nil
	}
	return w
}

func watchOf(e *list.Element) *copyWatch { return e.Value.(*copyWatch) } //nolint:forcetypeassert // put

// beginSome begins as many copies as there may be, and returns how many parts it has tried that with.
func (k *copier) beginSome(v *fsm.View) (tried int) {
	q, now := k.waiting, k.now()
	if len(k.jobs)+len(k.unsure) >= copiesAtOnce || !q.look(now, k.l.sessions.begun()) {
		return 0
	}
	targets := k.targets(v)
	for ; q.untried.Len() > 0 && tried < copyLooks && len(k.jobs)+len(k.unsure) < copiesAtOnce; tried++ {
		if q.idle = len(targets) == 0; q.idle {
			break
		}
		if w := q.next(now); w != nil && k.begin(w, targets) {
			targets = slices.DeleteFunc(targets, func(h *apiv1.Host) bool { return k.busy[fsm.HostID(h.Id)] >= copiesOfHost })
		}
	}
	return tried
}

// targets are the hosts to which a copy may begin.
func (k *copier) targets(v *fsm.View) (out []*apiv1.Host) {
	for h := range v.Hosts() {
		if id := fsm.HostID(h.Id); fsm.TakesRanks(h) && k.busy[id] < copiesOfHost && k.l.sessions.of(id) != nil {
			out = append(out, h)
		}
	}
	return out
}

// begin has a host that holds a part bring it to another, if there is one.
func (k *copier) begin(w *copyWatch, targets []*apiv1.Host) bool {
	p := &w.part
	var from *session
	for _, h := range p.From {
		if s := k.l.sessions.of(h); s != nil && k.busy[h] < copiesOfHost && (from == nil || w.torn[h] < w.torn[from.host]) {
			from = s
		}
	}
	if from == nil {
		return false
	}
	host := k.target(w, targets)
	if host == nil {
		return false
	}
	to := k.l.sessions.of(fsm.HostID(host.Id))
	if to == nil { // gone since
		return false
	}
	to.isGiven(p.Checkpoint.Id, w.of.host, true)
	k.l.tellHolds(to, w.of.checkpoint)
	id := k.l.tasks.give(from, &apiv1.StoreTask{
		App: p.App.Id, Checkpoint: &apiv1.Checkpoint{Id: p.Checkpoint.Id, App: p.App.Id, Parts: []*apiv1.CheckpointPart{p.Part}},
		Parts: []string{w.of.host}, GiveTo: host.Id, GiveAddr: host.Addr,
	})
	w.job = &copyJob{id: id, from: from, to: to, since: k.now()}
	k.jobs[w.of] = w
	k.busy[from.host]++
	k.busy[to.host]++
	k.waiting.remove(w)
	return true
}

// target is the host that is to hold a part as well: of those that do not hold it the one that was tried in vain least, then with the fewest copies, then with the most slots free; nil: there is none.
func (k *copier) target(w *copyWatch, targets []*apiv1.Host) (best *apiv1.Host) {
	order := func(a, b *apiv1.Host) int {
		return cmp.Or(w.vain[fsm.HostID(a.Id)]-w.vain[fsm.HostID(b.Id)], k.busy[fsm.HostID(a.Id)]-k.busy[fsm.HostID(b.Id)], int(fsm.Free(b))-int(fsm.Free(a)), cmp.Compare(a.Id, b.Id))
	}
	for _, h := range targets {
		if !fsm.HeldBy(w.part.Part, h) && (best == nil || order(h, best) < 0) {
			best = h
		}
	}
	return best
}
