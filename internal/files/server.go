package files

import (
	"errors"
	"io"
	"sort"
	"sync"
	"syscall"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// PieceBytes bounds the bytes that one request to a Server moves.
const PieceBytes = 512 << 10

// MaxWhole bounds the bytes that are written, or appended, as one: no write of others comes between.
const MaxWhole = 4 << 20

// Flags of writes: a part of one that is not the last, one whose writer has been told that it is done, and a part of one that is not the first. Of closes: one that is waited for.
const (
	partMore   = 1
	writeAhead = 2
	partRest   = 4
	closeNow   = 8
)

// Waits says whether whoever makes a request waits for what is done of it.
func Waits(req *apiv1.FilesRequest) bool {
	return req.Op != apiv1.FilesRequest_OP_CLOSE || req.Flags&closeNow != 0
}

// AsksForRoom says whether a request that has found no room can be made once more as it is, when there may be some: what writes or makes something. A part of a write cannot, for those
// before it are gone; and a sync says once that what was written is lost.
func AsksForRoom(req *apiv1.FilesRequest) bool {
	switch req.Op {
	case apiv1.FilesRequest_OP_APPEND, apiv1.FilesRequest_OP_WRITE:
		return req.Flags&(partMore|partRest) == 0
	case apiv1.FilesRequest_OP_ALLOCATE, apiv1.FilesRequest_OP_OPEN, apiv1.FilesRequest_OP_MKDIR, apiv1.FilesRequest_OP_LINK, apiv1.FilesRequest_OP_SYMLINK, apiv1.FilesRequest_OP_RENAME:
		return true
	default:
		return false
	}
}

// Took says whether something of a write is done, though it failed.
func Took(req *apiv1.FilesRequest, res *apiv1.FilesResponse) bool {
	return res.GetDone() > 0 || req.Op == apiv1.FilesRequest_OP_WRITE && res.GetAt() > 0
}

// Bounds of what a Server keeps, and of an answer.
const (
	maxLanes     = 1 << 20 // of all clients
	maxFiles     = 1 << 18 // that all of them have open
	maxLaneFiles = 1 << 13 // of one lane: a rank's own bound, and the bound of what waits to be closed, are less
	maxLeft      = 1 << 16 // clients that have left
	maxEntries   = 4096    // of one answer
)

// Server does what others ask of a pair of trees: an app's directory, and its scratch one. What a client opens is open until it closes it, or leaves, or
// Close. Its methods may be called from any goroutine.
type Server struct {
	trees [2]Tree
	input *Input
	locks *locks
	seal  seal

	mu      sync.Mutex // guards the fields below
	clients map[uint64]*filesClient
	left    map[uint64]bool // clients that are over
	leaving []uint64        // the same, in the order in which they left
	lanes   int             // of all clients
	files   int
	closed  bool
	kept    map[uint64]map[uint64]keptFile // by client and its number; they count among files
}

// filesClient is what one client has.
type filesClient struct {
	lanes map[int32]*lane
	files map[uint64]*opened // by the client's number
}

// opened is an open file. The requests of its lane follow each other; they alone use what is below.
type opened struct {
	File
	lane *lane

	rest   []Entry // of a list that is being asked for: what follows the name before
	before string
	parts  []byte // what has come of a write
}

// lane is the requests of one client that follow each other: the last is kept, with its answer, so that it is done once.
type lane struct {
	files int // open; guarded by the server's mu

	mu     sync.Mutex // held while one is done
	number uint64
	answer *apiv1.FilesResponse
}

// NewServer serves a directory and a scratch one, and the app's standard input.
func NewServer(kept, scratch Tree, input *Input) *Server {
	return &Server{trees: [2]Tree{kept, scratch}, input: input, locks: newLocks(), clients: map[uint64]*filesClient{}, left: map[uint64]bool{}, kept: map[uint64]map[uint64]keptFile{}}
}

// Close closes all that is open.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	var open []io.Closer
	for id := range s.clients {
		open = append(open, s.forget(id)...)
	}
	for id := range s.kept {
		open = append(open, s.forget(id)...)
	}
	s.mu.Unlock()
	return errors.Join(closeAll(open), s.input.Close())
}

// forget takes a client out, and returns what it has open, or had kept. Holds mu.
func (s *Server) forget(id uint64) (open []io.Closer) {
	if c := s.clients[id]; c != nil {
		delete(s.clients, id)
		s.lanes -= len(c.lanes)
		s.files -= len(c.files)
		for _, f := range c.files {
			open = append(open, f)
		}
	}
	for kept := range s.kept[id] {
		open = append(open, s.takeKept(id, kept))
	}
	return open
}

func closeAll(open []io.Closer) error {
	var errs []error
	for _, f := range open {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// leave ends a client. A request of its that comes late must not be done once more, so its number is kept.
func (s *Server) leave(id uint64) error {
	s.mu.Lock()
	if !s.left[id] {
		if s.left[id], s.leaving = true, append(s.leaving, id); len(s.leaving) > maxLeft {
			delete(s.left, s.leaving[0])
			s.leaving = s.leaving[1:]
		}
	}
	open := s.forget(id)
	s.mu.Unlock()
	return closeAll(open)
}

// Do does what is asked, once: a request that was done gets the answer that it got. Nil: it is about locks, and the Server is sealed.
func (s *Server) Do(req *apiv1.FilesRequest) *apiv1.FilesResponse {
	switch {
	case req.Op >= apiv1.FilesRequest_OP_INPUT_WRITE:
		return s.input.do(req)
	case req.Op == apiv1.FilesRequest_OP_LOCK:
		return s.lock(req)
	case req.Op == apiv1.FilesRequest_OP_LEAVE:
		_ = s.leave(req.Client) // nobody is there to hear of an error
		return &apiv1.FilesResponse{}
	}
	l, err := s.lane(req)
	if err != nil {
		return &apiv1.FilesResponse{Errno: int32(numberOf(err))}
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

// over says whether nobody waits for an answer to a client. Holds mu.
func (s *Server) over(client uint64) bool { return s.closed || s.left[client] }

// lock does what is asked about locks.
func (s *Server) lock(req *apiv1.FilesRequest) *apiv1.FilesResponse {
	s.mu.Lock()
	over := s.over(req.Client)
	s.mu.Unlock()
	if over {
		return &apiv1.FilesResponse{Errno: int32(syscall.EIO)}
	}
	return s.locks.do(req)
}

func (s *Server) lane(req *apiv1.FilesRequest) (*lane, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[req.Client]
	switch {
	case s.over(req.Client):
		return nil, syscall.EIO
	case c != nil && c.lanes[req.Lane] != nil:
		return c.lanes[req.Lane], nil
	case s.lanes >= maxLanes:
		return nil, syscall.ENFILE
	case c == nil:
		c = &filesClient{lanes: map[int32]*lane{}, files: map[uint64]*opened{}}
		s.clients[req.Client] = c
	}
	l := &lane{}
	c.lanes[req.Lane] = l
	s.lanes++
	return l, nil
}

func (s *Server) do(req *apiv1.FilesRequest) *apiv1.FilesResponse {
	var res apiv1.FilesResponse
	var err error
	switch {
	case req.Op == apiv1.FilesRequest_OP_KEEP:
		err = s.keep(req)
	case req.Op == apiv1.FilesRequest_OP_ADOPT:
		err = s.adopt(req)
	case req.Op < apiv1.FilesRequest_OP_READ:
		err = s.doTree(req, &res)
	default:
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
		return s.add(req, func() (File, error) {
			f, err := t.Open(req.Path, int(req.Flags))
			if err == nil {
				res.Ahead = roomAhead(f)
			}
			return f, err
		})
	case apiv1.FilesRequest_OP_STAT:
		var info Info
		if info, err = t.Stat(req.Path, req.Follow); err == nil {
			res.Info = toInfo(info)
		}
	case apiv1.FilesRequest_OP_ACCESS:
		err = t.Access(req.Path, int(req.Flags), req.Follow)
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
	default:
		err = syscall.ENOSYS
	}
	return err
}

// add opens a file under the client's number for it.
func (s *Server) add(req *apiv1.FilesRequest, open func() (File, error)) error {
	l, why := s.reserve(req)
	if why != nil {
		return why
	}
	f, err := open()
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[req.Client]
	if c == nil { // it has left, and what it had is not counted any more
		if err == nil {
			err = errors.Join(syscall.EBADF, f.Close())
		}
		return err
	}
	if err != nil || c.files[req.Handle] != nil {
		l.files, s.files = l.files-1, s.files-1
		if err == nil {
			err = errors.Join(syscall.EBADF, f.Close())
		}
		return err
	}
	c.files[req.Handle] = &opened{File: f, lane: l}
	return nil
}

// reserve counts a file that is to be opened.
func (s *Server) reserve(req *apiv1.FilesRequest) (*lane, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[req.Client]
	if c == nil {
		return nil, syscall.EBADF
	}
	l := c.lanes[req.Lane]
	switch {
	case l.files >= maxLaneFiles:
		return nil, syscall.EMFILE
	case s.files >= maxFiles:
		return nil, syscall.ENFILE
	}
	l.files, s.files = l.files+1, s.files+1
	return l, nil
}

// opened is a client's open file, which is taken from it if it is to be closed; nil: there is none.
func (s *Server) opened(req *apiv1.FilesRequest) *opened {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[req.Client]
	if c == nil {
		return nil
	}
	f := c.files[req.Handle]
	if f != nil && req.Op == apiv1.FilesRequest_OP_CLOSE {
		delete(c.files, req.Handle)
		f.lane.files, s.files = f.lane.files-1, s.files-1
	}
	return f
}

func (s *Server) doFile(req *apiv1.FilesRequest, res *apiv1.FilesResponse) (err error) {
	f := s.opened(req)
	if req.Op == apiv1.FilesRequest_OP_CLOSE {
		return s.close(req, f)
	}
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
	case apiv1.FilesRequest_OP_WRITE, apiv1.FilesRequest_OP_APPEND:
		res.Done, res.At, err = f.write(req)
		res.Ahead = roomAhead(f.File)
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
		err = f.list(req.Path, res)
	case apiv1.FilesRequest_OP_PATH:
		res.Text, err = f.Path()
	default:
		err = syscall.ENOSYS
	}
	return err
}

// close closes what a client has open, nil if it is nothing that the Server has opened, and lets go of what is kept of it.
func (s *Server) close(req *apiv1.FilesRequest, f *opened) error {
	s.mu.Lock()
	kept := s.takeKept(req.Client, req.Handle)
	s.mu.Unlock()
	if f == nil && kept == nil {
		return syscall.EBADF
	}
	var errs [2]error
	if f != nil {
		errs[0] = f.Close()
	}
	if kept != nil {
		errs[1] = kept.Close()
	}
	return errors.Join(errs[:]...)
}

// list answers with the part of a directory's list that comes after a name. The rest is kept for the next.
func (f *opened) list(after string, res *apiv1.FilesResponse) error {
	if after == "" || f.rest == nil || f.before != after {
		all, err := f.List()
		if err != nil {
			return err
		}
		from := 0
		if after != "" {
			from = sort.Search(len(all), func(i int) bool { return all[i].Name > after })
		}
		f.rest = all[from:]
	}
	part := f.rest[:min(len(f.rest), maxEntries)]
	for _, e := range part {
		res.List = append(res.List, &apiv1.FileInfo{Name: e.Name, Kind: uint32(e.Kind), Id: e.ID})
	}
	if f.rest = f.rest[len(part):]; len(f.rest) == 0 {
		f.rest = nil
		return nil
	}
	res.More, f.before = true, part[len(part)-1].Name
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
