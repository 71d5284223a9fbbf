package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// testNet is who answers where in a test of the directory, and what time it is.
type testNet struct {
	*directory
	answers map[string]*apiv1.DiscoverResponse
	say     []claim
	own     ownState
	clock   time.Time
}

func newTestNet() *testNet {
	n := &testNet{directory: newDirectory(slog.New(slog.DiscardHandler)), answers: map[string]*apiv1.DiscoverResponse{}, clock: time.Now()}
	n.own = ownState{id: "a", addr: "A:1", clusterID: "ours", hasState: true}
	n.self = func() ownState { return n.own }
	n.claims = func() []claim { return append([]claim{}, n.say...) }
	n.members = func() []string { return []string{"a", "b", "c"} }
	n.now = func() time.Time { return n.clock }
	n.ask = func(_ context.Context, addr string) (*apiv1.DiscoverResponse, error) {
		if res, ok := n.answers[addr]; ok {
			return res, nil
		}
		return nil, errors.New("nobody there")
	}
	return n
}

// at puts a server somewhere.
func (n *testNet) at(addr, id, cluster string) *apiv1.DiscoverResponse {
	res := &apiv1.DiscoverResponse{
		ServerId: id, Addr: addr, ClusterId: cluster, ProcessId: id + addr, Bootstrapped: cluster != "", StartedAt: timestamppb.New(n.started),
	}
	n.answers[addr] = res
	return res
}

func (n *testNet) ids() []string {
	var out []string
	for _, a := range n.found() {
		out = append(out, a.ServerId+"@"+a.Addr)
	}
	return out
}

func TestDirectoryBelievesAnswersOnly(t *testing.T) {
	n := newTestNet()
	n.at("B:1", "b", "ours")
	n.at("N:1", "new", "")
	n.at("F:1", "foreign", "theirs")
	n.say = []claim{
		{id: "b", addr: "B:1", gossiped: true},
		{id: "new", addr: "N:1", gossiped: true},
		{id: "foreign", addr: "F:1", gossiped: true},
		{id: "evil", addr: "localhost:1", gossiped: true}, // another spelling of B:1
		{id: "evil", addr: "B:1", gossiped: true},         // b's very address
		{id: "dead", addr: "D:1", gossiped: true},
	}
	n.answers["localhost:1"] = n.answers["B:1"]
	require.NoError(t, n.round(t.Context()))
	require.Equal(t, []string{"b@B:1", "new@N:1"}, n.ids())
	require.Equal(t, "B:1", n.Locate("b"))
	require.Empty(t, n.Locate("evil"))
	require.Empty(t, n.Locate("dead"))

	// b moves, and nobody here is told but by b, who asks.
	delete(n.answers, "B:1")
	n.at("B:2", "b", "ours")
	n.Met("b", "B:2")
	require.NoError(t, n.round(t.Context()))
	require.Equal(t, "B:2", n.Locate("b"))
	n.Met("b", "X:1") // a lie
	require.NoError(t, n.round(t.Context()))
	require.Equal(t, "B:2", n.Locate("b"))

	// Who does not answer for a while is not found, though its last place is still tried.
	clear(n.answers)
	n.clock = n.clock.Add(provedFor)
	require.NoError(t, n.round(t.Context()))
	require.Empty(t, n.ids())
	require.Equal(t, "B:2", n.Locate("b"))
}

func TestDirectorySeedsByName(t *testing.T) {
	n := newTestNet()
	n.say = []claim{{addr: "name:7400", seed: true}, {addr: "dead:7400", seed: true}}
	n.answers["name:7400"] = n.at("10.0.0.2:7400", "b", "ours")
	require.NoError(t, n.round(t.Context()))
	require.NoError(t, n.round(t.Context()), "asked where it says it is")
	require.Equal(t, []string{"b@10.0.0.2:7400"}, n.ids())
}

func TestDirectoryVouches(t *testing.T) {
	n := newTestNet()
	b, x, s := n.at("B:1", "b", "ours"), n.at("X:1", "x", "ours"), n.at("S:1", "s", "ours")
	b.Members = []*apiv1.GroupMember{{Id: "b"}, {Id: "d"}}
	x.Members = []*apiv1.GroupMember{{Id: "evil"}}
	s.Members = []*apiv1.GroupMember{{Id: "e"}}
	n.say = []claim{{id: "b", addr: "B:1"}, {id: "x", addr: "X:1", gossiped: true}, {addr: "S:1", seed: true}}
	require.NoError(t, n.round(t.Context()))
	require.True(t, n.Vouch("d"), "a member says so")
	require.True(t, n.Vouch("e"), "a seed says so")
	require.False(t, n.Vouch("evil"), "only a stranger says so")
	n.clock = n.clock.Add(vouchFor + 1)
	require.False(t, n.Vouch("d"))
}

func TestDirectoryTwins(t *testing.T) {
	n := newTestNet()
	// The others look for this server elsewhere, and there is one.
	n.say = []claim{{id: "b", addr: "B:1"}}
	n.at("B:1", "b", "ours").Members = []*apiv1.GroupMember{{Id: "a", Addr: "A:2"}}
	twin := n.at("A:2", "a", "ours")
	twin.StartedAt = timestamppb.New(n.started.Add(time.Second))
	require.NoError(t, n.round(t.Context()))
	require.NoError(t, n.round(t.Context()), "this one is older: it stays")
	twin.StartedAt = timestamppb.New(n.started.Add(-time.Second))
	require.ErrorIs(t, errors.Join(n.round(t.Context()), n.round(t.Context())), errTwin)
	// What the mover itself answers at its old place, by the same process, is no twin.
	twin.ProcessId = n.process
	require.NoError(t, n.round(t.Context()))

	// Of two others with one id the older counts while both answer.
	young := n.at("B:2", "b", "ours")
	young.StartedAt = timestamppb.New(n.started.Add(time.Hour))
	n.say = append(n.say, claim{id: "b", addr: "B:2", gossiped: true})
	for range 3 {
		require.NoError(t, n.round(t.Context()))
		require.Equal(t, "B:1", n.Locate("b"))
	}
	delete(n.answers, "B:1")
	n.clock = n.clock.Add(provedFor)
	require.NoError(t, n.round(t.Context()))
	require.Equal(t, "B:2", n.Locate("b"))
}

func TestDirectoryIsBounded(t *testing.T) {
	n := newTestNet()
	for i := range 10 * maxHeard {
		addr := fmt.Sprintf("h%d:1", i)
		n.at(addr, addr, "ours")
		n.say = append(n.say, claim{id: addr, addr: addr, gossiped: true})
		n.Met("x", "m"+addr)
	}
	for range 3 {
		require.NoError(t, n.round(t.Context()))
	}
	require.LessOrEqual(t, len(n.proved), maxHeard)
	require.LessOrEqual(t, len(n.met), maxMet)
	require.LessOrEqual(t, len(n.said), maxHeard)
}
