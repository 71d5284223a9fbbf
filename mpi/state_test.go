package mpi

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/channel"
)

// Captured state must stay readable as long as it has the version. To make the file anew after a
// deliberate change of version: MPI_UPDATE_GOLDEN=1.
func TestGoldenState(t *testing.T) {
	const file = "testdata/state_v8.bin"
	_, p, state := busyWorld(t)
	require.Equal(t, state[:5], p.encodeLocked()[:5])
	if os.Getenv("MPI_UPDATE_GOLDEN") != "" {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(file, state, 0o644))
	}
	readGolden(t, file, p)
}

// readGolden compares the rank in a file with p.
func readGolden(t *testing.T, file string, p *Proc) {
	old, err := os.ReadFile(file)
	require.NoError(t, err)
	w := NewWorld(smallConfig(4), sink{})
	q, err := w.RestoreRank(0, 2, make(arena, 1<<16), old)
	require.NoError(t, err)
	require.Equal(t, len(p.requests), len(q.requests))
	require.Equal(t, len(p.posted), len(q.posted))
	require.Equal(t, p.unexpected, q.unexpected)
	require.Equal(t, p.suspended, q.suspended)
	require.EqualValues(t, abi.ErrorsReturn, q.world.errhandler.handle)
	for r, c := range p.pairs {
		if c != nil {
			require.Equal(t, c.Next(), q.pairs[r].Next())
			require.Equal(t, c.Received(), q.pairs[r].Received())
			require.Equal(t, c.Inflight(channel.Talk), q.pairs[r].Inflight(channel.Talk))
			require.Equal(t, c.Inflight(channel.Bulk), q.pairs[r].Inflight(channel.Bulk))
			require.Equal(t, c.pending.Len(), q.pairs[r].pending.Len())
			require.Equal(t, c.data.Len(), q.pairs[r].data.Len())
		}
	}
}

// A decoded rank's clock stands still until it joins a world (Wtime, MPI 5.0 section 9.6).
func TestDecodedRankWaits(t *testing.T) {
	_, _, state := busyWorld(t)
	w := NewWorld(smallConfig(4), sink{})
	p, err := w.Decode(0, make(arena, 1<<16), state)
	require.NoError(t, err)
	require.Equal(t, "not here", w.Inspect(0))
	p.decoded = p.decoded.Add(-time.Hour)
	p.clockStart = p.clockStart.Add(-time.Hour) // as if it had waited for an hour
	require.NoError(t, w.Join(p, 2))
	require.Less(t, time.Since(p.clockStart), 50*time.Minute)
	q, err := w.Decode(0, make(arena, 1<<16), state)
	require.NoError(t, err)
	require.ErrorIs(t, w.Join(q, 3), ErrRankExists)
	_, err = w.Decode(4, make(arena, 1<<16), state)
	require.ErrorIs(t, err, ErrNoRank)
}
