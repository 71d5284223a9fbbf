package sdk

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a power cut or a cleaner of old files left of an unpacked sdk is replaced; what is whole is used as it is.
func TestUnpackReplacesDamage(t *testing.T) {
	base := t.TempDir()
	dir, err := unpack(base)
	require.NoError(t, err)
	header := filepath.Join(dir, "include", "mpi.h")
	want, err := os.ReadFile(header)
	require.NoError(t, err)
	for name, damage := range map[string]func() error{
		"none":    func() error { return nil },
		"emptied": func() error { return os.WriteFile(header, nil, 0o600) },
		"removed": func() error { return os.Remove(header) },
		"all":     func() error { return os.RemoveAll(dir) },
	} {
		require.NoError(t, damage(), name)
		again, err := unpack(base)
		require.NoError(t, err, name)
		require.Equal(t, dir, again)
		got, err := os.ReadFile(header)
		require.NoError(t, err, name)
		require.Equal(t, want, got, name)
		entries, err := os.ReadDir(base)
		require.NoError(t, err)
		require.Len(t, entries, 2, "%s: the sdk and its lock", name)
	}
}

func TestUnpackRaces(t *testing.T) {
	base := t.TempDir()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			dir, err := unpack(base)
			if err != nil || !holds(dir, filepath.Base(dir)[len("sdk-"):]) {
				t.Errorf("%s: %v", dir, err)
			}
		})
	}
	all.Wait()
}
