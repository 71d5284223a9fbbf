package files

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"maps"
	"math"
	"os"
	"path"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// ErrDamaged is returned when what has come of a home is not what was sent.
var ErrDamaged = errors.New("the files came damaged")

// Unpacker makes, in a directory of this host, what a Server on another one gives. One goroutine uses it.
type Unpacker struct {
	dir    string
	roots  [2]*os.Root
	digest hash.Hash
	sum    *apiv1.FileSum
	got    apiv1.FileSum

	ids     ids
	at      *os.File            // which the next bytes are of; nil: none
	done    func() error        // closes it
	handles []*takenHandle      // that are open
	unnamed map[uint64]*os.File // files without names, by number, or, where the directories stay, by the inode that each had
	input   *Input
	server  *Server // with lanes, and nothing else yet
	whole   bool
	stays   bool // the directories are there already
	more    bool // numbers are new
}

type takenHandle struct {
	*apiv1.FileHandle

	file *os.File
}

// NewUnpacker makes the directories in dir, which is empty or not there.
func NewUnpacker(dir string) (*Unpacker, error) {
	u := &Unpacker{dir: dir, digest: sha256.New(), unnamed: map[uint64]*os.File{}, server: NewServer(nil, nil, nil)}
	for i, part := range []string{apiv1.HomeKept, apiv1.HomeScratch} {
		at := filepath.Join(dir, part)
		if err := os.MkdirAll(at, 0o700); err != nil {
			return nil, errors.Join(err, u.Close())
		}
		root, err := os.OpenRoot(at)
		if err != nil {
			return nil, errors.Join(err, u.Close())
		}
		u.roots[i] = root
	}
	return u, nil
}

// Progress is how much has come, and how much there is.
func (u *Unpacker) Progress() (got, sum *apiv1.FileSum) {
	return &apiv1.FileSum{Files: u.got.Files, Bytes: u.got.Bytes}, u.sum
}

// Whole says whether all has come, as it was sent.
func (u *Unpacker) Whole() bool { return u.whole }

// Add takes the next part.
func (u *Unpacker) Add(part *apiv1.FilePart) error {
	if u.whole {
		return fmt.Errorf("%w: there is something behind the end", ErrDamaged)
	}
	if end := part.GetEnd(); end != nil {
		return u.end(end)
	}
	if err := addPart(u.digest, part); err != nil {
		return err
	}
	if part.GetData() == nil {
		if err := u.closeFile(); err != nil {
			return err
		}
	}
	switch part := part.Part.(type) {
	case *apiv1.FilePart_Sum:
		u.sum = part.Sum
		u.ids.moves = part.Sum.Moves
		return nil
	case *apiv1.FilePart_Entry:
		if err := u.entry(part.Entry); err != nil {
			return fmt.Errorf("%.200q: %w", part.Entry.Path, err)
		}
		return nil
	case *apiv1.FilePart_Data:
		return u.data(part.Data)
	case *apiv1.FilePart_Handle:
		return u.handle(part.Handle)
	case *apiv1.FilePart_Input:
		return u.takeInput(part.Input)
	case *apiv1.FilePart_Lane:
		return u.lane(part.Lane)
	case *apiv1.FilePart_Locks:
		if err := u.server.locks.unpack(part.Locks); err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return nil
	default:
		return fmt.Errorf("%w: there is a %T", ErrDamaged, part)
	}
}

// lane takes what a client has done last, or that it has left.
func (u *Unpacker) lane(m *apiv1.FileLane) error {
	if m.Left {
		return u.server.leave(m.Client)
	}
	l, err := u.server.lane(&apiv1.FilesRequest{Client: m.Client, Lane: m.Lane})
	if err != nil {
		return fmt.Errorf("%w: there are too many lanes", ErrDamaged)
	}
	l.number, l.answer = m.Number, m.Answer
	return nil
}

// closeFile ends the file whose bytes came last.
func (u *Unpacker) closeFile() error {
	if u.at == nil {
		return nil
	}
	done := u.done
	u.at, u.done = nil, nil
	return done()
}

// know notes by which number programs know a file.
func (u *Unpacker) know(st os.FileInfo, id uint64) error {
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return syscall.EIO
	}
	u.ids.pairs = append(u.ids.pairs, idPair{sys.Ino, id})
	return nil
}

// which is the number of a tree.
func which(scratch bool) int {
	if scratch {
		return 1
	}
	return 0
}

// entry makes what an entry says.
func (u *Unpacker) entry(e *apiv1.FileEntry) error {
	root, name := u.roots[which(e.Scratch)], string(e.Path)
	if name == "" {
		name = "."
	}
	switch {
	case e.Leave:
		return root.Chtimes(name, time.Unix(0, e.Accessed), time.Unix(0, e.Changed))
	case Kind(e.Kind) == Directory:
		if name != "." {
			if err := root.Mkdir(name, 0o700|os.FileMode(e.Mode)&0o777); err != nil {
				return err
			}
		}
	case Kind(e.Kind) == Link:
		u.got.Files++
		if err := root.Symlink(string(e.Text), name); err != nil {
			return err
		}
		if err := linkTimes(root, name, Times{time.Unix(0, e.Accessed), time.Unix(0, e.Changed)}); err != nil {
			return err
		}
	case Kind(e.Kind) != Regular:
		return fmt.Errorf("%w: it is of kind %d", ErrDamaged, e.Kind)
	case e.Same != nil:
		u.got.Files++
		return root.Link(string(e.Same), name)
	default:
		u.got.Files++
		return u.file(root, name, e)
	}
	st, err := root.Lstat(name)
	if err != nil {
		return err
	}
	return u.know(st, e.Id)
}

// linkTimes sets the times of a link.
func linkTimes(root *os.Root, name string, times Times) error {
	dir, err := root.OpenFile(path.Dir(name), unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // only looked at
	return unix.UtimesNanoAt(int(dir.Fd()), path.Base(name), []unix.Timespec{timespec(times.Accessed), timespec(times.Changed)}, unix.AT_SYMLINK_NOFOLLOW)
}

// file makes a file, whose bytes follow.
func (u *Unpacker) file(root *os.Root, name string, e *apiv1.FileEntry) error {
	f, err := root.OpenFile(name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	u.at = f
	u.done = func() error {
		return errors.Join(f.Close(), root.Chtimes(name, time.Unix(0, e.Accessed), time.Unix(0, e.Changed)))
	}
	st, err := f.Stat()
	if err == nil {
		err = u.know(st, e.Id)
	}
	return errors.Join(err, f.Chmod(os.FileMode(e.Mode)&0o777), f.Truncate(e.Size))
}

// data writes bytes to the file that is being made.
func (u *Unpacker) data(d *apiv1.FileData) error {
	if u.at == nil || d.At < 0 || d.At > math.MaxInt64-int64(len(d.Data)) {
		return fmt.Errorf("%w: there are bytes of no file", ErrDamaged)
	}
	n, err := u.at.WriteAt(d.Data, d.At)
	u.got.Bytes += int64(n)
	return err
}

// handle opens what a client has open.
func (u *Unpacker) handle(h *apiv1.FileHandle) (err error) {
	root, access := u.roots[which(h.Scratch)], int(h.Flags)&unix.O_ACCMODE
	if len(u.handles) >= maxFiles {
		return fmt.Errorf("%w: over %d files are open", ErrDamaged, maxFiles)
	}
	var f *os.File
	switch {
	case h.Path != nil:
		if Kind(h.Kind) == Directory {
			access = unix.O_RDONLY | unix.O_DIRECTORY
		}
		f, err = root.OpenFile(string(h.Path), access|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	case h.Held != "" && u.stays:
		f, err = u.held(h, access)
	case Kind(h.Kind) == Directory:
		f, err = u.removedDirectory()
	default:
		f, err = u.removedFile(h, access)
	}
	if err != nil {
		return fmt.Errorf("what a rank has open, %.200q: %w", h.Path, err)
	}
	u.handles = append(u.handles, &takenHandle{h, f})
	if h.Path != nil || h.Held != "" {
		return nil
	}
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if u.stays {
		u.more = true
		u.replaced(h, inodeOf(st))
	}
	return u.know(st, h.Id)
}

// removedDirectory is an open directory that has no name.
func (u *Unpacker) removedDirectory() (*os.File, error) {
	dir, err := os.MkdirTemp(u.dir, "removed-")
	if err != nil {
		return nil, err
	}
	f, err := os.Open(dir)
	return f, errors.Join(err, os.Remove(dir))
}

// removedFile is an open file that has no name. The first of a number has its bytes behind it.
func (u *Unpacker) removedFile(h *apiv1.FileHandle, access int) (*os.File, error) {
	key := h.Id
	if u.stays {
		key = h.Inode
	}
	f := u.unnamed[key]
	if f == nil {
		var err error
		if f, err = os.CreateTemp(u.dir, "unnamed-*"); err != nil {
			return nil, err
		}
		u.unnamed[key] = f
		if err := errors.Join(os.Remove(f.Name()), f.Truncate(h.Size)); err != nil {
			return nil, err
		}
		u.at, u.done = f, func() error { return nil }
	}
	return again(f, access)
}

// takeInput makes the standard input.
func (u *Unpacker) takeInput(m *apiv1.FileInput) (err error) {
	if u.input != nil || m.Size < 0 {
		return fmt.Errorf("%w: there is another input", ErrDamaged)
	}
	if u.input, err = OpenInput(u.dir, u.stays); err != nil {
		return err
	}
	u.input.size, u.input.read, u.input.ended, u.input.gone = m.Size, m.Read, m.Ended, m.Gone
	maps.Copy(u.input.passed, m.Passed)
	if m.Ended {
		err = u.input.noteEnd()
	}
	u.at, u.done = u.input.file, func() error { return nil }
	return err
}

// end checks that all has come.
func (u *Unpacker) end(end *apiv1.FileEnd) error {
	if err := u.closeFile(); err != nil {
		return err
	}
	if !bytes.Equal(end.Digest, u.digest.Sum(nil)) {
		return fmt.Errorf("%w: their digest is another one", ErrDamaged)
	}
	if u.input == nil || u.sum == nil && !u.stays {
		return fmt.Errorf("%w: not all has come", ErrDamaged)
	}
	if u.stays && !u.more {
		u.whole = true
		return nil
	}
	if err := os.Remove(filepath.Join(u.dir, idsName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := u.ids.save(u.dir); err != nil {
		return err
	}
	u.whole = true
	return nil
}

// Server is what has come, when all has: it serves as the other host's did. The Unpacker is not used any more, unless there is an error.
func (u *Unpacker) Server() (*Server, [2]*Local, error) {
	if !u.whole {
		return nil, [2]*Local{}, fmt.Errorf("%w: not all has come", ErrDamaged)
	}
	s := u.server
	for _, h := range u.handles {
		if c := s.clients[h.Client]; !h.Kept && (c == nil || c.lanes[h.Lane] == nil) {
			return nil, [2]*Local{}, fmt.Errorf("%w: a file is open in no lane", ErrDamaged)
		}
	}
	trees, err := OpenHome(u.dir)
	if err != nil {
		return nil, trees, err
	}
	s.trees, s.input = [2]Tree{trees[0], trees[1]}, u.input
	for _, h := range u.handles {
		if h.Kept {
			if err := s.putKept(&apiv1.FilesRequest{Client: h.Client, Kept: h.Handle, Scratch: h.Scratch}, h.file); err != nil {
				return nil, [2]*Local{}, errors.Join(fmt.Errorf("%w: a file that is kept: %w", ErrDamaged, err), trees[0].Close(), trees[1].Close())
			}
			continue
		}
		c := s.clients[h.Client]
		l := c.lanes[h.Lane]
		c.files[h.Handle] = &opened{File: &localFile{h.file, trees[which(h.Scratch)]}, lane: l, parts: h.Append}
		l.files, s.files = l.files+1, s.files+1
	}
	u.handles, u.input = nil, nil
	_ = u.Close() // of what was only used to make it
	return s, trees, nil
}

// Close lets go of all that the Server has not taken. What is in the directory stays.
func (u *Unpacker) Close() error {
	errs := []error{u.closeFile()}
	for _, root := range u.roots {
		if root != nil {
			errs = append(errs, root.Close())
		}
	}
	for _, h := range u.handles {
		errs = append(errs, h.file.Close())
	}
	for _, f := range u.unnamed {
		errs = append(errs, f.Close())
	}
	if u.input != nil {
		errs = append(errs, u.input.Close())
	}
	u.handles, u.unnamed, u.input = nil, nil, nil
	return errors.Join(errs...)
}
