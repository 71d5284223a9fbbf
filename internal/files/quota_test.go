package files

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestFull: in a tree that has passed its quota what is there stays of use, and can be removed; nothing is added.
func TestFull(t *testing.T) {
	tree, err := OpenLocal(t.TempDir(), false)
	require.NoError(t, err)
	defer tree.Close() //nolint:errcheck // of a test
	f, err := tree.Open("file", unix.O_CREAT|unix.O_RDWR)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte("text"), 0)
	require.NoError(t, err)

	tree.SetFull(true)
	_, err = f.WriteAt([]byte("TE"), 0)
	require.NoError(t, err)
	for _, add := range []func() error{
		func() error { _, err := f.WriteAt([]byte("longer"), 0); return err },
		func() error { _, _, err := f.Append([]byte("x")); return err },
		func() error { return f.Allocate(0, 100) },
		func() error { _, err := tree.Open("other", unix.O_CREAT|unix.O_WRONLY); return err },
		func() error { return tree.Mkdir("dir") },
		func() error { return tree.Symlink("file", "link") },
		func() error { return tree.Link("file", "second") },
	} {
		require.ErrorIs(t, add(), syscall.EDQUOT)
	}
	require.ErrorIs(t, tree.Mkdir("file"), syscall.EEXIST)
	again, err := tree.Open("file", unix.O_CREAT|unix.O_RDWR)
	require.NoError(t, err)
	require.NoError(t, again.Close())
	require.NoError(t, f.Truncate(1))
	require.NoError(t, tree.Rename("file", "moved"))
	require.NoError(t, tree.Unlink("moved"))

	tree.SetFull(false)
	require.NoError(t, tree.Mkdir("dir"))
	require.NoError(t, f.Close())
}

// TestAhead: a host lets writes go ahead while there is room for what may be under way, and those that do pass a quota, since their writer has been told that they are done.
func TestAhead(t *testing.T) {
	dir := t.TempDir()
	var st unix.Statfs_t
	require.NoError(t, unix.Statfs(dir, &st))
	roomy := int64(st.Bavail)*st.Bsize >= aheadRoom
	tree, err := OpenLocal(dir, false)
	require.NoError(t, err)
	defer tree.Close() //nolint:errcheck // of a test
	input, err := NewInput("")
	require.NoError(t, err)
	s := NewServer(tree, tree, input)
	defer s.Close() //nolint:errcheck // of a test
	remote, now := NewRemote(&direct{server: s, random: rand.New(rand.NewPCG(1, 2))}, false), time.Now()
	remote.now = func() time.Time { return now }
	opened, err := remote.Open("file", unix.O_CREAT|unix.O_RDWR)
	require.NoError(t, err)
	f, ok := opened.(Distant)
	require.True(t, ok)
	require.Equal(t, roomy, f.Ahead())
	tree.SetFull(true)
	end, err := f.WriteAhead([]byte("text"), 0)
	require.NoError(t, err)
	require.EqualValues(t, 4, end, "of it is written")
	require.False(t, f.Ahead(), "it is full, and what follows hears of it")
	end, err = f.WriteAhead([]byte("more"), -1)
	require.NoError(t, err)
	require.EqualValues(t, 8, end)
	_, _, err = f.Append([]byte("x"))
	require.ErrorIs(t, err, syscall.EDQUOT)
	_, err = f.WriteAt([]byte("x"), 8)
	require.ErrorIs(t, err, syscall.EDQUOT)
	tree.SetFull(false)
	_, err = f.WriteAt([]byte("x"), 8)
	require.NoError(t, err)
	require.Equal(t, roomy, f.Ahead())
	other, err := remote.Open("other", unix.O_CREAT|unix.O_RDWR)
	require.NoError(t, err)
	tree.SetFull(true)
	_, err = other.WriteAt([]byte("x"), 0)
	require.ErrorIs(t, err, syscall.EDQUOT)
	require.False(t, f.Ahead(), "what one file hears is of all")
	tree.SetFull(false)
	_, err = other.WriteAt([]byte("x"), 0)
	require.NoError(t, err)
	require.Equal(t, roomy, f.Ahead())
	now = now.Add(roomHolds)
	require.False(t, f.Ahead(), "it may be full by now")
}

// TestLimit: what asks for room is held against the quota before it has any, with all that there is; what has been removed counts no more.
func TestLimit(t *testing.T) {
	var trees [2]*Local
	for i := range trees {
		trees[i] = local(t, t.TempDir(), false)
	}
	const mib = 1 << 20
	Limit(trees, 20*mib)
	now := time.Now()
	trees[0].quota.Load().now = func() time.Time { now = now.Add(time.Microsecond); return now }
	file := func(i int, name string) File {
		f, err := trees[i].Open(name, unix.O_CREAT|unix.O_RDWR)
		require.NoError(t, err)
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	a, b, c := file(0, "a"), file(1, "b"), file(1, "c")
	require.Equal(t, syscall.EDQUOT, a.Allocate(0, 2000*mib))
	info, err := a.Stat()
	require.NoError(t, err)
	require.Zero(t, info.Size)
	require.NoError(t, a.Allocate(0, 12*mib))
	require.NoError(t, a.Allocate(0, 12*mib), "it has that")
	require.Equal(t, syscall.EDQUOT, b.Allocate(0, 12*mib))
	require.NoError(t, b.Allocate(1<<40, 4*mib), "of a hole there is nothing")
	require.Equal(t, syscall.EDQUOT, c.Allocate(0, 5*mib))
	require.NoError(t, a.Truncate(0))
	now = now.Add(time.Minute)
	require.NoError(t, b.Allocate(0, 12*mib))
	require.Error(t, b.Allocate(1<<62, 1<<62))
	now = now.Add(time.Minute)
	passed := int64(0)
	d := file(0, "d")
	require.NoError(t, d.Allocate(1000*mib, mib))
	for i := range int64(50) { // what lies before what is allocated is not there yet
		if d.Allocate(i*mib, mib) == nil {
			passed++
		}
	}
	require.LessOrEqual(t, passed, int64(8), "no more than there is, but for once")
}
