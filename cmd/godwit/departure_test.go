package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/internal/dirlock"
)

// leftDirectory is the data directory of server "a", which has left and whose data is not put away yet.
func leftDirectory(t *testing.T) departure {
	t.Helper()
	d := departure{t.TempDir()}
	require.NoError(t, os.Mkdir(filepath.Join(d.dataDir, "raft"), 0o700))
	put(t, d, "raft/raft.db", "log")
	put(t, d, "meta.json", `{"server_id":"a","cluster_id":"x"}`)
	require.NoError(t, d.write(departureNote{ServerID: "a", Left: true}))
	return d
}

func put(t *testing.T, d departure, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(d.dataDir, name), []byte(text), 0o600))
}

func requireAway(t *testing.T, d departure) {
	t.Helper()
	require.NoDirExists(t, filepath.Join(d.dataDir, "raft"))
	b, err := os.ReadFile(filepath.Join(d.dataDir, "raft.left", "raft.db"))
	require.NoError(t, err)
	require.Equal(t, "log", string(b))
	require.NoFileExists(t, d.path())
	if b, err = os.ReadFile(filepath.Join(d.dataDir, "meta.json")); !os.IsNotExist(err) {
		require.NoError(t, err)
		require.JSONEq(t, `{"server_id":"","cluster_id":"x"}`, string(b), "it can join that cluster only")
	}
}

// Whatever a crash left done already, the next call does the rest.
func TestPutAway(t *testing.T) {
	for name, crash := range map[string]func(d departure){
		"nothing done": func(departure) {},
		"an older one removed": func(d departure) {
			require.NoError(t, os.MkdirAll(filepath.Join(d.dataDir, "raft.left", "snapshots"), 0o700))
		},
		"moved": func(d departure) {
			require.NoError(t, os.Rename(filepath.Join(d.dataDir, "raft"), filepath.Join(d.dataDir, "raft.left")))
		},
		"the server forgotten": func(d departure) { require.NoError(t, d.moveAway()) },
		"meta.json gone":       func(d departure) { require.NoError(t, os.Remove(filepath.Join(d.dataDir, "meta.json"))) },
	} {
		t.Run(name, func(t *testing.T) {
			d := leftDirectory(t)
			crash(d)
			done, err := d.putAway()
			require.NoError(t, err)
			require.True(t, done)
			requireAway(t, d)
			done, err = d.putAway()
			require.NoError(t, err)
			require.False(t, done, "once")
		})
	}
}

func TestPutAwayNeedsTheLock(t *testing.T) {
	d := leftDirectory(t)
	lock, err := dirlock.Lock(d.dataDir)
	require.NoError(t, err)
	_, err = d.putAway()
	require.ErrorIs(t, err, dirlock.ErrHeld)
	require.FileExists(t, filepath.Join(d.dataDir, "raft", "raft.db"))
	require.NoError(t, lock.Close())
}

func TestDataOfAMemberStays(t *testing.T) {
	d := leftDirectory(t)
	require.NoError(t, d.write(departureNote{ServerID: "a"}))
	done, err := d.putAway()
	require.NoError(t, err)
	require.False(t, done, "nobody has said that it has left")
	require.NoError(t, d.belongs("a"))
	require.FileExists(t, d.path())
	require.FileExists(t, filepath.Join(d.dataDir, "raft", "raft.db"))

	require.NoError(t, d.write(departureNote{ServerID: "a", Left: true}))
	require.ErrorIs(t, d.belongs("a"), errLeft)
	require.NoError(t, d.belongs("b"), "a new server in the directory")
	require.NoFileExists(t, d.path())
	done, err = d.putAway()
	require.NoError(t, err)
	require.False(t, done, "its data is its own")

	put(t, d, "leaving.json", "{")
	_, err = d.putAway()
	require.ErrorContains(t, err, "godwit servers")
}
