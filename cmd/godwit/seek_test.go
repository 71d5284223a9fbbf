package main

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/transport"
)

// newcomer makes the test's server one without a cluster that names these addresses.
func (n *testNet) newcomer(named ...string) {
	n.own = ownState{id: n.own.id, addr: n.own.addr, expect: 3, named: named}
	n.members = func() []string { return nil }
	n.say = nil
	for _, addr := range named {
		n.say = append(n.say, claim{addr: addr, seed: true})
	}
}

// decides is what the newcomer does next.
func (n *testNet) decides() decision {
	seen, ok := n.known()
	require.True(n.t, ok)
	own := n.own
	own.seek = n.seeking()
	return decide(own, seen)
}

// TestSeeksWhereNamesLead: which cluster a server seeks follows from what is proved at the addresses that it names.
func TestSeeksWhereNamesLead(t *testing.T) {
	n := newTestNet(t)
	n.at("SELF:1", "a", "").ProcessId = n.process
	seeks := func(named ...string) seeking {
		n.newcomer(named...)
		clear(n.leads)
		require.NoError(t, n.rounds())
		return n.seeking()
	}
	n.at("E:1", "a1", "old") // what forged addresses say counts for nothing
	n.forged["E:1"] = true
	n.at("B:1", "b", "x")
	n.at("C:1", "c", "y")
	y := n.at("Y:1", "y", "")
	y.SeeksAny, y.SeeksCluster, y.SeeksHops = false, "x", 3
	far := n.at("Z:1", "z", "")
	far.SeeksAny, far.SeeksCluster, far.SeeksHops = false, "x", maxSeekHops
	n.answers["name:1"] = n.answers["B:1"]
	for name, tt := range map[string]struct {
		named []string
		want  seeking
	}{
		"nobody":                {nil, seeking{any: true}},
		"itself by its name":    {[]string{"SELF:1"}, seeking{any: true}},
		"a dead address":        {[]string{"D:1"}, seeking{}},
		"itself and a dead one": {[]string{"SELF:1", "D:1"}, seeking{}},
		"a member":              {[]string{"D:1", "B:1"}, seeking{cluster: "x"}},
		"a member by name":      {[]string{"name:1"}, seeking{cluster: "x"}},
		"who seeks it":          {[]string{"Y:1"}, seeking{cluster: "x", hops: 4}},
		"both":                  {[]string{"Y:1", "B:1"}, seeking{cluster: "x"}},
		"too far":               {[]string{"Z:1"}, seeking{}},
		"a stranger's lie":      {[]string{"E:1"}, seeking{}},
		"two clusters":          {[]string{"B:1", "C:1"}, seeking{several: map[string]string{"B:1": "x", "C:1": "y"}}},
	} {
		require.Equal(t, tt.want, seeks(tt.named...), name)
	}
	seeks("B:1")
	delete(n.answers, "B:1")
	require.NoError(t, n.rounds())
	require.Equal(t, "x", n.seeking().cluster, "who does not answer leads where it led")
	n.at("B:1", "b2", "")
	require.NoError(t, n.rounds())
	require.Empty(t, n.seeking().cluster, "and who is another leads elsewhere")
}

// TestNewcomersForgetWhatNeitherFinds: two that name each other do not remind each other of a cluster for ever.
func TestNewcomersForgetWhatNeitherFinds(t *testing.T) {
	n := newTestNet(t)
	n.newcomer("B:1")
	b := n.at("B:1", "b", "")
	b.SeeksAny, b.SeeksCluster = false, "x"
	for range maxSeekHops {
		require.NoError(t, n.rounds())
		b.SeeksCluster, b.SeeksHops = n.seeking().cluster, n.seeking().hops+1
	}
	require.Empty(t, n.seeking().cluster)
}

// TestStrangeClusterAtAnOldAddress: a server for a new cluster starts where one of another cluster was. That one's servers call: it makes no
// cluster and says why, does not call them, and goes on once they have not called for a while.
func TestStrangeClusterAtAnOldAddress(t *testing.T) {
	n := newTestNet(t)
	n.newcomer("B:1", "C:1")
	ids := []string{n.own.id, n.id("b"), n.id("c")}
	slices.Sort(ids)
	for addr, name := range map[string]string{"B:1": "b", "C:1": "c"} {
		res := n.at(addr, name, "")
		res.SeeksAny, res.BootstrapExpect, res.BootstrapIds = false, 3, ids
	}
	n.at("X:1", "x", "theirs")
	n.met("x", "X:1")
	require.NoError(t, n.rounds())
	d := n.decides()
	require.Equal(t, moveWait, d.move)
	require.Contains(t, d.why, "X:1 of theirs")
	held := &apiv1.DiscoverResponse{}
	n.introduce(nil, held)
	require.Empty(t, held.BootstrapIds, "others, who do not hear them, make none with it")
	require.Empty(t, n.gossipAddrs())
	require.NotContains(t, n.calls, "X:1", "it does not make them call again")
	n.asked = nil
	require.NoError(t, n.rounds())
	require.NotContains(t, n.asked, "X:1", "it asks who calls, and nobody else")
	require.Equal(t, moveWait, n.decides().move, "they called a moment ago")
	n.say = append(n.say, claim{id: n.id("x"), addr: "X:1", gossiped: true, gossipOf: "theirs", kept: true})
	n.clock = n.clock.Add(vouchFor + 1)
	delete(n.answers, "X:1")
	require.NoError(t, n.rounds())
	require.Equal(t, moveWait, n.decides().move, "it gossips here")
	n.say = n.say[:len(n.say)-1]
	n.clock = n.clock.Add(vouchFor + 1)
	require.NoError(t, n.rounds())
	d = n.decides()
	require.Equal(t, moveBootstrap, d.move, d.why)
	n.introduce(nil, held)
	require.Len(t, held.BootstrapIds, 3)
}

// TestMembersLeaveNewcomersAlone: a member takes no new server for one that may join which does not seek its cluster, and calls it no more, but where its
// log has a member.
func TestMembersLeaveNewcomersAlone(t *testing.T) {
	n := newTestNet(t)
	res := n.at("N:1", "new", "")
	n.say = []claim{{addr: "N:1", seed: true}}
	for _, tt := range []struct {
		any   bool
		seeks string
		found bool
	}{{true, "", true}, {false, "", false}, {false, "theirs", false}, {false, "ours", true}} {
		res.SeeksAny, res.SeeksCluster = tt.any, tt.seeks
		require.NoError(t, n.rounds())
		n.calls = nil
		require.NoError(t, n.rounds())
		require.Equal(t, tt.found, n.where("new") == "N:1", tt)
		require.Equal(t, tt.found, slices.Contains(n.calls, "N:1"), tt)
	}
	res.SeeksCluster = ""
	n.say = []claim{{id: n.id("b"), addr: "N:1", log: true}} // b's disk was lost
	require.NoError(t, n.rounds())
	require.Contains(t, n.calls, "N:1")
	require.Empty(t, n.where("new"))
}

// TestRemovedServersAreForgotten: who is taken out is not asked any more, at once; who was never in it, after a while.
func TestRemovedServersAreForgotten(t *testing.T) {
	n := newTestNet(t)
	n.at("B:1", "b", "ours")
	n.at("N:1", "new", "")
	n.met("b", "B:1")
	n.met("new", "N:1")
	require.NoError(t, n.rounds())
	require.Equal(t, "B:1", n.where("b"))
	clear(n.answers)
	require.NoError(t, n.rounds())
	require.Equal(t, "B:1", n.where("b"))
	n.members = func() []string { return []string{n.id("a"), n.id("c")} }
	require.NoError(t, n.round(t.Context()))
	require.Empty(t, n.where("b"))
	require.Equal(t, "N:1", n.where("new"))
	n.clock = n.clock.Add(vouchFor + 1)
	require.NoError(t, n.round(t.Context()))
	n.asked = nil
	require.NoError(t, n.rounds())
	require.Empty(t, n.asked)
}

// TestSilentSeedsAreTold: an address of --retry-join where no server answers is logged once.
func TestSilentSeedsAreTold(t *testing.T) {
	n := newTestNet(t)
	var said bytes.Buffer
	n.log = slog.New(slog.NewTextHandler(&said, nil))
	n.at("B:1", "b", "ours")
	n.say = []claim{{addr: "B:1", seed: true}, {addr: "dead:1", seed: true}, {addr: "nosuchhost.invalid:1", seed: true}, {id: n.id("c"), addr: "C:1"}}
	for range 20 {
		require.NoError(t, n.rounds())
	}
	delete(n.answers, "B:1") // a server that stopped is no mistake
	for range 20 {
		require.NoError(t, n.rounds())
	}
	require.Equal(t, 1, strings.Count(said.String(), "addr=dead:1"), said.String())
	require.Equal(t, 1, strings.Count(said.String(), "addr=nosuchhost.invalid:1"))
	require.Equal(t, 2, strings.Count(said.String(), "no server answers at an address of --retry-join"))
}

// TestStrangersAreLookedAtOnce: what is at an address of --retry-join that is no server is told, and found out only for that.
func TestStrangersAreLookedAtOnce(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var asked atomic.Int32
	ctx, cancel := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	defer serving.Wait()
	defer cancel()
	serving.Go(func() {
		_ = transport.Serve(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			http.NotFound(w, r)
		}))
	})
	addr := l.Addr().String()
	n := newTestNet(t)
	defer n.http.CloseIdleConnections()
	var said bytes.Buffer
	n.log = slog.New(slog.NewTextHandler(&said, nil))
	n.ask = func(ctx context.Context, addr string, req *apiv1.DiscoverRequest) (*apiv1.DiscoverResponse, error) {
		return apiv1connect.NewClusterClient(transport.NewClient(n.http, addr)).Discover(ctx, req)
	}
	n.say = []claim{{addr: addr, seed: true}}
	for range 10 {
		require.NoError(t, n.rounds())
	}
	require.Equal(t, 1, strings.Count(said.String(), "no Godwit server answers at "+addr+", but another program (HTTP status 404"), said.String())
	require.EqualValues(t, 30+2, asked.Load())
}

// TestIntroducesWhatItSeeks: a new server says what it seeks, and a member nothing.
func TestIntroducesWhatItSeeks(t *testing.T) {
	n := newTestNet(t)
	res := &apiv1.DiscoverResponse{}
	n.introduce(nil, res)
	require.False(t, res.SeeksAny)
	n.newcomer("B:1")
	n.at("B:1", "b", "x")
	require.NoError(t, n.rounds())
	n.introduce(nil, res)
	require.Equal(t, "x", res.SeeksCluster)
	n.newcomer()
	require.NoError(t, n.rounds())
	n.introduce(nil, res)
	require.True(t, res.SeeksAny)
}
