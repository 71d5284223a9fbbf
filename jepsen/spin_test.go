package jepsen

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// spinMillions makes rank 0 of the spin guest compute for some seconds without a call, longer than spinLease.
const (
	spinMillions = "7000"
	spinLease    = "2s"
)

// TestSpinDelaysNobody runs a rank that computes for longer than its host's lease without a call. Its fellow ranks,
// another program on its host, and the host's heartbeats go on meanwhile.
func TestSpinDelaysNobody(t *testing.T) {
	inCheck(t)
	t.Parallel()
	c := newCluster(t, shape{workers: 1, lease: spinLease, slots: 8})
	incarnation := c.hosts()["w1"].Incarnation
	start := time.Now()
	spin := c.start("run", "-q", "-n", "4", "--name", "spin", guests+"spin.wasm", spinMillions, "1000")
	c.lines(spin, 10)
	require.Equal(t, 10, strings.Count(spin.stdout.String(), "rank 1: round"), "the fellow ranks are through")
	require.NotContains(t, spin.stdout.String(), "rank 0:")

	c.must("run", "-q", "-n", "4", helloModule)
	require.True(t, spin.running(), "another program of the same host ends first")

	// It computes, with as much of a processor as others leave.
	c.eventually(3*patience, "the guest ends", func() error {
		h := c.hosts()["w1"]
		require.Equal(t, "ready", h.State)
		require.Equal(t, incarnation, h.Incarnation)
		if spin.running() {
			return fmt.Errorf("it computes")
		}
		return nil
	})
	res := spin.wait()
	require.Zero(t, res.code, res.stderr)
	require.Contains(t, res.stdout, "rank 0:")
	require.Greater(t, time.Since(start), 3*time.Second, "the guest must compute for longer than the lease: raise spinMillions")
	c.idle()
}

// TestSpinDoesNotMigrate asks a rank to move that makes no call: the migration is aborted at its deadline, and nothing
// has happened.
func TestSpinDoesNotMigrate(t *testing.T) {
	inCheck(t)
	t.Parallel()
	c := newCluster(t, shape{workers: 2, freezeDeadline: "1s"})
	program := []string{guests + "spin.wasm", spinMillions, "1000"}
	run := c.start(append([]string{"run", "-q", "-l", "-n", "4", "--name", "spin", "--place", "w1:4"}, program...)...)
	c.lines(run, 10)
	id := c.named("spin")
	c.must("migrate", id+"/0", "--to", "w2")
	x := &crossing{c: c, app: id}
	m := x.settled(c.migrations(id)[0].Id)
	require.Equal(t, "aborted", m.Phase)
	require.Contains(t, m.Reason, "rank 0")
	require.True(t, run.running())
	require.Zero(t, c.hosts()["w2"].Used)
	res := run.wait()
	require.Zero(t, res.code, res.stderr)
	require.Contains(t, res.stdout, "[0] rank 0:")
	c.idle()
}
