package raftnode

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/hashicorp/raft"
)

// snapshotsKept is how many snapshots stay on disk: one to fall back on when the newest is damaged.
const snapshotsKept = 2

// snapshotStore remembers the last error of reading a snapshot: Raft tries the next older one, and in the end says only that none
// could be loaded.
type snapshotStore struct {
	raft.SnapshotStore

	// mu guards failed.
	mu     sync.Mutex
	failed error
}

// openSnapshots opens the snapshots under dir, which exists. What cannot be read for another reason than damage is an error here:
// Raft would leave such a snapshot out and take an older one, or none.
func openSnapshots(dir string, log *slog.Logger) (*snapshotStore, error) {
	path := filepath.Join(dir, "snapshots")
	if err := writable(path); err != nil { // the library's own error is text alone.
		return nil, unreadable(path, err)
	}
	metas, err := filepath.Glob(filepath.Join(path, "*", "meta.json"))
	if err != nil {
		return nil, err
	}
	for _, m := range metas {
		if _, err := os.ReadFile(m); err != nil {
			return nil, unreadable(m, err)
		}
	}
	files, err := raft.NewFileSnapshotStoreWithLogger(dir, snapshotsKept, newHCLog(log))
	if err != nil {
		return nil, unreadable(path, err)
	}
	return &snapshotStore{SnapshotStore: files}, nil
}

// writable makes the directory and a file in it, and removes the file.
func writable(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(path, "probe.*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// Open opens a snapshot whose checksum is right.
func (s *snapshotStore) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	meta, r, err := s.SnapshotStore.Open(id)
	if err != nil {
		return nil, nil, s.note(id, err)
	}
	return meta, notedReader{r, func(err error) error { return s.note(id, err) }}, nil
}

func (s *snapshotStore) note(id string, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = fmt.Errorf("snapshot %s: %w", id, err)
	return err
}

// lastError returns the last error of reading a snapshot.
func (s *snapshotStore) lastError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

type notedReader struct {
	io.ReadCloser
	note func(error) error
}

func (r notedReader) Read(b []byte) (int, error) {
	n, err := r.ReadCloser.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		return n, r.note(err)
	}
	return n, err //nolint:wrapcheck // io.EOF must stay bare.
}
