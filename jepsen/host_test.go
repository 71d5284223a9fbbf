package jepsen

import (
	"fmt"
	"strings"
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
		long                           bool
	}{
		{"pending, target", "target", "pending", "w2", "succeeded", false},
		{"pending, source", "target", "pending", "w1", "failed", true},
		{"announced, target", "source", "announced", "w2", "succeeded", true},
		{"announced, source", "source", "announced", "w1", "failed", false},
		{"stopped, target", "w1 executor.stopped", "announced", "w2", "succeeded", false},
		{"stopped, source", "w1 executor.stopped", "announced", "w1", "failed", true},
		{"rest, target", "w1 executor.rest", "announced", "w2", "succeeded", true},
		{"staging, target", "w2 executor.stage", "announced", "w2", "succeeded", true},
		{"staged, target", "w2 executor.staged", "announced", "w2", "succeeded", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			onlyLong(t, tc.long)
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

// hold keeps the target from acknowledging a migration, or the source's rank from standing still, or an executor at a failpoint, until release.
func (x *crossing) hold(who string) (release func()) {
	if who == "target" {
		target := x.c.process("w2")
		target.freeze()
		return target.thaw
	}
	if host, point, ok := strings.Cut(who, " "); ok {
		return x.c.process(host).holdAt(x.c.t, point)
	}
	return x.c.process("w1").holdAt(x.c.t, "executor.freeze")
}

// TestTargetKilledWhileRankMoves kills the target at a random moment of a migration. If the commit was first, a rank has
// died and the app fails with the reason; if not, the migration is aborted and nothing has happened.
func TestTargetKilledWhileRankMoves(t *testing.T) {
	t.Parallel()
	rng := seeded(t)
	c := newCluster(t, shape{workers: 3, lease: "2s"})
	program := []string{steadyModule, "60", "20"}
	want := c.unmoved("4", program...)
	ends := map[string]int{}
	for range rounds(3, 20) {
		run := c.start(append([]string{"run", "-l", "-n", "4", "--name", "crossing", "--place", "w1:2,w3:2"}, program...)...)
		c.lines(run, 8)
		x := &crossing{c: c, want: want, run: run, app: c.named("crossing")}
		c.phase(x.app, "running")
		id := x.migrate("w2")
		select { // not a wait for anything: the moment of the kill is random
		case <-time.After(time.Duration(rng.IntN(150)) * time.Millisecond):
		case <-t.Context().Done():
		}
		c.process("w2").kill()
		m := x.settled(id)
		app := c.phase(x.app, "succeeded", "failed")
		ends[m.Phase+" "+app.Phase]++
		if m.Phase == "aborted" {
			x.whole()
		} else {
			res := run.wait()
			if app.Phase == "succeeded" {
				x.whole() // the rank was through before the kill
			} else {
				require.NotZero(t, res.code)
				require.Contains(t, app.Reason, "w2")
			}
		}
		c.state("w2", "lost", lostWithin)
		c.process("w2").start(t)
		c.state("w2", "ready", patience)
		c.idle()
	}
	t.Logf("migration and app ended: %v", ends)
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
