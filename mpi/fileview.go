package mpi

import (
	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/layout"
)

// fileView is what a rank sees of a file (MPI 5.0 section 14.3): the data of elements of a filetype, one behind the other from a displacement on. Places in it are
// counted in bytes of that data here, and in etypes by programs.
type fileView struct {
	placing
	etype, filetype *layout.Type
	rep             string
	unit            int64 // bytes of an etype in the file
}

// placing is where the data of a view is in the file.
type placing struct {
	disp   int64
	inFile *layout.Type // the filetype as it is laid out in the file
}

// byteView is a new file's.
func byteView() fileView {
	t := layout.Predefined()[abi.TypeByte]
	return fileView{placing: placing{inFile: t}, etype: t, filetype: t, rep: repNative, unit: 1}
}

// runs calls visit with the places of n bytes of data from a place in the view on.
func (v *placing) runs(from, n int64, visit func(at, n int64) bool) {
	v.inFile.Runs(v.disp, from, n, visit)
}

// place is where a byte of the view's data is in the file.
func (v *placing) place(from int64) (at int64) {
	at = v.disp
	v.runs(from, 1, func(first, _ int64) bool { at = first; return false })
	return at
}

// before is how many bytes of the view's data lie before a place in the file. The view must be orderly.
func (v *placing) before(at int64) int64 {
	t, rel := v.inFile, at-v.disp
	if rel <= t.TrueLB || t.Size == 0 {
		return 0
	}
	if t.Even() {
		return rel - t.TrueLB
	}
	k := (rel - t.TrueLB) / t.Extent()
	return k*t.Size + t.Before(rel-k*t.Extent())
}

// orderly reports whether what is behind in the view is behind in the file.
func (v *placing) orderly() bool {
	t := v.inFile
	return t.Ascending() && t.Extent() > 0 && t.Extent() >= t.TrueUB-t.TrueLB
}

// reaches fails if n bytes of data from a place on are not in the view, or too far away.
func (v *placing) reaches(from, n int64) error {
	t := v.inFile
	if n == 0 {
		return nil
	}
	if t.Size == 0 {
		return abi.Fail(abi.ErrType, "the view's filetype has no data")
	}
	if tiles := (from+n)/t.Size + 1; layout.Times(tiles, max(t.Extent(), 1)) > layout.MaxBytes || layout.Times(tiles, t.Size) > layout.MaxBytes {
		return abi.Fail(abi.ErrArg, "the access would reach beyond %d bytes", int64(layout.MaxBytes))
	}
	return nil
}

// bytesAt is a place that is given in etypes, in bytes of data.
func (v *fileView) bytesAt(etypes int64) (int64, error) {
	if etypes < 0 {
		return 0, abi.Fail(abi.ErrArg, "offset is %d", etypes)
	}
	n := layout.Times(etypes, v.unit)
	if n > layout.MaxBytes {
		return 0, abi.Fail(abi.ErrArg, "offset %d is beyond %d bytes", etypes, int64(layout.MaxBytes))
	}
	return n, nil
}

// fileViewCalls set views and ask about them.
func fileViewCalls() []entry {
	return []entry{
		{name: "MPI_File_set_view", impl: bind(callFileSetView)},
		{name: "MPI_File_get_view", impl: bind(callFileGetView)},
		{name: "MPI_File_get_byte_offset", impl: bind(callFileGetByteOffset)},
		{name: "MPI_File_get_type_extent", impl: bind(callFileGetTypeExtent)},
	}
}

type fileSetViewArgs struct {
	fh              handle
	disp            int64
	etype, filetype handle
	datarep         address
	info            handle
}

// What ranks say of their new views.
const (
	viewUnit    = 1
	viewRep     = 2 // a checksum of its name
	viewPointer = 3 // where the shared pointer is, of the first rank
)

func callFileSetView(p *Proc, a fileSetViewArgs) error {
	f, err := p.whole(a.fh)
	if err != nil {
		return err
	}
	s, err := p.step(f, 1, 3, func() ([]int64, error) {
		v, err := p.viewOf(f, a)
		if err == nil {
			_, err = p.hints(a.info)
		}
		return []int64{v.unit, int64(checksum(v.rep)), p.pointerHere(f)}, err
	})
	if err == nil {
		err = f.on(firstError(s.same(viewUnit, "the size of etype"), s.alike(viewRep, "datarep")))
	}
	if err != nil {
		return err
	}
	// All that goes by the old shared pointer is over.
	if _, err := p.step(f, 2, 0, func() ([]int64, error) { return nil, p.movePointer(f, 0) }); err != nil {
		return err
	}
	v, err := p.viewOf(f, a)
	if err != nil {
		return f.on(err)
	}
	if a.disp == abi.DisplacementCurrent {
		v.disp = f.view.place(s.rows[0][viewPointer] * f.view.unit)
	}
	x, err := p.hints(a.info)
	if err != nil {
		return f.on(err)
	}
	f.view, f.at = v, 0
	p.changeHints(f, x)
	return nil
}

// viewOf checks a new view.
func (p *Proc) viewOf(f *file, a fileSetViewArgs) (fileView, error) {
	v := fileView{placing: placing{disp: a.disp}}
	var err error
	if v.etype, err = p.committed(a.etype); err != nil {
		return v, err
	}
	if v.filetype, err = p.committed(a.filetype); err != nil {
		return v, err
	}
	if v.rep, err = p.cString(a.datarep, abi.MaxDatarep); err != nil {
		return v, abi.Fail(abi.ErrDatarep, "the name of a data representation has at most %d bytes", abi.MaxDatarep-1)
	}
	switch {
	case a.disp == abi.DisplacementCurrent && f.amode&abi.ModeSequential == 0:
		return v, abi.Fail(abi.ErrDisp, "MPI_DISPLACEMENT_CURRENT is for files that are open with MPI_MODE_SEQUENTIAL")
	case a.disp < 0 && a.disp != abi.DisplacementCurrent, a.disp > layout.MaxBytes:
		return v, abi.Fail(abi.ErrDisp, "disp is %d", a.disp)
	case v.etype.Size == 0:
		return v, abi.Fail(abi.ErrType, "etype has no data")
	case v.filetype.Size%v.etype.Size != 0:
		return v, abi.Fail(abi.ErrType, "filetype has %d bytes of data, which are no multiple of etype's %d", v.filetype.Size, v.etype.Size)
	}
	unit, err := p.inFile(v.rep, v.etype)
	if err != nil {
		return v, err
	}
	v.unit = unit.Size
	if v.inFile, err = p.inFile(v.rep, v.filetype); err != nil {
		return v, err
	}
	switch t := v.inFile; {
	case t.TrueLB < 0:
		return v, abi.Fail(abi.ErrType, "filetype has data at a negative displacement")
	case t.Size > 0 && t.Extent() <= 0:
		return v, abi.Fail(abi.ErrType, "filetype's extent is %d", t.Extent())
	case f.amode&abi.ModeRdonly == 0 && !t.Ascending():
		return v, abi.Fail(abi.ErrType, "filetype's displacements overlap or do not ascend, and the file is open for writing")
	}
	return v, nil
}

type fileGetViewArgs struct {
	fh                             handle
	disp, etype, filetype, datarep address
}

func callFileGetView(p *Proc, a fileGetViewArgs) error {
	f, err := p.file(a.fh)
	if err != nil {
		return err
	}
	for _, ptr := range []address{a.disp, a.etype, a.filetype} {
		if _, err := p.handles(ptr, 1); err != nil {
			return f.on(err)
		}
	}
	etype, err := p.hold(f.view.etype)
	if err != nil {
		return f.on(err)
	}
	filetype, err := p.hold(f.view.filetype)
	if err != nil {
		return f.on(err)
	}
	text, err := p.guest(a.datarep, uint64(len(f.view.rep)+1))
	if err != nil {
		return f.on(argError(err))
	}
	copy(p.bytes(text), f.view.rep+"\x00")
	return f.on(firstError(p.putWide(a.disp, f.view.disp), p.putWord(a.etype, etype), p.putWord(a.filetype, filetype)))
}

type fileGetByteOffsetArgs struct {
	fh     handle
	offset int64
	disp   address
}

func callFileGetByteOffset(p *Proc, a fileGetByteOffsetArgs) error {
	f, err := p.file(a.fh)
	if err != nil {
		return err
	}
	n, err := f.view.bytesAt(a.offset)
	if err == nil {
		err = f.view.reaches(n, 1)
	}
	if err != nil {
		return f.on(err)
	}
	return f.on(p.putWide(a.disp, f.view.place(n)))
}

type fileGetTypeExtentArgs struct {
	fh, datatype handle
	extent       address
}

func callFileGetTypeExtent(p *Proc, a fileGetTypeExtentArgs) error {
	f, err := p.file(a.fh)
	if err != nil {
		return err
	}
	t, err := p.typeOf(a.datatype)
	if err == nil {
		t, err = p.inFile(f.view.rep, t)
	}
	if err != nil {
		return f.on(err)
	}
	return f.on(p.putCount(a.extent, t.Extent()))
}
