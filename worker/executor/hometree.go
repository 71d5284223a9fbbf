package executor

import (
	"context"
	"errors"

	"github.com/godwit-run/godwit/internal/files"
	"github.com/godwit-run/godwit/mpi"
	"github.com/godwit-run/godwit/worker/wasm"
)

// Where ranks see the app's own directory, and one for files of the moment that all ranks of the app share as well.
const (
	workPath    = "/work"
	scratchPath = "/tmp"
)

// rankMounts are what a rank sees of files: the app's volumes, and its own directories where nothing else is.
func (e *Executor) rankMounts(ctx context.Context, id mpi.Rank) []wasm.Mount {
	out := append([]wasm.Mount(nil), e.mounts...)
	taken := map[string]bool{}
	for _, m := range out {
		taken[m.Path] = true
	}
	lane := e.home.laneOf(ctx, id)
	for i, at := range []string{workPath, scratchPath} {
		if !taken[at] {
			out = append(out, wasm.Mount{Path: at, Tree: &homeTree{lane, files.NewRemote(lane, i == 1), i}})
		}
	}
	return out
}

// homeTree is one of the app's own directories: the kernel's where the home is this host, else another host's.
type homeTree struct {
	lane   *homeLane
	remote *files.Remote
	which  int
}

var _ files.Tree = (*homeTree)(nil)

var errNoHome = errors.New("the app's files cannot be reached")

// tree is the one to ask now.
func (t *homeTree) tree() (files.Tree, error) {
	at, trees, _, err := t.lane.home.where(t.lane.ctx)
	switch {
	case err != nil:
		return nil, errors.Join(errNoHome, err)
	case at.Dir != "":
		return trees[t.which], nil
	}
	return t.remote, nil
}

// with does f to the tree.
func (t *homeTree) with(f func(files.Tree) error) error {
	tree, err := t.tree()
	if err != nil {
		return err
	}
	return f(tree)
}

// Open implements files.Tree.
func (t *homeTree) Open(path string, flags int) (files.File, error) {
	tree, err := t.tree()
	if err != nil {
		return nil, err
	}
	f, err := tree.Open(path, flags)
	if own, ok := f.(ownFile); ok && err == nil {
		return &homeFile{ownFile: own, home: t.remote}, nil
	}
	return f, err
}

// Adopt implements files.Adopter.
func (t *homeTree) Adopt(keeper, kept uint64, flags int) (files.File, error) {
	return t.remote.Adopt(keeper, kept, flags)
}

// ownFile is a file that this process has open.
type ownFile interface {
	files.File
	Fd() uintptr
}

// homeFile is a file of the app's directory that this process has open, on the host that is the home.
type homeFile struct {
	ownFile
	home *files.Remote
	kept uint64 // under which number it is kept, for when its rank moves; 0: it was not yet
}

// Keep implements files.Keeper.
func (f *homeFile) Keep() (keeper, kept uint64, err error) {
	if keeper, kept, err = f.home.KeepOwn(f.Fd(), f.kept); err == nil {
		f.kept = kept
	}
	return keeper, kept, err
}

// Close implements files.File.
func (f *homeFile) Close() error {
	err := f.ownFile.Close()
	if f.kept != 0 {
		err = errors.Join(err, f.home.LetGo(f.kept))
	}
	return err
}

// Stat implements files.Tree.
func (t *homeTree) Stat(path string, follow bool) (info files.Info, err error) {
	err = t.with(func(tree files.Tree) (err error) { info, err = tree.Stat(path, follow); return err })
	return info, err
}

// Access implements files.Tree.
func (t *homeTree) Access(path string, mode int, follow bool) error {
	return t.with(func(tree files.Tree) error { return tree.Access(path, mode, follow) })
}

// Mkdir implements files.Tree.
func (t *homeTree) Mkdir(path string) error {
	return t.with(func(tree files.Tree) error { return tree.Mkdir(path) })
}

// Rmdir implements files.Tree.
func (t *homeTree) Rmdir(path string) error {
	return t.with(func(tree files.Tree) error { return tree.Rmdir(path) })
}

// Unlink implements files.Tree.
func (t *homeTree) Unlink(path string) error {
	return t.with(func(tree files.Tree) error { return tree.Unlink(path) })
}

// Rename implements files.Tree.
func (t *homeTree) Rename(from, to string) error {
	return t.with(func(tree files.Tree) error { return tree.Rename(from, to) })
}

// Link implements files.Tree.
func (t *homeTree) Link(from, to string) error {
	return t.with(func(tree files.Tree) error { return tree.Link(from, to) })
}

// Symlink implements files.Tree.
func (t *homeTree) Symlink(text, path string) error {
	return t.with(func(tree files.Tree) error { return tree.Symlink(text, path) })
}

// Readlink implements files.Tree.
func (t *homeTree) Readlink(path string) (text string, err error) {
	err = t.with(func(tree files.Tree) (err error) { text, err = tree.Readlink(path); return err })
	return text, err
}

// SetTimes implements files.Tree.
func (t *homeTree) SetTimes(path string, follow bool, times files.Times) error {
	return t.with(func(tree files.Tree) error { return tree.SetTimes(path, follow, times) })
}
