package proc

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The main thread does not end before the process: a starter that ran on it would not take its children along.
func init() { runtime.LockOSThread() } //nolint:gochecknoinits // it is about the main thread

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

// TestStartInASession: a child has a process group of its own in any case, a session if it is to have one, and ends with the starter.
func TestStartInASession(t *testing.T) {
	for _, session := range []bool{false, true} {
		s := NewStarter()
		ctx, stop := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- s.Run(ctx) }() // ends with ctx
		cmd := exec.CommandContext(t.Context(), "sleep", "1000")
		start := s.Start
		if session {
			start = s.StartSession
		}
		require.NoError(t, start(ctx, cmd))
		pid := cmd.Process.Pid
		group, err := unix.Getpgid(pid)
		require.NoError(t, err)
		require.Equal(t, pid, group)
		leader, err := unix.Getsid(pid)
		require.NoError(t, err)
		require.Equal(t, session, leader == pid)
		stop()
		require.ErrorIs(t, <-ran, context.Canceled)
		require.ErrorContains(t, cmd.Wait(), "killed")
	}
}

// TestSessionOfTheTester: a test is no service.
func TestSessionOfTheTester(t *testing.T) {
	if LeadsSession() {
		t.Skip("the tester has begun its session")
	}
	before, err := os.ReadFile(autogroupFile)
	if err != nil || !strings.Contains(string(before), " nice "+strconv.Itoa(0)) {
		t.Skip("needs a session of nice 0")
	}
	require.False(t, SessionUnchosen())
	require.NoError(t, BeNice(t.Context()))
	after, err := os.ReadFile(autogroupFile)
	require.NoError(t, err)
	require.Equal(t, string(before), string(after))
}
