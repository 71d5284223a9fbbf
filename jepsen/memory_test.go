package jepsen

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const hungryModule = "testdata/hungry.wasm"

// TestMemory: what the ranks of an app may take together is bounded: malloc says so, and they go on. What all apps of a host take is, too, where the system
// has control groups: one that makes it too much ends, with a reason, and nothing else does. The kernel would end an executor before anything else in any case.
func TestMemory(t *testing.T) {
	t.Parallel()
	c := emptyCluster(t, shape{workers: 1, slots: 8}.defaults())
	c.addServer()
	c.addWorker()
	w1 := c.process("w1")
	w1.set("--total-memory", "512")
	for _, p := range c.processes() {
		p.start(t)
	}
	c.waitReady()

	out := c.must("run", "-n", "2", hungryModule, "1000", "1")
	require.Equal(t, 2, strings.Count(out, ", and there is no more"), out)
	total := 0
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		var rank, got int
		_, err := fmt.Sscanf(line, "rank %d has %d MiB", &rank, &got)
		require.NoError(t, err)
		total += got
	}
	require.LessOrEqual(t, total, 384)
	require.GreaterOrEqual(t, total, 350) // each begins with 13 MiB: stack, unwind area, data

	steady := c.start("run", "-n", "2", "--name", "steady", steadyModule, "100", "50")
	c.lines(steady, 2)
	executor := c.executor(c.named("steady"), "w1")
	score, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", executor.pid))
	require.NoError(t, err)
	require.Equal(t, "1000", strings.TrimSpace(string(score)))
	log, err := os.ReadFile(w1.log)
	require.NoError(t, err)
	if strings.Contains(string(log), "the kernel does not bound what all executors take") {
		t.Log("no control groups are to be had: nobody bounds what all apps take")
	} else {
		c.endsTheLargest()
	}
	res := steady.wait()
	require.Zero(t, res.code, res.stderr)
	require.True(t, w1.running())
	c.idle()
}

// endsTheLargest has two apps take more than there is: the kernel ends the larger one. It ends a second one where a busy machine has not taken back the
// first one's memory in time, so it may take several.
func (c *cluster) endsTheLargest() {
	c.t.Helper()
	for try := range 3 {
		name := fmt.Sprint("sated", try)
		sated := c.start("run", "-n", "1", "--name", name, hungryModule, "200", "10000")
		c.lines(sated, 1)
		res := c.start("run", "-n", "1", hungryModule, "350", "10000").wait()
		require.Equal(c.t, 137, res.code)
		require.Contains(c.t, res.stderr, "for want of memory: all executors of this host may take 512 MiB together (--total-memory")
		alone := sated.running()
		c.godwit("cancel", c.named(name))
		if sated.wait(); alone {
			return
		}
	}
	require.FailNow(c.t, "the kernel ends others, too")
}
