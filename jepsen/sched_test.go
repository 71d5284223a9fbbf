package jepsen

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestQueueOutlivesLeaders: an array, apps that depend on others, one that is out of time and one that is tried again all come to what they would, though the leader is killed while they wait: none is
// lost, and none runs twice.
func TestQueueOutlivesLeaders(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{servers: 3, workers: 2, slots: 2})
	c.leveled()
	holder := c.submit("-n", "4", "--name", "holder", "--time-limit", "8s", steadyModule, "100000", "50")
	c.phase(holder, "running")
	array := strings.TrimSpace(c.must("submit", "--array", "1-6%2", "-n", "1", "--name", "each", helloModule))
	after := c.submit("-n", "2", "--name", "after", "--depends-on", array, helloModule)
	never := c.submit("-n", "1", "--name", "never", "--depends-on", "holder", helloModule)
	anyway := c.submit("-n", "1", "--name", "anyway", "--depends-on", "holder:end", "--priority", "5", helloModule)
	again := c.submit("-n", "1", "--name", "again", "--retries", "2", guests+"exit.wasm", "7", "0")
	require.Contains(t, c.must("explain", "after"), "waits for the success of array "+array)
	require.Contains(t, c.must("explain", "each.6"), "waits for one of array "+array)
	leader := c.leader()
	leader.kill()
	leader.start(t)

	a := c.phase(holder, "failed")
	require.EqualValues(t, 124, a.ExitCode, a.Reason)
	require.Equal(t, "it has run for 8s, its time limit", a.Reason)
	require.Contains(t, c.phase(never, "failed").Reason, "depends on the success of app "+holder)
	c.phase(anyway, "succeeded")
	for i := range 6 {
		c.phase(c.named(fmt.Sprintf("each.%d", i+1)), "succeeded")
	}
	c.phase(after, "succeeded")
	a = c.phase(again, "failed")
	require.EqualValues(t, 3, a.Attempt, "it was tried again twice")
	require.EqualValues(t, 7, a.ExitCode)
	c.idle()
	require.NotContains(t, c.must("servers"), "alarm")
}

// TestPlacedAheadOfOthers: what is over in time is placed ahead of an app that waits, and that is placed when its turn comes.
func TestPlacedAheadOfOthers(t *testing.T) {
	inCheck(t)
	t.Parallel()
	c := newCluster(t, shape{workers: 2, slots: 2})
	c.leveled()
	holder := c.submit("-n", "3", "--time-limit", "25s", steadyModule, "100000", "50")
	c.phase(holder, "running")
	head := c.submit("-n", "4", "--name", "head", helloModule)
	long := c.submit("-n", "1", "--name", "long", helloModule)
	short := c.submit("-n", "1", "--time-limit", "10s", "--name", "short", helloModule)
	c.phase(short, "succeeded")
	require.Equal(t, "queued queued running", c.app(head).Phase+" "+c.app(long).Phase+" "+c.app(holder).Phase)
	require.Contains(t, c.must("explain", "long"), "--time-limit")
	c.must("cancel", holder)
	c.phase(head, "succeeded")
	c.phase(long, "succeeded")
}

// TestTenantsAndLabels: a tenant has no more than its slots, also over a new leader, and holds up nobody; ranks are where their labels are.
func TestTenantsAndLabels(t *testing.T) {
	inCheck(t)
	t.Parallel()
	c := emptyCluster(t, shape{servers: 3, workers: 2, slots: 3}.defaults())
	for range 3 {
		c.addServer()
	}
	for _, zone := range []string{"a", "b"} {
		c.addWorker().set("--label", "zone="+zone)
	}
	for _, p := range c.processes() {
		p.start(t)
	}
	c.waitReady()
	c.leveled()
	c.must("tenant", "set", "few", "--slots", "2")
	first := c.submit("-n", "2", "--tenant", "few", "--name", "first", "--on", "zone=b", steadyModule, "100000", "50")
	require.Equal(t, []string{"w2", "w2"}, c.phase(first, "running").Placement)
	second := c.submit("-n", "1", "--tenant", "few", "--name", "second", helloModule)
	sessions := c.sessions()
	c.leader().kill()
	c.newSessions(sessions)
	spread := c.submit("-n", "2", "--spread", "zone", "--name", "spread", helloModule)
	a := c.phase(spread, "succeeded")
	require.ElementsMatch(t, []string{"w1", "w2"}, a.Placement)
	require.Equal(t, "needs 1 slot; tenant few has 2 of its 2", c.phase(second, "queued").Reason)
	require.Contains(t, c.godwit("migrate", "first/0", "--to", "w1").stderr, "host w1 is without zone=b")
	c.must("cancel", first)
	c.phase(second, "succeeded")
}

// TestHostsBecomeEmpty: apps of empty_hosts, which is the cluster's policy, leave a host together, and print what they print when they stay; and those of traffic go where their ranks talk.
func TestHostsBecomeEmpty(t *testing.T) {
	inCheck(t)
	t.Parallel()
	c := newCluster(t, shape{workers: 3, slots: 4})
	c.leveled()
	program := []string{journalModule, "300", "40"}
	want := c.unmoved("2", quick(program)...)
	runs := map[string]*command{}
	for name, host := range map[string]string{"one": "w1", "two": "w2", "three": "w3"} {
		runs[name] = c.start(append([]string{"run", "-q", "-l", "-n", "2", "--name", name, "--migration-check-period", "1s", "--place", host + ":2"}, program...)...)
	}
	for _, run := range runs {
		c.lines(run, 4)
	}
	require.Empty(t, c.migrations(c.named("one")), "bin_pack has nothing to gain")
	c.must("policy", "set", "empty_hosts", "--cool-down", "2s")
	c.eventually(patience, "a host is empty", func() error {
		for _, h := range c.hosts() {
			if h.Used == 0 {
				return nil
			}
		}
		return errNotYet(c.must("migrations", "candidates"))
	})
	for _, run := range runs {
		c.same(want, run)
	}
}

// TestTrafficMovesRanks: ranks that talk to each other come onto one host, since what they send was measured.
func TestTrafficMovesRanks(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{workers: 2, slots: 4})
	c.leveled()
	id := c.submit("-n", "4", "--policy", "traffic", "--migration-check-period", "1s", "--place", "w1:2,w2:2", "../examples/alltoall/alltoall.wasm", "100000000", "4096")
	c.phase(id, "running")
	c.eventually(patience, "its ranks are on one host", func() error {
		a := c.app(id)
		for _, host := range a.Placement {
			if host != a.Placement[0] {
				return errors.New(c.must("explain", id))
			}
		}
		return nil
	})
	require.Equal(t, "traffic", c.migrations(id)[0].Cause)
	require.Contains(t, c.must("show", id, "--traffic"), "of which 0 between hosts")
	c.must("cancel", id)
}
