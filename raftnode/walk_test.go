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
