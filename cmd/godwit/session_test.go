package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSessionOfAWorker: a worker that has begun its session makes it nice, one in somebody else's leaves it.
func TestSessionOfAWorker(t *testing.T) {
	own, err := os.ReadFile(autogroupFile)
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(own)), " nice 0") {
		t.Skipf("needs a session of nice 0: %q, %v", own, err)
	}
	if enabled, err := os.ReadFile("/proc/sys/kernel/sched_autogroup_enabled"); err != nil || strings.TrimSpace(string(enabled)) != "1" {
		t.Skip("needs kernel.sched_autogroup_enabled")
	}
	path, err := exec.LookPath("godwit")
	require.NoError(t, err)
	for _, begins := range []bool{true, false} {
		dir := t.TempDir()
		cmd := exec.CommandContext(t.Context(), path, "worker", "--name", "w", "--join", "127.0.0.1:1", "--slots", "1", "--data-dir", dir, "--listen", "127.0.0.1:0", "--gossip-listen", "127.0.0.1:0")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: begins, Pdeathsig: syscall.SIGKILL}
		require.NoError(t, cmd.Start())
		want := map[bool]string{true: " nice 10\n", false: " nice 0\n"}[begins]
		session := fmt.Sprintf("/proc/%d/autogroup", cmd.Process.Pid)
		require.Eventually(t, func() bool { // it runs, and has seen to it before
			entries, err := os.ReadDir(dir)
			return err == nil && len(entries) > 0
		}, time.Minute, 10*time.Millisecond)
		content, err := os.ReadFile(session)
		require.NoError(t, err)
		require.Contains(t, string(content), want)
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait()
	}
}

// TestNiceAsChosen: only a session that nobody has chosen another for is made nice, and where there are none nothing is made.
func TestNiceAsChosen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "autogroup")
	require.NoError(t, makeNice(context.Background(), file))
	require.NoFileExists(t, file)
	for before, after := range map[string]string{
		"/autogroup-12 nice 0\n": "10utogroup-12 nice 0\n", "/autogroup-12 nice 19\n": "/autogroup-12 nice 19\n", "/autogroup-12 nice -5\n": "/autogroup-12 nice -5\n",
	} {
		require.NoError(t, os.WriteFile(file, []byte(before), 0o600))
		require.NoError(t, makeNice(context.Background(), file))
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, after, string(content))
	}
}
