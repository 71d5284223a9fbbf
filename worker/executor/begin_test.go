package executor

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestBeginsInADirectory: a program that is to begin in a directory that is not there does not begin, and it is said where that is.
func TestBeginsInADirectory(t *testing.T) {
	volume := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(volume, "run1"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(volume, "file"), nil, 0o600))
	module, err := filepath.Abs("../../examples/hello/hello.wasm")
	require.NoError(t, err)
	for dir, why := range map[string]string{
		"":          "",
		"/":         "",
		"/dat":      "",
		"/dat/run1": "",
		"/dat/run2": "--wdir /dat/run2: there is no such directory on host h0",
		"/nowhere":  "--wdir /nowhere: there is no such directory on host h0",
		"/dat/file": "--wdir /dat/file: it is no directory on host h0",
	} {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			a := startAs(t, []int{0, 0}, 1, &apiv1.ExecStart{
				Programs: []*apiv1.ExecProgram{{ModulePath: module, CacheDir: cacheDir(t), Args: []string{"prog"}, Ranks: 2}},
				Dir:      dir, Mounts: []*apiv1.ExecMount{{Path: "/dat", HostPath: volume, Name: "dat"}},
			})
			if why == "" {
				require.NotEmpty(t, a.finish())
				return
			}
			for len(a.ended) < 2 {
				a.next(a.hosts[0])
			}
			for _, end := range a.ended {
				require.Equal(t, why, end.Reason)
				require.EqualValues(t, 1, end.ExitCode)
			}
			a.hosts[0].mu.Lock()
			defer a.hosts[0].mu.Unlock()
			require.Empty(t, a.hosts[0].lines)
		})
	}
}
