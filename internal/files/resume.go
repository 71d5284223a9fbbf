package files

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
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

// inode is a file's number on this host's disk.
func (o *localFile) inode() (uint64, error) {
	st, err := o.f.Stat()
	if err != nil {
		return 0, err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, syscall.EIO
	}
	return sys.Ino, nil
}

// held opens a file without a name that an executor has open still.
func (u *Unpacker) held(h *apiv1.FileHandle, access int) (*os.File, error) {
	f, err := os.OpenFile(h.Held, access|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	inode, err := (&localFile{f: f}).inode()
	if err == nil && u.ids.of(inode) != h.Id {
		err = syscall.ENOENT // it has closed it since
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
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
