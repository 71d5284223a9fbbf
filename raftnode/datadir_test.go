package raftnode

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/internal/dirlock"
)

// holdLock is the second process of TestDataDirOfAnotherProcess: it holds the directory until its stdin ends.
func holdLock(dir string) {
	d, err := openDataDir(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("locked")
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = d.close()
}

func openDir(path string) (*dataDir, error) { return openDataDir(path, slog.New(slog.DiscardHandler)) }

func TestDataDirOfAnotherProcess(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "GODWIT_TEST_LOCK="+dir)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "locked\n", line)

	started := time.Now()
	_, err = openDir(dir)
	require.ErrorIs(t, err, ErrLocked)
	require.ErrorContains(t, err, fmt.Sprintf("process %d has %s", cmd.Process.Pid, dir))
	require.Less(t, time.Since(started), 2*time.Second)

	require.NoError(t, in.Close())
	require.NoError(t, cmd.Wait())
	d, err := openDir(dir)
	require.NoError(t, err, "the lock went with its process")
	require.NoError(t, d.close())
}

func TestServerIDLivesAndDiesWithRaftDB(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	d, err := openDir(dir)
	require.NoError(t, err)
	id := d.serverID()
	require.Len(t, string(id), 36)
	st, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), st.Mode().Perm())
	require.NoError(t, d.setClusterID("c1"))
	require.NoError(t, d.setClusterID("c1"))
	require.ErrorIs(t, d.setClusterID("c2"), ErrForeignCluster)
	require.NoError(t, d.close())

	require.NoError(t, os.Remove(filepath.Join(dir, "meta.json"))) // raft.db alone tells the id.
	d, err = openDir(dir)
	require.NoError(t, err)
	require.Equal(t, id, d.serverID())
	require.NoError(t, d.setClusterID("c1"))
	require.NoError(t, d.close())

	require.NoError(t, os.Remove(filepath.Join(dir, "raft", "raft.db")))
	d, err = openDir(dir)
	require.NoError(t, err)
	require.NotEqual(t, id, d.serverID(), "votes given under the old id are forgotten")
	require.Equal(t, "c1", d.clusterID())
	require.NoError(t, d.close())

	meta := filepath.Join(dir, "meta.json")
	require.NoError(t, os.WriteFile(meta, []byte(`{"server_id":"somebody-else"}`), 0o600))
	_, err = openDir(dir)
	require.ErrorContains(t, err, "mixed up")
	require.NoError(t, os.WriteFile(meta, []byte(`{`), 0o600))
	_, err = openDir(dir)
	require.ErrorContains(t, err, "meta.json")
}

func TestBadDataDirs(t *testing.T) {
	for name, tc := range map[string]struct {
		make func(t *testing.T, dir string) string
		want string
	}{
		"a file": {func(t *testing.T, dir string) string {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "f"), nil, 0o600))
			return filepath.Join(dir, "f")
		}, "is a file"},
		"garbage raft.db": {func(t *testing.T, dir string) string {
			require.NoError(t, os.MkdirAll(filepath.Join(dir, "raft"), 0o700))
			garbage := []byte(strings.Repeat("garbage ", 4096))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "raft", "raft.db"), garbage, 0o600))
			return dir
		}, "raft.db cannot be read"},
		"truncated raft.db": {func(t *testing.T, dir string) string {
			d, err := openDir(dir)
			require.NoError(t, err)
			require.NoError(t, d.close())
			require.NoError(t, os.Truncate(filepath.Join(dir, "raft", "raft.db"), 5000))
			return dir
		}, "raft.db cannot be read"},
		"under a file": {func(t *testing.T, dir string) string {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "f"), nil, 0o600))
			return filepath.Join(dir, "f", "data")
		}, "make data directory"},
		"where nothing can be made": {func(*testing.T, string) string { return "/proc/godwit" }, "make data directory /proc/godwit"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := openDir(tc.make(t, t.TempDir()))
			require.ErrorContains(t, err, tc.want)
			require.NotRegexp(t, `[: ]$`, err.Error(), "what is behind the last colon is not empty")
		})
	}
}

// TestDirectoryGone: a server whose directory is removed under it ends, and says so.
func TestDirectoryGone(t *testing.T) {
	p := single(t, nil)
	propose(t, p, "entry")
	require.NoError(t, os.RemoveAll(p.cfg.DataDir))
	err := p.wait(t)
	require.ErrorIs(t, err, ErrStore)
	require.ErrorIs(t, err, dirlock.ErrGone)
}
