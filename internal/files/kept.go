package files

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// A file without a name is in no tree: a rank that has it open and moves could not open it where it goes, and a copy would be another file than the one that others
// have open. So the app's home keeps it until the rank adopts it.

// Keeper is a File that its tree's home can keep.
type Keeper interface {
	// Keep has the home keep the file, for whoever adopts it by these numbers.
	Keep() (keeper, kept uint64, err error)
}

// Adopter is a Tree whose home keeps files.
type Adopter interface {
	// Adopt opens what was kept, once. Of flags the access mode counts, and O_DIRECTORY.
	Adopt(keeper, kept uint64, flags int) (File, error)
}

// maxKept bounds the files that a Server keeps. What nobody has adopted is of ranks that have not moved after all: the oldest goes for a new one.
const maxKept = 1 << 12

// keptKey is under what a file is kept: a client, and a number of its.
type keptKey struct{ keeper, kept uint64 }

// keptFile is a file that is kept, and of which tree it is.
type keptFile struct {
	file *os.File
	tree int
}

// again opens the file of another open one, with another access mode.
func again(f *os.File, access int) (*os.File, error) {
	return os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), access, 0)
}

// KeepFile keeps a file of one of the trees, which is the Server's from then on; once for each key. Nil: the Server is sealed.
func (s *Server) KeepFile(req *apiv1.FilesRequest, f *os.File) *apiv1.FilesResponse {
	if !s.seal.enter() {
		_ = f.Close() // it is asked for again
		return nil
	}
	defer s.seal.leave()
	if err := s.keepFile(req, f); err != nil {
		return &apiv1.FilesResponse{Errno: int32(numberOf(err))}
	}
	return &apiv1.FilesResponse{}
}

func (s *Server) keepFile(req *apiv1.FilesRequest, f *os.File) error {
	st, err := f.Stat()
	if err != nil {
		return errors.Join(errno(err), f.Close())
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok || sys.Nlink != 0 || !st.Mode().IsRegular() && !st.IsDir() {
		return errors.Join(syscall.EINVAL, f.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := keptKey{req.Client, req.Kept}
	switch {
	case s.closed:
		return errors.Join(syscall.EIO, f.Close())
	case s.kept[key].file != nil:
		return f.Close()
	}
	if s.kept == nil {
		s.kept = map[keptKey]keptFile{}
	}
	s.kept[key] = keptFile{f, which(req.Scratch)}
	s.keeping = append(s.keeping, key)
	return s.keepLess()
}

// keepLess lets go of what was kept longest, if there is too much. Holds mu.
func (s *Server) keepLess() error {
	var errs []error
	for len(s.kept) > maxKept {
		if old := s.kept[s.keeping[0]]; old.file != nil {
			errs = append(errs, old.file.Close())
			delete(s.kept, s.keeping[0])
		}
		s.keeping = s.keeping[1:]
	}
	if len(s.keeping) > 2*maxKept { // most of these were adopted
		s.keeping = slices.DeleteFunc(s.keeping, func(key keptKey) bool { return s.kept[key].file == nil })
	}
	return errors.Join(errs...)
}

// keep keeps what a client has open.
func (s *Server) keep(req *apiv1.FilesRequest) error {
	f := s.opened(req)
	if f == nil {
		return syscall.EBADF
	}
	l, ok := f.File.(*localFile)
	if !ok {
		return syscall.EOPNOTSUPP
	}
	kept, err := again(l.f, unix.O_RDONLY)
	if err != nil {
		return errno(err)
	}
	return s.keepFile(req, kept)
}

// adopt opens what is kept.
func (s *Server) adopt(req *apiv1.FilesRequest) error {
	key := keptKey{req.Keeper, req.Kept}
	return s.add(req, func() (File, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		k := s.kept[key]
		if k.file == nil {
			return nil, syscall.ENOENT
		}
		tree, ok := s.trees[k.tree].(*Local)
		if !ok {
			return nil, syscall.EOPNOTSUPP
		}
		f, err := again(k.file, int(req.Flags)&(unix.O_ACCMODE|unix.O_DIRECTORY))
		if err != nil {
			return nil, errno(err) // it stays, for another try
		}
		delete(s.kept, key)
		if err := k.file.Close(); err != nil {
			return nil, errors.Join(errno(err), f.Close())
		}
		return &localFile{f, tree}, nil
	})
}

// Keep implements Keeper.
func (f *remoteFile) Keep() (keeper, kept uint64, err error) {
	return f.tree.keep(&apiv1.FilesRequest{Handle: f.handle})
}

// Adopt implements Adopter.
func (r *Remote) Adopt(keeper, kept uint64, flags int) (File, error) {
	f := &remoteFile{r, r.ask.Handle()}
	if _, err := r.do(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_ADOPT, Keeper: keeper, Kept: kept, Flags: int32(flags), Handle: f.handle}); err != nil {
		return nil, err
	}
	return f, nil
}

// KeepOwn has the home, on this host, keep what this process has open, by its descriptor.
func (r *Remote) KeepOwn(fd uintptr) (keeper, kept uint64, err error) {
	return r.keep(&apiv1.FilesRequest{Size: int64(fd) + 1})
}

// keep has what a request names kept, under a number of its own.
func (r *Remote) keep(req *apiv1.FilesRequest) (keeper, kept uint64, err error) {
	req.Op, req.Kept = apiv1.FilesRequest_OP_KEEP, r.ask.Handle()
	_, err = r.do(req)
	return req.Client, req.Kept, err
}

// Fd is the descriptor of an open file of this host.
func (o *localFile) Fd() uintptr { return o.f.Fd() }

// Reader is the file opened for reading, which it need not be.
func (o *localFile) Reader() (*os.File, error) { return again(o.f, unix.O_RDONLY) }
