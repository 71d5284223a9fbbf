package fleet

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A small fleet does all that a large one does: it joins, runs apps, leaves hosts, and goes through the death of its leader; nothing that was accepted is lost,
// or runs twice. GODWIT_BIN is the binary; else it is built.
func TestFleet(t *testing.T) {
	if os.Getenv("GODWIT_CHECK") == "" {
		t.Skip("make check runs it")
	}
	godwit, dir := os.Getenv("GODWIT_BIN"), t.TempDir()
	if godwit == "" {
		godwit = filepath.Join(dir, "godwit")
		build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", godwit, "../../cmd/godwit")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		out, err := build.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	c := DefaultConfig()
	c.Godwit, c.Module, c.Dir, c.Hosts = godwit, "../../examples/hello/hello.wasm", filepath.Join(dir, "servers"), filepath.Join(dir, "hosts")
	require.NoError(t, os.MkdirAll(c.Dir, 0o700))
	c.Workers, c.Hour, c.Burst, c.MostRanks, c.Mean, c.Drain = 50, 18_000, 20, 32, 10*time.Second, 1
	c.Idle, c.Before, c.After, c.End, c.Log = 200*time.Millisecond, time.Second, 500*time.Millisecond, 500*time.Millisecond, t.Output()
	figures, err := Run(t.Context(), c)
	require.NoError(t, err)
	require.NotEmpty(t, figures)
}
