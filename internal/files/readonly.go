package files

import (
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// What a Local answers that is read-only: as Linux does of a file system that is.

// writes says whether flags of open(2) change the tree.
func writes(flags int) bool {
	return flags&unix.O_ACCMODE != unix.O_RDONLY || flags&(unix.O_CREAT|unix.O_TRUNC) != 0
}

// refusal is the error of opening something in a read-only tree with flags that may change it, as Linux has it; nil: it is only read, for it is there.
func (l *Local) refusal(name string, flags int) error {
	makes := flags&unix.O_CREAT != 0
	if makes && strings.HasSuffix(name, "/") {
		return syscall.EISDIR
	}
	if makes && flags&unix.O_EXCL != 0 {
		return l.present(name)
	}
	st, err := l.root.Stat(name)
	switch {
	case err == nil && st.IsDir():
		return syscall.EISDIR
	case err == nil && flags&(unix.O_ACCMODE|unix.O_TRUNC) == 0:
		return nil
	case err == nil, makes && os.IsNotExist(err):
		return syscall.EROFS
	}
	return errno(err)
}

// present is the error of making something in a read-only tree.
func (l *Local) present(name string) error {
	if _, err := l.root.Lstat(name); err == nil {
		return syscall.EEXIST
	}
	return syscall.EROFS
}
