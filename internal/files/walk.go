package files

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"syscall"

	"golang.org/x/sys/unix"
)

// Found is something in a tree that is being looked through.
type Found struct {
	Path string
	Stat os.FileInfo
	tree *Local
}

// Open opens it for reading, if it is a file.
func (f Found) Open() (*os.File, error) {
	return f.tree.root.OpenFile(f.Path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
}

// Link is the text of a link.
func (f Found) Link() (string, error) { return f.tree.root.Readlink(f.Path) }

// Walk shows what is in the tree, in order of names, a directory before what is in it. What goes meanwhile may be left out.
func (l *Local) Walk(ctx context.Context, show func(Found) error) error {
	return l.walk(ctx, ".", show)
}

func (l *Local) walk(ctx context.Context, at string, show func(Found) error) error {
	names, err := namesIn(l.root, at)
	if at != "." && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		name = path.Join(at, name)
		st, err := l.root.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := show(Found{name, st, l}); err != nil {
			return err
		}
		if st.IsDir() {
			if err := l.walk(ctx, name, show); err != nil {
				return err
			}
		}
	}
	return nil
}
