package raftnode

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

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

// TestDamage cuts and flips files: what cannot be read is said in one sentence that names a file and what to do; what can be read goes on.
func TestDamage(t *testing.T) {
	from := written(t)
	db := filepath.Join("raft", "raft.db")
	st, err := os.Stat(filepath.Join(from, db))
	require.NoError(t, err)
	type damage struct {
		name string
		do   func(t *testing.T, dir string)
	}
	var damages []damage
	for _, cut := range []int64{0, 100, 4096, 8192, 16384, st.Size() / 4, st.Size() / 2, st.Size() - 4096} {
		damages = append(damages, damage{"cut to " + slog.Int64Value(cut).String(), func(t *testing.T, dir string) {
			require.NoError(t, os.Truncate(filepath.Join(dir, db), cut))
		}})
	}
	for page := int64(0); page < st.Size(); page += 4096 {
		damages = append(damages, damage{"page at " + slog.Int64Value(page).String(), func(t *testing.T, dir string) {
			f, err := os.OpenFile(filepath.Join(dir, db), os.O_RDWR, 0)
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
		}})
	}
	snaps, err := filepath.Glob(filepath.Join(from, "raft", "snapshots", "*", "state.bin"))
	require.NoError(t, err)
	require.Len(t, snaps, 2)
	damages = append(damages, damage{"both snapshots", func(t *testing.T, dir string) {
		for _, s := range snaps {
			rel, err := filepath.Rel(from, s)
			require.NoError(t, err)
			require.NoError(t, os.Truncate(filepath.Join(dir, rel), 3))
		}
	}})
	for _, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.CopyFS(dir, os.DirFS(from)))
			d.do(t, dir)
			l, err := listen.New("127.0.0.1:0")
			require.NoError(t, err)
			defer l.Close() //nolint:errcheck // nothing runs on it
			cfg := testConfig(dir, l.Addr().String())
			n, err := Open(cfg, NewFSM(&journal{}), l.Protocol(Protocol), slog.Default())
			if err == nil {
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- n.Run(ctx) }()
				select {
				case <-n.Ready():
					cancel()
				case err = <-ended:
					ended <- err
				}
				err = <-ended
				cancel()
			}
			if err != nil {
				require.ErrorContains(t, err, dir)
				require.ErrorContains(t, err, "start again with an empty one")
				require.NotContains(t, err.Error(), "\n")
				require.NotContains(t, err.Error(), "goroutine")
			}
		})
	}
}
