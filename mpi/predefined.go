package mpi

import "sync"

// typeClass of a basic datatype: which operations it takes (MPI 5.0 section 6.9.2).
type typeClass uint8

// Classes of basic datatypes.
const (
	opaqueType   typeClass = iota // moved, never computed with
	signedType                    // C and Fortran integers, and the multi-language AINT, COUNT, OFFSET
	unsignedType                  // C integers
	floatType
	quadType    // long double: IEEE binary128 on wasm32
	complexType // of floatType halves
	quadComplexType
	boolType    // logical operations only
	logicalType // Fortran's LOGICAL: logical operations, any size
	byteType    // bitwise operations only
	pairType    // a value and an index, for MINLOC and MAXLOC
)

// basic lists the basic types on wasm32: long, pointers and MPI_Aint have 4 bytes, long double has 16.
var basic = []struct { //nolint:gochecknoglobals // an immutable lookup table
	handle uint32
	name   string
	size   int64
	class  typeClass
}{
	{0x201, "MPI_AINT", 4, signedType},
	{0x202, "MPI_COUNT", 8, signedType},
	{0x203, "MPI_OFFSET", 8, signedType},
	{0x207, "MPI_PACKED", 1, opaqueType},
	{0x208, "MPI_SHORT", 2, signedType},
	{0x209, "MPI_INT", 4, signedType},
	{0x20a, "MPI_LONG", 4, signedType},
	{0x20b, "MPI_LONG_LONG", 8, signedType},
	{0x20c, "MPI_UNSIGNED_SHORT", 2, unsignedType},
	{0x20d, "MPI_UNSIGNED", 4, unsignedType},
	{0x20e, "MPI_UNSIGNED_LONG", 4, unsignedType},
	{0x20f, "MPI_UNSIGNED_LONG_LONG", 8, unsignedType},
	{0x210, "MPI_FLOAT", 4, floatType},
	{0x212, "MPI_C_FLOAT_COMPLEX", 8, complexType},
	{0x213, "MPI_CXX_FLOAT_COMPLEX", 8, complexType},
	{0x214, "MPI_DOUBLE", 8, floatType},
	{0x216, "MPI_C_DOUBLE_COMPLEX", 16, complexType},
	{0x217, "MPI_CXX_DOUBLE_COMPLEX", 16, complexType},
	{0x218, "MPI_LOGICAL", 4, logicalType},
	{0x219, "MPI_INTEGER", 4, signedType},
	{0x21a, "MPI_REAL", 4, floatType},
	{0x21b, "MPI_COMPLEX", 8, complexType},
	{0x21c, "MPI_DOUBLE_PRECISION", 8, floatType},
	{0x21d, "MPI_DOUBLE_COMPLEX", 16, complexType},
	{0x21e, "MPI_CHARACTER", 1, opaqueType},
	{0x220, "MPI_LONG_DOUBLE", 16, quadType},
	{0x224, "MPI_C_LONG_DOUBLE_COMPLEX", 32, quadComplexType},
	{0x225, "MPI_CXX_LONG_DOUBLE_COMPLEX", 32, quadComplexType},
	{0x238, "MPI_C_BOOL", 1, boolType},
	{0x239, "MPI_CXX_BOOL", 1, boolType},
	{0x23c, "MPI_WCHAR", 4, opaqueType},
	{0x240, "MPI_INT8_T", 1, signedType},
	{0x241, "MPI_UINT8_T", 1, unsignedType},
	{0x243, "MPI_CHAR", 1, signedType},
	{0x244, "MPI_SIGNED_CHAR", 1, signedType},
	{0x245, "MPI_UNSIGNED_CHAR", 1, unsignedType},
	{0x247, "MPI_BYTE", 1, byteType},
	{0x248, "MPI_INT16_T", 2, signedType},
	{0x249, "MPI_UINT16_T", 2, unsignedType},
	{0x250, "MPI_INT32_T", 4, signedType},
	{0x251, "MPI_UINT32_T", 4, unsignedType},
	{0x258, "MPI_INT64_T", 8, signedType},
	{0x259, "MPI_UINT64_T", 8, unsignedType},
	{0x2c0, "MPI_LOGICAL1", 1, logicalType},
	{0x2c1, "MPI_INTEGER1", 1, signedType},
	{0x2c8, "MPI_LOGICAL2", 2, logicalType},
	{0x2c9, "MPI_INTEGER2", 2, signedType},
	{0x2ca, "MPI_REAL2", 2, opaqueType},
	{0x2d0, "MPI_LOGICAL4", 4, logicalType},
	{0x2d1, "MPI_INTEGER4", 4, signedType},
	{0x2d2, "MPI_REAL4", 4, floatType},
	{0x2d3, "MPI_COMPLEX4", 4, opaqueType},
	{0x2d8, "MPI_LOGICAL8", 8, logicalType},
	{0x2d9, "MPI_INTEGER8", 8, signedType},
	{0x2da, "MPI_REAL8", 8, floatType},
	{0x2db, "MPI_COMPLEX8", 8, complexType},
	{0x2e0, "MPI_LOGICAL16", 16, opaqueType},
	{0x2e1, "MPI_INTEGER16", 16, opaqueType},
	{0x2e2, "MPI_REAL16", 16, quadType},
	{0x2e3, "MPI_COMPLEX16", 16, complexType},
	{0x2eb, "MPI_COMPLEX32", 32, quadComplexType},
	{typeLB, "MPI_LB", 0, opaqueType},
	{typeUB, "MPI_UB", 0, opaqueType},
}

// The markers of MPI-1, which MPI 3.0 removed. Their values are ours: the ABI has none.
const (
	typeLB = 0x2f8
	typeUB = 0x2f9
)

// pairs lists the pair types: a value, then an index, laid out as a C struct (MPI 5.0 section 6.9.4).
var pairs = []struct { //nolint:gochecknoglobals // an immutable lookup table
	handle       uint32
	name         string
	value, index uint32
}{
	{0x228, "MPI_FLOAT_INT", 0x210, 0x209},
	{0x229, "MPI_DOUBLE_INT", 0x214, 0x209},
	{0x22a, "MPI_LONG_INT", 0x20a, 0x209},
	{0x22b, "MPI_2INT", 0x209, 0x209},
	{0x22c, "MPI_SHORT_INT", 0x208, 0x209},
	{0x22d, "MPI_LONG_DOUBLE_INT", 0x220, 0x209},
	{0x230, "MPI_2REAL", 0x21a, 0x21a},
	{0x231, "MPI_2DOUBLE_PRECISION", 0x21c, 0x21c},
	{0x232, "MPI_2INTEGER", 0x219, 0x219},
}

// predefinedList has the named datatypes at their handles.
var predefinedList = sync.OnceValue(func() []*datatype { //nolint:gochecknoglobals // an immutable lookup table
	var list []*datatype
	for handle, t := range predefined() {
		for len(list) <= int(handle) {
			list = append(list, nil)
		}
		list[handle] = t
	}
	return list
})

// predefined returns the named datatypes by handle. They belong to no rank and never change.
var predefined = sync.OnceValue(func() map[uint32]*datatype { //nolint:gochecknoglobals // an immutable lookup table
	all := map[uint32]*datatype{}
	for _, b := range basic {
		t := &datatype{
			handle: b.handle, name: b.name, committed: true, class: b.class, basics: 1, scalar: 1,
			align: min(b.size, 16), size: b.size, ub: b.size, trueUB: b.size, dense: true,
			made: contents{combiner: combinerNamed},
		}
		if b.class == complexType || b.class == quadComplexType {
			t.align = b.size / 2
		}
		if b.handle == typeLB || b.handle == typeUB {
			t.align, t.basics, t.scalar, t.stickyLB, t.stickyUB = 1, 0, 0, b.handle == typeLB, b.handle == typeUB
		}
		t.base, t.external = t, externalSize(t)
		all[b.handle] = t
	}
	for _, p := range pairs {
		t := pairOf(all[p.value], all[p.index])
		t.handle, t.name, t.committed, t.made = p.handle, p.name, true, contents{combiner: combinerNamed}
		all[p.handle] = t
	}
	return all
})

// pairOf makes a pair type.
func pairOf(value, index *datatype) *datatype {
	at := roundUp(value.size, index.align)
	t := assemble([]block{{0, 1, 0, value}, {at, 1, 0, index}})
	t.ub = roundUp(t.ub, t.align)
	t.class, t.base = pairType, t
	t.made.types = []*datatype{value, index}
	return t
}

// roundUp is the least multiple of to that is not below v.
func roundUp(v, to int64) int64 { return (v + to - 1) / to * to }

// pair returns what a pair type is made of.
func (t *datatype) pair() (value, index *datatype) {
	for _, p := range pairs {
		if p.handle == t.handle {
			return predefined()[p.value], predefined()[p.index]
		}
	}
	if len(t.made.types) == 2 {
		return t.made.types[0], t.made.types[1]
	}
	return nil, nil
}

// isBasic reports whether the type is one that reductions compute with: named, or an unnamed pair type or
// Fortran type.
func (t *datatype) isBasic() bool { return t.base == t }
