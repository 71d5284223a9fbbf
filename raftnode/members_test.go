package raftnode

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMembersComeAndGo(t *testing.T) {
	first := single(t, nil)
	propose(t, first, "a")
	second := open(t, t.TempDir(), "127.0.0.1:0", nil)
	has, err := second.HasState()
	require.NoError(t, err)
	require.False(t, has)
	second.start(t)
	ctx := t.Context()
	require.ErrorIs(t, second.AddNonvoter(ctx, "x", "127.0.0.1:1"), ErrNotLeader)
	require.NoError(t, first.AddNonvoter(ctx, second.ID(), second.Addr()))
	until(t, "not replicated", func() bool { return second.machine.has("a") })
	require.Contains(t, first.Servers(), Server{ID: second.ID(), Addr: second.Addr()})
	require.NoError(t, first.Promote(ctx, second.ID()))
	require.Contains(t, first.Servers(), Server{ID: second.ID(), Addr: second.Addr(), Voter: true})
	require.ErrorIs(t, first.Promote(ctx, "nobody"), ErrNoServer)
	require.ErrorIs(t, first.RemoveServer(ctx, "nobody"), ErrNoServer)

	// The second loses its raft.db: it comes back as somebody new, and takes the old one's place.
	old := second.ID()
	second.stop(t)
	require.NoError(t, os.RemoveAll(filepath.Join(second.cfg.DataDir, "raft")))
	second = open(t, second.cfg.DataDir, second.Addr(), nil)
	require.NotEqual(t, old, second.ID())
	second.start(t)
	// With one of two voters gone, no quorum: the old one's removal needs only the new majority.
	until(t, "not added", func() bool {
		return first.IsLeader() && first.AddNonvoter(ctx, second.ID(), second.Addr()) == nil
	})
	require.Equal(t, []Server{
		{ID: first.ID(), Addr: first.Addr(), Voter: true}, {ID: second.ID(), Addr: second.Addr()},
	}, first.Servers())
	require.NoError(t, first.AddVoter(ctx, second.ID(), second.Addr()))
	until(t, "not replicated again", func() bool { return second.machine.has("a") })

	// A leader that removes itself ends, and says why.
	leader := leaderOf(t, first, second)
	require.NoError(t, leader.RemoveServer(ctx, leader.ID()))
	require.ErrorIs(t, leader.wait(t), ErrRemoved)
	rest := others([]*peer{first, second}, leader)[0]
	leaderOf(t, rest)
	require.ErrorContains(t, rest.RemoveServer(ctx, rest.ID()), "last voter")
	rest.stop(t)
}

func TestForeignClusterIsRefused(t *testing.T) {
	ours, theirs := single(t, nil), single(t, nil)
	require.NoError(t, ours.SetClusterID("ours"))
	require.NoError(t, theirs.SetClusterID("theirs"))
	require.ErrorIs(t, ours.SetClusterID("theirs"), ErrForeignCluster)
	propose(t, theirs, "a")
	term := theirs.Term()

	// Ours believes that the other cluster's server is a new member of its own.
	require.NoError(t, ours.AddNonvoter(t.Context(), theirs.ID(), theirs.Addr()))
	until(t, "not logged by the acceptor", logged(theirs, "this server is of cluster theirs, the caller of cluster ours"))
	until(t, "not logged by the dialer", logged(ours, "a raft peer refused this server"))
	propose(t, theirs, "b")
	require.Equal(t, term, theirs.Term(), "nothing disturbed it")
	require.Len(t, theirs.Servers(), 1)
	require.False(t, theirs.machine.has("never"))

	// The same address with another server's id is refused too.
	stranger := open(t, t.TempDir(), "127.0.0.1:0", nil)
	stranger.start(t)
	require.NoError(t, ours.AddNonvoter(t.Context(), "00000000-0000-0000-0000-000000000000", stranger.Addr()))
	until(t, "not refused", logged(stranger, "the caller wants server 00000000"))
	for _, p := range []*peer{ours, theirs, stranger} {
		p.stop(t)
	}
}

func TestChangesWaitForTheirTurn(t *testing.T) {
	p := single(t, nil)
	p.changing <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, p.AddNonvoter(ctx, "x", "127.0.0.1:1"), context.Canceled)
	<-p.changing
	p.stop(t)
}
