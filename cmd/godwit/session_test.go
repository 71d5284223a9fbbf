package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/internal/pipe"
)

// needsSessions skips the test where sessions have no part in how processors are shared out, and returns how a process finds its session.
func needsSessions(t *testing.T) func(pid int) string {
	t.Helper()
	if enabled, err := os.ReadFile("/proc/sys/kernel/sched_autogroup_enabled"); err != nil || strings.TrimSpace(string(enabled)) != "1" {
		t.Skip("needs kernel.sched_autogroup_enabled")
	}
	return func(pid int) string {
		content, err := os.ReadFile(fmt.Sprintf("/proc/%d/autogroup", pid))
		require.NoError(t, err)
		return string(content)
	}
}

// TestSessionOfAWorker: a worker that has begun its session, as a service has, leaves it as it is: its heartbeats do not wait behind others' work.
func TestSessionOfAWorker(t *testing.T) {
	session := needsSessions(t)
	path, err := exec.LookPath("godwit")
	require.NoError(t, err)
	said, err := os.Create(filepath.Join(t.TempDir(), "said"))
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), path, "worker", "--name", "w", "--join", "127.0.0.1:1", "--slots", "1", "--data-dir", t.TempDir(),
		"--listen", "127.0.0.1:0", "--gossip-listen", "127.0.0.1:0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Stderr = said
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		require.NoError(t, said.Close())
	})
	require.Eventually(t, func() bool {
		content, err := os.ReadFile(said.Name())
		return err == nil && strings.Contains(string(content), "worker started")
	}, time.Minute, 10*time.Millisecond)
	require.Contains(t, session(cmd.Process.Pid), " nice 0\n")
}

// TestSessionOfAnExecutor: an executor that was given a session makes it nice, one in its worker's leaves that.
func TestSessionOfAnExecutor(t *testing.T) {
	session := needsSessions(t)
	path, err := exec.LookPath("godwit")
	require.NoError(t, err)
	own := session(os.Getpid())
	for _, given := range []bool{true, false} {
		link, err := pipe.Listen(t.TempDir(), "link")
		require.NoError(t, err)
		cmd := exec.CommandContext(t.Context(), path, "exec", "--app", "a")
		cmd.ExtraFiles = []*os.File{link}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: given, Pdeathsig: syscall.SIGKILL}
		require.NoError(t, cmd.Start())
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			require.NoError(t, link.Close())
		})
		if given {
			require.Eventually(t, func() bool { return strings.HasSuffix(session(cmd.Process.Pid), " nice 10\n") }, time.Minute, 10*time.Millisecond)
		} else {
			require.Equal(t, own, session(cmd.Process.Pid))
		}
	}
	require.Equal(t, own, session(os.Getpid()))
}
