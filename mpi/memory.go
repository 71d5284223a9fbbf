package mpi

import (
	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/layout"
)

// memory is what the span's addresses count in.
func (p *Proc) memory(s layout.Span) []byte {
	if s.Host != nil {
		return s.Host.Bytes
	}
	return p.mem.Bytes()
}

// bytes returns a contiguous span's memory, or nil where a damaged state made it invalid.
// The slice is valid until the rank's lock is released.
func (p *Proc) bytes(s layout.Span) []byte { return s.In(p.memory(s)) }

// packed returns a span's data in one piece: its memory itself where it is contiguous, else a copy, which is valid until the next and as long as the
// rank's lock is held.
func (p *Proc) packed(s layout.Span) []byte {
	if s.Type == nil || s.Len == 0 {
		return p.bytes(s)
	}
	if int(s.Len) > cap(p.bounce) {
		buf := make([]byte, s.Len)
		if int(s.Len) <= p.w.cfg.ChunkBytes {
			p.bounce = buf
		}
		p.pack(buf, s)
		return buf
	}
	buf := p.bounce[:s.Len]
	p.pack(buf, s)
	return buf
}

// pack copies a span's data to dst, which has its length.
func (p *Proc) pack(dst []byte, s layout.Span) { s.Pack(dst, p.memory(s)) }

// unpack copies src, of at most the span's length, to its beginning.
func (p *Proc) unpack(s layout.Span, src []byte) { s.Unpack(p.memory(s), src) }

// move copies the data of one span to another. It needs no lock where nothing else uses the two: its memory is its own.
func (p *Proc) move(dst, src layout.Span) {
	layout.CopySpan(dst, p.memory(dst), src, p.memory(src), make([]byte, layout.Block(dst, src, p.w.cfg.ChunkBytes)))
}

// copyFrom copies the data of a span of another rank of this World, whose lock is not held.
func (p *Proc) copyFrom(q *Proc, dst, src layout.Span) {
	n := layout.Block(dst, src, p.w.cfg.ChunkBytes)
	layout.CopySpan(dst, p.memory(dst), src, q.memory(src), p.scratchpad(n))
}

// scratchpad is memory of so many bytes, for as long as the rank's lock is held.
func (p *Proc) scratchpad(n int) []byte {
	if n > cap(p.bounce) {
		p.bounce = make([]byte, n)
	}
	return p.bounce[:n]
}

// guest returns the span of n bytes at a guest's pointer, checked.
func (p *Proc) guest(ptr uint32, n uint64) (layout.Span, error) {
	return layout.Bytes(ptr, n, len(p.mem.Bytes()))
}

// buffer returns the span of count elements of a datatype at a guest's pointer, checked. MPI_BOTTOM is 0,
// and absolute addresses are the type's displacements.
func (p *Proc) buffer(ptr uint32, count int64, typ uint32) (layout.Span, error) {
	t, err := p.committed(typ)
	if err != nil {
		return layout.Span{}, err
	}
	return p.elements(ptr, count, t)
}

// landing is buffer for what a message is received in: count is a bound, and may be more than the memory holds (layout.Fitting).
func (p *Proc) landing(ptr uint32, count int64, typ uint32) (layout.Span, error) {
	t, err := p.committed(typ)
	if err != nil {
		return layout.Span{}, err
	}
	return layout.Fitting(ptr, count, t, len(p.mem.Bytes()))
}

// elements is buffer for a datatype that was looked up.
func (p *Proc) elements(ptr uint32, count int64, t *layout.Type) (layout.Span, error) {
	return layout.Elements(ptr, count, t, len(p.mem.Bytes()))
}

// putInt stores an int at a guest's pointer.
func (p *Proc) putInt(ptr uint32, v int) error { return p.putWord(ptr, uint32(int32(v))) }

// putWord stores 32 bits: an int, a handle, a pointer or an MPI_Aint.
func (p *Proc) putWord(ptr uint32, v uint32) error {
	s, err := p.guest(ptr, 4)
	if err != nil {
		return argError(err)
	}
	order.PutUint32(p.bytes(s), v)
	return nil
}

// putWide stores 64 bits: an MPI_Count or MPI_Offset.
func (p *Proc) putWide(ptr uint32, v int64) error {
	s, err := p.guest(ptr, 8)
	if err != nil {
		return argError(err)
	}
	order.PutUint64(p.bytes(s), uint64(v))
	return nil
}

// putCount stores an int; in a large-count function an MPI_Count.
func (p *Proc) putCount(ptr uint32, v int64) error {
	if p.large() {
		return p.putWide(ptr, v)
	}
	if v > 1<<31-1 {
		v = abi.Undefined
	}
	return p.putInt(ptr, int(v))
}

// word reads 32 bits at a guest's pointer.
func (p *Proc) word(ptr uint32) (uint32, error) {
	s, err := p.guest(ptr, 4)
	if err != nil {
		return 0, argError(err)
	}
	return order.Uint32(p.bytes(s)), nil
}

// words returns the n 32-bit values at a guest's pointer.
func (p *Proc) words(ptr uint32, n int) ([]uint32, error) {
	s, err := p.handles(ptr, n)
	if err == nil {
		err = p.roomFor(n)
	}
	if err != nil || n == 0 {
		return nil, err
	}
	b := p.bytes(s)
	out := make([]uint32, n)
	for i := range out {
		out[i] = order.Uint32(b[4*i:])
	}
	return out, nil
}

// ints returns the n ints at a guest's pointer.
func (p *Proc) ints(ptr uint32, n int) ([]int, error) {
	w, err := p.words(ptr, n)
	out := make([]int, len(w))
	for i, v := range w {
		out[i] = int(int32(v))
	}
	return out, err
}

// counts returns the n counts at a guest's pointer: ints, or MPI_Counts in a large-count function.
func (p *Proc) counts(ptr uint32, n int) ([]int64, error) {
	if n < 0 {
		return nil, abi.Fail(abi.ErrCount, "count is %d", n)
	}
	large := p.large()
	s, err := p.guest(ptr, uint64(n)*pick[uint64](large, 8, 4))
	if err == nil {
		err = p.roomFor(n)
	}
	if err != nil || n == 0 {
		return nil, argError(err)
	}
	b := p.bytes(s)
	out := make([]int64, n)
	for i := range out {
		if large {
			out[i] = int64(order.Uint64(b[8*i:]))
		} else {
			out[i] = int64(int32(order.Uint32(b[4*i:])))
		}
	}
	return out, nil
}

// putInts stores ints at a guest's pointer.
func (p *Proc) putInts(ptr uint32, v []int) error {
	s, err := p.handles(ptr, len(v))
	if err != nil {
		return err
	}
	b := p.bytes(s)
	for i, x := range v {
		order.PutUint32(b[4*i:], uint32(int32(x)))
	}
	return nil
}

// putString stores a NUL-terminated string at a guest's pointer, cut to limit bytes, and its length.
func (p *Proc) putString(ptr, lenPtr uint32, v string, limit int) error {
	v = v[:min(len(v), limit-1)]
	s, err := p.guest(ptr, uint64(len(v)+1))
	if err != nil {
		return argError(err)
	}
	b := p.bytes(s)
	b[copy(b, v)] = 0
	return p.putInt(lenPtr, len(v))
}

// cString reads the NUL-terminated string at a guest's pointer, of less than limit bytes.
func (p *Proc) cString(ptr uint32, limit int) (string, error) {
	mem := p.mem.Bytes()
	if ptr == 0 || uint64(ptr) >= uint64(len(mem)) {
		return "", abi.Fail(abi.ErrArg, "no string at %#x", ptr)
	}
	b := mem[ptr:min(uint64(ptr)+uint64(limit), uint64(len(mem)))]
	for i, c := range b {
		if c == 0 {
			return string(b[:i]), nil
		}
	}
	return "", abi.Fail(abi.ErrArg, "the string at %#x has %d bytes or more", ptr, limit)
}

// handles returns the n handles at a guest's pointer, for reading and writing.
func (p *Proc) handles(ptr uint32, n int) (layout.Span, error) {
	if n < 0 {
		return layout.Span{}, abi.Fail(abi.ErrCount, "count is %d", n)
	}
	s, err := p.guest(ptr, uint64(n)*4)
	return s, argError(err)
}

// argError makes a bad pointer that is no message buffer an MPI_ERR_ARG.
func argError(err error) error {
	if e, ok := err.(*abi.Fault); ok && e.Class == abi.ErrBuffer { //nolint:errorlint // never wrapped: made three lines up the stack
		e.Class = abi.ErrArg
	}
	return err
}
