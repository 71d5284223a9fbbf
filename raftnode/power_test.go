package raftnode

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/internal/synctrace"
)

// openForPower opens a directory that is about to lose its power.
func openForPower(dir string) (*dataDir, error) {
	return openDataDir(dir, slog.New(slog.DiscardHandler))
}

// TestPromisesSurviveAPowerCut: a server's id, its term and vote, and the entries that it says it has, in a new directory.
func TestPromisesSurviveAPowerCut(t *testing.T) {
	lost := synctrace.Lost(t, nil, func(dir string) error {
		d, err := openForPower(dir)
		if err != nil {
			return err
		}
		return errors.Join(d.bolt.SetUint64([]byte("CurrentTerm"), 7), d.bolt.StoreLogs([]*raft.Log{{Index: 1, Term: 7, Data: []byte("x")}}))
	})
	require.Equal(t, []string{"bytes of lock"}, lost, "it is for processes of this life of the machine")
}

// TestSnapshotsSurviveAPowerCut: the log goes once one is there.
func TestSnapshotsSurviveAPowerCut(t *testing.T) {
	var d *dataDir
	opened := func(dir string) (err error) { d, err = openForPower(dir); return err }
	require.Empty(t, synctrace.Lost(t, opened, func(string) error {
		sink, err := d.snaps.Create(raft.SnapshotVersionMax, 5, 2, raft.Configuration{}, 1, nil)
		if err != nil {
			return err
		}
		if _, err := sink.Write([]byte("state")); err != nil {
			return err
		}
		return sink.Close()
	}))
}
