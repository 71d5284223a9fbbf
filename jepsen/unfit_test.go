package jepsen

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestStoppedExecutor: an executor that does not answer is named, in what is told of its ranks and in the reason of a migration
// that comes to nothing; nothing is ended for it.
func TestStoppedExecutor(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{workers: 2, freezeDeadline: "8s"})
	id := c.submit("-n", "2", "--place", "w1:2", steadyModule, "100", "50")
	c.phase(id, "running")
	e := c.executor(id, "w1")
	e.signal(syscall.SIGSTOP)
	c.eventually(patience, "the silence is told", func() error {
		ranks := c.ranks(id)
		if len(ranks) == 0 {
			return errors.New("not placed yet")
		}
		if doing := ranks[0].Doing; !strings.Contains(doing, "executor has not answered for") {
			return fmt.Errorf("it is said: %s", doing)
		}
		return nil
	})
	c.must("migrate", id+"/0", "--to", "w2")
	m := (&crossing{c: c, app: id}).settled(c.migrations(id)[0].Id)
	require.Equal(t, "aborted", m.Phase)
	require.Contains(t, m.Reason, "the executor on w1 does not answer")
	e.signal(syscall.SIGCONT)
	require.Equal(t, "succeeded", c.phase(id, "succeeded", "failed", "cancelled").Phase)
	c.idle()
}

// TestFullDiskOfAWorker: the host takes no new ranks while its disk is full, and what it could not store is told.
func TestFullDiskOfAWorker(t *testing.T) {
	t.Parallel()
	c := emptyCluster(t, shape{workers: 2}.defaults())
	disk := newDisk(t, filepath.Join(c.dir, "w1"))
	c.disks["w1"] = disk
	for _, p := range []*process{c.addServer(), c.addWorker(), c.addWorker()} {
		p.start(t)
	}
	c.waitReady()
	id := c.submit("-n", "2", "--place", "w1:2", steadyModule, "2000", "50")
	c.phase(id, "running")
	require.NoError(t, disk.fill())
	c.eventually(patience, "w1 is unfit", func() error {
		if unfit := c.hosts()["w1"].Unfit; !strings.Contains(unfit, "is full") {
			return fmt.Errorf("it is said: %q", unfit)
		}
		return nil
	})
	require.Regexp(t, `(?m)^w1 .* unfit .* is full`, c.must("hosts"))
	c.must("run", "-q", "-n", "4", helloModule)
	c.must("cancel", id)
	c.phase(id, "cancelled")

	disk.empty()
	c.eventually(patience, "w1 is fit again", func() error {
		if unfit := c.hosts()["w1"].Unfit; unfit != "" {
			return fmt.Errorf("it is said: %q", unfit)
		}
		return nil
	})
	c.must("run", "-q", "-n", "4", "--place", "w1:4", helloModule)
	c.idle()
}
