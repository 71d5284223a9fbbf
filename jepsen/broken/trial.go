package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// trial is a test that must fail with a defect, and what its failure must say.
type trial struct{ pkg, test, text string }

func (t trial) String() string { return t.pkg + " " + t.test }

// slow says whether the test is one of real processes.
func (t trial) slow() bool { return t.pkg == "./jepsen" }

// What comes of a trial that shows nothing.
var (
	errSkipped = errors.New("the test is skipped on this machine")
	errMissed  = errors.New("it passes: it cannot see this defect. Sharpen it, or write one that can")
)

// pass runs the test as it is: one that fails anyway shows nothing.
func (t trial) pass(ctx context.Context, root string) error {
	out, err := t.run(ctx, root, "")
	switch {
	case err != nil:
		return fmt.Errorf("%w: it fails without any defect:\n%s", err, tail(out))
	case strings.Contains(out, "--- SKIP: "+t.test+" "):
		return errSkipped
	case !strings.Contains(out, "=== RUN   "+t.test+"\n"):
		return errors.New("there is no such test")
	}
	return nil
}

// fail runs the test with the defect, and returns the line that tells of it.
func (t trial) fail(ctx context.Context, root, overlay string) (string, error) {
	out, err := t.run(ctx, root, overlay)
	switch {
	case err == nil:
		return "", errMissed
	case strings.Contains(out, "[build failed]") || strings.Contains(out, "build godwit:"):
		return "", fmt.Errorf("the patch applies and does not build any more:\n%s", tail(out))
	case !strings.Contains(out, "--- FAIL: "+t.test) && !strings.Contains(out, "panic: "):
		return "", fmt.Errorf("%w, and it is no failure of the test:\n%s", err, tail(out))
	}
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); t.text != "" && strings.Contains(line, t.text) {
			return line, nil
		}
	}
	if t.text != "" {
		return "", fmt.Errorf("it fails, and does not say %q, but: %s\n%s", t.text, complaint(out), tail(out))
	}
	return complaint(out), nil
}

// complaint is what the first failed assertion says, on one line.
func complaint(out string) string {
	_, said, _ := strings.Cut(out, "Error:")
	said, _, _ = strings.Cut(said, "Test:")
	said = strings.Join(strings.Fields(said), " ")
	if said == "" {
		return "it fails"
	}
	return said[:min(len(said), 200)]
}

// run runs the test, with the files that overlay names replaced: in the test, and in every binary that it builds.
func (t trial) run(ctx context.Context, root, overlay string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-v", "-timeout", "9m", "-run", "^"+t.test+"$", t.pkg)
	cmd.Dir = root
	cmd.Env = append(slices.Clone(os.Environ()), "CGO_ENABLED=0", "GODWIT_CHECK=1")
	if overlay != "" {
		cmd.Env = append(cmd.Env, "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -overlay="+overlay))
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = lastWait
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// lastWait is how long a test that was interrupted may take to end what it started.
const lastWait = 30 * time.Second

// tail is the end of what a test has printed.
func tail(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}
