package jepsen

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// grace is how soon a cancelled program must be gone: 2 s to notice, then it is killed.
const grace = 6 * time.Second

// TestCancel cancels programs that call, and programs that only compute.
func TestCancel(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{workers: 2})
	for _, tc := range []struct {
		name    string
		program []string
		lines   int
	}{
		{"calling", []string{steadyModule, "1000", "50"}, 4},
		{"computing", []string{guests + "spin.wasm", "100000", "100"}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			args := append([]string{"run", "-n", "4", "--name", tc.name, "--place", "w1:2,w2:2"}, tc.program...)
			run := c.start(args...)
			if tc.name == "calling" {
				c.lines(run, tc.lines)
			}
			id := c.named(tc.name)
			c.phase(id, "running")
			start := time.Now()
			c.must("cancel", id, "--reason", "enough")
			res := run.wait()
			require.Less(t, time.Since(start), grace)
			app := c.phase(id, "cancelled")
			require.Contains(t, app.Reason, "enough")
			require.NotZero(t, res.code)
			require.Contains(t, res.stderr, "enough")
			c.idle()

			run = c.start(append([]string{"run", "-n", "4", "--name", tc.name + "2", "--place", "w1:2,w2:2"}, tc.program...)...)
			id = c.named(tc.name + "2")
			c.phase(id, "running")
			start = time.Now()
			run.interrupt()
			require.Equal(t, 130, run.wait().code, "an interrupted run")
			require.Less(t, time.Since(start), grace)
			c.phase(id, "cancelled")
			c.idle()
		})
	}
	t.Run("queued", func(t *testing.T) {
		id := c.submit("-n", "100", helloModule)
		c.phase(id, "queued")
		c.must("cancel", id)
		c.phase(id, "cancelled")
	})
}

// TestFailures checks the exit code and the reason of programs that end badly.
func TestFailures(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{workers: 2})
	for _, tc := range []struct {
		name    string
		program []string
		code    int
		reason  string
	}{
		{"exit", []string{"exit.wasm", "3", "0"}, 3, `(?i)rank 0`},
		{"exit elsewhere", []string{"exit.wasm", "9", "3"}, 9, `(?i)rank 3`},
		{"abort", []string{"abort.wasm", "5", "2"}, 5, `(?i)rank 2.*MPI_Abort`},
		{"trap", []string{"trap.wasm", "bounds", "1"}, 0, `(?i)rank 1.*out of bounds`},
		{"unreachable", []string{"trap.wasm", "unreachable", "3"}, 0, `(?i)rank 3.*unreachable`},
		{"divide", []string{"trap.wasm", "divide", "0"}, 0, `(?i)rank 0.*divide by zero`},
		{"recursion", []string{"trap.wasm", "recursion", "0"}, 0, `(?i)rank 0.*stack`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			args := append([]string{"run", "-n", "4", "--place", "w1:2,w2:2", guests + tc.program[0]}, tc.program[1:]...)
			res := startCommand(t, c.addrs(), args...).wait()
			if tc.code != 0 {
				require.Equal(t, tc.code, res.code, res.stderr)
			}
			require.NotZero(t, res.code)
			require.Regexp(t, regexp.MustCompile(tc.reason), res.stderr)
			require.Contains(t, res.stderr, "failed")
			t.Logf("code %d: %s", res.code, strings.TrimSpace(res.stderr))
		})
	}
	t.Run("executor killed", func(t *testing.T) {
		run := c.start("run", "-n", "4", "--name", "shot", "--place", "w1:2,w2:2", steadyModule, "1000", "50")
		c.lines(run, 4)
		id := c.named("shot")
		c.executor(id, "w2").kill()
		res := run.wait()
		require.Equal(t, 137, res.code, res.stderr)
		require.Regexp(t, `w2.*killed`, res.stderr)
		require.Equal(t, "failed", c.app(id).Phase)
	})
	c.idle()
}
