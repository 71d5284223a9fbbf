package control

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/control/steps"
	"github.com/godwit-run/godwit/fsm"
)

// collectEvery is how often it is looked which checkpoints are not wanted any more, at least.
const collectEvery = time.Minute

// checkpointer begins checkpoints that are due, takes each under way to its next phase or its abort, and has those forgotten that are not wanted any more. One
// goroutine uses it.
type checkpointer struct {
	l         *leader
	feed      *follower
	due       *schedule[fsm.AppID]
	seen      map[string]*steps.Watch
	collected time.Time
	now       func() time.Time
}

func (l *leader) newCheckpointer() *checkpointer {
	return &checkpointer{l: l, feed: newFollower(l.c.state), due: newSchedule[fsm.AppID](), seen: map[string]*steps.Watch{}, now: time.Now}
}

func (k *checkpointer) look(ctx context.Context) {
	v, changes, all := k.feed.look()
	k.follow(v, changes, all)
	var g errgroup.Group
	g.SetLimit(proposalsAtOnce)
	for _, id := range k.due.due(k.now()) {
		app, ok := v.App(id)
		if !ok || !steps.MayCheckpoint(v, app) || k.l.leaving.freezesSoon(id) {
			continue // a later look finds it due, too
		}
		k.due.set(id, k.now().Add(steps.NextCheckpoint(v, app)))
		g.Go(func() error {
			k.l.proposeStep(ctx, steps.BeginCheckpoint(v, app, newCheckpointID(), steps.CausePeriod, apiv1.AfterCheckpoint_AFTER_CHECKPOINT_UNSPECIFIED))
			return nil
		})
	}
	live := map[string]bool{}
	for c := range v.PendingCheckpoints() {
		live[c.Id] = true
		w := watched(k.seen, c.Id)
		g.Go(func() error { k.drive(ctx, v, c, w); return nil })
	}
	_ = g.Wait() // what fails is left to a later look
	maps.DeleteFunc(k.seen, func(id string, _ *steps.Watch) bool { return !live[id] })
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
		k.due.set(id, k.now().Add(steps.Period(app)))
	}
}

// newCheckpointID makes an id that no checkpoint has.
func newCheckpointID() fsm.CheckpointID {
	u := uuid.New()
	return fsm.CheckpointID(fmt.Sprintf("ckpt-%x", u[:5]))
}

// drive does the next step of one checkpoint, if it is due.
func (k *checkpointer) drive(ctx context.Context, v *fsm.View, c *apiv1.Checkpoint, w *steps.Watch) {
	step := steps.Checkpoint(v, c, k.l.inbox.reports(fsm.AppID(c.App)), w, k.now(), k.l.c.cfg.deadlines())
	k.l.take(ctx, step, func(done *apiv1.Command) {
		switch {
		case done.GetCompleteCheckpoint() != nil:
			k.l.log.Info("checkpoint complete", "app", c.App, "checkpoint", c.Id, "cause", c.Cause)
		case done.GetAbortCheckpoint() != nil:
			k.l.log.Info("checkpoint aborted", "app", c.App, "checkpoint", c.Id, "reason", done.GetAbortCheckpoint().Reason, "next", done.GetAbortCheckpoint().GetNext().GetId())
		}
	})
}

// collect has checkpoints of some apps forgotten that nobody wants.
func (k *checkpointer) collect(ctx context.Context, v *fsm.View, apps map[string]bool) {
	oldest := k.now().Add(-k.l.c.cfg.CheckpointAge)
	var g errgroup.Group
	g.SetLimit(proposalsAtOnce)
	for id := range apps {
		for _, s := range steps.Collect(v, fsm.AppID(id), oldest, k.l.storer.onItsWay) {
			g.Go(func() error { k.l.proposeStep(ctx, s); return nil })
		}
	}
	_ = g.Wait() // what fails is left to a later look
}
