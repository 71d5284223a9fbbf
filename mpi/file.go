package mpi

import (
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/godwit-run/godwit/mpi/abi"
)

// Files are the files of a program, as the library uses them: a Guest that has files is one. What is open has a number, which stays the same wherever the
// rank moves: the Guest moves it. Names are as the program says them. Errors are syscall.Errno or wrap one. All of it happens on the guest's goroutine.
type Files interface {
	// OpenFile opens a file. flags are those of open(2): access mode, O_CREAT, O_EXCL.
	OpenFile(name string, flags int) (number uint32, err error)
	// OpenedFile is the file of a number, nil if there is none.
	OpenedFile(number uint32) File
	// CloseFile closes a file, and removes it from its directory if it is still there and remove is set.
	CloseFile(number uint32, remove bool) error
	// RemoveFile removes a file from its directory.
	RemoveFile(name string) error
}

// File is an open file. ReadAt and WriteAt are as pread(2) and pwrite(2): they do all of p unless there is an error, which for ReadAt is io.EOF at the end.
type File interface {
	ReadAt(p []byte, at int64) (int, error)
	WriteAt(p []byte, at int64) (int, error)
	// Describe tells it from other files of its tree, and says how many bytes it has.
	Describe() (id uint64, size int64, err error)
	Truncate(size int64) error
	// Allocate makes sure that there is room for so many bytes at a place; the file grows if need be.
	Allocate(at, size int64) error
	Sync() error
}

// file is a rank's side of an open file (MPI 5.0 chapter 14). Its window has the shared pointer, at the first rank, whose lock atomic accesses take; its
// communicator carries what the ranks tell each other.
type file struct {
	handle     uint32
	win        *window
	number     uint32 // of the Guest's
	name       string
	amode      int
	info       *info
	errhandler *errhandler
	atomic     bool
	unsynced   bool // written to since the last sync

	view  fileView
	at    int64     // the individual pointer, in etypes
	split *split    // a split collective is under way
	views []placing // at an aggregator: what it knows of all ranks' views
	told  int       // so many aggregators know all views; 0: none
	coded []byte    // the view, as the aggregators are told; nil: not made yet
	cost  int64     // of that view at an aggregator, in bytes

	viewsCost int64  // what is charged for views
	lock      uint32 // 1 + the operation that has, or waits for, the lock of atomic accesses; 0: none
}

// split is a split collective: its request, and the function that has begun it.
type split struct {
	request uint32
	begin   string
}

// fileCalls open and close files, and do what concerns a file as a whole.
func fileCalls() []entry {
	return []entry{
		{name: "MPI_File_open", impl: bind(callFileOpen)},
		{name: "MPI_File_close", impl: bind(callFileClose)},
		{name: "MPI_File_delete", impl: bind(callFileDelete)},
		{name: "MPI_File_set_size", impl: bind(callFileSetSize)},
		{name: "MPI_File_preallocate", impl: bind(callFilePreallocate)},
		{name: "MPI_File_get_size", impl: bind(callFileGetSize)},
		{name: "MPI_File_get_group", impl: bind(callFileGetGroup)},
		{name: "MPI_File_get_amode", impl: bind(callFileGetAmode)},
		{name: "MPI_File_get_info", impl: bind(callFileGetInfo)},
		{name: "MPI_File_set_info", impl: bind(callFileSetInfo)},
		{name: "MPI_File_set_atomicity", impl: bind(callFileSetAtomicity)},
		{name: "MPI_File_get_atomicity", impl: bind(callFileGetAtomicity)},
		{name: "MPI_File_sync", impl: bind(callFileSync)},
	}
}

// file finds a file by handle.
func (p *Proc) file(handle uint32) (*file, error) {
	if f := p.files.get(handle); f != nil {
		return f, nil
	}
	if handle == abi.FileNull {
		return nil, onFiles(abi.Fail(abi.ErrFile, "file is MPI_FILE_NULL"))
	}
	return nil, onFiles(abi.Fail(abi.ErrFile, "file %#x is not known", handle))
}

// on makes err an error raised on f.
func (f *file) on(err error) error {
	e := raised(err)
	if e == nil {
		return err
	}
	e.file = f
	return e
}

// onFiles makes err an error raised on MPI_FILE_NULL (MPI 5.0 section 14.7).
func onFiles(err error) error {
	e := raised(err)
	if e == nil {
		return err
	}
	e.files = true
	return e
}

// comm is the file's own communicator.
func (f *file) comm() *comm { return f.win.comm }

// disked is the program's files, or an error where it has none.
func (p *Proc) disked() (Files, error) {
	if p.disk == nil {
		return nil, abi.Fail(abi.ErrIO, "the program has no files here")
	}
	return p.disk, nil
}

// opened is the open file itself.
func (p *Proc) opened(f *file) (File, error) {
	disk, err := p.disked()
	if err != nil {
		return nil, err
	}
	if o := disk.OpenedFile(f.number); o != nil {
		return o, nil
	}
	return nil, abi.Fail(abi.ErrFile, "%s is not open any more", f.name)
}

// fault makes an MPI error of one of the system's.
func fileFault(what string, err error) error {
	if err == nil || raised(err) != nil {
		return err
	}
	return abi.Fail(fileClass(err), "%s: %v", what, err)
}

// fileClass is the class of an error of the system's.
func fileClass(err error) int {
	var e syscall.Errno
	if !errors.As(err, &e) {
		return abi.ErrIO
	}
	switch e { //nolint:exhaustive // the others are MPI_ERR_IO
	case syscall.ENOENT:
		return abi.ErrNoSuchFile
	case syscall.EEXIST:
		return abi.ErrFileExists
	case syscall.EACCES, syscall.EPERM:
		return abi.ErrAccess
	case syscall.EROFS:
		return abi.ErrReadOnly
	case syscall.ENOSPC, syscall.EFBIG:
		return abi.ErrNoSpace
	case syscall.EDQUOT:
		return abi.ErrQuota
	case syscall.EBUSY, syscall.ETXTBSY:
		return abi.ErrFileInUse
	case syscall.ENAMETOOLONG, syscall.ENOTDIR, syscall.EISDIR, syscall.ELOOP, syscall.ENXIO, syscall.EINVAL:
		return abi.ErrBadFile
	}
	return abi.ErrIO
}

// said is what the ranks of a communicator have said of one step: numbers, and how it went.
type said struct {
	rows [][]int64
	mine error // of this rank, unless it has moved since
}

// saying is one step that all ranks of c take, as the number-th phase of a call: f says so many numbers, or fails. It fails only if the call cannot go on.
func (p *Proc) saying(c *comm, phase, words int, f func() ([]int64, error)) (*said, error) {
	s := &said{}
	size := 8 * (words + 1)
	all, err := p.phase(phase, func() ([]byte, error) {
		return p.contribute(c, size, func() ([]byte, error) {
			numbers, err := f()
			if err != nil && raised(err) == nil {
				return nil, err
			}
			s.mine = err
			b := make([]byte, size)
			order.PutUint64(b, uint64(errorClass(err)))
			for i, v := range numbers {
				order.PutUint64(b[8*(i+1):], uint64(v))
			}
			return b, nil
		})
	})
	if err != nil {
		return nil, err
	}
	for ; len(all) >= size; all = all[size:] {
		row := make([]int64, words+1)
		for i := range row {
			row[i] = int64(order.Uint64(all[8*i:]))
		}
		s.rows = append(s.rows, row)
	}
	return s, nil
}

// err is the step's error: this rank's own, or that of the first that has failed.
func (s *said) err() error {
	if s.mine != nil {
		return s.mine
	}
	for rank, row := range s.rows {
		if class := int(row[0]); class != abi.Success {
			return abi.Fail(class, "rank %d has failed: %s", rank, abi.ClassName(class))
		}
	}
	return nil
}

// same fails if the ranks have not all said the same as the i-th number.
func (s *said) same(i int, what string) error {
	for rank, row := range s.rows {
		if row[i] != s.rows[0][i] {
			return abi.Fail(abi.ErrNotSame, "%s is %d on rank 0 and %d on rank %d", what, s.rows[0][i], row[i], rank)
		}
	}
	return nil
}

// alike is same for what was said as a checksum.
func (s *said) alike(i int, what string) error {
	for rank, row := range s.rows {
		if row[i] != s.rows[0][i] {
			return abi.Fail(abi.ErrNotSame, "%s is another one on rank %d than on rank 0", what, rank)
		}
	}
	return nil
}

// firstError is the first of some steps' errors.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// quiet waits until no operation on a file is under way.
func (p *Proc) quiet(f *file) error {
	return p.wait(func() bool {
		for _, r := range p.filing {
			if r.io.file == f {
				return false
			}
		}
		return true
	})
}

// whole is a file for a collective call about it as a whole, which has no operation under way. One that is split may wait for its end: the call's first step
// says so to all.
func (p *Proc) whole(handle uint32) (*file, error) {
	f, err := p.file(handle)
	if err != nil {
		return nil, err
	}
	if len(p.running.results) > 0 || p.running.resumed != nil {
		return f, nil // it was quiet when the call began
	}
	return f, p.quiet(f)
}

// busy fails if a split access was not ended.
func (f *file) busy() error {
	if f.split == nil {
		return nil
	}
	return abi.Fail(abi.ErrOther, "%s is under way: end it first", f.split.begin)
}

// step is one collective step on a file.
func (p *Proc) step(f *file, phase, words int, do func() ([]int64, error)) (*said, error) {
	s, err := p.saying(f.comm(), phase, words, func() ([]int64, error) {
		if err := f.busy(); err != nil {
			return nil, err
		}
		return do()
	})
	if err != nil {
		return nil, f.on(err)
	}
	return s, f.on(s.err())
}

type fileSetSizeArgs struct {
	fh   handle
	size int64
}

func callFileSetSize(p *Proc, a fileSetSizeArgs) error {
	return p.resize(a, func(o File) error { return o.Truncate(a.size) })
}

func callFilePreallocate(p *Proc, a fileSetSizeArgs) error {
	return p.resize(a, func(o File) error {
		if a.size == 0 {
			return nil
		}
		return o.Allocate(0, a.size)
	})
}

// resize has the first rank change the file's size, when all have agreed on it.
func (p *Proc) resize(a fileSetSizeArgs, change func(o File) error) error {
	f, err := p.whole(a.fh)
	if err != nil {
		return err
	}
	s, err := p.step(f, 1, 1, func() ([]int64, error) {
		switch {
		case a.size < 0:
			return nil, abi.Fail(abi.ErrArg, "size is %d", a.size)
		case f.amode&abi.ModeRdonly != 0:
			return nil, abi.Fail(abi.ErrReadOnly, "%s is open for reading only", f.name)
		case f.amode&abi.ModeSequential != 0:
			return nil, f.sequential()
		}
		return []int64{a.size}, nil
	})
	if err == nil {
		err = f.on(s.same(1, "size"))
	}
	if err != nil {
		return err
	}
	_, err = p.step(f, 2, 0, func() ([]int64, error) {
		if f.comm().me != 0 {
			return nil, nil
		}
		o, err := p.opened(f)
		if err == nil {
			f.unsynced = true
			p.away(func() { err = change(o) })
			err = fileFault(f.name, err)
		}
		return nil, err
	})
	return err
}

// sequential is the error of what a file of MPI_MODE_SEQUENTIAL does not allow.
func (f *file) sequential() error {
	return abi.Fail(abi.ErrUnsupported, "%s is open with MPI_MODE_SEQUENTIAL: only accesses by the shared pointer are allowed", f.name)
}

type fileGetSizeArgs struct {
	fh   handle
	size address
}

func callFileGetSize(p *Proc, a fileGetSizeArgs) error {
	f, err := p.file(a.fh)
	if err != nil {
		return err
	}
	size, err := p.sizeOf(f)
	if err != nil {
		return f.on(err)
	}
	return f.on(p.putWide(a.size, size))
}

// sizeOf asks for the file's size.
func (p *Proc) sizeOf(f *file) (int64, error) {
	o, err := p.opened(f)
	if err != nil {
		return 0, err
	}
	_, size, err := p.described(o)
	return size, fileFault(f.name, err)
}

type fileGetGroupArgs struct {
	fh    handle
	group address
}

func callFileGetGroup(p *Proc, a fileGetGroupArgs) error {
	f, err := p.file(a.fh)
	if err != nil {
		return err
	}
	return f.on(p.giveGroup(f.comm().group.ranks, a.group))
}

type fileGetAmodeArgs struct {
	fh    handle
	amode address
}

func callFileGetAmode(p *Proc, a fileGetAmodeArgs) error {
	f, err := p.file(a.fh)
	if err != nil {
		return err
	}
	return f.on(p.putInt(a.amode, f.amode))
}

type fileSetAtomicityArgs struct {
	fh   handle
	flag int
}

func callFileSetAtomicity(p *Proc, a fileSetAtomicityArgs) error {
	f, err := p.whole(a.fh)
	if err != nil {
		return err
	}
	s, err := p.step(f, 1, 1, func() ([]int64, error) { return []int64{int64(truth(a.flag != 0))}, nil })
	if err == nil {
		err = f.on(s.same(1, "flag"))
	}
	if err == nil {
		f.atomic = a.flag != 0
	}
	return err
}

type fileGetAtomicityArgs struct {
	fh   handle
	flag address
}

func callFileGetAtomicity(p *Proc, a fileGetAtomicityArgs) error {
	f, err := p.file(a.fh)
	if err != nil {
		return err
	}
	return f.on(p.putInt(a.flag, truth(f.atomic)))
}

type fileSyncArgs struct{ fh handle }

func callFileSync(p *Proc, a fileSyncArgs) error {
	f, err := p.whole(a.fh)
	if err == nil {
		_, err = p.step(f, 1, 0, func() ([]int64, error) { return nil, p.syncFile(f) })
	}
	return err
}

// syncFile brings what this rank has written to the disk.
func (p *Proc) syncFile(f *file) error {
	if !f.unsynced {
		return nil
	}
	o, err := p.opened(f)
	if err != nil {
		return err
	}
	if p.away(func() { err = o.Sync() }); err == nil {
		f.unsynced = false
	}
	return fileFault(f.name, err)
}

// away runs f, which may wait for a disk, without the lock.
func (p *Proc) away(f func()) {
	p.depart()
	defer p.comeBack()
	f()
}

// fetched is what f returns, which may wait for a disk, without the lock.
func fetched[T any](p *Proc, f func() (T, error)) (v T, err error) {
	p.away(func() { v, err = f() })
	return v, err
}

// described says which file is open, and how large it is.
func (p *Proc) described(o File) (id uint64, size int64, err error) {
	p.away(func() { id, size, err = o.Describe() })
	return id, size, err //nolint:wrapcheck // the caller names the file
}

// readFull reads at a place of a file, as much as there is.
func readFull(o File, b []byte, at int64) (int, error) {
	n, err := o.ReadAt(b, at)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err //nolint:wrapcheck // the caller names the file
}

var errNoName = fmt.Errorf("a file's name has 1 to %d bytes", maxFileName)

// maxFileName bounds names of files, in bytes.
const maxFileName = 4095
