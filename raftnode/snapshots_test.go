package raftnode

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"
)

// fullSink cannot write what it holds, as on a full disk.
type fullSink struct{ raft.SnapshotSink }

func (fullSink) Cancel() error { return syscall.ENOSPC }

// TestUnfinishedSnapshots are removed: when the last steps fail, and at the next start if the process ended in the midst.
func TestUnfinishedSnapshots(t *testing.T) {
	dir := t.TempDir()
	left := func() []string {
		l, err := filepath.Glob(filepath.Join(dir, "snapshots", "*"))
		require.NoError(t, err)
		return l
	}
	open := func() *snapshotStore {
		s, err := openSnapshots(dir, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		return s
	}
	begin := func(s *snapshotStore) raft.SnapshotSink {
		sink, err := s.Create(1, 7, 1, raft.Configuration{}, 1, nil)
		require.NoError(t, err)
		_, err = sink.Write([]byte("state"))
		require.NoError(t, err)
		return sink
	}
	s := open()
	sink := begin(s)
	meta := filepath.Join(s.path, sink.ID()+unfinished, "meta.json") // a directory in its place makes the step after the state fail.
	require.NoError(t, os.Remove(meta))
	require.NoError(t, os.Mkdir(meta, 0o700))
	require.Error(t, sink.Close())
	require.Empty(t, left())

	full := begin(s)
	require.ErrorIs(t, cleanSink{fullSink{full}, s}.Cancel(), syscall.ENOSPC)
	require.ErrorIs(t, s.lastWriteError(), syscall.ENOSPC)
	require.Empty(t, left())
	require.NoError(t, full.Cancel()) // closes its file.

	crashed := begin(s)
	require.Len(t, left(), 1)
	s = open()
	require.Empty(t, left())
	require.NoError(t, crashed.Cancel()) // closes its file.

	require.NoError(t, begin(s).Close())
	require.Len(t, left(), 1)
	held, err := newest(open())
	require.NoError(t, err)
	require.EqualValues(t, 7, held)
}

// unreadSnapshots has snapshots that open, and cannot be read.
type unreadSnapshots struct {
	raft.SnapshotStore
	err error
}

func (s unreadSnapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	return &raft.SnapshotMeta{ID: id}, io.NopCloser(iotest.ErrReader(s.err)), nil
}

// TestUnreadSnapshotIsTold: of a disk that fails once Raft runs, for Raft would try for ever; not of what goes by, nor at a start, where an
// older snapshot may do.
func TestUnreadSnapshotIsTold(t *testing.T) {
	var told error
	for _, tt := range []struct {
		err  error
		runs bool
		told bool
	}{{syscall.EIO, true, true}, {syscall.EMFILE, true, false}, {syscall.EIO, false, false}} {
		s := &snapshotStore{SnapshotStore: unreadSnapshots{err: tt.err}, path: "/data/raft/snapshots"}
		if told = nil; tt.runs {
			s.watch(func(err error) { told = err })
		}
		_, r, err := s.Open("1-7")
		require.NoError(t, err)
		_, err = io.ReadAll(r)
		require.ErrorIs(t, err, tt.err)
		require.ErrorIs(t, s.lastError(), tt.err)
		if !tt.told {
			require.NoError(t, told)
			continue
		}
		require.ErrorIs(t, told, ErrStore)
		require.Equal(t, "log store failed: read snapshot 1-7: /data/raft/snapshots/1-7 cannot be read (input/output error): "+obstacle(syscall.EIO), told.Error())
	}
}

// TestUnreadSnapshotEndsRun: what is told ends the server.
func TestUnreadSnapshotEndsRun(t *testing.T) {
	p := open(t, t.TempDir(), "127.0.0.1:0", nil)
	p.dir.snaps.SnapshotStore = unreadSnapshots{p.dir.snaps.SnapshotStore, syscall.EIO}
	require.NoError(t, p.Bootstrap([]Server{{ID: p.ID(), Addr: p.Addr(), Voter: true}}))
	p.start(t)
	_, r, err := p.dir.snaps.Open("1-7") // as Raft does to send it
	require.NoError(t, err)
	_, err = r.Read(make([]byte, 1))
	require.ErrorIs(t, err, syscall.EIO)
	err = p.wait(t)
	require.ErrorIs(t, err, ErrStore)
	require.ErrorContains(t, err, "read snapshot 1-7")
}
