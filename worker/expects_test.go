package worker

import (
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/worker/part"
)

// TestExpectedWhileTheMigrationLasts: a rank's log is waited for from when its migration is known here until it is over, and asked for again while the executor starts.
func TestExpectedWhileTheMigrationLasts(t *testing.T) {
	b := newBench(t)
	h := &apiv1.TransferHeader{App: "a", Migration: "m1", Rank: 1, From: "h2"}
	require.ErrorContains(t, b.a.part.Expects(h), "host h1 does not wait for rank 1 of migration m1")
	b.has(part.Starting)
	b.migration(apiv1.MigrationPending, 1, "h2", "h1")
	require.ErrorIs(t, b.a.part.Expects(h), part.ErrNotYet)
	b.a.part.Ready()
	for _, phase := range []string{apiv1.MigrationPending, apiv1.MigrationAnnounced, "frozen"} {
		b.migration(phase, 1, "h2", "h1")
		require.NoError(t, b.a.part.Expects(h), phase)
		require.NotErrorIs(t, b.a.part.Expects(&apiv1.TransferHeader{App: "a", Migration: "m0", Rank: 1, From: "h2"}), part.ErrNotYet)
	}
	for _, over := range []string{"committed", "aborted"} {
		b.migration(over, 1, "h2", "h1")
		require.Error(t, b.a.part.Expects(h), over)
	}
}

// A log that comes before the first record of its app is sent again: whoever sends it may have heard of the app sooner than this host has.
func TestExpectedBeforeTheFirstRecord(t *testing.T) {
	p := part.New("a", "h1")
	h := &apiv1.TransferHeader{App: "a", Migration: "m1", Rank: 1, From: "h2"}
	require.ErrorIs(t, p.Expects(h), part.ErrNotYet)
	require.ErrorContains(t, p.LogKept(h), "is over")
}
