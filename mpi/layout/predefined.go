package layout

import (
	"sync"

	"github.com/godwit-run/godwit/mpi/abi"
)

// Class of a basic datatype: which operations it takes (MPI 5.0 section 6.9.2).
type Class uint8

// Classes of basic datatypes.
const (
	opaqueType   Class = iota // moved, never computed with
	SignedType                // C and Fortran integers, and the multi-language AINT, COUNT, OFFSET
	UnsignedType              // C integers
	FloatType
	QuadType    // long double: IEEE binary128 on wasm32
	ComplexType // of floatType halves
	QuadComplexType
	BoolType    // logical operations only
	LogicalType // Fortran's LOGICAL: logical operations, any size
	ByteType    // bitwise operations only
	PairType    // a value and an index, for MINLOC and MAXLOC
)

// basic lists the basic types on wasm32: long, pointers and MPI_Aint have 4 bytes, long double has 16.
var basic = []struct { //nolint:gochecknoglobals // an immutable lookup table
	handle uint32
	name   string
	size   int64
	class  Class
}{
	{0x201, "MPI_AINT", 4, SignedType},
	{0x202, "MPI_COUNT", 8, SignedType},
	{0x203, "MPI_OFFSET", 8, SignedType},
	{0x207, "MPI_PACKED", 1, opaqueType},
	{0x208, "MPI_SHORT", 2, SignedType},
	{0x209, "MPI_INT", 4, SignedType},
	{0x20a, "MPI_LONG", 4, SignedType},
	{0x20b, "MPI_LONG_LONG", 8, SignedType},
	{0x20c, "MPI_UNSIGNED_SHORT", 2, UnsignedType},
	{0x20d, "MPI_UNSIGNED", 4, UnsignedType},
	{0x20e, "MPI_UNSIGNED_LONG", 4, UnsignedType},
	{0x20f, "MPI_UNSIGNED_LONG_LONG", 8, UnsignedType},
	{0x210, "MPI_FLOAT", 4, FloatType},
	{0x212, "MPI_C_COMPLEX", 8, ComplexType},
	{0x213, "MPI_CXX_FLOAT_COMPLEX", 8, ComplexType},
	{0x214, "MPI_DOUBLE", 8, FloatType},
	{0x216, "MPI_C_DOUBLE_COMPLEX", 16, ComplexType},
	{0x217, "MPI_CXX_DOUBLE_COMPLEX", 16, ComplexType},
	{0x218, "MPI_LOGICAL", 4, LogicalType},
	{0x219, "MPI_INTEGER", 4, SignedType},
	{0x21a, "MPI_REAL", 4, FloatType},
	{0x21b, "MPI_COMPLEX", 8, ComplexType},
	{0x21c, "MPI_DOUBLE_PRECISION", 8, FloatType},
	{0x21d, "MPI_DOUBLE_COMPLEX", 16, ComplexType},
	{0x21e, "MPI_CHARACTER", 1, opaqueType},
	{0x220, "MPI_LONG_DOUBLE", 16, QuadType},
	{0x224, "MPI_C_LONG_DOUBLE_COMPLEX", 32, QuadComplexType},
	{0x225, "MPI_CXX_LONG_DOUBLE_COMPLEX", 32, QuadComplexType},
	{0x238, "MPI_C_BOOL", 1, BoolType},
	{0x239, "MPI_CXX_BOOL", 1, BoolType},
	{0x23c, "MPI_WCHAR", 4, opaqueType},
	{0x240, "MPI_INT8_T", 1, SignedType},
	{0x241, "MPI_UINT8_T", 1, UnsignedType},
	{0x243, "MPI_CHAR", 1, SignedType},
	{0x244, "MPI_SIGNED_CHAR", 1, SignedType},
	{0x245, "MPI_UNSIGNED_CHAR", 1, UnsignedType},
	{0x247, "MPI_BYTE", 1, ByteType},
	{0x248, "MPI_INT16_T", 2, SignedType},
	{0x249, "MPI_UINT16_T", 2, UnsignedType},
	{0x250, "MPI_INT32_T", 4, SignedType},
	{0x251, "MPI_UINT32_T", 4, UnsignedType},
	{0x258, "MPI_INT64_T", 8, SignedType},
	{0x259, "MPI_UINT64_T", 8, UnsignedType},
	{0x2c0, "MPI_LOGICAL1", 1, LogicalType},
	{0x2c1, "MPI_INTEGER1", 1, SignedType},
	{0x2c8, "MPI_LOGICAL2", 2, LogicalType},
	{0x2c9, "MPI_INTEGER2", 2, SignedType},
	{0x2ca, "MPI_REAL2", 2, opaqueType},
	{0x2d0, "MPI_LOGICAL4", 4, LogicalType},
	{0x2d1, "MPI_INTEGER4", 4, SignedType},
	{0x2d2, "MPI_REAL4", 4, FloatType},
	{0x2d3, "MPI_COMPLEX4", 4, opaqueType},
	{0x2d8, "MPI_LOGICAL8", 8, LogicalType},
	{0x2d9, "MPI_INTEGER8", 8, SignedType},
	{0x2da, "MPI_REAL8", 8, FloatType},
	{0x2db, "MPI_COMPLEX8", 8, ComplexType},
	{0x2e0, "MPI_LOGICAL16", 16, opaqueType},
	{0x2e1, "MPI_INTEGER16", 16, opaqueType},
	{0x2e2, "MPI_REAL16", 16, QuadType},
	{0x2e3, "MPI_COMPLEX16", 16, ComplexType},
	{0x2eb, "MPI_COMPLEX32", 32, QuadComplexType},
	{typeLB, "MPI_LB", 0, opaqueType},
	{typeUB, "MPI_UB", 0, opaqueType},
}

// The markers of MPI-1, which MPI 3.0 removed. Their values are ours: the ABI has none.
const (
	typeLB = 0x2f8
	typeUB = 0x2f9
)

// Pairs lists the pair types: a value, then an index, laid out as a C struct (MPI 5.0 section 6.9.4).
var Pairs = []struct { //nolint:gochecknoglobals // an immutable lookup table
	Handle       uint32
	name         string
	Value, Index uint32
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

// Named has the named datatypes at their handles.
var Named = sync.OnceValue(func() []*Type { //nolint:gochecknoglobals // an immutable lookup table
	var list []*Type
	for handle, t := range Predefined() {
		for len(list) <= int(handle) {
			list = append(list, nil)
		}
		list[handle] = t
	}
	return list
})

// Predefined returns the named datatypes by handle. They belong to no rank and never change.
var Predefined = sync.OnceValue(func() map[uint32]*Type { //nolint:gochecknoglobals // an immutable lookup table
	all := map[uint32]*Type{}
	for _, b := range basic {
		t := &Type{
			Handle: b.handle, Name: b.name, Committed: true, Class: b.class, basics: 1, Scalar: 1,
			align: min(b.size, 16), Size: b.size, UB: b.size, TrueUB: b.size, Dense: true,
			Made: Contents{Combiner: abi.CombinerNamed},
		}
		if b.class == ComplexType || b.class == QuadComplexType {
			t.align = b.size / 2
		}
		if b.handle == typeLB || b.handle == typeUB {
			t.align, t.basics, t.Scalar, t.stickyLB, t.stickyUB = 1, 0, 0, b.handle == typeLB, b.handle == typeUB
		}
		t.Base, t.External = t, externalSize(t)
		all[b.handle] = t
	}
	for _, p := range Pairs {
		t := pairOf(all[p.Value], all[p.Index])
		t.Handle, t.Name, t.Committed, t.Made = p.Handle, p.name, true, Contents{Combiner: abi.CombinerNamed}
		all[p.Handle] = t
	}
	return all
})

// pairOf makes a pair type.
func pairOf(value, index *Type) *Type {
	at := RoundUp(value.Size, index.align)
	t := assemble([]block{{0, 1, 0, value}, {at, 1, 0, index}})
	t.UB = RoundUp(t.UB, t.align)
	t.Class, t.Base = PairType, t
	t.Made.Types = []*Type{value, index}
	return t
}

// RoundUp is the least multiple of to that is not below v.
func RoundUp(v, to int64) int64 { return (v + to - 1) / to * to }

// Pair returns what a pair type is made of.
func (t *Type) Pair() (value, index *Type) {
	for _, p := range Pairs {
		if p.Handle == t.Handle {
			return Predefined()[p.Value], Predefined()[p.Index]
		}
	}
	if len(t.Made.Types) == 2 {
		return t.Made.Types[0], t.Made.Types[1]
	}
	return nil, nil
}

// IsBasic reports whether the type is one that reductions compute with: named, or an unnamed pair type or
// Fortran type.
func (t *Type) IsBasic() bool { return t.Base == t }
