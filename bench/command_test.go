package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOutputOfAProgramThatDoesNotEnd(t *testing.T) {
	const hangs = "trap 'echo interrupted; exit 2' INT; echo a 1 2 us; while :; do sleep 0.1; done"
	out, ended, err := outputLines(t.Context(), os.Environ(), commandLimit, 1, "sh", "-c", hangs)
	require.NoError(t, err)
	require.False(t, ended)
	require.Equal(t, "a 1 2 us\n", out)
}

func TestOutputOfAProgramThatEnds(t *testing.T) {
	out, ended, err := outputLines(t.Context(), os.Environ(), commandLimit, 2, "sh", "-c", "echo a; echo b")
	require.NoError(t, err)
	require.True(t, ended)
	require.Equal(t, "a\nb\n", out)

	_, err = output(t.Context(), os.Environ(), "sh", "-c", "echo why >&2; exit 3")
	require.ErrorContains(t, err, "exit status 3: why")
}
