package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/identity"
	"github.com/godwit-run/godwit/raftnode"
)

// TestGoesOn is the table of two processes of one id. What one decides fits what the other does: they never both go on.
func TestGoesOn(t *testing.T) {
	const starts, runs, promised = apiv1.Standing_STANDING_UNSPECIFIED, apiv1.Standing_STANDING_RUNS, apiv1.Standing_STANDING_PROMISED
	at := func(s apiv1.Standing, term, index uint64) *apiv1.DiscoverResponse {
		return &apiv1.DiscoverResponse{ProcessId: "p", Standing: s, LastLogTerm: term, LastLogIndex: index}
	}
	for _, tt := range []struct {
		name         string
		a, b         *apiv1.DiscoverResponse
		aGoes, bGoes bool
	}{
		{"the copy starts, with the same log", at(promised, 2, 9), at(starts, 2, 9), true, false},
		{"the copy starts, and is old", at(promised, 2, 9), at(starts, 1, 99), true, false},
		{"the original starts beside an idle copy that has less", at(runs, 1, 9), at(starts, 2, 9), false, false},
		{"the original starts beside a copy that has promised and has less", at(promised, 2, 8), at(starts, 2, 9), false, false},
		{"the original starts beside a copy that has caught up", at(promised, 3, 12), at(starts, 2, 9), true, false},
		{"both run, one has promised and has all", at(promised, 2, 9), at(runs, 2, 9), true, false},
		{"both run, one has promised and has less", at(promised, 2, 9), at(runs, 3, 1), false, false},
		{"both have promised", at(promised, 9, 9), at(promised, 1, 1), false, false},
		{"both run, neither has promised", at(runs, 2, 1), at(runs, 1, 9), true, false},
		{"a later build's standing", at(promised+1, 9, 9), at(promised+1, 1, 1), false, false},
	} {
		tt.b.ProcessId = "q"
		require.Equal(t, tt.aGoes, goesOn(tt.a, tt.b), tt.name)
		require.Equal(t, tt.bGoes, goesOn(tt.b, tt.a), tt.name)
	}
	a, b := at(runs, 1, 1), at(runs, 1, 1)
	b.ProcessId = "q"
	require.NotEqual(t, goesOn(a, b), goesOn(b, a), "nothing tells them apart: one goes on")
	require.False(t, goesOn(a, a))
}

// TestDirectoryTwins: a twin is met where the others look for this server, and told; what comes of it is said to both alike.
func TestDirectoryTwins(t *testing.T) {
	n := newTestNet(t)
	n.say = []claim{{id: n.id("b"), addr: "B:1"}}
	n.at("B:1", "b", "ours").Members = []*apiv1.GroupMember{{Id: n.id("a"), Addr: "A:2"}}
	twin := n.at("A:2", "a", "ours")
	n.stands = raftnode.Standing{Runs: true, Promised: true, LogTerm: 2, LogIndex: 9}
	require.NoError(t, n.rounds(), "the twin starts, and has nothing: this one stays")
	require.NotEmpty(t, n.told, "and tells it")
	require.NoError(t, identity.Verify([]byte(twin.ProcessId), n.told[0]))

	twin.Standing, twin.LastLogTerm, twin.LastLogIndex = apiv1.Standing_STANDING_RUNS, 3, 1
	err := n.rounds()
	require.ErrorIs(t, err, errTwin)
	for _, part := range []string{n.own.id, "A:1 (its log ends with entry 9 of term 2)", "A:2 (entry 1 of term 3)", "Stop both"} {
		require.ErrorContains(t, err, part)
	}
	twin.ClusterId = "theirs"
	require.NoError(t, n.rounds(), "what it promises, it promises to others")
	// What this very process answers by another way is no twin.
	twin.ClusterId, twin.ProcessId = "ours", n.process
	require.NoError(t, n.rounds())
}

// TestDirectoryHearsOfATwin: one that only starts cannot be asked, and tells.
func TestDirectoryHearsOfATwin(t *testing.T) {
	n := newTestNet(t)
	n.stands = raftnode.Standing{Runs: true, LogTerm: 2, LogIndex: 9}
	said := &apiv1.DiscoverResponse{ServerId: n.own.id, ProcessId: "q", Addr: "A:2", ClusterId: "ours", LastLogTerm: 2, LastLogIndex: 9}
	tell := func(nonce string) error {
		n.key.Sign([]byte(nonce), said)
		n.Met(&apiv1.DiscoverRequest{Self: said})
		return n.rounds()
	}
	require.NoError(t, tell(n.process), "it has no more")
	said.LastLogIndex++
	require.NoError(t, tell("another process"), "said to another one")
	require.NoError(t, n.rounds())
	require.ErrorIs(t, tell(n.process), errTwin)
	require.NoError(t, n.rounds(), "said once, judged once")
}

// TestOtherTwins: while two answer under one id, both with its key, the place that is known counts.
func TestOtherTwins(t *testing.T) {
	n := newTestNet(t)
	n.at("B:1", "b", "ours")
	n.say = []claim{{id: n.id("b"), addr: "B:1"}}
	require.NoError(t, n.rounds())
	n.at("B:2", "b", "ours")
	n.say = append(n.say, claim{id: n.id("b"), addr: "B:2", gossiped: true})
	for range 3 {
		require.NoError(t, n.rounds())
		require.Equal(t, "B:1", n.where("b"))
	}
	delete(n.answers, "B:1")
	require.NoError(t, n.rounds())
	require.Equal(t, "B:2", n.where("b"))
}

// TestTwinNote: a server that has ended for a twin stays down until somebody has decided.
func TestTwinNote(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, checkTwin(dir))
	require.NoError(t, noteTwin(dir, nil))
	require.NoError(t, checkTwin(dir))
	require.ErrorIs(t, noteTwin(dir, errTwins(&apiv1.DiscoverResponse{Addr: "A:1"}, &apiv1.DiscoverResponse{Addr: "A:2"})), errTwin)
	require.ErrorContains(t, checkTwin(dir), "A:2")
	require.ErrorContains(t, checkTwin(dir), twinNote(dir))
}

// TestStartingServerIsNotNew: while a server that has a log only starts, and has nothing of it in memory yet, it says that it is not new.
func TestStartingServerIsNotNew(t *testing.T) {
	n := newTestNet(t)
	nonce := []byte("a nonce of thirty-two bytes here")
	for index, has := range map[uint64]bool{0: false, 7: true} {
		n.stands = raftnode.Standing{LogTerm: 2, LogIndex: index}
		res := &apiv1.DiscoverResponse{ServerId: n.own.id, ClusterId: "ours"}
		n.introduce(nonce, res)
		require.NotEmpty(t, res.Signature)
		require.Equal(t, has, res.Bootstrapped)
	}
}
