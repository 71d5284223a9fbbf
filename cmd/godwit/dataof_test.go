package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A server's directory is not a worker's, nor the other way; neither start writes anything there.
func TestDataOf(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, checkDataOf(dir, "server", ofServers))
	require.NoError(t, checkDataOf(filepath.Join(dir, "new"), "server", ofServers))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	require.ErrorContains(t, checkDataOf(filepath.Join(dir, "file"), "server", ofServers), "is a file")
	server, worker := filepath.Join(dir, "s"), filepath.Join(dir, "w")
	require.NoError(t, os.MkdirAll(filepath.Join(server, "raft"), 0o700))
	require.NoError(t, os.Mkdir(worker, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(worker, "secret"), []byte("s\n"), 0o600))

	starts := map[string][]string{
		server: {"worker", "--join", "127.0.0.1:1", "--slots", "1", "--listen", "127.0.0.1:0", "--data-dir", server},
		worker: {"server", "--listen", "127.0.0.1:0", "--data-dir", worker},
	}
	for dir, args := range starts {
		before, err := os.ReadDir(dir)
		require.NoError(t, err)
		root := newRoot()
		root.SetArgs(args)
		require.ErrorContains(t, root.ExecuteContext(t.Context()), "a --data-dir of its own")
		after, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Equal(t, len(before), len(after))
	}
}
