package mpi

import (
	"encoding/binary"
	"fmt"
)

// writer appends values of captured state: unsigned and signed varints, bytes
// behind their length.
type writer struct{ b []byte }

func (w *writer) uint(v uint64)   { w.b = binary.AppendUvarint(w.b, v) }
func (w *writer) u32(v uint32)    { w.uint(uint64(v)) }
func (w *writer) int(v int64)     { w.b = binary.AppendVarint(w.b, v) }
func (w *writer) bytes(v []byte)  { w.uint(uint64(len(v))); w.b = append(w.b, v...) }
func (w *writer) string(v string) { w.bytes([]byte(v)) }
func (w *writer) bool(v bool)     { w.b = append(w.b, byte(truth(v))) }

func (w *writer) span(s span) {
	w.bool(s.scratch)
	w.u32(s.off)
	w.u32(s.len)
}

// reader reads what writer wrote. After the first error it returns zeros.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: "+format, append([]any{ErrState}, args...)...)
		r.b = nil
	}
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail("it ends early")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail("it ends early")
		return 0
	}
	r.b = r.b[n:]
	return v
}

// upTo reads an unsigned value of at most limit.
func (r *reader) upTo(limit uint64) uint64 {
	v := r.uint()
	if v > limit {
		r.fail("%d is over %d", v, limit)
		return 0
	}
	return v
}

func (r *reader) u32() uint32 { return uint32(r.upTo(1<<32 - 1)) }
func (r *reader) u8() uint8   { return uint8(r.upTo(255)) }
func (r *reader) bool() bool  { return r.upTo(1) == 1 }

func (r *reader) i32() int32 {
	v := r.int()
	if v != int64(int32(v)) {
		r.fail("%d is over 32 bits", v)
		return 0
	}
	return int32(v)
}

// count reads a number of things that take at least one byte each.
func (r *reader) count() int {
	v := r.uint()
	if v > uint64(len(r.b)) {
		r.fail("%d things do not fit in %d bytes", v, len(r.b))
		return 0
	}
	return int(v)
}

// bytes returns a copy.
func (r *reader) bytes() []byte {
	n := r.count()
	v := append([]byte(nil), r.b[:n]...)
	r.b = r.b[n:]
	return v
}

func (r *reader) span() span {
	return span{scratch: r.bool(), off: r.u32(), len: r.u32()}
}
