package files

import (
	"io"
	"sync/atomic"
	"syscall"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// Asker has a request done by a Server, once, and returns its answer, however often it must be sent for that. An error is that it never will be. Requests
// of one Asker follow each other.
type Asker interface {
	Ask(req *apiv1.FilesRequest) (*apiv1.FilesResponse, error)
	// Handle is a number that no other open file of the client has.
	Handle() uint64
}

// roomHolds is for how long the host's word counts that there is room: others may take it.
const roomHolds = time.Second

// Remote is a tree on another host.
type Remote struct {
	ask     Asker
	scratch bool
	now     func() time.Time
	room    atomic.Pointer[said] // what the host has said last; nil: nothing
}

// said is the host's word on room.
type said struct {
	asked time.Time
	room  bool
}

// hears takes the host's word, unless it has been asked again since.
func (r *Remote) hears(word said) {
	for {
		last := r.room.Load()
		if last != nil && last.asked.After(word.asked) || r.room.CompareAndSwap(last, &word) {
			return
		}
	}
}

var _ Tree = (*Remote)(nil)

// NewRemote is the tree that a Server has: its directory, or the scratch one.
func NewRemote(ask Asker, scratch bool) *Remote {
	return &Remote{ask: ask, scratch: scratch, now: time.Now}
}

func (r *Remote) do(req *apiv1.FilesRequest) (*apiv1.FilesResponse, error) {
	req.Scratch = r.scratch
	res, err := r.ask.Ask(req)
	switch {
	case err != nil:
		return nil, err
	case res.Errno != 0:
		return res, syscall.Errno(res.Errno)
	}
	return res, nil
}

// Open implements Tree.
func (r *Remote) Open(path string, flags int) (File, error) {
	f := &remoteFile{tree: r, handle: r.ask.Handle()}
	if _, err := f.do(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_OPEN, Path: path, Flags: int32(flags)}); err != nil {
		return nil, err
	}
	return f, nil
}

// Stat implements Tree.
func (r *Remote) Stat(path string, follow bool) (Info, error) {
	res, err := r.do(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_STAT, Path: path, Follow: follow})
	if err != nil {
		return Info{}, err
	}
	return fromInfo(res.Info), nil
}

// Access implements Tree. A home of before, which knows nothing of it, says what is there.
func (r *Remote) Access(path string, mode int, follow bool) error {
	_, err := r.do(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_ACCESS, Path: path, Flags: int32(mode), Follow: follow})
	if err != syscall.ENOSYS { //nolint:errorlint // do's own
		return err
	}
	info, err := r.Stat(path, follow)
	if err == nil && mode&1 != 0 && info.Kind != Directory {
		return syscall.EACCES
	}
	return err
}

func (r *Remote) simple(op apiv1.FilesRequest_Op, path, other string) error {
	_, err := r.do(&apiv1.FilesRequest{Op: op, Path: path, Other: other})
	return err
}

// Mkdir implements Tree.
func (r *Remote) Mkdir(path string) error { return r.simple(apiv1.FilesRequest_OP_MKDIR, path, "") }

// Rmdir implements Tree.
func (r *Remote) Rmdir(path string) error { return r.simple(apiv1.FilesRequest_OP_RMDIR, path, "") }

// Unlink implements Tree.
func (r *Remote) Unlink(path string) error { return r.simple(apiv1.FilesRequest_OP_UNLINK, path, "") }

// Rename implements Tree.
func (r *Remote) Rename(from, to string) error {
	return r.simple(apiv1.FilesRequest_OP_RENAME, from, to)
}

// Link implements Tree.
func (r *Remote) Link(from, to string) error { return r.simple(apiv1.FilesRequest_OP_LINK, from, to) }

// Symlink implements Tree.
func (r *Remote) Symlink(text, path string) error {
	return r.simple(apiv1.FilesRequest_OP_SYMLINK, path, text)
}

// Readlink implements Tree.
func (r *Remote) Readlink(path string) (string, error) {
	res, err := r.do(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_READLINK, Path: path})
	return res.GetText(), err
}

// SetTimes implements Tree.
func (r *Remote) SetTimes(path string, follow bool, times Times) error {
	_, err := r.do(withTimes(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_SET_TIMES, Path: path, Follow: follow}, times))
	return err
}

func withTimes(req *apiv1.FilesRequest, times Times) *apiv1.FilesRequest {
	put := func(t time.Time) *int64 {
		if t.IsZero() {
			return nil
		}
		ns := t.UnixNano()
		return &ns
	}
	req.Accessed, req.Changed = put(times.Accessed), put(times.Changed)
	return req
}

// remoteFile is a File of a Remote.
type remoteFile struct {
	tree   *Remote
	handle uint64
}

func (f *remoteFile) do(req *apiv1.FilesRequest) (*apiv1.FilesResponse, error) {
	req.Handle = f.handle
	asked := f.tree.now()
	res, err := f.tree.do(req)
	switch req.Op {
	case apiv1.FilesRequest_OP_OPEN, apiv1.FilesRequest_OP_WRITE, apiv1.FilesRequest_OP_APPEND:
		f.tree.hears(said{asked, res.GetAhead()})
	default:
	}
	return res, err
}

// Ahead implements Distant.
func (f *remoteFile) Ahead() bool {
	word := f.tree.room.Load()
	return word != nil && word.room && f.tree.now().Sub(word.asked) < roomHolds
}

// WriteAhead implements Distant.
func (f *remoteFile) WriteAhead(p []byte, at int64) (end int64, err error) {
	req := &apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_WRITE, At: at, Data: p, Flags: writeAhead}
	if at < 0 {
		req.Op, req.At = apiv1.FilesRequest_OP_APPEND, 0
	}
	res, err := f.do(req)
	if err == nil && at >= 0 && res.At < int64(len(p)) {
		err = syscall.EIO
	}
	return res.GetAt(), err
}

func (f *remoteFile) ReadAt(p []byte, at int64) (n int, err error) {
	for n < len(p) {
		res, err := f.do(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_READ, At: at + int64(n), Size: int64(min(len(p)-n, PieceBytes))})
		if err != nil {
			return n, err
		}
		n += copy(p[n:], res.Data)
		if res.End || len(res.Data) == 0 {
			return n, io.EOF
		}
	}
	return n, nil
}

// WriteAt is as one up to MaxWhole bytes.
func (f *remoteFile) WriteAt(p []byte, at int64) (n int, err error) {
	for begin := 0; ; begin += MaxWhole {
		whole := p[min(begin, len(p)):min(len(p), begin+MaxWhole)]
		for from := 0; ; from += PieceBytes {
			piece, flags := pieceOf(whole, from)
			res, err := f.do(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_WRITE, At: at + int64(begin+from), Data: piece, Flags: flags})
			n += int(res.GetAt()) // of all pieces, with the last
			if err != nil {
				return n, err
			}
			if flags&partMore == 0 {
				break
			}
		}
		switch {
		case n < begin+len(whole):
			return n, syscall.EIO
		case begin+len(whole) == len(p):
			return n, nil
		}
	}
}

// pieceOf is what one request has of what is written as one, from a place on, and its flags.
func pieceOf(whole []byte, from int) (piece []byte, flags int32) {
	if from > 0 {
		flags = partRest
	}
	if len(whole) > from+PieceBytes {
		return whole[from : from+PieceBytes], flags | partMore
	}
	return whole[from:], flags
}

// Append is as one up to MaxWhole bytes.
func (f *remoteFile) Append(p []byte) (n int, end int64, err error) {
	for begin := 0; ; begin += MaxWhole {
		whole := p[min(begin, len(p)):min(len(p), begin+MaxWhole)]
		for from := 0; ; from += PieceBytes {
			piece, flags := pieceOf(whole, from)
			res, err := f.do(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_APPEND, Data: piece, Flags: flags})
			switch {
			case err != nil && res.GetDone() == 0:
				return n, end, err
			case err != nil:
				return n + int(res.Done), res.At, err
			}
			if flags&partMore == 0 {
				n, end = n+len(whole), res.At
				break
			}
		}
		if begin+len(whole) == len(p) {
			return n, end, nil
		}
	}
}

func (f *remoteFile) Stat() (Info, error) {
	res, err := f.do(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_FILE_STAT})
	if err != nil {
		return Info{}, err
	}
	return fromInfo(res.Info), nil
}

func (f *remoteFile) Truncate(size int64) error {
	_, err := f.do(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_TRUNCATE, Size: size})
	return err
}

func (f *remoteFile) Allocate(at, size int64) error {
	_, err := f.do(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_ALLOCATE, At: at, Size: size})
	return err
}

func (f *remoteFile) Sync() error {
	_, err := f.do(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_SYNC})
	return err
}

func (f *remoteFile) SetTimes(times Times) error {
	_, err := f.do(withTimes(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_FILE_SET_TIMES}, times))
	return err
}

func (f *remoteFile) List() (list []Entry, err error) {
	for after := ""; ; {
		res, err := f.do(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_LIST, Path: after})
		if err != nil {
			return nil, err
		}
		for _, e := range res.List {
			list = append(list, Entry{Name: e.Name, Kind: Kind(e.Kind), ID: e.Id})
		}
		if !res.More || len(res.List) == 0 {
			return list, nil
		}
		after = list[len(list)-1].Name
	}
}

func (f *remoteFile) Path() (string, error) {
	res, err := f.do(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_PATH})
	return res.GetText(), err
}

// Shut implements Distant.
func (f *remoteFile) Shut() error {
	req := &apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_CLOSE}
	if !f.Ahead() {
		req.Flags = closeNow
	}
	_, err := f.do(req)
	return err
}

func (f *remoteFile) Close() error {
	_, err := f.do(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_CLOSE})
	return err
}
