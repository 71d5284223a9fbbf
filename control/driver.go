package control

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/control/steps"
	"github.com/godwit-run/godwit/fsm"
)

// driver takes each migration under way to its next phase, or to its abort.
func (l *leader) driver() func(context.Context) {
	seen := map[string]*steps.Watch{}
	return func(ctx context.Context) {
		v := l.c.state.View()
		live := map[string]bool{}
		var g errgroup.Group
		g.SetLimit(proposalsAtOnce)
		for mig := range v.PendingMigrations() {
			live[mig.Id] = true
			w := watched(seen, mig.Id)
			g.Go(func() error { l.drive(ctx, v, mig, w); return nil })
		}
		_ = g.Wait() // what fails is left to a later look
		for id := range seen {
			if !live[id] {
				delete(seen, id)
			}
		}
	}
}

// watched is the watch of what is under way under an id, a new one where there is none.
func watched(seen map[string]*steps.Watch, id string) *steps.Watch {
	if seen[id] == nil {
		seen[id] = new(steps.Watch)
	}
	return seen[id]
}

// drive does the next step of one migration, if it is due.
func (l *leader) drive(ctx context.Context, v *fsm.View, mig *apiv1.Migration, w *steps.Watch) {
	step := steps.Migration(v, mig, l.inbox.reports(fsm.AppID(mig.App)), w, time.Now(), l.c.cfg.deadlines())
	l.take(ctx, step, func(done *apiv1.Command) {
		switch {
		case done.GetCommitMigration() != nil, done.GetFreezeMigration().GetCommit():
			l.log.Info("migration committed", "app", mig.App, "migration", mig.Id, "cause", mig.Cause, "moves", len(mig.Moves))
		case done.GetAbortMigration() != nil:
			l.log.Info("migration aborted", "app", mig.App, "migration", mig.Id, "reason", done.GetAbortMigration().Reason)
		}
	})
}

// take proposes a step, and what follows from how it went; nil: there is none. applied hears of each command that the log has applied.
func (l *leader) take(ctx context.Context, s *steps.Step, applied func(*apiv1.Command)) {
	for s != nil {
		if !l.proposeStep(ctx, s) {
			s = s.Else
			continue
		}
		applied(s.Command)
		s = s.Then
	}
}

// proposeStep is propose for a step, without what follows from it.
func (l *leader) proposeStep(ctx context.Context, s *steps.Step) bool {
	return l.propose(ctx, s.What, func(c *apiv1.Command) { c.Op = s.Command.Op })
}

// deadlines are those of migrations and checkpoints.
func (c Config) deadlines() steps.Deadlines {
	return steps.Deadlines{Announce: c.AnnounceDeadline, Freeze: c.FreezeDeadline, Transfer: c.TransferDeadline}
}
