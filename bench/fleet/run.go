package fleet

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// Bounds of what is waited for: behind them the run has failed.
const (
	joinLimit  = 2 * time.Minute
	placeLimit = 5 * time.Minute
	backLimit  = time.Minute
	endLimit   = 3 * time.Minute
)

// run is one run of a fleet.
type run struct {
	Config

	began   time.Time
	servers *servers
	hosts   *hosts
	api     api
	load    *load
	figures []Figure
}

// Run measures a fleet. Nothing of what was accepted may be lost, or run twice: that is an error. What was measured before one is returned with it.
func Run(ctx context.Context, c Config) (figures []Figure, err error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	r := &run{Config: c, began: time.Now()}
	defer func() { figures = r.figures }()
	if r.servers, err = startServers(ctx, c.Godwit, c.Dir); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.servers.stop()) }()
	if r.api, err = newAPI(r.servers.addrs); err != nil {
		return nil, err
	}
	defer r.api.Close()
	digest, err := push(ctx, c.Godwit, c.Module, r.servers.addrs)
	if err != nil {
		return nil, err
	}
	r.load = &load{api: r.api, digest: digest, most: c.MostRanks, mean: c.Mean, random: rand.New(rand.NewPCG(c.Seed, 0))} //nolint:gosec // a load
	if r.hosts, err = startHosts(ctx, c, r.servers.addrs); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.hosts.end()) }()
	for _, part := range []func(context.Context) error{r.join, r.idle, r.burst, r.submitting, r.end} {
		if err := part(ctx); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (r *run) note(value float64, unit, what string, args ...any) {
	f := Figure{fmt.Sprintf(what, args...), value, unit}
	r.figures = append(r.figures, f)
	fmt.Fprintf(r.Log, "fleet, %.1f s: %s: %.4g %s\n", time.Since(r.began).Seconds(), f.What, f.Value, f.Unit)
}

// join waits until all hosts can take ranks.
func (r *run) join(ctx context.Context) error {
	begin := time.Now()
	ctx, cancel := context.WithTimeout(ctx, joinLimit)
	defer cancel()
	if err := r.hosts.in(ctx, 0); err != nil {
		return err
	}
	r.note(time.Since(begin).Seconds(), "s", "all workers have a session, at once")
	err := until(ctx, "not all hosts can take ranks", joinLimit, func(ctx context.Context) (bool, error) {
		n, err := r.api.ready(ctx)
		return n == r.Workers, err
	})
	r.note(time.Since(begin).Seconds(), "s", "all hosts can take ranks")
	return err
}

// sample is what has been used up to a moment.
type sample struct {
	at        time.Time
	leader    usage
	followers []usage
	index     uint64
	received  uint64
}

// sample asks as little as it can.
func (r *run) sample(ctx context.Context) (s sample, leader int, err error) {
	addr, index, err := r.api.leader(ctx)
	if err != nil {
		return s, 0, err
	}
	if leader, err = r.servers.at(addr); err != nil {
		return s, 0, err
	}
	s.index, s.at = index, time.Now()
	for i, cmd := range r.servers.running {
		if cmd == nil {
			continue
		}
		u, err := usageOf(r.servers.pid(i))
		if err != nil {
			return s, 0, err
		}
		if i == leader {
			s.leader = u
		} else {
			s.followers = append(s.followers, u)
		}
	}
	s.received, err = received(r.servers.ports())
	return s, leader, err
}

// spent notes what was used in a time between two samples of the same leader.
func (r *run) spent(a, b sample, when string) {
	took := b.at.Sub(a.at).Seconds()
	r.note((b.leader.cpu-a.leader.cpu).Seconds()/took, "cores", "leader, %s", when)
	r.note(float64(b.leader.rss)/(1<<20), "MiB", "leader's memory, %s", when)
	cpu, rss := 0.0, int64(0)
	for i := range b.followers {
		if i < len(a.followers) {
			cpu = max(cpu, (b.followers[i].cpu-a.followers[i].cpu).Seconds()/took)
		}
		rss = max(rss, b.followers[i].rss)
	}
	if len(a.followers) > 0 {
		r.note(cpu, "cores", "busiest follower, %s", when)
	}
	r.note(float64(rss)/(1<<20), "MiB", "largest follower's memory, %s", when)
	r.note(float64(b.index-a.index)/took, "/s", "entries of the log, %s", when)
	r.note(float64(b.received-a.received)/took/float64(r.Workers), "B/s", "from servers to a worker, %s", when)
}

// idle measures what sessions alone cost.
func (r *run) idle(ctx context.Context) error {
	a, _, err := r.sample(ctx)
	if err != nil {
		return err
	}
	if err := pause(ctx, r.Idle); err != nil {
		return err
	}
	b, _, err := r.sample(ctx)
	if err == nil {
		r.spent(a, b, "idle")
	}
	return err
}

// pause waits for so long.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// burst submits many apps at once, and waits until all run.
func (r *run) burst(ctx context.Context) error {
	if r.Burst == 0 {
		return nil
	}
	a, _, err := r.sample(ctx)
	if err != nil {
		return err
	}
	if err := r.load.burst(ctx, r.Burst); err != nil {
		return err
	}
	r.note(time.Since(a.at).Seconds(), "s", "a burst of %d apps is accepted", r.Burst)
	if err := r.running(ctx, r.load.all()); err != nil {
		return err
	}
	r.note(time.Since(a.at).Seconds(), "s", "a burst of %d apps runs", r.Burst)
	b, _, err := r.sample(ctx)
	if err == nil {
		r.spent(a, b, "during the burst")
	}
	return err
}

// running waits until all ranks of apps have begun.
func (r *run) running(ctx context.Context, all []submission) error {
	return until(ctx, "not all apps run", placeLimit, func(context.Context) (bool, error) {
		return !slices.ContainsFunc(all, func(s submission) bool { _, ok := r.hosts.stage.tally.runs(s.id, s.size); return !ok }), nil
	})
}

// latencies notes how long apps have taken, from the request to the beginning of their last rank.
func (r *run) latencies(all []submission, when string) {
	var submits, places []float64
	for _, s := range all {
		if at, ok := r.hosts.stage.tally.runs(s.id, s.size); ok {
			submits, places = append(submits, s.accepted.Sub(s.asked).Seconds()*1e3), append(places, at.Sub(s.asked).Seconds()*1e3)
		}
	}
	if len(places) == 0 {
		return
	}
	slices.Sort(submits)
	slices.Sort(places)
	r.note(float64(len(places)), "apps", "submitted %s", when)
	for _, p := range []int{50, 99} {
		r.note(submits[(len(submits)-1)*p/100], "ms", "accepted, %d %% of them, %s", p, when)
		r.note(places[(len(places)-1)*p/100], "ms", "from the request to the last rank's beginning, %d %% of them, %s", p, when)
	}
}

// submitting submits apps at the rate, drains hosts meanwhile, and kills the leader.
func (r *run) submitting(ctx context.Context) error {
	rctx, stop := context.WithCancel(ctx)
	defer stop()
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.load.rate(rctx, r.Hour) })
	g.Go(func() error {
		defer stop()
		return r.through(gctx)
	})
	return g.Wait()
}

func (r *run) through(ctx context.Context) error {
	before := len(r.load.all())
	a, leader, err := r.sample(ctx)
	if err != nil {
		return err
	}
	if err := pause(ctx, r.Before/2); err != nil {
		return err
	}
	b, _, err := r.sample(ctx)
	if err != nil {
		return err
	}
	r.spent(a, b, fmt.Sprintf("at %d apps an hour", r.Hour))
	if err := r.drain(ctx); err != nil {
		return err
	}
	if err := pause(ctx, r.Before/2); err != nil {
		return err
	}
	r.latencies(r.load.all()[before:], "before the leader is killed")
	return r.change(ctx, leader)
}

// drain has everything leave some hosts.
func (r *run) drain(ctx context.Context) error {
	begin, moved := time.Now(), r.hosts.stage.tally.movedRanks()
	leave := r.hosts.stage.used()
	leave = leave[:min(len(leave), r.Drain)]
	for _, host := range leave {
		if err := r.api.wish(ctx, host, "draining"); err != nil {
			return err
		}
	}
	for _, host := range leave {
		err := until(ctx, "a host is not drained", placeLimit, func(ctx context.Context) (bool, error) {
			used, err := r.api.inUse(ctx, host)
			return !used, err
		})
		if err != nil {
			return err
		}
	}
	if len(leave) > 0 {
		r.note(time.Since(begin).Seconds(), "s", "%d hosts are drained", len(leave))
		r.note(float64(r.hosts.stage.tally.movedRanks()-moved), "ranks", "moved meanwhile")
	}
	for _, host := range leave {
		if err := r.api.wish(ctx, host, "schedulable"); err != nil {
			return err
		}
	}
	return nil
}

// change kills the leader, and starts it again when another leads, and all is as before.
func (r *run) change(ctx context.Context, leader int) error {
	before, term := len(r.load.all()), r.hosts.term()
	begin := time.Now()
	if err := r.servers.kill(leader); err != nil {
		return err
	}
	back, cancel := context.WithTimeout(ctx, backLimit)
	defer cancel()
	if err := r.hosts.in(back, term); err != nil {
		return err
	}
	r.note(time.Since(begin).Seconds(), "s", "the leader is killed: all workers have a session with the next")
	first := time.Time{}
	err := until(ctx, "no app begins after the leader was killed", placeLimit, func(context.Context) (bool, error) {
		for _, s := range r.load.all()[before:] {
			if at, ok := r.hosts.stage.tally.runs(s.id, s.size); ok && s.asked.After(begin) && (first.IsZero() || at.Before(first)) {
				first = at
			}
		}
		return !first.IsZero(), nil
	})
	if err != nil {
		return err
	}
	r.note(first.Sub(begin).Seconds(), "s", "the leader is killed: an app that was submitted since runs")
	a, _, err := r.sample(ctx)
	if err != nil {
		return err
	}
	if err := r.servers.start(leader); err != nil {
		return err
	}
	if err := pause(ctx, r.After); err != nil {
		return err
	}
	b, _, err := r.sample(ctx)
	if err != nil {
		return err
	}
	a.followers = nil // one of them was not there
	r.spent(a, b, "after the change of leaders")
	r.latencies(r.load.all()[before:], "since the leader was killed")
	return nil
}

// end has all apps come to their end, and looks whether each came to one.
func (r *run) end(ctx context.Context) error {
	begin, all := time.Now(), r.load.all()
	if err := r.running(ctx, all); err != nil {
		return err
	}
	close(r.hosts.stage.hurry)
	err := until(ctx, "not all apps have ended", endLimit, func(context.Context) (bool, error) {
		return !slices.ContainsFunc(all, func(s submission) bool { return !r.hosts.stage.tally.over(s.id, s.size) }), nil
	})
	if err != nil {
		return err
	}
	var phases map[string]string
	err = until(ctx, "the servers do not say that all apps have ended", endLimit, func(ctx context.Context) (bool, error) {
		phases, err = r.api.phases(ctx)
		return err != nil || !slices.ContainsFunc(all, func(s submission) bool { return !apiv1.AppOver(phases[s.id]) }), err
	})
	if err != nil {
		return err
	}
	r.note(time.Since(begin).Seconds(), "s", "all apps end, within %v", r.End)
	r.note(float64(r.hosts.stage.tally.movedRanks()), "ranks", "moved in all")
	r.note(float64(len(all)), "apps", "accepted, and each rank of them begun and ended once")
	return r.check(all, phases)
}

// check compares what was accepted with what the executors have seen, and with what the servers say.
func (r *run) check(all []submission, phases map[string]string) (err error) {
	accepted := map[string]bool{}
	for _, s := range all {
		accepted[s.id] = true
		err = errors.Join(err, r.hosts.stage.tally.check(s.id, s.size))
		if p := phases[s.id]; p != "succeeded" {
			err = errors.Join(err, fmt.Errorf("fleet: app %s is %s", s.id, p))
		}
	}
	for _, id := range r.hosts.stage.tally.known() {
		if !accepted[id] {
			err = errors.Join(err, fmt.Errorf("fleet: app %s ran, and nobody was told that it was accepted", id))
		}
	}
	return err
}
