package jepsen

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDevRestarts kills each process of a godwit dev: it is named, and started again.
func TestDevRestarts(t *testing.T) {
	t.Parallel()
	c := emptyCluster(t, shape{servers: 1})
	dir := filepath.Join(c.dir, "dev")
	dev := startCommand(t, freeAddr(t), "dev", "--workers", "2", "--data-dir", dir)
	c.lines(dev, 1) // it is ready
	procs := readDev(t, dir)
	require.Len(t, procs, 3)
	for i := range procs {
		restarts(t, c, dev, dir, i)
	}
	require.Zero(t, startCommand(t, procs[0].Addr, "run", "-q", "-n", "2", helloModule).wait().code)
}

// devProcess is what dev.json tells of a process.
type devProcess struct {
	Name, Addr string
	PID        int
}

// readDev reads the dev.json of a directory.
func readDev(t *testing.T, dir string) []devProcess {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "dev.json"))
	require.NoError(t, err)
	var procs []devProcess
	decode(t, string(b), &procs)
	return procs
}

// restarts kills the process that stands at i in dev.json, and waits until another is in its place.
func restarts(t *testing.T, c *cluster, dev *command, dir string, i int) {
	t.Helper()
	procs := readDev(t, dir)
	victim, addr := procs[i], procs[0].Addr
	before := readyHosts(t, addr)
	require.Len(t, before, 2)
	require.NoError(t, syscall.Kill(victim.PID, syscall.SIGKILL))
	c.eventually(patience, victim.Name+" is started again", func() error {
		if readDev(t, dir)[i].PID == victim.PID {
			return fmt.Errorf("%s has pid %d still", victim.Name, victim.PID)
		}
		return nil
	})
	require.Contains(t, dev.stderr.String(), victim.Name+" has ended (signal: killed)")
	c.eventually(patience, "the hosts are ready again", func() error {
		now := readyHosts(t, addr)
		if len(now) != 2 || now[victim.Name] != "" && now[victim.Name] == before[victim.Name] {
			return fmt.Errorf("ready: %v, before: %v", now, before)
		}
		return nil
	})
}

// readyHosts are the incarnations of the hosts that are ready, by name.
func readyHosts(t *testing.T, addr string) map[string]string {
	t.Helper()
	r := startCommand(t, addr, "hosts", "-o", "json").wait()
	if r.code != 0 {
		return nil // the server is not back yet
	}
	var hosts []struct{ Name, State, Incarnation string }
	decode(t, r.stdout, &hosts)
	ready := map[string]string{}
	for _, h := range hosts {
		if h.State == "ready" {
			ready[h.Name] = h.Incarnation
		}
	}
	return ready
}
