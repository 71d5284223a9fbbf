package mpi

import "slices"

// packCalls are MPI_Pack and its kin (MPI 5.0 sections 5.2 and 5.3). Packed data is the elements' bytes without gaps.
func packCalls() []entry {
	return []entry{
		{name: "MPI_Pack", impl: callPack},
		{name: "MPI_Unpack", impl: callUnpack},
		{name: "MPI_Pack_size", impl: callPackSize},
		{name: "MPI_Pack_external", impl: callPackExternal},
		{name: "MPI_Unpack_external", impl: callUnpackExternal},
		{name: "MPI_Pack_external_size", impl: callPackExternalSize},
	}
}

// position reads the position in a pack buffer: an int or MPI_Aint, or an MPI_Count in a large-count function.
func (p *Proc) position(a args, ptr uint32, size int64) (int64, error) {
	list, err := p.counts(a, ptr, 1)
	if err != nil {
		return 0, err
	}
	if list[0] < 0 || list[0] > size {
		return 0, fail(errArg, "position %d is not in 0..%d", list[0], size)
	}
	return list[0], nil
}

func callPack(p *Proc, a args) (uint64, error) {
	c, err := p.comm(a.u32(6))
	if err != nil {
		return 0, err
	}
	buf, err := p.buffer(a.u32(0), a.count(1), a.u32(2))
	if err != nil {
		return 0, c.on(err)
	}
	return success, c.on(p.packInto(a, buf.len, a.u32(3), a.count(4), a.u32(5), func(dst span) { p.unlocked(buf.len, func() { p.move(dst, buf) }) }))
}

// packInto puts n bytes at a position of a pack buffer, and moves the position on.
func (p *Proc) packInto(a args, n, out uint32, size int64, positionPtr uint32, put func(dst span)) error {
	if size < 0 {
		return fail(errArg, "outsize is %d", size)
	}
	at, err := p.position(a, positionPtr, size)
	if err != nil {
		return err
	}
	if int64(n) > size-at {
		return fail(errTruncate, "%d bytes do not fit in the %d that are left of the pack buffer", n, size-at)
	}
	dst, err := p.guest(out+uint32(at), uint64(n))
	if err != nil {
		return err
	}
	put(dst)
	return p.putCount(a, positionPtr, at+int64(n))
}

func callUnpack(p *Proc, a args) (uint64, error) {
	c, err := p.comm(a.u32(6))
	if err != nil {
		return 0, err
	}
	buf, err := p.buffer(a.u32(3), a.count(4), a.u32(5))
	if err != nil {
		return 0, c.on(err)
	}
	return success, c.on(p.unpackFrom(a, buf.len, a.u32(0), a.count(1), a.u32(2), func(src span) { p.unlocked(buf.len, func() { p.move(buf, src) }) }))
}

func (p *Proc) unpackFrom(a args, n, in uint32, size int64, positionPtr uint32, get func(src span)) error {
	if size < 0 {
		return fail(errArg, "insize is %d", size)
	}
	at, err := p.position(a, positionPtr, size)
	if err != nil {
		return err
	}
	if int64(n) > size-at {
		return fail(errTruncate, "%d bytes are wanted, %d are left in the pack buffer", n, size-at)
	}
	src, err := p.guest(in+uint32(at), uint64(n))
	if err != nil {
		return err
	}
	get(src)
	return p.putCount(a, positionPtr, at+int64(n))
}

func callPackSize(p *Proc, a args) (uint64, error) {
	c, err := p.comm(a.u32(2))
	if err != nil {
		return 0, err
	}
	t, err := p.typeOf(a.u32(1))
	if err == nil && a.count(0) < 0 {
		err = fail(errCount, "count is %d", a.count(0))
	}
	if err != nil {
		return 0, c.on(err)
	}
	return success, c.on(p.putCount(a, a.u32(3), times(a.count(0), t.size)))
}

// external32 is the one data representation that packing knows (MPI 5.0 section 5.3 and table 14.2): big-endian, IEEE.
func (p *Proc) external32(ptr uint32) error {
	name, err := p.cString(ptr, 128)
	if err == nil && name != "external32" {
		err = fail(54, "data representation %q: only external32 is known", name)
	}
	return err
}

// externalSize is the size of a basic type in external32.
func externalSize(t *datatype) int64 {
	switch t.name {
	case "MPI_AINT":
		return 8
	case "MPI_WCHAR":
		return 2
	}
	return t.size
}

// signature calls visit for each basic element of the type, in order.
func (t *datatype) signature(visit func(basic *datatype)) {
	if t.isBasic() {
		if value, index := t.pair(); t.class == pairType {
			visit(value)
			visit(index)
		} else {
			visit(t)
		}
		return
	}
	blocks, _, _ := t.made.blocks()
	for _, b := range blocks {
		for range b.n {
			b.typ.signature(visit)
		}
	}
}

func externalBytes(t *datatype) int64 {
	var n int64
	t.signature(func(b *datatype) { n += externalSize(b) })
	return n
}

// swap converts one element between little-endian and external32, either way. Sizes may differ.
func swap(t *datatype, dst, src []byte) {
	part := len(src)
	if t.class == complexType || t.class == quadComplexType || t.name == "MPI_COMPLEX4" {
		part /= 2
	}
	if len(dst) != len(src) {
		resize(t, dst, src)
		return
	}
	copy(dst, src)
	for i := 0; i < len(src); i += part {
		if t.class != byteType && t.class != opaqueType || t.size > 1 {
			slices.Reverse(dst[i : i+part])
		}
	}
}

// resize converts an integer whose size differs: external32 is the one that is not as the type says.
func resize(t *datatype, dst, src []byte) {
	clear(dst)
	if int64(len(src)) == t.size { // to external32
		v := uint64(signed(src))
		for i := len(dst) - 1; i >= 0; i-- {
			dst[i], v = byte(v), v>>8
		}
		return
	}
	for i := range dst {
		if i < len(src) {
			dst[i] = src[len(src)-1-i]
		}
	}
}

func callPackExternal(p *Proc, a args) (uint64, error) {
	if err := p.external32(a.u32(0)); err != nil {
		return 0, err
	}
	t, err := p.committed(a.u32(3))
	if err != nil {
		return 0, err
	}
	buf, err := p.elements(a.u32(1), a.count(2), t)
	if err != nil {
		return 0, err
	}
	total := times(a.count(2), externalBytes(t))
	if total > 1<<32-1 {
		return 0, fail(errCount, "%d bytes are more than a rank can hold", total)
	}
	return success, p.packInto(a, uint32(total), a.u32(4), a.count(5), a.u32(6), func(dst span) {
		in, out := p.packed(buf), p.bytes(dst)
		for range a.count(2) {
			t.signature(func(b *datatype) {
				swap(b, out[:externalSize(b)], in[:b.size])
				in, out = in[b.size:], out[externalSize(b):]
			})
		}
	})
}

func callUnpackExternal(p *Proc, a args) (uint64, error) {
	if err := p.external32(a.u32(0)); err != nil {
		return 0, err
	}
	t, err := p.committed(a.u32(6))
	if err != nil {
		return 0, err
	}
	buf, err := p.elements(a.u32(4), a.count(5), t)
	if err != nil {
		return 0, err
	}
	total := times(a.count(5), externalBytes(t))
	if total > 1<<32-1 {
		return 0, fail(errCount, "%d bytes are more than a rank can hold", total)
	}
	return success, p.unpackFrom(a, uint32(total), a.u32(1), a.count(2), a.u32(3), func(src span) {
		in, flat := p.bytes(src), make([]byte, buf.len)
		out := flat
		for range a.count(5) {
			t.signature(func(b *datatype) {
				swap(b, out[:b.size], in[:externalSize(b)])
				in, out = in[externalSize(b):], out[b.size:]
			})
		}
		p.unpack(buf, flat)
	})
}

func callPackExternalSize(p *Proc, a args) (uint64, error) {
	if err := p.external32(a.u32(0)); err != nil {
		return 0, err
	}
	t, err := p.typeOf(a.u32(2))
	if err == nil && a.count(1) < 0 {
		err = fail(errCount, "count is %d", a.count(1))
	}
	if err != nil {
		return 0, err
	}
	return success, p.putCount(a, a.u32(3), times(a.count(1), externalBytes(t)))
}
