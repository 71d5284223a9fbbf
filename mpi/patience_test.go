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

// TestPatienceOfASharedProcessor: who finds, more often than not, that others wanted the processor that it gave away gives it away from the first look on, for a while.
func TestPatienceOfASharedProcessor(t *testing.T) {
	var p patience
	now := time.Second
	gave := func(took time.Duration, times int) {
		for range times {
			now += took
			p.gave(took, now)
		}
	}
	gave(100*time.Nanosecond, 100)
	gave(20*time.Microsecond, oftenWanted-1)
	require.Equal(t, selfishLooks, p.selfish(now), "it may be chance")
	gave(100*time.Nanosecond, oftenWanted)
	gave(20*time.Microsecond, oftenWanted-1)
	require.Equal(t, selfishLooks, p.selfish(now))
	gave(20*time.Microsecond, 1)
	require.Zero(t, p.selfish(now))
	gave(100*time.Nanosecond, 1)
	require.Zero(t, p.selfish(now+sharesFor/2))
	require.Equal(t, selfishLooks, p.selfish(now+sharesFor))
	p.lost(now + sharesFor)
	require.Zero(t, p.selfish(now+sharesFor), "it is polite")
}
