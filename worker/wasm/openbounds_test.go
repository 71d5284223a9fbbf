package wasm

import (
	"bytes"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godwit-run/godwit/internal/files"
)

// TestListsAreBounded: what a guest makes the host keep of directories that it reads is bounded, and fits an image.
func TestListsAreBounded(t *testing.T) {
	open := &descriptors{}
	list := make([]files.Entry, 100_000)
	for i := range list {
		list[i].Name = strings.Repeat("n", 100)
	}
	held := 0
	for range 100 {
		d := &descriptor{kind: files.Directory}
		if err := open.weigh(d, list); err != nil {
			require.ErrorIs(t, err, syscall.ENOMEM)
			require.False(t, d.listed)
			break
		}
		open.open = append(open.open, d)
		held++
	}
	require.Equal(t, maxLists/(len(list)*(100+listEntry)), held)
	require.NoError(t, open.weigh(open.open[0], list), "one that is read again takes no more")
	open.open[0] = nil
	require.NoError(t, open.weigh(&descriptor{}, list), "what is closed makes room")
}

// TestUnnamedFileTooLarge: a file without a name that is too large to move is said to be, before anything of it is read.
func TestUnnamedFileTooLarge(t *testing.T) {
	tree, err := files.OpenLocal(t.TempDir(), false)
	require.NoError(t, err)
	defer tree.Close() //nolint:errcheck // of a test
	f, err := tree.Open("file", unix.O_CREAT|unix.O_RDWR)
	require.NoError(t, err)
	defer f.Close() //nolint:errcheck // of a test
	require.NoError(t, f.Truncate(maxUnnamed+1))
	require.NoError(t, tree.Unlink("file"))
	open := &descriptors{open: []*descriptor{{mount: &Mount{"/work", tree}, file: f, kind: files.Regular, read: true, write: true}}}
	require.ErrorContains(t, open.capture(io.Discard, true, false), "files without a name")
}

// TestUnnamedFileOfAVolume: one that is open for writing alone moves, with what is in it; one that is open twice would be two files, and is refused.
func TestUnnamedFileOfAVolume(t *testing.T) {
	tree, err := files.OpenLocal(t.TempDir(), false)
	require.NoError(t, err)
	defer tree.Close() //nolint:errcheck // of a test
	open := func(flags int) files.File {
		f, err := tree.Open("file", flags)
		require.NoError(t, err)
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	f, twice := open(unix.O_CREAT|unix.O_WRONLY), open(unix.O_RDONLY)
	_, err = f.WriteAt([]byte("text"), 0)
	require.NoError(t, err)
	require.NoError(t, tree.Unlink("file"))
	mount := &Mount{"/data", tree}
	at := func(f files.File) *descriptor {
		return &descriptor{mount: mount, file: f, kind: files.Regular, write: f != twice, read: f == twice}
	}
	table := &descriptors{open: []*descriptor{nil, nil, nil, at(f)}}
	var image bytes.Buffer
	require.NoError(t, table.capture(&image, true, false))
	there := &descriptors{open: make([]*descriptor, 3), mounts: []*Mount{mount}, scratch: t.TempDir()}
	require.NoError(t, there.restore(&image))
	b := make([]byte, 4)
	_, err = there.open[3].file.ReadAt(b, 0)
	require.NoError(t, err)
	require.Equal(t, "text", string(b))
	require.NoError(t, there.open[3].file.Close())
	table.open = append(table.open, at(twice))
	require.ErrorContains(t, table.capture(io.Discard, true, false), "file descriptors 3 and 4 are of one file without a name in a volume")
}
