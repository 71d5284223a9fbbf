package control

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/fsm"
)

// What a worker says of its host's fitness is committed when it changes, once, and a host that is unfit takes no ranks.
func TestFitnessIsCommitted(t *testing.T) {
	b := newBench(t, nil)
	b.host("h1", 2)
	host := func() string {
		h, ok := b.l.c.state.View().Host("h1")
		require.True(t, ok)
		require.Equal(t, h.Unfit == "", fsm.TakesRanks(h))
		return h.Unfit
	}
	h, ok := b.l.c.state.View().Host("h1")
	require.True(t, ok)
	s := newSession("h1", h.Incarnation, func() {})
	b.l.hearFitness(s, "its disk is full\x1b[31m")
	b.l.takeFitness(b.ctx)
	require.Equal(t, "its disk is full?[31m", host())
	index := b.l.c.state.View().Index()
	for range 3 {
		b.l.hearFitness(s, "its disk is full\x1b[31m")
		b.l.takeFitness(b.ctx)
	}
	require.Equal(t, index, b.l.c.state.View().Index())
	b.l.hearFitness(newSession("h1", "an earlier life", func() {}), "")
	b.l.takeFitness(b.ctx)
	require.NotEmpty(t, host(), "only the present incarnation counts")
	b.l.hearFitness(s, "")
	b.l.takeFitness(b.ctx)
	require.Empty(t, host())
}

// TestFitnessIsNewsAgainstTheLog: a word that was said before is news where the log does not have it: it was refused, or the host has
// registered anew since.
func TestFitnessIsNewsAgainstTheLog(t *testing.T) {
	f := newFitness()
	full, fit0 := fit{"i1", "its disk is full", ""}, fit{"i1", "", ""}
	require.True(t, f.hear("h1", full, fit0))
	require.Equal(t, map[fsm.HostID]fit{"h1": full}, f.take())
	require.False(t, f.hear("h1", full, full), "the log has it")
	require.Empty(t, f.take())
	require.True(t, f.hear("h1", full, fit0), "the log has it no more")
	require.Equal(t, map[fsm.HostID]fit{"h1": full}, f.take())
	require.True(t, f.hear("h1", fit0, fit0), "it has changed, though the log is not that far")
}
