package jepsen

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The lease of the tests that lose hosts, and how long its end may take to be seen.
const (
	shortLease = "3s"
	lostWithin = 10 * time.Second
)

// TestHostComesAndGoes follows one host through its states.
func TestHostComesAndGoes(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{workers: 2, lease: shortLease})
	first := c.hosts()["w2"].Incarnation
	id := c.submit("-n", "4", "--place", "w1:2,w2:2", steadyModule, "1000", "50")
	c.phase(id, "running")
	w2 := c.process("w2")

	w2.kill()
	start := time.Now()
	h := c.state("w2", "lost", lostWithin)
	t.Logf("lost after %s: %s", time.Since(start), h.Reason)
	require.NotEmpty(t, h.Reason)
	app := c.phase(id, "failed", "succeeded", "cancelled")
	require.Equal(t, "failed", app.Phase)
	require.Contains(t, app.Reason, "w2")
	require.NotZero(t, app.ExitCode)
	c.idle()

	w2.start(t)
	h = c.state("w2", "ready", patience)
	require.NotEqual(t, first, h.Incarnation)
	c.must("run", "-q", "-n", "2", "--place", "w2:2", helloModule)

	require.Zero(t, w2.interrupt(t))
	c.state("w2", "left", lostWithin)
	w2.start(t)
	c.state("w2", "ready", patience)

	queued := c.submit("-n", "10", helloModule)
	app = c.phase(queued, "queued")
	require.NotEmpty(t, app.Reason)
	late := c.addWorker()
	late.start(t)
	c.state("w3", "ready", patience)
	c.phase(queued, "succeeded")
	c.idle()
}

// TestHostStopped stops a worker that has ranks: it takes its leave, and its ranks' app fails with the reason.
func TestHostStopped(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{workers: 2})
	run := c.start("run", "-n", "4", "--name", "stopped", "--place", "w1:2,w2:2", steadyModule, "1000", "50")
	c.lines(run, 4)
	require.Zero(t, c.process("w2").interrupt(t))
	c.state("w2", "left", lostWithin)
	res := run.wait()
	require.NotZero(t, res.code)
	require.Contains(t, res.stderr, "w2")
	c.idle()
}

// TestHostKilledInPhase kills the source or the target of a migration that is held in a phase.
func TestHostKilledInPhase(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, hold, phase, victim, end string
	}{
		{"pending, target", "target", "pending", "w2", "succeeded"},
		{"pending, source", "target", "pending", "w1", "failed"},
		{"announced, target", "source", "announced", "w2", "succeeded"},
		{"announced, source", "source", "announced", "w1", "failed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			x := newCrossing(t, shape{workers: 3, lease: shortLease})
			release := x.hold(tc.hold)
			id := x.migrate("w2")
			x.reached(id, tc.phase)
			x.c.process(tc.victim).kill()
			release()
			m := x.settled(id)
			require.Equal(t, "aborted", m.Phase)
			victim := x.c.process(tc.victim)
			require.True(t, strings.Contains(m.Reason, victim.name) || strings.Contains(m.Reason, victim.addr), m.Reason)
			x.c.state(tc.victim, "lost", lostWithin)
			if tc.end == "succeeded" {
				x.whole()
				return
			}
			res := x.run.wait()
			require.NotZero(t, res.code)
			app := x.c.phase(x.app, "failed")
			require.Contains(t, app.Reason, tc.victim)
			x.c.idle()
		})
	}
}

// hold keeps the target from acknowledging a migration, or the source's rank from standing still, until release.
func (x *crossing) hold(who string) (release func()) {
	if who == "target" {
		target := x.c.process("w2")
		target.freeze()
		return target.thaw
	}
	source := x.c.executor(x.app, "w1")
	source.signal(syscall.SIGSTOP)
	return func() { source.signal(syscall.SIGCONT) }
}

// TestHostCutOff stops a worker for longer than its lease: when it goes on, its ranks must be gone, and it comes back as
// another incarnation.
func TestHostCutOff(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{workers: 2, lease: shortLease})
	first := c.hosts()["w2"].Incarnation
	id := c.submit("-n", "4", "--place", "w1:2,w2:2", steadyModule, "1000", "50")
	c.phase(id, "running")
	w2 := c.process("w2")
	w2.freeze()
	c.state("w2", "lost", lostWithin)
	c.phase(id, "failed")
	w2.thaw()
	c.eventually(patience, "w2 is ready again", func() error {
		if h := c.hosts()["w2"]; h.State != "ready" || h.Incarnation == first {
			return fmt.Errorf("it is %s, incarnation %s", h.State, h.Incarnation)
		}
		return nil
	})
	c.idle()
	c.must("run", "-q", "-n", "2", "--place", "w2:2", helloModule)
}
