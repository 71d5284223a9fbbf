package control

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/godwit-run/godwit/control/steps"
	"github.com/godwit-run/godwit/fsm"
)

// proposalsAtOnce bounds the proposals that one look at the reports makes at a time; the log batches them.
const proposalsAtOnce = 64

// takeReports commits what workers report: executors that run, ranks that have ended, pauses. It looks at the apps that
// have had news since the last look, and at those where a proposal came to nothing.
func (l *leader) takeReports(ctx context.Context) {
	fresh := l.inbox.takeFresh() // before the view: a report is never ahead of the state it is compared with
	v := l.c.state.View()
	var g errgroup.Group
	g.SetLimit(proposalsAtOnce)
	for _, id := range fresh {
		app, ok := v.App(id)
		if !ok {
			continue
		}
		for host, st := range l.inbox.ofApp(id) {
			all := steps.News(v, app, host, st)
			if len(all) == 0 {
				continue
			}
			l.passOver(v, host, all)
			g.Go(func() error { // one after the other: an app has started before it ends
				for _, s := range all {
					if !l.proposeStep(ctx, s) {
						l.inbox.again(id)
					}
				}
				return nil
			})
		}
	}
	_ = g.Wait() // propose reports its own failures
}

// passOver has an app begin elsewhere than on a host that cannot begin it from its checkpoint, before it is queued again: for want of room, or since it finds nobody who has what an object store
// is to have. That who had it will not be back is no fault of a host's.
func (l *leader) passOver(v *fsm.View, host fsm.HostID, all []*steps.Step) {
	for _, s := range all {
		op := s.Command.GetRestartApp()
		if !op.GetFromCheckpoint() {
			continue
		}
		app, _ := v.App(fsm.AppID(op.App))
		ck, ok := v.Checkpoint(fsm.CheckpointID(app.GetRestore()))
		if ok && (v.WhyGone(ck) != "" || op.Lost != "" && ck.StoredAt == nil) {
			continue
		}
		l.roomless.note(fsm.AppID(op.App), host, op.Reason, time.Now().Add(passOver))
	}
}
