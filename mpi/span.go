package mpi

// hostBuffer is memory of the library: the scratch of a collective, or the copy of a buffered message.
// It belongs to one rank and is part of its captured state.
type hostBuffer struct{ b []byte }

// span is a buffer of a request: elements of a datatype at an address of the guest's memory, or plain
// bytes in a hostBuffer. It is never a Go slice of guest memory, so that a request can be captured and
// restored around other memory.
type span struct {
	host *hostBuffer // nil: the guest's memory
	off  uint32      // address of the first element
	len  uint32      // bytes of data
	typ  *datatype   // layout of the elements; nil: contiguous
	skip uint32      // bytes of data before the span's first one, of a part of typed elements
}

// part returns n bytes of data from off on, clamped to the span.
func (s span) part(off, n uint32) span {
	off = min(off, s.len)
	s.len = min(n, s.len-off)
	if s.typ != nil {
		s.skip += off
	} else {
		s.off += off
	}
	return s
}

// in returns a contiguous span's bytes of the memory that its addresses count in, or nil where they are not in it. Nothing is copied.
func (s span) in(mem []byte) []byte {
	if s.len == 0 || s.typ != nil {
		return nil
	}
	end := uint64(s.off) + uint64(s.len)
	if end > uint64(len(mem)) {
		return nil
	}
	return mem[s.off:end:end]
}

// pack copies the span's data from its memory to dst, which has its length.
func (s span) pack(dst, mem []byte) {
	if s.typ == nil {
		copy(dst, s.in(mem))
		return
	}
	m := mover{mem: mem, buf: dst, skip: int64(s.skip)}
	m.elements(s.typ, int64(s.off))
}

// unpack copies src, of at most the span's length, to the span's beginning in its memory.
func (s span) unpack(mem, src []byte) {
	if s.typ == nil {
		copy(s.in(mem), src)
		return
	}
	m := mover{mem: mem, buf: src[:min(len(src), int(s.len))], skip: int64(s.skip), in: true}
	m.elements(s.typ, int64(s.off))
}

// copySpan copies the data of one span to another, each in its memory, as much as both have. Between elements on both sides it goes by way of buf, a part at a time.
func copySpan(dst span, to []byte, src span, from, buf []byte) {
	n := min(dst.len, src.len)
	dst, src = dst.part(0, n), src.part(0, n)
	switch {
	case n == 0:
	case src.typ == nil:
		dst.unpack(to, src.in(from))
	case dst.typ == nil:
		src.pack(dst.in(to), from)
	default:
		for at := uint64(0); at < uint64(n); at += uint64(len(buf)) {
			part := src.part(uint32(at), uint32(len(buf)))
			part.pack(buf[:part.len], from)
			dst.part(uint32(at), part.len).unpack(to, buf[:part.len])
		}
	}
}

// bytesAt is the span of n bytes at an address of a memory of size bytes, or an MPI error.
func bytesAt(ptr uint32, n uint64, size int) (span, error) {
	if n == 0 {
		return span{}, nil
	}
	if ptr == 0 {
		return span{}, fail(errBuffer, "null pointer")
	}
	if n >= 1<<32 || uint64(ptr)+n > uint64(size) {
		return span{}, fail(errBuffer, "%d bytes at %#x are outside of the memory (%d bytes)", n, ptr, size)
	}
	return span{off: ptr, len: uint32(n)}, nil
}

// elementsAt is the span of count elements of a datatype at an address of a memory of size bytes, or an MPI error. MPI_BOTTOM is 0, and
// absolute addresses are the type's displacements.
func elementsAt(ptr uint32, count int64, t *datatype, size int) (span, error) {
	if count < 0 {
		return span{}, fail(errCount, "count is %d", count)
	}
	if count == 0 || t.size == 0 {
		return span{}, nil
	}
	if count > 1<<32 || t.size > (1<<32-1)/count {
		return span{}, fail(errBuffer, "%d elements of %d bytes are more than the memory holds", count, t.size)
	}
	n := uint32(count * t.size)
	if t.dense && (count == 1 || t.extent() == t.size) {
		at := int64(ptr) + t.trueLB
		if ptr == bottom && at < 0 {
			at += 1 << 32 // an absolute address beyond 2 GiB
		}
		if ptr == bottom && at == 0 {
			return span{}, fail(errBuffer, "null pointer")
		}
		if at < 0 || at+int64(n) > int64(size) {
			return span{}, fail(errBuffer, "%d bytes at %#x are outside of the memory (%d bytes)", n, at, size)
		}
		return span{off: uint32(at), len: n}, nil
	}
	first, last := int64(ptr), int64(ptr)+times(count-1, t.extent())
	low, high := min(first, last)+t.trueLB, max(first, last)+t.trueUB
	if ptr == bottom && low < 0 { // absolute addresses beyond 2 GiB are negative; beside lower ones, the mover checks them
		if low += 1 << 32; high <= 0 {
			high += 1 << 32
		}
	}
	if low < 0 || low > int64(size) || high > int64(size) || (ptr == bottom && low == 0) {
		return span{}, fail(errBuffer, "elements from %#x to %#x are outside of the memory (%d bytes)", low, high, size)
	}
	return span{off: ptr, len: n, typ: t}, nil
}
