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
// One that hangs is given up: see within.
type directory struct {
	dir     string
	silence time.Duration // silence; tests have less
}

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
func (d directory) Put(ctx context.Context, key string, o Object) (sent bool, err error) {
	made := make(chan bool, 1)
	err = d.within(ctx, func(ctx context.Context, alive func(func())) error {
		progress := o.Progress
		if progress == nil {
			progress = func(int) {}
		}
		o := o
		o.Progress = func(n int) { alive(func() { progress(n) }) }
		sent, err := d.put(ctx, key, o)
		made <- sent
		return err
	})
	if err == nil {
		sent = <-made
	}
	return sent, err
}

func (d directory) put(ctx context.Context, key string, o Object) (bool, error) {
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
	if err := errors.Join(to.Chmod(mode&0o666), to.Sync(), to.Close(), ctx.Err()); err != nil {
		return false, err
	}
	return true, durable.Rename(to.Name(), path)
}

// syncBytes is after how many bytes of a file it is waited until its store has them: it may take its time for so many, but not for all of a large file.
const syncBytes = 64 << 20

// copyAll copies until the end, or ctx is over.
func copyAll(ctx context.Context, to *os.File, from io.Reader, progress func(int)) error {
	unsynced := 0
	for buf := make([]byte, 256<<10); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := from.Read(buf)
		if _, werr := to.Write(buf[:n]); werr != nil {
			return werr
		}
		if unsynced += n; unsynced >= syncBytes {
			unsynced = 0
			if serr := to.Sync(); serr != nil {
				return serr
			}
		}
		progress(n)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Get implements Store.
func (d directory) Get(ctx context.Context, key string) (io.ReadCloser, int64, error) {
	type opened struct {
		f    *os.File
		size int64
	}
	got := make(chan opened, 1)
	err := d.within(ctx, func(ctx context.Context, _ func(func())) error {
		f, size, err := d.get(key)
		if err == nil && ctx.Err() != nil { // nobody waits for it
			return errors.Join(ctx.Err(), f.Close())
		}
		got <- opened{f, size}
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	o := <-got
	return &reading{ctx: ctx, of: d, f: o.f, most: min(readBytes, o.size+1)}, o.size, nil
}

func (d directory) get(key string) (*os.File, int64, error) {
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

// reading is an object that is read.
type reading struct {
	ctx context.Context //nolint:containedctx // of whoever reads it
	of  directory
	f   *os.File

	most int64  // that is read at a time
	buf  []byte // nil: none yet, or one that a file which hangs may still be read into
	rest []byte // what has been read and not given yet
	err  error  // what follows it
}

// readBytes is how much is read at a time: each time costs a goroutine, for a file may hang.
const readBytes = 1 << 20

func (r *reading) Read(p []byte) (int, error) {
	if len(r.rest) == 0 && r.err == nil {
		r.fill()
	}
	if len(r.rest) == 0 {
		return 0, r.err
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *reading) fill() {
	buf := r.buf
	if buf == nil {
		buf = make([]byte, r.most)
	}
	r.buf = nil
	got := make(chan int, 1)
	r.err = r.of.within(r.ctx, func(context.Context, func(func())) error {
		n, err := r.f.Read(buf)
		got <- n
		return err
	})
	select {
	case n := <-got:
		r.buf, r.rest = buf, buf[:n]
	default: // it is given up
	}
}

// Close waits for a file that hangs no longer than others wait for it; it is closed when that is over.
func (r *reading) Close() error {
	return r.of.within(context.WithoutCancel(r.ctx), func(context.Context, func(func())) error { return r.f.Close() })
}

// List implements Store.
func (d directory) List(ctx context.Context, prefix string, each func(key string, size int64) error) error {
	type object struct {
		key  string
		size int64
	}
	got := make(chan []object, 1)
	err := d.within(ctx, func(ctx context.Context, alive func(func())) error {
		var all []object
		err := d.list(ctx, prefix, func(key string, size int64) {
			alive(func() {})
			all = append(all, object{key, size})
		})
		got <- all
		return err
	})
	if err != nil {
		return err
	}
	for _, o := range <-got { // here, for each is the caller's
		if err := each(o.key, o.size); err != nil {
			return err
		}
	}
	return nil
}

func (d directory) list(ctx context.Context, prefix string, each func(key string, size int64)) error {
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
		each(filepath.ToSlash(key), info.Size())
		return nil
	})
}

// Tidy implements Store.
func (d directory) Tidy(ctx context.Context, prefix string) error {
	return d.within(ctx, func(ctx context.Context, alive func(func())) error {
		top, err := d.path(strings.TrimSuffix("./"+prefix, "/"))
		if err != nil {
			return err
		}
		return filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
			alive(func() {})
			if err == nil && e.Type().IsRegular() && strings.HasPrefix(e.Name(), comingPrefix) {
				err = os.Remove(path)
			}
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) { // another's stays
				err = nil
			}
			return errors.Join(err, ctx.Err())
		})
	})
}

// Remove implements Store. Directories that are empty then go with it.
func (d directory) Remove(ctx context.Context, key string) error {
	return d.within(ctx, func(context.Context, func(func())) error { return d.remove(key) })
}

func (d directory) remove(key string) error {
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
