package wasm

import (
	"crypto/rand"
	"io"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/godwit-run/godwit/internal/files"
)

// skeleton is the tree at "/": the directories that lead to the mounts, and a few devices. Nothing in it can be changed. The mounts themselves are
// reached before it is asked (descriptors.find), so that here they are empty directories.
type skeleton struct {
	kinds map[string]files.Kind // by path
}

// The devices of a skeleton.
const (
	devNull    = "dev/null"
	devZero    = "dev/zero"
	devRandom  = "dev/random"
	devURandom = "dev/urandom"
	devStdin   = "dev/stdin"
	devStdout  = "dev/stdout"
	devStderr  = "dev/stderr"
)

func newSkeleton(mounts []Mount) *skeleton {
	s := &skeleton{map[string]files.Kind{".": files.Directory, "dev": files.Directory}}
	for _, dev := range []string{devNull, devZero, devRandom, devURandom, devStdin, devStdout, devStderr} {
		s.kinds[dev] = files.Device
	}
	for _, m := range mounts {
		for dir := strings.TrimPrefix(m.Path, "/"); dir != "" && dir != "."; dir = path.Dir(dir) {
			s.kinds[dir] = files.Directory
		}
	}
	return s
}

// look is what is at a path: its clean name, and its kind.
func (s *skeleton) look(name string) (string, files.Kind, error) {
	clean := strings.TrimPrefix(path.Clean("/"+name), "/")
	if clean == "" {
		clean = "."
	}
	kind, ok := s.kinds[clean]
	if !ok {
		for dir := path.Dir(clean); dir != "."; dir = path.Dir(dir) {
			if s.kinds[dir] == files.Device {
				return clean, 0, syscall.ENOTDIR
			}
		}
		return clean, 0, syscall.ENOENT
	}
	if kind == files.Device && strings.HasSuffix(name, "/") {
		return clean, kind, syscall.ENOTDIR
	}
	return clean, kind, nil
}

// Open implements files.Tree.
func (s *skeleton) Open(name string, flags int) (files.File, error) {
	clean, kind, err := s.look(name)
	writes := flags&(syscall.O_WRONLY|syscall.O_RDWR) != 0
	switch {
	case err == syscall.ENOENT && flags&syscall.O_CREAT != 0 && s.kinds[path.Dir(clean)] == files.Directory: //nolint:errorlint // look's own
		return nil, syscall.EROFS
	case err != nil:
		return nil, err
	case flags&syscall.O_CREAT != 0 && flags&syscall.O_EXCL != 0:
		return nil, syscall.EEXIST
	case kind == files.Device && flags&syscall.O_DIRECTORY != 0:
		return nil, syscall.ENOTDIR
	case kind == files.Device:
		return s.device(clean), nil
	case writes || flags&syscall.O_CREAT != 0:
		return nil, syscall.EISDIR
	}
	return skeletonFile{s, clean}, nil
}

func (s *skeleton) device(name string) files.File {
	switch name {
	case devStdin:
		return streamFile(0)
	case devStdout:
		return streamFile(1)
	case devStderr:
		return streamFile(2)
	}
	return skeletonFile{s, name}
}

// Stat implements files.Tree.
func (s *skeleton) Stat(name string, _ bool) (files.Info, error) {
	clean, kind, err := s.look(name)
	if err != nil {
		return files.Info{}, err
	}
	return files.Info{Kind: kind, ID: s.number(clean), Links: 1}, nil
}

// Access implements files.Tree. Devices are read and written, and nothing is run.
func (s *skeleton) Access(name string, mode int, _ bool) error {
	_, kind, err := s.look(name)
	switch {
	case err != nil:
		return err
	case kind == files.Device && mode&accessRun != 0:
		return syscall.EACCES
	case kind == files.Directory && mode&accessWrite != 0:
		return syscall.EROFS
	}
	return nil
}

// number tells names apart.
func (s *skeleton) number(name string) uint64 {
	n := uint64(1)
	for other := range s.kinds {
		if other < name {
			n++
		}
	}
	return n
}

// made is the error of making something.
func (s *skeleton) made(name string) error {
	clean, _, err := s.look(name)
	switch {
	case err == nil:
		return syscall.EEXIST
	case err == syscall.ENOENT && s.kinds[path.Dir(clean)] == files.Directory: //nolint:errorlint // look's own
		return syscall.EROFS
	}
	return err
}

// removed is the error of removing something, or of changing it.
func (s *skeleton) removed(name string) error {
	if _, _, err := s.look(name); err != nil {
		return err
	}
	return syscall.EROFS
}

// Mkdir implements files.Tree.
func (s *skeleton) Mkdir(name string) error { return s.made(name) }

// Rmdir implements files.Tree.
func (s *skeleton) Rmdir(name string) error {
	if _, kind, err := s.look(name); err == nil && kind == files.Directory {
		return syscall.EBUSY
	}
	return s.removed(name)
}

// Unlink implements files.Tree.
func (s *skeleton) Unlink(name string) error {
	if _, kind, err := s.look(name); err == nil && kind == files.Directory {
		return syscall.EISDIR
	}
	return s.removed(name)
}

// Rename implements files.Tree.
func (s *skeleton) Rename(from, _ string) error { return s.removed(from) }

// Link implements files.Tree.
func (s *skeleton) Link(from, to string) error {
	_, kind, err := s.look(from)
	switch {
	case err != nil:
		return err
	case kind == files.Directory:
		return syscall.EPERM
	}
	return s.made(to)
}

// Symlink implements files.Tree.
func (s *skeleton) Symlink(_, name string) error { return s.made(name) }

// Readlink implements files.Tree.
func (s *skeleton) Readlink(name string) (string, error) {
	if _, _, err := s.look(name); err != nil {
		return "", err
	}
	return "", syscall.EINVAL
}

// SetTimes implements files.Tree.
func (s *skeleton) SetTimes(name string, _ bool, times files.Times) error {
	if _, kind, err := s.look(name); err == nil && kind == files.Device && times == (files.Times{}) {
		return nil
	}
	return s.removed(name)
}

// skeletonFile is a directory or a device of a skeleton.
type skeletonFile struct {
	tree *skeleton
	name string
}

func (f skeletonFile) ReadAt(p []byte, _ int64) (int, error) {
	switch f.name {
	case devNull:
		return 0, io.EOF
	case devZero:
		clear(p)
		return len(p), nil
	case devRandom, devURandom:
		return rand.Read(p)
	}
	return 0, syscall.EISDIR
}

func (f skeletonFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (f skeletonFile) Append(p []byte) (int, int64, error)    { return len(p), 0, nil }
func (f skeletonFile) Stat() (files.Info, error)              { return f.tree.Stat(f.name, true) }
func (f skeletonFile) Truncate(int64) error                   { return syscall.EINVAL }
func (f skeletonFile) Allocate(int64, int64) error            { return syscall.ENODEV }
func (f skeletonFile) Sync() error                            { return nil }
func (f skeletonFile) SetTimes(times files.Times) error       { return f.tree.SetTimes(f.name, true, times) }
func (f skeletonFile) Path() (string, error)                  { return f.name, nil }
func (f skeletonFile) Close() error                           { return nil }

func (f skeletonFile) List() ([]files.Entry, error) {
	if f.tree.kinds[f.name] != files.Directory {
		return nil, syscall.ENOTDIR
	}
	var list []files.Entry
	for name, kind := range f.tree.kinds {
		if name != "." && path.Dir(name) == f.name {
			list = append(list, files.Entry{Name: path.Base(name), Kind: kind, ID: f.tree.number(name)})
		}
	}
	slices.SortFunc(list, func(a, b files.Entry) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// streamFile is the name of one of a guest's own streams: opening it gives that stream once more.
type streamFile uint8

func (streamFile) ReadAt([]byte, int64) (int, error)  { return 0, syscall.ESPIPE }
func (streamFile) WriteAt([]byte, int64) (int, error) { return 0, syscall.ESPIPE }
func (streamFile) Append([]byte) (int, int64, error)  { return 0, 0, syscall.ESPIPE }
func (streamFile) Stat() (files.Info, error)          { return files.Info{Kind: files.Device, Links: 1}, nil }
func (streamFile) Truncate(int64) error               { return syscall.EINVAL }
func (streamFile) Allocate(int64, int64) error        { return syscall.ENODEV }
func (streamFile) Sync() error                        { return syscall.EINVAL }
func (streamFile) SetTimes(files.Times) error         { return syscall.EROFS }
func (streamFile) List() ([]files.Entry, error)       { return nil, syscall.ENOTDIR }
func (streamFile) Path() (string, error)              { return "", nil }
func (streamFile) Close() error                       { return nil }
