package raftnode

import (
	"path/filepath"
	"testing"

	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"github.com/stretchr/testify/require"
)

// TestStanding follows a server from its empty directory to its second start: what it tells from the disk is what it told from
// memory, and what Raft writes at every start is no promise.
func TestStanding(t *testing.T) {
	dir := t.TempDir()
	standing := func(p *peer) Standing {
		t.Helper()
		s, err := p.Standing()
		require.NoError(t, err)
		return s
	}
	p := open(t, dir, "127.0.0.1:0", nil)
	require.Equal(t, Standing{}, standing(p))
	require.NoError(t, p.Bootstrap([]Server{{ID: p.ID(), Addr: p.Addr(), Voter: true}}))
	p.start(t)
	leaderOf(t, p)
	_, err := p.Propose(t.Context(), command("a"))
	require.NoError(t, err)
	before := standing(p)
	require.True(t, before.Runs && before.Promised)
	require.NotZero(t, before.LogIndex)
	p.stop(t)

	p = open(t, dir, "127.0.0.1:0", nil)
	now := standing(p)
	require.False(t, now.Runs || now.Promised)
	require.Equal(t, [2]uint64{before.LogTerm, before.LogIndex}, [2]uint64{now.LogTerm, now.LogIndex})
	require.NoError(t, p.store.SetUint64([]byte("CurrentTerm"), before.LogTerm))
	require.False(t, standing(p).Promised, "it stood there")
	require.NoError(t, p.store.SetUint64([]byte("CurrentTerm"), before.LogTerm+1))
	require.True(t, standing(p).Promised)
	require.NoError(t, p.Close())
	p.stopNet()
}

func TestAnIDIsNeverWithoutItsSecret(t *testing.T) {
	dir := t.TempDir()
	d, err := openDir(dir)
	require.NoError(t, err)
	require.Equal(t, string(d.serverID()), d.key.ID())
	require.NoError(t, d.close())
	again, err := openDir(dir)
	require.NoError(t, err)
	require.Equal(t, d.key.Seed(), again.key.Seed())
	require.NoError(t, again.close())

	path := filepath.Join(dir, "raft", "raft.db")
	for _, secret := range [][]byte{{}, []byte("short"), make([]byte, 32)} {
		bolt, err := raftboltdb.NewBoltStore(path)
		require.NoError(t, err)
		require.NoError(t, bolt.Set(secretKey(), secret))
		require.NoError(t, bolt.Close())
		_, err = openDir(dir)
		require.ErrorContains(t, err, "secret")
	}
}
