package main

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
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

// A sweeper is no child of the process that it is for, which may be killed with all of its descendants, and is gone when there is nothing left to sweep.
func TestSweeperIsNoChild(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for _, removed := range []bool{true, false} {
		s, err := tempDir()
		require.NoError(t, err)
		require.DirExists(t, s.dir)
		require.NotEqual(t, os.Getpid(), parentOf(t, s.dir))
		if removed {
			require.NoError(t, s.remove())
		} else {
			require.NoError(t, s.pipe.Close()) // as when this process ends
			_, err := s.done.Read(make([]byte, 1))
			require.ErrorIs(t, err, io.EOF)
		}
		require.NoDirExists(t, s.dir)
	}
}

// parentOf is the parent of the process that sweeps a directory.
func parentOf(t *testing.T, dir string) int {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	for _, line := range lines {
		text, _ := os.ReadFile(line) // it may have ended
		if !strings.HasSuffix(string(text), "sweep\x00"+dir+"\x00") {
			continue
		}
		stat, err := os.ReadFile(filepath.Join(filepath.Dir(line), "stat"))
		require.NoError(t, err)
		_, behind, _ := strings.Cut(string(stat), ") ")
		parent, err := strconv.Atoi(strings.Fields(behind)[1])
		require.NoError(t, err)
		return parent
	}
	require.FailNow(t, "nobody sweeps "+dir)
	return 0
}
