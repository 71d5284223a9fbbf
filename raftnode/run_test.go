package raftnode

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"
)

// heldTerm is a store that writes one term only when it is let go.
type heldTerm struct {
	store
	term    uint64
	writing chan struct{} // closed when the write is under way.
	once    sync.Once
	letGo   chan struct{}
}

func (s *heldTerm) SetUint64(key []byte, value uint64) error {
	if value == s.term {
		s.once.Do(func() { close(s.writing) })
		<-s.letGo
	}
	return s.store.SetUint64(key, value)
}

// TestStopWaitsForHeartbeats: a server is asked to stop while it writes the term of a heartbeat. Raft panics if the store is closed then.
func TestStopWaitsForHeartbeats(t *testing.T) {
	held := map[*peer]*heldTerm{}
	var peers []*peer
	var servers []Server
	for range 3 {
		p := open(t, t.TempDir(), "127.0.0.1:0", nil)
		held[p] = &heldTerm{store: p.store.store, term: 1 << 20, writing: make(chan struct{}), letGo: make(chan struct{})}
		p.store.store = held[p]
		peers, servers = append(peers, p), append(servers, Server{ID: p.ID(), Addr: p.Addr(), Voter: true})
	}
	for _, p := range peers {
		require.NoError(t, p.Bootstrap(servers))
		p.start(t)
	}
	leader := leaderOf(t, peers...)
	p := others(peers, leader)[0]
	answered := make(chan error, 1)
	go func() {
		from := raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(leader.ID()), Addr: []byte(leader.Addr())}
		for {
			err := leader.trans.NetworkTransport.AppendEntries(raft.ServerID(p.ID()), raft.ServerAddress(p.Addr()),
				&raft.AppendEntriesRequest{RPCHeader: from, Term: held[p].term}, &raft.AppendEntriesResponse{})
			select {
			case <-held[p].writing:
				answered <- err
				return
			default: // it has not come there.
			}
		}
	}()
	<-held[p].writing
	p.cancel()
	until(t, "heartbeats are not refused", func() bool {
		p.trans.heartbeats.mu.Lock()
		defer p.trans.heartbeats.mu.Unlock()
		return p.trans.heartbeats.over
	})
	select {
	case err := <-p.ended:
		require.FailNow(t, "Run ended before the write", "%v", err)
	case <-time.After(100 * time.Millisecond): // enough for what does not wait
	}
	close(held[p].letGo)
	require.NoError(t, p.wait(t))
	require.Error(t, <-answered, "the connection is closed")
	for _, o := range others(peers, p) {
		o.stop(t)
	}
}

func TestCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c calls
		letGo := make(chan struct{})
		began, ended := 0, false
		for range 2 {
			go c.do(func() { <-letGo })
		}
		synctest.Wait()
		go func() { c.end(); ended = true }()
		synctest.Wait()
		require.False(t, ended, "two are under way")
		c.do(func() { began++ })
		require.Zero(t, began, "refused, without a wait")
		letGo <- struct{}{}
		synctest.Wait()
		require.False(t, ended, "one is under way")
		letGo <- struct{}{}
		synctest.Wait()
		require.True(t, ended)
	})
}
