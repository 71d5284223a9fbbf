package raftnode

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// store is what boltdb gives to Raft.
type store interface {
	raft.LogStore
	raft.StableStore
}

// watchedStore numbers every write to the store beneath it and reports its errors. Raft writes its log on its main loop: a
// disk that hangs leaves a leader which still answers heartbeats and never commits again, so somebody else must watch.
type watchedStore struct {
	store
	// groups follow the log.
	groups *loggedGroups
	// onError is called for each failed write and must not block.
	onError func(error)
	// promised is set by the first write of something that was not there: a term, a vote, entries of the log.
	promised atomic.Bool

	// mu guards what stands below.
	mu      sync.Mutex
	lastID  uint64
	writing map[uint64]struct{}
}

func newWatchedStore(s store, groups *loggedGroups, onError func(error)) *watchedStore {
	return &watchedStore{store: s, groups: groups, onError: onError, writing: make(map[uint64]struct{})}
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
	if err != nil {
		w.onError(fmt.Errorf("%w: %s: %w%s", ErrStore, what, err, remedy(err)))
	}
	return err
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
		if old, err := w.Get(key); err != nil || !bytes.Equal(old, value) {
			w.promised.Store(true)
		}
		return w.store.Set(key, value)
	})
}

func (w *watchedStore) SetUint64(key []byte, value uint64) error {
	return w.write("set", func() error {
		if old, err := w.GetUint64(key); err != nil || old != value { // Raft writes its term again when it starts.
			w.promised.Store(true)
		}
		return w.store.SetUint64(key, value)
	})
}
