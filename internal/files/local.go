package files

import (
	"cmp"
	"errors"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Local is a directory of this host as a Tree.
type Local struct {
	*beneath
	readOnly bool
	full     atomic.Bool
	quota    atomic.Pointer[quota] // nil: there is none
	ids      *ids
}

var _ Tree = (*Local)(nil)

// OpenLocal opens a directory. With readOnly nothing in it is changed: EROFS.
func OpenLocal(dir string, readOnly bool) (*Local, error) {
	b, err := openBeneath(dir)
	if err != nil {
		return nil, err
	}
	return &Local{beneath: b, readOnly: readOnly}, nil
}

// SetFull says whether what is in the tree has grown beyond its quota: nothing is added to it then, EDQUOT.
func (l *Local) SetFull(full bool) { l.full.Store(full) }

// Close lets go of the directory. Files that are open stay so.
func (l *Local) Close() error { return l.dir.Close() }

const (
	fileMode = 0o666 // less the umask
	dirMode  = 0o777
	// appendEach is RWF_APPEND of pwritev2(2).
	appendEach = 0x10
)

// errno is the error of an operation on a tree.
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
	default:
		return syscall.EIO
	}
}

// openFlags are the flags of Open that count.
const openFlags = unix.O_ACCMODE | unix.O_CREAT | unix.O_EXCL | unix.O_TRUNC | unix.O_DIRECTORY | unix.O_NOFOLLOW

// Open implements Tree.
func (l *Local) Open(name string, flags int) (File, error) {
	flags &= openFlags
	if err := l.opens(name, &flags); err != nil {
		return nil, errno(err)
	}
	never := l.readOnly && (writes(flags) || flags&unix.O_CREAT != 0) // whatever comes to have that name meanwhile
	if never {
		flags &= unix.O_DIRECTORY | unix.O_NOFOLLOW
	}
	f, err := l.file(name, flags|unix.O_NONBLOCK)
	if err != nil {
		return nil, errno(err)
	}
	if never {
		return nil, errors.Join(syscall.EROFS, f.Close())
	}
	o := &localFile{f, l}
	if info, err := o.Stat(); err != nil || info.Kind != Regular && info.Kind != Directory {
		return nil, errors.Join(syscall.ENXIO, f.Close())
	}
	return o, nil
}

// opens is the error of opening something, if that is known before. What is no file is not even opened: a device may act on that.
func (l *Local) opens(name string, flags *int) error {
	if why := l.refuses(); why != nil && *flags&unix.O_CREAT != 0 {
		if err := l.found(name, flags, why); err != nil {
			return err
		}
	}
	if *flags&unix.O_CREAT != 0 && *flags&unix.O_EXCL != 0 {
		return nil // nothing that is there is opened
	}
	fd, st, err := l.reach(name, *flags&unix.O_NOFOLLOW == 0)
	if err != nil {
		return nil //nolint:nilerr // who opens it finds that again, or makes it
	}
	defer unix.Close(fd) //nolint:errcheck // only looked at
	switch kind := kindOf(st.Mode); {
	case kind == Other && *flags&unix.O_DIRECTORY != 0:
		return syscall.ENOTDIR
	case kind == Other:
		return syscall.ENXIO
	case l.readOnly && writes(*flags):
		return refusal(fd, kind, *flags)
	}
	return nil
}

// Stat implements Tree.
func (l *Local) Stat(name string, follow bool) (Info, error) {
	fd, st, err := l.reach(name, follow)
	if err != nil {
		return Info{}, errno(err)
	}
	return l.describe(&st), errno(unix.Close(fd))
}

// Access implements Tree.
func (l *Local) Access(name string, mode int, follow bool) error {
	fd, st, err := l.reach(name, follow)
	if err != nil {
		return errno(err)
	}
	defer unix.Close(fd) //nolint:errcheck // only looked at
	if err := mayAccess(fd, mode); err != nil {
		return errno(err)
	}
	if l.readOnly && mode&unix.W_OK != 0 && kindOf(st.Mode) != Other {
		return syscall.EROFS
	}
	return nil
}

// mayAccess says what this process may do with what is open.
func mayAccess(fd, mode int) error {
	return unix.Faccessat(unix.AT_FDCWD, descriptorPath(fd), uint32(mode), unix.AT_EACCESS)
}

// number is by which number programs know a file of an inode.
func (l *Local) number(inode uint64) uint64 {
	if l == nil {
		return inode
	}
	return l.ids.of(inode)
}

// info is what describe says.
func (l *Local) info(st os.FileInfo) (Info, error) {
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return Info{}, syscall.EIO
	}
	return l.describe(sys), nil
}

// describe translates what the kernel says; a file of no tree has none.
func (l *Local) describe(st *syscall.Stat_t) Info {
	return Info{
		Kind: kindOf(st.Mode), ID: l.number(st.Ino), Links: uint64(st.Nlink), Size: st.Size,
		Accessed: unix.TimespecToNsec(unix.Timespec(st.Atim)), Changed: unix.TimespecToNsec(unix.Timespec(st.Mtim)),
		Touched: unix.TimespecToNsec(unix.Timespec(st.Ctim)),
	}
}

// kindOf is what a mode of stat(2) says.
func kindOf(mode uint32) Kind {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return Regular
	case unix.S_IFDIR:
		return Directory
	case unix.S_IFLNK:
		return Link
	default:
		return Other
	}
}

// change is f of a name in its directory.
func (l *Local) change(name string, f func(dir int, base string) error) error {
	dir, base, err := l.enter(name)
	if err != nil {
		return errno(err)
	}
	defer unix.Close(dir) //nolint:errcheck // only gone through
	return errno(f(dir, base))
}

// Mkdir implements Tree.
func (l *Local) Mkdir(name string) error {
	return l.add(name, true, func(dir int, base string) error { return unix.Mkdirat(dir, base, dirMode) })
}

// Rmdir implements Tree.
func (l *Local) Rmdir(name string) error {
	return l.change(name, func(dir int, base string) error {
		if err := l.keeps(base); err != nil {
			return err
		}
		return unix.Unlinkat(dir, base, unix.AT_REMOVEDIR)
	})
}

// Unlink implements Tree.
func (l *Local) Unlink(name string) error {
	return l.change(name, func(dir int, base string) error {
		if err := l.keeps(base); err != nil {
			return err
		}
		return unix.Unlinkat(dir, base, 0)
	})
}

// Rename implements Tree.
func (l *Local) Rename(from, to string) error {
	return l.change(from, func(fromDir int, fromBase string) error {
		return l.change(to, func(toDir int, toBase string) error {
			if err := l.keeps(fromBase); err != nil && l.keeps(toBase) != nil {
				return err
			}
			return unix.Renameat(fromDir, fromBase, toDir, toBase)
		})
	})
}

// Link implements Tree.
func (l *Local) Link(from, to string) error {
	dir, base, err := l.enter(from)
	if err != nil {
		return errno(err)
	}
	defer func() { _ = unix.Close(dir) }()          // only looked at
	if strings.HasSuffix(base, "/") || dots(base) { // a directory, wherever that is
		at, err := l.open(from, unix.O_PATH|unix.O_DIRECTORY)
		if err != nil {
			return errno(err)
		}
		_ = unix.Close(dir) // only gone through
		dir, base = at, "."
	}
	var st unix.Stat_t
	if err := unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return errno(err)
	}
	return l.add(to, false, func(toDir int, toBase string) error { return unix.Linkat(dir, base, toDir, toBase, 0) })
}

// Symlink implements Tree.
func (l *Local) Symlink(text, name string) error {
	return l.add(name, false, func(dir int, base string) error { return unix.Symlinkat(text, dir, base) })
}

// Readlink implements Tree.
func (l *Local) Readlink(name string) (string, error) {
	fd, st, err := l.reach(name, false)
	if err != nil {
		return "", errno(err)
	}
	defer unix.Close(fd) //nolint:errcheck // only looked at
	if kindOf(st.Mode) != Link {
		return "", syscall.EINVAL
	}
	text, err := readlinkAt(fd, "")
	return text, errno(err)
}

// SetTimes implements Tree.
func (l *Local) SetTimes(name string, follow bool, times Times) error {
	fd, _, err := l.reach(name, follow)
	if err != nil {
		return errno(err)
	}
	defer unix.Close(fd) //nolint:errcheck // only looked at
	return l.setTimes(fd, times)
}

// setTimes sets the times of what is open, however it is: of a link its own.
func (l *Local) setTimes(fd int, times Times) error {
	if l != nil && l.readOnly {
		return syscall.EROFS
	}
	if times == (Times{}) { // only whether they could be set, as far as the file system goes
		var st unix.Statfs_t
		if unix.Fstatfs(fd, &st) == nil && st.Flags&unix.ST_RDONLY != 0 {
			return syscall.EROFS
		}
		return nil
	}
	return errno(unix.UtimesNanoAt(unix.AT_FDCWD, descriptorPath(fd), []unix.Timespec{timespec(times.Accessed), timespec(times.Changed)}, 0))
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
	var q *quota
	if o.tree != nil {
		q = o.tree.quota.Load()
	}
	fd := int(o.f.Fd())
	more, had := int64(0), int64(0)
	if q != nil {
		more, had = lacks(fd, at, size), takes(fd)
	}
	if err := q.take(more); err != nil {
		return err
	}
	err := unix.Fallocate(fd, 0, at, size)
	q.give(more - (takes(fd) - had))
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

func (o *localFile) SetTimes(times Times) error { return o.tree.setTimes(int(o.f.Fd()), times) }

func (o *localFile) List() ([]Entry, error) {
	if _, err := o.f.Seek(0, io.SeekStart); err != nil {
		return nil, errno(err)
	}
	found, err := o.f.Readdirnames(-1)
	if err != nil {
		return nil, errno(err)
	}
	list := make([]Entry, 0, len(found))
	for _, name := range found {
		var st unix.Stat_t
		if err := unix.Fstatat(int(o.f.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			continue // it has gone meanwhile
		}
		list = append(list, Entry{Name: name, Kind: kindOf(st.Mode), ID: o.tree.number(st.Ino)})
	}
	slices.SortFunc(list, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

func (o *localFile) Close() error { return errno(o.f.Close()) }
