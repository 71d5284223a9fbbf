package files

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// A file without a name is in no tree: a rank that has it open and moves could not open it where it goes, and a copy would be another file than the one that others
// have open. So the app's home keeps it until the rank adopts it, where it has gone. If it has not gone after all it has the file still: then that is kept under the same number when it
// moves, and not any more when the rank closes it, or its executor leaves. For a checkpoint every open file is kept: the ranks stand still one after the other, and those that
// run yet may rename or remove what others have open; where all stand still it is known which name each file has, or that its bytes go along.

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

// keptFile is a file that is kept, and of which tree it is.
type keptFile struct {
	file *os.File
	tree int
}

// again opens the file of another open one, with another access mode.
func again(f *os.File, access int) (*os.File, error) {
	return os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), access, 0)
}

// KeepFile keeps a file of one of the trees, which is the Server's from then on; once for each number of a client's. Nil: the Server is sealed.
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

// keepFile keeps a regular file or a directory.
func (s *Server) keepFile(req *apiv1.FilesRequest, f *os.File) error {
	st, err := f.Stat()
	if err != nil {
		return errors.Join(errno(err), f.Close())
	}
	if !st.Mode().IsRegular() && !st.IsDir() {
		return errors.Join(syscall.EINVAL, f.Close())
	}
	switch err := s.putKept(req, f); {
	case errors.Is(err, errKept):
		return f.Close()
	case err != nil:
		return errors.Join(err, f.Close())
	}
	return nil
}

var errKept = errors.New("it is kept already")

// putKept keeps a file that is not kept yet.
func (s *Server) putKept(req *apiv1.FilesRequest, f *os.File) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.kept[req.Client]
	switch {
	case s.over(req.Client):
		return syscall.EIO
	case of[req.Kept].file != nil:
		return errKept
	case s.files >= maxFiles:
		return syscall.ENFILE
	case of == nil:
		of = map[uint64]keptFile{}
		s.kept[req.Client] = of
	}
	of[req.Kept] = keptFile{f, which(req.Scratch)}
	s.files++
	return nil
}

// takeKept is what is kept, which it is not any more; nil: nothing is. Holds mu.
func (s *Server) takeKept(keeper, kept uint64) *os.File {
	k, ok := s.kept[keeper][kept]
	if !ok {
		return nil
	}
	if delete(s.kept[keeper], kept); len(s.kept[keeper]) == 0 {
		delete(s.kept, keeper)
	}
	s.files--
	return k.file
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
	return s.add(req, func() (File, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		k, ok := s.kept[req.Keeper][req.Kept]
		if !ok {
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
		if err := s.takeKept(req.Keeper, req.Kept).Close(); err != nil { // its last reference is f's
			return nil, errors.Join(errno(err), f.Close())
		}
		return &localFile{f, tree}, nil
	})
}

// Keep implements Keeper.
func (f *remoteFile) Keep() (keeper, kept uint64, err error) {
	return f.tree.keep(&apiv1.FilesRequest{Handle: f.handle, Kept: f.handle})
}

// Adopt implements Adopter.
func (r *Remote) Adopt(keeper, kept uint64, flags int) (File, error) {
	f := &remoteFile{tree: r, handle: r.ask.Handle()}
	if _, err := r.do(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_ADOPT, Keeper: keeper, Kept: kept, Flags: int32(flags), Handle: f.handle}); err != nil {
		return nil, err
	}
	return f, nil
}

// KeepOwn has the home, on this host, keep what this process has open, by its descriptor; under the number kept, or, if that is 0, under one of its own.
func (r *Remote) KeepOwn(fd uintptr, kept uint64) (keeper, number uint64, err error) {
	if kept == 0 {
		kept = r.ask.Handle()
	}
	return r.keep(&apiv1.FilesRequest{OwnDescriptor: int64(fd) + 1, Kept: kept})
}

// LetGo has the home keep it no more.
func (r *Remote) LetGo(kept uint64) error {
	_, err := r.do(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_CLOSE, Handle: kept})
	return err
}

// keep has what a request names kept.
func (r *Remote) keep(req *apiv1.FilesRequest) (keeper, kept uint64, err error) {
	req.Op = apiv1.FilesRequest_OP_KEEP
	_, err = r.do(req)
	return req.Client, req.Kept, err
}

// Fd is the descriptor of an open file of this host.
func (o *localFile) Fd() uintptr { return o.f.Fd() }

// Reader is the file opened for reading, which it need not be.
func (o *localFile) Reader() (*os.File, error) { return again(o.f, unix.O_RDONLY) }
