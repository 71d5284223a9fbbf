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

	"github.com/godwit-run/godwit/internal/durable"
)

// snapshotsKept is how many snapshots stay on disk: one to fall back on when the newest is damaged.
const snapshotsKept = 2

// snapshotStore remembers the last error of reading a snapshot: Raft tries the next older one, and in the end says only that none
// could be loaded. It remembers the last one of writing too, of which Raft passes the text alone.
type snapshotStore struct {
	raft.SnapshotStore
	path string

	// mu guards what stands below.
	mu        sync.Mutex
	failed    error
	unwritten error
	onUnread  func(error) // nil: Raft does not run
}

// openSnapshots opens the snapshots under dir, which exists. What cannot be read for another reason than damage is an error here:
// Raft would leave such a snapshot out and take an older one, or none.
func openSnapshots(dir string, log *slog.Logger) (*snapshotStore, error) {
	path := filepath.Join(dir, "snapshots")
	if err := writable(path); err != nil { // the library's own error is text alone.
		return nil, unreadable(path, err)
	}
	if err := removeUnfinished(path); err != nil {
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
	return &snapshotStore{SnapshotStore: files, path: path}, nil
}

// unfinished ends the name of a snapshot's directory until it is whole. The library leaves one behind at a crash or when the last steps
// fail, and never looks at it again.
const unfinished = ".tmp"

// removeUnfinished frees the room that earlier processes left taken. Nobody else may write snapshots meanwhile.
func removeUnfinished(path string) error {
	left, err := filepath.Glob(filepath.Join(path, "*"+unfinished))
	if err != nil {
		return err
	}
	for _, l := range left {
		if err := os.RemoveAll(l); err != nil {
			return err
		}
	}
	return nil
}

// Create begins a snapshot.
func (s *snapshotStore) Create(version raft.SnapshotVersion, index, term uint64, group raft.Configuration, groupIndex uint64,
	trans raft.Transport,
) (raft.SnapshotSink, error) {
	sink, err := s.SnapshotStore.Create(version, index, term, group, groupIndex, trans)
	if err != nil {
		return nil, s.noteWrite(err)
	}
	return cleanSink{sink, s}, nil
}

// cleanSink leaves nothing of a snapshot that could not be finished.
type cleanSink struct {
	raft.SnapshotSink
	store *snapshotStore
}

// Write implements io.Writer.
func (s cleanSink) Write(b []byte) (int, error) {
	n, err := s.SnapshotSink.Write(b)
	return n, s.store.noteWrite(err)
}

// Close makes the snapshot whole. The library syncs its files and its own name, but not their names. It may be called again, as Raft
// does after the state machine: the directory has its name by then, or is gone.
func (s cleanSink) Close() error {
	if err := durable.SyncDir(filepath.Join(s.store.path, s.ID()+unfinished)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return errors.Join(s.store.noteWrite(err), s.Cancel())
	}
	return s.clean(s.SnapshotSink.Close())
}

// Cancel gives it up. The library then writes what it still holds, and leaves all where it is when the disk is full.
func (s cleanSink) Cancel() error { return s.clean(s.SnapshotSink.Cancel()) }

func (s cleanSink) clean(err error) error {
	if err != nil {
		err = errors.Join(s.store.noteWrite(err), os.RemoveAll(filepath.Join(s.store.path, s.ID()+unfinished)))
	}
	return err
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

// note remembers an error of reading. Raft tries again and again what the disk does not give: to a server that needs the snapshot, or from a
// leader that has sent it. So onUnread is told.
func (s *snapshotStore) note(id string, err error) error {
	s.mu.Lock()
	s.failed = fmt.Errorf("snapshot %s: %w", id, err)
	told := s.onUnread
	s.mu.Unlock()
	if told != nil && durable.DiskFails(err) {
		told(fmt.Errorf("%w: read snapshot %s: %s cannot be read (%w): %s", ErrStore, id, filepath.Join(s.path, id), err, obstacle(err)))
	}
	return err
}

// watch has tell told of what the disk does not give from now on. It must not block.
func (s *snapshotStore) watch(tell func(error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onUnread = tell
}

// lastError returns the last error of reading a snapshot.
func (s *snapshotStore) lastError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

func (s *snapshotStore) noteWrite(err error) error {
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.unwritten = err
	}
	return err
}

// lastWriteError returns the last error of writing a snapshot.
func (s *snapshotStore) lastWriteError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unwritten
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
