package jepsen

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDrainUnderWay: a host is drained while the leader is lost: everything on it has left it, what runs prints what it prints when nothing happens, and the host stays empty, also when its
// worker starts again, until somebody wishes otherwise.
func TestDrainUnderWay(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{servers: 3, workers: 3, slots: 4})
	c.leveled()
	programs := map[string][]string{"one": {steadyModule, "300", "40"}, "two": {journalModule, "300", "40"}}
	want, runs := map[string]string{}, map[string]*command{}
	for name, program := range programs {
		want[name] = c.unmoved("2", quick(program)...)
	}
	for name, program := range programs {
		runs[name] = c.start(append([]string{"run", "-q", "-l", "-n", "2", "--name", name, "--place", "w1:2"}, program...)...)
		c.lines(runs[name], 4)
	}
	drain := c.start("drain", "w1", "--wait", "--reason", "a new kernel")
	leader := c.leader()
	leader.kill()
	leader.start(t)
	res := drain.wait()
	require.Zero(t, res.code, res.stderr)
	require.Contains(t, res.stdout, "w1 is drained: a new kernel")
	for name := range programs {
		require.NotContains(t, c.app(c.named(name)).Placement, "w1")
	}
	c.eventually(patience, "no executor is left there", func() error {
		if n := len(c.executors("")["w1"]); n > 0 {
			return fmt.Errorf("%d executors", n)
		}
		return nil
	})
	w1 := c.process("w1")
	w1.kill()
	w1.start(t)
	c.eventually(patience, "it is back, and drained", func() error {
		if h := c.hosts()["w1"]; h.GetState() != "ready" || h.GetWish() != "drained" {
			return errNotYet(h.GetState() + " " + h.GetWish())
		}
		return nil
	})
	require.Contains(t, c.godwit("migrate", c.named("one")+"/0", "--to", "w1").stderr, "host w1 is drained")
	for name, run := range runs {
		c.same(want[name], run)
	}
	c.must("undrain", "w1")
	c.must("run", "-q", "-n", "2", "--place", "w1:2", helloModule)
}

// TestEviction: what fits on no other host is frozen before the host goes, and goes on by itself as soon as there is room: nothing of it is lost when the host is.
func TestEviction(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{workers: 2, slots: 4, lease: "3s"})
	c.leveled()
	program := []string{journalModule, "300", "40"}
	want := c.unmoved("4", quick(program)...)
	filler := c.submit("-n", "2", "--place", "w2:2", steadyModule, "100000", "50")
	run := c.start(append([]string{"run", "-q", "-l", "-n", "4", "--name", "spot", "--place", "w1:4"}, program...)...)
	c.lines(run, 8)
	id := c.named("spot")
	c.must("evict", "w1", "--in", "8s")
	c.eventually(patience, "it waits for room", func() error {
		if a := c.app(id); a.Phase != "queued" {
			return errors.New(a.Phase)
		}
		return nil
	})
	require.Contains(t, c.must("hosts"), "evicting")
	c.process("w1").kill()
	require.True(t, run.running())
	c.must("cancel", filler)
	c.same(want, run)
	c.sameLogs(want, id)
	require.Equal(t, strings.Repeat("w2 ", 4), strings.Join(c.app(id).Placement, " ")+" ")
}

// TestStopDrains: a worker that is told to stop, and was told to be drained for that, goes when its ranks have moved away; what it had prints the same, and it takes ranks when it is started again.
func TestStopDrains(t *testing.T) {
	t.Parallel()
	c := emptyCluster(t, shape{workers: 2, slots: 4}.defaults())
	c.addServer()
	for range 2 {
		c.addWorker().set("--on-stop", "drain")
	}
	for _, p := range c.processes() {
		p.start(t)
	}
	c.waitReady()
	c.leveled()
	program := []string{journalModule, "200", "40"}
	want := c.unmoved("2", quick(program)...)
	run := c.start(append([]string{"run", "-q", "-l", "-n", "2", "--name", "moves", "--place", "w1:2"}, program...)...)
	c.lines(run, 4)
	w1 := c.process("w1")
	w1.signal(syscall.SIGTERM)
	require.Zero(t, w1.wait(t, patience))
	require.Equal(t, []string{"w2", "w2"}, c.app(c.named("moves")).Placement)
	require.Equal(t, "left", c.hosts()["w1"].State, "it takes leave, and is not waited for")
	c.same(want, run)
	w1.start(t)
	c.must("run", "-q", "-n", "2", "--place", "w1:2", helloModule)
}
