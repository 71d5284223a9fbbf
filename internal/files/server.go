package files

import (
	"errors"
	"io"
	"sync"
	"syscall"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// PieceBytes bounds the bytes that one request to a Server moves.
const PieceBytes = 512 << 10

// Bounds of what a Server keeps, and of an answer.
const (
	maxLanes   = 1 << 20
	maxEntries = 4096 // of one answer
)

// Server does what others ask of a pair of trees: an app's directory, and its scratch one. What a client opens is open until it closes it, or
// Close. Its methods may be called from any goroutine.
type Server struct {
	trees [2]Tree
	input *Input

	mu      sync.Mutex // guards the fields below
	handles map[handleKey]File
	lanes   map[laneKey]*lane
	closed  bool
}

type handleKey struct{ client, handle uint64 }

type laneKey struct {
	client uint64
	lane   int32
}

// lane is the requests of one client that follow each other: the last is kept, with its answer, so that it is done once.
type lane struct {
	mu     sync.Mutex // held while one is done
	number uint64
	answer *apiv1.FilesResponse
}

// NewServer serves a directory and a scratch one, and the app's standard input.
func NewServer(kept, scratch Tree, input *Input) *Server {
	return &Server{trees: [2]Tree{kept, scratch}, input: input, handles: map[handleKey]File{}, lanes: map[laneKey]*lane{}}
}

// Close closes all that is open.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var errs []error
	for _, f := range s.handles {
		errs = append(errs, f.Close())
	}
	clear(s.handles)
	return errors.Join(append(errs, s.input.Close())...)
}

// Do does what is asked, once: a request that was done gets the answer that it got.
func (s *Server) Do(req *apiv1.FilesRequest) *apiv1.FilesResponse {
	if req.Op >= apiv1.FilesRequest_OP_INPUT_WRITE {
		return s.input.do(req)
	}
	l := s.lane(req)
	if l == nil {
		return &apiv1.FilesResponse{Errno: int32(syscall.ENFILE)}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case req.Number < l.number:
		return &apiv1.FilesResponse{Errno: int32(syscall.EIO)} // an old one that came late: nobody waits for it
	case req.Number == l.number && l.answer != nil:
		return l.answer
	}
	res := s.do(req)
	l.number, l.answer = req.Number, res
	if req.Op == apiv1.FilesRequest_OP_READ || req.Op == apiv1.FilesRequest_OP_LIST {
		l.answer = nil // it is large, and may be done again
	}
	return res
}

func (s *Server) lane(req *apiv1.FilesRequest) *lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := laneKey{req.Client, req.Lane}
	l := s.lanes[key]
	if l == nil && len(s.lanes) < maxLanes {
		l = &lane{}
		s.lanes[key] = l
	}
	return l
}

func (s *Server) do(req *apiv1.FilesRequest) *apiv1.FilesResponse {
	var res apiv1.FilesResponse
	var err error
	if req.Op < apiv1.FilesRequest_OP_READ {
		err = s.doTree(req, &res)
	} else {
		err = s.doFile(req, &res)
	}
	if err != nil {
		res.Errno = int32(numberOf(err))
	}
	return &res
}

// numberOf is the number of an error of a tree.
func numberOf(err error) syscall.Errno {
	var n syscall.Errno
	if errors.As(err, &n) {
		return n
	}
	return syscall.EIO
}

func (s *Server) doTree(req *apiv1.FilesRequest, res *apiv1.FilesResponse) (err error) {
	t := s.trees[0]
	if req.Scratch {
		t = s.trees[1]
	}
	switch req.Op {
	case apiv1.FilesRequest_OP_OPEN:
		return s.open(t, req)
	case apiv1.FilesRequest_OP_STAT:
		var info Info
		if info, err = t.Stat(req.Path, req.Follow); err == nil {
			res.Info = toInfo(info)
		}
	case apiv1.FilesRequest_OP_MKDIR:
		err = t.Mkdir(req.Path)
	case apiv1.FilesRequest_OP_RMDIR:
		err = t.Rmdir(req.Path)
	case apiv1.FilesRequest_OP_UNLINK:
		err = t.Unlink(req.Path)
	case apiv1.FilesRequest_OP_RENAME:
		err = t.Rename(req.Path, req.Other)
	case apiv1.FilesRequest_OP_LINK:
		err = t.Link(req.Path, req.Other)
	case apiv1.FilesRequest_OP_SYMLINK:
		err = t.Symlink(req.Other, req.Path)
	case apiv1.FilesRequest_OP_READLINK:
		res.Text, err = t.Readlink(req.Path)
	case apiv1.FilesRequest_OP_SET_TIMES:
		err = t.SetTimes(req.Path, req.Follow, timesOf(req))
	case apiv1.FilesRequest_OP_SPACE:
		var sp Space
		sp, err = t.Space()
		res.Space = []uint64{sp.Bytes, sp.FreeBytes, sp.Files, sp.FreeFiles}
	default:
		err = syscall.ENOSYS
	}
	return err
}

// open opens a file under the client's number for it.
func (s *Server) open(t Tree, req *apiv1.FilesRequest) error {
	f, err := t.Open(req.Path, int(req.Flags))
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := handleKey{req.Client, req.Handle}
	if s.closed || s.handles[key] != nil {
		return errors.Join(syscall.EBADF, f.Close())
	}
	s.handles[key] = f
	return nil
}

func (s *Server) doFile(req *apiv1.FilesRequest, res *apiv1.FilesResponse) (err error) {
	key := handleKey{req.Client, req.Handle}
	s.mu.Lock()
	f := s.handles[key]
	if req.Op == apiv1.FilesRequest_OP_CLOSE {
		delete(s.handles, key)
	}
	s.mu.Unlock()
	if f == nil {
		return syscall.EBADF
	}
	switch req.Op {
	case apiv1.FilesRequest_OP_READ:
		res.Data = make([]byte, min(max(req.Size, 0), PieceBytes))
		var n int
		n, err = f.ReadAt(res.Data, req.At)
		res.Data = res.Data[:n]
		if errors.Is(err, io.EOF) {
			res.End, err = true, nil
		}
	case apiv1.FilesRequest_OP_WRITE:
		var n int
		n, err = f.WriteAt(req.Data, req.At)
		res.At = int64(n)
	case apiv1.FilesRequest_OP_APPEND:
		res.At, err = f.Append(req.Data)
	case apiv1.FilesRequest_OP_FILE_STAT:
		var info Info
		if info, err = f.Stat(); err == nil {
			res.Info = toInfo(info)
		}
	case apiv1.FilesRequest_OP_TRUNCATE:
		err = f.Truncate(req.Size)
	case apiv1.FilesRequest_OP_ALLOCATE:
		err = f.Allocate(req.At, req.Size)
	case apiv1.FilesRequest_OP_SYNC:
		err = f.Sync()
	case apiv1.FilesRequest_OP_FILE_SET_TIMES:
		err = f.SetTimes(timesOf(req))
	case apiv1.FilesRequest_OP_LIST:
		err = list(f, req.Path, res)
	case apiv1.FilesRequest_OP_PATH:
		res.Text, err = f.Path()
	case apiv1.FilesRequest_OP_CLOSE:
		err = f.Close()
	default:
		err = syscall.ENOSYS
	}
	return err
}

// list answers with the part of a directory's list that comes after a name.
func list(f File, after string, res *apiv1.FilesResponse) error {
	all, err := f.List()
	if err != nil {
		return err
	}
	for _, e := range all {
		if after != "" && e.Name <= after {
			continue
		}
		if len(res.List) == maxEntries {
			res.More = true
			break
		}
		res.List = append(res.List, &apiv1.FileInfo{Name: e.Name, Kind: uint32(e.Kind), Id: e.ID})
	}
	return nil
}

func toInfo(i Info) *apiv1.FileInfo {
	return &apiv1.FileInfo{
		Kind: uint32(i.Kind), Id: i.ID, Links: i.Links, Size: i.Size, Accessed: i.Accessed, Changed: i.Changed, Touched: i.Touched,
	}
}

func fromInfo(i *apiv1.FileInfo) Info {
	return Info{
		Kind: Kind(i.GetKind()), ID: i.GetId(), Links: i.GetLinks(), Size: i.GetSize(), Accessed: i.GetAccessed(), Changed: i.GetChanged(), Touched: i.GetTouched(),
	}
}

func timesOf(req *apiv1.FilesRequest) (t Times) {
	if req.Accessed != nil {
		t.Accessed = time.Unix(0, req.GetAccessed())
	}
	if req.Changed != nil {
		t.Changed = time.Unix(0, req.GetChanged())
	}
	return t
}
