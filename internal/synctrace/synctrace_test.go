package synctrace

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// steps writes a file as it should be, but for the step that is left out.
func steps(without string) func(string) error {
	return func(dir string) error {
		var err error
		do := func(name string, f func() error) {
			if err == nil && name != without {
				err = f()
			}
		}
		path := filepath.Join(dir, "x")
		f, err := os.Create(path + ".new") //nolint:gosec // of the test
		if err != nil {
			return err
		}
		do("write", func() error { _, err := f.WriteString("x"); return err })
		do("sync", f.Sync)
		do("rename", func() error { return os.Rename(path+".new", path) })
		do("sync dir", func() error {
			d, err := os.Open(dir) //nolint:gosec // of the test
			if err != nil {
				return err
			}
			return d.Sync()
		})
		return err
	}
}

func TestAllSteps(t *testing.T) { require.Empty(t, Lost(t, nil, steps(""))) }

// TestNothingIsLeft: what the process that runs the test has made besides goes with the test.
func TestNothingIsLeft(t *testing.T) {
	var dir string
	if os.Getenv(rootVar) == "" {
		dir = t.TempDir()
		t.Setenv("TMPDIR", dir)
	}
	t.Run("traced", func(t *testing.T) {
		require.Empty(t, Lost(t, func(string) error { return os.WriteFile(filepath.Join(t.TempDir(), "x"), nil, 0o600) }, steps("")))
	})
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestNoSync(t *testing.T) {
	require.Equal(t, []string{"x.new becomes x before its bytes are on the disk", "bytes of x"}, Lost(t, nil, steps("sync")))
}

func TestNoSyncOfTheDirectory(t *testing.T) {
	require.Equal(t, []string{"the name of x"}, Lost(t, nil, steps("sync dir")))
}

// TestWhatWasBefore does not count.
func TestWhatWasBefore(t *testing.T) {
	require.Empty(t, Lost(t, steps("sync"), func(string) error { return nil }))
}
