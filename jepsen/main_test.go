package jepsen

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// The environment is how TestMain hands over what it has made.
const (
	envApps    = "GODWIT_APPS"       // how many short apps TestShortAppsEnd runs
	envArm64   = "GODWIT_ARM64"      // an arm64 build of godwit, which the kernel runs by qemu
	envBinary  = "GODWIT_BIN"        // the binary under test; TestMain builds it unless it is given
	envScratch = "GODWIT_JEPSEN_DIR" // a directory for this run of the tests
	envLong    = "GODWIT_LONG"       // set: more rounds of the random tests
	envSeed    = "GODWIT_SEED"       // the seed to repeat a random test with
)

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	sweepNetworks()
	sweepDisks()
	dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d-", scratchPrefix, os.Getpid()))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	binary, err := filepath.Abs(os.Getenv(envBinary))
	if os.Getenv(envBinary) == "" {
		binary = filepath.Join(dir, "godwit")
		build := exec.Command("go", "build", "-o", binary, "../cmd/godwit") //nolint:noctx // ends by itself
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		var out []byte
		if out, err = build.CombinedOutput(); err != nil {
			err = fmt.Errorf("build godwit: %w\n%s", err, out)
		}
	}
	for _, kv := range [][2]string{{envBinary, binary}, {envScratch, dir}} {
		if err == nil {
			err = os.Setenv(kv[0], kv[1])
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// rounds is how often a random test does what it does.
func rounds(fast, long int) int {
	if os.Getenv(envLong) != "" {
		return long
	}
	return fast
}

// onlyLong skips a case that is a sibling of one which always runs, unless the long ones are asked for.
func onlyLong(t *testing.T, long bool) {
	t.Helper()
	if long && os.Getenv(envLong) == "" {
		t.Skipf("one like it has run: set %s, or run make torture", envLong)
	}
}

// inCheck leaves a test to make check, which has the time.
func inCheck(t *testing.T) {
	t.Helper()
	if os.Getenv("GODWIT_CHECK") == "" && os.Getenv(envLong) == "" {
		t.Skip("make check runs it: set GODWIT_CHECK")
	}
}

// Paths of the guests the tests run, seen from this directory.
const (
	steadyModule   = "testdata/steady.wasm"
	toldModule     = "../worker/wasm/testdata/told.wasm"
	computesModule = "testdata/computes.wasm" // built with --preemptible
	deadlockModule = "testdata/deadlock.wasm"
	heatModule     = "../examples/heat2d/heat2d.wasm"
	helloModule    = "../examples/hello/hello.wasm"
	guests         = "../worker/wasm/testdata/"
)

// patience bounds every wait that has no tighter bound of its own. Two processors may be shared with other tests.
const patience = 40 * time.Second

// scratchPrefix, and then the process id, begin the name of a test run's directory.
const scratchPrefix = "godwit-jepsen-"
