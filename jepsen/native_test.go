package jepsen

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// needsClang skips a test where nothing can be compiled for the native engine.
func needsClang(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("clang-19"); err != nil || runtime.GOARCH != "amd64" {
		t.Skip("needs clang-19, and amd64")
	}
}

// runsAs waits until show says that what is wanted of each rank of an app.
func (c *cluster) runsAs(id, want string) {
	c.t.Helper()
	c.eventually(patience, "the ranks run as wanted", func() error {
		ranks := c.ranks(id)
		if len(ranks) == 0 {
			return fmt.Errorf("no rank runs")
		}
		for _, r := range ranks {
			if !strings.Contains(r.Doing, want) {
				return fmt.Errorf("rank %d: %s", r.Rank, r.Doing)
			}
		}
		return nil
	})
}

// TestCodeOutlivesItsApp: a module is compiled by the worker. An app that is over before that, or is killed, has the next one begin natively; executors that an earlier process of the worker has left
// hear of code, too.
func TestCodeOutlivesItsApp(t *testing.T) {
	needsClang(t)
	t.Parallel()
	c := newCluster(t, shape{workers: 1, workerArgs: []string{"--engine", "auto"}})
	want := c.must("run", "-q", "-l", "-n", "2", steadyModule, "1", "1")
	c.logged("w1", "a module was compiled", "at=-O3")
	run := c.start("run", "-q", "-l", "-n", "2", "--name", "next", steadyModule, "400", "20")
	c.lines(run, 4)
	log := c.logOf("w1")
	require.Equal(t, 2, strings.Count(log, "a module was compiled"), "at -O1 and at -O3")
	c.runsAs(c.named("next"), "in the native engine, compiled at -O3")
	require.Equal(t, want, c.must("run", "-q", "-l", "-n", "2", steadyModule, "1", "1"))
	require.Equal(t, 2, strings.Count(c.logOf("w1"), "a module was compiled"))
}

// logOf is a process's log.
func (c *cluster) logOf(name string) string {
	c.t.Helper()
	text, err := os.ReadFile(c.process(name).log)
	require.NoError(c.t, err)
	return string(text)
}

// logged waits until a line of a process's log has all of these words.
func (c *cluster) logged(name string, words ...string) {
	c.t.Helper()
	c.eventually(patience, "a line of the log", func() error {
		for line := range strings.Lines(c.logOf(name)) {
			has := true
			for _, w := range words {
				has = has && strings.Contains(line, w)
			}
			if has {
				return nil
			}
		}
		return fmt.Errorf("no line with %q", words)
	})
}
