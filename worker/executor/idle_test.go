package executor

import (
	"bufio"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const envIdle = "GODWIT_EXECUTOR_TEST_IDLE"

// TestStoppedWithoutAnApp: a process without an app goes on as long as it runs, and ends though somebody has stopped it; also one that was about to end; one that has an app does not.
func TestStoppedWithoutAnApp(t *testing.T) {
	const limit = 2 * time.Second
	if how := os.Getenv(envIdle); how != "" {
		over := unattended{limit: limit}.begin(slog.New(slog.DiscardHandler))
		time.Sleep(limit + limit/2) // what is tested is that it is put off
		if how != "idle" {
			over(how == "app")
		}
		fmt.Println("ready")
		time.Sleep(time.Hour) // select would be taken for a deadlock, if it comes before the signal
	}
	type process struct {
		*exec.Cmd
		ended chan error
	}
	begun := map[string]process{}
	for _, how := range []string{"idle", "ends", "app"} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestStoppedWithoutAnApp$")
		cmd.Env = append(os.Environ(), envIdle+"="+how)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		line, err := bufio.NewReader(out).ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "ready\n", line)
		require.NoError(t, unix.Kill(cmd.Process.Pid, unix.SIGSTOP))
		p := process{cmd, make(chan error, 1)}
		go func() { p.ended <- cmd.Wait() }()
		begun[how] = p
	}
	for _, how := range []string{"idle", "ends"} {
		select {
		case err := <-begun[how].ended:
			require.ErrorContains(t, err, "killed")
		case <-time.After(time.Minute):
			require.Fail(t, "a process without an app that is stopped goes on", how)
		}
	}
	select {
	case err := <-begun["app"].ended:
		require.Fail(t, "a process with an app has ended since it was stopped", "%v", err)
	case <-time.After(limit):
	}
	require.NoError(t, begun["app"].Process.Kill())
	require.Error(t, <-begun["app"].ended)
}
