package jepsen

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMovesInALoop: a rank of a program that was built for it moves while it computes without any call, to and fro, and comes to what it comes to unmoved.
func TestMovesInALoop(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{workers: 3})
	want := c.unmoved("2", computesModule, "600")
	run := c.start("run", "-q", "-l", "-n", "2", "--name", "computes", "--place", "w1:1,w2:1", computesModule, "600")
	x := &crossing{c: c, want: want, run: run}
	c.lines(run, 2)
	x.app = c.named("computes")
	c.phase(x.app, "running")
	moved := 0
	for _, to := range []string{"w3", "w1"} {
		m := x.settled(x.migrate(to))
		require.Equal(t, "committed", m.Phase, m.Reason)
		moved++
	}
	require.Equal(t, 2, moved)
	x.whole()
}
