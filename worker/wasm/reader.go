package wasm

import (
	"errors"
	"fmt"

	"github.com/godwit-run/godwit/internal/bytecode"
)

// reader decodes a module's parts. The first error sticks.
type reader struct{ bytecode.Reader }

func newReader(data []byte) *reader { return &reader{bytecode.Reader{Data: data}} }

// limits reads the size of a table or memory. max is nil if there is none.
func (r *reader) limits() (minimum uint64, maximum *uint64) {
	flags := r.Byte()
	if flags > 1 {
		r.Fail(fmt.Errorf("limits with flags %#x: shared and 64-bit memories are not supported", flags))
		return 0, nil
	}
	minimum = uint64(r.U32())
	if flags&1 != 0 {
		m := uint64(r.U32())
		maximum = &m
	}
	return minimum, maximum
}

// constant skips a constant expression. If it is a single i32.const, its value is returned too.
func (r *reader) constant() (value int32, isI32 bool) {
	for ops := 0; r.Err == nil; ops++ {
		isI32 = isI32 && ops <= 1
		switch op := r.Byte(); op {
		case 0x0b: // end
			return value, isI32
		case 0x41:
			value, isI32 = int32(r.Signed(32)), ops == 0
		case 0x42:
			r.Signed(64)
		case 0x43:
			r.Bytes(4)
		case 0x44:
			r.Bytes(8)
		case 0x23, 0xd2: // global.get, ref.func
			r.U32()
		case 0xd0: // ref.null
			r.Byte()
		case 0x6a, 0x6b, 0x6c, 0x7c, 0x7d, 0x7e: // extended constant arithmetic
			isI32 = false
		case 0xfd:
			if r.U32() != 12 {
				r.Fail(errors.New("unknown vector instruction in a constant"))
			}
			r.Bytes(16)
		default:
			r.Fail(fmt.Errorf("unknown instruction %#x in a constant", op))
		}
	}
	return 0, false
}
