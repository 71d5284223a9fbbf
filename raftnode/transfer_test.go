package raftnode

import (
	"errors"
	"io"
	"testing"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"
)

// TestNoTransferToWhoDoesNotFollow: not to one whose connections fail, nor to one that refuses what it is sent; the leader goes on to
// take writes.
func TestNoTransferToWhoDoesNotFollow(t *testing.T) {
	peers := cluster(t, 3, nil)
	leader := leaderOf(t, peers...)
	rest := others(peers, leader)
	propose(t, leader, "before")
	rest[0].stream.pause()
	propose(t, leader, "without")
	require.ErrorIs(t, leader.TransferLeadership(t.Context(), rest[0].ID()), ErrBehind)
	commit(t, "after", peers...)
	require.NoError(t, leaderOf(t, peers...).TransferLeadership(t.Context(), ""), "to the one that follows")
	commit(t, "on", peers...)
	rest[0].stream.resume()
	until(t, "it does not come back", func() bool { return rest[0].machine.has("on") })
	for _, p := range peers {
		p.stop(t)
	}
}

// refuseAll makes the peer answer p that its log does not fit.
func (p *peer) refuseAll(id string, on bool) {
	p.trans.mu.Lock()
	defer p.trans.mu.Unlock()
	p.trans.refuse = func(of raft.ServerID) bool { return on && string(of) == id }
}

// TestTransferThatIsStuckEnds: Raft waits without end for the goroutine that feeds the target.
func TestTransferThatIsStuckEnds(t *testing.T) {
	peers := cluster(t, 3, nil)
	leader := leaderOf(t, peers...)
	target := others(peers, leader)[0]
	leader.refuseAll(target.ID(), true)
	leader.stream.cut() // what Raft has open to it goes another way.
	until(t, "Raft does not try again and again", func() bool {
		_, _ = leader.Propose(t.Context(), command("more"))
		return leader.trans.report(target.ID()).rejected
	})
	require.ErrorIs(t, leader.TransferLeadership(t.Context(), target.ID()), ErrBehind)

	r := leader.raft.Load()
	addr, err := addresses{leader.Node}.ServerAddr(raft.ServerID(target.ID()))
	require.NoError(t, err)
	until(t, "Raft is not stuck", func() bool {
		_ = r.LeadershipTransferToServer(raft.ServerID(target.ID()), addr).Error() // as Raft does it, without a look.
		return errors.Is(r.Barrier(0).Error(), raft.ErrLeadershipTransferInProgress)
	})
	leader.sever(true) // as the guard does in the end: then only it can have anything committed.
	leader.transfers.Set()
	until(t, "writes are refused for good", func() bool {
		_, err := leader.Propose(t.Context(), command("after"))
		return err == nil
	})
	leader.refuseAll(target.ID(), false)
	until(t, "it does not follow again", func() bool { return target.machine.has("after") })
	for _, p := range peers {
		p.stop(t)
	}
}

// TestTransferGuard: it severs once, and takes that back as soon as Raft takes a barrier, which could not be committed otherwise.
func TestTransferGuard(t *testing.T) {
	severed, cuts := false, 0
	g := &transferGuard{bound: 4 * stuckTick, sever: func(on bool) {
		if severed = on; on {
			cuts++
		}
	}}
	refused := raft.ErrLeadershipTransferInProgress
	look := func(n int) (err error) {
		for range n {
			var over bool
			over, err = g.answered(refused)
			require.False(t, over)
		}
		return err
	}
	require.NoError(t, look(4))
	require.False(t, severed, "within the bound")
	require.NoError(t, look(3))
	require.True(t, severed)
	require.Equal(t, 1, cuts)
	g.taken()
	require.False(t, severed)
	over, err := g.answered(nil)
	require.True(t, over)
	require.NoError(t, err)

	require.NoError(t, look(5))
	require.True(t, severed, "the next one")
	over, err = g.answered(raft.ErrLeadershipLost)
	require.False(t, over)
	require.NoError(t, err)
	require.False(t, severed)

	require.ErrorIs(t, look(int((g.bound+severTime)/stuckTick)+1), ErrStuck)
}

// TestSeveredPeersAreNotFed: whichever way; the connections below are not touched.
func TestSeveredPeersAreNotFed(t *testing.T) {
	tr := &transport{}
	tr.sever(true)
	entries := &raft.AppendEntriesRequest{PrevLogEntry: 1}
	require.ErrorIs(t, tr.AppendEntries("s2", "s2:1", entries, &raft.AppendEntriesResponse{}), errSevered)
	_, err := tr.AppendEntriesPipeline("s2", "s2:1")
	require.ErrorIs(t, err, errSevered)
	require.ErrorIs(t, tr.InstallSnapshot("s2", "s2:1", nil, nil, nil), errSevered)
}

// TestSeveredPeersGetHeartbeats: a leader that severs what it sends is still leader.
func TestSeveredPeersGetHeartbeats(t *testing.T) {
	var ends []*raft.NetworkTransport
	for range 2 {
		end, err := raft.NewTCPTransport("127.0.0.1:0", nil, 1, patience, io.Discard)
		require.NoError(t, err)
		ends = append(ends, end)
	}
	ends[1].SetHeartbeatHandler(func(rpc raft.RPC) { rpc.Respond(&raft.AppendEntriesResponse{LastLog: 7, Success: true}, nil) })
	tr := &transport{NetworkTransport: ends[0], reports: make(map[raft.ServerID]report)}
	tr.sever(true)
	heartbeat := &raft.AppendEntriesRequest{RPCHeader: raft.RPCHeader{Addr: []byte(ends[0].LocalAddr())}, Term: 1}
	require.NoError(t, tr.AppendEntries("s2", ends[1].LocalAddr(), heartbeat, &raft.AppendEntriesResponse{}))
	require.EqualValues(t, 7, tr.report("s2").lastLog)
	for _, end := range ends {
		end.CloseStreams()
		require.NoError(t, end.Close())
	}
}
