package name

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestValid(t *testing.T) {
	for _, good := range []string{"a", "w1", "heat2d", "a.b_c-d", "0", strings.Repeat("x", 63)} {
		require.True(t, Valid(good), good)
	}
	for _, bad := range []string{"", "-a", "a-", ".a", "A", "a/b", "../x", "a b", "\x00", "ä", strings.Repeat("x", 64)} {
		require.False(t, Valid(bad), bad)
	}
}

func TestDigest(t *testing.T) {
	good := strings.Repeat("0123456789abcdef", 4)
	require.True(t, Digest(good))
	for _, bad := range []string{"", good[1:], good + "0", strings.ToUpper(good), "g" + good[1:], "../" + good[3:], strings.Repeat("é", 32)} {
		require.False(t, Digest(bad), "%q", bad)
	}
}
