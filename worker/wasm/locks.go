package wasm

import (
	"context"
	"encoding/binary"
	"syscall"

	"github.com/tetratelabs/wazero/api"

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

// maxLockedFiles bounds of how many files a rank has locks.
const maxLockedFiles = 1 << 16

// The guest's record of a lock (sdk/lib/godwit_lock.c): first and last byte (8 bytes each), kind, type and process (4 bytes each).
const lockBytes = 28

// Kinds of locks, as the guest says them.
const (
	lockOfRank = 1 // of records, the rank's
	lockOfOpen = 2 // of records, the open file's
	lockWhole  = 3 // flock's
)

// noFile in place of a descriptor stands for the app.
const noFile = ^uint32(0)

// lockFunc is godwit_lock(fd, what, lock): it tests, sets, or waits for a lock, and returns an error number of WASI. A guest that waits can be frozen, and asks again when it goes on.
type lockFunc struct{ point *mpi.Call }

// Call implements api.GoModuleFunction.
func (f lockFunc) Call(ctx context.Context, module api.Module, stack []uint64) {
	g := guestOf(ctx)
	g.rewound(ctx)
	why, err := f.lock(wasiCall{g, module.Memory(), stack[:3]})
	stack[0] = uint64(why)
	if err != nil {
		stack[0] = 0
		g.fail(ctx, err)
	}
}

func (f lockFunc) lock(c wasiCall) (errno, error) {
	t := c.guest.files
	record, ok := c.memory.Read(c.u(2), lockBytes)
	if !ok {
		return errnoFault, nil
	}
	le := binary.LittleEndian
	l := &apiv1.FilesLock{
		What: apiv1.FilesLock_What(c.u(1)), From: int64(le.Uint64(record)), To: int64(le.Uint64(record[8:])), Type: apiv1.FilesLock_Type(le.Uint32(record[20:])),
		Process: int32(le.Uint32(record[24:])), Whole: le.Uint32(record[16:]) == lockWhole,
	}
	if l.What < apiv1.FilesLock_WHAT_TEST || l.What > apiv1.FilesLock_WHAT_WAIT {
		return errnoInvalid, nil
	}
	if c.u(0) != noFile {
		all, why := c.lockOf(l, le.Uint32(record[16:]))
		if why != errnoSuccess || all {
			return why, nil
		}
	}
	if t.locker == nil {
		return errnoOf(syscall.ENOLCK), nil
	}
	t.lockRequests++
	res, err := f.ask(c, l)
	switch {
	case err != nil || res == nil:
		return errnoSuccess, err
	case res.Errno != 0:
		return errnoOf(syscall.Errno(res.Errno)), nil
	case res.Lock != nil:
		le.PutUint64(record, uint64(res.Lock.From))
		le.PutUint64(record[8:], uint64(res.Lock.To))
		kind := uint32(lockOfRank)
		if res.Lock.Opened != 0 {
			kind = lockOfOpen
		}
		le.PutUint32(record[16:], kind)
		le.PutUint32(record[20:], uint32(res.Lock.Type))
		le.PutUint32(record[24:], uint32(res.Lock.Process))
	}
	return errnoSuccess, nil
}

// lockOf says of which file a lock is, and whose. What is no file nobody else has: all may have a lock of it.
func (c wasiCall) lockOf(l *apiv1.FilesLock, kind uint32) (all bool, why errno) {
	t := c.guest.files
	d, why := c.descriptor(c.u(0))
	if why != errnoSuccess {
		return false, why
	}
	if kind != lockWhole && l.What != apiv1.FilesLock_WHAT_TEST {
		exclusive, shared := l.Type == apiv1.FilesLock_TYPE_EXCLUSIVE, l.Type == apiv1.FilesLock_TYPE_SHARED
		if exclusive && !d.write || shared && !d.read {
			return false, errnoBadf
		}
	}
	if d.stream != 0 || d.kind == files.Device {
		return true, errnoSuccess
	}
	info, err := c.stat(d)
	if err != nil {
		return false, errnoOf(err)
	}
	l.Mount, l.File = d.mount.Path, info.ID
	if l.Type == apiv1.FilesLock_TYPE_NONE || l.What == apiv1.FilesLock_WHAT_TEST {
		if kind != lockOfRank {
			l.Opened = d.lockOwner // 0, as the rank's, has none of flock's, and no open file's
		}
		return kind != lockOfRank && d.lockOwner == 0 && l.What != apiv1.FilesLock_WHAT_TEST, errnoSuccess
	}
	at := lockedFile{l.Mount, l.File}
	if _, known := t.locked[at]; !known && len(t.locked) >= maxLockedFiles {
		return false, errnoOf(syscall.ENOLCK)
	}
	t.locked[at] = struct{}{}
	if kind != lockOfRank {
		if d.lockOwner == 0 {
			t.lockOwners++
			d.lockOwner, d.locked = t.lockOwners, at
		}
		l.Opened = d.lockOwner
	}
	return false, errnoSuccess
}

// ask has a lock's request done, and stops for a freeze while it waits.
func (f lockFunc) ask(c wasiCall, l *apiv1.FilesLock) (res *apiv1.FilesResponse, err error) {
	g := c.guest
	number := g.files.lockRequests
	for res == nil || res.More {
		var stop <-chan struct{}
		if host, ok := g.host.(Halter); ok && l.What == apiv1.FilesLock_WHAT_WAIT {
			stop = host.Halting()
		}
		err = c.blocking(func() (err error) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			go func() {
				select {
				case <-stop: // never, if it is nil
				case <-g.cancelCh:
				case <-ctx.Done():
				}
				cancel()
			}()
			res, err = g.files.locker.Lock(ctx, number, l)
			select {
			case <-stop:
				if err != nil || res.More {
					res = nil
					return migrationPoint(g.host, f.point)
				}
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

// unlock lets go of what the rank has of a file, one of whose descriptors is closed: as POSIX has it all that is the rank's, and what is the open file's.
func (c wasiCall) unlock(d *descriptor) {
	t := c.guest.files
	if len(t.locked) == 0 || d.file == nil {
		return
	}
	at := d.locked
	if d.lockOwner == 0 {
		info, err := c.stat(d)
		if err != nil {
			return
		}
		at = lockedFile{d.mount.Path, info.ID}
	}
	if _, known := t.locked[at]; !known {
		return
	}
	_ = c.blocking(func() error {
		return t.tell(c.guest, &apiv1.FilesLock{What: apiv1.FilesLock_WHAT_CLOSE, Mount: at.mount, File: at.id, Opened: d.lockOwner})
	})
	for _, o := range t.open {
		if o != nil && o != d && o.lockOwner != 0 && o.locked == at {
			return
		}
	}
	delete(t.locked, at)
}

// unlockAll lets go of all that the rank has: it has ended.
func (t *descriptors) unlockAll(g *Guest) {
	if t.lockRequests == 0 || t.locker == nil {
		return
	}
	_ = t.tell(g, &apiv1.FilesLock{What: apiv1.FilesLock_WHAT_END})
	clear(t.locked)
}

// tell has something done that is never refused; an error is that nobody does it any more.
func (t *descriptors) tell(g *Guest, l *apiv1.FilesLock) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-g.cancelCh:
			cancel()
		case <-ctx.Done():
		}
	}()
	t.lockRequests++
	_, err := t.locker.Lock(ctx, t.lockRequests, l)
	return err
}
