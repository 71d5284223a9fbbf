package control

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/text"
)

// Causes of checkpoints.
const (
	causePeriod = "period"
	causeAsked  = "manual"
	causeFreeze = "freeze"
)

const (
	// checkpointKeep is how many of an app's complete checkpoints that its period has made are kept if it does not say.
	checkpointKeep = 2
	// collectEvery is how often it is looked which checkpoints are not wanted any more, at least.
	collectEvery = time.Minute
)

// checkpointer begins checkpoints that are due, takes each under way to its next phase or its abort, and has those forgotten that are not wanted any more. One
// goroutine uses it.
type checkpointer struct {
	l         *leader
	feed      *follower
	due       *schedule[fsm.AppID]
	seen      map[string]*watchedCheckpoint
	collected time.Time
	now       func() time.Time
}

// watchedCheckpoint is how long this leader has seen a checkpoint at a point of its way, and whether it gets on.
type watchedCheckpoint struct {
	point    string
	since    time.Time
	progress int64
	moved    time.Time // when that became more
}

func (l *leader) newCheckpointer() *checkpointer {
	return &checkpointer{l: l, feed: newFollower(l.c.state), due: newSchedule[fsm.AppID](), seen: map[string]*watchedCheckpoint{}, now: time.Now}
}

func (k *checkpointer) look(ctx context.Context) {
	v, changes, all := k.feed.look()
	k.follow(v, changes, all)
	var g errgroup.Group
	g.SetLimit(proposalsAtOnce)
	for _, id := range k.due.due(k.now()) {
		app, ok := v.App(id)
		if !ok || !mayCheckpoint(v, app) {
			continue // a later look finds it due, too
		}
		k.due.set(id, k.now().Add(nextAfter(periodOf(app), abortedSince(v, app))))
		g.Go(func() error { k.begin(ctx, v, app); return nil })
	}
	live := map[string]bool{}
	for c := range v.PendingCheckpoints() {
		live[c.Id] = true
		w := k.watch(c)
		g.Go(func() error { k.drive(ctx, c, w); return nil })
	}
	_ = g.Wait() // what fails is left to a later look
	maps.DeleteFunc(k.seen, func(id string, _ *watchedCheckpoint) bool { return !live[id] })
	k.collect(ctx, v, k.toCollect(v, changes, all))
}

// toCollect are the apps of which there may be checkpoints that are not wanted any more: those that have changed, or that have new ones, and all now and then, for time goes by.
func (k *checkpointer) toCollect(v *fsm.View, changes []fsm.Change, all bool) map[string]bool {
	apps := map[string]bool{}
	if now := k.now(); all || now.Sub(k.collected) > collectEvery {
		k.collected = now
		for c := range v.Checkpoints() {
			apps[c.App] = true
		}
		return apps
	}
	for _, change := range changes {
		for _, id := range change.Apps {
			apps[string(id)] = true
		}
		for _, id := range change.Checkpoints {
			if c, ok := v.Checkpoint(id); ok {
				apps[c.App] = true
			}
		}
	}
	return apps
}

// follow keeps the times at which checkpoints are due in step with the apps that hold hosts and have a period.
func (k *checkpointer) follow(v *fsm.View, changes []fsm.Change, all bool) {
	if all {
		for id := range k.due.at {
			k.followApp(v, id)
		}
		for app := range v.Placed() {
			k.followApp(v, fsm.AppID(app.Id))
		}
	}
	for _, c := range changes {
		for _, id := range c.Apps {
			k.followApp(v, id)
		}
	}
}

func (k *checkpointer) followApp(v *fsm.View, id fsm.AppID) {
	app, ok := v.App(id)
	if !ok || !fsm.PhaseOf(app).Placed() || !(app.Spec.CheckpointPeriod > 0) {
		k.due.remove(id)
		return
	}
	if _, known := k.due.when(id); !known {
		k.due.set(id, k.now().Add(periodOf(app)))
	}
}

func periodOf(app *apiv1.App) time.Duration {
	return time.Duration(app.Spec.CheckpointPeriod * float64(time.Second))
}

// What was tried in vain is tried again later each time: each try has ranks stop.
const (
	vainPause    = 15 * time.Second
	maxVainPause = 10 * time.Minute
)

// nextAfter is how long after a checkpoint the next is due, of which so many in a row were aborted.
func nextAfter(period time.Duration, vain int) time.Duration {
	if vain == 0 {
		return period
	}
	return max(period, min(maxVainPause, vainPause<<min(vain, 10)))
}

// mayCheckpoint says whether a checkpoint of the app could be begun now.
func mayCheckpoint(v *fsm.View, app *apiv1.App) bool {
	return fsm.PhaseOf(app) == fsm.Running && app.Verdict == "" && app.MigrationId == "" && app.CheckpointId == "" && app.GetFiles().GetTo() == "" &&
		v.FeatureLevel() >= 4 // as for migrations
}

func (k *checkpointer) begin(ctx context.Context, v *fsm.View, app *apiv1.App) {
	k.l.propose(ctx, "checkpoint "+app.Id, func(c *apiv1.Command) {
		checkpointCommand(c, v, app, causePeriod, apiv1.AfterCheckpoint_AFTER_CHECKPOINT_UNSPECIFIED)
	})
}

// checkpointCommand makes a command of which the state machine makes a checkpoint.
func checkpointCommand(cmd *apiv1.Command, v *fsm.View, app *apiv1.App, cause string, then apiv1.AfterCheckpoint) *apiv1.Command {
	u := uuid.New()
	cmd.Op = &apiv1.Command_BeginCheckpoint{BeginCheckpoint: &apiv1.BeginCheckpoint{
		Id: fmt.Sprintf("ckpt-%x", u[:5]), App: app.Id, Epoch: app.Epoch, Cause: cause, To: app.Spec.CheckpointTo, Parts: seconds(v, app), Then: then,
	}}
	return cmd
}

// seconds chooses for each host of an app another one that holds its part as well: another one of the app's, if there is one, for images are needed where its ranks
// may run; the same as ever, as long as it is there, for it has what has not changed.
func seconds(v *fsm.View, app *apiv1.App) []*apiv1.CheckpointPart {
	own := map[string]bool{}
	for _, h := range app.Placement {
		own[h] = true
	}
	for _, h := range app.FilesHosts() {
		own[h] = true
	}
	hosts := slices.Sorted(maps.Keys(own))
	ready := slices.DeleteFunc(slices.Clone(hosts), func(h string) bool { return !mayHold(v, h) })
	vain := abortedSince(v, app)
	if len(ready) < 2 || vain > 0 {
		for h := range v.Hosts() {
			if !own[h.Id] && mayHold(v, h.Id) {
				ready = append(ready, h.Id)
			}
		}
	}
	before := map[string]string{}
	if last, ok := v.Checkpoint(fsm.CheckpointID(app.LastCheckpoint)); ok {
		for _, p := range last.Parts {
			before[p.Host] = p.Second
		}
	}
	var parts []*apiv1.CheckpointPart
	for i, h := range hosts {
		second := before[h]
		if vain > 0 || second == "" || second == h || !slices.Contains(ready, second) {
			second = choose(ready, h, app.Id, i+vain)
		}
		parts = append(parts, &apiv1.CheckpointPart{Host: h, Second: second})
	}
	return parts
}

// abortedSince is how many checkpoints of the app have been aborted since one was complete: others may have more room.
func abortedSince(v *fsm.View, app *apiv1.App) (n int) {
	for c := range v.CheckpointsOf(fsm.AppID(app.Id)) {
		switch c.Phase {
		case apiv1.CheckpointAborted:
			n++
		case apiv1.CheckpointComplete:
			n = 0
		}
	}
	return n
}

// choose takes the host behind h in a ring of hosts, or any by the app's name if h is none of them; "": there is no other.
func choose(ready []string, h, app string, i int) string {
	others := slices.DeleteFunc(slices.Clone(ready), func(o string) bool { return o == h })
	if len(others) == 0 {
		return ""
	}
	if at := slices.Index(ready, h); at >= 0 && len(ready) == len(others)+1 && slices.IsSorted(ready) {
		return ready[(at+1)%len(ready)]
	}
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(app)) // it does not fail
	return others[(int(sum.Sum32()%1024)+i)%len(others)]
}

// mayHold says whether a host may be given a part to hold.
func mayHold(v *fsm.View, id string) bool {
	h, ok := v.Host(fsm.HostID(id))
	return ok && fsm.HostStateOf(h) == fsm.Ready && fsm.WhyUnfit(h) == ""
}

// watch is what is known of a checkpoint's way.
func (k *checkpointer) watch(c *apiv1.Checkpoint) *watchedCheckpoint {
	point, now := fmt.Sprint(c.Phase, c.Still), k.now()
	w := k.seen[c.Id]
	if w == nil || w.point != point {
		w = &watchedCheckpoint{point: point, since: now, moved: now}
		k.seen[c.Id] = w
	}
	return w
}

// stand is how the hosts stand with a checkpoint.
type stand struct {
	ready, still, taken, held bool // all are
	waiting                   string
	fault, trouble            string
	progress                  int64
	parts                     []*apiv1.CheckpointPart // taken, or held
}

// stands is what hosts report of a checkpoint. Nothing in it is trusted: what does not fit is passed over.
func (l *leader) stands(c *apiv1.Checkpoint) *stand {
	s := &stand{ready: true, still: true, taken: true, held: true}
	for _, p := range c.Parts {
		st := l.inbox.report(fsm.HostID(p.Host), fsm.AppID(c.App)).GetCheckpoint()
		if st.GetId() != c.Id {
			st = nil
		}
		s.progress += max(0, st.GetProgress())
		s.fault = cmp.Or(s.fault, text.Line(st.GetFault(), maxReasonBytes))
		s.trouble = cmp.Or(s.trouble, text.Line(st.GetTrouble(), maxReasonBytes))
		s.ready = s.ready && st.GetReady()
		s.still = s.still && st.GetStill()
		s.taken = s.taken && st.GetTaken() != nil
		s.held = s.held && st.GetHeld() != nil
		part := &apiv1.CheckpointPart{Host: p.Host, Files: p.Files, PauseMs: finite(st.GetHeld().GetPauseMs())}
		switch {
		case c.Phase == apiv1.CheckpointPending && !st.GetReady(), c.Phase == apiv1.CheckpointAnnounced && !c.Still && !st.GetStill(),
			c.Phase == apiv1.CheckpointAnnounced && c.Still && st.GetTaken() == nil, c.Phase == apiv1.CheckpointTaken && st.GetHeld() == nil:
			s.waiting = p.Host
		}
		if held := st.GetHeld(); held != nil {
			part.Digest, part.Bytes, part.NewBytes = held.Digest, max(0, held.Bytes), max(0, min(held.NewBytes, held.Bytes))
		}
		s.parts = append(s.parts, part)
	}
	return s
}

// finite is a number of milliseconds that makes sense.
func finite(ms float64) float64 {
	const most = float64(24 * time.Hour / time.Millisecond)
	if !(ms >= 0 && ms <= most) {
		return 0
	}
	return ms
}

// drive does the next step of one checkpoint, if it is due.
func (k *checkpointer) drive(ctx context.Context, c *apiv1.Checkpoint, w *watchedCheckpoint) {
	s := k.l.stands(c)
	if s.progress > w.progress {
		w.progress, w.moved = s.progress, k.now()
	}
	if s.fault != "" {
		k.abort(ctx, c, s.fault)
		return
	}
	cfg := k.l.c.cfg
	switch {
	case c.Phase == apiv1.CheckpointPending && s.ready:
		k.announce(ctx, c, false)
	case c.Phase == apiv1.CheckpointPending:
		k.late(ctx, c, w.moved, cfg.AnnounceDeadline, "host "+s.waiting+" is not ready", s)
	case c.Phase == apiv1.CheckpointAnnounced && s.taken && (c.Still || !hasFiles(c)):
		k.l.propose(ctx, "take "+c.Id, func(cmd *apiv1.Command) {
			cmd.Op = &apiv1.Command_TakeCheckpoint{TakeCheckpoint: &apiv1.TakeCheckpoint{Id: c.Id, Parts: takenParts(s.parts)}}
		})
	case c.Phase == apiv1.CheckpointAnnounced && !c.Still && s.still:
		k.announce(ctx, c, true)
	case c.Phase == apiv1.CheckpointAnnounced && !c.Still:
		k.late(ctx, c, w.since, cfg.FreezeDeadline, "a rank on host "+s.waiting+" did not stop", s)
	case c.Phase == apiv1.CheckpointAnnounced:
		k.late(ctx, c, w.moved, cfg.FreezeDeadline, "the app's files on host "+s.waiting+" were not written", s)
	case c.Phase == apiv1.CheckpointTaken && s.held:
		k.complete(ctx, c, s)
	case c.Phase == apiv1.CheckpointTaken:
		k.late(ctx, c, w.moved, cfg.TransferDeadline, "the part of host "+s.waiting+" is not stored", s)
	}
}

func hasFiles(c *apiv1.Checkpoint) bool {
	return slices.ContainsFunc(c.Parts, func(p *apiv1.CheckpointPart) bool { return p.Files })
}

// takenParts are parts without what is known later.
func takenParts(parts []*apiv1.CheckpointPart) (out []*apiv1.CheckpointPart) {
	for _, p := range parts {
		out = append(out, &apiv1.CheckpointPart{Host: p.Host, Files: p.Files})
	}
	return out
}

func (k *checkpointer) announce(ctx context.Context, c *apiv1.Checkpoint, still bool) {
	what := "announce "
	if still {
		what = "hold still for "
	}
	k.l.propose(ctx, what+c.Id, func(cmd *apiv1.Command) {
		cmd.Op = &apiv1.Command_AnnounceCheckpoint{AnnounceCheckpoint: &apiv1.AnnounceCheckpoint{Id: c.Id, Still: still}}
	})
}

func (k *checkpointer) complete(ctx context.Context, c *apiv1.Checkpoint, s *stand) {
	longest := slices.MaxFunc(s.parts, func(a, b *apiv1.CheckpointPart) int { return cmp.Compare(a.PauseMs, b.PauseMs) })
	for _, p := range s.parts {
		if p != longest { // nobody looks at the others, and the entry of an app on thousands of hosts has to stay small
			p.PauseMs = 0
		}
	}
	done := k.l.propose(ctx, "complete "+c.Id, func(cmd *apiv1.Command) {
		cmd.Op = &apiv1.Command_CompleteCheckpoint{CompleteCheckpoint: &apiv1.CompleteCheckpoint{Id: c.Id, Parts: s.parts}}
	})
	if done {
		k.l.log.Info("checkpoint complete", "app", c.App, "checkpoint", c.Id, "cause", c.Cause)
	}
}

// late aborts a checkpoint that has not got on for long.
func (k *checkpointer) late(ctx context.Context, c *apiv1.Checkpoint, since time.Time, most time.Duration, what string, s *stand) {
	if k.now().Sub(since) <= most {
		return
	}
	why := fmt.Sprintf("%s within %s", what, most)
	if s.trouble != "" {
		why += ": " + s.trouble
	} else if c.Phase == apiv1.CheckpointAnnounced && !c.Still {
		why += ": it computes without an MPI call (godwit cc --preemptible builds programs that stop in loops, too), or it is in a function that MPI has called back"
	}
	k.abort(ctx, c, why)
}

func (k *checkpointer) abort(ctx context.Context, c *apiv1.Checkpoint, why string) {
	why = text.Clean(why, maxReasonBytes)
	done := k.l.propose(ctx, "abort "+c.Id, func(cmd *apiv1.Command) {
		cmd.Op = &apiv1.Command_AbortCheckpoint{AbortCheckpoint: &apiv1.AbortCheckpoint{Id: c.Id, Reason: why}}
	})
	if done {
		k.l.log.Info("checkpoint aborted", "app", c.App, "checkpoint", c.Id, "reason", why)
	}
}

// collect has checkpoints forgotten that nobody wants: of an app that goes on, those that its period has made, but for the last few; of one that has succeeded, all; of others
// that are over, those that are older than the configuration says. What asks for them by hand keeps them until the app is over.
func (k *checkpointer) collect(ctx context.Context, v *fsm.View, apps map[string]bool) {
	oldest := k.now().Add(-k.l.c.cfg.CheckpointAge)
	for id := range apps {
		app, known := v.App(fsm.AppID(id))
		var ids []string
		over := !known || fsm.PhaseOf(app).Terminal()
		for _, c := range unwanted(app, known, slices.Collect(v.CheckpointsOf(fsm.AppID(id))), oldest) {
			if over || c.Id != app.GetRestore() && c.Id != app.GetLastCheckpoint() && !k.l.storer.onItsWay(c.Id) {
				ids = append(ids, c.Id)
			}
		}
		for _, c := range ids {
			k.l.propose(ctx, "remove checkpoint "+c, func(cmd *apiv1.Command) { // one by one: another app may begin from one of them
				cmd.Op = &apiv1.Command_RemoveCheckpoint{RemoveCheckpoint: &apiv1.RemoveCheckpoint{Ids: []string{c}}}
			})
		}
	}
}

// unwanted are the checkpoints of an app, oldest first, that nobody wants. known says whether the app is.
func unwanted(app *apiv1.App, known bool, all []*apiv1.Checkpoint, oldest time.Time) (out []*apiv1.Checkpoint) {
	over := !known || fsm.PhaseOf(app).Terminal()
	keep, stored := cmp.Or(int(app.GetSpec().GetCheckpointKeep()), checkpointKeep), false
	for _, c := range slices.Backward(all) {
		complete := c.Phase == apiv1.CheckpointComplete
		switch {
		case !apiv1.CheckpointOver(c.Phase):
		case c.Imported: // whether its app is known here, and how it stands, has nothing to do with it
			if c.GetEndedAt().AsTime().Before(oldest) {
				out = append(out, c)
			}
		case over && (known && fsm.PhaseOf(app) == fsm.Succeeded || c.GetEndedAt().AsTime().Before(oldest)):
			out = append(out, c)
		case over:
		case complete && c.Cause == causePeriod:
			last := c.StoredAt != nil && !stored // when its hosts are lost the app goes on from there
			stored = stored || last
			if keep--; keep < 0 && !last {
				out = append(out, c)
			}
		}
	}
	return out
}
