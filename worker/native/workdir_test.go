package native

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWorkDir: what a killed process has left is removed by the next one; what others work in stays, and so does what is no compiler's.
func TestWorkDir(t *testing.T) {
	within := t.TempDir()
	left, other := filepath.Join(within, workPrefix+"left"), filepath.Join(within, "other")
	require.NoError(t, os.MkdirAll(filepath.Join(left, "deep"), 0o700))
	require.NoError(t, os.Mkdir(other, 0o700))
	first, done, err := workDir(within)
	require.NoError(t, err)
	require.NoDirExists(t, left)
	require.DirExists(t, other)
	second, alsoDone, err := workDir(within)
	require.NoError(t, err)
	require.NotEqual(t, first, second)
	require.DirExists(t, first, "somebody works there")
	done()
	alsoDone()
	require.NoDirExists(t, first)
	require.NoDirExists(t, second)
	made, done, err := workDir(filepath.Join(within, "not", "there"))
	require.NoError(t, err)
	require.DirExists(t, made)
	done()
}
