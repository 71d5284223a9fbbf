package control

import (
	"context"

	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/planner"
)

// placedAtOnce bounds the placements that one look proposes together; the log batches them.
const placedAtOnce = 64

// placeQueued places queued apps in order of submission, as far as there is room. Each plan of a look counts the earlier
// ones, so their proposals need not wait for each other. One that rests holds up those behind it, as one that waits does.
func (l *leader) placeQueued(ctx context.Context) {
	for ctx.Err() == nil {
		next := planner.NextPlacements(l.c.state.View(), placedAtOnce)
		var g errgroup.Group
		done := make([]bool, len(next))
		for i, n := range next {
			what := "place " + n.App.Id
			if l.refusals.rest(what) {
				next = next[:i]
				break
			}
			g.Go(func() error {
				done[i] = l.propose(ctx, what, func(c *apiv1.Command) {
					c.Op = &apiv1.Command_PlaceApp{PlaceApp: &apiv1.PlaceApp{App: n.App.Id, Placement: n.Placement}}
				})
				return nil
			})
		}
		_ = g.Wait() // propose reports its own failures
		all := len(next) > 0
		for i, n := range next {
			if done[i] {
				l.log.Info("app placed", "app", n.App.Id, "ranks", len(n.Placement))
			}
			all = all && done[i]
		}
		if !all {
			return
		}
	}
}
