package control

import (
	"container/list"
	"context"
	"slices"
	"time"

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
	// copyLooks bounds the parts that one look tries to begin with: the next goes on.
	copyLooks = 2048
)

// copier has parts of checkpoints copied to another host where fewer than two that stay hold them: those from which live apps would go on. What it does is in its memory alone; a new leader begins anew, and
// what has been copied by then is in the log. One goroutine uses it.
type copier struct {
	l     *leader
	feed  *follower
	hosts map[fsm.HostID]stand
	thin  map[fsm.AppID][]copied                  // the thin parts of apps that have any
	apps  map[fsm.CheckpointID]map[fsm.AppID]bool // whose those are
	parts map[copied]*copyWatch
	looks uint64 // at an app: how many there were

	jobs    map[copied]*copyWatch // those with a copy under way
	unsure  []asked               // of copies that were given up before the log has answered
	busy    map[fsm.HostID]int    // copies from or to a host
	waiting *copyWaiting          // those without
	now     func() time.Time
}

// stand is what makes a difference to what a host holds, or may be given.
type stand struct {
	asHolder
	takes bool
}

// asHolder is what makes a difference to which parts are thin.
type asHolder struct {
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
	of    copied
	part  fsm.ThinPart         // as the log has it
	apps  map[fsm.AppID]uint64 // that would go on from it, with the look that has seen that
	since time.Time            // since when it is thin
	next  time.Time            // not before then
	tries int
	vain  map[fsm.HostID]int // how often a copy to a host came to nothing
	torn  map[fsm.HostID]int // how often one from a host did
	job   *copyJob
	in    *list.List    // of copier.waiting; nil: a copy is under way
	place *list.Element // there
}

// due is when a copy may begin.
func (w *copyWatch) due() time.Time {
	if rested := w.since.Add(copyRest); !w.part.Leaving && rested.After(w.next) {
		return rested
	}
	return w.next
}

// copyJob is a copy under way.
type copyJob struct {
	id       string
	from, to *session
	since    time.Time // when it began, or trouble did
	troubled bool
	unsure   bool // the log was asked whether it is there, and may have noted it
}

func (l *leader) newCopier() *copier {
	return &copier{
		l: l, feed: newFollower(l.c.state), hosts: map[fsm.HostID]stand{}, thin: map[fsm.AppID][]copied{}, apps: map[fsm.CheckpointID]map[fsm.AppID]bool{}, parts: map[copied]*copyWatch{},
		jobs: map[copied]*copyWatch{}, busy: map[fsm.HostID]int{}, waiting: newCopyWaiting(), now: time.Now,
	}
}

// look costs the apps that have changed, all live ones when a host has come, goes, or is to be left; the copies under way; and where more may begin, those parts for which that may be news.
func (k *copier) look(ctx context.Context) {
	v := k.follow()
	for _, w := range k.jobs {
		k.drive(ctx, w)
	}
	k.settle(ctx)
	k.beginSome(v)
}

// follow keeps the thin parts in step with the log.
func (k *copier) follow() *fsm.View {
	v, changes, all := k.feed.look()
	if all {
		clear(k.hosts)
		for h := range v.Hosts() {
			k.hosts[fsm.HostID(h.Id)] = standOf(h)
		}
	}
	apps := map[fsm.AppID]bool{}
	for _, c := range changes {
		for _, id := range c.Hosts {
			h, _ := v.Host(id)
			is, was := standOf(h), k.hosts[id]
			k.hosts[id] = is
			all = all || is.asHolder != was.asHolder
			if is.takes && !was.takes {
				k.waiting.stir()
			}
		}
		for _, id := range c.Apps {
			apps[id] = true
		}
		for _, id := range c.Checkpoints {
			if ck, ok := v.Checkpoint(id); ok {
				apps[fsm.AppID(ck.App)] = true
			}
			for app := range k.apps[id] {
				apps[app] = true
			}
		}
	}
	if all {
		k.waiting.stir()
		for app := range v.InFlightAfter(fsm.Place{}) {
			apps[fsm.AppID(app.Id)] = true
		}
		for app := range k.thin {
			apps[app] = true
		}
	}
	for id := range apps {
		k.refresh(v, id)
	}
	return v
}

func standOf(h *apiv1.Host) stand {
	return stand{asHolder{h.GetNodeId(), h != nil && fsm.ToBeLeft(h), h == nil || fsm.HostStateOf(h).Gone()}, h != nil && fsm.TakesRanks(h)}
}

// refresh looks which parts of what an app goes on from are thin.
func (k *copier) refresh(v *fsm.View, id fsm.AppID) {
	k.looks++
	before := k.thin[id]
	delete(k.thin, id)
	if app, ok := v.App(id); ok {
		for _, p := range v.ThinParts(app) {
			of := copied{fsm.CheckpointID(p.Checkpoint.Id), p.Part.Host}
			k.thin[id] = append(k.thin[id], of)
			w := k.parts[of]
			if w == nil {
				w = &copyWatch{of: of, apps: map[fsm.AppID]uint64{}, since: k.now(), vain: map[fsm.HostID]int{}, torn: map[fsm.HostID]int{}}
				k.parts[of] = w
			}
			if k.apps[of.checkpoint] == nil {
				k.apps[of.checkpoint] = map[fsm.AppID]bool{}
			}
			k.apps[of.checkpoint][id] = true
			w.part, w.apps[id] = p, k.looks
			if w.job == nil {
				k.waiting.add(w)
			}
		}
	}
	for _, of := range before {
		if w := k.parts[of]; w != nil && w.apps[id] != k.looks {
			k.unthin(w, id)
		}
	}
}

// unthin notes that a part is not thin any more, or not an app's.
func (k *copier) unthin(w *copyWatch, id fsm.AppID) {
	delete(w.apps, id)
	if apps := k.apps[w.of.checkpoint]; len(k.thin[id]) == 0 || k.thin[id][0].checkpoint != w.of.checkpoint {
		if delete(apps, id); len(apps) == 0 {
			delete(k.apps, w.of.checkpoint)
		}
	}
	if len(w.apps) == 0 {
		k.end(w)
		k.waiting.remove(w)
		delete(k.parts, w.of)
	}
}

// drive looks how a copy stands.
func (k *copier) drive(ctx context.Context, w *copyWatch) {
	j, of, now := w.job, w.of, k.now()
	st := k.l.tasks.of(j.id)
	trouble := text.Line(st.GetTrouble(), maxReasonBytes)
	if trouble == "" {
		j.troubled = false
	} else if !j.troubled {
		j.troubled, j.since = true, now
	}
	a, done := asked{of, j.to}, st.GetDone() || j.unsure
	if done {
		k.l.sessions.asks(a, true) // before its session is looked at
	}
	switch {
	case !j.unsure && k.l.sessions.of(j.to.host) != j.to: // what it holds for nobody it has dropped with its session
	case done:
		held, err := k.ask(ctx, a)
		if j.noteAsked(err) {
			return
		}
		j.unsure = false
		if !held {
			break
		}
		k.l.log.Info("a part of a checkpoint is on another host", "checkpoint", of.checkpoint, "part", of.host, "from", j.from.host, "to", j.to.host)
		k.over(w)
		k.answered(a)
		w.next = now.Add(copyAgain) // by then the log's news has come here: it is thin no more, or still is
		k.waiting.add(w)
		return
	case st.GetTorn(): // who gives cannot: nothing is known of who takes
		k.l.log.Warn("a holder's copy of a part of a checkpoint is damaged, or gone", "checkpoint", of.checkpoint, "part", of.host, "holder", j.from.host, "why", trouble)
		k.another(w)
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
	k.end(w)
	k.waiting.add(w)
}

// another has the next holder that there is bring a part at once, and the same one after a pause.
func (k *copier) another(w *copyWatch) {
	from := w.job.from.host
	w.torn[from]++
	if !slices.ContainsFunc(w.part.From, func(h fsm.HostID) bool { return w.torn[h] < w.torn[from] && k.l.sessions.of(h) != nil }) {
		w.next = k.now().Add(min(copyAgain<<w.tries, copyAgainMost))
		w.tries = min(w.tries+1, 10)
	}
	k.end(w)
	k.waiting.add(w)
}

// end gives up the copy under way, if there is one: what has come of it goes, when it is known that the log has it for nothing that the host holds.
func (k *copier) end(w *copyWatch) {
	if j := w.job; j != nil {
		k.over(w)
		if a := (asked{w.of, j.to}); j.unsure {
			k.unsure = append(k.unsure, a)
		} else {
			k.answered(a)
		}
	}
}

// over ends a copy: others may begin.
func (k *copier) over(w *copyWatch) {
	j := w.job
	k.l.tasks.end(j.from, j.id)
	w.job = nil
	delete(k.jobs, w.of)
	for _, s := range []*session{j.from, j.to} {
		if k.busy[s.host]--; k.busy[s.host] == 0 {
			delete(k.busy, s.host)
		}
	}
	k.waiting.stir()
}
