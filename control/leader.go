package control

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
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

	began time.Time

	tenure   *tenure
	sessions *sessions
	leases   *leases
	pauses   pauses
	inbox    *inbox
	refusals *refusals
	fitness  *fitness
	owners   *owners
	homes    *homes
	leaving  *leaving
	roomless *roomless
	tasks    *storeTasks
	storer   *storer
	copier   *copier
	mender   *mender
	traffic  *traffic
	codes    *moduleCodes

	unextended, uncommitted episode // no lease is extended; proposals fail that may succeed later
}

func newLeader(c *Control, term uint64, over <-chan struct{}) *leader {
	hosts := newSessions()
	l := &leader{
		c: c, term: term, began: time.Now(), log: c.slog.With("term", term),
		tenure: &tenure{over: over}, sessions: hosts, inbox: newInbox(hosts), refusals: newRefusals(), fitness: newFitness(), owners: newOwners(),
	}
	l.homes, l.leaving, l.roomless, l.traffic = l.newHomes(), l.newLeaving(), newRoomless(c.state), newTraffic(c)
	l.tasks = newStoreTasks(l.inbox.signal)
	l.storer, l.copier, l.mender = l.newStorer(), l.newCopier(), l.newMender()
	l.codes = newModuleCodes(l)
	l.leases = newLeases(c.cfg.Heartbeat, l.confirmWait, l.confirm)
	return l
}

// Lead does the leader's duties of one term until ctx ends. The caller has passed a barrier. When it returns, nothing of
// the term runs any more: no duty, no worker's session.
func (c *Control) Lead(ctx context.Context, term uint64) error {
	g, ctx := errgroup.WithContext(ctx)
	l := newLeader(c, term, ctx.Done())
	// A host that the log calls ready gets a full lease from this leader before it can be lost.
	now := time.Now()
	for h := range c.state.View().Hosts() {
		l.expect(h, now)
	}
	c.setLeader(l)
	l.log.Info("leading")
	onChange := func(f func(context.Context), topics ...fsm.Topic) {
		g.Go(func() error { return l.loop(ctx, f, nil, topics) })
	}
	onReport := func(f func(context.Context), topics ...fsm.Topic) {
		g.Go(func() error { return l.loop(ctx, f, l.inbox.watch, topics) })
	}
	onTick := func(f func(context.Context)) { g.Go(func() error { return l.every(ctx, f) }) }
	onTick(l.makeCluster)
	onTick(l.makeCodeKey)
	onTick(l.makeTrust)
	onTick(func(context.Context) { l.pauses.note(l.sessions, time.Now()) })
	onTick(l.expirer())
	onTick(l.checker())
	onTick(l.traffic.look)
	onTick(l.leaving.look)
	onTick(l.starter())
	onTick(l.hasher())
	onTick(l.leveler())
	onTick(l.ownerWatch())
	onTick(l.timekeeper())
	onChange(l.placer(), fsm.AnyApp, fsm.AnyHost, fsm.AnyCheckpoint)
	onChange(l.dispatcher(), fsm.AnyApp, fsm.AnyMigration, fsm.AnyHost, fsm.AnyCheckpoint)
	g.Go(func() error { return l.loop(ctx, l.takeReports, l.inbox.watchNews, nil) })
	onReport(l.takeFitness)
	onReport(l.homes.look, fsm.AnyApp, fsm.AnyHost)
	onReport(l.driver(), fsm.AnyMigration)
	onReport(l.newCheckpointer().look, fsm.AnyCheckpoint, fsm.AnyApp)
	onChange(l.holdingsTeller(), fsm.AnyCheckpoint)
	onReport(l.storer.look, fsm.AnyCheckpoint)
	onReport(l.copier.look, fsm.AnyCheckpoint, fsm.AnyHost)
	onReport(l.mender.look, fsm.AnyCheckpoint, fsm.AnyHost)
	g.Go(func() error { return l.loop(ctx, l.codes.look, l.codes.fresh.Watch, nil) })
	g.Go(func() error {
		return l.leases.run(ctx, l.answer, l.noteLeases)
	})
	g.Go(func() error { return l.keepMembers(ctx) })
	err := g.Wait()
	c.setLeader(nil)
	l.tenure.end()
	l.log.Info("no longer leading")
	return err
}

// every calls f at once and at every tick, until ctx ends.
func (l *leader) every(ctx context.Context, f func(context.Context)) error {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		f(ctx)
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// loop calls f when something of the topics has changed, when reports says that a worker has reported (nil: does not
// matter), and at every tick, until ctx ends. A duty that takes long pauses for as long, but for a tick at most: it takes half
// a core at the most when changes come fast, and one that waits for commits has more of them in its next look.
func (l *leader) loop(ctx context.Context, f func(context.Context), reports func() <-chan struct{}, topics []fsm.Topic) error {
	sub := l.c.state.Feed().Subscribe(topics...)
	defer sub.Close()
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		var reported <-chan struct{}
		if reports != nil {
			reported = reports()
		}
		start := time.Now()
		f(ctx)
		if took := time.Since(start); took > restAfter {
			if err := await(ctx, nil, min(took, tick)); err != nil {
				return err
			}
		}
		select {
		case <-sub.C():
		case <-reported:
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// propose commits a command of the leader's own and says whether it was applied; a refusal or failure is logged and left
// to a later look.
func (l *leader) propose(ctx context.Context, what string, fill func(*apiv1.Command)) bool {
	done, _ := l.proposed(ctx, what, fill)
	return done
}

// proposed is propose for those who need to know why not: an error means that the log has not refused it.
func (l *leader) proposed(ctx context.Context, what string, fill func(*apiv1.Command)) (bool, error) {
	if l.refusals.rest(what) {
		return false, nil
	}
	refusal, err := l.ask(ctx, what, fill)
	return err == nil && refusal == "", err
}

// ask is propose for those who have pauses of their own, and need to know why the log has refused it; empty: it has not.
func (l *leader) ask(ctx context.Context, what string, fill func(*apiv1.Command)) (refusal string, err error) {
	cmd := l.c.command("")
	cmd.Term = l.term
	fill(cmd)
	res, err := l.c.log.Propose(ctx, cmd)
	if err != nil {
		l.noteFailed(ctx, what, err)
		return "", err
	}
	if lasted, say := l.uncommitted.well(time.Now()); say {
		l.log.Info("proposals are committed again", "lasted", lasted.Round(time.Millisecond))
	}
	if res.Code != "" {
		l.log.Info("proposal refused", "what", what, "code", res.Code, "reason", res.Reason)
		l.refusals.note(what)
		return cmp.Or(res.Reason, res.Code), nil
	}
	l.refusals.forget(what)
	return "", nil
}

// noteFailed logs that a proposal has not come to an end: where the log is to blame for it, not each one that it is to blame for.
func (l *leader) noteFailed(ctx context.Context, what string, err error) {
	say := true
	if errors.Is(err, ErrNotLeader) || errors.Is(err, ErrOverloaded) || errors.Is(err, ErrUnknownOutcome) {
		_, say = l.uncommitted.found(time.Now())
	} else {
		l.refusals.note(what) // another try says the same
	}
	if say && ctx.Err() == nil {
		l.log.Warn("proposal failed", "what", what, "err", err)
	}
}

// makeCluster gives a new cluster its id and its configuration.
func (l *leader) makeCluster(ctx context.Context) {
	v := l.c.state.View()
	if id := l.c.group.ClusterID(); v.ClusterID() == "" && id != "" {
		l.propose(ctx, "name the cluster", func(cmd *apiv1.Command) {
			cmd.Op = &apiv1.Command_InitCluster{InitCluster: &apiv1.InitCluster{ClusterId: id}}
		})
	}
	if v.LeaseMs() == 0 {
		l.propose(ctx, "set the lease", func(cmd *apiv1.Command) {
			cmd.Op = &apiv1.Command_SetClusterConfig{SetClusterConfig: &apiv1.SetClusterConfig{
				Config: &apiv1.ClusterConfig{LeaseMs: l.c.cfg.Lease.Milliseconds()},
			}}
		})
	}
}

// await returns when ch is closed or gives a value, or after d at the most.
func await(ctx context.Context, ch <-chan struct{}, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ch:
	case <-t.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}
