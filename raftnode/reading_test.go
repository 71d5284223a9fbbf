package raftnode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"
)

// unreadEntry is a store that gives an entry so many times, and fails from then on.
type unreadEntry struct {
	store
	index uint64
	err   error
	mu    sync.Mutex
	times int
}

func (s *unreadEntry) GetLog(index uint64, log *raft.Log) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if index != s.index {
		return s.store.GetLog(index, log)
	}
	if s.times--; s.times < 0 {
		return s.err
	}
	return s.store.GetLog(index, log)
}

// TestUnreadEntryEndsRun: a server that cannot read an entry of its log ends with a sentence about its disk: as it starts, as it applies the
// log after a start, and as it leads and another needs the entry.
func TestUnreadEntryEndsRun(t *testing.T) {
	const index = 3 // a command; the membership is the first entry
	for of, times := range map[string]int{"starts": 0, "applies": 1} {
		t.Run(of, func(t *testing.T) {
			peers := cluster(t, 3, nil)
			for _, key := range keys("k", 20) {
				commit(t, key, peers...)
			}
			ill := others(peers, leaderOf(t, peers...))[0]
			well := others(peers, ill)
			dir, addr := ill.cfg.DataDir, ill.Addr()
			ill.stop(t)
			ill = open(t, dir, addr, nil)
			cannot := &os.PathError{Op: "read", Path: ill.store.path, Err: syscall.EIO}
			ill.store.store = &unreadEntry{store: ill.store.store, index: index, times: times, err: cannot}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() { ill.ended <- ill.Run(ctx) }()
			err := ill.wait(t)
			require.ErrorIs(t, err, ErrStore)
			require.NotErrorIs(t, err, ErrCloseTimeout)
			require.Equal(t, "log store failed: read entry 3: "+ill.store.path+" cannot be read ("+cannot.Error()+"): "+obstacle(syscall.EIO), err.Error())
			for _, p := range well {
				p.stop(t)
			}
		})
	}
	t.Run("sends", func(t *testing.T) {
		told := make(chan error, 1)
		p := open(t, t.TempDir(), "127.0.0.1:0", nil)
		p.store.onError = func(err error) { told <- err }
		p.store.store = &unreadEntry{store: p.store.store, index: index, err: syscall.EIO}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = p.logs.GetLog(index, new(raft.Log))
			t.Error("it is told of an error, over which it panics")
		}()
		<-ended
		require.ErrorIs(t, <-told, syscall.EIO)
		require.NoError(t, p.Close())
		p.stopNet()
	})
}

// inTime fails the test if f hangs.
func inTime(t *testing.T, f func() error) error {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- f() }()
	select {
	case err := <-ended:
		return err
	case <-time.After(patience):
		require.FailNow(t, "hangs")
		return nil
	}
}

// TestPageThatCannotBeRead: bbolt reads through a memory map, where a page that is not there would end the process; one of the first two
// leaves bbolt's locks taken, for which nobody may wait.
func TestPageThatCannotBeRead(t *testing.T) {
	for _, size := range []int64{0, 4 << 10, 8 << 10} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			d, err := openDataDir(t.TempDir(), slog.New(slog.DiscardHandler))
			require.NoError(t, err)
			var told []error
			w := newWatchedStore(d, func(err error) { told = append(told, err) })
			for i := range uint64(50) {
				require.NoError(t, w.StoreLog(&raft.Log{Index: i + 1, Term: 1, Data: make([]byte, 8<<10)}))
			}
			require.NoError(t, w.SetUint64([]byte(currentTerm), 1))
			require.NoError(t, os.Truncate(w.path, size)) // what the map shows behind it is a fault, as what a disk does not give
			err = inTime(t, func() error { return w.GetLog(1, new(raft.Log)) })
			require.Equal(t, []error{err}, told)
			require.ErrorIs(t, err, ErrStore)
			require.ErrorIs(t, err, syscall.EIO)
			require.ErrorContains(t, err, w.path)
			require.ErrorContains(t, err, "the disk fails: look at the kernel's log")
			for _, f := range []func() error{
				func() error { return w.GetLog(2, new(raft.Log)) },
				func() error { _, err := w.FirstIndex(); return err },
				func() error { _, err := w.GetUint64([]byte(currentTerm)); return err },
				func() error { return w.Set([]byte("k"), nil) },
				func() error { return w.StoreLog(&raft.Log{Index: 51, Term: 1}) },
			} {
				require.Equal(t, errBroken, inTime(t, f), "that is all: why, has been said")
			}
			require.Len(t, told, 1)
			require.NoError(t, inTime(t, d.close))
		})
	}
}

// TestWriteOverAPageThatCannotBeRead: a write first reads what was there, and does not go on when that breaks off.
func TestWriteOverAPageThatCannotBeRead(t *testing.T) {
	for what, write := range map[string]func(w *watchedStore) error{
		"set":     func(w *watchedStore) error { return w.Set([]byte("k"), nil) },
		"number":  func(w *watchedStore) error { return w.SetUint64([]byte("k"), 1) },
		"entries": func(w *watchedStore) error { return w.StoreLog(&raft.Log{Index: 1, Term: 1}) },
	} {
		t.Run(what, func(t *testing.T) {
			d, err := openDataDir(t.TempDir(), slog.New(slog.DiscardHandler))
			require.NoError(t, err)
			var told []error
			w := newWatchedStore(d, func(err error) { told = append(told, err) })
			require.NoError(t, os.Truncate(w.path, 0))
			require.ErrorIs(t, inTime(t, func() error { return write(w) }), syscall.EIO)
			require.Len(t, told, 1)
			require.ErrorContains(t, told[0], w.path)
			require.ErrorContains(t, told[0], "the disk fails: look at the kernel's log")
			require.NoError(t, inTime(t, d.close))
		})
	}
}

// TestRunEndsWithoutItsDisk: a server whose disk does not give the first pages of raft.db any more ends with a sentence.
func TestRunEndsWithoutItsDisk(t *testing.T) {
	p := single(t, nil)
	require.NoError(t, os.Truncate(p.store.path, 0))
	go func() { _, _ = p.store.FirstIndex() }() // as Raft would
	err := p.wait(t)
	require.ErrorIs(t, err, ErrStore)
	require.NotErrorIs(t, err, ErrCloseTimeout)
	require.ErrorContains(t, err, "the disk fails: look at the kernel's log")
}

// TestMissingEntry: an entry that the log lacks between others is damage; one that it does not have yet, or no more, or that a snapshot
// holds, is just not there.
func TestMissingEntry(t *testing.T) {
	d, err := openDataDir(t.TempDir(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	var told error
	w := newWatchedStore(d, func(err error) { told = err })
	held := uint64(0)
	w.held = func() (uint64, error) { return held, nil }
	for _, i := range []uint64{2, 3, 5, 6} {
		require.NoError(t, w.StoreLog(&raft.Log{Index: i, Term: 1}))
	}
	for _, i := range []uint64{1, 7} {
		require.ErrorIs(t, w.GetLog(i, new(raft.Log)), raft.ErrLogNotFound)
	}
	require.NoError(t, told)
	err = w.GetLog(4, new(raft.Log))
	require.NotErrorIs(t, err, raft.ErrLogNotFound)
	require.ErrorIs(t, err, ErrStore)
	require.ErrorContains(t, err, "read entry 4: "+filepath.Join(d.path, "raft", "raft.db")+" cannot be read (it is missing, between entries 2 and 6): if a majority")
	require.Equal(t, err, told)
	held = 4
	require.ErrorIs(t, w.GetLog(4, new(raft.Log)), raft.ErrLogNotFound)
	held, told = 0, nil
	w.held = func() (uint64, error) { // an entry that comes while others are looked for
		return 0, w.StoreLog(&raft.Log{Index: 4, Term: 1})
	}
	require.NoError(t, w.GetLog(4, new(raft.Log)))
	require.NoError(t, told)
	require.NoError(t, d.close())
}

// TestSnapshotsThatCannotBeListed: whether one holds a missing entry is not known then, and Raft panics over an entry that is said to be missing.
func TestSnapshotsThatCannotBeListed(t *testing.T) {
	d, err := openDataDir(t.TempDir(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	var told []error
	w := newWatchedStore(d, func(err error) { told = append(told, err) })
	for _, i := range []uint64{2, 4} {
		require.NoError(t, w.StoreLog(&raft.Log{Index: i, Term: 1}))
	}
	w.held = func() (uint64, error) { return 0, &os.PathError{Op: "open", Path: w.snaps, Err: syscall.EMFILE} }
	err = w.GetLog(3, new(raft.Log))
	require.Equal(t, []error{err}, told)
	require.ErrorIs(t, err, ErrStore)
	require.EqualError(t, err, "log store failed: look for a snapshot that holds entry 3: "+w.snaps+" cannot be used (open "+w.snaps+
		": too many open files): "+obstacle(syscall.EMFILE))
	require.NoError(t, d.close())
}

// TestGuarded: what bbolt panics with is an error.
func TestGuarded(t *testing.T) {
	require.NoError(t, guarded(func() error { return nil }))
	require.ErrorIs(t, guarded(func() error { return syscall.EIO }), syscall.EIO)
	require.EqualError(t, guarded(func() error { panic("page 5:\nbad") }), "page 5:; bad")
	bad := errors.New("bad")
	require.ErrorIs(t, guarded(func() error { panic(bad) }), bad)
}
