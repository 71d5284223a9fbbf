package jepsen

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// commandLimit bounds a godwit command of a test; one that takes longer hangs.
const commandLimit = 2 * time.Minute

// command is a godwit command that runs.
type command struct {
	t              *testing.T
	args           []string
	cmd            *exec.Cmd
	stdout, stderr lockedBuffer
	exited         chan struct{}
}

// result is what a godwit command has done.
type result struct {
	stdout, stderr string
	code           int
	took           time.Duration
}

// startCommand starts a godwit command that talks to the servers at addrs.
func startCommand(t *testing.T, addrs string, args ...string) *command {
	t.Helper()
	return startCommandTo(t, nil, addrs, args...)
}

// startCommandFrom starts one whose standard input is the file, which it closes here.
func startCommandFrom(t *testing.T, stdin *os.File, addrs string, args ...string) *command {
	t.Helper()
	defer stdin.Close() //nolint:errcheck // the command has it
	return beginCommand(t, stdin, nil, addrs, args...)
}

// startCommandTo starts one whose standard output is the file, which it closes here; nil: it is kept.
func startCommandTo(t *testing.T, stdout *os.File, addrs string, args ...string) *command {
	t.Helper()
	return beginCommand(t, nil, stdout, addrs, args...)
}

func beginCommand(t *testing.T, stdin, stdout *os.File, addrs string, args ...string) *command {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	t.Cleanup(cancel)
	r := &command{t: t, args: args, exited: make(chan struct{})}
	r.cmd = exec.CommandContext(ctx, os.Getenv(envBinary), args...)
	r.cmd.Env = append(os.Environ(), "GODWIT_ADDR="+addrs)
	r.cmd.Stdout, r.cmd.Stderr = &r.stdout, &r.stderr
	if stdin != nil {
		r.cmd.Stdin = stdin
	}
	if stdout != nil {
		r.cmd.Stdout = stdout
		defer stdout.Close() //nolint:errcheck // the command has it
	}
	require.NoError(t, r.cmd.Start())
	go func() { _ = r.cmd.Wait(); close(r.exited) }() // its state is kept in cmd
	t.Cleanup(func() { cancel(); <-r.exited })
	return r
}

// wait waits until the command has ended.
func (r *command) wait() result {
	<-r.exited
	return result{stdout: r.stdout.String(), stderr: r.stderr.String(), code: r.cmd.ProcessState.ExitCode()}
}

// interrupt is what Ctrl-C does.
func (r *command) interrupt() { _ = r.cmd.Process.Signal(syscall.SIGINT) }

// insist interrupts it until it ends: one that comes right after another counts as the same.
func (r *command) insist() result {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for { // it has a limit of its own
		r.interrupt()
		select {
		case <-tick.C:
		case <-r.exited:
			return r.wait()
		}
	}
}

func (r *command) running() bool {
	select {
	case <-r.exited:
		return false
	default:
		return true
	}
}

// lockedBuffer may be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// godwit runs a command against the cluster, whatever it answers.
func (c *cluster) godwit(args ...string) result {
	c.t.Helper()
	start := time.Now()
	r := startCommand(c.t, c.addrs(), args...).wait()
	r.took = time.Since(start)
	return r
}

// must runs a command that has to succeed, and returns what it prints.
func (c *cluster) must(args ...string) string {
	c.t.Helper()
	r := c.godwit(args...)
	require.Zero(c.t, r.code, "godwit %s: %s", strings.Join(args, " "), r.stderr)
	return r.stdout
}

// start starts a command against the cluster.
func (c *cluster) start(args ...string) *command {
	c.t.Helper()
	return startCommand(c.t, c.addrs(), args...)
}

// submit queues a program and returns the app's id.
func (c *cluster) submit(args ...string) string {
	c.t.Helper()
	return strings.TrimSpace(c.must(append([]string{"submit"}, args...)...))
}

// lines waits until the command has printed n lines.
func (c *cluster) lines(r *command, n int) {
	c.t.Helper()
	c.eventually(patience, "the program prints", func() error {
		if !r.running() {
			res := r.wait()
			require.FailNow(c.t, "the program ended too early", "code %d\n%s\n%s", res.code, tail(res.stdout, 400), res.stderr)
		}
		if strings.Count(r.stdout.String(), "\n") < n {
			return errors.New("too few lines")
		}
		return nil
	})
}

// told waits until the command has said something on standard error.
func (c *cluster) told(r *command, text string) {
	c.t.Helper()
	c.eventually(patience, "it says "+text, func() error {
		if said := r.stderr.String(); !strings.Contains(said, text) {
			return errors.New("it says " + said)
		}
		return nil
	})
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// decode reads what a command prints with -o json. Fields are matched whatever their case.
func decode(t *testing.T, out string, v any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(out), v), "%s", out)
}
