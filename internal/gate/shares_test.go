package gate

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestShares: one address has at most half, all have no more than there are, and nothing is kept of who has none.
func TestShares(t *testing.T) {
	s := NewShares(4)
	a, b, c := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3")
	require.True(t, s.Open(a, 1))
	require.True(t, s.Open(a, 1))
	require.False(t, s.Open(a, 1))
	require.True(t, s.Open(b, 1))
	require.True(t, s.Open(c, 1))
	require.False(t, s.Open(b, 1))
	s.Close(a, 1)
	require.True(t, s.Open(b, 1))
	for _, from := range []netip.Addr{a, b, b, c} {
		s.Close(from, 1)
	}
	require.True(t, s.Open(a, 0))
	require.False(t, s.Open(a, 3))
	require.True(t, s.Open(a, 2))
	s.Close(a, 2)
	s.Close(a, 0)
	require.Empty(t, s.of)
	require.Zero(t, s.all)
}
