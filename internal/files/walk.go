package files

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
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
	return f.tree.file(f.Path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK)
}

// Link is the text of a link.
func (f Found) Link() (string, error) { return f.tree.Readlink(f.Path) }

// Walk shows what is in the tree, in order of names, a directory before what is in it. What goes meanwhile may be left out.
func (l *Local) Walk(ctx context.Context, show func(Found) error) error {
	return l.walk(ctx, ".", func(f Found, err error) error {
		switch {
		case f.Path != "." && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)):
			return nil
		case err != nil:
			return err
		}
		return show(f)
	})
}

// walk shows what is in a directory, each before what is in it: what it is, or why that cannot be told; and once more why it cannot be listed. An error of show's ends it.
func (l *Local) walk(ctx context.Context, at string, show func(Found, error) error) error {
	names, err := l.namesIn(at)
	if err != nil {
		return show(Found{Path: at}, err)
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		name = path.Join(at, name)
		st, err := l.look(name, false)
		if err := show(Found{name, st, l}, err); err != nil {
			return err
		}
		if err == nil && st.IsDir() {
			if err := l.walk(ctx, name, show); err != nil {
				return err
			}
		}
	}
	return nil
}

// namesIn are the names in a directory, sorted.
func (l *Local) namesIn(at string) ([]string, error) {
	f, err := l.file(at, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}
