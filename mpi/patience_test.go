package mpi

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestPatience: a rank looks for longer where that is of use, or would have been, and hardly where it is not.
func TestPatience(t *testing.T) {
	p := patience{rounds: mostRounds}
	for range 20 {
		p.ended(false, time.Millisecond, soon)
	}
	require.Equal(t, leastRounds, p.at(0))
	for range mostRounds {
		p.ended(false, soon/2, soon)
	}
	require.Equal(t, mostRounds, p.at(0))
	p.ended(false, soon, soon)
	require.Equal(t, mostRounds/2, p.at(0))
	p.ended(true, 2*soon, soon)
	require.Equal(t, mostRounds, p.at(0))
}

// TestPatienceOfALostProcessor: who was kept from his processor is polite for a while, each time twice as long, until he was not for long.
func TestPatienceOfALostProcessor(t *testing.T) {
	p := patience{rounds: mostRounds}
	now := time.Second
	for want := leastPolite; want < mostPolite; want *= 2 {
		p.lost(now)
		require.True(t, p.isPolite(now+want-1))
		require.False(t, p.isPolite(now+want))
		for range mostRounds {
			p.ended(true, soon/4, soon)
		}
		require.Equal(t, leastRounds, p.at(now+want-1))
		require.Equal(t, mostRounds, p.at(now+want))
		now += want
	}
	for range 3 {
		p.lost(now)
	}
	require.True(t, p.isPolite(now+mostPolite-1))
	require.False(t, p.isPolite(now+mostPolite))
	now += 2*mostPolite + 1
	p.lost(now)
	require.False(t, p.isPolite(now+leastPolite))
}
