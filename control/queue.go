package control

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/planner"
)

// placedAtOnce bounds the placements that one look proposes together; the log batches them.
const placedAtOnce = 64

// placer places queued apps in order of submission, as far as there is room on hosts that were heard of late: what is given to one that has died goes
// down with it. A new leader first waits a little for the hosts: what is placed on the first that is heard of many is placed badly, and what is
// spread over zones has them all in one. A queue that has been found to wait is looked at again when an app or a host has changed, or is heard again.
func (l *leader) placer() func(context.Context) {
	feed, board, waits := newFollower(l.c.state), planner.NewBoard(), false
	ahead := &backfiller{l: l}
	quiet := map[fsm.HostID]bool{}
	board.SetAvoid(l.roomless.of)
	return func(ctx context.Context) {
		for ctx.Err() == nil && !l.settles() {
			v, changes, all := feed.look()
			if followBoard(board, v, changes, all) {
				waits = false
			}
			if now := l.quiet(); len(now)+len(quiet) > 0 {
				waits = setAway(board, v, quiet, now) && waits
			}
			if waits = !l.roomless.over(time.Now()) && waits; waits && !ahead.owes(time.Now()) {
				return
			}
			next := heardOnly(board.Next(v, placedAtOnce), quiet)
			if waits = len(next) == 0; waits {
				next = heardOnly(ahead.look(v, quiet), quiet)
			}
			if !l.placeAll(ctx, next) {
				return
			}
		}
	}
}

// backfiller places apps ahead of a head that waits. A look costs all hosts and all that runs: so it takes a small part of the leader's time.
type backfiller struct {
	l    *leader
	next time.Time // not before
	owed bool      // something may have changed since the last look
}

// restOfBackfill is how many times as long as a look took it is until the next, and backfillAgain how long at least.
const (
	restOfBackfill = 20
	backfillAgain  = 100 * time.Millisecond
)

// owes says whether a look is due that was put off.
func (b *backfiller) owes(now time.Time) bool { return b.owed && !now.Before(b.next) }

// look finds what can be placed ahead of the head, unless the last look was too short ago: then it owes one.
func (b *backfiller) look(v *fsm.View, quiet map[fsm.HostID]bool) []planner.Next {
	now := time.Now()
	if b.owed = now.Before(b.next); b.owed {
		return nil
	}
	away := make(map[string]bool, len(quiet))
	for id := range quiet {
		away[string(id)] = true
	}
	next := planner.Backfill(planner.Cluster{View: v, Away: away, Avoid: b.l.roomless.of}, now, placedAtOnce)
	b.next = time.Now().Add(max(backfillAgain, restOfBackfill*time.Since(now)))
	b.owed = len(next) > 0
	return next
}

// quietAfter is how long a host is not heard before it is given no ranks: some heartbeats, and a part of the lease only. It decides nothing else.
func (c *Config) quietAfter() time.Duration { return min(max(4*c.Heartbeat, c.Lease/5), c.Lease/2) }

// quiet are the hosts that are given no ranks now.
func (l *leader) quiet() []fsm.HostID {
	return l.sessions.quiet(time.Now().Add(-l.c.cfg.quietAfter()))
}

// settles says whether this leader has begun so short a time ago that it waits for the hosts that it has not heard yet, and places nothing.
func (l *leader) settles() bool {
	return time.Since(l.began) < l.c.cfg.quietAfter() && l.sessions.awaits()
}

// queueReasons says why the apps of a view are not placed.
type queueReasons struct {
	line  *planner.Line
	quiet []fsm.HostID
}

func (c *Control) queueReasons(v *fsm.View) *queueReasons {
	l := c.current()
	if l == nil {
		return &queueReasons{line: c.lines.Of(v, nil)}
	}
	return &queueReasons{line: c.lines.Of(v, l.roomless.of), quiet: l.quiet()}
}

// soon says whether an app is about to be placed, as far as is known.
func (r *queueReasons) soon(app *apiv1.App) bool { return r.line.Why(app) == planner.Soon }

// of says why an app is not placed, for people to read.
func (r *queueReasons) of(app *apiv1.App) string {
	why := r.line.Why(app)
	if len(r.quiet) == 0 || !strings.HasSuffix(why, planner.Soon) {
		return why
	}
	names := string(slices.Min(r.quiet))
	if more := len(r.quiet) - 1; more > 0 {
		names += fmt.Sprintf(" and %d more", more)
	}
	return why + fmt.Sprintf(", not on a host that is not heard at the moment (%s)", names)
}

// setAway has the board count no more on the hosts that are quiet now, and again on those that were: quiet, which becomes those that are. It says
// whether they are the same.
func setAway(board *planner.Board, v *fsm.View, quiet map[fsm.HostID]bool, now []fsm.HostID) (same bool) {
	same = true
	is := make(map[fsm.HostID]bool, len(now))
	for _, id := range now {
		if is[id] = true; !quiet[id] {
			quiet[id], same = true, false
			board.SetAway(v, id, true)
		}
	}
	for id := range quiet {
		if !is[id] {
			delete(quiet, id)
			same = false
			board.SetAway(v, id, false)
		}
	}
	return same
}

// heardOnly are the first of the apps that are placed on no quiet host: one that is waits for it, and those behind it for that one.
func heardOnly(next []planner.Next, quiet map[fsm.HostID]bool) []planner.Next {
	if len(quiet) == 0 {
		return next
	}
	i := slices.IndexFunc(next, func(n planner.Next) bool {
		return slices.ContainsFunc(n.Placement, func(host string) bool { return quiet[fsm.HostID(host)] })
	})
	if i >= 0 {
		return next[:i]
	}
	return next
}

// followBoard brings the board to the view, and says whether the queue may go on: an app, a host, a checkpoint or a rule of the cluster has changed.
func followBoard(board *planner.Board, v *fsm.View, changes []fsm.Change, all bool) bool {
	if all {
		board.Reset(v)
		return true
	}
	may := false
	for _, c := range changes {
		may = may || c.Cluster || len(c.Apps)+len(c.Hosts) > 0 || slices.ContainsFunc(c.Checkpoints, func(id fsm.CheckpointID) bool {
			ck, ok := v.Checkpoint(id)
			return ok && ck.StoredAt != nil // it is away no more
		})
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
