package wasm

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// errTruncated is what a reader fails with when the bytes end too early.
var errTruncated = errors.New("truncated")

// reader decodes the primitives of the binary format (WebAssembly core 2.0, chapter 5). The first error
// sticks; later reads return zero values.
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

// unsigned reads LEB128 of at most bits bits.
func (r *reader) unsigned(bits int) uint64 {
	var value uint64
	for shift := 0; shift < bits; shift += 7 {
		b := r.byte()
		value |= uint64(b&0x7f) << shift
		if b&0x80 == 0 {
			if bits-shift < 7 && b>>(bits-shift) != 0 {
				break
			}
			return value
		}
	}
	r.fail(errors.New("number too long"))
	return 0
}

func (r *reader) u32() uint32 { return uint32(r.unsigned(32)) }

// signed reads a signed LEB128 of at most bits bits.
func (r *reader) signed(bits int) int64 {
	var value int64
	for shift := 0; shift < bits; {
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

func (r *reader) name() string {
	b := r.bytes(uint64(r.u32()))
	if !utf8.Valid(b) {
		r.fail(errors.New("name is not UTF-8"))
		return ""
	}
	return string(b)
}

// vector reads a count and calls read for each element, until the first error. An element takes at
// least one byte, which bounds the loop by the input.
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

// limits reads the size of a table or memory. max is nil if there is none.
func (r *reader) limits() (minimum uint64, maximum *uint64) {
	flags := r.byte()
	if flags > 1 {
		r.fail(fmt.Errorf("limits with flags %#x: shared and 64-bit memories are not supported", flags))
		return 0, nil
	}
	minimum = uint64(r.u32())
	if flags&1 != 0 {
		m := uint64(r.u32())
		maximum = &m
	}
	return minimum, maximum
}

// constant skips a constant expression. If it is a single i32.const, its value is returned too.
func (r *reader) constant() (value int32, isI32 bool) {
	for ops := 0; r.err == nil; ops++ {
		isI32 = isI32 && ops <= 1
		switch op := r.byte(); op {
		case 0x0b: // end
			return value, isI32
		case 0x41:
			value, isI32 = int32(r.signed(32)), ops == 0
		case 0x42:
			r.signed(64)
		case 0x43:
			r.bytes(4)
		case 0x44:
			r.bytes(8)
		case 0x23, 0xd2: // global.get, ref.func
			r.u32()
		case 0xd0: // ref.null
			r.byte()
		case 0x6a, 0x6b, 0x6c, 0x7c, 0x7d, 0x7e: // extended constant arithmetic
			isI32 = false
		case 0xfd:
			if r.u32() != 12 {
				r.fail(errors.New("unknown vector instruction in a constant"))
			}
			r.bytes(16)
		default:
			r.fail(fmt.Errorf("unknown instruction %#x in a constant", op))
		}
	}
	return 0, false
}
