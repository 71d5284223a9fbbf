package gate

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// TestTurns: as many work as there are places, addresses have them in turn, who waits may go, and all places are there in the end.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewTurns(2)
		many, one, gone := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3")
		require.NoError(t, s.Enter(t.Context(), many))
		require.NoError(t, s.Enter(t.Context(), many))
		order := make(chan netip.Addr, 100)
		wait := func(ctx context.Context, from netip.Addr) {
			go func() {
				if s.Enter(ctx, from) == nil {
					order <- from
				}
			}()
			synctest.Wait()
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		wait(ctx, gone)
		for range 5 {
			wait(t.Context(), many)
		}
		wait(t.Context(), one)
		why := errors.New("why")
		ended := make(chan error, 1)
		go func() { ended <- s.Enter(ctx, gone) }()
		synctest.Wait()
		cancel(why)
		require.ErrorIs(t, <-ended, why)
		synctest.Wait()
		require.Empty(t, order)
		s.Leave()
		s.Leave()
		synctest.Wait()
		require.ElementsMatch(t, []netip.Addr{many, one}, []netip.Addr{<-order, <-order}, "the one does not wait for all of the many")
		for range 4 {
			s.Leave()
			require.Equal(t, many, <-order)
		}
		s.Leave()
		s.Leave()
		require.Equal(t, 2, s.free)
		require.Empty(t, s.lines)
		require.Zero(t, s.order.Len())
	})
}

// TestTurnOfWhoGoes: a place that is given to one that goes at that moment is not lost.
func TestTurnOfWhoGoes(t *testing.T) {
	s := NewTurns(1)
	from := netip.MustParseAddr("10.0.0.1")
	for range 1000 {
		require.NoError(t, s.Enter(t.Context(), from))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Enter(ctx, from) }()
		go cancel()
		s.Leave()
		if <-ended == nil {
			s.Leave()
		}
	}
	require.Equal(t, 1, s.free)
}
