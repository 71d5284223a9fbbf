package jepsen

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRecoverBesideTheWell makes a cluster of one from the data of a stopped server while the two others are well. It is refused; insisted
// on, it costs them nothing: they elect and lead by turns, and their worker and what it runs stay theirs, however the recovered one ends
// the same app by its own word. It says that they are there.
func TestRecoverBesideTheWell(t *testing.T) {
	inCheck(t)
	t.Parallel()
	c := newCluster(t, shape{servers: 3, workers: 1, lease: "20s"})
	all := slices.Clone(c.servers)
	id := c.submit("-n", "2", "--place", "w1:2", steadyModule, "100000", "50")
	c.phase(id, "running")
	pids := c.pids(id)
	incarnation := c.hosts()["w1"].Incarnation
	stopped := c.leader()
	require.Zero(t, stopped.interrupt(t))
	others := slices.DeleteFunc(slices.Clone(all), func(p *process) bool { return p == stopped })
	recovery := func(args ...string) result {
		return startCommand(t, "", append([]string{"server", "recover", "--yes", "--data-dir", stopped.dir}, args...)...).wait()
	}
	no := recovery()
	require.NotZero(t, no.code)
	for _, want := range []string{"nothing was changed", others[0].addr, others[1].addr, "godwit servers", "--others-are-lost"} {
		require.Contains(t, no.stderr, want)
	}
	stopped.start(t)
	c.votersAre(all...)
	stopped.kill()
	yes := recovery("--others-are-lost")
	require.Zero(t, yes.code, yes.stderr)
	stopped.start(t)

	c.api.addrs = []string{others[0].addr, others[1].addr}
	alone := func(args ...string) string {
		r := startCommand(t, stopped.addr, args...).wait()
		return strings.TrimSpace(r.stdout)
	}
	c.eventually(settleWithin, "the recovered cluster calls the host lost", func() error {
		if app := alone("show", id, "-o", "json"); !strings.Contains(app, `"failed"`) {
			return errors.New(app)
		}
		return nil
	})
	for range 6 { // each of which breaks the worker's session
		before := c.sessions()
		c.must("servers", "transfer")
		c.newSessions(before)
	}
	c.must("run", "-q", "-n", "1", helloModule)
	require.Equal(t, "running", c.app(id).Phase)
	require.Equal(t, incarnation, c.hosts()["w1"].Incarnation)
	require.Equal(t, pids, c.pids(id))
	require.NotContains(t, alone("hosts"), "ready")
	for _, p := range others {
		require.Contains(t, alone("servers"), p.addr+" still runs as a member of cluster")
	}
	c.must("cancel", id)
}
