package control

import (
	"context"

	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/planner"
)

// placedAtOnce bounds the placements that one look proposes together; the log batches them.
const placedAtOnce = 64

// placer places queued apps in order of submission, as far as there is room. A queue that has been found to wait is
// looked at again when an app or a host has changed.
func (l *leader) placer() func(context.Context) {
	feed, board, waits := newFollower(l.c.state), planner.NewBoard(), false
	return func(ctx context.Context) {
		for ctx.Err() == nil {
			v, changes, all := feed.look()
			if followBoard(board, v, changes, all) {
				waits = false
			}
			if waits {
				return
			}
			next := board.Next(v, placedAtOnce)
			waits = len(next) == 0
			if !l.placeAll(ctx, next) {
				return
			}
		}
	}
}

// followBoard brings the board to the view, and says whether the queue may go on: an app or a host has changed.
func followBoard(board *planner.Board, v *fsm.View, changes []fsm.Change, all bool) bool {
	if all {
		board.Reset(v)
		return true
	}
	may := false
	for _, c := range changes {
		may = may || len(c.Apps)+len(c.Hosts) > 0
		for _, id := range c.Hosts {
			board.Change(v, id)
		}
	}
	return may
}

// placeAll proposes placements, and says whether all have been applied, and there were some. Each plan of a look counts
// the earlier ones, so their proposals need not wait for each other. One that rests holds up those behind it, as one that
// waits does.
func (l *leader) placeAll(ctx context.Context, next []planner.Next) bool {
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
				c.Op = &apiv1.Command_PlaceApp{PlaceApp: fsm.NewPlaceApp(fsm.AppID(n.App.Id), n.Placement)}
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
	return all
}
