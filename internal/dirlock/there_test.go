package dirlock

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestThere(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "d")
	require.NoError(t, os.Mkdir(dir, 0o700))
	lock, err := Lock(dir)
	require.NoError(t, err)
	defer lock.Close() //nolint:errcheck // closed below
	require.NoError(t, There(dir, lock))
	require.NoError(t, os.Rename(dir, dir+".old"))
	require.ErrorIs(t, There(dir, lock), ErrGone)
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.ErrorIs(t, There(dir, lock), ErrGone, "another one")
	other, err := Lock(dir)
	require.NoError(t, err)
	require.ErrorIs(t, There(dir, lock), ErrGone, "another one, in use")
	require.NoError(t, There(dir, other))
	require.NoError(t, other.Close())
	require.NoError(t, There(filepath.Join(dir, "lock"), other), "what was given back says nothing")
}
