package jepsen

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// says waits until a process's log holds the text.
func (c *cluster) says(p *process, text string) {
	c.t.Helper()
	c.eventually(patience, p.name+" says "+text, func() error {
		b, err := os.ReadFile(p.log)
		if err == nil && !strings.Contains(string(b), text) {
			err = fmt.Errorf("its log ends with: %s", tailOf(p.log, 3))
		}
		return err
	})
}

// set changes a flag of a process for its next start.
func (p *process) set(flag, value string) {
	i := slices.Index(p.args, flag)
	if i < 0 {
		p.args = append(p.args, flag, value)
		return
	}
	p.args = slices.Clone(p.args)
	p.args[i+1] = value
}

// wipe removes all that a process that has ended keeps.
func (p *process) wipe(t *testing.T) {
	t.Helper()
	require.NoError(t, os.RemoveAll(p.dir))
}

// join describes a server that finds the cluster, and is none of those that made it.
func (c *cluster) join(name string) *process {
	p := c.newProcess("server", name, freeAddr(c.t), "--retry-join", c.addrs(), "--lease", c.shape.lease)
	c.servers = append(c.servers, p)
	return p
}

// votersAre waits until exactly these servers vote, and all that run answer at their addresses.
func (c *cluster) votersAre(want ...*process) {
	c.t.Helper()
	var addrs []string
	for _, p := range want {
		addrs = append(addrs, p.addr)
	}
	slices.Sort(addrs)
	c.eventually(patience, "the voters are "+strings.Join(addrs, ", "), func() error {
		var got []string
		members := c.members()
		for _, m := range members {
			if m.Role == "leader" || m.Role == "voter" {
				got = append(got, m.Addr)
			}
		}
		if slices.Sort(got); !slices.Equal(addrs, got) {
			return fmt.Errorf("the group is %v", members)
		}
		return nil
	})
}

// TestWipedMajority wipes two of three servers: they must not make a cluster that takes the survivor's place. The survivor, once
// made a cluster of one, takes them in.
func TestWipedMajority(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{servers: 3, workers: 1, lease: "20s"})
	c.must("run", "-q", "-n", "2", helloModule)
	history := c.must("ps", "-a", "-o", "json")
	survivor := c.leader()
	for _, s := range c.servers {
		s.kill()
	}
	for _, s := range c.servers {
		if s != survivor {
			s.wipe(t)
		}
	}
	for _, s := range c.servers {
		s.start(t)
	}
	for _, s := range c.servers {
		if s != survivor {
			c.says(s, "waits until that cluster adds it")
		}
	}
	r := startCommand(t, c.addrs(), "ps", "--timeout", "3s").wait()
	require.NotZero(t, r.code, "nobody leads")

	require.Zero(t, survivor.interrupt(t))
	no := startCommand(t, "", "server", "recover", "--data-dir", survivor.dir).wait()
	require.NotZero(t, no.code)
	require.Contains(t, no.stderr, "nothing was changed")
	yes := startCommand(t, "", "server", "recover", "--data-dir", survivor.dir, "--yes").wait()
	require.Zero(t, yes.code, yes.stderr)
	require.Contains(t, yes.stderr, "WILL BE REMOVED")
	survivor.start(t)
	c.votersAre(c.servers...)
	require.Equal(t, history, c.must("ps", "-a", "-o", "json"))
	c.waitReady()
	survivor.kill()
	c.must("run", "-q", "-n", "2", helloModule) // with the module that only the survivor had
}

// TestPastComesBack: when one server was made a cluster of its own, and the two others come back with their data, they are a majority
// of the cluster that was, and have seen later terms. They take nothing back from the recovered one, whose workers stay with it, and
// say what they are.
func TestPastComesBack(t *testing.T) {
	inCheck(t)
	t.Parallel()
	c := newCluster(t, shape{servers: 3, workers: 1, lease: "20s"})
	c.must("run", "-q", "-n", "2", helloModule)
	survivor := c.servers[1]
	survivor.kill()
	for range 4 { // the others go on for some terms, which the workers see
		c.must("servers", "transfer")
	}
	c.must("run", "-q", "-n", "2", helloModule)
	for _, s := range c.servers {
		s.kill()
	}
	r := startCommand(t, "", "server", "recover", "--data-dir", survivor.dir, "--yes").wait()
	require.Zero(t, r.code, r.stderr)
	survivor.start(t)
	alone := func(args ...string) string {
		r := startCommand(t, survivor.addr, args...).wait()
		require.Zero(t, r.code, r.stderr)
		return strings.TrimSpace(r.stdout)
	}
	id := alone("submit", "-n", "2", "--place", "w1:2", steadyModule, "100000", "50")
	running := func() error {
		if app := alone("show", id, "-o", "json"); !strings.Contains(app, `"running"`) {
			return errors.New(app)
		}
		return nil
	}
	c.eventually(settleWithin, "the app runs", running)
	for _, s := range c.servers {
		if s != survivor {
			s.start(t)
		}
	}
	for _, s := range c.servers {
		if s != survivor {
			c.says(s, "was made a cluster of its own by")
			c.says(s, "the cluster has a leader") // of the past
		}
	}
	require.NoError(t, running())
	table, _, _ := strings.Cut(alone("servers"), "\n\n") // below are the alarms, which name the others
	require.Contains(t, table, survivor.addr)
	for _, s := range c.servers {
		if s != survivor {
			require.NotContains(t, table, s.addr)
		}
	}
	alone("run", "-q", "-n", "1", helloModule)
	alone("cancel", id)
}

// TestForeignSeed names a server of another cluster, a dead address and a wrong one among the seeds.
func TestForeignSeed(t *testing.T) {
	t.Parallel()
	ours, theirs := newCluster(t, shape{workers: 1}), newCluster(t, shape{})
	s := ours.servers[0]
	require.Zero(t, s.interrupt(t))
	s.set("--retry-join", theirs.addrs()+",127.0.0.1:1,nosuchhost.invalid:7400,"+ours.addrs())
	s.start(t)
	ours.says(s, "a server found is of another cluster")
	ours.waitReady()
	ours.must("run", "-q", "-n", "2", helloModule)
	require.Len(t, ours.roles(), 1)
	require.Len(t, theirs.roles(), 1)

	// A new server between the two says so and waits.
	lost := ours.join("lost")
	lost.set("--retry-join", theirs.addrs()+","+ours.addrs())
	lost.start(t)
	ours.says(lost, "of several clusters")
	require.True(t, lost.running())
	lost.kill()
	ours.servers = ours.servers[:1]
}

// TestServersAtNewAddresses starts one, two and all of three servers on new ports. Those that stay keep their flags.
func TestServersAtNewAddresses(t *testing.T) {
	t.Parallel()
	for moved := 1; moved <= 3; moved++ {
		t.Run(strconv.Itoa(moved), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, shape{servers: 3})
			for _, s := range c.servers[:moved] {
				s.kill()
			}
			for i, s := range c.servers[:moved] {
				s.addr = freeAddr(t)
				c.api.addrs[i] = s.addr
				s.set("--listen", s.addr)
			}
			for _, s := range c.servers[:moved] {
				s.set("--retry-join", c.addrs())
				s.start(t)
			}
			c.votersAre(c.servers...)
			c.must("module", "push", helloModule)
			c.leader().kill()
			c.must("module", "ls")
		})
	}
}

// TestServersTakeEachOthersAddresses starts each of three servers where another was before.
func TestServersTakeEachOthersAddresses(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{servers: 3})
	before := c.members()
	for _, s := range c.servers {
		s.kill()
	}
	first := c.servers[0].addr
	for i, s := range c.servers {
		if i+1 < len(c.servers) {
			s.addr = c.servers[i+1].addr
		} else {
			s.addr = first
		}
		s.set("--listen", s.addr)
	}
	for _, s := range c.servers {
		s.start(t)
	}
	c.votersAre(c.servers...)
	moved := map[string]string{}
	for _, m := range c.members() {
		moved[m.Id] = m.Addr
	}
	require.Len(t, moved, 3)
	for _, m := range before {
		require.NotEqual(t, m.Addr, moved[m.Id], "the same servers, elsewhere")
	}
	c.leader().kill()
	c.must("module", "ls")
}

// TestDeadServerReplaced loses a server for good; a new one at another address takes its place, and another loss is survived.
func TestDeadServerReplaced(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{servers: 3})
	c.must("module", "push", helloModule)
	dead := c.follower()
	id := c.member(dead.addr).Id
	dead.kill()
	dead.wipe(t)
	c.eventually(patience, "it is seen to be dead", func() error {
		if m := c.member(dead.addr); m.Health != "does not answer" {
			return fmt.Errorf("it is %v", m)
		}
		return nil
	})
	fresh := c.join("fresh")
	fresh.start(t)
	c.votersAre(c.servers...)
	c.must("servers", "remove", id[:8])
	c.servers = slices.DeleteFunc(c.servers, func(p *process) bool { return p == dead })
	c.votersAre(c.servers...)
	require.NotEmpty(t, modulesIn(t, fresh.dir), "no vote without the modules")
	lost := c.leader()
	lost.kill()
	c.must("module", "ls")

	// Two of three are left: none of them can be removed.
	left := c.follower()
	r := c.godwit("servers", "remove", c.member(left.addr).Id)
	require.NotZero(t, r.code)
	require.Contains(t, r.stderr, "majority")
	require.Contains(t, r.stderr, "godwit servers")
}

func modulesIn(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "modules", "*.wasm"))
	require.NoError(t, err)
	return found
}

// TestServersRemoveAndTransfer moves leadership to a named server, and takes out a server that runs: it does not come back
// with its data, and does with an empty directory.
func TestServersRemoveAndTransfer(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{servers: 3})
	to := c.follower()
	c.must("servers", "transfer", c.member(to.addr).Id)
	require.Same(t, to, c.leader())
	c.must("servers", "transfer")
	require.NotSame(t, to, c.leader())
	require.NotZero(t, c.godwit("servers", "transfer", "nosuch").code)
	require.NotZero(t, c.godwit("servers", "remove", "nosuch").code)

	out := c.leader() // also the one that leads can go.
	all := slices.Clone(c.servers)
	rest := slices.DeleteFunc(slices.Clone(c.servers), func(p *process) bool { return p == out })
	id := c.member(out.addr).Id
	c.must("servers", "remove", id)
	for _, again := range []string{id, id[:8], out.addr} { // as if the answer had been lost
		r := c.godwit("servers", "remove", again)
		require.Zero(t, r.code, r.stderr)
		require.Contains(t, r.stderr, id+" is removed already")
	}
	c.votersAre(rest...)
	require.Zero(t, out.interrupt(t))
	require.NoError(t, os.Truncate(out.log, 0))
	out.start(t)
	c.servers = rest
	c.says(out, "server started") // before that an interrupt kills it
	c.says(c.leader(), "move its data directory away")
	c.votersAre(rest...)
	require.Zero(t, out.interrupt(t))
	out.wipe(t)
	out.start(t)
	c.servers = all
	c.votersAre(all...)
}

// TestRemovedWhileDown starts a server on its data that was removed while it was down: it says so, in its log and to callers.
func TestRemovedWhileDown(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{servers: 3})
	out := c.follower()
	id := c.member(out.addr).Id
	out.kill()
	c.servers = slices.DeleteFunc(c.servers, func(p *process) bool { return p == out })
	c.eventually(patience, "it is removed", func() error {
		if r := c.godwit("servers", "remove", id); r.code != 0 {
			return errors.New(r.stderr)
		}
		return nil
	})
	c.votersAre(c.servers...)
	defer out.kill()
	out.start(t)
	const what = "this server was removed from its cluster: to join again, move its data directory away"
	c.says(out, what)
	r := c.godwit("--address", out.addr, "--timeout", "2s", "ps")
	require.NotZero(t, r.code)
	require.Contains(t, r.stderr, what)
	require.NotContains(t, r.stderr, "needed")
	c.votersAre(c.servers...)
	require.NotContains(t, tailOf(c.leader().log, 1000), what)
}

// TestLeaveOnStop ends servers that leave: the group shrinks with them, down to two, and they come back as new ones.
func TestLeaveOnStop(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{servers: 3, serverArgs: []string{"--leave-on-stop"}})
	leaves := c.leader()
	all := slices.Clone(c.servers)
	require.Zero(t, leaves.interrupt(t))
	c.servers = slices.DeleteFunc(c.servers, func(p *process) bool { return p == leaves })
	c.votersAre(c.servers...)
	leaves.start(t)
	c.servers = all
	c.votersAre(all...)
}

// TestStrangersSpeakNoRaft dials servers as nobody, and as somebody else.
func TestStrangersSpeakNoRaft(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{servers: 3})
	members := c.members()
	victim := members[0]
	for _, preface := range []string{
		"- - x x", "- " + victim.Id + " x x", "- " + victim.Id + " " + members[1].Id + " " + members[1].Addr,
		"00000000-0000-0000-0000-000000000000 " + victim.Id + " " + members[1].Id + " " + members[1].Addr,
	} {
		require.Contains(t, dialRaft(t, victim, preface), "refused", preface)
	}
	require.Len(t, c.roles(), 3)
}

func dialRaft(t *testing.T, s *apiv1.Server, preface string) string {
	t.Helper()
	conn, err := net.DialTimeout("tcp", s.Addr, time.Minute) //nolint:noctx // bounded
	require.NoError(t, err)
	defer conn.Close() //nolint:errcheck // only asked
	_, err = fmt.Fprintf(conn, "godwit/raft %s\n", preface)
	require.NoError(t, err)
	line, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	return line
}

// TestLeaderDiskHangs freezes the disk of the leader: another leads, and the old one, the same process, takes part again when its
// disk does. What it prints goes to that disk too: the watchdog must not wait for it.
func TestLeaderDiskHangs(t *testing.T) {
	t.Parallel()
	c := emptyCluster(t, shape{servers: 3, workers: 1, lease: "60s", disks: 3}.defaults())
	for range 3 {
		s := c.addServer()
		s.log = filepath.Join(s.dir, "log")
		s.start(t)
	}
	c.addWorker().start(t)
	c.waitReady()
	c.must("run", "-q", "-n", "2", helloModule)
	old := c.leader()
	pid, disk := old.pid(), c.disks[old.name]
	var rest []string
	for _, s := range c.servers {
		if s != old {
			rest = append(rest, s.addr)
		}
	}
	require.NoError(t, disk.freeze())
	defer disk.thaw()
	c.api.addrs = rest
	start := time.Now()
	c.must("run", "-q", "-n", "2", helloModule)
	t.Logf("a program was run %s after the leader's disk hung", time.Since(start))
	require.NotSame(t, old, c.leader())
	require.True(t, old.running())
	disk.thaw()
	c.rejoined(old)
	require.Equal(t, pid, old.pid())
	require.True(t, old.running())
	c.says(old, "the log store works again")
}
