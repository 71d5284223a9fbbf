package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestUnread: a file that a program would read, and ranks do not get, is named; what holds nothing, or what nobody redirected, is not.
func TestUnread(t *testing.T) {
	path := filepath.Join(t.TempDir(), "in.txt")
	require.NoError(t, os.WriteFile(path, []byte("5\n"), 0o600))
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close() //nolint:errcheck // read only
	require.Equal(t, path, unread(f))
	_, err = io.ReadAll(f)
	require.NoError(t, err)
	require.Empty(t, unread(f), "all of it was read by somebody else")
	require.Empty(t, unread(nil))
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer null.Close() //nolint:errcheck // read only
	require.Empty(t, unread(null))
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close() //nolint:errcheck // read only
	require.NoError(t, w.Close())
	require.Empty(t, unread(r))
}
