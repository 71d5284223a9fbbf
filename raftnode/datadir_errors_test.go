package raftnode

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// TestObstaclesAreNotDamage: only damage is answered with the advice to give the directory up.
func TestObstaclesAreNotDamage(t *testing.T) {
	path := func(err error) error { return &os.PathError{Op: "open", Path: "x", Err: err} }
	for _, tc := range []struct {
		err  error
		want string
	}{
		{bolterrors.ErrTimeout, "end the process that has it open"},
		{path(syscall.EACCES), "start as the user who owns it"},
		{syscall.EPERM, "start as the user who owns it"},
		{path(syscall.EMFILE), "raise the limit on open files"},
		{path(syscall.ENFILE), "raise the limit on open files"},
		{path(syscall.EROFS), "read-only"},
		{path(syscall.ENOSPC), "make room"},
		{os.NewSyscallError("write", syscall.EDQUOT), "make room"},
		{syscall.ENOMEM, "memory"},
		{path(syscall.EIO), "kernel's log"},
		{path(syscall.ESTALE), "kernel's log"},
		{path(syscall.EISDIR), "the operating system refuses it"},
		{path(syscall.ENOTDIR), "the operating system refuses it"},
		// As bbolt and raft say it, who format their cause.
		{fmt.Errorf("file sync error: %s", path(syscall.EIO)), "the disk fails"},                     //nolint:errorlint // as bbolt does
		{fmt.Errorf("file resize error: %v", path(syscall.ENOSPC)), "make room"},                     //nolint:errorlint // as bbolt does
		{fmt.Errorf("mmap allocate error: %s", syscall.ENOMEM), "the machine has not enough memory"}, //nolint:errorlint // as bbolt does
		{fmt.Errorf("failed to load current term: %v", syscall.EIO), "the disk fails"},               //nolint:errorlint // as raft does
	} {
		err := unreadable("/data/raft/raft.db", fmt.Errorf("while starting: %w", tc.err))
		require.ErrorIs(t, err, tc.err)
		require.ErrorContains(t, err, "/data/raft/raft.db cannot be used")
		require.ErrorContains(t, err, tc.want)
		require.ErrorContains(t, err, "nothing says that the data is damaged, keep it")
		require.NotContains(t, err.Error(), "move this server's data directory away")
	}
	require.ErrorIs(t, unreadable("x", bolterrors.ErrTimeout), ErrLocked)
	for _, err := range []error{
		bolterrors.ErrChecksum, bolterrors.ErrInvalid, bolterrors.ErrVersionMismatch, io.ErrUnexpectedEOF, path(syscall.ENOENT),
		fmt.Errorf("first page: %s", syscall.ENOENT), //nolint:errorlint // as bbolt does
		errors.New("page 3\nis torn"),
	} {
		told := unreadable("x", err)
		require.ErrorIs(t, told, err)
		require.ErrorContains(t, told, "move this server's data directory away")
		require.NotContains(t, told.Error(), "\n")
	}
}

// TestADiskThatDoesNotGiveTheFile: bbolt calls a first page that it could not read invalid, and what it reads through its memory map
// damaged. The file is read before it is called so; the kernel gives the first page of its own memory to nobody.
func TestADiskThatDoesNotGiveTheFile(t *testing.T) {
	err := unreadable("/proc/self/mem", bolterrors.ErrInvalid)
	require.ErrorIs(t, err, bolterrors.ErrInvalid)
	require.ErrorContains(t, err, "the disk fails")
	require.NotContains(t, err.Error(), "move this server's data directory away")
}

// TestRealObstacles puts real ones into the way of a good directory, which must start once they are gone.
func TestRealObstacles(t *testing.T) {
	for name, tc := range map[string]struct {
		put  func(t *testing.T, dir string) (undo func())
		want string
	}{
		"no more files": {func(t *testing.T, _ string) func() {
			var limit syscall.Rlimit
			require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
			low := limit
			low.Cur = 0
			require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low))
			return func() { require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)) }
		}, "raise the limit on open files"},
		"raft.db open elsewhere": {func(t *testing.T, dir string) func() {
			db, err := bbolt.Open(filepath.Join(dir, "raft", "raft.db"), 0o600, nil)
			require.NoError(t, err)
			return func() { require.NoError(t, db.Close()) }
		}, "end the process that has it open"},
		"a snapshot that may not be read": {func(t *testing.T, dir string) func() {
			metas, err := filepath.Glob(filepath.Join(dir, "raft", "snapshots", "*", "meta.json"))
			require.NoError(t, err)
			for _, m := range metas { // root reads what it may not; nobody reads a directory as a file.
				require.NoError(t, os.Rename(m, m+".aside"))
				require.NoError(t, os.Mkdir(m, 0o700))
			}
			return func() {
				for _, m := range metas {
					require.NoError(t, os.Remove(m))
					require.NoError(t, os.Rename(m+".aside", m))
				}
			}
		}, "the operating system refuses it"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := written(t)
			undo := tc.put(t, dir)
			_, err := openDataDir(dir, slog.New(slog.DiscardHandler))
			undo()
			require.ErrorContains(t, err, tc.want)
			require.NotContains(t, err.Error(), "move this server's data directory away")
			require.NoError(t, runOn(t, dir))
		})
	}
}

// TestSnapshotThatFailsToBeRead loses the reason to Raft, which knows only that no snapshot could be loaded.
func TestSnapshotThatFailsToBeRead(t *testing.T) {
	d, err := openDir(written(t))
	require.NoError(t, err)
	defer d.close() //nolint:errcheck // only read
	none := errors.New("failed to load any existing snapshots")
	require.ErrorContains(t, d.unreadable(none), "move this server's data directory away")
	list, err := d.snaps.List()
	require.NoError(t, err)
	_, source, err := d.snaps.Open(list[0].ID)
	require.NoError(t, err)
	require.NoError(t, source.Close())
	d.snaps.SnapshotStore = brokenSnapshots{d.snaps.SnapshotStore}
	_, _, err = d.snaps.Open(list[0].ID)
	require.ErrorIs(t, err, syscall.EMFILE)
	err = d.unreadable(none)
	require.ErrorContains(t, err, "raise the limit on open files")
	require.ErrorContains(t, err, list[0].ID)
}
