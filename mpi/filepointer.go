package mpi

import (
	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/layout"
)

// filePointerCalls move and tell the individual and the shared pointer (MPI 5.0 sections 14.4.3 and 14.4.4).
func filePointerCalls() []entry {
	return []entry{
		{name: "MPI_File_seek", impl: bind(callFileSeek)},
		{name: "MPI_File_get_position", impl: bind(callFileGetPosition)},
		{name: "MPI_File_seek_shared", impl: bind(callFileSeekShared)},
		{name: "MPI_File_get_position_shared", impl: bind(callFileGetPositionShared)},
	}
}

type fileSeekArgs struct {
	fh     handle
	offset int64
	whence int
}

func callFileSeek(p *Proc, a fileSeekArgs) error {
	f, err := p.file(a.fh)
	if err != nil {
		return err
	}
	if f.amode&abi.ModeSequential != 0 {
		return f.on(f.sequential())
	}
	at, err := p.seekTo(f, a, f.at)
	if err == nil {
		f.at = at
	}
	return f.on(err)
}

// seekTo is where a seek leads, from where a pointer is.
func (p *Proc) seekTo(f *file, a fileSeekArgs, from int64) (int64, error) {
	switch a.whence {
	case abi.SeekSet:
		from = 0
	case abi.SeekCur:
	case abi.SeekEnd:
		end, err := p.endOf(f)
		if err != nil {
			return 0, err
		}
		from = end
	default:
		return 0, abi.Fail(abi.ErrArg, "whence %d is not known", a.whence)
	}
	if a.offset > layout.MaxBytes || a.offset < -layout.MaxBytes || from+a.offset < 0 || from+a.offset > layout.MaxBytes {
		return 0, abi.Fail(abi.ErrArg, "the pointer would be at %d", from+a.offset)
	}
	return from + a.offset, nil
}

// endOf is where the file ends in the view, in etypes.
func (p *Proc) endOf(f *file) (int64, error) {
	size, err := p.sizeOf(f)
	if err != nil {
		return 0, err
	}
	if !f.view.orderly() {
		return 0, abi.Fail(abi.ErrUnsupported, "the end of a file is nowhere in a view that does not ascend")
	}
	return (f.view.before(size) + f.view.unit - 1) / f.view.unit, nil
}

type fileGetPositionArgs struct {
	fh     handle
	offset address
}

func callFileGetPosition(p *Proc, a fileGetPositionArgs) error {
	f, err := p.file(a.fh)
	if err != nil {
		return err
	}
	if f.amode&abi.ModeSequential != 0 {
		return f.on(f.sequential())
	}
	return f.on(p.putWide(a.offset, f.at))
}

// callFileSeekShared has the first rank move the pointer, when all are there and before any goes on.
func callFileSeekShared(p *Proc, a fileSeekArgs) error {
	f, err := p.whole(a.fh)
	if err != nil {
		return err
	}
	s, err := p.step(f, 1, 2, func() ([]int64, error) {
		var err error
		if f.amode&abi.ModeSequential != 0 {
			err = f.sequential()
		}
		return []int64{a.offset, int64(a.whence)}, err
	})
	if err == nil {
		err = f.on(firstError(s.same(1, "offset"), s.same(2, "whence")))
	}
	if err != nil {
		return err
	}
	_, err = p.step(f, 2, 0, func() ([]int64, error) {
		if f.comm().me != 0 {
			return nil, nil
		}
		at, err := p.seekTo(f, a, p.pointerHere(f))
		if err == nil {
			err = p.movePointer(f, at)
		}
		return nil, err
	})
	return err
}

// pointerHere is where the shared pointer is, on the first rank; the others do not know.
func (p *Proc) pointerHere(f *file) int64 {
	if f.comm().me != 0 {
		return 0
	}
	s, err := p.guest(f.win.memory, pointerBytes)
	if err != nil {
		return 0 // only a program that has freed it leads here
	}
	return int64(order.Uint64(p.bytes(s)))
}

// movePointer moves the shared pointer, if this is the first rank.
func (p *Proc) movePointer(f *file, to int64) error {
	if f.comm().me != 0 {
		return nil
	}
	return p.putWide(f.win.memory, to)
}

// fetchPointer begins to move the shared pointer by so many etypes, and to ask where it was: that is in the answer when the request is done.
func (p *Proc) fetchPointer(f *file, by int64) (*request, *layout.Buffer, error) {
	r, err := p.newRequest(reqWindow, true)
	if err != nil {
		return nil, nil, err
	}
	r.comm, r.result = f.comm(), emptyStatus()
	data, _ := number64(by)
	result, answer := number64(0)
	x := &access{
		kind: msgFetch, count: 1, typ: layout.Predefined()[abi.TypeInt64], op: layout.PredefinedOps[abi.OpSum], data: data, result: result,
	}
	return r, answer, p.issue(f.win, x, r)
}

// callFileGetPositionShared asks for the pointer as an access that moves it by nothing does.
func callFileGetPositionShared(p *Proc, a fileGetPositionArgs) error {
	f, err := p.file(a.fh)
	if err != nil {
		return err
	}
	reqs, err := p.once(func() ([]uint32, error) {
		if _, err := p.guest(a.offset, 8); err != nil || a.offset == 0 {
			return nil, abi.Fail(abi.ErrArg, "offset is no pointer to an MPI_Offset")
		}
		return p.beginFile(&fileOp{file: f, pointer: pointerShared, only: true}, true)
	})
	if err != nil {
		return f.on(err)
	}
	o, err := p.finishFile(reqs)
	if err != nil {
		return f.on(err)
	}
	return f.on(p.putWide(a.offset, o.from/f.view.unit))
}
