package raftnode

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
)

// guarded makes an error of a panic, and of a page that the disk does not give: bbolt reads through a memory map, where such a page is a
// fault, which would end the process.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		p := recovered(recover())
		var fault interface{ Addr() uintptr }
		switch {
		case errors.As(p, &fault):
			err = errPage
		case p != nil:
			err = oneLine{p}
		}
	}()
	return f()
}

// errPage is what a fault says: the page was there when the file was opened.
var errPage = fmt.Errorf("a page of it is not to be read: %w", syscall.EIO)

// read reads from the store. That something is not there is an answer; any other error is told to onError.
func (w *watchedStore) read(what string, f func() error) error {
	err := f()
	if answers(err) {
		return err
	}
	return w.report(what, err)
}

// answers says whether a read that ended with err has its answer, be it that there is nothing.
func answers(err error) bool {
	return err == nil || errors.Is(err, raft.ErrLogNotFound) || errors.Is(err, raftboltdb.ErrKeyNotFound)
}

// report tells onError why something was not read, and returns what it told. What is an ErrStore already is told by whom it befell.
func (w *watchedStore) report(what string, err error) error {
	if errors.Is(err, ErrStore) {
		return err
	}
	return w.tell(fmt.Errorf("%w: %s: %w", ErrStore, what, w.unread(err)))
}

// unread says of an error of reading what to do. The next start looks at every page and entry, and knows more.
func (w *watchedStore) unread(err error) error {
	if what := obstacle(err); what != "" {
		return fmt.Errorf("%s cannot be read (%w): %s", w.path, err, what)
	}
	return damaged(w.path, err)
}

// tell tells onError, and keeps what it was told first.
func (w *watchedStore) tell(err error) error {
	w.mu.Lock()
	w.failed = cmp.Or(w.failed, err)
	w.mu.Unlock()
	w.onError(err)
	return err
}

// GetLog returns no error of an entry that cannot be read, if Raft runs: Raft panics over one that it is to apply, and asks again and again
// for one that it is to send. By then onError has told the node to end, and the goroutine that asks ends here, as at a return from Raft's own functions.
func (w *watchedStore) GetLog(index uint64, log *raft.Log) error {
	err := w.entry(index, log)
	if answers(err) {
		return err
	}
	err = w.report(fmt.Sprintf("read entry %d", index), err)
	if w.raftRuns {
		runtime.Goexit()
	}
	return err
}

// entry reads an entry. One is missing where the log has such before and after it, and no snapshot holds it.
func (w *watchedStore) entry(index uint64, log *raft.Log) error {
	err := w.store.GetLog(index, log)
	switch {
	case err == nil && log.Index != index:
		return fmt.Errorf("it is entry %d", log.Index)
	case !errors.Is(err, raft.ErrLogNotFound):
		return err
	}
	first, errFirst := w.store.FirstIndex()
	last, errLast := w.store.LastIndex()
	if failed := cmp.Or(errFirst, errLast); failed != nil {
		return failed
	}
	if first == 0 || index < first || index > last {
		return err
	}
	held, failed := w.held()
	if failed != nil { // without an answer it might be a gap, over which Raft panics
		return w.tell(fmt.Errorf("%w: look for a snapshot that holds entry %d: %w", ErrStore, index, unreadable(w.snaps, failed)))
	}
	if index <= held {
		return err
	}
	if again := w.store.GetLog(index, log); !errors.Is(again, raft.ErrLogNotFound) { // it came meanwhile
		return again
	}
	return fmt.Errorf("it is missing, between entries %d and %d", first, last)
}

// FirstIndex implements raft.LogStore.
func (w *watchedStore) FirstIndex() (index uint64, err error) {
	err = w.read("look for the first entry", func() error { index, err = w.store.FirstIndex(); return err })
	return index, err
}

// LastIndex implements raft.LogStore.
func (w *watchedStore) LastIndex() (index uint64, err error) {
	err = w.read("look for the last entry", func() error { index, err = w.store.LastIndex(); return err })
	return index, err
}

// Get implements raft.StableStore.
func (w *watchedStore) Get(key []byte) (value []byte, err error) {
	err = w.read("get", func() error { value, err = w.store.Get(key); return err })
	return value, err
}

// GetUint64 implements raft.StableStore.
func (w *watchedStore) GetUint64(key []byte) (value uint64, err error) {
	err = w.read("get", func() error { value, err = w.store.GetUint64(key); return err })
	return value, err
}
