package control

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/internal/apierr"
)

// groupOf is a group of these servers, of which this one is s1.
type groupOf struct {
	noGroup
	servers []ServerInfo
}

func (g groupOf) Servers() []ServerInfo { return g.servers }

// TestNoMajorityStoresNoModule: a module that a minority of the servers has becomes none of the cluster's.
func TestNoMajorityStoresNoModule(t *testing.T) {
	b := newBench(t, nil)
	code := []byte("a module")
	in, err := b.l.c.modules.begin(digestOf(code))
	require.NoError(t, err)
	defer in.drop()
	require.NoError(t, in.add(code))
	require.NoError(t, in.keep())
	require.NoError(t, b.l.c.replicate(t.Context(), digestOf(code)), "one of one")
	nobody := "127.0.0.1:1"
	for n, want := range map[int]string{2: "only 1 of 2 servers", 3: "only 1 of 3 servers"} {
		servers := []ServerInfo{{ID: "s1", Voter: true}, {ID: "s2", Addr: nobody, Voter: true}, {ID: "s3", Addr: nobody, Voter: true}}
		b.l.c.group = groupOf{servers: servers[:n]}
		require.ErrorContains(t, b.l.c.replicate(t.Context(), digestOf(code)), want)
	}
}

// TestLeaderOfAnotherTermConfirmsNothing: a server that leads again, in a later term, grants no lease as the leader that it was.
func TestLeaderOfAnotherTermConfirmsNothing(t *testing.T) {
	b := newBench(t, nil)
	b.l.c.group = groupOf{servers: []ServerInfo{{ID: "s1", Voter: true}}}
	require.NoError(t, b.l.confirm(t.Context()))
	b.l.term--
	require.ErrorIs(t, b.l.confirm(t.Context()), errNoQuorum)
}

// TestHelloOfAnotherCluster is refused.
func TestHelloOfAnotherCluster(t *testing.T) {
	b := newBench(t, nil)
	hello := func(cluster string) error {
		h := helloOf("h1", "i1")
		h.ClusterId = cluster
		return b.l.c.checkHello(h)
	}
	require.NoError(t, hello(""))
	require.NoError(t, hello("c1"))
	require.Equal(t, apierr.ReasonForeignCluster, apierr.Info(hello("c2")).GetReason())
}
