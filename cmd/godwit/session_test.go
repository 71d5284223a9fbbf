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
	for script, want := range map[string]string{"exec %s": " nice 10\n", "%s & wait": " nice 0\n"} { // the shell has begun the session
		said, err := os.Create(filepath.Join(t.TempDir(), "said"))
		require.NoError(t, err)
		worker := fmt.Sprintf("%s worker --name w --join 127.0.0.1:1 --slots 1 --data-dir %s --listen 127.0.0.1:0 --gossip-listen 127.0.0.1:0", path, t.TempDir())
		cmd := exec.CommandContext(t.Context(), "sh", "-c", fmt.Sprintf(script, worker))
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		cmd.Stderr = said
		require.NoError(t, cmd.Start())
		t.Cleanup(func() {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			_ = cmd.Wait()
			require.NoError(t, said.Close())
		})
		require.Eventually(t, func() bool {
			content, err := os.ReadFile(said.Name())
			return err == nil && strings.Contains(string(content), "worker started")
		}, time.Minute, 10*time.Millisecond, "it has seen to its session before")
		content, err := os.ReadFile(fmt.Sprintf("/proc/%d/autogroup", cmd.Process.Pid))
		require.NoError(t, err)
		require.Contains(t, string(content), want)
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
