package mpi

import (
	"syscall"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/layout"
)

type fileOpenArgs struct {
	comm     handle
	filename address
	amode    int
	info     handle
	fh       address
}

func callFileOpen(p *Proc, a fileOpenArgs) error { return onFiles(p.openFile(a)) }

// What a rank says of the file that it has opened.
const (
	openedNumber = 1
	openedID     = 2
	openedSize   = 3
	openedMemory = 4 // the shared pointer's, of the first rank
)

// openFile opens a file on all ranks of a communicator: first on the first one, if it is to be made.
func (p *Proc) openFile(a fileOpenArgs) error {
	c, err := p.intra(a.comm)
	if err != nil {
		return err
	}
	x, infoErr := p.hints(a.info)
	name, nameErr := p.fileName(a.filename)
	s, err := p.saying(c, 1, 2, func() ([]int64, error) {
		_, handleErr := p.handles(a.fh, 1)
		_, diskErr := p.disked()
		err := firstError(infoErr, nameErr, handleErr, checkAmode(a.amode), diskErr, p.files.room(p.w.cfg.MaxObjects))
		return []int64{int64(p.newID()), int64(a.amode)}, err
	})
	if err != nil {
		return err
	}
	if err := firstError(s.err(), s.same(2, "amode")); err != nil {
		return err
	}
	id := uint64(s.rows[0][1])
	ours := uint32(0) // number, plus 1
	if a.amode&abi.ModeCreate != 0 {
		made, err := p.saying(c, 2, 1, func() ([]int64, error) {
			if c.me != 0 {
				return nil, nil
			}
			n, err := fetched(p, func() (uint32, error) { return p.disk.OpenFile(name, openFlags(a.amode)) })
			return []int64{int64(n) + 1}, fileFault(name, err)
		})
		if err != nil {
			return err
		}
		if err := made.err(); err != nil {
			return err
		}
		ours = uint32(made.rows[c.me][1])
	}
	all, err := p.saying(c, pick(a.amode&abi.ModeCreate != 0, 3, 2), 4, func() ([]int64, error) { return p.openRest(c, name, a.amode, ours) })
	if err != nil {
		return err
	}
	mine := all.rows[c.me]
	number, pointer := uint32(mine[openedNumber]), uint32(mine[openedMemory])
	if err := firstError(all.err(), all.oneFile(name)); err != nil {
		if mine[0] != abi.Success {
			return err
		}
		p.away(func() { _ = p.disk.CloseFile(number, false) }) // nothing was written
		return firstError(p.freeMemory(pointer), err)
	}
	f := &file{number: number, name: name, amode: a.amode, info: fileHints(x), errhandler: p.fileHandler}
	return p.fileIsOpen(f, c, id, all.rows[0][openedSize], pointer, a.fh)
}

// openRest opens a file that is there, unless this rank has made it, and describes it. All that may fail on one rank alone does so here, before the others go on.
func (p *Proc) openRest(c *comm, name string, amode int, made uint32) ([]int64, error) {
	number := made - 1
	if made == 0 {
		n, err := fetched(p, func() (uint32, error) { return p.disk.OpenFile(name, openFlags(amode&^(abi.ModeCreate|abi.ModeExcl))) })
		if err != nil {
			return nil, fileFault(name, err)
		}
		number = n
	}
	id, size, err := p.described(p.disk.OpenedFile(number))
	pointer := uint32(0)
	if err == nil && c.me == 0 {
		pointer, err = p.newPointer(pick(amode&abi.ModeAppend != 0, size, 0))
	}
	if err != nil {
		p.away(func() { _ = p.disk.CloseFile(number, false) }) // what is wrong is said already
		return nil, fileFault(name, err)
	}
	return []int64{int64(number), int64(id), size, int64(pointer)}, nil
}

// newPointer makes a shared pointer in the program's memory.
func (p *Proc) newPointer(at int64) (uint32, error) {
	pointer, err := p.alloc(pointerBytes, pointerBytes)
	if err != nil {
		return 0, err
	}
	return pointer, p.putWide(pointer, at)
}

// oneFile fails if the ranks have not opened the same file.
func (s *said) oneFile(name string) error {
	for rank, row := range s.rows {
		if row[openedID] != s.rows[0][openedID] {
			return abi.Fail(abi.ErrNotSame, "%s is another file on rank %d than on rank 0: is the directory one that the hosts share?", name, rank)
		}
	}
	return nil
}

// fileIsOpen gives a file that all ranks have opened its window, and a handle.
func (p *Proc) fileIsOpen(f *file, c *comm, id uint64, size int64, pointer uint32, out address) error {
	f.view = byteView()
	if f.amode&abi.ModeAppend != 0 {
		f.at = size
	}
	parts := make([]part, c.size())
	for i := range parts {
		parts[i] = part{id: id, unit: 1}
	}
	parts[0].bytes = pointerBytes
	f.win = newWindow(c, parts, abi.FlavorAllocate, pointer, nil)
	f.win.memory = pointer
	var err error
	if f.handle, err = p.files.add(f, p.w.cfg.MaxObjects); err != nil {
		return err
	}
	p.begins(f.win)
	return p.putWord(out, f.handle)
}

// fileName reads a file's name.
func (p *Proc) fileName(ptr uint32) (string, error) {
	name, err := p.cString(ptr, maxFileName+1)
	if err != nil || name == "" {
		return "", abi.Fail(abi.ErrBadFile, "%v", errNoName)
	}
	return name, nil
}

// checkAmode checks an access mode (MPI 5.0 section 14.2.1).
func checkAmode(amode int) error {
	const all = abi.ModeAppend | abi.ModeCreate | abi.ModeDeleteOnClose | abi.ModeExcl | abi.ModeRdonly | abi.ModeRdwr | abi.ModeSequential |
		abi.ModeUniqueOpen | abi.ModeWronly
	switch how := amode & (abi.ModeRdonly | abi.ModeRdwr | abi.ModeWronly); {
	case amode&^all != 0:
		return abi.Fail(abi.ErrAmode, "amode %#x has bits that are not known", amode)
	case how != abi.ModeRdonly && how != abi.ModeRdwr && how != abi.ModeWronly:
		return abi.Fail(abi.ErrAmode, "amode %#x has not exactly one of MPI_MODE_RDONLY, MPI_MODE_RDWR and MPI_MODE_WRONLY", amode)
	case how == abi.ModeRdonly && amode&(abi.ModeCreate|abi.ModeExcl) != 0:
		return abi.Fail(abi.ErrAmode, "MPI_MODE_RDONLY does not go with MPI_MODE_CREATE or MPI_MODE_EXCL")
	case how == abi.ModeRdwr && amode&abi.ModeSequential != 0:
		return abi.Fail(abi.ErrAmode, "MPI_MODE_RDWR does not go with MPI_MODE_SEQUENTIAL")
	}
	return nil
}

// openFlags are those of open(2) for an access mode.
func openFlags(amode int) int {
	flags := syscall.O_RDWR
	switch {
	case amode&abi.ModeRdonly != 0:
		flags = syscall.O_RDONLY
	case amode&abi.ModeWronly != 0:
		flags = syscall.O_WRONLY
	}
	if amode&abi.ModeCreate != 0 {
		flags |= syscall.O_CREAT
		if amode&abi.ModeExcl != 0 {
			flags |= syscall.O_EXCL
		}
	}
	return flags
}

type fileCloseArgs struct{ fh address }

// callFileClose brings what was written to the disk, waits for the others, and closes.
func callFileClose(p *Proc, a fileCloseArgs) error {
	h, err := p.word(a.fh)
	if err != nil {
		return onFiles(err)
	}
	f, err := p.whole(h)
	if err != nil {
		return err
	}
	s, err := p.saying(f.comm(), 1, 1, func() ([]int64, error) {
		if err := f.busy(); err != nil {
			return []int64{1}, err
		}
		if f.amode&abi.ModeDeleteOnClose != 0 {
			return nil, nil // nobody will look for it on the disk
		}
		return nil, p.syncFile(f)
	})
	if err != nil {
		return f.on(err)
	}
	for _, row := range s.rows {
		if row[1] != 0 { // to some rank the file is not over
			return f.on(s.err())
		}
	}
	// It is closed even where the disk was full: nobody could do anything else with it.
	first := f.comm().me == 0
	closed, err := p.saying(f.comm(), 2, 0, func() ([]int64, error) {
		if first {
			return nil, nil
		}
		return nil, p.closeFile(f, false)
	})
	if err != nil {
		return f.on(err)
	}
	var last error
	if first {
		last = p.closeFile(f, f.amode&abi.ModeDeleteOnClose != 0)
	}
	if f.amode&abi.ModeDeleteOnClose != 0 { // it is gone for all who have closed it
		removed, err := p.saying(f.comm(), 3, 0, func() ([]int64, error) { return nil, last })
		if err != nil {
			return f.on(err)
		}
		last = removed.err()
	}
	p.forgetViews(f)
	p.files.drop(h)
	delete(p.winByID, f.comm().id)
	if err := p.freeMemory(f.win.memory); err != nil {
		return err
	}
	if err := p.putWord(a.fh, abi.FileNull); err != nil {
		return err
	}
	return f.on(firstError(s.err(), closed.err(), last))
}

// closeFile closes the file itself.
func (p *Proc) closeFile(f *file, remove bool) error {
	disk, err := p.disked()
	if err != nil {
		return err
	}
	if disk.OpenedFile(f.number) == nil {
		return nil // it was closed before the rank moved
	}
	p.away(func() { err = disk.CloseFile(f.number, remove) })
	return fileFault(f.name, err)
}

type fileDeleteArgs struct {
	filename address
	info     handle
}

func callFileDelete(p *Proc, a fileDeleteArgs) error {
	_, err := p.hints(a.info)
	name, nameErr := p.fileName(a.filename)
	disk, diskErr := p.disked()
	if err := firstError(err, nameErr, diskErr); err != nil {
		return onFiles(err)
	}
	p.away(func() { err = disk.RemoveFile(name) })
	return onFiles(fileFault(name, err))
}

// pointerBytes is what the shared pointer takes: a number of etypes.
const pointerBytes = 8

// number64 is a span of the library for one number, and where it is.
func number64(v int64) (layout.Span, *layout.Buffer) {
	h := &layout.Buffer{Bytes: order.AppendUint64(nil, uint64(v))}
	return layout.Span{Host: h, Len: 8}, h
}
