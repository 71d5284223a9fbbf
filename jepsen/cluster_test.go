package jepsen

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// shape is what a test wants of its cluster. Zero fields are as in defaults.
type shape struct {
	servers, workers, slots int
	lease                   string
	freezeDeadline          string
	serverArgs, workerArgs  []string
	// cuts: the last server cuts its log, as servers do that run for long, and starts from a snapshot. The others keep theirs.
	cuts bool
	// network: each process has a machine of its own on a network that can be cut. The test is skipped where there can be none.
	network bool
	// disks: that many servers have a disk of their own, which can hang and be full. The test is skipped where there can be none.
	disks int
}

func (s shape) defaults() shape {
	if s.servers == 0 {
		s.servers = 1
	}
	if s.slots == 0 {
		s.slots = 4
	}
	if s.lease == "" {
		s.lease = "10s"
	}
	if s.freezeDeadline == "" {
		s.freezeDeadline = "10s"
	}
	return s
}

// cluster is a set of real processes on loopback. It ends with its test.
type cluster struct {
	t       *testing.T
	dir     string
	shape   shape
	starter *launcher
	api     *client
	servers []*process
	workers []*process
	net     *network         // nil: loopback
	disks   map[string]*disk // by server
	// visitors are servers that joined for a while, and guests counts their names.
	visitors []*process
	guests   int
	// revives: servers that end by themselves are started again, as an init system does.
	revives bool
	// damaged are the servers whose files a test has changed: what they say then is not judged.
	damaged map[string]bool
}

// newCluster starts a cluster and waits until all its hosts are ready.
func newCluster(t *testing.T, s shape) *cluster {
	t.Helper()
	c := emptyCluster(t, s.defaults())
	for range c.shape.servers {
		c.addServer()
	}
	for range c.shape.workers {
		c.addWorker()
	}
	for _, p := range c.processes() {
		p.start(t)
	}
	c.waitReady()
	return c
}

// emptyCluster is a cluster without any process yet.
func emptyCluster(t *testing.T, s shape) *cluster {
	t.Helper()
	dir, err := os.MkdirTemp(os.Getenv(envScratch), "cluster-")
	require.NoError(t, err)
	starter, stop := newLauncher()
	t.Cleanup(stop)
	c := &cluster{t: t, dir: dir, shape: s, starter: starter, api: newClient(), disks: map[string]*disk{}, damaged: map[string]bool{}}
	t.Cleanup(c.end)
	if s.network {
		c.net = newNetwork(t)
	}
	for i := range s.servers {
		c.api.addrs = append(c.api.addrs, c.newAddr("s"+strconv.Itoa(i+1), serverPort))
	}
	for i := range s.disks {
		name := "s" + strconv.Itoa(i+1)
		c.disks[name] = newDisk(t, filepath.Join(c.dir, name))
	}
	return c
}

// The ports of processes that have a machine of their own.
const serverPort, workerPort = 7400, 7403

// newAddr is an address for a process: on the network, of a new machine of that name.
func (c *cluster) newAddr(name string, port int) string {
	c.t.Helper()
	if c.net == nil {
		return freeAddr(c.t)
	}
	return net.JoinHostPort(c.net.add(c.t, name), strconv.Itoa(port))
}

func (c *cluster) addrs() string { return strings.Join(c.api.addrs, ",") }

// newProcess describes a process; it is not started.
func (c *cluster) newProcess(role, name, addr string, args ...string) *process {
	p := &process{
		name: name, role: role, addr: addr, dir: filepath.Join(c.dir, name), log: filepath.Join(c.dir, name+".log"),
		starter: c.starter, env: []string{c.mark()},
	}
	if c.net != nil {
		p.ns = c.net.namespace(name)
	}
	p.args = append([]string{role, "--data-dir", p.dir, "--listen", addr}, args...)
	return p
}

// mark is in the environment of every process of this cluster, and of their children.
func (c *cluster) mark() string { return "GODWIT_JEPSEN_CLUSTER=" + c.dir }

// cutEach is after how many entries a log is cut, and how many are left: more than come while the harm of an ordeal keeps a
// server from hearing of them, for that server would then get a snapshot, and nobody might have the whole log.
const cutEach = "1500"

// addServer describes the next server.
func (c *cluster) addServer() *process {
	i := len(c.servers)
	args := []string{
		"--bootstrap-expect", strconv.Itoa(c.shape.servers), "--retry-join", c.addrs(), "--lease", c.shape.lease,
		"--freeze-deadline", c.shape.freezeDeadline,
	}
	args = append(args, c.shape.serverArgs...)
	if c.shape.cuts && i == c.shape.servers-1 {
		args = append(args, "--snapshot-threshold", cutEach, "--snapshot-interval", "1s")
	}
	p := c.newProcess("server", "s"+strconv.Itoa(i+1), c.api.addrs[i], args...)
	c.servers = append(c.servers, p)
	return p
}

// addWorker describes the next worker: w1, w2 and so on.
func (c *cluster) addWorker() *process {
	name := "w" + strconv.Itoa(len(c.workers)+1)
	p := c.newProcess("worker", name, c.newAddr(name, workerPort),
		append([]string{"--name", name, "--join", c.addrs(), "--slots", strconv.Itoa(c.shape.slots)}, c.shape.workerArgs...)...)
	points := make([]string, 0, len(heldPoints()))
	for _, point := range heldPoints() {
		points = append(points, point+"=wait:"+p.pointFile(point))
	}
	p.env = append(p.env, "GODWIT_FAILPOINTS="+strings.Join(points, ","))
	c.workers = append(c.workers, p)
	return p
}

func (c *cluster) processes() []*process {
	return append(c.servers[:len(c.servers):len(c.servers)], c.workers...)
}

// process finds a process by its name.
func (c *cluster) process(name string) *process {
	c.t.Helper()
	for _, p := range c.processes() {
		if p.name == name {
			return p
		}
	}
	require.FailNow(c.t, "no such process", name)
	return nil
}

func (c *cluster) waitReady() {
	c.t.Helper()
	c.waitReadyWithin(patience)
}

func (c *cluster) waitReadyWithin(limit time.Duration) {
	c.t.Helper()
	c.eventually(limit, "the cluster is up", func() error {
		c.revive()
		for _, p := range c.processes() {
			if !p.running() {
				require.FailNow(c.t, "process ended at its start", "%s: %s", p.name, tailOf(p.log, 5))
			}
		}
		hosts := c.hosts()
		for name, h := range hosts {
			if h.State != "ready" {
				return fmt.Errorf("host %s is %s", name, h.State)
			}
		}
		if n := len(hosts); n < len(c.workers) {
			return fmt.Errorf("%d of %d hosts", n, len(c.workers))
		}
		return nil
	})
}

// revive starts the servers again that have ended, where that is wanted.
func (c *cluster) revive() {
	c.t.Helper()
	for _, s := range c.servers {
		if c.revives && !s.running() {
			s.start(c.t)
		}
	}
}

// end kills what is left, and fails the test if anything of the cluster outlives that.
func (c *cluster) end() {
	if c.t.Failed() {
		c.dump()
	}
	for _, d := range c.disks {
		d.thaw() // what waits for a frozen disk cannot be killed
	}
	for _, p := range append(c.processes(), c.visitors...) {
		if p.cmd != nil {
			p.kill()
		}
	}
	deadline := time.Now().Add(10 * time.Second)
	left := marked(c.mark())
	for len(left) > 0 && time.Now().Before(deadline) {
		<-time.After(20 * time.Millisecond)
		left = marked(c.mark())
	}
	if len(left) > 0 {
		c.t.Errorf("processes outlive their cluster: %v", left)
		for _, e := range left {
			e.kill()
		}
	}
	for _, d := range c.disks {
		d.remove()
	}
	if c.net != nil {
		c.net.remove()
	}
	_ = os.RemoveAll(c.dir) // in a temporary directory
}

// dump shows the ends of all logs.
func (c *cluster) dump() {
	for _, p := range c.processes() {
		c.t.Logf("log of %s:\n%s", p.name, tailOf(p.log, 40))
	}
}

func tailOf(path string, lines int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Ports are taken from below the range the kernel gives to outgoing connections, so that a process that starts again
// finds its own free; and from below those that godwit itself chooses for what it starts.
const firstPort, lastPort = 5_000, 13_000

// freeAddr is a loopback address whose port, and the next but one for gossip, are free. The port stays claimed for the
// whole run of the tests by a file of its name.
func freeAddr(t *testing.T) string {
	t.Helper()
	for port := firstPort + os.Getpid()*40%(lastPort-firstPort); port < lastPort+2000; port++ {
		claimed := 0
		for _, p := range []int{port, port + 2} {
			f, err := os.OpenFile(filepath.Join(os.Getenv(envScratch), "port-"+strconv.Itoa(p)), os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				break
			}
			_ = f.Close() // only its name counts
			if portFree(p) {
				claimed++
			}
		}
		if claimed == 2 {
			return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		}
	}
	require.FailNow(t, "no free port")
	return ""
}

func portFree(port int) bool {
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	l, err := net.Listen("tcp", addr) //nolint:noctx // loopback
	if err != nil {
		return false
	}
	defer l.Close()                         //nolint:errcheck // only looked at
	u, err := net.ListenPacket("udp", addr) //nolint:noctx // loopback
	if err != nil {
		return false
	}
	_ = u.Close() // only looked at
	return true
}
