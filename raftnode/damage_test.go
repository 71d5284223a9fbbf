package raftnode

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/godwit-run/godwit/internal/listen"
)

// written returns a directory of a server that has a log and two snapshots.
func written(t *testing.T) string {
	t.Helper()
	p := single(t, func(c *Config) { c.SnapshotThreshold = 5; c.TrailingLogs = 50 })
	for _, k := range keys("entry", 200) {
		propose(t, p, k)
	}
	for range 2 {
		require.NoError(t, p.raft.Load().Snapshot().Error())
		propose(t, p, "more")
	}
	p.stop(t)
	return p.cfg.DataDir
}

// damage is one way to spoil a copy of a server's directory.
type damage struct {
	name string
	do   func(t *testing.T, dir string)
}

// damages cuts raft.db at many places, flips each of its pages, and cuts both snapshots.
func damages(t *testing.T, from string) []damage {
	t.Helper()
	db := filepath.Join("raft", "raft.db")
	st, err := os.Stat(filepath.Join(from, db))
	require.NoError(t, err)
	var out []damage
	for _, cut := range []int64{0, 100, 4096, 8192, 16384, st.Size() / 4, st.Size() / 2, st.Size() - 4096} {
		out = append(out, damage{"cut to " + slog.Int64Value(cut).String(), func(t *testing.T, dir string) {
			require.NoError(t, os.Truncate(filepath.Join(dir, db), cut))
		}})
	}
	for page := int64(0); page < st.Size(); page += 4096 {
		out = append(out, damage{"page at " + slog.Int64Value(page).String(), func(t *testing.T, dir string) {
			flip(t, filepath.Join(dir, db), page)
		}})
	}
	snaps, err := filepath.Glob(filepath.Join(from, "raft", "snapshots", "*", "state.bin"))
	require.NoError(t, err)
	require.Len(t, snaps, 2)
	return append(out, damage{"both snapshots", func(t *testing.T, dir string) {
		for _, s := range snaps {
			rel, err := filepath.Rel(from, s)
			require.NoError(t, err)
			require.NoError(t, os.Truncate(filepath.Join(dir, rel), 3))
		}
	}})
}

// flip changes every byte of a page.
func flip(t *testing.T, path string, page int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	b := make([]byte, 4096)
	_, err = f.ReadAt(b, page)
	require.NoError(t, err)
	for i := range b {
		b[i] ^= 0x5a
	}
	_, err = f.WriteAt(b, page)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// runOn opens a directory and runs a server on it until it is ready; the error is what either says.
func runOn(t *testing.T, dir string) error {
	t.Helper()
	l, err := listen.New("127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // nothing runs on it
	n, err := Open(testConfig(dir, l.Addr().String()), NewFSM(&journal{}), l.Protocol(Protocol), slog.Default())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	select {
	case <-n.Ready():
		cancel()
		return <-ended
	case err := <-ended:
		return err
	}
}

// TestDamage cuts and flips files: what cannot be read is said in one sentence that names a file and what to do; what can be read goes on.
func TestDamage(t *testing.T) {
	from := written(t)
	for _, d := range damages(t, from) {
		t.Run(d.name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.CopyFS(dir, os.DirFS(from)))
			d.do(t, dir)
			if err := runOn(t, dir); err != nil {
				require.ErrorContains(t, err, dir)
				require.ErrorContains(t, err, "start again with an empty one")
				require.NotContains(t, err.Error(), "\n")
				require.NotContains(t, err.Error(), "goroutine")
			}
		})
	}
}

// TestObstacles: what the machine refuses is not told as damage.
func TestObstacles(t *testing.T) {
	for _, errno := range []error{
		syscall.EACCES, syscall.EPERM, syscall.EMFILE, syscall.ENFILE, syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.ENOMEM,
		syscall.EIO, bolterrors.ErrTimeout,
	} {
		err := unreadable("raft.db", &os.PathError{Op: "open", Path: "raft.db", Err: errno})
		require.ErrorIs(t, err, errno)
		require.ErrorContains(t, err, "and start again")
		require.NotContains(t, err.Error(), "move this server's data directory away")
	}
	for _, damage := range []error{bolterrors.ErrChecksum, bolterrors.ErrInvalid, bolterrors.ErrVersionMismatch, io.ErrUnexpectedEOF} {
		require.ErrorContains(t, unreadable("raft.db", damage), "move this server's data directory away")
	}
}

// TestHeldStore: another process has the store open.
func TestHeldStore(t *testing.T) {
	dir := written(t)
	db, err := bbolt.Open(filepath.Join(dir, "raft", "raft.db"), 0o600, nil)
	require.NoError(t, err)
	_, err = openDataDir(dir, slog.Default())
	require.ErrorContains(t, err, "end the process that has it open")
	require.NoError(t, db.Close())
	d, err := openDataDir(dir, slog.Default())
	require.NoError(t, err)
	require.NoError(t, d.close())
}
