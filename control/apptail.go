package control

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// appTail reads one app's output for one caller. It asks each host for all ranks there in one stream: streams, and what a server has to do for a
// caller, grow with the hosts, not with the ranks.
type appTail struct {
	c      *Control
	app    fsm.AppID
	follow bool
	wanted map[int32]bool // ranks; none: all
	wait   time.Duration  // for a host that does not answer; with follow it is waited for until it does, or is gone
	out    chan<- *apiv1.LogsResponse
	began  time.Time
	back   chan []*rankTail // of which nothing more comes in a stream

	mu     sync.Mutex           // guards what stands below
	told   map[notice]bool      // what was said of hosts that are waited for
	silent map[string]time.Time // since when hosts have not answered; none: they have
}

func newAppTail(c *Control, app fsm.AppID, out chan<- *apiv1.LogsResponse) *appTail {
	return &appTail{c: c, app: app, wait: logWait, began: time.Now(), out: out, back: make(chan []*rankTail), told: map[notice]bool{}, silent: map[string]time.Time{}}
}

// run sends the lines of the ranks until they are complete; without follow, those there are now. Where a rank has run and its output cannot be
// had, it says so.
func (t *appTail) run(ctx context.Context, ranks []*rankTail) error {
	sub := t.c.state.Feed().Subscribe(fsm.OfApp(t.app))
	defer sub.Close()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		idle, reading := ranks, 0
		for len(idle) > 0 || reading > 0 {
			hosts, left, err := t.place(ctx, idle)
			if err != nil {
				return err
			}
			idle = left
			for _, h := range hosts {
				reading += len(h.ranks)
				g.Go(func() error { return h.run(ctx) }) // ends with ctx
			}
			if len(idle) == 0 && reading == 0 {
				return nil
			}
			select {
			case <-sub.C():
				v := t.c.state.View()
				for _, r := range idle {
					if r.where(v) != r.at {
						r.again = time.Time{}
					}
				}
			case ranks := <-t.back:
				reading -= len(ranks)
				for _, r := range ranks {
					if !r.over {
						idle = append(idle, r)
					}
				}
			case <-time.After(untilFirst(idle)):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return g.Wait()
}

// untilFirst is how long it is until the first of the ranks is to be asked for again.
func untilFirst(idle []*rankTail) time.Duration {
	wait := time.Hour // somebody else wakes who waits for none
	for _, r := range idle {
		wait = min(wait, time.Until(r.again))
	}
	return wait
}

// place gives ranks whose time has come to their hosts, and says which are left.
func (t *appTail) place(ctx context.Context, idle []*rankTail) (hosts map[question]*hostTail, left []*rankTail, err error) {
	now, v := time.Now(), t.c.state.View()
	hosts = map[question]*hostTail{}
	for _, r := range idle {
		if r.again.After(now) {
			left = append(left, r)
			continue
		}
		r.goesTo(r.where(v))
		if r.at.fresh && t.follow {
			if err := r.begin(ctx, r.next); err != nil { // all of its lines are yet to come
				return nil, nil, err
			}
		}
		switch {
		case r.at.addr != "":
			q := question{host: r.at.host, addr: r.at.addr, more: t.follow && !r.at.over, last: r.last, since: r.since}
			if hosts[q] == nil {
				hosts[q] = &hostTail{appTail: t, question: q, ranks: map[int32]*rankTail{}}
			}
			hosts[q].ranks[r.rank] = r
		case r.at.over || !t.follow:
			if err := r.lost(ctx, r.at.ran, "host "+r.at.host+" is gone; its output may come back with it"); err != nil {
				return nil, nil, err
			}
		default:
			r.again = now.Add(placeRetry)
			left = append(left, r)
		}
	}
	return hosts, left, nil
}

// notice is that a host is waited for, since it is at work for others, or for another reason.
type notice struct {
	host string
	busy bool
}

// busyText is what is said of a host that is at work, and has given nothing for a while.
const busyText = "has others to serve first, or much to look through"

// sayBusy tells, of each host once, that it is at work, and has given nothing for a while.
func (t *appTail) sayBusy(ctx context.Context, host string) error {
	return t.say(ctx, notice{host, true}, busyText)
}

// sayAwaited tells, of each host once, that the output of the ranks there is waited for, and why if that is known.
func (t *appTail) sayAwaited(ctx context.Context, host, why string) error {
	return t.say(ctx, notice{host, false}, why)
}

func (t *appTail) say(ctx context.Context, n notice, why string) error {
	t.mu.Lock()
	said := t.told[n]
	t.told[n] = true
	t.mu.Unlock()
	app, ok := t.c.state.View().App(t.app)
	if said || !ok {
		return nil
	}
	m := &apiv1.AwaitedOutput{Host: n.host, Reason: why}
	for r, at := range app.Placement {
		if rank := int32(r); at == n.host && (len(t.wanted) == 0 || t.wanted[rank]) {
			m.Ranks = append(m.Ranks, rank)
		}
	}
	return t.send(ctx, &apiv1.LogsResponse{Awaited: []*apiv1.AwaitedOutput{m}})
}

// answers notes that a host has answered.
func (t *appTail) answers(host string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.silent, host)
}

// silentSince is since when a host has not answered; zero: it has.
func (t *appTail) silentSince(host string) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.silent[host]
}

// fallsSilent notes that a host has not answered since then, unless it had not before, and returns since when.
func (t *appTail) fallsSilent(host string, since time.Time) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.silent[host].IsZero() {
		t.silent[host] = since
	}
	return t.silent[host]
}

func (t *appTail) send(ctx context.Context, m *apiv1.LogsResponse) error {
	select {
	case t.out <- m:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
