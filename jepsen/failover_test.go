package jepsen

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// failovers is how often the leader is lost in each way.
const failovers = 20

// TestFailover measures how long nobody takes submissions when the leader is killed, stops, or waits for its disk for ever.
// It asserts no time: only that no app was killed meanwhile.
func TestFailover(t *testing.T) {
	if os.Getenv(envLong) == "" {
		t.Skipf("takes some minutes and wants the machine for itself: set %s, or run make failover", envLong)
	}
	seed := seedOf(t)
	table := fmt.Sprintf("%-12s %8s %8s %8s   of %d rounds\n", "", "median", "p99", "least", failovers)
	line := func(what string, took []time.Duration) {
		slices.Sort(took)
		round := func(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }
		table += fmt.Sprintf("%-12s %8s %8s %8s\n", what, round(took[len(took)/2]), round(took[len(took)*99/100]), round(took[0]))
	}
	for _, way := range []struct {
		name  string
		disks int
		harm  func() nemesis
	}{
		{"kill -9", 0, func() nemesis { return &crash{of: "leader"} }},
		{"SIGSTOP", 0, func() nemesis { return &pause{of: "leader"} }},
		{"frozen disk", 3, func() nemesis { return &hangLeader{} }},
	} {
		t.Run(way.name, func(t *testing.T) {
			accepted, heard := failoverTimes(t, shape{servers: 3, workers: 2, disks: way.disks}, way.harm, seed)
			line(way.name, accepted)
			line("  workers", heard)
		})
	}
	t.Logf("from the loss of the leader to the next accepted submission, and until all workers are in session again:\n%s", table)
}

// hangLeader freezes the disk of the server that leads.
type hangLeader struct{ hang }

func (h *hangLeader) start(c *cluster, rng *rand.Rand) (string, error) {
	h.victim = c.victim("leader", rng)
	return h.victim.name, c.disks[h.victim.name].freeze()
}

// heal also starts the server again: one whose disk has hung gives it twice the time when it hangs next, and what is measured
// is the first time.
func (h *hangLeader) heal(c *cluster) error {
	if h.victim == nil {
		return nil
	}
	c.disks[h.victim.name].thaw()
	h.victim.kill()
	return restart(c, h.victim)
}

// failoverTimes loses the leader again and again while an app runs. It returns how long each loss lasted: until a submission was
// accepted, and until all workers were in session with the new leader. Only then is the cluster healed: a lease is there to
// outlast the loss of one leader, not of one after another.
func failoverTimes(t *testing.T, s shape, harm func() nemesis, seed uint64) (accepted, heard []time.Duration) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // not for secrets
	c := newCluster(t, s)
	c.must("module", "push", helloModule)
	app := c.submit("-n", "4", "--place", "w1:2,w2:2", steadyModule, "1000000", "50")
	c.phase(app, "running")
	spec := &apiv1.AppSpec{Name: "hello", ModuleDigest: c.module("hello"), Size: 1}
	before := c.pids(app)
	for i := range failovers {
		c.leader()
		sessions := c.sessions()
		n := harm()
		start := time.Now()
		_, err := n.start(c, rng)
		require.NoError(t, err)
		harmed := time.Now()
		c.acceptedBy(spec, fmt.Sprintf("failover-%d", i))
		accepted = append(accepted, time.Since(harmed))
		c.newSessions(sessions)
		heard = append(heard, time.Since(harmed))
		t.Logf("round %2d: %6.2f s, workers %6.2f s (choosing the leader took %s)",
			i+1, accepted[i].Seconds(), heard[i].Seconds(), harmed.Sub(start).Round(time.Millisecond))
		for _, d := range c.disks {
			d.thaw()
		}
		require.NoError(t, n.heal(c))
		for _, s := range c.servers {
			require.NoError(t, restart(c, s))
			c.caughtUp(s)
		}
	}
	require.Equal(t, "running", c.app(app).GetPhase())
	require.Equal(t, before, c.pids(app), "no executor has started again")
	c.must("cancel", app)
	return accepted, heard
}

// sessions are how many sessions each worker has opened in its life.
func (c *cluster) sessions() map[string]int {
	c.t.Helper()
	out := map[string]int{}
	for _, w := range c.workers {
		b, err := os.ReadFile(w.log)
		require.NoError(c.t, err)
		out[w.name] = bytes.Count(b, []byte(`msg="session with the leader"`))
	}
	return out
}

// newSessions waits until every worker has opened another session.
func (c *cluster) newSessions(before map[string]int) {
	c.t.Helper()
	c.eventually(settleWithin, "all workers are in session again", func() error {
		for name, n := range c.sessions() {
			if n == before[name] {
				return fmt.Errorf("%s is not", name)
			}
		}
		return nil
	})
}

// acceptedBy returns as soon as any server has accepted a submission. All of them are asked at a time, each again and again,
// with one key: what is measured is the cluster and not a client's patience.
func (c *cluster) acceptedBy(spec *apiv1.AppSpec, key string) {
	c.t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), settleWithin)
	defer stop()
	accepted := make(chan struct{}, len(c.api.addrs))
	for _, addr := range c.api.addrs {
		go func() { // ends with ctx
			api := newClient()
			for ctx.Err() == nil {
				try, cancel := context.WithTimeout(ctx, time.Second)
				_, err := api.control(addr).Submit(try, &apiv1.SubmitRequest{IdempotencyKey: key, Spec: spec})
				cancel()
				if err == nil {
					accepted <- struct{}{}
					return
				}
				<-time.After(10 * time.Millisecond)
			}
		}()
	}
	select {
	case <-accepted:
	case <-ctx.Done():
		require.FailNow(c.t, "no submission is accepted", "within %s", settleWithin)
	}
}

// pids are the executors of an app, by host.
func (c *cluster) pids(app string) map[string]int {
	out := map[string]int{}
	for host, list := range c.executors(app) {
		out[host] = list[0].pid
	}
	return out
}
