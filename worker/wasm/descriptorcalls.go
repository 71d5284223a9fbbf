package wasm

import (
	"encoding/binary"
	"syscall"
	"time"

	"github.com/godwit-run/godwit/internal/files"
)

// fdflags and the rights that a guest may ask for or is told of.
const (
	flagAppend = 1 << 0

	rightRead     = 1 << 1
	rightSeek     = 1 << 2
	rightTell     = 1 << 5
	rightWrite    = 1 << 6
	rightFilestat = 1 << 21
	rightPoll     = 1 << 27
	rightsAll     = 1<<30 - 1
)

func fdSeek(c wasiCall) errno {
	d, why := c.descriptor(c.u(0))
	switch {
	case why != errnoSuccess:
		return why
	case d.stream != 0:
		return errnoNoSeek
	case d.file == nil:
		return errnoBadf
	}
	const set, current, end = 0, 1, 2
	base := int64(0)
	switch c.u(2) {
	case set:
	case current:
		base = c.told(d)
	case end:
		c.guest.meets()
		info, err := c.stat(d)
		if err != nil {
			return errnoOf(err)
		}
		base = info.Size
	default:
		return errnoInvalid
	}
	by := int64(c.args[1])
	at := base + by
	if at < 0 || by > 0 && at < base {
		return errnoInvalid
	}
	d.at, d.trails = at, false
	return c.put64(3, uint64(at))
}

func fdTell(c wasiCall) errno {
	d, why := c.descriptor(c.u(0))
	switch {
	case why != errnoSuccess:
		return why
	case d.stream != 0:
		return errnoNoSeek
	case d.file == nil:
		return errnoBadf
	}
	return c.put64(1, uint64(c.told(d)))
}

func fdClose(c wasiCall) errno {
	d, why := c.descriptor(c.u(0))
	switch {
	case why != errnoSuccess:
		return why
	case d.preopened():
		return errnoBadf // C libraries would find no path any more
	}
	c.unlock(d)
	c.guest.files.open[c.u(0)] = nil
	if d.file == nil {
		return errnoSuccess
	}
	return errnoOf(c.blocking(d.close))
}

// fdRenumber makes one descriptor another, which is closed; freopen does that.
func fdRenumber(c wasiCall) errno {
	from, why := c.descriptor(c.u(0))
	if why != errnoSuccess {
		return why
	}
	to := c.u(1)
	if to >= maxDescriptors || from.preopened() {
		return errnoBadf
	}
	if to == c.u(0) {
		return errnoSuccess
	}
	t := c.guest.files
	for int(to) >= len(t.open) {
		t.open = append(t.open, nil)
	}
	old := t.open[to]
	if old != nil && old.preopened() {
		return errnoBadf
	}
	if old != nil {
		c.unlock(old)
	}
	t.open[to], t.open[c.u(0)] = from, nil
	if old == nil || old.file == nil {
		return errnoSuccess
	}
	return errnoOf(c.blocking(old.close))
}

// stat describes what a descriptor stands for.
func (c wasiCall) stat(d *descriptor) (info files.Info, err error) {
	switch {
	case d.stream != 0:
		return files.Info{Kind: files.Device, Links: 1}, nil
	case d.file == nil:
		err = c.blocking(func() (err error) { info, err = d.mount.Tree.Stat(".", true); return err })
	default:
		err = c.blocking(func() (err error) { info, err = d.file.Stat(); return err })
	}
	return info, err
}

// WASI's file types.
func typeOf(k files.Kind) byte {
	switch k {
	case files.Regular:
		return 4
	case files.Directory:
		return 3
	case files.Link:
		return 7
	case files.Device:
		return 2 // a character device
	default:
		return 0
	}
}

func fdFilestat(c wasiCall) errno {
	d, why := c.descriptor(c.u(0))
	if why != errnoSuccess {
		return why
	}
	info, err := c.stat(d)
	if err != nil {
		return errnoOf(err)
	}
	return c.putFilestat(1, d.mount, info)
}

// putFilestat writes a filestat where the i-th argument points to.
func (c wasiCall) putFilestat(i int, m *Mount, info files.Info) errno {
	out, ok := c.memory.read(c.u(i), filestatBytes)
	if !ok {
		return errnoFault
	}
	clear(out)
	for dev, have := range c.guest.files.mounts {
		if have == m {
			binary.LittleEndian.PutUint64(out, uint64(dev)+1)
		}
	}
	binary.LittleEndian.PutUint64(out[8:], info.ID)
	out[16] = typeOf(info.Kind)
	binary.LittleEndian.PutUint64(out[24:], info.Links)
	binary.LittleEndian.PutUint64(out[32:], uint64(info.Size))
	binary.LittleEndian.PutUint64(out[40:], uint64(info.Accessed))
	binary.LittleEndian.PutUint64(out[48:], uint64(info.Changed))
	binary.LittleEndian.PutUint64(out[56:], uint64(info.Touched))
	return errnoSuccess
}

// fdStatus describes a descriptor. stdout and stderr are shown as terminals: a C library then passes every line on when it is printed, and what a
// program has said before it ends badly is not lost in its buffers. stdin is none, so that no program asks questions of it.
func fdStatus(c wasiCall) errno {
	d, why := c.descriptor(c.u(0))
	if why != errnoSuccess {
		return why
	}
	out, ok := c.memory.read(c.u(1), fdstatBytes)
	if !ok {
		return errnoFault
	}
	const blockDevice = 1 // no C library takes that for a terminal; one that can neither seek nor tell is one
	kind, rights := typeOf(d.kind), uint64(rightsAll)
	switch {
	case d.stream == 1:
		kind, rights = blockDevice, rightRead|rightFilestat|rightPoll
	case d.stream != 0:
		rights = rightWrite | rightFilestat | rightPoll
	case d.kind == files.Device:
		kind = blockDevice
	}
	if !d.read {
		rights &^= rightRead
	}
	if !d.write {
		rights &^= rightWrite
	}
	clear(out)
	out[0] = kind
	binary.LittleEndian.PutUint16(out[2:], d.flags)
	binary.LittleEndian.PutUint64(out[8:], rights)
	binary.LittleEndian.PutUint64(out[16:], rightsAll)
	return errnoSuccess
}

func fdSetFlags(c wasiCall) errno {
	d, why := c.descriptor(c.u(0))
	if why != errnoSuccess {
		return why
	}
	d.flags = uint16(c.u(1))
	return errnoSuccess
}

// fdSetRights takes rights away; nobody asks for that but old C libraries, and no right is of use to anybody else.
func fdSetRights(c wasiCall) errno {
	_, why := c.descriptor(c.u(0))
	return why
}

func fdAdvise(c wasiCall) errno {
	d, why := c.descriptor(c.u(0))
	switch {
	case why != errnoSuccess:
		return why
	case d.file == nil:
		return errnoBadf
	case c.u(3) > 5 || int64(c.args[2]) < 0:
		return errnoInvalid
	}
	return errnoSuccess
}

func fdAllocate(c wasiCall) errno {
	d, why := c.placed(true)
	switch {
	case why != errnoSuccess:
		return why
	case int64(c.args[1]) < 0 || int64(c.args[2]) <= 0:
		return errnoInvalid
	}
	return errnoOf(c.blocking(func() error { return d.file.Allocate(int64(c.args[1]), int64(c.args[2])) }))
}

func fdSetSize(c wasiCall) errno {
	d, why := c.descriptor(c.u(0))
	switch {
	case why != errnoSuccess:
		return why
	case d.file == nil || !d.write || int64(c.args[1]) < 0:
		return errnoInvalid
	}
	return errnoOf(c.blocking(func() error { return d.file.Truncate(int64(c.args[1])) }))
}

func fdSync(c wasiCall) errno {
	d, why := c.descriptor(c.u(0))
	switch {
	case why != errnoSuccess:
		return why
	case d.stream != 0:
		return errnoInvalid
	case d.file == nil:
		return errnoSuccess
	}
	return errnoOf(c.blocking(d.file.Sync))
}

// times are those that a call sets: two numbers at arguments i and i+1, then flags.
func (c wasiCall) times(i int) (files.Times, errno) {
	const access, accessNow, change, changeNow = 1, 2, 4, 8
	flags := c.u(i + 2)
	if flags&(access|accessNow) == access|accessNow || flags&(change|changeNow) == change|changeNow {
		return files.Times{}, errnoInvalid
	}
	pick := func(ns uint64, given, now bool) time.Time {
		switch {
		case given:
			return time.Unix(0, int64(ns))
		case now:
			return time.Now()
		default:
			return time.Time{}
		}
	}
	return files.Times{
		Accessed: pick(c.args[i], flags&access != 0, flags&accessNow != 0),
		Changed:  pick(c.args[i+1], flags&change != 0, flags&changeNow != 0),
	}, errnoSuccess
}

func fdSetTimes(c wasiCall) errno {
	d, why := c.descriptor(c.u(0))
	if why != errnoSuccess {
		return why
	}
	times, why := c.times(1)
	switch {
	case why != errnoSuccess:
		return why
	case d.stream != 0:
		return errnoInvalid
	case d.file == nil:
		return errnoOf(c.blocking(func() error { return d.mount.Tree.SetTimes(".", true, times) }))
	}
	return errnoOf(c.blocking(func() error { return d.file.SetTimes(times) }))
}

func prestatGet(c wasiCall) errno {
	d, why := c.descriptor(c.u(0))
	if why != errnoSuccess || !d.preopened() {
		return errnoBadf // C libraries stop asking at the first
	}
	out, ok := c.memory.read(c.u(1), prestatBytes)
	if !ok {
		return errnoFault
	}
	clear(out) // the tag of a directory is 0
	binary.LittleEndian.PutUint32(out[4:], uint32(len(d.mount.Path)))
	return errnoSuccess
}

func prestatName(c wasiCall) errno {
	d, why := c.descriptor(c.u(0))
	switch {
	case why != errnoSuccess || !d.preopened():
		return errnoBadf
	case int64(c.u(2)) < int64(len(d.mount.Path)):
		return errnoNameTooLong
	case !c.memory.writeString(c.u(1), d.mount.Path):
		return errnoFault
	}
	return errnoSuccess
}

// fdReaddir fills a buffer with lines of a directory, the last of which may be cut off: then a C library asks again with more room. A cookie is a
// place in the list that was taken when reading began.
func fdReaddir(c wasiCall) errno {
	d, why := c.descriptor(c.u(0))
	switch {
	case why != errnoSuccess:
		return why
	case d.kind != files.Directory:
		return errnoNotDir
	}
	out, ok := c.bytes(1)
	if !ok {
		return errnoFault
	}
	cookie := c.args[3]
	if cookie == 0 || !d.listed {
		if err := c.list(d); err != nil {
			return errnoOf(err)
		}
	}
	used := 0
	for i := cookie; i < uint64(len(d.listing)) && used < len(out); i++ {
		e := d.listing[i]
		head := make([]byte, direntBytes, direntBytes+len(e.Name))
		binary.LittleEndian.PutUint64(head, i+1)
		binary.LittleEndian.PutUint64(head[8:], e.ID)
		binary.LittleEndian.PutUint32(head[16:], uint32(len(e.Name)))
		head[20] = typeOf(e.Kind)
		used += copy(out[used:], append(head, e.Name...))
	}
	return c.put32(4, uint32(used))
}

// list takes the list of a directory.
func (c wasiCall) list(d *descriptor) error {
	dir := d.file
	return c.blocking(func() (err error) {
		if dir == nil {
			if dir, err = d.mount.Tree.Open(".", syscall.O_RDONLY|syscall.O_DIRECTORY); err != nil {
				return err
			}
			defer dir.Close() //nolint:errcheck // only read
		}
		list, err := dir.List()
		if err != nil {
			return err
		}
		info, err := dir.Stat()
		if err != nil {
			return err
		}
		self := func(name string) files.Entry { return files.Entry{Name: name, Kind: files.Directory, ID: info.ID} }
		return c.guest.files.weigh(d, append([]files.Entry{self("."), self("..")}, list...))
	})
}
