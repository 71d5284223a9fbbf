package raftnode

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// store is what boltdb gives to Raft.
type store interface {
	raft.LogStore
	raft.StableStore
}

// watchedStore numbers every write to the store beneath it and reports the errors of writes and reads. Raft writes its log on its main loop: a
// disk that hangs leaves a leader which still answers heartbeats and never commits again, so somebody else must watch.
type watchedStore struct {
	store
	path string // of raft.db
	// snaps is where the snapshots are.
	snaps string
	// groups follow the log.
	groups *loggedGroups
	// held is the last entry that a snapshot holds.
	held func() (uint64, error)
	// raftRuns: it is Raft's goroutines that read and write.
	raftRuns bool
	// onError is called for each failed read or write and must not block.
	onError func(error)
	// promised is set by the first write of something that was not there: a term, a vote, entries of the log.
	promised atomic.Bool

	// mu guards what stands below.
	mu      sync.Mutex
	lastID  uint64
	writing map[uint64]struct{}
	failed  error // what onError was told first
}

func newWatchedStore(d *dataDir, onError func(error)) *watchedStore {
	return &watchedStore{
		store: d.bolt, path: d.db(), snaps: filepath.Join(d.path, "raft", "snapshots"), groups: &d.groups, onError: onError, writing: make(map[uint64]struct{}),
		held: func() (uint64, error) { return newest(d.snaps) },
	}
}

// oldest returns the number of the oldest write under way.
func (w *watchedStore) oldest() (id uint64, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.writing {
		if !ok || i < id {
			id, ok = i, true
		}
	}
	return id, ok
}

func (w *watchedStore) write(what string, f func() error) error {
	w.mu.Lock()
	w.lastID++
	id := w.lastID
	w.writing[id] = struct{}{}
	w.mu.Unlock()

	err := f()

	w.mu.Lock()
	delete(w.writing, id)
	w.mu.Unlock()
	if err != nil && !errors.Is(err, ErrStore) { // which was told by whom it befell
		if !strings.Contains(err.Error(), w.path) {
			what += " in " + w.path
		}
		_ = w.tell(fmt.Errorf("%w: %s: %w%s", ErrStore, what, err, cmp.Or(remedy(err), ": look at the disk and at the kernel's log, and start again")))
	}
	return err
}

// failure is what onError was told first, for where Raft passes on no more than a text; nil: nothing.
func (w *watchedStore) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed
}

func (w *watchedStore) StoreLog(log *raft.Log) error { return w.StoreLogs([]*raft.Log{log}) }

func (w *watchedStore) StoreLogs(logs []*raft.Log) error {
	w.promised.Store(true)
	err := w.write("store entries", func() error { return w.store.StoreLogs(logs) })
	if err != nil {
		return err
	}
	for _, log := range logs {
		w.groups.note(log)
	}
	return nil
}

func (w *watchedStore) DeleteRange(first, last uint64) error {
	err := w.write("truncate", func() error { return w.store.DeleteRange(first, last) })
	if err == nil {
		w.groups.cut(first, last)
	}
	return err
}

func (w *watchedStore) Set(key, value []byte) error {
	return w.write("set", func() error {
		old, err := w.Get(key)
		if !answers(err) {
			return err
		}
		if err != nil || !bytes.Equal(old, value) {
			w.promised.Store(true)
		}
		return w.store.Set(key, value)
	})
}

// SetUint64 returns no error of a term that it could not write: Raft panics over one. By then onError has told the node to end, and the
// goroutine that would act on the term ends here, as at a return from Raft's own functions: nobody is answered in a term that is not on disk.
func (w *watchedStore) SetUint64(key []byte, value uint64) error {
	term := string(key) == currentTerm
	err := w.write("set", func() error {
		old, err := w.GetUint64(key)
		if !answers(err) {
			return err
		}
		if err != nil {
			old = 0 // a server that knows no term is in term 0.
		}
		if old == value && term { // Raft writes its term again when it starts, in whoever starts it.
			return nil
		}
		if old != value {
			w.promised.Store(true)
		}
		return w.store.SetUint64(key, value)
	})
	if err != nil && term && value > firstTerm {
		runtime.Goexit()
	}
	return err
}

// firstTerm is what a bootstrap writes, which takes an error well. No election is in it.
const firstTerm = 1
