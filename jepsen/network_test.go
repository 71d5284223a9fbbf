package jepsen

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// network is a bridge and a network namespace for each machine on it. The test itself has an address on the bridge, and
// reaches all machines whatever is cut between them.
//
// A cut is a neighbour entry with a hardware address that nobody has: what one machine sends to the other is lost without
// a word, and the other way stays whole. That needs nothing of the kernel but namespaces.
type network struct {
	name  string            // of the bridge, and what all other names begin with
	base  string            // the first three numbers of all addresses
	addrs map[string]string // by machine
	cuts  map[[2]string]bool
}

// nobody is a hardware address that no machine has.
const nobody = "02:00:00:00:00:01"

// networks counts the networks of this process: a network's name holds the process's id and this number.
var networks atomic.Int32

// networkName matches what networks are called, and what is theirs.
var networkName = regexp.MustCompile(`^gj(\d+)x\d+`)

// needRoot skips a test where machines of their own cannot be had.
func needRoot(t *testing.T, programs ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: namespaces and loop devices")
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("needs %s: %v", p, err)
		}
	}
}

// canNetwork says why there can be no network here; nil: there can.
func canNetwork() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return err
	}
	probe := fmt.Sprintf("gj%dx%d", os.Getpid(), networks.Add(1))
	if err := ip("netns", "add", probe); err != nil {
		return err
	}
	return ip("netns", "del", probe)
}

func newNetwork(t *testing.T) *network {
	t.Helper()
	if err := canNetwork(); err != nil {
		t.Skip(err)
	}
	sweepNetworks()
	seq := networks.Add(1)
	n := &network{
		name: fmt.Sprintf("gj%dx%d", os.Getpid(), seq), addrs: map[string]string{}, cuts: map[[2]string]bool{},
	}
	// 198.18.0.0/15 is for tests of networks.
	k := (os.Getpid()*8 + int(seq)) % 512
	for used := usedAddrs(t); ; k = (k + 1) % 512 {
		n.base = fmt.Sprintf("198.%d.%d.", 18+k/256, k%256)
		if !strings.Contains(used, n.base) {
			break
		}
	}
	t.Cleanup(n.remove)
	require.NoError(t, ip("link", "add", n.name, "type", "bridge"))
	require.NoError(t, ip("addr", "add", n.base+"1/24", "dev", n.name))
	require.NoError(t, ip("link", "set", n.name, "up"))
	return n
}

func usedAddrs(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("ip", "-o", "addr").Output() //nolint:noctx // ends by itself
	require.NoError(t, err)
	return string(out)
}

func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput() //nolint:noctx // ends by itself
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// namespace is the name of a machine's.
func (n *network) namespace(machine string) string { return n.name + "-" + machine }

// add makes a machine and returns its address.
func (n *network) add(t *testing.T, machine string) string {
	t.Helper()
	k := len(n.addrs) + 10
	addr, ns, veth := n.base+strconv.Itoa(k), n.namespace(machine), n.name+"v"+strconv.Itoa(k)
	n.addrs[machine] = addr
	require.NoError(t, ip("netns", "add", ns))
	require.NoError(t, ip("link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", ns))
	require.NoError(t, ip("link", "set", veth, "master", n.name, "up"))
	require.NoError(t, ip("-n", ns, "addr", "add", addr+"/24", "dev", "eth0"))
	require.NoError(t, ip("-n", ns, "link", "set", "lo", "up"))
	require.NoError(t, ip("-n", ns, "link", "set", "eth0", "up"))
	return addr
}

// cut loses all that one machine sends to another, from now on.
func (n *network) cut(from, to string) error {
	n.cuts[[2]string{from, to}] = true
	return ip("-n", n.namespace(from), "neigh", "replace", n.addrs[to], "lladdr", nobody, "nud", "permanent", "dev", "eth0")
}

// part cuts each machine of one side from each of the other, both ways.
func (n *network) part(one, other []string) error {
	for _, a := range one {
		for _, b := range other {
			if err := n.cut(a, b); err != nil {
				return err
			}
			if err := n.cut(b, a); err != nil {
				return err
			}
		}
	}
	return nil
}

// heal undoes all cuts.
func (n *network) heal() error {
	for c := range n.cuts {
		if err := ip("-n", n.namespace(c[0]), "neigh", "del", n.addrs[c[1]], "dev", "eth0"); err != nil {
			return err
		}
		delete(n.cuts, c)
	}
	return nil
}

// remove takes the network away. What is gone already is no error.
func (n *network) remove() { removeNetwork(n.name) }

func removeNetwork(name string) {
	spaces, err := filepath.Glob("/run/netns/" + name + "-*")
	if err != nil {
		return // the pattern is good
	}
	for _, ns := range spaces {
		_ = ip("netns", "del", filepath.Base(ns)) // its devices go with it
	}
	_ = ip("link", "del", name)
}

// sweepNetworks removes the networks of test processes that have died before they could.
func sweepNetworks() {
	var names []string
	for _, pattern := range []string{"/run/netns/gj*", "/sys/class/net/gj*"} {
		found, _ := filepath.Glob(pattern) // the patterns are good
		names = append(names, found...)
	}
	for _, path := range names {
		m := networkName.FindStringSubmatch(filepath.Base(path))
		if m == nil {
			continue
		}
		if _, err := os.Stat("/proc/" + m[1]); os.IsNotExist(err) {
			removeNetwork(m[0])
		}
	}
}

// inNamespace runs f on a thread that is in a network namespace; the caller's thread must be locked. An empty name is the
// namespace that the thread is in.
func inNamespace(ns string, f func() error) (err error) {
	if ns == "" {
		return f()
	}
	own, err := unix.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open own namespace: %w", err)
	}
	defer unix.Close(own) //nolint:errcheck // only read
	other, err := unix.Open("/run/netns/"+ns, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open namespace %s: %w", ns, err)
	}
	defer unix.Close(other) //nolint:errcheck // only read
	if err := unix.Setns(other, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter namespace %s: %w", ns, err)
	}
	defer func() {
		if back := unix.Setns(own, unix.CLONE_NEWNET); back != nil {
			panic(back) // the thread would start everything in a wrong place
		}
	}()
	return f()
}

// TestNetworkCuts sees that a cut loses what goes one way and nothing else, and that healing ends it.
func TestNetworkCuts(t *testing.T) {
	n := newNetwork(t)
	starter, stop := newLauncher()
	defer stop()
	socks := map[string]*net.UDPConn{}
	for _, m := range []string{"a", "b", "c"} {
		addr := n.add(t, m)
		made := make(chan error)
		starter.tasks <- func() {
			made <- inNamespace(n.namespace(m), func() (err error) {
				socks[m], err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(addr), Port: 9})
				return err
			})
		}
		require.NoError(t, <-made)
		defer socks[m].Close() //nolint:errcheck // a test's
	}
	// arrives sends until a packet comes or the limit is over: the first ones may wait for an address to be found.
	arrives := func(from, to string, limit time.Duration) bool {
		deadline := time.Now().Add(limit)
		for buf := make([]byte, 8); time.Now().Before(deadline); {
			_, err := socks[from].WriteToUDP([]byte(from), &net.UDPAddr{IP: net.ParseIP(n.addrs[to]), Port: 9})
			require.NoError(t, err)
			require.NoError(t, socks[to].SetReadDeadline(time.Now().Add(50*time.Millisecond)))
			if k, _, err := socks[to].ReadFromUDP(buf); err == nil && string(buf[:k]) == from {
				return true
			}
		}
		return false
	}
	const soon = 300 * time.Millisecond
	require.True(t, arrives("a", "b", patience))
	require.True(t, arrives("b", "a", patience))
	require.NoError(t, n.cut("a", "b"))
	for arrives("a", "b", soon) { // what was sent before
	}
	require.False(t, arrives("a", "b", soon))
	require.True(t, arrives("b", "a", patience), "the other way is whole")
	require.True(t, arrives("a", "c", patience), "others are not concerned")
	require.NoError(t, n.heal())
	require.True(t, arrives("a", "b", patience))
	require.NoError(t, n.part([]string{"a"}, []string{"b", "c"}))
	require.False(t, arrives("c", "a", soon))
	require.True(t, arrives("b", "c", patience))
	require.NoError(t, n.heal())
	require.True(t, arrives("c", "a", patience))
}
