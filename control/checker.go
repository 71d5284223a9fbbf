package control

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/planner"
)

// checker proposes migrations for the apps that have opted in, each at least once in its period.
func (l *leader) checker() func(context.Context) {
	checked := map[fsm.AppID]time.Time{}
	return func(ctx context.Context) {
		v, now := l.c.state.View(), time.Now()
		due := map[fsm.AppID]bool{}
		live := map[fsm.AppID]bool{}
		for app := range v.Placed() {
			period := time.Duration(app.Spec.MigrationCheckPeriod * float64(time.Second))
			if period <= 0 {
				continue
			}
			id := fsm.AppID(app.Id)
			live[id] = true
			if _, ok := checked[id]; !ok {
				checked[id] = now
			}
			if now.Sub(checked[id]) >= period-tick {
				due[id] = true
				checked[id] = now
			}
		}
		for id := range checked {
			if !live[id] {
				delete(checked, id)
			}
		}
		if len(due) == 0 {
			return
		}
		var g errgroup.Group
		g.SetLimit(proposalsAtOnce)
		for _, p := range planner.CheckMigrations(v, func(id fsm.AppID) bool { return due[id] }) {
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
