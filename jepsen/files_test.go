package jepsen

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

const filesModule = "../worker/wasm/testdata/files.wasm"

// TestFilesMove has ranks on several hosts use the app's directory, and a file that was sent along, while they move; what they leave is got from the
// servers, also when the host that had it is gone.
func TestFilesMove(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	c := newCluster(t, shape{workers: 3, slots: 6})
	in := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(in, "input"), []byte("what was sent"), 0o600))
	id := c.submit("-n", "4", "--place", "w1:2,w2:1,w3:1", "--in", filepath.Join(in, "input")+":given/input", filesModule)
	for !apiv1.AppOver(c.app(id).Phase) {
		c.godwit("migrate", fmt.Sprintf("%s/%d", id, random.IntN(4)), "--to", fmt.Sprintf("w%d", 1+random.IntN(3)))
	}
	app := c.app(id)
	require.Equal(t, "succeeded", app.Phase, app.Reason)
	t.Logf("%d migrations were committed", app.Migrations)
	home := app.Files.Host
	for _, w := range c.workers {
		if w.name == home {
			w.kill()
		}
	}
	out := t.TempDir()
	require.Contains(t, c.must("ls", id), "rank3/stdout")
	c.must("get", id, "-o", out)
	for name, want := range map[string]string{"given/input": "what was sent", "rank2/stdout": "into the file\n", "turn": "turn 3"} {
		got, err := os.ReadFile(filepath.Join(out, name))
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	all, err := os.ReadFile(filepath.Join(out, "all"))
	require.NoError(t, err)
	require.Len(t, all, 4*50*8)
}
