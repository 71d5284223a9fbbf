package native

import (
	"errors"
	"fmt"
)

var errTruncated = errors.New("truncated")

// reader decodes the primitives of the binary format (WebAssembly core 2.0, chapter 5). The first error sticks; later reads return
// zero values.
type reader struct {
	data []byte
	err  error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.data = nil
}

func (r *reader) failf(format string, args ...any) { r.fail(fmt.Errorf(format, args...)) }

func (r *reader) byte() byte {
	if len(r.data) == 0 {
		r.fail(errTruncated)
		return 0
	}
	b := r.data[0]
	r.data = r.data[1:]
	return b
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.data)) {
		r.fail(errTruncated)
		return nil
	}
	b := r.data[:n]
	r.data = r.data[n:]
	return b
}

func (r *reader) u32() uint32 {
	var value uint64
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		value |= uint64(b&0x7f) << shift
		if b&0x80 == 0 {
			return uint32(value) //nolint:gosec // cut, as the format says
		}
	}
	r.fail(errors.New("number too long"))
	return 0
}

// signed reads a signed LEB128 of at most 64 bits.
func (r *reader) signed() int64 {
	var value int64
	for shift := 0; shift < 70; {
		b := r.byte()
		value |= int64(b&0x7f) << shift
		shift += 7
		if b&0x80 == 0 {
			if shift < 64 && b&0x40 != 0 {
				value |= -1 << shift
			}
			return value
		}
	}
	r.fail(errors.New("number too long"))
	return 0
}

func (r *reader) name() string { return string(r.bytes(uint64(r.u32()))) }

// vector reads a count and calls read for each element, until the first error. An element takes at least one byte, which bounds the
// loop by the input.
func (r *reader) vector(read func()) {
	n := r.u32()
	if uint64(n) > uint64(len(r.data)) {
		r.fail(errTruncated)
		return
	}
	for ; n > 0 && r.err == nil; n-- {
		read()
	}
}
