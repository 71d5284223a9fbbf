package control

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestRefusalsRest: a proposal that was refused is not made again at once, although its own entry wakes the duty.
func TestRefusalsRest(t *testing.T) {
	b := newBench(t, nil)
	refuse := func(c *apiv1.Command) {
		c.Op = &apiv1.Command_CommitMigration{CommitMigration: &apiv1.CommitMigration{Id: "unknown"}}
	}
	before := b.log.index
	for range 10 {
		require.False(t, b.l.propose(b.ctx, "nonsense", refuse))
	}
	require.Equal(t, before+1, b.log.index)
}

// TestRefusalsAreBounded: however many different proposals are refused, so many are remembered and no more.
func TestRefusalsAreBounded(t *testing.T) {
	r := newRefusals()
	for i := range 3 * maxRefused {
		r.note(strconv.Itoa(i))
	}
	require.LessOrEqual(t, len(r.by), maxRefused)
	require.True(t, r.rest(strconv.Itoa(3*maxRefused-1)))
}
