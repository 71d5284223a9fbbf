package raftnode

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"
)

// TestRecover loses two of three servers for good: the third's data becomes a cluster of one, which the others, should they
// come back after all, cannot disturb.
func TestRecover(t *testing.T) {
	peers := cluster(t, 3, nil)
	for _, k := range keys("entry", 20) {
		commit(t, k, peers...)
	}
	survivor := peers[0]
	until(t, "not everywhere", func() bool { return survivor.machine.has("entry-19") })
	id, cluster := survivor.ID(), survivor.ClusterID()
	for _, p := range peers {
		p.stop(t)
	}
	empty := func() Machine { return &journal{} }
	cfg := survivor.cfg
	s, err := OpenSurvivor(cfg, empty, slog.Default())
	require.NoError(t, err)
	require.Equal(t, id, s.ID())
	require.Equal(t, cluster, s.ClusterID())
	require.Len(t, s.Members, 3)
	require.NotZero(t, s.LastIndex)
	_, err = OpenSurvivor(cfg, empty, slog.Default())
	require.ErrorIs(t, err, ErrLocked)
	bad := &journal{fail: "entry-7"}
	require.ErrorIs(t, s.Recover(bad, "c2"), ErrFatal)
	require.NoError(t, s.Recover(empty(), "c2"))
	require.NoError(t, s.Close())

	survivor = open(t, cfg.DataDir, survivor.Addr(), nil)
	survivor.start(t)
	leaderOf(t, survivor)
	require.Greater(t, survivor.Term(), uint64(termStep), "later than any term of the lost ones")
	require.Len(t, survivor.Servers(), 1)
	require.True(t, survivor.machine.has("entry-19"))
	propose(t, survivor, "after")
	term := survivor.Term()
	for i, p := range peers[1:] {
		peers[i+1] = open(t, p.cfg.DataDir, p.Addr(), nil)
		peers[i+1].start(t)
	}
	commit(t, "theirs", peers[1:]...)
	until(t, "not refused", logged(survivor, "this server is of cluster c2"))
	require.True(t, survivor.IsLeader())
	require.Equal(t, term, survivor.Term())
	for _, p := range []*peer{survivor, peers[1], peers[2]} {
		p.stop(t)
	}
}

// noRoom is where no snapshot can be begun.
type noRoom struct{ raft.SnapshotStore }

func (noRoom) Create(raft.SnapshotVersion, uint64, uint64, raft.Configuration, uint64, raft.Transport) (raft.SnapshotSink, error) {
	return nil, &fs.PathError{Op: "write", Path: "snapshots/1/meta.json", Err: syscall.ENOSPC}
}

// TestRecoverNeedsRoom: on a full disk it says which file it could not write and what to do, and goes well once there is room.
func TestRecoverNeedsRoom(t *testing.T) {
	p := single(t, nil)
	propose(t, p, "a")
	p.stop(t)
	empty := func() Machine { return &journal{} }
	s, err := OpenSurvivor(p.cfg, empty, slog.Default())
	require.NoError(t, err)
	disk := s.dir.snaps.SnapshotStore
	s.dir.snaps.SnapshotStore = noRoom{disk}
	err = s.Recover(empty(), "c2")
	for _, said := range []string{"snapshots/1/meta.json", "no space left", "make room", "nothing says that the data is damaged"} {
		require.ErrorContains(t, err, said)
	}
	s.dir.snaps.SnapshotStore = disk
	require.NoError(t, s.Recover(empty(), "c2"))
	require.NoError(t, s.Close())
}

// TestRecoverFromOneRemoved: a server whose own log does not list it is told from one that votes.
func TestRecoverFromOneRemoved(t *testing.T) {
	p := single(t, nil)
	propose(t, p, "entry")
	p.stop(t)
	survivor := func() *Survivor {
		s, err := OpenSurvivor(p.cfg, func() Machine { return &journal{} }, slog.Default())
		require.NoError(t, err)
		return s
	}
	s := survivor()
	require.True(t, s.Votes())
	_, trans := raft.NewInmemTransport("")
	for suffrage, id := range map[raft.ServerSuffrage]string{raft.Voter: "another", raft.Nonvoter: s.ID()} {
		group := raft.Configuration{Servers: []raft.Server{{ID: "voter", Address: "a:1"}, {ID: raft.ServerID(id), Address: "a:2", Suffrage: suffrage}}}
		require.NoError(t, raft.RecoverCluster(s.config(), NewFSM(&journal{}), s.dir.bolt, s.dir.bolt, s.dir.snaps, trans, group))
		require.NoError(t, s.Close())
		s = survivor()
		require.False(t, s.Votes(), suffrage)
	}
	require.NoError(t, s.Close())
}

// TestRecoverNothing leaves a directory without state as it was.
func TestRecoverNothing(t *testing.T) {
	fresh := t.TempDir()
	d, err := openDir(fresh)
	require.NoError(t, err)
	require.NoError(t, d.close())
	require.NoError(t, os.Remove(filepath.Join(fresh, "meta.json")))
	for name, dir := range map[string]string{"empty": t.TempDir(), "missing": filepath.Join(t.TempDir(), "no"), "never joined": fresh} {
		t.Run(name, func(t *testing.T) {
			before := names(t, dir)
			_, err := OpenSurvivor(testConfig(dir, "127.0.0.1:1"), func() Machine { return &journal{} }, slog.Default())
			require.ErrorContains(t, err, "nothing to recover")
			require.ErrorContains(t, err, dir)
			require.Equal(t, before, names(t, dir))
		})
	}
}

// names lists all files beneath dir.
func names(t *testing.T, dir string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		out = append(out, path)
		return err
	})
	if !errors.Is(err, fs.ErrNotExist) {
		require.NoError(t, err)
	}
	return out
}

// TestSurvivorWithoutItsDisk: what breaks off within bbolt as the survivor is read is said, and nobody waits for its locks.
func TestSurvivorWithoutItsDisk(t *testing.T) {
	p := single(t, nil)
	p.stop(t)
	err := inTime(t, func() error {
		_, err := OpenSurvivor(testConfig(p.cfg.DataDir, p.Addr()), func() Machine {
			require.NoError(t, os.Truncate(p.store.path, 0)) // once it is open
			return &journal{}
		}, slog.New(slog.DiscardHandler))
		return err
	})
	require.ErrorContains(t, err, "cannot be used (failed to load current term: a page of it is not to be read: input/output error): the disk fails")
}
