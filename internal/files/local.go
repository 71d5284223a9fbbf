package files

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Local is a directory of this host as a Tree. The kernel is asked for one part of a path after another, each in the directory found before, so
// that neither links nor ".." lead out of it, whatever others do to the tree meanwhile.
type Local struct {
	root     *os.Root
	readOnly bool
	full     atomic.Bool
	ids      *ids
}

var _ Tree = (*Local)(nil)

// OpenLocal opens a directory. With readOnly nothing in it is changed: EROFS.
func OpenLocal(dir string, readOnly bool) (*Local, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &Local{root: root, readOnly: readOnly}, nil
}

// SetFull says whether what is in the tree has grown beyond its quota: nothing is added to it then, EDQUOT.
func (l *Local) SetFull(full bool) { l.full.Store(full) }

// adds is the error of making something of this name, which is there already or has no room.
func (l *Local) adds(name string) error {
	if !l.full.Load() {
		return nil
	}
	if _, err := l.root.Lstat(strings.TrimRight(name, "/")); err == nil {
		return nil // the kernel says so
	}
	return syscall.EDQUOT
}

// Close lets go of the directory. Files that are open stay so.
func (l *Local) Close() error { return l.root.Close() }

const (
	fileMode = 0o666 // less the umask
	dirMode  = 0o777
	// appendEach is RWF_APPEND of pwritev2(2).
	appendEach = 0x10
)

// errno is the error of an operation on a tree: what leads out of it is refused.
func errno(err error) error {
	var e syscall.Errno
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return e
	case errors.Is(err, os.ErrClosed):
		return syscall.EBADF
	case errors.Is(err, os.ErrInvalid):
		return syscall.EINVAL
	case strings.HasSuffix(err.Error(), escapes):
		return syscall.EACCES
	default:
		return syscall.EIO
	}
}

// escapes is what os.Root says of a path that leads out; it has no name for that error.
const escapes = "path escapes from parent"

// Open implements Tree.
func (l *Local) Open(name string, flags int) (File, error) {
	if l.readOnly && writes(flags) {
		if err := l.refusal(name, flags); err != nil {
			return nil, err
		}
		flags &^= unix.O_CREAT
	}
	if flags&unix.O_NOFOLLOW != 0 { // os.Root follows all the same
		if st, err := l.root.Lstat(strings.TrimRight(name, "/")); err == nil && st.Mode()&os.ModeSymlink != 0 {
			return nil, syscall.ELOOP
		}
	}
	// What is no file is not even opened: a device may act on that.
	if st, err := l.root.Stat(name); err == nil && !st.Mode().IsRegular() && !st.IsDir() {
		return nil, syscall.ENXIO
	}
	if strings.HasSuffix(name, "/") && flags&unix.O_CREAT != 0 {
		return nil, syscall.EISDIR
	}
	if flags&unix.O_CREAT != 0 {
		if err := l.adds(name); err != nil {
			return nil, err
		}
	}
	f, err := l.root.OpenFile(name, flags|unix.O_NONBLOCK, fileMode)
	if err != nil {
		return nil, errno(err)
	}
	o := &localFile{f, l}
	if info, err := o.Stat(); err != nil || info.Kind != Regular && info.Kind != Directory {
		return nil, errors.Join(syscall.ENXIO, f.Close())
	}
	return o, nil
}

// Stat implements Tree.
func (l *Local) Stat(name string, follow bool) (Info, error) {
	look := l.root.Lstat
	if follow {
		look = l.root.Stat
	}
	st, err := look(name)
	if err != nil {
		return Info{}, errno(err)
	}
	return l.info(st)
}

// number is by which number programs know a file of an inode.
func (l *Local) number(inode uint64) uint64 {
	if l == nil {
		return inode
	}
	return l.ids.of(inode)
}

// info translates what the kernel says; a file of no tree has none.
func (l *Local) info(st os.FileInfo) (Info, error) {
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return Info{}, syscall.EIO
	}
	return Info{
		Kind: kindOf(st.Mode()), ID: l.number(sys.Ino), Links: uint64(sys.Nlink), Size: st.Size(),
		Accessed: unix.TimespecToNsec(unix.Timespec(sys.Atim)), Changed: unix.TimespecToNsec(unix.Timespec(sys.Mtim)),
		Touched: unix.TimespecToNsec(unix.Timespec(sys.Ctim)),
	}, nil
}

func kindOf(mode os.FileMode) Kind {
	switch {
	case mode.IsRegular():
		return Regular
	case mode.IsDir():
		return Directory
	case mode&os.ModeSymlink != 0:
		return Link
	default:
		return Other
	}
}

// change is f of a name in its directory, for what os.Root has no function.
func (l *Local) change(name string, f func(dir int, base string) error) error {
	if l.readOnly {
		return syscall.EROFS
	}
	dir, base := path.Split(strings.TrimRight(name, "/"))
	if base == "" || base == "." || base == ".." {
		return syscall.EBUSY
	}
	if dir == "" {
		dir = "."
	}
	d, err := l.root.OpenFile(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return errno(err)
	}
	defer d.Close() //nolint:errcheck // only looked at
	return errno(f(int(d.Fd()), base))
}

// Mkdir implements Tree.
func (l *Local) Mkdir(name string) error {
	if l.readOnly {
		return l.present(name)
	}
	if err := l.adds(name); err != nil {
		return err
	}
	return errno(l.root.Mkdir(strings.TrimRight(name, "/"), dirMode))
}

// Rmdir implements Tree.
func (l *Local) Rmdir(name string) error {
	return l.change(name, func(dir int, base string) error { return unix.Unlinkat(dir, base, unix.AT_REMOVEDIR) })
}

// Unlink implements Tree.
func (l *Local) Unlink(name string) error {
	if strings.HasSuffix(name, "/") {
		return syscall.ENOTDIR
	}
	return l.change(name, func(dir int, base string) error { return unix.Unlinkat(dir, base, 0) })
}

// Rename implements Tree.
func (l *Local) Rename(from, to string) error {
	if l.readOnly {
		return syscall.EROFS
	}
	for _, name := range []string{from, to} {
		if st, err := l.root.Lstat(strings.TrimRight(from, "/")); strings.HasSuffix(name, "/") && err == nil && !st.IsDir() {
			return syscall.ENOTDIR
		}
	}
	return l.change(from, func(fromDir int, fromBase string) error { // os.Root's own takes no directory for a new name, also an empty one
		return l.change(to, func(toDir int, toBase string) error { return unix.Renameat(fromDir, fromBase, toDir, toBase) })
	})
}

// Link implements Tree.
func (l *Local) Link(from, to string) error {
	if l.readOnly {
		return l.present(to)
	}
	if err := l.adds(to); err != nil {
		return err
	}
	return errno(l.root.Link(from, to))
}

// Symlink implements Tree.
func (l *Local) Symlink(text, name string) error {
	if l.readOnly {
		return l.present(name)
	}
	if err := l.adds(name); err != nil {
		return err
	}
	return errno(l.root.Symlink(text, name))
}

// Readlink implements Tree.
func (l *Local) Readlink(name string) (string, error) {
	text, err := l.root.Readlink(name)
	return text, errno(err)
}

// SetTimes implements Tree.
func (l *Local) SetTimes(name string, follow bool, times Times) error {
	if follow {
		if st, err := l.root.Stat(name); err != nil {
			return errno(err)
		} else if st.Mode()&os.ModeSymlink == 0 && !l.readOnly {
			return errno(l.root.Chtimes(name, times.Accessed, times.Changed))
		}
	}
	return l.change(name, func(dir int, base string) error {
		return unix.UtimesNanoAt(dir, base, []unix.Timespec{timespec(times.Accessed), timespec(times.Changed)}, unix.AT_SYMLINK_NOFOLLOW)
	})
}

func timespec(t time.Time) unix.Timespec {
	if t.IsZero() {
		return unix.Timespec{Nsec: unix.UTIME_OMIT}
	}
	return unix.NsecToTimespec(t.UnixNano())
}

// localFile is a File of a Local.
type localFile struct {
	f    *os.File
	tree *Local
}

func (o *localFile) ReadAt(p []byte, at int64) (int, error) {
	if at < 0 {
		return 0, syscall.EINVAL
	}
	n, err := o.f.ReadAt(p, at)
	if errors.Is(err, io.EOF) {
		return n, io.EOF
	}
	return n, errno(err)
}

// aheadRoom is what the disk must have for writes that go ahead of their answers, in bytes: a thousand ranks may have a MiB of them under way.
const aheadRoom = 1 << 30

// roomAhead says whether there is room for small writes to a file that nobody waits for.
func roomAhead(f File) bool {
	o, ok := f.(*localFile)
	if !ok || o.tree != nil && o.tree.full.Load() {
		return false
	}
	var st unix.Statfs_t
	return unix.Fstatfs(int(o.f.Fd()), &st) == nil && int64(st.Bavail)*st.Bsize >= aheadRoom
}

// grows is the error of what would make a file that long.
func (o *localFile) grows(size int64) error {
	if o.tree == nil || !o.tree.full.Load() {
		return nil
	}
	if st, err := o.f.Stat(); err == nil && size <= st.Size() {
		return nil
	}
	return syscall.EDQUOT
}

func (o *localFile) WriteAt(p []byte, at int64) (int, error) {
	if at < 0 {
		return 0, syscall.EINVAL
	}
	if err := o.grows(at + int64(len(p))); err != nil {
		return 0, err
	}
	n, err := o.f.WriteAt(p, at)
	return n, errno(err)
}

// Append has the kernel find the end and write there in one step. What it writes of p at once is whole; only a full disk parts it.
func (o *localFile) Append(p []byte) (n int, end int64, err error) {
	if err := o.grows(math.MaxInt64); err != nil && len(p) > 0 {
		return 0, 0, err
	}
	fd := int(o.f.Fd())
	for err == nil && n < len(p) {
		var done int
		switch done, err = unix.Pwritev2(fd, [][]byte{p[n:]}, -1, appendEach); {
		case errors.Is(err, unix.EINTR):
			err = nil
		case err == nil && done == 0:
			err = syscall.EIO
		default:
			n += max(done, 0)
		}
	}
	if n == 0 && len(p) > 0 {
		return 0, 0, errno(err)
	}
	end, failed := o.f.Seek(0, io.SeekCurrent)
	return n, end, errno(cmp.Or(err, failed))
}

func (o *localFile) Stat() (Info, error) {
	st, err := o.f.Stat()
	if err != nil {
		return Info{}, errno(err)
	}
	return o.tree.info(st)
}

func (o *localFile) Truncate(size int64) error { return errno(o.f.Truncate(size)) }

func (o *localFile) Allocate(at, size int64) error {
	if err := o.grows(at + size); err != nil {
		return err
	}
	err := unix.Fallocate(int(o.f.Fd()), 0, at, size)
	if !errors.Is(err, unix.EOPNOTSUPP) {
		return errno(err)
	}
	info, err := o.Stat()
	if err != nil || info.Size >= at+size {
		return err
	}
	return o.Truncate(at + size) // it has its size, and no promise of room
}

func (o *localFile) Sync() error { return errno(o.f.Sync()) }

func (o *localFile) SetTimes(times Times) error {
	if o.tree != nil && o.tree.readOnly {
		return syscall.EROFS
	}
	link := "/proc/self/fd/" + strconv.Itoa(int(o.f.Fd()))
	return errno(unix.UtimesNanoAt(unix.AT_FDCWD, link, []unix.Timespec{timespec(times.Accessed), timespec(times.Changed)}, 0))
}

func (o *localFile) List() ([]Entry, error) {
	if _, err := o.f.Seek(0, io.SeekStart); err != nil {
		return nil, errno(err)
	}
	found, err := o.f.ReadDir(-1)
	if err != nil {
		return nil, errno(err)
	}
	list := make([]Entry, 0, len(found))
	for _, e := range found {
		var st unix.Stat_t
		if err := unix.Fstatat(int(o.f.Fd()), e.Name(), &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			continue // it has gone meanwhile
		}
		list = append(list, Entry{Name: e.Name(), Kind: kindOf(e.Type()), ID: o.tree.number(st.Ino)})
	}
	slices.SortFunc(list, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// Path asks the kernel, which knows of all renames, and looks whether that is so. It does not know of another name of a file whose one was removed: that is
// looked for, and ESTALE if it is not found.
func (o *localFile) Path() (string, error) {
	for range pathTries {
		st, err := o.f.Stat()
		if err != nil {
			return "", errno(err)
		}
		info, err := o.tree.info(st)
		if err != nil || info.Links == 0 {
			return "", err
		}
		name, err := o.lastName()
		if err != nil || name == "." {
			return name, err
		}
		if have, err := o.tree.root.Lstat(name); err == nil && os.SameFile(have, st) {
			return name, nil
		}
		if strings.HasSuffix(name, nameRemoved) {
			return o.tree.find(st)
		}
	}
	return "", syscall.ESTALE // it is renamed all the time
}

const (
	// nameRemoved is what the kernel adds to a name that was removed.
	nameRemoved = " (deleted)"
	// pathTries bounds how often a file is asked for its name while it is renamed.
	pathTries = 8
	// maxLooked bounds among how many a file's other name is looked for.
	maxLooked = 1 << 17
)

// lastName is by which name, in its tree, the kernel knows a file.
func (o *localFile) lastName() (string, error) {
	root, err := o.tree.root.Open(".")
	if err != nil {
		return "", errno(err)
	}
	defer root.Close() //nolint:errcheck // only looked at
	top, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", root.Fd()))
	if err != nil {
		return "", errno(err)
	}
	at, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", o.f.Fd()))
	if err != nil {
		return "", errno(err)
	}
	if at == top {
		return ".", nil
	}
	rest, inside := strings.CutPrefix(at, strings.TrimRight(top, "/")+"/")
	if !inside {
		return "", syscall.ESTALE // it was moved out of the tree, by somebody else
	}
	return rest, nil
}

// find looks for a file that has some name in the tree.
func (l *Local) find(file os.FileInfo) (found string, err error) {
	looked := 0
	err = fs.WalkDir(l.root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if looked++; looked > maxLooked {
			return fs.SkipAll
		}
		if err != nil || !e.Type().IsRegular() {
			return nil //nolint:nilerr // it has gone meanwhile, or nobody may look there
		}
		if have, err := e.Info(); err == nil && os.SameFile(have, file) {
			found = name
			return fs.SkipAll
		}
		return nil
	})
	if err == nil && found == "" {
		err = syscall.ESTALE
	}
	return found, err
}

func (o *localFile) Close() error { return errno(o.f.Close()) }
