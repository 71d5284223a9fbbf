package control

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// toldPeers answer with what the test says of them.
type toldPeers struct {
	noPeers

	mu    sync.Mutex // guards what is below
	says  map[string]*apiv1.DiscoverResponse
	asked map[string]int // by id
}

func (p *toldPeers) Ask(_ context.Context, id, _ string) (*apiv1.DiscoverResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked[id]++
	if res := p.says[id]; res != nil {
		return res, nil
	}
	return nil, context.DeadlineExceeded
}

func (p *toldPeers) say(id string, res *apiv1.DiscoverResponse) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.says[id] = res
}

func (p *toldPeers) times(id string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[id]
}

// threeVoters is a group of which this server is the first.
type threeVoters struct{ noGroup }

func (threeVoters) Servers() []ServerInfo {
	return []ServerInfo{{ID: "s1", Voter: true}, {ID: "s2", Addr: "s2:1", Voter: true}, {ID: "s3", Addr: "s3:1", Voter: true}}
}

// TestWhoLagsMayDifferYet: a hash that a majority has is compared again as long as a voter has not come to it: that one may turn out to
// differ, and the leader is to say so.
func TestWhoLagsMayDifferYet(t *testing.T) {
	for name, lagging := range map[string][]*apiv1.HashRecord{
		"nothing noted": nil,
		"behind":        {{Index: 1, Hash: []byte("of before")}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			b.propose(&apiv1.Command{Op: &apiv1.Command_CheckHash{CheckHash: &apiv1.CheckHash{}}})
			own := b.l.c.state.View().Hashes()
			require.Len(t, own, 1)
			peers := &toldPeers{says: map[string]*apiv1.DiscoverResponse{}, asked: map[string]int{}}
			peers.say("s2", &apiv1.DiscoverResponse{Hashes: own})
			peers.say("s3", &apiv1.DiscoverResponse{Hashes: lagging})
			cfg := b.l.c.cfg
			cfg.DataDir = t.TempDir()
			c, err := New(cfg, b.log.machine, b.log, threeVoters{}, peers, slog.New(slog.DiscardHandler))
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- c.WatchState(ctx) }()
			require.Eventually(t, func() bool { return peers.times("s3") > 0 }, time.Minute, time.Millisecond)
			other := []*apiv1.HashRecord{{Index: own[0].Index, Hash: []byte("another")}}
			peers.say("s3", &apiv1.DiscoverResponse{Hashes: other})
			require.Eventually(t, func() bool {
				b.propose(&apiv1.Command{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: 1}}}) // it looks again
				return c.differing()["s3"] == own[0].Index
			}, time.Minute, time.Millisecond)
			cancel()
			require.ErrorIs(t, <-ended, context.Canceled)
		})
	}
}

// TestLags: who has not come to an entry, of those who answer.
func TestLags(t *testing.T) {
	at := func(indexes ...uint64) (out []*apiv1.HashRecord) {
		for _, i := range indexes {
			out = append(out, &apiv1.HashRecord{Index: i})
		}
		return out
	}
	require.False(t, lags(nil, 5))
	require.False(t, lags(map[string][]*apiv1.HashRecord{"a": at(3, 5), "b": at(6)}, 5))
	require.True(t, lags(map[string][]*apiv1.HashRecord{"a": at(3, 5), "b": at(4)}, 5))
	require.True(t, lags(map[string][]*apiv1.HashRecord{"a": at(3, 5), "b": nil}, 5))
}
