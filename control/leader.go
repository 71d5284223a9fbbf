package control

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/planner"
)

// tick is how often a duty looks again without being told to.
const tick = 200 * time.Millisecond

// restAfter is how long a look may take before it is followed by a pause.
const restAfter = time.Millisecond

// leader is one term of leadership on this server. All it keeps can be lost: a new leader learns it from the log and
// from the workers' hellos.
type leader struct {
	c    *Control
	term uint64
	log  *slog.Logger
	over <-chan struct{} // closed when the term ends

	mu       sync.Mutex // guards the fields below
	sessions map[fsm.HostID]*session
	seen     map[fsm.HostID]time.Time // when each host last renewed its lease
	reports  map[fsm.HostID]map[fsm.AppID]*apiv1.AppStatus
	changed  chan struct{} // closed and replaced when sessions or reports change
	refused  map[string]time.Time
}

// Lead does the leader's duties of one term until ctx ends. The caller has passed a barrier.
func (c *Control) Lead(ctx context.Context, term uint64) error {
	l := &leader{
		c: c, term: term, log: c.slog.With("term", term), over: ctx.Done(),
		sessions: map[fsm.HostID]*session{}, seen: map[fsm.HostID]time.Time{},
		reports: map[fsm.HostID]map[fsm.AppID]*apiv1.AppStatus{}, changed: make(chan struct{}),
		refused: map[string]time.Time{},
	}
	// A host that the log calls ready gets a full lease from this leader before it can be lost.
	now := time.Now()
	for h := range c.state.View().Hosts() {
		if !fsm.HostStateOf(h).Gone() {
			l.seen[fsm.HostID(h.Id)] = now
		}
	}
	c.setLeader(l)
	defer c.setLeader(nil)
	l.log.Info("leading")
	if c.state.View().ClusterID() == "" {
		l.propose(ctx, "name the cluster", func(cmd *apiv1.Command) {
			cmd.Op = &apiv1.Command_InitCluster{InitCluster: &apiv1.InitCluster{ClusterId: uuid.NewString()}}
		})
	}
	g, ctx := errgroup.WithContext(ctx)
	duty := func(f func(context.Context)) {
		g.Go(func() error { return l.loop(ctx, f) })
	}
	duty(l.expireLeases)
	duty(l.placeQueued)
	duty(l.takeReports)
	duty(l.driver())
	duty(l.checker())
	duty(l.dispatcher())
	duty(l.hasher())
	g.Go(func() error { return l.keepMembers(ctx) })
	err := g.Wait()
	l.log.Info("no longer leading")
	return err
}

// loop calls f when the state or what workers report has changed, and at every tick, until ctx ends. A duty that has much
// to look at pauses for as long as it took, so that it takes half a core at the most when changes come fast.
func (l *leader) loop(ctx context.Context, f func(context.Context)) error {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		state, reports := l.c.state.Watch(), l.watch()
		start := time.Now()
		f(ctx)
		if took := time.Since(start); took > restAfter {
			if err := await(ctx, nil, min(took, tick)); err != nil {
				return err
			}
		}
		select {
		case <-state:
		case <-reports:
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *leader) watch() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// notify wakes the duties. Holds mu.
func (l *leader) notify() {
	close(l.changed)
	l.changed = make(chan struct{})
}

const (
	// refusedPause is how long a proposal that was refused is not made again: a refusal is an entry in the log too, and
	// wakes the duty that made it.
	refusedPause = time.Second
	maxRefused   = 4096
)

// rest says whether a proposal was refused a moment ago.
func (l *leader) rest(what string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(l.refused[what]) < refusedPause
}

func (l *leader) noteRefusal(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.refused) >= maxRefused {
		clear(l.refused)
	}
	l.refused[what] = time.Now()
}

// propose commits a command of the leader's own; a refusal or failure is logged and left to a later look.
func (l *leader) propose(ctx context.Context, what string, fill func(*apiv1.Command)) bool {
	if l.rest(what) {
		return false
	}
	cmd := l.c.command("")
	cmd.Term = l.term
	fill(cmd)
	res, err := l.c.log.Propose(ctx, cmd)
	switch {
	case err != nil:
		if ctx.Err() == nil {
			l.log.Warn("proposal failed", "what", what, "err", err)
		}
		return false
	case res.Code != "":
		l.log.Info("proposal refused", "what", what, "code", res.Code, "reason", res.Reason)
		l.noteRefusal(what)
		return false
	}
	return true
}

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
		l.log.Info("app placed", "app", app.Id, "placement", placement)
	}
}

// hasher makes the replicas compare their states.
func (l *leader) hasher() func(context.Context) {
	next := time.Now().Add(l.c.cfg.HashPeriod)
	var checked uint64 // index of our last check: nothing but it in the log is no reason for another
	return func(ctx context.Context) {
		v := l.c.state.View()
		if time.Now().Before(next) || v.Index() == checked {
			return
		}
		next = time.Now().Add(l.c.cfg.HashPeriod)
		last := v.LastHash()
		l.propose(ctx, "check hash", func(c *apiv1.Command) {
			c.Op = &apiv1.Command_CheckHash{CheckHash: &apiv1.CheckHash{Index: last.GetIndex(), Hash: last.GetHash()}}
		})
		checked = l.c.state.View().Index()
	}
}
