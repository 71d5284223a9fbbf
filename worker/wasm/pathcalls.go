package wasm

import (
	"syscall"

	"github.com/godwit-run/godwit/internal/files"
)

// Flags of path_open.
const (
	openCreate    = 1 << 0
	openDirectory = 1 << 1
	openExclusive = 1 << 2
	openTruncate  = 1 << 3

	lookupFollow = 1
)

// on does f to the tree and path that arguments i and i+1 name, from the directory at argument 0.
func (c wasiCall) on(i int, f func(tree files.Tree, path string) error) errno {
	t, why := c.target(c.u(0), i)
	if why != errnoSuccess {
		return why
	}
	return errnoOf(c.blocking(func() error { return f(t.mount.Tree, t.path) }))
}

func pathMkdir(c wasiCall) errno { return c.on(1, files.Tree.Mkdir) }

func pathRmdir(c wasiCall) errno {
	if t, why := c.target(c.u(0), 1); why == errnoSuccess && t.top {
		return errnoBusy // as of each mount
	}
	return c.on(1, files.Tree.Rmdir)
}

func pathUnlink(c wasiCall) errno {
	return c.on(1, func(tree files.Tree, path string) error {
		err := tree.Unlink(path)
		if err == syscall.EISDIR || err == syscall.EPERM { //nolint:errorlint // a Tree's errors are numbers
			if info, serr := tree.Stat(path, false); serr == nil && info.Kind == files.Directory {
				return syscall.EISDIR
			}
		}
		return err
	})
}

func pathFilestat(c wasiCall) errno {
	t, why := c.target(c.u(0), 2)
	if why != errnoSuccess {
		return why
	}
	var info files.Info
	err := c.blocking(func() (err error) {
		info, err = t.mount.Tree.Stat(t.path, c.u(1)&lookupFollow != 0)
		return err
	})
	if err != nil {
		return errnoOf(err)
	}
	return c.putFilestat(4, t.mount, info)
}

// What access asks, as the guest says it: the bits of access(2), with none of which it asks whether something is there.
const (
	accessRun   = 1
	accessWrite = 2
	accessAll   = 7
)

// pathAccess is godwit_access(fd, path, length, mode, follow): whether what is at a path may be read, written or run, or a directory searched.
func pathAccess(c wasiCall) errno {
	mode := c.u(3)
	if mode&^accessAll != 0 {
		return errnoInvalid
	}
	return c.on(1, func(tree files.Tree, path string) error { return tree.Access(path, int(mode), c.u(4) != 0) })
}

func pathSetTimes(c wasiCall) errno {
	times, why := c.times(4)
	if why != errnoSuccess {
		return why
	}
	return c.on(2, func(tree files.Tree, path string) error { return tree.SetTimes(path, c.u(1)&lookupFollow != 0, times) })
}

// both does f to the two paths of a call, which must be in one mount.
func (c wasiCall) both(fromFD, from, toFD, to int, f func(tree files.Tree, from, to string) error) errno {
	a, why := c.target(c.u(fromFD), from)
	if why != errnoSuccess {
		return why
	}
	b, why := c.target(c.u(toFD), to)
	switch {
	case why != errnoSuccess:
		return why
	case a.mount != b.mount:
		return errnoCrossDevice
	}
	return errnoOf(c.blocking(func() error { return f(a.mount.Tree, a.path, b.path) }))
}

func pathRename(c wasiCall) errno { return c.both(0, 1, 3, 4, files.Tree.Rename) }
func pathLink(c wasiCall) errno   { return c.both(0, 2, 4, 5, files.Tree.Link) }

func pathSymlink(c wasiCall) errno {
	text, why := c.text(0)
	if why != errnoSuccess {
		return why
	}
	t, why := c.target(c.u(2), 3)
	if why != errnoSuccess {
		return why
	}
	return errnoOf(c.blocking(func() error { return t.mount.Tree.Symlink(text, t.path) }))
}

func pathReadlink(c wasiCall) errno {
	out, ok := c.bytes(3)
	if !ok {
		return errnoFault
	}
	var text string
	why := c.on(1, func(tree files.Tree, path string) (err error) { text, err = tree.Readlink(path); return err })
	if why != errnoSuccess {
		return why
	}
	return c.put32(5, uint32(copy(out, text)))
}

func pathOpen(c wasiCall) errno {
	t, why := c.target(c.u(0), 2)
	if why != errnoSuccess {
		return why
	}
	how, rights, fdflags := c.u(4), c.args[5], uint16(c.u(7))
	d := &descriptor{mount: t.mount, flags: fdflags, read: rights&rightRead != 0, write: rights&rightWrite != 0}
	flags := accessOf(d.read, d.write)
	for wasi, system := range map[uint32]int{
		openCreate: syscall.O_CREAT, openDirectory: syscall.O_DIRECTORY, openExclusive: syscall.O_EXCL, openTruncate: syscall.O_TRUNC,
	} {
		if how&wasi != 0 {
			flags |= system
		}
	}
	if c.u(1)&lookupFollow == 0 {
		flags |= syscall.O_NOFOLLOW
	}
	err := c.blocking(func() error { return d.openAt(t, flags) })
	if err != nil {
		return errnoOf(err)
	}
	fd, why := c.guest.files.add(d)
	if why != errnoSuccess {
		if d.file != nil {
			_ = c.blocking(d.file.Close) // nothing was written
		}
		return why
	}
	return c.put32(8, fd)
}

// accessOf is the access mode of open(2).
func accessOf(read, write bool) int {
	switch {
	case read && write:
		return syscall.O_RDWR
	case write:
		return syscall.O_WRONLY
	default:
		return syscall.O_RDONLY
	}
}

// openAt opens what is at a place. What names one of the guest's own streams stands for that stream.
func (d *descriptor) openAt(t target, flags int) error {
	f, err := t.mount.Tree.Open(t.path, flags)
	if err != nil {
		return err
	}
	if s, ok := f.(streamFile); ok {
		d.mount, d.stream, d.kind = nil, uint8(s)+1, files.Device
		d.read, d.write = s == 0, s != 0
		return nil
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close() // what is wrong is said already
		return err
	}
	if d.kind = info.Kind; d.kind == files.Directory {
		d.read, d.write = true, false
	}
	d.file = f
	d.distant, _ = f.(files.Distant)
	return nil
}
