package files

import (
	"errors"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// How paths are followed below a directory, and never out of it, whatever links and ".." are in them and whatever others do to the tree meanwhile. Directories that are
// only gone through are opened by O_PATH: they may be searched, and need not be read. The kernel does it in one call (openat2 with RESOLVE_BENEATH). Where there is
// none, or it finds no way since things are renamed all the time, or a path is longer than one call takes, one part is opened after another.

const (
	// beneathHow has the kernel refuse (EXDEV) what leads out.
	beneathHow = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS
	// beneathTries bounds how often the kernel is asked while others rename what is on the way.
	beneathTries = 64
	// maxLinks is how many links are followed, as in the kernel.
	maxLinks = 40
	// maxParts bounds the parts of a path, with those of its links, and those that are opened again for "..".
	maxParts = 1 << 16
)

// beneath is a directory.
type beneath struct {
	dir   *os.File        // O_PATH
	conn  syscall.RawConn // of dir: it stays open while something is asked in it
	parts bool            // there is no openat2
}

func openBeneath(dir string) (*beneath, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == nil {
		if err = unix.Faccessat(fd, ".", unix.X_OK, unix.AT_EACCESS); err != nil {
			_ = unix.Close(fd) // nothing was done with it
		}
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	b := &beneath{dir: os.NewFile(uintptr(fd), dir)}
	if b.conn, err = b.dir.SyscallConn(); err != nil {
		return nil, errors.Join(err, b.dir.Close())
	}
	top, err := b.whole(".", unix.O_PATH)
	if b.parts = err != nil; err == nil {
		_ = unix.Close(top) // only looked at
	}
	return b, nil
}

// open opens what is at a path. flags are those of Tree.Open, O_PATH and O_NONBLOCK.
func (b *beneath) open(name string, flags int) (fd int, err error) {
	if !b.parts && len(name) < unix.PathMax {
		for range beneathTries {
			fd, err = b.whole(name, flags)
			if err != unix.EAGAIN && err != unix.EINTR { //nolint:errorlint // the kernel's
				return fd, inside(err)
			}
		}
	}
	for range beneathTries {
		p, err := b.resolve(name, flags)
		if err != nil {
			return -1, err
		}
		fd, err = p.open(flags)
		p.close()
		if err != errLink && err != unix.EINTR { //nolint:errorlint // its own, and the kernel's
			return fd, err
		}
	}
	return -1, syscall.ELOOP // it is made a link again and again
}

// inside is the kernel's error of a path that it has followed: what leads out is refused.
func inside(err error) error {
	if err == unix.EXDEV { //nolint:errorlint // the kernel's
		return syscall.EACCES
	}
	return err
}

// whole opens what is at a path, in one call.
func (b *beneath) whole(name string, flags int) (fd int, err error) {
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: beneathHow}
	if flags&unix.O_CREAT != 0 {
		how.Mode = fileMode
	}
	fd = -1
	closed := b.conn.Control(func(dir uintptr) { fd, err = unix.Openat2(int(dir), name, &how) })
	if closed != nil {
		return -1, syscall.EBADF
	}
	return fd, err
}

// top opens the directory itself.
func (b *beneath) top() (fd int, err error) {
	closed := b.conn.Control(func(dir uintptr) { fd, err = openPart(int(dir), ".") })
	if closed != nil {
		return -1, syscall.EBADF
	}
	return fd, err
}

// openPart opens a directory in another, to go through it. It is not followed if it is a link.
func openPart(dir int, name string) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// place is where a path leads: a name in a directory, which may be a link only if that is not to be followed.
type place struct {
	dir    int    // O_PATH
	base   string // "." is the directory itself
	slash  bool   // slashes are behind it: it must be a directory
	follow bool
}

func (p place) close() { _ = unix.Close(p.dir) } // only looked at

// errLink is what a place says that has become a link.
var errLink = errors.New("it is a link now")

// open opens what is there, as open(2) does.
func (p place) open(flags int) (int, error) {
	if p.slash && p.base != "." {
		if flags&unix.O_CREAT != 0 {
			return -1, syscall.EISDIR
		}
		flags |= unix.O_DIRECTORY
	}
	mode := uint32(0)
	if flags&unix.O_CREAT != 0 {
		mode = fileMode
	}
	fd, err := unix.Openat(p.dir, p.base, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
	if !p.follow || p.base == "." {
		return fd, err
	}
	var st unix.Stat_t
	switch {
	case err == unix.ELOOP:
		return -1, errLink
	case err == unix.ENOTDIR && unix.Fstatat(p.dir, p.base, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK:
		return -1, errLink
	case err == nil && flags&unix.O_PATH != 0 && unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK:
		_ = unix.Close(fd) // only looked at
		return -1, errLink
	}
	return fd, err
}

// follows says whether a link at the end of a path is followed by open(2).
func follows(flags int, slash bool) bool {
	switch {
	case slash:
		return flags&unix.O_CREAT == 0
	case flags&unix.O_CREAT != 0 && flags&unix.O_EXCL != 0:
		return false
	}
	return flags&unix.O_NOFOLLOW == 0
}

// resolve goes to where a path leads, part by part. flags are open's. The caller closes the place.
func (b *beneath) resolve(name string, flags int) (_ place, err error) {
	if name == "" {
		return place{}, syscall.ENOENT
	}
	at, done, links := -1, []string(nil), 0
	defer func() {
		if err != nil && at >= 0 {
			_ = unix.Close(at) // only looked at
		}
	}()
	for range maxParts {
		if path.IsAbs(name) {
			return place{}, syscall.EACCES
		}
		if at < 0 {
			if at, err = b.top(); err != nil {
				return place{}, err
			}
		}
		part, rest, more := strings.Cut(name, "/")
		rest = strings.TrimLeft(rest, "/")
		last, slash := rest == "", rest == "" && more
		if part == ".." {
			if len(done) == 0 {
				return place{}, syscall.EACCES
			}
			_ = unix.Close(at)                                                                       // only looked at
			at, done, name = -1, nil, path.Join(strings.Join(done[:len(done)-1], "/"), ".")+"/"+rest // from the top: it may be elsewhere by now
			continue
		}
		follow := !last || follows(flags, slash)
		text, err := "", error(nil)
		if part != "." && follow {
			text, err = readlinkAt(at, part)
		}
		switch {
		case part != "." && follow && err == nil:
			if links++; links > maxLinks {
				return place{}, syscall.ELOOP
			}
			if name = text; more {
				name += "/" + rest
			}
		case last:
			return place{at, part, slash, follow}, nil
		case part == ".":
			name = rest
		default:
			next, err := openPart(at, part)
			if err != nil {
				return place{}, err
			}
			_ = unix.Close(at) // only looked at
			at, done, name = next, append(done, part), rest
		}
	}
	return place{}, syscall.ELOOP
}

// readlinkAt is the text of a link in a directory, or, with an empty name, that is open.
func readlinkAt(dir int, name string) (string, error) {
	for size := 256; ; size *= 2 {
		text := make([]byte, size)
		n, err := unix.Readlinkat(dir, name, text)
		if err != nil {
			return "", err
		}
		if n < size {
			return string(text[:n]), nil
		}
	}
}

// enter opens the directory that a path's last part is in. That is base, with the slashes behind it; what makes, renames or removes a name does not follow it, even so.
func (b *beneath) enter(name string) (dir int, base string, err error) {
	trimmed := strings.TrimRight(name, "/")
	at, last := path.Split(trimmed)
	switch {
	case trimmed == "":
		at = name // nothing, or what leads out
	case at == "":
		at = "."
	}
	dir, err = b.open(at, unix.O_PATH|unix.O_DIRECTORY)
	return dir, last + name[len(trimmed):], err
}

// reach opens what is at a path, to ask of it; if it is a link, the link itself unless follow.
func (b *beneath) reach(name string, follow bool) (fd int, st syscall.Stat_t, err error) {
	flags := unix.O_PATH
	if !follow {
		flags |= unix.O_NOFOLLOW
	}
	if fd, err = b.open(name, flags); err != nil {
		return -1, st, err
	}
	if err = syscall.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd) // only looked at
		return -1, st, err
	}
	return fd, st, nil
}

// look describes what is at a path; if it is a link, the link itself unless follow.
func (b *beneath) look(name string, follow bool) (os.FileInfo, error) {
	fd, _, err := b.reach(name, follow)
	if err != nil {
		return nil, &os.PathError{Op: "stat", Path: name, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close() //nolint:errcheck // only looked at
	return f.Stat()
}

// file opens what is at a path as a file of the system's.
func (b *beneath) file(name string, flags int) (*os.File, error) {
	fd, err := b.open(name, flags)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// descriptorPath is by which path the kernel finds again what is open.
func descriptorPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }
