package mpi

import "encoding/binary"

// order is the byte order of wasm memory, of frames and of captured state.
var order = binary.LittleEndian //nolint:gochecknoglobals // immutable; a constant if the type allowed

// class of a datatype: which operations it takes (MPI 5.0 section 6.9.2).
type typeClass uint8

const (
	opaqueType   typeClass = iota // moved, never computed with
	signedType                    // C integer, and the multi-language AINT, COUNT, OFFSET
	unsignedType                  // C integer
	floatType
	boolType // logical operations only
	byteType // bitwise operations only
)

type datatype struct {
	name  string
	size  uint32 // bytes; size and extent are equal for basic types
	class typeClass
}

// types are the basic C types on wasm32: long, pointers and MPI_Aint have 4 bytes.
var types = map[uint32]datatype{ //nolint:gochecknoglobals // an immutable lookup table
	0x201: {"MPI_AINT", 4, signedType},
	0x202: {"MPI_COUNT", 8, signedType},
	0x203: {"MPI_OFFSET", 8, signedType},
	0x207: {"MPI_PACKED", 1, opaqueType},
	0x208: {"MPI_SHORT", 2, signedType},
	0x209: {"MPI_INT", 4, signedType},
	0x20a: {"MPI_LONG", 4, signedType},
	0x20b: {"MPI_LONG_LONG", 8, signedType},
	0x20c: {"MPI_UNSIGNED_SHORT", 2, unsignedType},
	0x20d: {"MPI_UNSIGNED", 4, unsignedType},
	0x20e: {"MPI_UNSIGNED_LONG", 4, unsignedType},
	0x20f: {"MPI_UNSIGNED_LONG_LONG", 8, unsignedType},
	0x210: {"MPI_FLOAT", 4, floatType},
	0x212: {"MPI_C_FLOAT_COMPLEX", 8, opaqueType},
	0x214: {"MPI_DOUBLE", 8, floatType},
	0x216: {"MPI_C_DOUBLE_COMPLEX", 16, opaqueType},
	0x220: {"MPI_LONG_DOUBLE", 16, opaqueType},
	0x238: {"MPI_C_BOOL", 1, boolType},
	0x23c: {"MPI_WCHAR", 4, opaqueType},
	0x240: {"MPI_INT8_T", 1, signedType},
	0x241: {"MPI_UINT8_T", 1, unsignedType},
	0x243: {"MPI_CHAR", 1, signedType},
	0x244: {"MPI_SIGNED_CHAR", 1, signedType},
	0x245: {"MPI_UNSIGNED_CHAR", 1, unsignedType},
	0x247: {"MPI_BYTE", 1, byteType},
	0x248: {"MPI_INT16_T", 2, signedType},
	0x249: {"MPI_UINT16_T", 2, unsignedType},
	0x250: {"MPI_INT32_T", 4, signedType},
	0x251: {"MPI_UINT32_T", 4, unsignedType},
	0x258: {"MPI_INT64_T", 8, signedType},
	0x259: {"MPI_UINT64_T", 8, unsignedType},
}

func typeOf(handle uint32) (datatype, error) {
	t, ok := types[handle]
	if !ok {
		return t, fail(errType, "datatype %#x is not known", handle)
	}
	return t, nil
}
