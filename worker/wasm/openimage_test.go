package wasm

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/internal/files"
)

// countingFile counts how often it is brought to the disk.
type countingFile struct {
	files.File
	syncs int
}

func (f *countingFile) Sync() error {
	f.syncs++
	return f.File.Sync()
}

// keptFile is one that its tree's home has.
type keptFile struct{ *countingFile }

func (keptFile) Keep() (keeper, kept uint64, err error) { return 1, 2, nil }

// TestSyncsInThePause: a rank that moves waits for the disk where hosts share a file system, which may tell others of what was written only then, and not for files that it reaches
// through their home wherever it is.
func TestSyncsInThePause(t *testing.T) {
	tree, err := files.OpenLocal(t.TempDir(), false)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tree.Close()) })
	f, err := tree.Open("f", syscall.O_CREAT|syscall.O_RDWR)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	for _, tt := range []struct {
		write, kept bool
		syncs       int
	}{{true, false, 1}, {false, false, 0}, {true, true, 0}} {
		counts := &countingFile{File: f}
		d := &descriptor{file: counts, mount: &Mount{Path: "/work"}, kind: files.Regular, write: tt.write, read: true}
		if tt.kept {
			d.file = keptFile{counts}
		}
		o, err := d.describe(false)
		require.NoError(t, err)
		require.Equal(t, "f", o.Path)
		require.Zero(t, o.Kept)
		require.Equal(t, tt.syncs, counts.syncs, "%+v", tt)
	}
}
