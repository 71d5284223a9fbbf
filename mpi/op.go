package mpi

import (
	"unsafe"
)

// operation is a reduction operation, the standard's or the program's (MPI 5.0 section 6.9.5).
type operation struct {
	handle   uint32
	fn       uint32 // the program's function; 0: predefined
	commutes bool
	large    bool // the function takes an MPI_Count
}

// predefinedOps are immutable and belong to no rank.
var predefinedOps = func() map[uint32]*operation { //nolint:gochecknoglobals // an immutable lookup table
	all := map[uint32]*operation{}
	for handle := range opNames {
		all[handle] = &operation{handle: handle, commutes: true}
	}
	return all
}()

type integer interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64
}

type number interface {
	integer | ~float32 | ~float64
}

// checkOp reports whether op is defined for a datatype (MPI 5.0 section 6.9.2). An operation of the program takes any.
func checkOp(op *operation, t *datatype) error {
	if op.fn != 0 || t.size == 0 {
		return nil
	}
	b := t.base
	if b == nil || !opFits(op.handle, b.class) {
		return fail(errOp, "%s is not defined for %s", opNames[op.handle], t)
	}
	return nil
}

// opFits reports whether an operation is defined for basic types of a class (MPI 5.0 section 6.9.2).
func opFits(op uint32, class typeClass) bool {
	whole := class == signedType || class == unsignedType
	switch op {
	case opSum, opProd:
		return whole || class == floatType || class == quadType || class == complexType || class == quadComplexType
	case opMin, opMax:
		return whole || class == floatType || class == quadType
	case opBand, opBor, opBxor:
		return whole || class == byteType
	case opLand, opLor, opLxor:
		// Of floats, the standard says nothing: programs that MPICH runs use them, with C's meaning of truth.
		return whole || class == boolType || class == logicalType || class == floatType || class == quadType
	case opMinloc, opMaxloc:
		return class == pairType
	}
	return op == opReplace || op == opNoOp
}

// combine stores left op right in dst, element by element; the data is packed. dst may be either
// operand. The operation was checked with checkOp; lengths are equal. For MPI_REPLACE the left operand is
// the new value.
func combine(op uint32, typ *datatype, dst, left, right []byte) {
	t := typ.base
	if t == nil {
		t = typ // MPI_REPLACE and MPI_NO_OP look at no element
	}
	switch {
	case op == opReplace:
		copy(dst, left)
	case op == opNoOp:
		copy(dst, right)
	case t.class == pairType:
		combinePairs(op, t, dst, left, right)
	case t.class == quadType, t.class == quadComplexType:
		combineQuads(op, t, dst, left, right)
	case t.class == complexType && t.size == 8:
		complexes[complex64](op, dst, left, right)
	case t.class == complexType:
		complexes[complex128](op, dst, left, right)
	case t.class == floatType && t.size == 4:
		arithmetic[float32](op, dst, left, right)
	case t.class == floatType:
		arithmetic[float64](op, dst, left, right)
	case t.class == signedType:
		switch t.size {
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
		switch t.size {
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

type complexNumber interface{ ~complex64 | ~complex128 }

// view returns b as elements; a copy where b is not aligned (guests may reduce
// from any address). Hosts are little-endian, as wasm is.
func view[T number | complexNumber](b []byte) (elements []T, copied bool) {
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
func raw[T number | complexNumber](e []T) []byte {
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
	case opSum:
		for i := range l {
			d[i] = l[i] + r[i]
		}
	case opProd:
		for i := range l {
			d[i] = l[i] * r[i]
		}
	case opMin:
		for i := range l {
			d[i] = pick(r[i] < l[i], r[i], l[i])
		}
	case opMax:
		for i := range l {
			d[i] = pick(r[i] > l[i], r[i], l[i])
		}
	case opLand, opLor, opLxor:
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
	case opLand:
		return a && b
	case opLor:
		return a || b
	}
	return a != b
}

func integers[T integer](op uint32, dst, left, right []byte) {
	switch op {
	case opSum, opProd, opMin, opMax, opLand, opLor, opLxor:
		arithmetic[T](op, dst, left, right)
		return
	}
	l, _ := view[T](left)
	r, _ := view[T](right)
	d, copied := view[T](dst)
	r, d = r[:len(l)], d[:len(l)]
	for i := range l {
		switch op {
		case opBand:
			d[i] = l[i] & r[i]
		case opBor:
			d[i] = l[i] | r[i]
		case opBxor:
			d[i] = l[i] ^ r[i]
		}
	}
	if copied {
		copy(dst, raw(d))
	}
}
