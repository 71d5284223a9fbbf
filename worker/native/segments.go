package native

import (
	"encoding/binary"
)

// constant reads a constant expression.
func (r *reader) constant() constant {
	c := constant{global: -1, function: -1}
	for r.Err == nil {
		switch op := r.Byte(); op {
		case 0x0b: // end
			return c
		case 0x41:
			c.low = uint64(uint32(r.Signed(64))) //nolint:gosec // bits
		case 0x42:
			c.low = uint64(r.Signed(64)) //nolint:gosec // bits
		case 0x43:
			if b := r.Bytes(4); b != nil {
				c.low = uint64(binary.LittleEndian.Uint32(b))
			}
		case 0x44:
			if b := r.Bytes(8); b != nil {
				c.low = binary.LittleEndian.Uint64(b)
			}
		case 0x23:
			c.global = int(r.U32())
		case 0xd0: // ref.null
			r.Byte()
		case 0xd2:
			c.function = int(r.U32())
		case 0xfd:
			if r.U32() != 12 {
				r.Failf("%w: a vector instruction in a constant", errUnsupported)
			}
			if b := r.Bytes(16); b != nil {
				c.low, c.high = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
			}
		default:
			r.Failf("%w: instruction %#x in a constant", errUnsupported, op)
		}
	}
	return c
}

// element reads a segment of a table: 5.5.12 of the specification has what the flags say.
func (r *reader) element() element {
	flags := r.U32()
	e := element{offset: constant{global: -1, function: -1}}
	if flags > 7 {
		r.Failf("element segment with flags %#x", flags)
		return e
	}
	switch {
	case flags&1 == 0:
		if flags&2 != 0 {
			e.table = r.U32()
		}
		e.offset = r.constant()
	case flags&2 != 0:
		e.mode = declared
	default:
		e.mode = passive
	}
	if flags&3 != 0 {
		r.Byte() // the type of the items: there is one
	}
	if flags&4 != 0 {
		r.Vector(func() { e.items = append(e.items, r.constant()) })
	} else {
		r.Vector(func() { e.items = append(e.items, constant{global: -1, function: int(r.U32())}) })
	}
	return e
}

// segment reads a segment of the memory.
func (r *reader) segment() data {
	d := data{offset: constant{global: -1, function: -1}}
	switch flags := r.U32(); flags {
	case 0:
		d.offset = r.constant()
	case 1:
		d.mode = passive
	case 2:
		if r.U32() != 0 {
			r.Failf("%w: a second memory", errUnsupported)
		}
		d.offset = r.constant()
	default:
		r.Failf("data segment with flags %#x", flags)
	}
	d.bytes = r.Bytes(uint64(r.U32()))
	return d
}
