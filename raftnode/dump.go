package raftnode

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// StoredEntry is one entry of a stopped server's log. Whether it was ever committed is not on the disk.
type StoredEntry struct {
	Index, Term uint64
	// Type is command, noop, configuration or barrier.
	Type string
	// Data is the state machine's, of a command only.
	Data []byte
	// Servers are the group's addresses, of a configuration only.
	Servers []string
}

// StoredLog is the log and the snapshots of a stopped server, opened for reading only.
type StoredLog struct {
	dir         string
	path        string // of raft.db
	bolt        *boltFile
	first, last uint64
}

// OpenStoredLog opens what a stopped server has left in its data directory. It changes nothing there. It fails with ErrLocked
// while the server runs.
func OpenStoredLog(dataDir string) (s *StoredLog, err error) {
	path := dbOf(dataDir)
	switch _, err := os.Stat(path); {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("no server's data directory: %w", err)
	case err != nil:
		return nil, unreadable(path, err)
	}
	var bolt *boltFile
	err = guarded(func() error {
		err := view(path, func(*bbolt.Tx) error { return nil })
		if err == nil {
			bolt, err = openFile(path, bbolt.Options{ReadOnly: true, Timeout: boltWait})
		}
		return err
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("%w: stop the server of %s first", ErrLocked, dataDir)
	case err != nil:
		return nil, unreadable(path, err)
	}
	s = &StoredLog{dir: dataDir, path: path, bolt: bolt}
	if s.first, err = bolt.FirstIndex(); err == nil {
		s.last, err = bolt.LastIndex()
	}
	if err != nil {
		return nil, errors.Join(unreadable(path, err), bolt.Close())
	}
	return s, nil
}

// Close frees the files.
func (s *StoredLog) Close() error { return s.bolt.Close() }

// Entries calls f with each entry, in order of index, until f fails.
func (s *StoredLog) Entries(f func(StoredEntry) error) error {
	for i := s.first; i > 0 && i <= s.last; i++ {
		var stored raft.Log
		var entry StoredEntry
		err := s.bolt.GetLog(i, &stored)
		switch {
		case err != nil:
		case stored.Index != i:
			err = fmt.Errorf("it is entry %d", stored.Index)
		default:
			err = guarded(func() error { entry = storedEntry(&stored); return nil }) // Raft panics over a membership that it cannot decode
		}
		if err != nil {
			return fmt.Errorf("read entry %d: %w", i, unreadable(s.path, err))
		}
		if err := f(entry); err != nil {
			return err
		}
	}
	return nil
}

func storedEntry(stored *raft.Log) StoredEntry {
	e := StoredEntry{Index: stored.Index, Term: stored.Term}
	switch stored.Type {
	case raft.LogCommand:
		e.Type, e.Data = "command", stored.Data
	case raft.LogNoop:
		e.Type = "noop"
	case raft.LogBarrier:
		e.Type = "barrier"
	case raft.LogConfiguration:
		e.Type = "configuration"
		for _, server := range raft.DecodeConfiguration(stored.Data).Servers {
			e.Servers = append(e.Servers, string(server.Address))
		}
	case raft.LogAddPeerDeprecated, raft.LogRemovePeerDeprecated:
		e.Type = "old configuration"
	}
	return e
}

// Restore gives restore the snapshot to replay the entries upon, if the log no longer begins at 1: the oldest from which
// they go on without a gap. It returns the snapshot's index; 0: the entries are the whole log.
func (s *StoredLog) Restore(restore func(io.Reader) error) (uint64, error) {
	if s.first == 1 {
		return 0, nil
	}
	metas, err := filepath.Glob(filepath.Join(s.dir, "raft", "snapshots", "*", "meta.json"))
	if err != nil {
		return 0, fmt.Errorf("list snapshots of %s: %w", s.dir, err)
	}
	best, found := raft.SnapshotMeta{}, ""
	for _, path := range metas {
		var meta raft.SnapshotMeta
		b, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(b, &meta)
		}
		if err != nil {
			return 0, fmt.Errorf("read %s: %w", path, err)
		}
		if meta.Index+1 >= s.first && (found == "" || meta.Index < best.Index) {
			best, found = meta, filepath.Join(filepath.Dir(path), "state.bin")
		}
	}
	if found == "" {
		if s.last == 0 {
			return 0, nil
		}
		return 0, fmt.Errorf("the log of %s begins at entry %d and no snapshot leads up to it", s.dir, s.first)
	}
	f, err := os.Open(found)
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // only read
	if err := restore(f); err != nil {
		return 0, fmt.Errorf("restore %s: %w", found, err)
	}
	return best.Index, nil
}
