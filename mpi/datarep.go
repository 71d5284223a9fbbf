package mpi

import (
	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/layout"
)

// Data representations of the standard (MPI 5.0 section 14.5). internal is native: all ranks' memories are of one kind.
const (
	repNative   = "native"
	repInternal = "internal"
	repExternal = "external32"
)

// datarep is a data representation of the program's.
type datarep struct {
	name                string
	read, write, extent uint32 // functions; read and write may be 0: the data is as in memory
	extra               uint32
	large               bool // read and write take an MPI_Count
}

func datarepCalls() []entry {
	return []entry{{name: "MPI_Register_datarep", impl: bind(callRegisterDatarep)}}
}

type registerDatarepArgs struct {
	datarep, readConversionFn, writeConversionFn, dtypeFileExtentFn, extraState address
}

func callRegisterDatarep(p *Proc, a registerDatarepArgs) error {
	name, err := p.cString(a.datarep, abi.MaxDatarep)
	switch {
	case err != nil || name == "":
		err = abi.Fail(abi.ErrArg, "the name of a data representation has 1 to %d bytes", abi.MaxDatarep-1)
	case name == repNative || name == repInternal || name == repExternal || p.datarep(name) != nil:
		err = abi.Fail(abi.ErrDupDatarep, "data representation %q is defined already", name)
	case a.dtypeFileExtentFn == 0:
		err = abi.Fail(abi.ErrArg, "dtype_file_extent_fn is a null pointer")
	case len(p.datareps) >= p.w.cfg.MaxObjects:
		err = abi.Fail(abi.ErrOther, "more than %d data representations", p.w.cfg.MaxObjects)
	}
	if err != nil {
		return onFiles(err)
	}
	p.datareps = append(p.datareps, &datarep{
		name: name, read: a.readConversionFn, write: a.writeConversionFn, extent: a.dtypeFileExtentFn, extra: a.extraState, large: p.large(),
	})
	return nil
}

// datarep finds a representation of the program's.
func (p *Proc) datarep(name string) *datarep {
	for _, d := range p.datareps {
		if d.name == name {
			return d
		}
	}
	return nil
}

// inFile is a type as it is laid out in a file.
func (p *Proc) inFile(rep string, t *layout.Type) (*layout.Type, error) {
	switch rep {
	case repNative, repInternal:
		return t, nil
	case repExternal:
		return t.Resized(func(basic *layout.Type) (int64, error) { return basic.External, nil })
	}
	d := p.datarep(rep)
	if d == nil {
		return nil, abi.Fail(abi.ErrDatarep, "data representation %q is not known", rep)
	}
	return t.Resized(func(basic *layout.Type) (int64, error) { return p.extentOf(d, basic) })
}

// extentOf asks the program how many bytes a basic type takes.
func (p *Proc) extentOf(d *datarep, basic *layout.Type) (int64, error) {
	if !basic.Predefined() {
		return basic.Size, nil
	}
	extent := []uint32{0}
	err := p.withWords(extent, func(addr uint32) error {
		code, err := p.call(d.extent, basic.Handle, addr, d.extra)
		return callbackError(code, err, "the data representation's extent function")
	})
	if n := int64(int32(extent[0])); err == nil && (n < 0 || n > 1<<20) {
		err = abi.Fail(abi.ErrConversion, "the extent function of data representation %q says that %v takes %d bytes", d.name, basic, n)
	}
	return int64(int32(extent[0])), err
}

// conversion is the data of an operation as it is in memory, where a file has another representation.
type conversion struct {
	user  layout.Span
	addr  uint32 // as the program has given it
	typ   *layout.Type
	count int64
}

// converts reports whether a representation's data differs from that in memory.
func converts(rep string) bool { return rep != repNative && rep != repInternal }

// toFile converts the elements of a span of the program's to what is written.
func (p *Proc) toFile(rep string, c *conversion, n int64) (layout.Span, error) {
	h := &layout.Buffer{Bytes: make([]byte, n)}
	out := layout.Span{Host: h, Len: uint32(n)}
	if d := p.datarep(rep); d != nil && d.write != 0 {
		return out, p.convert(d, d.write, c, c.count, n, func([]byte) {}, func(b []byte) { copy(h.Bytes, b) })
	}
	packed := make([]byte, c.user.Len)
	p.pack(packed, c.user)
	if rep == repExternal {
		c.typ.ToExternal(h.Bytes, packed, c.count)
	} else {
		copy(h.Bytes, packed)
	}
	return out, nil
}

// fromFile converts what was read to the program's elements, and returns how many bytes in memory that is. whole is how many bytes all would have been.
func (p *Proc) fromFile(rep string, c *conversion, read []byte, whole int64) (int64, error) {
	each := whole / max(c.count, 1)
	if each == 0 {
		return 0, nil
	}
	n := int64(len(read)) / each
	read = read[:n*each]
	bytes := n * c.typ.Size
	if d := p.datarep(rep); d != nil && d.read != 0 {
		return bytes, p.convert(d, d.read, c, n, int64(len(read)), func(b []byte) { copy(b, read) }, func([]byte) {})
	}
	packed := make([]byte, bytes)
	if rep == repExternal {
		c.typ.FromExternal(packed, read, n)
	} else {
		copy(packed, read)
	}
	p.unpack(c.user, packed)
	return bytes, nil
}

// WideGuest is a Guest whose functions may have parameters of 64 bits.
type WideGuest interface {
	// CallWide is Call with parameters of the kinds given.
	CallWide(fn uint32, kinds []abi.Kind, params []uint64) (uint32, error)
}

// convert has a function of the program convert n elements between its buffer and memory of so many bytes, which is filled before and looked at after.
func (p *Proc) convert(d *datarep, fn uint32, c *conversion, n, size int64, fill, look func(b []byte)) error {
	if n == 0 {
		return nil
	}
	addr, err := p.alloc(uint32(size), 16)
	if err != nil {
		return err
	}
	inFile, err := p.guest(addr, uint64(size))
	if err != nil {
		return err
	}
	fill(p.bytes(inFile))
	kinds := []abi.Kind{abi.I32, abi.I32, pick(d.large, abi.I64, abi.I32), abi.I32, abi.I64, abi.I32}
	params := []uint64{uint64(c.addr), uint64(c.typ.Handle), uint64(n), uint64(addr), 0, uint64(d.extra)}
	err = p.callback(func(g Guest) error {
		wide, ok := g.(WideGuest)
		if !ok {
			return abi.Fail(abi.ErrConversion, "the program's conversion functions cannot be called")
		}
		code, err := wide.CallWide(fn, kinds, params)
		return callbackError(code, err, "the data representation's conversion function")
	})
	look(p.bytes(inFile))
	return firstError(err, p.freeMemory(addr))
}
