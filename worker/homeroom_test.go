package worker

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestMeasure: what a program has made is counted once, and no link is followed.
func TestMeasure(t *testing.T) {
	dir := t.TempDir()
	empty := measure(context.Background(), dir, 1<<30)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "a", "b"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a", "file"), make([]byte, 1<<20), 0o600))
	require.NoError(t, os.Link(filepath.Join(dir, "a", "file"), filepath.Join(dir, "a", "b", "same")))
	require.NoError(t, os.Symlink("/", filepath.Join(dir, "root")))
	got := measure(context.Background(), dir, 1<<30)
	require.Equal(t, int64(5), got.files-empty.files)
	require.InDelta(t, 1<<20, got.bytes-empty.bytes, 64<<10)
	require.Empty(t, got.beyond(2<<20, 100))
	require.Contains(t, got.beyond(1<<19, 100), "--files-limit")
	require.Contains(t, got.beyond(2<<20, 4), "none is added")
}

// TestCrowdedHome: a directory that has passed its quota takes nothing more, until something is removed.
func TestCrowdedHome(t *testing.T) {
	b := newHomeBench(t)
	h := b.a.home
	b.a.filled = true
	b.a.homeRoom(h, "there is too much", "")
	require.Equal(t, "there is too much", b.status().Files.GetTrouble())
	told := b.next().GetHome()
	require.True(t, told.GetFull())
	_, err := h.trees[0].Open("new", unix.O_CREAT|unix.O_WRONLY)
	require.ErrorIs(t, err, syscall.EDQUOT)
	b.a.homeRoom(h, "", "")
	require.False(t, b.next().GetHome().GetFull())
	require.Empty(t, b.status().Files.GetTrouble())
	_, err = h.trees[0].Open("new", unix.O_CREAT|unix.O_WRONLY)
	require.NoError(t, err)
	b.a.homeRoom(h, "", "the disk is full")
	require.True(t, strings.Contains(b.status().Files.GetTrouble(), "disk is full"))
}
