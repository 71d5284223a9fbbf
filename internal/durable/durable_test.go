package durable

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "name")
	require.NoError(t, WriteFile(path, []byte("one"), 0o600))
	require.NoError(t, WriteFile(path, []byte("2"), 0o600))
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "2", string(b))
	st, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), st.Mode().Perm())
	require.NoFileExists(t, path+".new")
}

// TestFailure: /dev/full takes no byte. What was there stays, and nothing else does.
func TestFailure(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "name")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o600))
	require.NoError(t, os.Symlink("/dev/full", path+".new"))
	require.Error(t, WriteFile(path, []byte("new"), 0o600))
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "old", string(b))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)

	require.Error(t, WriteFile(filepath.Join(dir, "none", "name"), nil, 0o600), "no such directory")
}

func TestRename(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "a"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a", "f"), []byte("x"), 0o600))
	require.NoError(t, Rename(filepath.Join(dir, "a", "f"), filepath.Join(dir, "f")))
	require.FileExists(t, filepath.Join(dir, "f"))
	require.ErrorIs(t, Rename(filepath.Join(dir, "none"), filepath.Join(dir, "f")), os.ErrNotExist)
}
