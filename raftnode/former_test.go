package raftnode

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"
)

// TestFormerMembersAreKnown removes a server: whoever asks again learns that it was a member, from the log and from the snapshot that
// has taken the log's place, of a leader that has started since too.
func TestFormerMembersAreKnown(t *testing.T) {
	compact := func(c *Config) { c.SnapshotThreshold, c.TrailingLogs, c.SnapshotInterval = 20, 1, 20*time.Millisecond }
	p := single(t, compact)
	ctx := t.Context()
	none, err := p.Former(ctx)
	require.NoError(t, err)
	require.Empty(t, none)
	gone := Server{ID: "gone", Addr: "127.0.0.1:1"}
	require.NoError(t, p.AddNonvoter(ctx, gone.ID, "127.0.0.1:2"))
	require.NoError(t, p.AddNonvoter(ctx, gone.ID, gone.Addr), "it has moved")
	now, err := p.Former(ctx)
	require.NoError(t, err)
	require.Empty(t, now, "it is a member")
	require.NoError(t, p.RemoveServer(ctx, gone.ID))
	former, err := p.Former(ctx)
	require.NoError(t, err)
	require.Equal(t, []Server{gone}, former)

	p.stop(t)
	p = open(t, p.cfg.DataDir, p.Addr(), compact)
	p.start(t)
	leaderOf(t, p)
	former, err = p.Former(ctx)
	require.NoError(t, err)
	require.Equal(t, []Server{gone}, former)
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	_, err = p.Former(canceled)
	require.ErrorIs(t, err, context.Canceled)
	for _, key := range keys("much", 60) {
		propose(t, p, key)
	}
	until(t, "the log does not get shorter", func() bool {
		first, err := p.logs.FirstIndex()
		return err == nil && first > 40
	})
	_, err = p.Former(ctx)
	require.NoError(t, err, "what is forgotten is no error")
	p.stop(t)
	_, err = p.Former(ctx)
	require.ErrorIs(t, err, ErrNotLeader)
}

// TestFormerIsCommitted: a removal that no majority has yet makes no former member: a leader that cannot commit it does not say so.
func TestFormerIsCommitted(t *testing.T) {
	peers := cluster(t, 2, func(c *Config) {
		c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLease = time.Second, time.Second, time.Second
	})
	p := leaderOf(t, peers...)
	require.NoError(t, p.AddNonvoter(t.Context(), "member", "127.0.0.1:1"))
	for _, q := range peers {
		if q != p {
			q.crash(t)
		}
	}
	removal := p.raft.Load().RemoveServer("member", 0, 0)
	until(t, "not in the log", func() bool { return len(p.Servers()) == 2 || !p.IsLeader() }) // on a busy machine it may be none any more
	former, err := p.Former(t.Context())
	require.Error(t, err)
	require.Empty(t, former)
	require.Error(t, removal.Error())
	p.crash(t)
}

// countedLog counts what is read of the log.
type countedLog struct {
	raft.LogStore
	reads int
}

func (c *countedLog) GetLog(index uint64, log *raft.Log) error {
	c.reads++
	return c.LogStore.GetLog(index, log)
}

// TestFormerReadsNoCommands: a slip of the hand at `servers remove` must not cost a walk over the log, with the turn of the changes.
func TestFormerReadsNoCommands(t *testing.T) {
	p := single(t, nil)
	gone := Server{ID: "gone", Addr: "127.0.0.1:1"}
	require.NoError(t, p.AddNonvoter(t.Context(), gone.ID, gone.Addr))
	require.NoError(t, p.RemoveServer(t.Context(), gone.ID))
	for _, key := range keys("much", 40) {
		propose(t, p, key)
	}
	log := &countedLog{LogStore: p.logs}
	p.logs = log // Raft goes on with the one that it was started with.
	former, err := p.Former(t.Context())
	require.NoError(t, err)
	require.Equal(t, []Server{gone}, former)
	require.Zero(t, log.reads)
	p.stop(t)
}

// TestLoggedGroupsFollowTheLog: entries that another leader takes back, and those that a snapshot has taken the place of, are gone.
func TestLoggedGroupsFollowTheLog(t *testing.T) {
	d, err := openDataDir(t.TempDir(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	w := newWatchedStore(d, func(error) {})
	entry := func(index uint64, ids ...string) *raft.Log {
		var c raft.Configuration
		for _, id := range ids {
			c.Servers = append(c.Servers, raft.Server{ID: raft.ServerID(id), Address: "addr"})
		}
		return &raft.Log{Index: index, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(c)}
	}
	require.NoError(t, w.StoreLogs([]*raft.Log{entry(1, "a"), {Index: 2, Data: []byte("command")}, entry(3, "a", "b")}))
	require.NoError(t, w.StoreLog(entry(4, "a", "b", "c")))
	a, b, c, x := Server{ID: "a", Addr: "addr"}, Server{ID: "b", Addr: "addr"}, Server{ID: "c", Addr: "addr"}, Server{ID: "x", Addr: "addr"}
	for _, s := range []*Server{&a, &b, &c, &x} {
		s.Voter = true
	}
	require.Equal(t, [][]Server{{a}, {a, b}, {a, b, c}}, d.groups.all())
	require.NoError(t, w.DeleteRange(4, 4))
	require.NoError(t, w.StoreLog(entry(4, "a", "x")))
	require.NoError(t, d.close())
	d, err = openDataDir(d.path, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.Equal(t, [][]Server{{a}, {a, b}, {a, x}}, d.groups.all(), "as the disk has them")
	require.NoError(t, newWatchedStore(d, func(error) {}).DeleteRange(1, 2))
	require.Equal(t, [][]Server{{a, b}, {a, x}}, d.groups.all())
	require.NoError(t, d.close())
}

func TestWithout(t *testing.T) {
	a, b, c := Server{ID: "a", Addr: "1"}, Server{ID: "b", Addr: "2"}, Server{ID: "c", Addr: "3"}
	moved := Server{ID: "b", Addr: "4", Voter: true}
	require.Equal(t, []Server{c, moved}, without([][]Server{{a, b, c}, {a, moved}, {a}}, []Server{a}))
	require.Empty(t, without([][]Server{{a, b}, {a}, {a, b}}, []Server{a, b}), "it came back")
}

// TestFurthest: of those that have what is wanted the one whose log goes furthest counts, not the first in the log.
func TestFurthest(t *testing.T) {
	start := time.Now()
	after := start.Add(1)
	reports := map[string]report{
		"silent": {asked: start, lastLog: 99}, "refuses": {asked: after, lastLog: 99, rejected: true}, "behind": {asked: after, lastLog: 9},
		"has it": {asked: after, lastLog: 10}, "further": {asked: after, lastLog: 12}, "as far": {asked: after, lastLog: 12},
	}
	reportOf := func(id string) report { return reports[id] }
	for _, tc := range []struct {
		candidates []string
		want       string
		why        string
	}{
		{nil, "", "no other voter"},
		{[]string{"silent"}, "", "does not answer"},
		{[]string{"refuses"}, "", "does not fit"},
		{[]string{"behind"}, "", "1 entries behind"},
		{[]string{"silent", "has it", "behind"}, "has it", ""},
		{[]string{"has it", "further", "as far", "refuses"}, "further", ""},
	} {
		var candidates []Server
		for _, id := range tc.candidates {
			candidates = append(candidates, Server{ID: id, Voter: true})
		}
		id, why := furthest(candidates, reportOf, start, 10)
		require.Equal(t, tc.want, id, "%v", tc.candidates)
		if tc.why == "" {
			require.NoError(t, why)
		} else {
			require.ErrorContains(t, why, tc.why)
		}
	}
}
