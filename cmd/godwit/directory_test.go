package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/identity"
	"github.com/godwit-run/godwit/raftnode"
)

// testNet is who answers where in a test of the directory, and what time it is. Servers have short names in a test.
type testNet struct {
	*directory
	t       *testing.T
	keys    map[string]identity.Key // by name
	names   map[string]string       // by id
	answers map[string]*apiv1.DiscoverResponse
	forged  map[string]bool // addresses whose answers are signed by somebody else
	asked   []string
	calls   []string // addresses whose servers were told who asks
	told    []*apiv1.DiscoverResponse
	say     []claim
	own     ownState
	stands  raftnode.Standing
	clock   time.Time
}

func newTestNet(t *testing.T) *testNet {
	n := &testNet{
		t: t, directory: newDirectory(slog.New(slog.DiscardHandler)), keys: map[string]identity.Key{}, names: map[string]string{},
		answers: map[string]*apiv1.DiscoverResponse{}, forged: map[string]bool{}, clock: time.Now(),
	}
	n.own = ownState{id: n.id("a"), addr: "A:1", clusterID: "ours", hasState: true}
	n.self = func() ownState { return n.own }
	n.claims = func() []claim { return append([]claim{}, n.say...) }
	n.members = func() []string { return []string{n.id("a"), n.id("b"), n.id("c")} }
	n.now = func() time.Time { return n.clock }
	n.key, n.standing = n.keys["a"], func() (raftnode.Standing, error) { return n.stands, nil }
	var mu sync.Mutex
	n.ask = func(_ context.Context, addr string, req *apiv1.DiscoverRequest) (*apiv1.DiscoverResponse, error) {
		mu.Lock()
		defer mu.Unlock()
		n.asked = append(n.asked, addr)
		if req.ServerId != "" {
			n.calls = append(n.calls, addr)
		}
		if req.Self != nil {
			n.told = append(n.told, req.Self)
		}
		res, ok := n.answers[addr]
		if !ok {
			return nil, errors.New("nobody there")
		}
		key := n.keys[n.names[res.ServerId]]
		if n.forged[addr] {
			key = identity.New()
		}
		res = proto.CloneOf(res)
		key.Sign(req.Nonce, res)
		return res, nil
	}
	return n
}

// id is the id of the server with the name.
func (n *testNet) id(name string) string {
	key, ok := n.keys[name]
	if !ok {
		key = identity.New()
		n.keys[name], n.names[key.ID()] = key, name
	}
	return key.ID()
}

// at puts a server somewhere.
func (n *testNet) at(addr, name, cluster string) *apiv1.DiscoverResponse {
	res := &apiv1.DiscoverResponse{ServerId: n.id(name), Addr: addr, ClusterId: cluster, ProcessId: name + addr, Bootstrapped: cluster != "", SeeksAny: cluster == ""}
	n.answers[addr] = res
	return res
}

// met has somebody call who claims to be the server at addr.
func (n *testNet) met(name, addr string) {
	n.Met(&apiv1.DiscoverRequest{ServerId: n.id(name), Addr: addr})
}

// where is where the server is proved to be.
func (n *testNet) where(name string) string { return n.Locate(n.id(name)) }

// rounds asks often enough, in the test's time, for whatever was heard to be asked.
func (n *testNet) rounds() error {
	for range 3 {
		n.clock = n.clock.Add(askEach)
		if err := n.round(n.t.Context()); err != nil {
			return err
		}
	}
	return nil
}

func (n *testNet) ids() []string {
	var out []string
	for _, a := range n.found() {
		out = append(out, n.names[a.ServerId]+"@"+a.Addr)
	}
	slices.Sort(out)
	return out
}

func TestDirectoryBelievesAnswersOnly(t *testing.T) {
	n := newTestNet(t)
	n.at("B:1", "b", "ours")
	n.at("N:1", "new", "")
	n.at("F:1", "foreign", "theirs")
	n.say = []claim{
		{id: n.id("b"), addr: "B:1", gossiped: true},
		{id: n.id("new"), addr: "N:1", gossiped: true},
		{id: n.id("foreign"), addr: "F:1", gossiped: true},
		{id: n.id("evil"), addr: "localhost:1", gossiped: true}, // another spelling of B:1
		{id: n.id("evil"), addr: "B:1", gossiped: true},         // b's very address
		{id: n.id("dead"), addr: "D:1", gossiped: true},
	}
	n.answers["localhost:1"] = n.answers["B:1"]
	require.NoError(t, n.round(t.Context()))
	require.Equal(t, []string{"b@B:1", "new@N:1"}, n.ids())
	require.Equal(t, "B:1", n.where("b"))
	require.Empty(t, n.where("evil"))
	require.Empty(t, n.where("dead"))

	// b moves, and nobody here is told but by b, who asks.
	delete(n.answers, "B:1")
	n.at("B:2", "b", "ours")
	n.met("b", "B:2")
	require.NoError(t, n.rounds())
	require.Equal(t, "B:2", n.where("b"))
	n.met("b", "X:1") // a lie
	require.NoError(t, n.rounds())
	require.Equal(t, "B:2", n.where("b"))

	// Who does not answer for a while is not found, though its last place is still tried.
	clear(n.answers)
	n.clock = n.clock.Add(provedFor)
	require.NoError(t, n.round(t.Context()))
	require.Empty(t, n.ids())
	require.Equal(t, "B:2", n.where("b"))
}

func TestDirectorySeedsByName(t *testing.T) {
	n := newTestNet(t)
	n.say = []claim{{addr: "name:7400", seed: true}, {addr: "dead:7400", seed: true}}
	n.answers["name:7400"] = n.at("10.0.0.2:7400", "b", "ours")
	require.NoError(t, n.round(t.Context()))
	require.NoError(t, n.round(t.Context()), "asked where it says it is")
	require.Equal(t, []string{"b@10.0.0.2:7400"}, n.ids())
}

func TestDirectoryVouches(t *testing.T) {
	n := newTestNet(t)
	b, x, s := n.at("B:1", "b", "ours"), n.at("X:1", "x", "ours"), n.at("S:1", "s", "ours")
	b.Members = []*apiv1.GroupMember{{Id: n.id("b")}, {Id: n.id("d")}}
	x.Members = []*apiv1.GroupMember{{Id: n.id("evil")}}
	s.Members = []*apiv1.GroupMember{{Id: n.id("e")}}
	n.say = []claim{{id: n.id("b"), addr: "B:1"}, {id: n.id("x"), addr: "X:1", gossiped: true}, {addr: "S:1", seed: true}}
	require.NoError(t, n.round(t.Context()))
	require.True(t, n.Vouch(n.id("d")), "a member says so")
	require.True(t, n.Vouch(n.id("e")), "a seed says so")
	require.False(t, n.Vouch(n.id("evil")), "only a stranger says so")
	n.clock = n.clock.Add(vouchFor + 1)
	require.False(t, n.Vouch(n.id("d")))
}

// TestDirectoryOfStrangers: who does not hold a server's secret moves nobody and ends nobody, whatever else it says.
func TestDirectoryOfStrangers(t *testing.T) {
	n := newTestNet(t)
	n.at("B:1", "b", "ours").Members = []*apiv1.GroupMember{{Id: n.id("a"), Addr: "A:1"}, {Id: n.id("b"), Addr: "B:1"}}
	n.say = []claim{{id: n.id("b"), addr: "B:1"}}
	require.NoError(t, n.rounds())

	n.stands = raftnode.Standing{Runs: true}
	for _, victim := range []string{"a", "b"} {
		n.met(victim, "E:1")
		n.forged["E:1"] = true
		e := n.at("E:1", victim, "ours")
		e.StartedAt, e.LastLogTerm, e.Standing = timestamppb.New(time.Unix(0, 0)), 1000, apiv1.Standing_STANDING_PROMISED
		e.Members = []*apiv1.GroupMember{{Id: n.id("d"), Addr: "D:1"}}
		require.NoError(t, n.rounds(), victim)
		require.Contains(t, n.asked, "E:1")
		require.Equal(t, "B:1", n.where("b"))
		n.say = append(n.say, claim{id: n.id(victim), addr: "E:1", seed: true}) // not even a seed
		require.NoError(t, n.rounds(), victim)
	}
	require.NotContains(t, n.asked, "D:1")
	require.False(t, n.Vouch(n.id("d")))
	require.Empty(t, n.where("a"))
	_, err := n.Ask(t.Context(), n.id("b"), "E:1")
	require.ErrorIs(t, err, identity.ErrUnproved)
	_, err = n.Ask(t.Context(), n.id("b"), "B:1")
	require.NoError(t, err)
	_, err = n.Ask(t.Context(), n.id("c"), "B:1")
	require.ErrorContains(t, err, "answers at B:1")

	// A relay passes the question on: the answer is of whoever gave it, at its own place.
	n.forged["E:1"], n.answers["E:1"] = false, n.answers["B:1"]
	require.NoError(t, n.rounds())
	require.Equal(t, "B:1", n.where("b"))

	// What a stranger tells of a twin is not heard.
	n.Met(&apiv1.DiscoverRequest{})
	for _, said := range []*apiv1.DiscoverResponse{{}, {ServerId: n.own.id, ProcessId: "x", Standing: apiv1.Standing_STANDING_PROMISED}} {
		identity.New().Sign([]byte(n.process), said)
		n.Met(&apiv1.DiscoverRequest{Self: said})
		require.NoError(t, n.rounds())
	}
}

func TestDirectoryIsBounded(t *testing.T) {
	n := newTestNet(t)
	n.at("B:1", "b", "ours")
	n.say = []claim{{id: n.id("b"), addr: "B:1"}}
	require.NoError(t, n.rounds())
	delete(n.answers, "B:1") // down for a while, as the log has it no more
	n.say = nil
	for i := range 10 * maxHeard {
		addr := fmt.Sprintf("h%d:1", i)
		n.at(addr, addr, "ours").Members = []*apiv1.GroupMember{{Id: n.own.id, Addr: "somewhere" + addr}}
		n.forged[addr] = i%2 == 0
		if i > 2*maxHeard {
			n.say = append(n.say, claim{id: n.id(addr), addr: addr, gossiped: true})
		}
	}
	for i := range 10 * maxHeard {
		n.met(fmt.Sprintf("h%d:1", i), fmt.Sprintf("h%d:1", i))
	}
	for range 30 {
		n.asked = nil
		require.NoError(t, n.rounds())
		require.LessOrEqual(t, len(n.asked), 3*maxHeard)
		require.LessOrEqual(t, len(n.proved), maxHeard)
		require.LessOrEqual(t, len(n.directory.met), maxMet)
		require.LessOrEqual(t, len(n.named), maxMet)
		require.LessOrEqual(t, len(n.said), maxHeard)
	}
	require.Equal(t, "B:1", n.where("b"), "strangers push no member out")
}

// TestStrangersAreAskedSeldom: a flood of callers makes this server ask a few addresses a second, and none of them twice.
func TestStrangersAreAskedSeldom(t *testing.T) {
	n := newTestNet(t)
	start := n.clock
	for n.clock.Sub(start) < 10*askEach {
		for i := range 5 * maxMet {
			n.met(fmt.Sprintf("x%d", i), fmt.Sprintf("X%d:1", i))
		}
		require.NoError(t, n.round(t.Context()))
		n.clock = n.clock.Add(askSoon)
	}
	require.LessOrEqual(t, len(n.asked), 10*maxMet)
	require.NotEmpty(t, n.asked)
	require.Empty(t, n.calls, "who called is not called")
}
