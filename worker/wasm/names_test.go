package wasm

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// Ranks have numbers as processes of their own, and the name of their machine.
func TestNames(t *testing.T) {
	want, err := os.Hostname()
	require.NoError(t, err)
	w := &world{t: t, module: compile(t, "names"), args: []string{"names"}}
	pids := make(map[int]bool)
	for _, r := range w.run(8) {
		require.Equal(t, Exit{}, r.exit, "%s", &r.stderr)
		var pid int
		var host string
		_, err := fmt.Sscan(r.stdout.String(), &pid, &host)
		require.NoError(t, err)
		require.Equal(t, want, host)
		require.Greater(t, pid, 1)
		pids[pid] = true
	}
	require.Greater(t, len(pids), 1, "all have one number") // two may be alike, by chance
}
