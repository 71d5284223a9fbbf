// Package bytecode reads the primitives of WebAssembly's binary format.
package bytecode

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// ErrTruncated is what a Reader fails with when the bytes end too early.
var ErrTruncated = errors.New("truncated")

// Reader decodes the primitives of the binary format (WebAssembly core 2.0, chapter 5). The first error sticks; later reads return
// zero values.
type Reader struct {
	Data []byte // what is left; nothing after an error
	Err  error  // the first
}

// Fail has the reader fail, unless it has.
func (r *Reader) Fail(err error) {
	if r.Err == nil {
		r.Err = err
	}
	r.Data = nil
}

// Failf is Fail with an error of that text.
func (r *Reader) Failf(format string, args ...any) { r.Fail(fmt.Errorf(format, args...)) }

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if len(r.Data) == 0 {
		r.Fail(ErrTruncated)
		return 0
	}
	b := r.Data[0]
	r.Data = r.Data[1:]
	return b
}

// Bytes reads n bytes, and does not copy them; nil: there are fewer.
func (r *Reader) Bytes(n uint64) []byte {
	if n > uint64(len(r.Data)) {
		r.Fail(ErrTruncated)
		return nil
	}
	b := r.Data[:n]
	r.Data = r.Data[n:]
	return b
}

// Sized reads a length and as many bytes: they are for a reader of their own, without an error.
func (r *Reader) Sized() Reader { return Reader{Data: r.Bytes(uint64(r.U32()))} }

var errLong = errors.New("number too long")

// U32 reads an unsigned LEB128 of at most 32 bits.
func (r *Reader) U32() uint32 {
	const bits = 32
	var value uint64
	for shift := 0; shift < bits; shift += 7 {
		b := r.Byte()
		value |= uint64(b&0x7f) << shift
		if b&0x80 == 0 {
			if bits-shift < 7 && b>>(bits-shift) != 0 {
				break
			}
			return uint32(value) //nolint:gosec // no more bits are set
		}
	}
	r.Fail(errLong)
	return 0
}

// Signed reads a signed LEB128 of at most bits bits.
func (r *Reader) Signed(bits int) int64 {
	var value int64
	for shift := 0; shift < bits; {
		b := r.Byte()
		value |= int64(b&0x7f) << shift
		shift += 7
		if b&0x80 == 0 {
			if shift < 64 && b&0x40 != 0 {
				value |= -1 << shift
			}
			return value
		}
	}
	r.Fail(errLong)
	return 0
}

// Name reads a text in UTF-8.
func (r *Reader) Name() string {
	b := r.Bytes(uint64(r.U32()))
	if !utf8.Valid(b) {
		r.Fail(errors.New("name is not UTF-8"))
		return ""
	}
	return string(b)
}

// Vector reads a count and calls read for each element, until the first error. An element takes at least one byte, which bounds the
// loop by the input.
func (r *Reader) Vector(read func()) {
	n := r.U32()
	if uint64(n) > uint64(len(r.Data)) {
		r.Fail(ErrTruncated)
		return
	}
	for ; n > 0 && r.Err == nil; n-- {
		read()
	}
}
