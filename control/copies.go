package control

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/text"
)

const (
	// copyRest is for how long a holder has to be gone before what it held is copied: it may be back, with its disk. What a host holds that is to be left is copied at once.
	copyRest = 15 * time.Second
	// copiesAtOnce bounds the copies under way, and copiesOfHost those from one host, or to one.
	copiesAtOnce, copiesOfHost = 16, 2
	// copyPatience is how long a copy may be in trouble before another host is tried, after a pause that grows from copyAgain to copyAgainMost.
	copyPatience             = 30 * time.Second
	copyAgain, copyAgainMost = time.Second, time.Minute
)

// copier has parts of checkpoints copied to another host where fewer than two that stay hold them: those from which live apps would go on. What it does is in its memory alone; a new leader begins anew, and
// what has been copied by then is in the log. One goroutine uses it, but for what has a comment.
type copier struct {
	l     *leader
	feed  *follower
	hosts map[fsm.HostID]stand
	apps  map[fsm.AppID]bool // that have thin parts
	parts map[copied]*copyWatch
	now   func() time.Time

	mu       sync.Mutex // guards statuses
	statuses map[string]*apiv1.StoreStatus
}

// stand is what makes a difference to what a host holds.
type stand struct {
	node   string
	leaves bool
	gone   bool
}

// copied is a part, by who has made it.
type copied struct {
	checkpoint fsm.CheckpointID
	host       string
}

// copyWatch is what this leader has seen of a thin part.
type copyWatch struct {
	since time.Time // since when it is thin
	next  time.Time // not before then
	tries int
	vain  map[fsm.HostID]int // how often a copy to a host came to nothing
	torn  map[fsm.HostID]int // how often one from a host did
	job   *copyJob
}

// copyJob is a copy under way.
type copyJob struct {
	id       string
	from, to *session
	since    time.Time // when it began, or trouble did
	troubled bool
}

func (l *leader) newCopier() *copier {
	return &copier{
		l: l, feed: newFollower(l.c.state), hosts: map[fsm.HostID]stand{}, apps: map[fsm.AppID]bool{}, parts: map[copied]*copyWatch{}, now: time.Now, statuses: map[string]*apiv1.StoreStatus{},
	}
}

// take notes how a host stands with a copy. Any goroutine may call it; what is not under way is passed over.
func (k *copier) take(st *apiv1.StoreStatus) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.statuses[st.GetId()]; ok {
		k.statuses[st.Id] = st
		k.l.inbox.signal()
	}
}

// look costs the apps that have changed, and those with thin parts; all live ones when a host has come, goes, or is to be left.
func (k *copier) look(ctx context.Context) {
	v := k.follow()
	seen := map[copied]bool{}
	for _, id := range slices.Sorted(maps.Keys(k.apps)) {
		app, ok := v.App(id)
		var thin []fsm.ThinPart
		if ok {
			thin = v.ThinParts(app)
		}
		for i := range thin {
			of := copied{fsm.CheckpointID(thin[i].Checkpoint.Id), thin[i].Part.Host}
			seen[of] = true
			k.step(ctx, v, of, &thin[i])
		}
		if len(thin) == 0 {
			delete(k.apps, id)
		}
	}
	for of, w := range k.parts {
		if !seen[of] {
			k.end(of, w)
			delete(k.parts, of)
		}
	}
}

// follow keeps the apps that may have thin parts in step with the log.
func (k *copier) follow() *fsm.View {
	v, changes, all := k.feed.look()
	if all {
		clear(k.hosts)
		for h := range v.Hosts() {
			k.hosts[fsm.HostID(h.Id)] = standOf(h)
		}
	}
	for _, c := range changes {
		for _, id := range c.Hosts {
			h, _ := v.Host(id)
			if is := standOf(h); k.hosts[id] != is {
				k.hosts[id], all = is, true
			}
		}
		for _, id := range c.Apps {
			k.apps[id] = true
		}
		for _, id := range c.Checkpoints {
			if ck, ok := v.Checkpoint(id); ok {
				k.apps[fsm.AppID(ck.App)] = true
			}
		}
	}
	if all {
		for app := range v.InFlightAfter(fsm.Place{}) {
			k.apps[fsm.AppID(app.Id)] = true
		}
	}
	return v
}

func standOf(h *apiv1.Host) stand {
	return stand{h.GetNodeId(), h != nil && fsm.ToBeLeft(h), h == nil || fsm.HostStateOf(h).Gone()}
}

// step does what is next for a thin part.
func (k *copier) step(ctx context.Context, v *fsm.View, of copied, p *fsm.ThinPart) {
	now, w := k.now(), k.parts[of]
	if w == nil {
		w = &copyWatch{since: now, vain: map[fsm.HostID]int{}, torn: map[fsm.HostID]int{}}
		k.parts[of] = w
	}
	switch {
	case w.job != nil:
		k.drive(ctx, of, w)
	case now.Before(w.next), !p.Leaving && now.Sub(w.since) < copyRest:
	default:
		k.begin(v, of, w, p)
	}
}

// begin has a host that holds a part bring it to another, if there is one.
func (k *copier) begin(v *fsm.View, of copied, w *copyWatch, p *fsm.ThinPart) {
	busy, jobs := map[fsm.HostID]int{}, 0
	for _, other := range k.parts {
		if j := other.job; j != nil {
			busy[j.from.host]++
			busy[j.to.host]++
			jobs++
		}
	}
	var from *session
	for _, h := range p.From {
		if s := k.l.sessions.of(h); s != nil && busy[h] < copiesOfHost && (from == nil || w.torn[h] < w.torn[from.host]) {
			from = s
		}
	}
	to := k.target(v, w, p, busy)
	if from == nil || to == nil || jobs >= copiesAtOnce {
		return
	}
	w.job = &copyJob{id: uuid.NewString(), from: from, to: k.l.sessions.of(fsm.HostID(to.Id)), since: k.now()}
	k.mu.Lock()
	k.statuses[w.job.id] = nil
	k.mu.Unlock()
	w.job.to.isGiven(p.Checkpoint.Id, of.host, true)
	k.l.tellHolds(w.job.to, of.checkpoint)
	from.store(&apiv1.StoreTask{
		Id: w.job.id, App: p.App.Id, Checkpoint: &apiv1.Checkpoint{Id: p.Checkpoint.Id, App: p.App.Id, Parts: []*apiv1.CheckpointPart{p.Part}},
		Parts: []string{of.host}, GiveTo: to.Id, GiveAddr: to.Addr,
	})
}

// target is the host that is to hold a part as well: of those that may take ranks and do not hold it the one that was tried in vain least, then with the fewest copies, then with the most slots free; nil: there is none.
func (k *copier) target(v *fsm.View, w *copyWatch, p *fsm.ThinPart, busy map[fsm.HostID]int) (best *apiv1.Host) {
	order := func(a, b *apiv1.Host) int {
		return cmp.Or(w.vain[fsm.HostID(a.Id)]-w.vain[fsm.HostID(b.Id)], busy[fsm.HostID(a.Id)]-busy[fsm.HostID(b.Id)], int(fsm.Free(b))-int(fsm.Free(a)), cmp.Compare(a.Id, b.Id))
	}
	for h := range v.Hosts() {
		id := fsm.HostID(h.Id)
		if !fsm.TakesRanks(h) || busy[id] >= copiesOfHost || k.l.sessions.of(id) == nil {
			continue
		}
		if slices.ContainsFunc(p.Part.Holders(), func(by apiv1.Holder) bool { return by.Host == h.Id }) {
			continue
		}
		if best == nil || order(h, best) < 0 {
			best = h
		}
	}
	return best
}

// drive looks how a copy stands.
func (k *copier) drive(ctx context.Context, of copied, w *copyWatch) {
	j, now := w.job, k.now()
	k.mu.Lock()
	st := k.statuses[j.id]
	k.mu.Unlock()
	trouble := text.Line(st.GetTrouble(), maxReasonBytes)
	if trouble == "" {
		j.troubled = false
	} else if !j.troubled {
		j.troubled, j.since = true, now
	}
	switch {
	case k.l.sessions.of(j.to.host) != j.to: // what it holds for nobody it has dropped with its session
	case st.GetDone():
		if !k.l.propose(ctx, "copy of "+string(of.checkpoint), func(c *apiv1.Command) {
			c.Op = &apiv1.Command_HoldPart{HoldPart: &apiv1.HoldPart{Id: string(of.checkpoint), Host: of.host, To: string(j.to.host)}}
		}) {
			break
		}
		k.l.log.Info("a part of a checkpoint is on another host", "checkpoint", of.checkpoint, "part", of.host, "from", j.from.host, "to", j.to.host)
		k.l.tellHolds(j.to, of.checkpoint)
		k.forget(j)
		w.job = nil
		return
	case k.l.sessions.of(j.from.host) != j.from:
	case j.troubled && now.Sub(j.since) >= copyPatience:
	default:
		return
	}
	k.l.log.Warn("a part of a checkpoint was not copied", "checkpoint", of.checkpoint, "part", of.host, "from", j.from.host, "to", j.to.host, "why", trouble)
	w.vain[j.to.host]++
	w.torn[j.from.host]++
	w.next = now.Add(min(copyAgain<<w.tries, copyAgainMost))
	w.tries = min(w.tries+1, 10)
	k.end(of, w)
}

// end gives up the copy under way, if there is one: what has come of it goes.
func (k *copier) end(of copied, w *copyWatch) {
	j := w.job
	if j == nil {
		return
	}
	w.job = nil
	k.forget(j)
	j.from.store(&apiv1.StoreTask{Id: j.id, Cancel: true})
	j.to.isGiven(string(of.checkpoint), of.host, false)
	k.l.tellHolds(j.to, of.checkpoint)
}

func (k *copier) forget(j *copyJob) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.statuses, j.id)
}
