package wasm

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// newFiled is a guest that sees a directory of this host at /work, and begins there.
func newFiled(t *testing.T, module *Module, dir string) *Guest {
	t.Helper()
	g, err := module.New(context.Background(), GuestConfig{Mounts: []Mount{mountLocal(t, "/work", dir, false)}, Dir: "/work"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.Close(context.Background())) })
	return g
}

// What the library has open moves with the guest, wherever it is by then; a host that has another file in its place, or none, says so.
func TestLibraryFilesMove(t *testing.T) {
	module := compile(t, "files")
	dir, other := t.TempDir(), t.TempDir()
	g := newFiled(t, module, dir)
	number, err := g.OpenFile("/work/data", syscall.O_CREAT|syscall.O_RDWR)
	require.NoError(t, err)
	_, err = g.OpenedFile(number).WriteAt([]byte("written"), 0)
	require.NoError(t, err)
	require.NoError(t, os.Rename(filepath.Join(dir, "data"), filepath.Join(dir, "renamed")))
	var image bytes.Buffer
	require.NoError(t, g.files.capture(&image, true, false))

	require.NoError(t, os.WriteFile(filepath.Join(other, "renamed"), nil, 0o600))
	err = newFiled(t, module, other).files.restore(bytes.NewReader(image.Bytes()))
	require.ErrorContains(t, err, "/work/renamed, which the program has open, is another file on this host")
	err = newFiled(t, module, t.TempDir()).files.restore(bytes.NewReader(image.Bytes()))
	require.ErrorIs(t, err, syscall.ENOENT)
	require.ErrorContains(t, err, "/work/renamed")

	again := newFiled(t, module, dir)
	require.NoError(t, again.files.restore(bytes.NewReader(image.Bytes())))
	p := make([]byte, 7)
	_, err = again.OpenedFile(number).ReadAt(p, 0)
	require.NoError(t, err)
	require.Equal(t, "written", string(p))
	next, err := again.OpenFile("/work/renamed", syscall.O_RDONLY)
	require.NoError(t, err)
	require.NotEqual(t, number, next)
	require.NoError(t, again.CloseFile(number, true))
	require.Nil(t, again.OpenedFile(number))
	require.NoFileExists(t, filepath.Join(dir, "renamed"))
	require.ErrorContains(t, again.files.capture(&image, true, false), "has no name any more")
	require.NoError(t, again.files.capture(&image, false, false)) // who has ended needs it no more
	require.ErrorIs(t, again.CloseFile(number, false), syscall.EBADF)
}

func TestLibraryFileErrors(t *testing.T) {
	g := newFiled(t, compile(t, "files"), t.TempDir())
	for name, want := range map[string]error{
		"none": syscall.ENOENT, ".": syscall.EISDIR, "/dev/stdout": syscall.ENXIO, "none/file": syscall.ENOENT,
	} {
		_, err := g.OpenFile(name, syscall.O_RDONLY)
		require.ErrorIs(t, err, want, name)
	}
	require.ErrorIs(t, g.RemoveFile("none"), syscall.ENOENT)
	require.ErrorIs(t, g.RemoveFile("/work"), syscall.EISDIR)
	_, err := g.OpenFile("/elsewhere", syscall.O_CREAT|syscall.O_WRONLY)
	require.Error(t, err)
	require.Nil(t, g.OpenedFile(3))
	require.Empty(t, g.files.library)
}
