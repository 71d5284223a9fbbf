package jepsen

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCopiedWorker starts a worker on a copy of a running one's directory: it is refused, and what the other runs goes on. Once that
// is dead the copy takes its place, as the worker itself would that is started again, and then the original is the copy.
func TestCopiedWorker(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{workers: 2})
	w1 := c.process("w1")
	first := c.hosts()["w1"].Incarnation
	copied := c.newProcess("worker", "copy", c.newAddr("copy", workerPort), "--name", "w1", "--join", c.addrs(), "--slots", strconv.Itoa(c.shape.slots))
	w1.freeze()                                                                                         // files come and go under one that runs
	said, err := exec.CommandContext(t.Context(), "cp", "-a", w1.dir+"/.", copied.dir).CombinedOutput() // sockets too
	require.NoError(t, err, "%s", said)
	w1.thaw()
	run := c.start("run", "-n", "4", "--place", "w1:2,w2:2", steadyModule, "100", "50")
	c.lines(run, 4)
	refused := func(p, other *process) {
		p.start(t)
		require.NotZero(t, p.wait(t, patience))
		said := tailOf(p.log, 3)
		for _, part := range []string{"this one is a copy", other.addr, "empty --data-dir"} {
			require.Contains(t, said, part)
		}
		require.True(t, other.running())
	}
	refused(copied, w1)
	require.Equal(t, first, c.hosts()["w1"].Incarnation)
	res := run.wait()
	require.Zero(t, res.code, res.stderr)

	w1.kill()
	w1.start(t)                                                // at once: long before its lease is over
	c.eventually(patience, "it is taken again", func() error { // what is placed before is the dead one's
		if h := c.hosts()["w1"]; h.Incarnation == first {
			return errors.New("the host is still what it was")
		}
		return nil
	})
	c.must("run", "-q", "-n", "2", "--place", "w1:2", helloModule)

	w1.kill()
	c.workers = append(c.workers, copied) // ends with the cluster
	copied.start(t)
	c.eventually(patience, "the copy takes the dead one's place", func() error {
		if h := c.hosts()["w1"]; h.Addr != copied.addr {
			return fmt.Errorf("it is at %s", h.Addr)
		}
		return nil
	})
	refused(w1, copied)
	c.must("run", "-q", "-n", "2", "--place", "w1:2", helloModule)
	c.workers = c.workers[1:]
}
