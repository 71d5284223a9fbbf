package jepsen

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestLeaderKilled kills the leader while a program's output is streamed, and starts it again from its disk. The stream
// has lasted for longer than the time-out of the command by then, which bounds its attempts to go on, not the run.
func TestLeaderKilled(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{servers: 3, workers: 2})
	program := []string{steadyModule, "160", "50"}
	want := c.unmoved("4", program...)
	before := len(c.apps())

	run := c.start(append([]string{"run", "--timeout", "6s", "-q", "-l", "-n", "4", "--place", "w1:2,w2:2"}, program...)...)
	c.lines(run, 4*130) // 50 ms a step, one line a rank
	old := c.leader()
	old.kill()
	c.same(want, run)
	require.NotSame(t, old, c.leader())

	old.start(t)
	c.rejoined(old)
	require.Len(t, c.apps(), before+1)
	c.idle()

	failing := c.start("run", "-q", "-n", "2", "--place", "w1:1,w2:1", guests+"exit.wasm", "7", "1")
	c.leader().kill()
	require.Equal(t, 7, failing.wait().code, "the exit code outlives the leader too")
}

// rejoined waits until a server that was started again is a member that knows the leader, and knows all that the others know.
func (c *cluster) rejoined(p *process) {
	c.t.Helper()
	c.eventually(patience, p.name+" has joined again", func() error {
		if role := c.roles()[p.addr]; role != "voter" && role != "leader" {
			return fmt.Errorf("its role is %q", role)
		}
		r := startCommand(c.t, p.addr, "ps", "-a", "-o", "json", "--timeout", "1s").wait()
		if r.code != 0 {
			return fmt.Errorf("it answers %s", r.stderr)
		}
		return nil
	})
	require.Equal(c.t, c.must("ps", "-a", "-o", "json"), startCommand(c.t, p.addr, "ps", "-a", "-o", "json").wait().stdout)
}

// TestLeaderStalls stops the leader without killing it: its connections stay open, and it believes it leads when it goes
// on. Commands that name it first find another server.
func TestLeaderStalls(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{servers: 3, workers: 2})
	program := []string{steadyModule, "160", "50"}
	want := c.unmoved("4", program...)
	run := c.start(append([]string{"run", "-q", "-l", "-n", "4", "--place", "w1:2,w2:2"}, program...)...)
	c.lines(run, 20)
	old := c.leader()
	old.freeze()
	var others []string
	for _, s := range c.servers {
		if s != old {
			others = append(others, s.addr)
		}
	}
	c.eventually(patience, "another leads", func() error {
		r := startCommand(t, strings.Join(others, ","), "servers", "-o", "json", "--timeout", "1s").wait()
		var list struct {
			Servers []struct{ Addr, Role string }
		}
		if r.code != 0 {
			return fmt.Errorf("%s", r.stderr)
		}
		decode(t, r.stdout, &list)
		for _, s := range list.Servers {
			if s.Role == "leader" && s.Addr != old.addr {
				return nil
			}
		}
		return fmt.Errorf("%s", r.stdout)
	})
	start := time.Now()
	r := startCommand(t, old.addr+","+strings.Join(others, ","), "hosts").wait()
	t.Logf("hosts, asking the stalled server first: %s", time.Since(start))
	require.Zero(t, r.code, r.stderr)
	old.thaw()
	c.same(want, run)
	c.rejoined(old)
	c.idle()
}

// TestServersRestart stops all servers and starts them from their disks while programs run.
func TestServersRestart(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{servers: 3, workers: 2, lease: "30s"})
	program := []string{steadyModule, "120", "50"}
	want := c.unmoved("4", program...)
	c.must("run", "-q", "-n", "2", helloModule)
	before := c.must("ps", "-a", "-o", "json")
	require.Contains(t, before, `"name": "hello"`)

	run := c.start(append([]string{"run", "-q", "-l", "-n", "4", "--place", "w1:2,w2:2"}, program...)...)
	c.lines(run, 8)
	for _, s := range c.servers {
		s.kill()
	}
	for _, s := range c.servers {
		s.start(t)
	}
	c.waitReady()
	c.same(want, run)
	c.idle()

	history := c.must("ps", "-a", "-o", "json")
	for _, s := range c.servers {
		require.Zero(t, s.interrupt(t), "an interrupt is a clean end")
	}
	for _, s := range c.servers {
		s.start(t)
	}
	c.waitReady()
	require.Equal(t, history, c.must("ps", "-a", "-o", "json"))
	c.must("run", "-q", "-n", "2", helloModule)
}

// TestSnapshot lets servers cut their logs, then wipes one of them: it can only catch up by a snapshot. The others make
// a majority without it.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{servers: 3, workers: 1, serverArgs: []string{"--snapshot-threshold", "20", "--snapshot-interval", "1s"}})
	for range 10 {
		c.must("run", "-q", "-n", "2", helloModule)
	}
	c.eventually(patience, "all servers have taken snapshots", func() error {
		for _, s := range c.servers {
			if !snapshotted(t, s.dir) {
				return fmt.Errorf("%s has none", s.name)
			}
		}
		return nil
	})
	wiped := c.follower()
	oldID := c.member(wiped.addr).Id
	wiped.kill()
	require.NoError(t, os.RemoveAll(wiped.dir))
	c.must("run", "-q", "-n", "2", helloModule)
	wiped.start(t)
	c.eventually(patience, "the wiped server is a voter in the place of its old self", func() error {
		if m := c.member(wiped.addr); m == nil || m.Id == oldID || m.Role != "voter" {
			return fmt.Errorf("it is %v", m)
		}
		return nil
	})
	require.Len(t, c.roles(), 3)
	c.rejoined(wiped)
	leader := c.leader()
	for _, s := range c.servers {
		if s != wiped && s != leader {
			s.kill() // now the wiped one is needed for every majority
		}
	}
	c.must("run", "-q", "-n", "2", helloModule)

	before := c.must("ps", "-a", "-o", "json")
	c.must("servers", "transfer", c.member(wiped.addr).GetId())
	c.eventually(patience, "the wiped server leads", func() error {
		if l := c.leaderNow(); l != wiped {
			return fmt.Errorf("%v does", l)
		}
		return nil
	})
	require.Equal(t, before, c.must("ps", "-a", "-o", "json"), "the snapshot was whole")
}

// snapshotted says whether a server has a snapshot on its disk.
func snapshotted(t *testing.T, dir string) bool {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*", "snapshots", "*", "meta.json"))
	require.NoError(t, err)
	return len(found) > 0
}

// TestLeaderStallsWithinShortLease stops the leader while hosts hold short leases: they find the next one well before their
// leases end, so no executor is killed and nothing is lost.
func TestLeaderStallsWithinShortLease(t *testing.T) {
	inCheck(t)
	t.Parallel()
	c := newCluster(t, shape{servers: 3, workers: 2, lease: "6s"})
	program := []string{steadyModule, "240", "50"}
	want := c.unmoved("4", program...)
	run := c.start(append([]string{"run", "-q", "-l", "-n", "4", "--place", "w1:2,w2:2"}, program...)...)
	c.lines(run, 20)
	old := c.leader()
	old.freeze()
	c.same(want, run)
	for _, w := range c.workers {
		log := tailOf(w.log, 1000)
		require.NotContains(t, log, "the lease ran out", w.name)
	}
	old.thaw()
	c.rejoined(old)
	c.idle()
}
