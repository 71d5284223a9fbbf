package control

import (
	"context"
	"fmt"
	"sync"
	"time"

	"connectrpc.com/connect/v2"
	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/transport"
)

// owners remembers when each app's owner, the command that started it and stays with it, was heard last, on this process's monotonic clock. It
// is of one term: a new leader waits a full lease for each, whatever its predecessor has heard.
type owners struct {
	mu    sync.Mutex // guards the fields below
	heard map[fsm.AppID]time.Time
	last  time.Time // of the last look
}

func newOwners() *owners { return &owners{heard: map[fsm.AppID]time.Time{}} }

// hear renews the lease of an app that is waited for.
func (o *owners) hear(id fsm.AppID, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if before, ok := o.heard[id]; ok && now.After(before) {
		o.heard[id] = now
	}
}

// expect begins to wait for the owner of an app, or ends that.
func (o *owners) expect(v *fsm.View, id fsm.AppID, now time.Time) {
	app, ok := v.App(id)
	o.mu.Lock()
	defer o.mu.Unlock()
	if !ok || !owned(app) {
		delete(o.heard, id)
	} else if _, known := o.heard[id]; !known {
		o.heard[id] = now
	}
}

// owned says whether an app ends without its owner.
func owned(app *apiv1.App) bool {
	return app.GetSpec().GetOwnerLeaseMs() > 0 && app.GetVerdict() == "" && !fsm.PhaseOf(app).Terminal()
}

func ownerLease(app *apiv1.App) time.Duration {
	return time.Duration(app.GetSpec().GetOwnerLeaseMs()) * time.Millisecond
}

// silent are the apps whose owners have let their leases go by. Time in which this process did not run counts for none: what was said
// meanwhile may still wait to be read.
func (o *owners) silent(v *fsm.View, now time.Time) []*apiv1.App {
	o.mu.Lock()
	defer o.mu.Unlock()
	excused := time.Duration(0)
	if gap := now.Sub(o.last); gap > leaseMargin && !o.last.IsZero() {
		excused = gap
	}
	o.last = now
	var out []*apiv1.App
	for id, at := range o.heard {
		if excused > 0 {
			at = at.Add(excused)
			if at.After(now) {
				at = now
			}
			o.heard[id] = at
		}
		switch app, ok := v.App(id); {
		case !ok:
			delete(o.heard, id)
		case now.Sub(at) > ownerLease(app):
			out = append(out, app)
		}
	}
	return out
}

// ownerWatch cancels apps whose owners are gone. A look costs the apps that have owners.
func (l *leader) ownerWatch() func(context.Context) {
	feed := newFollower(l.c.state)
	return func(ctx context.Context) {
		now := time.Now()
		v, changes, all := feed.look()
		if all {
			for app := range v.InFlightAfter(fsm.Place{}) {
				l.owners.expect(v, fsm.AppID(app.Id), now)
			}
		}
		for _, c := range changes {
			for _, id := range c.Apps {
				l.owners.expect(v, id, now)
			}
		}
		var g errgroup.Group
		g.SetLimit(proposalsAtOnce) // a machine from which many were started may go at once
		for _, app := range l.owners.silent(v, now) {
			g.Go(func() error {
				if l.propose(ctx, "cancel "+app.Id+", whose owner is gone", func(cmd *apiv1.Command) {
					cmd.Op = &apiv1.Command_StopApp{StopApp: &apiv1.StopApp{App: app.Id, Phase: string(fsm.Cancelled), GraceMs: graceAt(v), Reason: fmt.Sprintf(
						"the command that started it is gone: nothing was heard of it for %v (godwit submit starts what goes on by itself)", ownerLease(app))}}
				}) {
					l.log.Info("an app is cancelled: its owner is gone", "app", app.Id, "lease", ownerLease(app))
				}
				return nil
			})
		}
		_ = g.Wait() // what fails is left to a later look
	}
}

// HoldApp implements the Control service. The owner is heard when a majority of the servers, asked after it called, is in this leader's term: who
// is told that it holds an app holds it as long as its lease, whoever leads next.
func (c *Control) HoldApp(ctx context.Context, req *apiv1.HoldAppRequest) (*apiv1.HoldAppResponse, error) {
	now, l := time.Now(), c.current()
	if l == nil {
		return nil, apierr.New(connect.CodeUnavailable, apierr.ReasonNotLeader, "", "this server does not lead yet, or not any more", "try again")
	}
	id := fsm.AppID(req.App)
	app, ok := c.state.View().App(id)
	if !ok {
		return nil, apierr.New(connect.CodeNotFound, apierr.ReasonNotFound, "app", fmt.Sprintf("no app %.80q", req.App), "give an app's whole id")
	}
	if !owned(app) {
		return &apiv1.HoldAppResponse{}, nil
	}
	ctx, leave, err := l.tenure.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	transport.Yield(ctx)
	if err := l.leases.confirmed(ctx); err != nil {
		return nil, apierr.New(connect.CodeUnavailable, apierr.ReasonNotLeader, "", err.Error(), "try again")
	}
	l.owners.hear(id, now)
	return &apiv1.HoldAppResponse{Held: true}, nil
}
