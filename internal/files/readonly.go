package files

import (
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// What a Local answers that is read-only, or has passed its quota: as Linux does of a file system that is so. What is wrong with a path comes first; then that a name is there;
// then, where it is to be taken out, nothing else of it.

// refuses is why nothing is added to the tree; nil: it is.
func (l *Local) refuses() error {
	switch {
	case l.readOnly:
		return syscall.EROFS
	case l.full.Load():
		return syscall.EDQUOT
	}
	return nil
}

// dots says whether the last part of a path is no name.
func dots(base string) bool {
	name := strings.TrimRight(base, "/")
	return name == "." || name == ".."
}

// keeps is the error of taking a name out of its directory; the kernel itself refuses what is none.
func (l *Local) keeps(base string) error {
	if l.readOnly && !dots(base) {
		return syscall.EROFS
	}
	return nil
}

// add is f of a name in its directory, which makes that, a directory or something else.
func (l *Local) add(name string, directory bool, f func(dir int, base string) error) error {
	return l.change(name, func(dir int, base string) error {
		if why := l.refuses(); why != nil && !dots(base) {
			return refused(dir, base, directory, why)
		}
		return f(dir, base)
	})
}

// refused is the error of making something where nothing is made: why, unless there is more to be said of its name.
func refused(dir int, base string, directory bool, why error) error {
	var st unix.Stat_t
	name := strings.TrimRight(base, "/")
	switch err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); {
	case err == nil:
		return syscall.EEXIST
	case err != unix.ENOENT:
		return err
	case name != base && !directory:
		return syscall.ENOENT
	}
	return why
}

// writes says whether flags of open(2) change a file.
func writes(flags int) bool {
	return flags&unix.O_ACCMODE != unix.O_RDONLY || flags&unix.O_TRUNC != 0
}

// found is the error of open(2) with O_CREAT where nothing is made: why, if there is nothing. If there is something it is opened as without.
func (l *Local) found(name string, flags *int, why error) error {
	p, err := l.resolve(name, *flags)
	if err != nil {
		return err
	}
	defer p.close()
	var st unix.Stat_t
	err = unix.Fstatat(p.dir, p.base, &st, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case p.slash && p.base != ".":
		return syscall.EISDIR
	case err == unix.ENOENT: //nolint:errorlint // the kernel's
		return why
	case err != nil:
		return err
	case *flags&unix.O_EXCL != 0:
		return syscall.EEXIST
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return syscall.EISDIR
	}
	*flags &^= unix.O_CREAT
	return nil
}

// refusal is the error of opening something that is there, to change it.
func refusal(fd int, kind Kind, flags int) error {
	access := unix.W_OK
	if flags&unix.O_ACCMODE != unix.O_WRONLY {
		access |= unix.R_OK
	}
	switch {
	case flags&unix.O_DIRECTORY != 0 && kind != Directory:
		return syscall.ENOTDIR
	case kind == Link:
		return syscall.ELOOP
	case kind == Directory:
		return syscall.EISDIR
	case flags&unix.O_TRUNC != 0:
		return syscall.EROFS
	}
	if err := mayAccess(fd, access); err != nil {
		return err
	}
	return syscall.EROFS
}
