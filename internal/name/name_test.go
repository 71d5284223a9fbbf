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
