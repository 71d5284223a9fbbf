package jepsen

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// forgottenWithin is within how long a cluster forgets the address of a server that was taken out, and who it called believes that.
const forgottenWithin = 3 * time.Minute

// gossipBeside has a server gossip at a port of its own, whatever its directory.
func (p *process) gossipBeside(t *testing.T) {
	t.Helper()
	host, port, err := net.SplitHostPort(p.addr)
	require.NoError(t, err)
	n, err := strconv.Atoi(port)
	require.NoError(t, err)
	p.set("--gossip-listen", net.JoinHostPort(host, strconv.Itoa(n+2)))
}

// TestNewClusterAtAnOldAddress takes a server out, and starts one that is meant for a new cluster at its address while the others still call
// there. Nobody named them: it does not become theirs, says what keeps it waiting, and makes its own cluster once they have forgotten the address.
func TestNewClusterAtAnOldAddress(t *testing.T) {
	inCheck(t)
	t.Parallel()
	old := emptyCluster(t, shape{servers: 4}.defaults())
	for range 4 {
		s := old.addServer()
		s.gossipBeside(t)
		s.start(t)
	}
	old.waitReady()
	out := old.follower()
	id := old.member(out.addr).GetId()
	require.Zero(t, out.interrupt(t))
	old.servers = slices.DeleteFunc(old.servers, func(p *process) bool { return p == out })
	old.eventually(patience, "it is removed", func() error {
		if r := old.godwit("servers", "remove", id); r.code != 0 {
			return errors.New(r.stderr)
		}
		return nil
	})
	old.votersAre(old.servers...)

	anew := emptyCluster(t, shape{servers: 3}.defaults())
	anew.api.addrs[0] = out.addr
	for range 3 {
		anew.addServer().gossipBeside(t)
	}
	first := anew.servers[0]
	first.set("--retry-join", anew.addrs()+",nosuchhost.invalid")
	first.start(t)
	anew.says(first, "is of a cluster that this one does not seek")
	anew.says(first, "no server answers at an address of --retry-join")
	for _, s := range anew.servers[1:] {
		s.start(t)
	}
	old.votersAre(old.servers...)
	anew.eventually(forgottenWithin, "they make a cluster of their own", func() error {
		var addrs []string
		members, err := anew.serversNow()
		for _, m := range members {
			addrs = append(addrs, m.Addr)
		}
		if slices.Sort(addrs); err == nil && !slices.Equal(addrs, slices.Sorted(slices.Values(anew.api.addrs))) {
			err = fmt.Errorf("the group is %v", addrs)
		}
		return err
	})
	anew.votersAre(anew.servers...)
	old.votersAre(old.servers...)
	said, err := os.ReadFile(first.log)
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(said), "addr=nosuchhost.invalid"), "it is told once")
}
