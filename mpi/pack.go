package mpi

import (
	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/layout"
)

// packCalls are MPI_Pack and its kin (MPI 5.0 sections 5.2 and 5.3). Packed data is the elements' bytes without gaps.
func packCalls() []entry {
	return []entry{
		{name: "MPI_Pack", impl: bind(callPack)},
		{name: "MPI_Unpack", impl: bind(callUnpack)},
		{name: "MPI_Pack_size", impl: bind(callPackSize)},
		{name: "MPI_Pack_external", impl: bind(callPackExternal)},
		{name: "MPI_Unpack_external", impl: bind(callUnpackExternal)},
		{name: "MPI_Pack_external_size", impl: bind(callPackExternalSize)},
	}
}

// position reads the position in a pack buffer: an int or MPI_Aint, or an MPI_Count in a large-count function.
func (p *Proc) position(ptr uint32, size int64) (int64, error) {
	list, err := p.counts(ptr, 1)
	if err != nil {
		return 0, err
	}
	if list[0] < 0 || list[0] > size {
		return 0, abi.Fail(abi.ErrArg, "position %d is not in 0..%d", list[0], size)
	}
	return list[0], nil
}

type packArgs struct {
	inbuf    address
	incount  count
	datatype handle
	outbuf   address
	outsize  count
	position address
	comm     handle
}

func callPack(p *Proc, a packArgs) error {
	c, err := p.comm(a.comm)
	if err != nil {
		return err
	}
	buf, err := p.buffer(a.inbuf, a.incount, a.datatype)
	if err != nil {
		return c.on(err)
	}
	return c.on(p.packInto(buf.Len, a.outbuf, a.outsize, a.position, func(dst layout.Span) { p.unlocked(buf.Len, func() { p.move(dst, buf) }) }))
}

// packInto puts n bytes at a position of a pack buffer, and moves the position on.
func (p *Proc) packInto(n, out uint32, size int64, positionPtr uint32, put func(dst layout.Span)) error {
	if size < 0 {
		return abi.Fail(abi.ErrArg, "outsize is %d", size)
	}
	at, err := p.position(positionPtr, size)
	if err != nil {
		return err
	}
	if int64(n) > size-at {
		return abi.Fail(abi.ErrTruncate, "%d bytes do not fit in the %d that are left of the pack buffer", n, size-at)
	}
	dst, err := p.guest(out+uint32(at), uint64(n))
	if err != nil {
		return err
	}
	put(dst)
	return p.putCount(positionPtr, at+int64(n))
}

type unpackArgs struct {
	inbuf            address
	insize           count
	position, outbuf address
	outcount         count
	datatype, comm   handle
}

func callUnpack(p *Proc, a unpackArgs) error {
	c, err := p.comm(a.comm)
	if err != nil {
		return err
	}
	buf, err := p.buffer(a.outbuf, a.outcount, a.datatype)
	if err != nil {
		return c.on(err)
	}
	return c.on(p.unpackFrom(buf.Len, a.inbuf, a.insize, a.position, func(src layout.Span) { p.unlocked(buf.Len, func() { p.move(buf, src) }) }))
}

func (p *Proc) unpackFrom(n, in uint32, size int64, positionPtr uint32, get func(src layout.Span)) error {
	if size < 0 {
		return abi.Fail(abi.ErrArg, "insize is %d", size)
	}
	at, err := p.position(positionPtr, size)
	if err != nil {
		return err
	}
	if int64(n) > size-at {
		return abi.Fail(abi.ErrTruncate, "%d bytes are wanted, %d are left in the pack buffer", n, size-at)
	}
	src, err := p.guest(in+uint32(at), uint64(n))
	if err != nil {
		return err
	}
	get(src)
	return p.putCount(positionPtr, at+int64(n))
}

type packSizeArgs struct {
	incount        count
	datatype, comm handle
	size           address
}

func callPackSize(p *Proc, a packSizeArgs) error {
	c, err := p.comm(a.comm)
	if err != nil {
		return err
	}
	t, err := p.typeOf(a.datatype)
	if err == nil && a.incount < 0 {
		err = abi.Fail(abi.ErrCount, "count is %d", a.incount)
	}
	if err != nil {
		return c.on(err)
	}
	return c.on(p.putCount(a.size, layout.Times(a.incount, t.Size)))
}

// external32 is the one data representation that packing knows (MPI 5.0 section 5.3 and table 14.2): big-endian, IEEE.
func (p *Proc) external32(ptr uint32) error {
	name, err := p.cString(ptr, 128)
	if err == nil && name != "external32" {
		err = abi.Fail(54, "data representation %q: only external32 is known", name)
	}
	return err
}

type packExternalArgs struct {
	datarep, inbuf address
	incount        count
	datatype       handle
	outbuf         address
	outsize        count
	position       address
}

func callPackExternal(p *Proc, a packExternalArgs) error {
	if err := p.external32(a.datarep); err != nil {
		return err
	}
	t, err := p.committed(a.datatype)
	if err != nil {
		return err
	}
	buf, err := p.elements(a.inbuf, a.incount, t)
	if err != nil {
		return err
	}
	total := layout.Times(a.incount, t.External)
	if total > 1<<32-1 {
		return abi.Fail(abi.ErrCount, "%d bytes are more than a rank can hold", total)
	}
	if err := p.roomToFlatten(buf); err != nil {
		return err
	}
	return p.packInto(uint32(total), a.outbuf, a.outsize, a.position, func(dst layout.Span) {
		p.unlocked(buf.Len, func() { t.ToExternal(p.bytes(dst), p.flat(buf), a.incount) })
	})
}

// roomToFlatten is room for a copy of a span's data in one piece, if that takes one.
func (p *Proc) roomToFlatten(s layout.Span) error {
	if s.Type == nil {
		return nil
	}
	return p.roomToPass(int64(s.Len))
}

// flat is a span's data in one piece: its memory itself where it is contiguous, else a copy.
func (p *Proc) flat(s layout.Span) []byte {
	if s.Type == nil {
		return p.bytes(s)
	}
	b := make([]byte, s.Len)
	p.pack(b, s)
	return b
}

type unpackExternalArgs struct {
	datarep, inbuf   address
	insize           count
	position, outbuf address
	outcount         count
	datatype         handle
}

func callUnpackExternal(p *Proc, a unpackExternalArgs) error {
	if err := p.external32(a.datarep); err != nil {
		return err
	}
	t, err := p.committed(a.datatype)
	if err != nil {
		return err
	}
	buf, err := p.elements(a.outbuf, a.outcount, t)
	if err != nil {
		return err
	}
	total := layout.Times(a.outcount, t.External)
	if total > 1<<32-1 {
		return abi.Fail(abi.ErrCount, "%d bytes are more than a rank can hold", total)
	}
	if err := p.roomToFlatten(buf); err != nil {
		return err
	}
	return p.unpackFrom(uint32(total), a.inbuf, a.insize, a.position, func(src layout.Span) {
		p.unlocked(buf.Len, func() {
			if buf.Type == nil {
				t.FromExternal(p.bytes(buf), p.bytes(src), a.outcount)
				return
			}
			flat := make([]byte, buf.Len)
			t.FromExternal(flat, p.bytes(src), a.outcount)
			p.unpack(buf, flat)
		})
	})
}

type packExternalSizeArgs struct {
	datarep  address
	incount  count
	datatype handle
	size     address
}

func callPackExternalSize(p *Proc, a packExternalSizeArgs) error {
	if err := p.external32(a.datarep); err != nil {
		return err
	}
	t, err := p.typeOf(a.datatype)
	if err == nil && a.incount < 0 {
		err = abi.Fail(abi.ErrCount, "count is %d", a.incount)
	}
	if err != nil {
		return err
	}
	return p.putCount(a.size, layout.Times(a.incount, t.External))
}
