package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMakerOfANamespace(t *testing.T) {
	pid, ours := maker(spaceName(4711, "198.18.0.1"))
	require.True(t, ours)
	require.Equal(t, 4711, pid)
	for _, other := range []string{"gj12x1-a", "godwit-bench-", "godwit-bench-12", "godwit-bench-x-198.18.0.1"} {
		_, ours := maker(other)
		require.False(t, ours, other)
	}
}
