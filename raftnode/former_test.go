package raftnode

import (
	"context"
	"testing"
	"time"

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
