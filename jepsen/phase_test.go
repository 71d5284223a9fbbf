package jepsen

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// crossing is a program under way whose rank 1 is about to move from w1 to w2.
type crossing struct {
	c    *cluster
	want string
	app  string
	run  *command
}

// newCrossing starts a program with ranks 0 and 1 on w1 and 2 and 3 on w3. It lasts some seconds.
func newCrossing(t *testing.T, s shape) *crossing {
	t.Helper()
	c := newCluster(t, s)
	program := []string{steadyModule, "120", "40"}
	x := &crossing{c: c, want: c.unmoved("4", program...)}
	x.run = c.start(append([]string{"run", "-q", "-l", "-n", "4", "--name", "crossing", "--place", "w1:2,w3:2"}, program...)...)
	c.lines(x.run, 8)
	x.app = c.named("crossing")
	c.phase(x.app, "running") // what a program prints may be here before the log says that it runs
	return x
}

// migrate moves rank 1 to a host, and returns the migration's id.
func (x *crossing) migrate(to string) string {
	x.c.t.Helper()
	var m struct{ ID string }
	decode(x.c.t, x.c.must("migrate", x.app+"/1", "--to", to, "-o", "json"), &m)
	return m.ID
}

// reached waits until a migration is in a phase.
func (x *crossing) reached(id, phase string) {
	x.c.t.Helper()
	x.c.eventually(patience, "migration is "+phase, func() error {
		if m := x.c.migration(x.app, id); m.Phase != phase {
			return fmt.Errorf("it is %s %s", m.Phase, m.Reason)
		}
		return nil
	})
}

// settled waits until a migration has ended one way or the other, and returns it.
func (x *crossing) settled(id string) *apiv1.Migration {
	x.c.t.Helper()
	var m *apiv1.Migration
	x.c.eventually(patience, "migration ends", func() error {
		m = x.c.migration(x.app, id)
		if m.Phase == "committed" || m.Phase == "aborted" {
			return nil
		}
		return fmt.Errorf("it is %s", m.Phase)
	})
	return m
}

// whole fails the test unless every rank has run exactly once: the output is complete, and nothing is left behind.
func (x *crossing) whole() {
	x.c.t.Helper()
	x.c.sameLogs(x.want, x.app)
	x.c.same(x.want, x.run)
	x.c.idle()
}

// TestLeaderKilledInPhase kills the leader while a migration is held in a phase.
func TestLeaderKilledInPhase(t *testing.T) {
	t.Parallel()
	t.Run("pending", func(t *testing.T) {
		t.Parallel()
		x := newCrossing(t, shape{servers: 3, workers: 3})
		target := x.c.process("w2")
		target.freeze() // it does not acknowledge
		id := x.migrate("w2")
		x.reached(id, "pending")
		x.c.leader().kill()
		x.c.leader()
		target.thaw()
		require.Equal(t, "committed", x.settled(id).Phase)
		x.c.oneCopy(x.app)
		x.whole()
	})
	t.Run("announced", func(t *testing.T) {
		t.Parallel()
		x := newCrossing(t, shape{servers: 3, workers: 3})
		release := x.hold("source") // its rank does not stand still
		id := x.migrate("w2")
		x.reached(id, "announced")
		x.c.leader().kill()
		x.c.leader()
		require.Equal(t, "announced", x.c.migration(x.app, id).Phase)
		release()
		require.Equal(t, "committed", x.settled(id).Phase)
		x.c.oneCopy(x.app)
		x.whole()
	})
}

// TestLeaderKilledWhileRanksMove kills the leader at random moments of a stream of migrations, and so in the phases
// that are too short to be held, also right after a commit. The killed server is started again each time.
func TestLeaderKilledWhileRanksMove(t *testing.T) {
	t.Parallel()
	n := rounds(3, 25)
	rng := seeded(t)
	c := newCluster(t, shape{servers: 3, workers: 3})
	program := []string{steadyModule, strconv.Itoa(150 * n), "20"}
	x := &crossing{c: c, want: c.unmoved("4", program...)}
	x.run = c.start(append([]string{"run", "-q", "-l", "-n", "4", "--name", "crossing", "--place", "w1:2,w3:2"}, program...)...)
	c.lines(x.run, 8)
	x.app = c.named("crossing")
	c.phase(x.app, "running")
	ends, seen := map[string]int{}, map[string]int{}
	to := "w2"
	for range n {
		leader := c.leader()
		wait := time.Duration(rng.IntN(60)) * time.Millisecond
		killed := make(chan struct{})
		go func() { // ends with the kill
			<-time.After(wait)
			leader.kill()
			close(killed)
		}()
		r := c.godwit("migrate", x.app+"/1", "--to", to)
		<-killed
		c.leader()
		if ms := c.migrations(x.app); len(ms) > 0 {
			seen[ms[len(ms)-1].Phase]++ // nearly always as the old leader left it: hosts report to the new one only later
		}
		leader.start(t)
		c.rejoinedLeader()
		for _, m := range c.migrations(x.app) {
			x.settled(m.Id)
		}
		now := c.app(x.app).Placement
		t.Logf("killed after %s; migrate to %s: code %d %s; rank 1 is on %v", wait, to, r.code, r.stderr, now)
		if len(now) == 4 && now[1] == to {
			to = map[string]string{"w1": "w2", "w2": "w1"}[to]
		}
	}
	for _, m := range c.migrations(x.app) {
		ends[m.Phase]++
	}
	t.Logf("migrations: %v; as the next leaders found them: %v", ends, seen)
	// A rank that stands still waits for the next leader: the app has lost up to an election in every round.
	c.eventually(time.Duration(n)*10*time.Second, "the app ends", func() error {
		if a := c.app(x.app); a.Phase == "running" || a.Phase == "migrating" {
			return fmt.Errorf("it is %s", a.Phase)
		}
		return nil
	})
	x.whole()
}

// rejoinedLeader waits until there is a leader and all servers are members that answer.
func (c *cluster) rejoinedLeader() {
	c.t.Helper()
	c.leader()
	for _, s := range c.servers {
		c.eventually(patience, s.name+" answers", func() error {
			if r := startCommand(c.t, s.addr, "servers", "--timeout", "1s").wait(); r.code != 0 {
				return fmt.Errorf("it answers %s", r.stderr)
			}
			return nil
		})
	}
}

// TestAppEndsWhileMigrationPends lets a program end while its migration waits for a host that does not answer.
func TestAppEndsWhileMigrationPends(t *testing.T) {
	t.Parallel()
	x := newCrossing(t, shape{workers: 3, lease: "30s"})
	target := x.c.process("w2")
	target.freeze()
	id := x.migrate("w2")
	x.reached(id, "pending")
	x.c.same(x.want, x.run)
	m := x.settled(id)
	require.Equal(t, "aborted", m.Phase)
	require.NotEmpty(t, m.Reason)
	require.Zero(t, x.c.hosts()["w2"].Used, "the reserved slot is free")
	target.thaw()
	x.whole()
}

// seeded makes random numbers that can be had again.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	return rand.New(rand.NewPCG(seedOf(t), 0)) //nolint:gosec // not for secrets
}

// seedOf is the seed that was asked for, or a new one.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv(envSeed); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("%s=%d repeats this", envSeed, seed)
	return seed
}
