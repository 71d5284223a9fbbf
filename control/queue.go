package control

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/planner"
)

// placedAtOnce bounds the placements that one look proposes together; the log batches them.
const placedAtOnce = 64

// placer places queued apps. A queue that has been found to wait is looked at again when an app or a host has changed.
func (l *leader) placer() func(context.Context) {
	feed, waits := newFollower(l.c.state), false
	return func(ctx context.Context) {
		_, changes, all := feed.look()
		if waits && !all && !slices.ContainsFunc(changes, func(c fsm.Change) bool { return len(c.Apps)+len(c.Hosts) > 0 }) {
			return
		}
		waits = l.placeQueued(ctx)
	}
}

// placeQueued places queued apps in order of submission, as far as there is room, and says whether all that are left have
// to wait for room. Each plan of a look counts the earlier ones, so their proposals need not wait for each other. One that
// rests holds up those behind it, as one that waits does.
func (l *leader) placeQueued(ctx context.Context) (wait bool) {
	for ctx.Err() == nil {
		next := planner.NextPlacements(l.c.state.View(), placedAtOnce)
		if len(next) == 0 {
			return true
		}
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
		_ = g.Wait()         // propose reports its own failures
		all := len(next) > 0 // 0: the first of them rests
		for i, n := range next {
			if done[i] {
				l.log.Info("app placed", "app", n.App.Id, "ranks", len(n.Placement))
			}
			all = all && done[i]
		}
		if !all {
			return false
		}
	}
	return false
}
