package wasm

import (
	"context"
	"encoding/binary"
	"math"
	"slices"
	"syscall"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/files"
	"github.com/godwit-run/godwit/mpi"
)

// Locker keeps the locks of files between the ranks of an app.
type Locker interface {
	// Lock does what is asked, for the rank: of two requests with one number the second is the first again. One that waits may be answered with More, and asked again. An
	// error is that there is no answer, also when ctx ends.
	Lock(ctx context.Context, number uint64, l *apiv1.FilesLock) (*apiv1.FilesResponse, error)
}

// lockedFile is a file of which the rank has had locks.
type lockedFile struct {
	mount string
	id    uint64
}

// maxLockedFiles bounds of how many files an image says that the rank has had locks. A file is forgotten when none of its descriptors has had any; one of a volume that has no name is another one after each move.
const maxLockedFiles = 1 << 16

// The guest's record of a lock (sdk/lib/godwit_lock.c): first and last byte (8 bytes each), kind, type and process (4 bytes each).
const lockBytes = 28

// Kinds of locks, as the guest says them.
const (
	lockOfRank = 1 // of records, the rank's
	lockOfOpen = 2 // of records, the open file's
	lockWhole  = 3 // flock's
)

// What a guest asks.
const (
	askTest  = uint32(apiv1.FilesLock_WHAT_TEST)
	askSet   = uint32(apiv1.FilesLock_WHAT_SET)
	askWait  = uint32(apiv1.FilesLock_WHAT_WAIT)
	askClose = 4 // the program closes the descriptor, which stays
	askApart = 5 // it is none of the program's
)

// noFile in place of a descriptor stands for the app.
const noFile = ^uint32(0)

// lockFunc is godwit_lock(fd, what, lock): it tests, sets, or waits for a lock, or says what becomes of a descriptor, and returns an error number of WASI. A guest that waits can be frozen, and asks again when it goes on.
type lockFunc struct{ point *mpi.Call }

func (f lockFunc) call(ctx context.Context, g *Guest, stack []uint64) {
	g.rewound(ctx)
	g.toldToEnd()
	why, err := f.lock(wasiCall{g, g.memory, stack[:3]})
	stack[0] = uint64(why)
	if err != nil {
		stack[0] = 0
		g.fail(ctx, err)
	}
}

func (f lockFunc) lock(c wasiCall) (errno, error) {
	switch c.u(1) {
	case askTest, askSet, askWait:
	case askClose, askApart:
		return c.setApart(c.u(1) == askClose), nil
	default:
		return errnoInvalid, nil
	}
	record, ok := c.memory.read(c.u(2), lockBytes)
	if !ok {
		return errnoFault, nil
	}
	le := binary.LittleEndian
	kind := le.Uint32(record[16:])
	l := &apiv1.FilesLock{
		What: apiv1.FilesLock_What(c.u(1)), From: int64(le.Uint64(record)), To: int64(le.Uint64(record[8:])), Type: apiv1.FilesLock_Type(le.Uint32(record[20:])),
		Process: int32(le.Uint32(record[24:])), Whole: kind == lockWhole,
	}
	res := &apiv1.FilesResponse{Lock: &apiv1.FilesLock{}}
	nobody, why := c.lockOf(l, kind)
	if why != errnoSuccess {
		return why, nil
	}
	if !nobody {
		t := c.guest.files
		if t.locker == nil {
			return errnoOf(syscall.ENOLCK), nil
		}
		t.lockRequests++
		var err error
		if res, err = f.ask(c, l); err != nil {
			return errnoSuccess, err
		}
	}
	if res.Errno != 0 {
		return errnoOf(syscall.Errno(res.Errno)), nil
	}
	if l.What == apiv1.FilesLock_WHAT_TEST {
		putLock(record, res.Lock)
	}
	return errnoSuccess, nil
}

// putLock answers a test.
func putLock(record []byte, by *apiv1.FilesLock) {
	le := binary.LittleEndian
	kind := uint32(lockOfRank)
	if by.GetOpened() != 0 {
		kind = lockOfOpen
	}
	le.PutUint64(record, uint64(by.GetFrom()))
	le.PutUint64(record[8:], uint64(by.GetTo()))
	le.PutUint32(record[16:], kind)
	le.PutUint32(record[20:], uint32(by.GetType()))
	le.PutUint32(record[24:], uint32(by.GetProcess()))
}

// lockOf says of which file a lock is, and whose. Of what is no file nobody else has any.
func (c wasiCall) lockOf(l *apiv1.FilesLock, kind uint32) (nobody bool, why errno) {
	if c.u(0) == noFile {
		l.From, l.To, l.Whole = 0, math.MaxInt64, false // one, of the rank
		return false, errnoSuccess
	}
	t := c.guest.files
	d, why := c.descriptor(c.u(0))
	switch {
	case why != errnoSuccess:
		return false, why
	case kind != lockWhole && l.What != apiv1.FilesLock_WHAT_TEST && (l.Type == apiv1.FilesLock_TYPE_EXCLUSIVE && !d.write || l.Type == apiv1.FilesLock_TYPE_SHARED && !d.read):
		return false, errnoBadf
	case d.stream != 0 || d.kind == files.Device:
		return true, errnoSuccess
	}
	info, err := c.stat(d)
	if err != nil {
		return false, errnoOf(err)
	}
	l.Mount, l.File = d.mount.Path, info.ID
	d.locked = lockedFile{l.Mount, l.File}
	if kind != lockOfRank {
		if d.lockOwner == 0 {
			t.lockOwners++
			d.lockOwner = t.lockOwners
		}
		l.Opened = d.lockOwner
	}
	if l.What != apiv1.FilesLock_WHAT_TEST && l.Type != apiv1.FilesLock_TYPE_UNSPECIFIED {
		t.locked[d.locked] = struct{}{}
	}
	return false, errnoSuccess
}

// setApart notes that a descriptor is none of the program's from now on: it has closed it, and the rank's locks of the file go, or has never had it.
func (c wasiCall) setApart(closed bool) errno {
	d, why := c.descriptor(c.u(0))
	if why != errnoSuccess {
		return why
	}
	if closed && !d.apart {
		if at, known := c.lockedBy(d); known {
			c.tell(&apiv1.FilesLock{What: apiv1.FilesLock_WHAT_CLOSE, Mount: at.mount, File: at.id})
		}
	}
	d.apart = true
	return errnoSuccess
}

// ask has a lock's request done, and stops for a freeze while it waits.
func (f lockFunc) ask(c wasiCall, l *apiv1.FilesLock) (res *apiv1.FilesResponse, err error) {
	g := c.guest
	for res == nil || res.More {
		var stop <-chan struct{}
		if host, ok := g.host.(Halter); ok && l.What == apiv1.FilesLock_WHAT_WAIT {
			stop = host.Halting()
		}
		err = c.blocking(func() (err error) {
			if res, err = g.files.lock(g, stop, l); err == nil && !res.More {
				return nil
			}
			select {
			case <-stop: // never, if it is nil
				res = nil
				return migrationPoint(g.host, f.point)
			default:
			}
			if err != nil { // nobody answers any more
				res = &apiv1.FilesResponse{Errno: int32(syscall.EIO)}
			}
			return nil
		})
		g.checkCancel()
		if err != nil {
			return nil, err
		}
	}
	return res, nil
}

// lock makes the newest request, until it is answered, stop is closed, or the guest is cancelled.
func (t *descriptors) lock(g *Guest, stop <-chan struct{}, l *apiv1.FilesLock) (*apiv1.FilesResponse, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-stop:
		case <-g.cancelCh:
		case <-ctx.Done():
		}
		cancel()
	}()
	return t.locker.Lock(ctx, t.lockRequests, l)
}

// tell has something done that is never refused; if nobody does it any more the app is over.
func (c wasiCall) tell(l *apiv1.FilesLock) {
	t := c.guest.files
	t.lockRequests++
	_ = c.blocking(func() error { _, err := t.lock(c.guest, nil, l); return err })
}

// lockedBy is the file of a descriptor, if the rank has had locks of it.
func (c wasiCall) lockedBy(d *descriptor) (at lockedFile, known bool) {
	t := c.guest.files
	if len(t.locked) == 0 || d.file == nil {
		return at, false
	}
	if at = d.locked; at == (lockedFile{}) {
		info, err := c.stat(d)
		if err != nil {
			return at, false
		}
		at = lockedFile{d.mount.Path, info.ID}
	}
	_, known = t.locked[at]
	return at, known
}

// unlock lets go of what the rank has of a file, one of whose descriptors is closed: as POSIX has it all that is the rank's, and what is the open file's.
func (c wasiCall) unlock(d *descriptor) {
	at, known := c.lockedBy(d)
	if !known {
		return
	}
	l := &apiv1.FilesLock{What: apiv1.FilesLock_WHAT_CLOSE, Mount: at.mount, File: at.id, Opened: d.lockOwner}
	if d.apart {
		l.What = apiv1.FilesLock_WHAT_GONE
	}
	if !d.apart || d.lockOwner != 0 {
		c.tell(l)
	}
	t := c.guest.files
	if !slices.ContainsFunc(t.open, func(o *descriptor) bool { return o != nil && o != d && o.locked == at }) {
		delete(t.locked, at)
	}
}

// unlockAll lets go of all that the rank has: it has ended well. What else ends it ends the app, which waits for nobody's files.
func (t *descriptors) unlockAll(g *Guest) {
	if t.lockRequests == 0 || t.locker == nil {
		return
	}
	t.lockRequests++
	_, _ = t.lock(g, nil, &apiv1.FilesLock{What: apiv1.FilesLock_WHAT_END}) // an error is that the app is over
	clear(t.locked)
}
