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

// TestPatienceOfASharedProcessor: who finds, more often than not, that others wanted the processor that it gave away looks little and gives it away from the
// first look on, for a while.
func TestPatienceOfASharedProcessor(t *testing.T) {
	p := patience{rounds: mostRounds}
	now := time.Second
	gave := func(took time.Duration, times int) (shares bool) {
		for range times {
			now += took
			shares = p.gave(took, now)
		}
		return shares
	}
	shared := func(at time.Duration) bool {
		most, selfish := p.far(at)
		require.Equal(t, most == politeLooks, selfish == 0)
		return selfish == 0
	}
	gave(100*time.Nanosecond, 100)
	require.False(t, gave(20*time.Microsecond, oftenWanted-1), "it may be chance")
	require.False(t, shared(now))
	gave(100*time.Nanosecond, oftenWanted)
	require.False(t, gave(20*time.Microsecond, oftenWanted-1))
	require.False(t, shared(now))
	require.True(t, gave(20*time.Microsecond, 1))
	require.True(t, shared(now))
	require.False(t, gave(100*time.Nanosecond, 1))
	require.True(t, shared(now+sharesFor/2))
	require.False(t, shared(now+sharesFor))
	gave(100*time.Nanosecond, oftenWanted-1)
	require.False(t, shared(now), "nobody wants it any more")
	p.lost(now + sharesFor)
	require.True(t, shared(now+sharesFor), "it is polite")
}
