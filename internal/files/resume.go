package files

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// errUnnamed is returned where a client has a file open that has no name: it ends with this process.
var errUnnamed = errors.New("a file without a name is open")

// Save gives what the server knows, for a process after this one that serves the same directories: what is open, the last requests done, the locks, and of the standard input how far it is. The server
// is sealed.
func (s *Server) Save(ctx context.Context, send func(*apiv1.FilePart) error) error {
	trees, err := s.locals()
	if err != nil {
		return err
	}
	p := &packer{ctx: ctx, out: send, digest: sha256.New(), trees: trees, names: map[uint64]named{}, links: map[uint64]named{}, stays: true}
	handles, err := p.handles(s)
	if err != nil {
		return err
	}
	return p.all(s, handles)
}

// Resume makes a server, of the home in dir, of what Save has given.
func Resume(dir string, next func() (*apiv1.FilePart, error)) (_ *Server, _ [2]*Local, err error) {
	u, err := NewUnpacker(dir)
	if err != nil {
		return nil, [2]*Local{}, err
	}
	u.stays = true
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
