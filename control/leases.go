package control

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/notify"
)

const (
	// leaseMargin is how much longer than the worker the leader waits.
	leaseMargin = 500 * time.Millisecond
	// confirmShare is which part of a lease one quorum check may take: a server that does not answer by then does not count. It is
	// as long as a worker waits for its answer.
	confirmShare = 4
	// confirmLeast is what a check may always take.
	confirmLeast = time.Second
	// checksPerHeartbeat bounds how often the quorum is asked, however many workers there are.
	checksPerHeartbeat = 4
)

// errNoQuorum is returned when this server cannot show that it still leads.
var errNoQuorum = errors.New("no majority of the servers answers in this leader's term")

// leases answers what extends a lease: heartbeats and hellos. An answer is given once a majority of the servers has been
// found in this leader's term by questions that were asked after the heartbeat came. A server that has voted for a later
// leader is in a later term; so no later leader was elected when the heartbeat was sent, and the lease, which the worker
// counts from there, ends before that leader, which waits a full lease from its election, may call the host lost.
// One check answers all that wait: its cost does not depend on the number of workers.
type leases struct {
	confirm func(context.Context) error
	pause   time.Duration        // between the starts of two checks
	wait    func() time.Duration // bounds one check
	kick    notify.Signal        // somebody waits

	mu      sync.Mutex // guards the fields below
	beats   map[*session]uint64
	waiters []chan error
}

func newLeases(heartbeat time.Duration, wait func() time.Duration, confirm func(context.Context) error) *leases {
	return &leases{confirm: confirm, wait: wait, pause: heartbeat / checksPerHeartbeat, kick: notify.NewSignal(), beats: map[*session]uint64{}}
}

// beat asks for an answer to a heartbeat; only a session's newest one is answered.
func (q *leases) beat(s *session, seq uint64) {
	q.mu.Lock()
	q.beats[s] = seq
	q.mu.Unlock()
	q.kick.Set()
}

// drop forgets a session that is over.
func (q *leases) drop(s *session) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.beats, s)
}

// confirmed blocks until a check that begins after the call is over.
func (q *leases) confirmed(ctx context.Context) error {
	ch := make(chan error, 1)
	q.mu.Lock()
	q.waiters = append(q.waiters, ch)
	q.mu.Unlock()
	q.kick.Set()
	select {
	case err := <-ch:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run checks and answers until ctx ends. answer must not block. noted hears of each check how it ended.
func (q *leases) run(ctx context.Context, answer func(*session, uint64), noted func(error)) error {
	for {
		select {
		case <-q.kick:
		case <-ctx.Done():
			return ctx.Err()
		}
		next := time.NewTimer(q.pause)
		q.mu.Lock()
		beats, waiters := q.beats, q.waiters
		q.beats, q.waiters = map[*session]uint64{}, nil
		q.mu.Unlock()
		err := q.check(ctx)
		for _, ch := range waiters {
			ch <- err
		}
		if err == nil {
			for s, seq := range beats {
				answer(s, seq)
			}
		}
		if ctx.Err() == nil {
			noted(err)
		}
		select {
		case <-next.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (q *leases) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, q.wait())
	defer cancel()
	return q.confirm(ctx)
}

// confirmWait bounds one check.
func (l *leader) confirmWait() time.Duration {
	return max(confirmLeast, leaseOf(l.c.state.View())/confirmShare)
}

// confirm asks the servers for their terms, and returns nil as soon as a majority of the voters, this one included, is in
// this leader's. It asks them itself, rather than Raft: a barrier would write to disk twice a second for as long as any
// worker is there, and hold up leases behind a slow disk; Raft's VerifyLeader counts answers to what was sent before the call.
func (l *leader) confirm(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	servers := l.c.group.Servers()
	answers := make(chan bool, len(servers))
	voters, asked, have := 0, 0, 0
	for _, s := range servers {
		if !s.Voter {
			continue
		}
		voters++
		if s.ID == l.c.group.ID() {
			have++
			continue
		}
		asked++
		go func() { answers <- l.c.termOf(ctx, s) == l.term }() // ends with ctx
	}
	for ; asked > 0 && have <= voters/2; asked-- {
		if <-answers {
			have++
		}
	}
	if _, self := l.c.log.Leader(); !self || l.c.log.Term() != l.term || have <= voters/2 {
		return fmt.Errorf("%w %d: %d of %d voters do", errNoQuorum, l.term, have, voters)
	}
	return nil
}

// termOf asks a server for its term; 0: it does not say, or another server answers at its address.
func (c *Control) termOf(ctx context.Context, s ServerInfo) uint64 {
	res, err := c.peers.Ask(ctx, s.ID, s.Addr)
	if err != nil {
		return 0
	}
	return res.Term
}

// noteLeases logs whether leases are extended, when that changes.
func (l *leader) noteLeases(err error) {
	now := time.Now()
	if err == nil {
		if lasted, say := l.unextended.well(now); say {
			l.log.Info("leases are extended again", "lasted", lasted.Round(time.Millisecond))
		}
		return
	}
	if lasted, say := l.unextended.found(now); say {
		l.log.Warn("no lease is extended", "err", err, "lasted", lasted.Round(time.Millisecond))
	}
}

// answer extends a host's lease, unless the log has called this incarnation gone or replaced.
func (l *leader) answer(s *session, seq uint64) {
	h, ok := l.c.state.View().Host(s.host)
	if !ok || fsm.HostStateOf(h).Gone() || h.Incarnation != s.incarnation || !l.sessions.current(s) {
		s.end()
		return
	}
	s.echo(seq)
}

// expirer calls hosts lost that have not been heard for the lease and a margin. A look costs the hosts that the log has
// changed and those whose lease is over.
func (l *leader) expirer() func(context.Context) {
	feed := newFollower(l.c.state)
	return func(ctx context.Context) {
		now := time.Now()
		l.pauses.note(l.sessions, now)
		l.expectHosts(feed, now)
		l.expireLeases(ctx, now)
	}
}

// pauses finds out for how long this process did not run. That time counts for no host: its heartbeats may still wait to be
// read. Something notes the time at every tick, whatever the log makes the duties wait for.
type pauses struct {
	mu   sync.Mutex // guards last
	last time.Time
}

// note excuses the hosts, if nobody has noted the time for longer than a running process would let pass.
func (p *pauses) note(hosts *sessions, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if gap := now.Sub(p.last); gap > leaseMargin && !p.last.IsZero() {
		hosts.excuse(gap, now)
	}
	if now.After(p.last) {
		p.last = now
	}
}

// expectHosts begins to wait for hosts that are new in the log, and waits no more for those that are gone.
func (l *leader) expectHosts(feed *follower, now time.Time) {
	v, changes, all := feed.look()
	if all {
		for h := range v.Hosts() {
			l.expect(h, now)
		}
	}
	for _, c := range changes {
		for _, id := range c.Hosts {
			if h, ok := v.Host(id); ok {
				l.expect(h, now)
			} else {
				l.sessions.forget(id)
			}
		}
	}
}

func (l *leader) expect(h *apiv1.Host, now time.Time) {
	if fsm.HostStateOf(h).Gone() {
		l.sessions.forget(fsm.HostID(h.Id))
	} else {
		l.sessions.await(fsm.HostID(h.Id), now)
	}
}

func (l *leader) expireLeases(ctx context.Context, now time.Time) {
	v := l.c.state.View()
	lease := leaseOf(v)
	if lease == 0 {
		return
	}
	var g errgroup.Group
	g.SetLimit(proposalsAtOnce) // a rack may go at once
	defer g.Wait()              //nolint:errcheck // what fails is left to a later look
	for _, id := range l.sessions.silentSince(now.Add(-lease - leaseMargin)) {
		h, ok := v.Host(id)
		if !ok || fsm.HostStateOf(h).Gone() {
			l.sessions.forget(id)
			continue
		}
		g.Go(func() error {
			since, _ := l.sessions.lastHeard(id)
			silence := now.Sub(since)
			if !l.sessions.condemn(id, h.Incarnation, now.Add(-lease-leaseMargin)) {
				return nil // it was heard meanwhile
			}
			lost, open := l.endHost(ctx, h.Id, h.Incarnation, fsm.Lost, fmt.Sprintf("no heartbeat for %.1fs", silence.Seconds()))
			switch {
			case lost:
				l.log.Warn("host lost", "host", h.Id, "silence", silence)
			case !open: // what may still be applied must not meet a host that has its lease again
				l.sessions.spare(id)
			}
			return nil
		})
	}
}

func leaseOf(v *fsm.View) time.Duration { return time.Duration(v.LeaseMs()) * time.Millisecond }

// endHost makes the log call a host's incarnation lost or left, and says whether it does. Only then the host's session and
// reports go: a host that the log still calls ready is heard. open says that nobody knows whether the log will.
func (l *leader) endHost(ctx context.Context, host, incarnation string, state fsm.HostState, reason string) (done, open bool) {
	done, err := l.proposed(ctx, "host "+host+" ("+incarnation+") "+string(state), func(c *apiv1.Command) {
		c.Op = &apiv1.Command_SetHostState{SetHostState: &apiv1.SetHostState{
			Host: host, Incarnation: incarnation, State: string(state), Reason: reason,
		}}
	})
	if done {
		l.inbox.endHost(fsm.HostID(host), incarnation)
	}
	return done, err != nil && !errors.Is(err, ErrNotLeader) && !errors.Is(err, ErrOverloaded)
}
