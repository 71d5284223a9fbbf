package raftnode

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/internal/listen"
)

// written returns a directory of a server that has a log and two snapshots.
func written(t *testing.T) string {
	t.Helper()
	p := single(t, func(c *Config) { c.SnapshotThreshold = 5; c.TrailingLogs = 10 })
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
	// must is set where the server cannot go on.
	must bool
}

func cut(file string, to int64) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		require.NoError(t, os.Truncate(filepath.Join(dir, file), to))
	}
}

func flipPage(file string, at int64) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		f, err := os.OpenFile(filepath.Join(dir, file), os.O_RDWR, 0)
		require.NoError(t, err)
		b := make([]byte, 4096)
		_, err = f.ReadAt(b, at)
		require.NoError(t, err)
		for i := range b {
			b[i] ^= 0x5a
		}
		_, err = f.WriteAt(b, at)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
}

// snapshots returns a damage to each snapshot.
func snapshots(do func(t *testing.T, snapshot string)) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		all, err := filepath.Glob(filepath.Join(dir, "raft", "snapshots", "*"))
		require.NoError(t, err)
		require.Len(t, all, 2)
		for _, s := range all {
			do(t, s)
		}
	}
}

func damages(t *testing.T, from string) []damage {
	t.Helper()
	db := filepath.Join("raft", "raft.db")
	st, err := os.Stat(filepath.Join(from, db))
	require.NoError(t, err)
	out := []damage{
		{"both snapshots cut", snapshots(func(t *testing.T, s string) { cut("state.bin", 3)(t, s) }), true},
		{"what both snapshots hold gone", snapshots(func(t *testing.T, s string) {
			require.NoError(t, os.Remove(filepath.Join(s, "state.bin")))
		}), true},
		{"what tells of both snapshots cut", snapshots(func(t *testing.T, s string) { cut("meta.json", 3)(t, s) }), true},
		{"both snapshots gone", snapshots(func(t *testing.T, s string) { require.NoError(t, os.RemoveAll(s)) }), true},
	}
	for _, to := range []int64{0, 100, 4096, 8192, 16384, st.Size() / 4, st.Size() / 2, st.Size() - 4096} {
		out = append(out, damage{fmt.Sprint("cut to ", to), cut(db, to), false})
	}
	out = append(out, damage{"all pages but the first two overwritten", func(t *testing.T, dir string) {
		garbage := make([]byte, st.Size()-8192)
		_, _ = rand.NewChaCha8([32]byte{1}).Read(garbage) // never fails
		f, err := os.OpenFile(filepath.Join(dir, db), os.O_RDWR, 0)
		require.NoError(t, err)
		_, err = f.WriteAt(garbage, 8192)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}, true})
	for page := int64(0); page < st.Size(); page += 4096 {
		out = append(out, damage{fmt.Sprint("page at ", page), flipPage(db, page), false})
	}
	return out
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
			err := runOn(t, dir)
			if d.must {
				require.Error(t, err)
			}
			if err != nil {
				require.ErrorContains(t, err, dir)
				require.ErrorContains(t, err, "start again with an empty one")
				require.NotContains(t, err.Error(), "\n")
				require.NotContains(t, err.Error(), "goroutine")
				require.NotContains(t, err.Error(), "runtime error")
			}
		})
	}
}

// TestCutLog: where what is left leads behind the file's end, that is said, and not what the runtime says of the library's code.
func TestCutLog(t *testing.T) {
	dir := t.TempDir()
	d, err := openDataDir(dir, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	w := newWatchedStore(d, func(err error) { t.Error(err) })
	require.NoError(t, w.StoreLog(&raft.Log{Index: 1, Term: 1, Data: make([]byte, 8<<10)}))
	require.NoError(t, d.close())
	require.NoError(t, os.Truncate(w.path, 8<<10))
	_, errOpen := openDataDir(dir, slog.New(slog.DiscardHandler))
	_, errStored := OpenStoredLog(dir)
	for _, err := range []error{errOpen, errStored} {
		require.ErrorContains(t, err, w.path+" cannot be read (page ")
		require.ErrorContains(t, err, " is not there): if a majority") // which of them is looked for first is no matter
	}
}
