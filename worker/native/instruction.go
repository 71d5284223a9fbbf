package native

import "encoding/binary"

// Instructions that are named: the specification, 5.4.
const (
	opUnreachable  = 0x00
	opNop          = 0x01
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opElse         = 0x05
	opEnd          = 0x0b
	opBr           = 0x0c
	opBrIf         = 0x0d
	opBrTable      = 0x0e
	opReturn       = 0x0f
	opCall         = 0x10
	opCallIndirect = 0x11
	opDrop         = 0x1a
	opSelect       = 0x1b
	opSelectType   = 0x1c
	opLocalGet     = 0x20
	opLocalSet     = 0x21
	opLocalTee     = 0x22
	opGlobalGet    = 0x23
	opGlobalSet    = 0x24
	opTableGet     = 0x25
	opTableSet     = 0x26
	opMemorySize   = 0x3f
	opMemoryGrow   = 0x40
	opI32Const     = 0x41
	opI64Const     = 0x42
	opF32Const     = 0x43
	opF64Const     = 0x44
	opI32Add       = 0x6a
	opI64Add       = 0x7c
	opDemote       = 0xb6
	opPromote      = 0xbb
	opRefNull      = 0xd0
	opRefIsNull    = 0xd1
	opRefFunc      = 0xd2
	opMore         = 0xfc
	opVector       = 0xfd
)

// instruction is one, decoded.
type instruction struct {
	op     byte
	sub    uint32 // behind opMore and opVector
	x, y   uint32 // indices; of an access of memory its offset is y
	block  int64  // a block's type
	value  uint64 // of a constant
	bytes  []byte // of a vector's constant, or of a shuffle
	labels []uint32
	kind   valueType // of opSelectType
}

// instruction reads one.
func (r *reader) instruction() instruction {
	in := instruction{op: r.Byte()}
	switch op := in.op; {
	case op == opBlock || op == opLoop || op == opIf:
		in.block = r.Signed(64)
	case op == opBr || op == opBrIf || op == opCall || op >= opLocalGet && op <= opTableSet || op == opMemorySize || op == opMemoryGrow || op == opRefFunc:
		in.x = r.U32()
	case op == opBrTable:
		r.Vector(func() { in.labels = append(in.labels, r.U32()) })
		in.x = r.U32()
	case op == opCallIndirect || op >= firstAccess && int(op) < firstAccess+len(accesses):
		in.x, in.y = r.U32(), r.U32()
	case op == opSelectType:
		r.Vector(func() { in.kind = r.valueType() })
	case op == opI32Const || op == opI64Const:
		in.value = uint64(r.Signed(64)) //nolint:gosec // bits
	case op == opF32Const:
		if b := r.Bytes(4); b != nil {
			in.value = uint64(binary.LittleEndian.Uint32(b))
		}
	case op == opF64Const:
		if b := r.Bytes(8); b != nil {
			in.value = binary.LittleEndian.Uint64(b)
		}
	case op == opRefNull:
		r.Byte()
	case op == opMore:
		in.sub = r.U32()
		r.more(&in)
	case op == opVector:
		in.sub = r.U32()
		r.vectorInstruction(&in)
	}
	return in
}

// more reads what follows of conversions that saturate, and of the instructions on whole memories and tables.
func (r *reader) more(in *instruction) {
	switch in.sub {
	case 0, 1, 2, 3, 4, 5, 6, 7:
	case 8, 10, 12, 14:
		in.x, in.y = r.U32(), r.U32()
	case 9, 11, 13, 15, 16, 17:
		in.x = r.U32()
	default:
		r.Failf("%w: instruction 0xfc %d", errUnsupported, in.sub)
	}
}

func (r *reader) vectorInstruction(in *instruction) {
	switch op := in.sub; {
	case op <= 11, op == 92, op == 93: // loads, stores
		r.U32()
		in.y = r.U32()
	case op == 12, op == 13: // constants, shuffles
		in.bytes = r.Bytes(16)
	case op >= 21 && op <= 34: // one lane
		in.x = uint32(r.Byte())
	case op >= 84 && op <= 91: // loads and stores of one lane
		r.U32()
		in.y = r.U32()
		in.x = uint32(r.Byte())
	case op > 255:
		r.Failf("%w: instruction 0xfd %d", errUnsupported, op)
	}
}
