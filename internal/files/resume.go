package files

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// Save gives what the server knows, for a process after this one that serves the same directories: what is open, the last requests done, the locks, and of the standard input how far it is. The server
// is sealed. held says where an executor of this host has the file of an inode open, which has no name; empty: none has, and the next process has a copy.
func (s *Server) Save(ctx context.Context, held func(inode uint64) string, send func(*apiv1.FilePart) error) error {
	trees, err := s.locals()
	if err != nil {
		return err
	}
	p := &packer{ctx: ctx, out: send, digest: sha256.New(), trees: trees, names: map[uint64]named{}, links: map[uint64]named{}, stays: true, held: held}
	handles, err := p.handles(s)
	if err != nil {
		return err
	}
	return p.all(s, handles)
}

// held opens a file without a name that an executor has open still.
func (u *Unpacker) held(h *apiv1.FileHandle, access int) (*os.File, error) {
	f, err := os.OpenFile(h.Held, access|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && inodeOf(st) != h.Inode {
		err = syscall.ENOENT // it has closed it since
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// replaced takes out of the numbers that are known those of a file without a name whose copy has another inode, and of who had that.
func (u *Unpacker) replaced(h *apiv1.FileHandle, inode uint64) {
	u.ids.pairs = slices.DeleteFunc(u.ids.pairs, func(p idPair) bool { return p.inode == inode || p.inode == h.Inode && p.id == h.Id })
}

// Resume makes a server, of the home in dir, of what Save has given.
func Resume(dir string, next func() (*apiv1.FilePart, error)) (_ *Server, _ [2]*Local, err error) {
	u, err := NewUnpacker(dir)
	if err != nil {
		return nil, [2]*Local{}, err
	}
	u.stays = true
	known, err := loadIDs(dir)
	if err != nil {
		return nil, [2]*Local{}, errors.Join(err, u.Close())
	}
	if known != nil {
		u.ids = *known
	}
	for !u.whole {
		part, err := next()
		if err == nil {
			err = u.Add(part)
		}
		if err != nil {
			return nil, [2]*Local{}, errors.Join(fmt.Errorf("what was noted of the files: %w", err), u.Close())
		}
	}
	s, trees, err := u.Server()
	if err != nil {
		return nil, trees, errors.Join(err, u.Close())
	}
	return s, trees, nil
}
