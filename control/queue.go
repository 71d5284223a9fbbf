package control

import (
	"context"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/planner"
)

// placeQueued places queued apps in order of submission, as far as there is room.
func (l *leader) placeQueued(ctx context.Context) {
	for ctx.Err() == nil {
		app, placement, _, ok := planner.NextPlacement(l.c.state.View())
		if !ok {
			return
		}
		done := l.propose(ctx, "place "+app.Id, func(c *apiv1.Command) {
			c.Op = &apiv1.Command_PlaceApp{PlaceApp: &apiv1.PlaceApp{App: app.Id, Placement: placement}}
		})
		if !done {
			return
		}
		l.log.Info("app placed", "app", app.Id, "ranks", len(placement))
	}
}
