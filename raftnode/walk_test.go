package raftnode

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"
)

// BenchmarkOpen opens a raft.db of 200,000 entries of 1 KiB.
func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "raft.db")
	var groups loggedGroups
	s, err := openBolt(path, 0, groups.note)
	require.NoError(b, err)
	for i := uint64(0); i < 200_000; {
		var batch []*raft.Log
		for range 5000 {
			i++
			batch = append(batch, &raft.Log{Index: i, Term: 1, Data: make([]byte, 1024), AppendedAt: time.Unix(1, 0)})
		}
		require.NoError(b, s.StoreLogs(batch))
	}
	require.NoError(b, s.Close())
	b.ReportAllocs()
	for b.Loop() {
		s, err := openBolt(path, 0, groups.note)
		require.NoError(b, err)
		require.NoError(b, s.Close())
	}
}

// TestTermsOfTheLog: a term that no log can have is told, not kept.
func TestTermsOfTheLog(t *testing.T) {
	for name, terms := range map[string][]uint64{"it goes back": {1, 2, 1}, "Raft has heard of no such": {1, 2, 4}} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "raft.db")
			s, err := openBolt(path, 0, func(*raft.Log) {})
			require.NoError(t, err)
			require.NoError(t, s.SetUint64([]byte(currentTerm), 3))
			for i, term := range terms {
				require.NoError(t, s.StoreLog(&raft.Log{Index: uint64(i) + 1, Term: term}))
			}
			require.NoError(t, s.Close())
			_, err = openBolt(path, 0, func(*raft.Log) {})
			require.ErrorContains(t, err, "log entry 3 makes no sense")
		})
	}
}
