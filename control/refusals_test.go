package control

import (
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
