package layout

import "github.com/godwit-run/godwit/mpi/abi"

// Buffer is memory of the library: the scratch of a collective, or the copy of a buffered message.
// It belongs to one rank and is part of its captured state.
type Buffer struct{ Bytes []byte }

// Span is a buffer of a request: elements of a datatype at an address of the guest's memory, or plain
// bytes in a Buffer. It is never a Go slice of guest memory, so that a request can be captured and
// restored around other memory.
type Span struct {
	Host *Buffer // nil: the guest's memory
	Off  uint32  // address of the first element
	Len  uint32  // bytes of data
	Type *Type   // layout of the elements; nil: contiguous
	Skip uint32  // bytes of data before the span's first one, of a part of typed elements
}

// Part returns n bytes of data from off on, clamped to the span.
func (s Span) Part(off, n uint32) Span {
	off = min(off, s.Len)
	s.Len = min(n, s.Len-off)
	if s.Type != nil {
		s.Skip += off
	} else {
		s.Off += off
	}
	return s
}

// In returns a contiguous span's bytes of the memory that its addresses count in, or nil where they are not in it. Nothing is copied.
func (s Span) In(mem []byte) []byte {
	if s.Len == 0 || s.Type != nil {
		return nil
	}
	end := uint64(s.Off) + uint64(s.Len)
	if end > uint64(len(mem)) {
		return nil
	}
	return mem[s.Off:end:end]
}

// Pack copies the span's data from its memory to dst, which has its length.
func (s Span) Pack(dst, mem []byte) {
	if s.Type == nil {
		copy(dst, s.In(mem))
		return
	}
	m := mover{mem: mem, buf: dst, skip: int64(s.Skip)}
	m.elements(s.Type, int64(s.Off))
}

// Unpack copies src, of at most the span's length, to the span's beginning in its memory.
func (s Span) Unpack(mem, src []byte) {
	if s.Type == nil {
		copy(s.In(mem), src)
		return
	}
	m := mover{mem: mem, buf: src[:min(len(src), int(s.Len))], skip: int64(s.Skip), in: true}
	m.elements(s.Type, int64(s.Off))
}

// leastBlock is in what parts data goes between elements on both sides: what a processor's nearest cache holds beside where it comes from and goes to.
const leastBlock = 16 << 10

// Block is how many bytes CopySpan wants to go by way of, between two spans, if they are at most limit; 0: none.
func Block(dst, src Span, limit int) int {
	if dst.Type == nil || src.Type == nil {
		return 0
	}
	return int(min(max(leastBlock, dst.Type.block(), src.Type.block()), int64(min(dst.Len, src.Len)), int64(limit)))
}

// CopySpan copies the data of one span to another, each in its memory, as much as both have. Between elements on both sides it goes by way of buf, which has what Block says.
func CopySpan(dst Span, to []byte, src Span, from, buf []byte) {
	n := min(dst.Len, src.Len)
	dst, src = dst.Part(0, n), src.Part(0, n)
	switch {
	case n == 0:
	case src.Type == nil:
		dst.Unpack(to, src.In(from))
	case dst.Type == nil:
		src.Pack(dst.In(to), from)
	default:
		for at := uint64(0); at < uint64(n); at += uint64(len(buf)) {
			part := src.Part(uint32(at), uint32(len(buf)))
			part.Pack(buf[:part.Len], from)
			dst.Part(uint32(at), part.Len).Unpack(to, buf[:part.Len])
		}
	}
}

// Bytes is the span of n bytes at an address of a memory of size bytes, or an MPI error.
func Bytes(ptr uint32, n uint64, size int) (Span, error) {
	if n == 0 {
		return Span{}, nil
	}
	if ptr == 0 {
		return Span{}, abi.Fail(abi.ErrBuffer, "null pointer")
	}
	if n >= 1<<32 || uint64(ptr)+n > uint64(size) {
		return Span{}, abi.Fail(abi.ErrBuffer, "%d bytes at %#x are outside of the memory (%d bytes)", n, ptr, size)
	}
	return Span{Off: ptr, Len: uint32(n)}, nil
}

// Elements is the span of count elements of a datatype at an address of a memory of size bytes, or an MPI error. MPI_BOTTOM is 0, and
// absolute addresses are the type's displacements.
func Elements(ptr uint32, count int64, t *Type, size int) (Span, error) {
	if count < 0 {
		return Span{}, abi.Fail(abi.ErrCount, "count is %d", count)
	}
	if count == 0 || t.Size == 0 {
		return Span{}, nil
	}
	if count > 1<<32 || t.Size > (1<<32-1)/count {
		return Span{}, abi.Fail(abi.ErrBuffer, "%d elements of %d bytes are more than the memory holds", count, t.Size)
	}
	n := uint32(count * t.Size)
	if t.Dense && (count == 1 || t.Extent() == t.Size) {
		at := int64(ptr) + t.TrueLB
		if ptr == abi.Bottom && at < 0 {
			at += 1 << 32 // an absolute address beyond 2 GiB
		}
		if ptr == abi.Bottom && at == 0 {
			return Span{}, abi.Fail(abi.ErrBuffer, "null pointer")
		}
		if at < 0 || at+int64(n) > int64(size) {
			return Span{}, abi.Fail(abi.ErrBuffer, "%d bytes at %#x are outside of the memory (%d bytes)", n, at, size)
		}
		return Span{Off: uint32(at), Len: n}, nil
	}
	first, last := int64(ptr), int64(ptr)+Times(count-1, t.Extent())
	low, high := min(first, last)+t.TrueLB, max(first, last)+t.TrueUB
	if ptr == abi.Bottom && low < 0 { // absolute addresses beyond 2 GiB are negative; beside lower ones, the mover checks them
		if low += 1 << 32; high <= 0 {
			high += 1 << 32
		}
	}
	if low < 0 || low > int64(size) || high > int64(size) || (ptr == abi.Bottom && low == 0) {
		return Span{}, abi.Fail(abi.ErrBuffer, "elements from %#x to %#x are outside of the memory (%d bytes)", low, high, size)
	}
	return Span{Off: ptr, Len: n, Type: t}, nil
}

// Fitting is Elements for a buffer that a message is received in, whose count is only a bound: programs give more than there can be (INT_MAX) where they know that the message is shorter. It is the first elements of those, as many as
// the memory has room for; none at all is an error.
func Fitting(ptr uint32, count int64, t *Type, size int) (Span, error) {
	if t.Dense && t.Size > 0 && t.Extent() == t.Size && ptr != abi.Bottom { // one behind the other: no need to try
		if room := (int64(size) - int64(ptr) - t.TrueLB) / t.Size; room > 0 {
			count = min(count, room)
		}
	}
	s, err := Elements(ptr, count, t, size)
	if err == nil || count < 2 {
		return s, err
	}
	fit, most := int64(0), count // fit elements are within the memory, or none; most are not
	for most-fit > 1 {
		middle := fit + (most-fit)/2
		if part, wrong := Elements(ptr, middle, t, size); wrong == nil {
			fit, s = middle, part
		} else {
			most = middle
		}
	}
	if fit == 0 {
		return Span{}, err
	}
	return s, nil
}
