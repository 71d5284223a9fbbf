package mpi

// span is a buffer of a request: an offset into the guest's memory or into the
// scratch buffer of the rank's collective. It is never a Go slice, so that a
// request can be captured and restored around other memory.
type span struct {
	scratch bool
	off     uint32
	len     uint32
}

// part returns n bytes of the span from off on, clamped to it.
func (s span) part(off, n uint32) span {
	off = min(off, s.len)
	return span{s.scratch, s.off + off, min(n, s.len-off)}
}

// bytes returns the span's memory, or nil where a damaged state made it invalid.
// The slice is valid until the World's lock is released.
func (p *Proc) bytes(s span) []byte {
	if s.len == 0 {
		return nil
	}
	b := p.scratch
	if !s.scratch {
		b = p.mem.Bytes()
	}
	end := uint64(s.off) + uint64(s.len)
	if end > uint64(len(b)) {
		return nil
	}
	return b[s.off:end:end]
}

// guest returns the span of n bytes at a guest's pointer, checked.
func (p *Proc) guest(ptr uint32, n uint64) (span, error) {
	if n == 0 {
		return span{}, nil
	}
	if ptr == 0 {
		return span{}, fail(errBuffer, "null pointer")
	}
	if size := uint64(len(p.mem.Bytes())); n >= 1<<32 || uint64(ptr)+n > size {
		return span{}, fail(errBuffer, "%d bytes at %#x are outside of the memory (%d bytes)", n, ptr, size)
	}
	return span{off: ptr, len: uint32(n)}, nil
}

// buffer returns the span of count elements of a datatype at a guest's pointer.
func (p *Proc) buffer(ptr uint32, count int, typ uint32) (span, error) {
	if count < 0 {
		return span{}, fail(errCount, "count is %d", count)
	}
	t, err := typeOf(typ)
	if err != nil {
		return span{}, err
	}
	return p.guest(ptr, uint64(count)*uint64(t.size))
}

// putInt stores an int at a guest's pointer.
func (p *Proc) putInt(ptr uint32, v int) error {
	s, err := p.guest(ptr, 4)
	if err != nil {
		return argError(err)
	}
	order.PutUint32(p.bytes(s), uint32(int32(v)))
	return nil
}

// putString stores a NUL-terminated string and its length at guest's pointers.
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

// handles returns the n handles at a guest's pointer, for reading and writing.
func (p *Proc) handles(ptr uint32, n int) (span, error) {
	if n < 0 {
		return span{}, fail(errCount, "count is %d", n)
	}
	s, err := p.guest(ptr, uint64(n)*4)
	return s, argError(err)
}

// argError makes a bad pointer that is no message buffer an MPI_ERR_ARG.
func argError(err error) error {
	if e, ok := err.(*callError); ok && e.class == errBuffer { //nolint:errorlint // never wrapped: made three lines up the stack
		e.class = errArg
	}
	return err
}
