package objects

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/godwit-run/godwit/internal/durable"
)

// directory is a store in a directory, which must be there: one that is not mounted is not made in its place.
type directory struct{ dir string }

const (
	// comingPrefix begins the names of files that are no objects yet.
	comingPrefix = ".coming-"
	// comingMost is how old these may be: who has made an older one is no more.
	comingMost = 7 * 24 * time.Hour
)

func (d directory) path(key string) (string, error) {
	path, _, err := d.pathIn(key)
	return path, err
}

// pathIn is where an object is, and how open its store is: so are the files in it, for they are the memory of programs.
func (d directory) pathIn(key string) (string, fs.FileMode, error) {
	if !filepath.IsLocal(filepath.FromSlash(key)) {
		return "", 0, fmt.Errorf("%.80q is no key", key)
	}
	info, err := os.Stat(d.dir)
	if err != nil || !info.IsDir() {
		return "", 0, fmt.Errorf("there is no directory %s: make it, or mount it, on all hosts", d.dir)
	}
	return filepath.Join(d.dir, filepath.FromSlash(key)), info.Mode().Perm() | 0o700, nil
}

// Put implements Store.
func (d directory) Put(ctx context.Context, key string, o Object) (bool, error) {
	path, mode, err := d.pathIn(key)
	if err != nil {
		return false, err
	}
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Size() == o.Size {
		return false, nil
	}
	if err := durable.MkdirAll(filepath.Dir(path), mode); err != nil {
		return false, err
	}
	to, err := os.CreateTemp(filepath.Dir(path), comingPrefix+"*")
	if err != nil {
		return false, err
	}
	defer os.Remove(to.Name()) //nolint:errcheck // it has another name by then
	defer to.Close()           //nolint:errcheck // synced and closed below
	if _, err := o.Body.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	sum := &checked{from: o.Body, sum: sha256.New()}
	if err := copyAll(ctx, to, sum, o.Progress); err != nil {
		return false, err
	}
	if err := sum.is(o); err != nil {
		return false, err
	}
	if err := errors.Join(to.Chmod(mode&0o666), to.Sync(), to.Close()); err != nil {
		return false, err
	}
	return true, durable.Rename(to.Name(), path)
}

// copyAll copies until the end, or ctx is over.
func copyAll(ctx context.Context, to io.Writer, from io.Reader, progress func(int)) error {
	for buf := make([]byte, 256<<10); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := from.Read(buf)
		if _, werr := to.Write(buf[:n]); werr != nil {
			return werr
		}
		if progress != nil {
			progress(n)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Get implements Store.
func (d directory) Get(_ context.Context, key string) (io.ReadCloser, int64, error) {
	path, err := d.path(key)
	if err != nil {
		return nil, 0, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe of that name must not stop us
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("%s: %w", key, ErrAbsent)
	}
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", path)
	}
	if err != nil {
		_ = f.Close() // only opened
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// List implements Store.
func (d directory) List(ctx context.Context, prefix string, each func(key string, size int64) error) error {
	top, err := d.path(strings.TrimSuffix("./"+prefix, "/"))
	if err != nil {
		return err
	}
	return filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, fs.ErrNotExist): // it was removed meanwhile, or never was
			return nil
		case err != nil:
			return err
		case !e.Type().IsRegular():
			return nil
		}
		info, err := e.Info()
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case strings.HasPrefix(e.Name(), comingPrefix):
			if time.Since(info.ModTime()) > comingMost {
				_ = os.Remove(path) // if this process may
			}
			return nil
		}
		key, err := filepath.Rel(d.dir, path)
		if err != nil {
			return err
		}
		return each(filepath.ToSlash(key), info.Size())
	})
}

// Remove implements Store. Directories that are empty then go with it.
func (d directory) Remove(_ context.Context, key string) error {
	path, err := d.path(key)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for up := filepath.Dir(path); up != d.dir && len(up) > len(d.dir); up = filepath.Dir(up) {
		if os.Remove(up) != nil { // it is not empty
			break
		}
	}
	return nil
}
