package control

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/control/steps"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/text"
)

const (
	// storePatience is how long the hosts may be in trouble with an object store, without a newer checkpoint, before they begin anew.
	storePatience = 5 * time.Minute
	// storeHiccup is how long they may be where there is a newer one: by then they have tried again.
	storeHiccup = 10 * time.Second
	// storeRest is how long is waited after a job that came to nothing, and storeRestMost the most.
	storeRest, storeRestMost = time.Second, time.Minute
	// sweepTries is how often it is tried to remove what is not wanted any more from an object store, with pauses from sweepRest to sweepRestMost.
	sweepTries               = 12
	sweepRest, sweepRestMost = time.Second, 10 * time.Minute
	// sweepPatience is how long one try may take.
	sweepPatience = 10 * time.Minute
)

// storer has hosts bring complete checkpoints to object stores, and remove there what is not wanted any more: for each app one thing at a time. A checkpoint that is on
// its way is not given up for a newer one, unless it does not get on; from there the newest is next, and those between that nobody has asked for are not begun. One goroutine uses it, but for what has a comment.
type storer struct {
	l      *leader
	feed   *follower
	began  time.Time
	apps   map[fsm.AppID]*storeWatch
	stored map[fsm.CheckpointID]storedAs // those of which there may be something in a store
	now    func() time.Time

	mu    sync.Mutex        // guards the fields below, which any goroutine uses
	words map[string]string // why a checkpoint is not stored yet
	under map[string]bool   // checkpoints on their way to a store
}

// storedAs is where something of a checkpoint may be.
type storedAs struct {
	app  fsm.AppID
	to   string
	host string // that has a part of it
}

// storeWatch is what goes on for one app.
type storeWatch struct {
	job    *storeJob
	next   time.Time         // not before then
	failed string            // the checkpoint whose store was in trouble last: others are next
	tries  int               // that came to nothing, one after the other
	sweeps map[string]*sweep // by store
}

// sweep is what is to be removed.
type sweep struct {
	host  string // better there than elsewhere
	tries int
	next  time.Time
}

// storeJob is what hosts do at present.
type storeJob struct {
	to         string
	checkpoint string // empty: a sweep
	sweep      *sweep
	tasks      []*storeTask
	since      time.Time // when it began, or trouble did
	troubled   bool
}

// storeTask is what one host does of it.
type storeTask struct {
	id       string
	session  *session
	describe bool
}

func (l *leader) newStorer() *storer {
	return &storer{
		l: l, feed: newFollower(l.c.state), began: time.Now(), apps: map[fsm.AppID]*storeWatch{}, stored: map[fsm.CheckpointID]storedAs{}, now: time.Now,
		words: map[string]string{}, under: map[string]bool{},
	}
}

// said is why a checkpoint is not stored yet; empty: it is, or nothing keeps it.
func (k *storer) said(id string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.words[id]
}

// onItsWay says whether a checkpoint is being stored.
func (k *storer) onItsWay(id string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.under[id]
}

func (k *storer) say(id, words string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if words == "" {
		delete(k.words, id)
		return
	}
	k.words[id] = words
}

func (k *storer) watch(id fsm.AppID) *storeWatch {
	if k.apps[id] == nil {
		k.apps[id] = &storeWatch{sweeps: map[string]*sweep{}}
	}
	return k.apps[id]
}

// look costs the apps of which something is to be stored or removed.
func (k *storer) look(ctx context.Context) {
	v, changes, all := k.feed.look()
	if all {
		for c := range v.Checkpoints() {
			k.note(c)
		}
		for id := range k.stored {
			k.noteGone(v, id)
		}
	}
	for _, change := range changes {
		for _, id := range change.Checkpoints {
			if c, ok := v.Checkpoint(id); ok {
				k.note(c)
			} else {
				k.noteGone(v, id)
			}
		}
	}
	for id, w := range k.apps {
		if !k.step(ctx, v, id, w) {
			delete(k.apps, id)
		}
	}
}

func (k *storer) note(c *apiv1.Checkpoint) {
	if c.To == "" || c.Imported || c.Phase != apiv1.CheckpointComplete {
		return
	}
	k.watch(fsm.AppID(c.App))
	if c.StoredAt != nil {
		k.stored[fsm.CheckpointID(c.Id)] = storedAs{fsm.AppID(c.App), c.To, c.Parts[0].Host}
	}
}

// noteGone notes that nobody wants a checkpoint any more, if that is so.
func (k *storer) noteGone(v *fsm.View, id fsm.CheckpointID) {
	if _, there := v.Checkpoint(id); there {
		return
	}
	k.say(string(id), "")
	as, ok := k.stored[id]
	if !ok {
		return
	}
	delete(k.stored, id)
	k.watch(as.app).sweeps[as.to] = &sweep{host: as.host}
}

// step does what is next for an app, and says whether it is to be watched on.
func (k *storer) step(ctx context.Context, v *fsm.View, id fsm.AppID, w *storeWatch) bool {
	wanted := toStore(v, id)
	if w.job != nil {
		if k.follow(ctx, v, w, wanted); w.job == nil {
			return true // what is next a view says that knows how this one ended
		}
	}
	now := k.now()
	switch {
	case w.job != nil || now.Before(w.next) || now.Sub(k.began) < leaseOf(v): // what an earlier leader has begun is over by then
	case len(wanted) > 0:
		next := wanted[0]
		if next.Id == w.failed && len(wanted) > 1 {
			next = wanted[1]
		}
		k.store(next, w)
	default:
		k.sweep(v, id, w)
	}
	return w.job != nil || len(w.sweeps) > 0 || len(wanted) > 0
}

// toStore are the checkpoints of an app that are to be stored next: what was asked for, in its order, and of each store the newest. Of which nobody has all, as was found, those come last: they take no
// other's place, and one may be whole after all.
func toStore(v *fsm.View, id fsm.AppID) (out []*apiv1.Checkpoint) {
	newer, lost := map[string]bool{}, []*apiv1.Checkpoint(nil)
	for _, c := range slices.Backward(slices.Collect(v.CheckpointsOf(id))) {
		if c.To == "" || c.Imported || c.Phase != apiv1.CheckpointComplete {
			continue
		}
		switch wanted := c.StoredAt == nil && (c.Cause == steps.CauseAsked || !newer[c.To]); {
		case wanted && c.Lost:
			lost = append(lost, c)
		case wanted:
			out = append(out, c)
		}
		newer[c.To] = newer[c.To] || !c.Lost
	}
	slices.Reverse(out)
	slices.Reverse(lost)
	return append(out, lost...)
}

// follow looks how the job under way stands.
func (k *storer) follow(ctx context.Context, v *fsm.View, w *storeWatch, wanted []*apiv1.Checkpoint) {
	j, now := w.job, k.now()
	done, trouble, lost := k.stands(j)
	if trouble == "" {
		j.troubled = false
	} else if !j.troubled {
		j.troubled, j.since = true, now
	}
	if j.checkpoint == "" {
		k.followSweep(w, done, cmp.Or(trouble, lost))
		return
	}
	k.say(j.checkpoint, trouble)
	_, known := v.Checkpoint(fsm.CheckpointID(j.checkpoint))
	another := slices.ContainsFunc(wanted, func(c *apiv1.Checkpoint) bool { return c.Id != j.checkpoint })
	switch {
	case !known: // what there is of it is swept, when those who bring it have heard of that, or their lease is over
		k.end(w)
		w.next = now.Add(leaseOf(v))
	case done:
		if !k.l.propose(ctx, "store checkpoint "+j.checkpoint, func(cmd *apiv1.Command) {
			cmd.Op = &apiv1.Command_StoreCheckpoint{StoreCheckpoint: &apiv1.StoreCheckpoint{Id: j.checkpoint, To: j.to}}
		}) {
			return // a later look does
		}
		k.l.log.Info("checkpoint stored", "checkpoint", j.checkpoint, "to", j.to)
		k.end(w)
		w.failed, w.tries = "", 0
		if w.sweeps[j.to] == nil { // an earlier leader may have left something
			w.sweeps[j.to] = &sweep{}
		}
	case lost != "":
		k.end(w)
		w.next = now.Add(storeRest)
	case j.troubled && (now.Sub(j.since) > storePatience || another && now.Sub(j.since) > storeHiccup):
		k.end(w)
		w.next = now.Add(min(storeRest<<w.tries, storeRestMost))
		w.failed, w.tries = j.checkpoint, min(w.tries+1, 10)
	}
}

// stands says whether all of a job is done, what keeps it from that, and which host is gone.
func (k *storer) stands(j *storeJob) (done bool, trouble, lost string) {
	done, others := true, true
	last := "" // of who waits for the others
	for _, t := range j.tasks {
		st := k.l.tasks.of(t.id)
		done = done && st.GetDone()
		switch {
		case st.GetDone():
		case t.describe:
			last = st.GetTrouble()
		default:
			others, trouble = false, cmp.Or(trouble, st.GetTrouble())
		}
		if k.l.sessions.of(t.session.host) != t.session && !st.GetDone() {
			lost = "host " + string(t.session.host) + " is gone"
		}
	}
	if others {
		trouble = cmp.Or(trouble, last)
	}
	return done, text.Line(trouble, maxReasonBytes), lost
}

// end ends the job under way.
func (k *storer) end(w *storeWatch) {
	j := w.job
	w.job = nil
	for _, t := range j.tasks {
		k.l.tasks.end(t.session, t.id)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.under, j.checkpoint)
}

func (k *storer) give(w *storeWatch, t *apiv1.StoreTask, to *session) {
	t.To = w.job.to
	w.job.tasks = append(w.job.tasks, &storeTask{id: k.l.tasks.give(to, t), session: to, describe: t.Describe})
}

// store begins to bring a checkpoint to its store. Each part is brought by a host that holds it.
func (k *storer) store(c *apiv1.Checkpoint, w *storeWatch) {
	parts, on := map[fsm.HostID][]string{}, map[fsm.HostID]*session{}
	first := fsm.HostID("")
	for _, p := range c.Parts {
		host, s := k.holder(p, w.failed == c.Id && w.tries%2 == 1)
		if s == nil {
			k.say(c.Id, "no host that holds the part of host "+p.Host+" is there")
			w.next = k.now().Add(storeRest)
			return
		}
		parts[host], on[host] = append(parts[host], p.Host), s
		first = cmp.Or(first, host)
	}
	w.job = &storeJob{to: c.To, checkpoint: c.Id, since: k.now()}
	k.stored[fsm.CheckpointID(c.Id)] = storedAs{fsm.AppID(c.App), c.To, c.Parts[0].Host}
	k.mu.Lock()
	k.under[c.Id] = true
	k.mu.Unlock()
	for _, host := range slices.Sorted(maps.Keys(parts)) {
		t := &apiv1.StoreTask{App: c.App, Checkpoint: c, Parts: parts[host], Describe: host == first}
		if !t.Describe { // it needs to know of its own parts only, and there may be thousands of hosts
			t.Checkpoint = &apiv1.Checkpoint{Id: c.Id, App: c.App, Parts: slices.DeleteFunc(slices.Clone(c.Parts), func(p *apiv1.CheckpointPart) bool {
				return !slices.Contains(t.Parts, p.Host)
			})}
		}
		k.give(w, t, on[host])
	}
}

// holder is a host that holds a part, and is there: another one after it was tried in vain, for what one has may be damaged.
func (k *storer) holder(p *apiv1.CheckpointPart, another bool) (fsm.HostID, *session) {
	hosts := []string{p.Host, p.Second, p.Third}
	if another {
		slices.Reverse(hosts)
	}
	for _, h := range hosts {
		if s := k.l.sessions.of(fsm.HostID(h)); h != "" && s != nil {
			return fsm.HostID(h), s
		}
	}
	return "", nil
}

// sweep begins to remove what is not wanted. What an earlier leader has begun is over by then: hosts that have heard of no other end it with their lease.
func (k *storer) sweep(v *fsm.View, id fsm.AppID, w *storeWatch) {
	now := k.now()
	for to, sw := range w.sweeps {
		if now.Before(sw.next) {
			continue
		}
		s := k.l.sessions.of(fsm.HostID(sw.host))
		for h := range v.Hosts() {
			if s != nil {
				break
			}
			s = k.l.sessions.of(fsm.HostID(h.Id))
		}
		if s == nil {
			return
		}
		var keep []string
		for c := range v.CheckpointsOf(id) {
			if c.To == to && c.StoredAt != nil {
				keep = append(keep, c.Id)
			}
		}
		w.job = &storeJob{to: to, since: now, sweep: sw}
		k.give(w, &apiv1.StoreTask{App: string(id), Keep: keep}, s)
		return
	}
}

// followSweep looks how a removal stands. It is tried a few times, and left then.
func (k *storer) followSweep(w *storeWatch, done bool, trouble string) {
	j, now := w.job, k.now()
	if !done && trouble == "" && now.Sub(j.since) < sweepPatience {
		return
	}
	k.end(w)
	if !done { // who was told may go on until it hears of that, or its lease is over
		w.next = now.Add(leaseOf(k.l.c.state.View()))
	}
	sw := j.sweep
	switch {
	case w.sweeps[j.to] != sw: // more is to be removed since
		return
	case done:
		delete(w.sweeps, j.to)
		return
	case sw.tries >= sweepTries:
		delete(w.sweeps, j.to)
		k.l.log.Warn("checkpoints that nobody wants are left in an object store; godwit checkpoints --at lists them", "to", j.to, "why", trouble)
		return
	}
	sw.host = "" // another may have more luck
	sw.next = now.Add(min(sweepRest<<sw.tries, sweepRestMost))
	sw.tries++
}

// storeWords is what is said of a checkpoint that is not in its store yet.
func storeWords(said string) string {
	if said == "" {
		return "not in its object store yet"
	}
	return "not in its object store yet: " + said
}
