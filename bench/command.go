package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

const (
	commandLimit = 2 * time.Minute  // of one command that is run for its output
	endWait      = 2 * time.Second  // from the last line of a program that may not end to its interrupt
	stopWait     = 15 * time.Second // from an interrupt to the kill
)

// command is a process that is interrupted when ctx ends, so that it can stop its own, and killed if that does not help.
func command(ctx context.Context, argv ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...) //nolint:gosec // the commands of this program
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = stopWait
	return cmd
}

// output runs a command and returns what it prints.
func output(ctx context.Context, env []string, argv ...string) (string, error) {
	out, _, err := outputLines(ctx, env, commandLimit, 0, argv...)
	return out, err
}

// outputLines is output for a program that may not end: once it has printed so many lines it has endWait to do so, then it is
// stopped, and ended is false. With 0 lines it must end by itself. It has so long for everything. What a program has printed
// before it failed is returned with the error.
func outputLines(ctx context.Context, env []string, limit time.Duration, lines int, argv ...string) (out string, ended bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	stopped, stop := context.WithCancel(ctx)
	defer stop()
	stdout, stderr := &lineCounter{}, &bytes.Buffer{}
	if lines > 0 {
		stdout.reached = func(n int) {
			if n == lines {
				time.AfterFunc(endWait, stop)
			}
		}
	}
	cmd := command(stopped, argv...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, stdout, stderr
	err = cmd.Run()
	if err != nil && ctx.Err() == nil && stopped.Err() != nil {
		return firstLines(stdout.text.String(), lines), false, nil // without what a launcher says of its interrupt
	}
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	if err != nil {
		return stdout.text.String(), true, fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.text.String(), true, nil
}

// firstLines is the first n lines of a text, or all that there are.
func firstLines(text string, n int) string {
	split := strings.SplitAfter(text, "\n")
	return strings.Join(split[:min(n, len(split))], "")
}

// lineCounter keeps what is written and says when lines are complete. Only the process's copier writes.
type lineCounter struct {
	text    bytes.Buffer
	lines   int
	reached func(lines int) // for each line; may be nil
}

// Write implements io.Writer.
func (c *lineCounter) Write(p []byte) (int, error) {
	for range bytes.Count(p, []byte("\n")) {
		if c.lines++; c.reached != nil {
			c.reached(c.lines)
		}
	}
	return c.text.Write(p)
}

// dev runs f with a cluster on this machine whose workers have so many slots each; GODWIT_ADDR is in env.
func (b *bench) dev(ctx context.Context, servers, workers, slots int, f func(env []string) error) (err error) {
	dir, err := os.MkdirTemp(b.dir, "dev-")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // it ends when f does, whose programs it has to cancel
	cmd := command(ctx, b.godwit, "dev", "--servers", strconv.Itoa(servers), "--workers", strconv.Itoa(workers),
		"--slots", strconv.Itoa(slots), "--data-dir", dir)
	if b.volume != "" {
		cmd.Args = append(cmd.Args, "--volume", "bench="+b.volume)
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		cancel()
		return err
	}
	if err := cmd.Start(); err != nil {
		cancel()
		return err
	}
	defer func() {
		cancel()
		_ = cmd.Wait() // ended by our signal
	}()
	line := make([]byte, 4096)
	n, err := out.Read(line)
	if err != nil {
		return fmt.Errorf("godwit dev: %w", err)
	}
	for _, w := range strings.Fields(string(line[:n])) {
		if strings.HasPrefix(w, "GODWIT_ADDR=") {
			return f(append(os.Environ(), w, devDir+dir))
		}
	}
	return fmt.Errorf("godwit dev: unexpected %q", line[:n])
}
