package layout

import (
	"unsafe"

	"github.com/godwit-run/godwit/mpi/abi"
)

// Op is a reduction operation, the standard's or the program's (MPI 5.0 section 6.9.5).
type Op struct {
	Handle   uint32
	Func     uint32 // the program's function; 0: predefined
	Commutes bool
	Large    bool // the function takes an MPI_Count
}

// PredefinedOps are immutable and belong to no rank.
var PredefinedOps = func() map[uint32]*Op { //nolint:gochecknoglobals // an immutable lookup table
	all := map[uint32]*Op{}
	for handle := range abi.OpNames {
		all[handle] = &Op{Handle: handle, Commutes: true}
	}
	return all
}()

type integer interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64
}

type number interface {
	integer | ~float32 | ~float64
}

// CheckOp reports whether op is defined for a datatype (MPI 5.0 section 6.9.2). An operation of the program takes any.
func CheckOp(op *Op, t *Type) error {
	if op.Func != 0 || t.Size == 0 {
		return nil
	}
	b := t.Base
	if b == nil || !OpFits(op.Handle, b.Class) {
		return abi.Fail(abi.ErrOp, "%s is not defined for %s", abi.OpNames[op.Handle], t)
	}
	return nil
}

// OpFits reports whether an operation is defined for basic types of a class (MPI 5.0 section 6.9.2).
func OpFits(op uint32, class Class) bool {
	whole := class == SignedType || class == UnsignedType
	switch op {
	case abi.OpSum, abi.OpProd:
		return whole || class == FloatType || class == QuadType || class == ComplexType || class == QuadComplexType
	case abi.OpMin, abi.OpMax:
		return whole || class == FloatType || class == QuadType
	case abi.OpBand, abi.OpBor, abi.OpBxor:
		return whole || class == ByteType
	case abi.OpLand, abi.OpLor, abi.OpLxor:
		// Of floats, the standard says nothing: programs that MPICH runs use them, with C's meaning of truth.
		return whole || class == BoolType || class == LogicalType || class == FloatType || class == QuadType
	case abi.OpMinloc, abi.OpMaxloc:
		return class == PairType
	}
	return op == abi.OpReplace || op == abi.OpNoOp
}

// Combine stores left op right in dst, element by element; the data is packed. dst may be either
// operand. The operation was checked with checkOp; lengths are equal. For MPI_REPLACE the left operand is
// the new value.
func Combine(op uint32, typ *Type, dst, left, right []byte) {
	t := typ.Base
	if t == nil {
		t = typ // MPI_REPLACE and MPI_NO_OP look at no element
	}
	switch {
	case op == abi.OpReplace:
		copy(dst, left)
	case op == abi.OpNoOp:
		copy(dst, right)
	case t.Class == PairType:
		combinePairs(op, t, dst, left, right)
	case t.Class == QuadType, t.Class == QuadComplexType:
		combineQuads(op, t, dst, left, right)
	case t.Class == ComplexType && t.Size == 8:
		complexes[float32](op, dst, left, right)
	case t.Class == ComplexType:
		complexes[float64](op, dst, left, right)
	case t.Class == FloatType && t.Size == 4:
		arithmetic[float32](op, dst, left, right)
	case t.Class == FloatType:
		arithmetic[float64](op, dst, left, right)
	case t.Class == SignedType:
		switch t.Size {
		case 1:
			integers[int8](op, dst, left, right)
		case 2:
			integers[int16](op, dst, left, right)
		case 4:
			integers[int32](op, dst, left, right)
		default:
			integers[int64](op, dst, left, right)
		}
	default:
		switch t.Size {
		case 1:
			integers[uint8](op, dst, left, right)
		case 2:
			integers[uint16](op, dst, left, right)
		case 4:
			integers[uint32](op, dst, left, right)
		default:
			integers[uint64](op, dst, left, right)
		}
	}
}

// view returns b as elements; a copy where b is not aligned (guests may reduce
// from any address). Hosts are little-endian, as wasm is.
func view[T number](b []byte) (elements []T, copied bool) {
	var zero T
	n := len(b) / int(unsafe.Sizeof(zero))
	if n == 0 {
		return nil, false
	}
	if uintptr(unsafe.Pointer(unsafe.SliceData(b)))%unsafe.Alignof(zero) == 0 {
		return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), n), false
	}
	elements = make([]T, n)
	copy(raw(elements), b)
	return elements, true
}

// raw returns the bytes of elements.
func raw[T number](e []T) []byte {
	if len(e) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(e))), len(e)*int(unsafe.Sizeof(e[0])))
}

func arithmetic[T number](op uint32, dst, left, right []byte) {
	l, _ := view[T](left)
	r, _ := view[T](right)
	d, copied := view[T](dst)
	r, d = r[:len(l)], d[:len(l)]
	switch op {
	case abi.OpSum:
		for i := range l {
			d[i] = sum(l[i], r[i])
		}
	case abi.OpProd:
		for i := range l {
			d[i] = product(l[i], r[i])
		}
	case abi.OpMin:
		for i := range l {
			d[i] = pick(r[i] < l[i], r[i], l[i])
		}
	case abi.OpMax:
		for i := range l {
			d[i] = pick(r[i] > l[i], r[i], l[i])
		}
	case abi.OpLand, abi.OpLor, abi.OpLxor:
		for i := range l {
			d[i] = pick[T](logical(op, l[i] != 0, r[i] != 0), 1, 0)
		}
	}
	if copied {
		copy(dst, raw(d))
	}
}

// logical is a logical operation on two truth values.
func logical(op uint32, a, b bool) bool {
	switch op {
	case abi.OpLand:
		return a && b
	case abi.OpLor:
		return a || b
	}
	return a != b
}

func integers[T integer](op uint32, dst, left, right []byte) {
	switch op {
	case abi.OpSum, abi.OpProd, abi.OpMin, abi.OpMax, abi.OpLand, abi.OpLor, abi.OpLxor:
		arithmetic[T](op, dst, left, right)
		return
	}
	l, _ := view[T](left)
	r, _ := view[T](right)
	d, copied := view[T](dst)
	r, d = r[:len(l)], d[:len(l)]
	for i := range l {
		switch op {
		case abi.OpBand:
			d[i] = l[i] & r[i]
		case abi.OpBor:
			d[i] = l[i] | r[i]
		case abi.OpBxor:
			d[i] = l[i] ^ r[i]
		}
	}
	if copied {
		copy(dst, raw(d))
	}
}
