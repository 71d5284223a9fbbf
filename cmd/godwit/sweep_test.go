package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A sweeper removes its directory when those who hold the pipe are gone, unless it was told that it is removed; and no other directory.
func TestSweep(t *testing.T) {
	dir := filepath.Join(t.TempDir(), tempPrefix+"1")
	fill := func() {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "w1", "logs"), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "w1", "logs", "0"), []byte("x"), 0o600))
	}
	fill()
	require.NoError(t, sweep(t.Context(), dir, strings.NewReader(string(swept))))
	require.DirExists(t, dir)
	require.NoError(t, sweep(t.Context(), dir, strings.NewReader("")))
	require.NoDirExists(t, dir)
	require.NoError(t, sweep(t.Context(), dir, strings.NewReader("")), "it was never made")
	for _, other := range []string{t.TempDir(), "relative", tempPrefix + "1"} {
		require.ErrorContains(t, sweep(t.Context(), other, strings.NewReader("")), "not the directory")
	}
}
