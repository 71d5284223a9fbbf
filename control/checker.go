package control

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/planner"
)

// againAfterLimit is how long it is until apps are looked at again for which there may have been too many migrations under way.
const againAfterLimit = time.Second

// checker proposes migrations for the apps that have opted in, each at least once in its period. A look costs the apps
// that the log has changed and those whose period is over.
func (l *leader) checker() func(context.Context) {
	feed, checks := newFollower(l.c.state), newSchedule[fsm.AppID]()
	return func(ctx context.Context) {
		v, now := followChecks(feed, checks), time.Now()
		var due []fsm.AppID
		for _, id := range checks.due(now) {
			app, _ := v.App(id)
			if planner.PolicyOf(v, app) == planner.Traffic && !l.traffic.measured(id, now) {
				checks.set(id, now.Add(tick)) // it is being asked
				continue
			}
			checks.set(id, now.Add(checkAfter(app)))
			due = append(due, id)
		}
		if len(due) == 0 {
			return
		}
		var g errgroup.Group
		g.SetLimit(proposalsAtOnce)
		check := planner.Checker{View: v, Now: now, Traffic: func(id fsm.AppID) *planner.Matrix { return l.traffic.of(v, id) }}
		proposals := check.Check(due)
		if len(proposals) >= check.Room() { // the others have their turn when some of these have ended, not a period later
			for _, id := range due {
				checks.set(id, now.Add(againAfterLimit))
			}
		}
		for _, p := range proposals {
			g.Go(func() error { // the plans count each other's targets
				if l.propose(ctx, "migrate "+string(p.App), func(c *apiv1.Command) { migrationCommand(c, p) }) {
					l.log.Info("migration proposed", "app", p.App, "cause", p.Cause, "moves", len(p.Moves))
				}
				return nil
			})
		}
		_ = g.Wait() // what fails is left to a later look
	}
}

// followChecks keeps the schedule in step with the apps that hold hosts and have opted in: those in the view
// have an entry, and nobody else.
func followChecks(feed *follower, checks *schedule[fsm.AppID]) *fsm.View {
	now := time.Now()
	return followPlaced(feed, checks, func(v *fsm.View, id fsm.AppID) { followCheck(v, id, checks, now) })
}

// followPlaced calls f for each app that the log has changed; when all of it may have changed, for those that hold hosts and those that have a time.
func followPlaced(feed *follower, times *schedule[fsm.AppID], f func(*fsm.View, fsm.AppID)) *fsm.View {
	v, changes, all := feed.look()
	if all {
		for id := range times.at {
			f(v, id)
		}
		for app := range v.Placed() {
			f(v, fsm.AppID(app.Id))
		}
	}
	for _, c := range changes {
		for _, id := range c.Apps {
			f(v, id)
		}
	}
	return v
}

func followCheck(v *fsm.View, id fsm.AppID, checks *schedule[fsm.AppID], now time.Time) {
	app, ok := v.App(id)
	if !ok || !fsm.PhaseOf(app).Placed() || !(app.Spec.MigrationCheckPeriod > 0) {
		checks.remove(id)
		return
	}
	if _, known := checks.when(id); !known {
		checks.set(id, now.Add(checkAfter(app)))
	}
}

// checkAfter is how long after a check of the app the next one is due: before its period is over, for a look may be as
// late as the next tick.
func checkAfter(app *apiv1.App) time.Duration {
	return time.Duration(app.Spec.MigrationCheckPeriod*float64(time.Second)) - tick
}
