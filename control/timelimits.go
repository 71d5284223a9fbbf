package control

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// timekeeper ends apps that have run for as long as they may. A look costs the apps that the log has changed, and those whose time is over.
func (l *leader) timekeeper() func(context.Context) {
	feed, ends := newFollower(l.c.state), newSchedule[fsm.AppID]()
	return func(ctx context.Context) {
		v := followEnds(feed, ends)
		var g errgroup.Group
		g.SetLimit(proposalsAtOnce)
		for _, id := range ends.due(time.Now()) {
			app, ok := v.App(id)
			if !ok {
				continue
			}
			g.Go(func() error {
				limit := time.Duration(app.Spec.TimeLimitMs) * time.Millisecond
				if l.propose(ctx, "end "+app.Id+", whose time is over", func(cmd *apiv1.Command) {
					cmd.Op = &apiv1.Command_StopApp{StopApp: &apiv1.StopApp{
						App: app.Id, Phase: string(fsm.Failed), ExitCode: fsm.ExitTimeLimit, Final: true, GraceMs: graceAt(v), Reason: fmt.Sprintf("it has run for %v, its time limit", limit),
					}}
				}) {
					l.log.Info("an app is ended: its time is over", "app", app.Id, "limit", limit)
				}
				return nil
			})
		}
		_ = g.Wait() // what fails is left to a later look
	}
}

// graceAt is for how long programs that are told to end may go on where nobody says otherwise.
func graceAt(v *fsm.View) int64 {
	if !v.Schedules() {
		return 0 // they are not told
	}
	return fsm.StopGraceMs
}

// followEnds keeps the schedule in step with the apps that run and have a time limit.
func followEnds(feed *follower, ends *schedule[fsm.AppID]) *fsm.View {
	return followPlaced(feed, ends, func(v *fsm.View, id fsm.AppID) { followEnd(v, id, ends) })
}

func followEnd(v *fsm.View, id fsm.AppID, ends *schedule[fsm.AppID]) {
	app, ok := v.App(id)
	if !ok || app.Spec.TimeLimitMs == 0 || app.StartedAt == nil || app.Verdict != "" || !fsm.PhaseOf(app).Placed() {
		ends.remove(id)
		return
	}
	ends.set(id, app.StartedAt.AsTime().Add(time.Duration(app.Spec.TimeLimitMs-app.RanMs)*time.Millisecond))
}
