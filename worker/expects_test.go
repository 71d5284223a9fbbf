package worker

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestNoImageBeforeTheAnnouncement: a rank's image is of a migration that all have agreed to. One that comes while the migration is
// pending, and may be forgotten yet, is refused, and changes nothing.
func TestNoImageBeforeTheAnnouncement(t *testing.T) {
	b := newBench(t)
	h := &apiv1.TransferHeader{App: "a", Migration: "m1", Rank: 1, From: "h2"}
	b.migration("pending", 1, "h2", "h1")
	require.ErrorContains(t, b.a.expects(h), "host h1 does not wait for rank 1 of migration m1")
	require.ErrorIs(t, b.a.expects(h), errNotYet)
	require.NotErrorIs(t, b.a.expects(&apiv1.TransferHeader{App: "a", Migration: "m0", Rank: 1, From: "h2"}), errNotYet)
	file, err := os.CreateTemp(t.TempDir(), "early")
	require.NoError(t, err)
	t.Cleanup(func() { _ = file.Close() })
	require.Error(t, b.a.arrived(&arrival{header: h, image: file, log: file}))
	require.Nil(t, b.a.ranks[1])
	require.FileExists(t, file.Name())
	b.migration(apiv1.MigrationAnnounced, 1, "h2", "h1")
	require.NoError(t, b.a.expects(h))
	for _, over := range []string{"committed", "aborted"} {
		b.migration(over, 1, "h2", "h1")
		require.Error(t, b.a.expects(h), over)
	}
}
