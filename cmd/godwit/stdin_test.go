package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// What has nothing to be read is not sent.
func TestEmpty(t *testing.T) {
	path := filepath.Join(t.TempDir(), "in")
	require.NoError(t, os.WriteFile(path, []byte("text"), 0o600))
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close() //nolint:errcheck // only read
	require.False(t, empty(f))
	_, err = io.ReadAll(f)
	require.NoError(t, err)
	require.True(t, empty(f), "all of it was read by somebody else")
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer null.Close() //nolint:errcheck // only read
	require.True(t, empty(null))
	r, w, err := os.Pipe()
	require.NoError(t, err)
	require.False(t, empty(r), "something may come")
	require.NoError(t, w.Close())
	require.NoError(t, r.Close())
}
