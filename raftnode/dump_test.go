package raftnode

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func storedEntries(t *testing.T, s *StoredLog) []StoredEntry {
	t.Helper()
	var out []StoredEntry
	require.NoError(t, s.Entries(func(e StoredEntry) error { out = append(out, e); return nil }))
	return out
}

func TestStoredLogOfAStoppedServer(t *testing.T) {
	p := single(t, nil)
	for _, key := range []string{"a", "b"} {
		propose(t, p, key)
	}
	_, err := OpenStoredLog(p.cfg.DataDir)
	require.ErrorIs(t, err, ErrLocked)
	p.stop(t)
	before, err := os.ReadFile(filepath.Join(p.cfg.DataDir, "raft", "raft.db"))
	require.NoError(t, err)

	s, err := OpenStoredLog(p.cfg.DataDir)
	require.NoError(t, err)
	from, err := s.Restore(func(io.Reader) error { return nil })
	require.NoError(t, err)
	require.Zero(t, from, "the log is whole")
	entries := storedEntries(t, s)
	require.Equal(t, []string{p.Addr()}, entries[0].Servers)
	commands := 0
	for i, e := range entries {
		require.Equal(t, uint64(i+1), e.Index)
		if e.Type == "command" {
			commands++
		}
	}
	require.Equal(t, 2, commands)
	require.NoError(t, s.Close())
	after, err := os.ReadFile(filepath.Join(p.cfg.DataDir, "raft", "raft.db"))
	require.NoError(t, err)
	require.True(t, bytes.Equal(before, after), "reading changes nothing")
}

func TestStoredLogBehindASnapshot(t *testing.T) {
	p := single(t, func(c *Config) {
		c.SnapshotThreshold, c.TrailingLogs, c.SnapshotInterval = 20, 1, 20*time.Millisecond
	})
	for _, key := range keys("k", 60) {
		propose(t, p, key)
	}
	until(t, "no snapshot", func() bool {
		first, err := p.logs.FirstIndex()
		return err == nil && first > 1
	})
	p.stop(t)
	s, err := OpenStoredLog(p.cfg.DataDir)
	require.NoError(t, err)
	j := &journal{}
	from, err := s.Restore(j.Restore)
	require.NoError(t, err)
	entries := storedEntries(t, s)
	require.NotZero(t, from)
	require.LessOrEqual(t, entries[0].Index, from+1, "no gap")
	for _, e := range entries {
		if e.Type == "command" && e.Index > from {
			_, err := j.Apply(e.Index, e.Term, e.Data)
			require.NoError(t, err)
		}
	}
	for _, key := range keys("k", 60) {
		require.True(t, j.has(key), key)
	}
	require.NoError(t, s.Close())
}

func TestStoredLogThatIsNone(t *testing.T) {
	_, err := OpenStoredLog(t.TempDir())
	require.ErrorContains(t, err, "no server's data directory")
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "raft"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "raft", "raft.db"), bytes.Repeat([]byte{1}, 8192), 0o600))
	_, err = OpenStoredLog(dir)
	require.ErrorContains(t, err, "cannot be read")
}
