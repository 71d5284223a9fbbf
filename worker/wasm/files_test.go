package wasm

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/internal/files"
)

// mountLocal is a directory of this host at a place where guests see it.
func mountLocal(t *testing.T, at, dir string, readOnly bool) Mount {
	t.Helper()
	tree, err := files.OpenLocal(dir, readOnly)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tree.Close()) })
	return Mount{Path: at, Tree: tree}
}

// Files mean what POSIX says, whenever ranks move, with all that they have open.
func TestFiles(t *testing.T) {
	for _, every := range []int{0, 100} {
		dir := t.TempDir()
		w := &world{
			t: t, module: compile(t, "files"), args: []string{"files"}, every: every, dir: "/work",
			mounts: []Mount{mountLocal(t, "/work", dir, false), mountLocal(t, "/tmp", t.TempDir(), false)},
		}
		for rank, r := range w.run(3) {
			require.Equal(t, Exit{}, r.exit, "rank %d: %s", rank, &r.stderr)
			require.Empty(t, r.stdout.String())
		}
		text, err := os.ReadFile(filepath.Join(dir, "rank1", "stdout"))
		require.NoError(t, err)
		require.Equal(t, "into the file\n", string(text))
		mapped, err := os.ReadFile(filepath.Join(dir, "ends"))
		require.NoError(t, err)
		require.Equal(t, "\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00", string(mapped))
		if every > 0 {
			require.Greater(t, w.moves, 5)
		}
	}
}

// A path leads into the mount that it names, whatever detours it makes; links on the way are for the mount's tree to follow.
func TestFind(t *testing.T) {
	tree := newSkeleton(nil)
	open, err := newDescriptors([]Mount{{"/work", tree}, {"/work/in", tree}, {"/tmp", tree}}, "")
	require.NoError(t, err)
	root, work := open.mounts[0], open.mounts[1]
	for _, c := range []struct {
		from       *Mount
		base, name string
		mount      string
		path       string
	}{
		{root, ".", "work/a", "/work", "a"},
		{root, ".", "work", "/work", "."},
		{root, ".", "work/", "/work", "."},
		{root, ".", "work/a/", "/work", "a/"},
		{root, ".", "workshop/a", "/", "workshop/a"},
		{root, ".", "work/a/../b", "/work", "a/../b"},
		{root, ".", "work/in/x", "/work/in", "x"},
		{root, ".", "work/a/../../work/x", "/work", "x"},
		{root, ".", "work/../../work/x", "/work", "x"},
		{work, ".", "../../work/x", "/work", "x"},
		{root, ".", "work/../tmp/x", "/tmp", "x"},
		{root, ".", "../../tmp/x", "/tmp", "x"},
		{root, ".", "work/..", "/", "."},
		{work, ".", "a", "/work", "a"},
		{work, "d", "../a", "/work", "d/../a"},
		{work, "d", "../../tmp/x", "/tmp", "x"},
		{work, "d", "/tmp/x", "/tmp", "x"},
		{work, ".", "in/x", "/work/in", "x"},
	} {
		got := open.find(c.from, c.base, c.name)
		require.Equal(t, c.mount, got.mount.Path, c)
		require.Equal(t, c.path, got.path, c)
	}
}
