package jepsen

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

const lifeModule = "../worker/wasm/testdata/life.wasm"

// short is a program that takes a second.
func short() []string { return []string{steadyModule, "40", "20"} }

// waiting are the processes of this cluster that are no app's executors, but were, or are to be, by number.
func (c *cluster) waiting() map[int]bool {
	out := map[int]bool{}
	for _, e := range marked(c.mark()) {
		if len(e.args) > 1 && e.args[1] == "exec" && e.waits() {
			out[e.pid] = true
		}
	}
	return out
}

// runsIn runs a program of one rank on the only host, which has to print what is wanted, and returns the process that was its executor, and waits now.
func (c *cluster) runsIn(want string, n int, tenant string) int {
	c.t.Helper()
	name := fmt.Sprintf("warm-%s-%d", tenant, n)
	run := c.start(append([]string{"run", "-q", "-n", "1", "--tenant", tenant, "--name", name}, short()...)...)
	c.lines(run, 1)
	pid := c.executor(c.named(name), "w1").pid
	r := run.wait()
	require.Zero(c.t, r.code, r.stderr)
	require.Equal(c.t, want, r.stdout)
	c.eventually(patience, "the executor waits", func() error {
		if !c.waiting()[pid] {
			return fmt.Errorf("%d does not", pid)
		}
		return nil
	})
	return pid
}

// TestWarmExecutors: apps of a tenant run one after the other in one process, of another tenant in another. One that has run what failed is nobody's. Those that wait may be killed, or lose their worker by a
// crash, which they do not outlive, or their leader: the next app runs.
func TestWarmExecutors(t *testing.T) {
	inCheck(t)
	t.Parallel()
	c := newCluster(t, shape{servers: 3, workers: 1, lease: "6s"})
	want := c.must(append([]string{"run", "-q", "-n", "1"}, short()...)...)
	one := c.runsIn(want, 0, "one")
	other := c.runsIn(want, 0, "other")
	require.NotEqual(t, one, other)
	for n := 1; n < 4; n++ {
		require.Equal(t, one, c.runsIn(want, n, "one"))
		require.Equal(t, other, c.runsIn(want, n, "other"))
	}
	r := c.godwit("run", "-q", "-n", "1", "--tenant", "one", lifeModule, "exit")
	require.Equal(t, 7, r.code, r.stderr)
	require.False(t, c.waiting()[one], "its app has failed")
	require.NotEqual(t, one, c.runsIn(want, 4, "one"))

	for n := range rounds(3, 10) {
		for pid := range c.waiting() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		c.runsIn(want, 5+n, "one")
	}
	for n, how := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		before, was := c.waiting(), c.hosts()["w1"].Incarnation
		require.NotEmpty(t, before)
		c.again(c.workers[0], how)
		c.eventually(patience, "the host is another incarnation", func() error {
			if h := c.hosts()["w1"]; h.Incarnation == was || h.State != "ready" {
				return fmt.Errorf("it is %s, %s", h.Incarnation, h.State)
			}
			return nil
		})
		c.runsIn(want, 100+n, "one")
		for pid := range c.waiting() {
			require.False(t, before[pid], "it has outlived its worker")
		}
	}
	one = c.runsIn(want, 102, "one")
	c.leader().kill()
	require.Equal(t, one, c.runsIn(want, 103, "one"))
}

// TestCancelledBesideWarm: apps are cancelled as they start, run and end, in processes that are used again: each ends, as it was told to or well, and those that come after them are not harmed.
func TestCancelledBesideWarm(t *testing.T) {
	inCheck(t)
	t.Parallel()
	rng := seeded(t)
	c := newCluster(t, shape{workers: 1})
	want := c.must(append([]string{"run", "-q", "-n", "1"}, short()...)...)
	for n := range rounds(20, 100) {
		id := c.submit(append([]string{"-n", "1"}, short()...)...)
		for range rng.IntN(4) {
			c.must("hosts")
		}
		c.must("cancel", id)
		phase := ""
		c.eventually(patience, id+" has ended", func() error {
			if phase = c.app(id).Phase; phase != "cancelled" && phase != "succeeded" {
				return fmt.Errorf("it is %s", phase)
			}
			return nil
		})
		if n%4 == 0 {
			c.runsIn(want, n, "")
		}
	}
	c.idle()
}
