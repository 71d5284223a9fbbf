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
