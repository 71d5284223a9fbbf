package proc

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const deadlineOf = "GODWIT_TEST_DEADLINE"

// TestDeadlineOfTheStopped: a process that somebody has stopped is killed at its deadline, and not one that has taken it away.
func TestDeadlineOfTheStopped(t *testing.T) {
	if how := os.Getenv(deadlineOf); how != "" {
		d, err := NewDeadline()
		require.NoError(t, err)
		require.NoError(t, d.Set(time.Hour))
		require.NoError(t, d.Set(300*time.Millisecond))
		switch how {
		case "put off":
			require.NoError(t, d.Set(0))
		case "closed":
			require.NoError(t, d.Close())
		}
		fmt.Println("ready")
		time.Sleep(time.Hour) // select would be taken for a deadlock, if it comes before the signal
	}
	for how, dies := range map[string]bool{"set": true, "put off": false, "closed": false} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestDeadlineOfTheStopped$")
		cmd.Env = append(os.Environ(), deadlineOf+"="+how)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		line, err := bufio.NewReader(out).ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "ready\n", line)
		require.NoError(t, unix.Kill(cmd.Process.Pid, unix.SIGSTOP))
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case err := <-ended:
			require.True(t, dies, how)
			require.ErrorContains(t, err, "killed")
		case <-time.After(map[bool]time.Duration{true: time.Minute, false: time.Second}[dies]):
			require.False(t, dies, how)
			require.NoError(t, cmd.Process.Kill())
			require.Error(t, <-ended)
		}
	}
}
