package mpi

import "slices"

// toExternal converts n packed elements of a type to external32 (MPI 5.0 section 5.3 and table 14.2: big-endian, IEEE). dst has n times the bytes that the
// type takes there.
func (t *datatype) toExternal(dst, src []byte, n int64) {
	if t.size == 0 {
		return
	}
	for range n {
		t.signature(func(b *datatype) {
			swap(b, dst[:b.external], src[:b.size])
			dst, src = dst[b.external:], src[b.size:]
		})
	}
}

// fromExternal converts n elements of a type from external32, packed.
func (t *datatype) fromExternal(dst, src []byte, n int64) {
	if t.size == 0 {
		return
	}
	for range n {
		t.signature(func(b *datatype) {
			swap(b, dst[:b.size], src[:b.external])
			dst, src = dst[b.size:], src[b.external:]
		})
	}
}

// externalSize is the size of a basic type in external32.
func externalSize(t *datatype) int64 {
	switch t.name {
	case "MPI_AINT":
		return 8
	case "MPI_WCHAR":
		return 2
	}
	return t.size
}

// signature calls visit for each basic element of the type, in order.
func (t *datatype) signature(visit func(basic *datatype)) {
	if t.isBasic() {
		if value, index := t.pair(); t.class == pairType {
			visit(value)
			visit(index)
		} else {
			visit(t)
		}
		return
	}
	blocks, _, _ := t.made.blocks()
	for _, b := range blocks {
		if b.typ.size == 0 {
			continue
		}
		for range b.n {
			b.typ.signature(visit)
		}
	}
}

// swap converts one element between little-endian and external32, either way. Sizes may differ.
func swap(t *datatype, dst, src []byte) {
	part := len(src)
	if t.class == complexType || t.class == quadComplexType || t.name == "MPI_COMPLEX4" {
		part /= 2
	}
	if len(dst) != len(src) {
		resize(t, dst, src)
		return
	}
	copy(dst, src)
	for i := 0; i < len(src); i += part {
		if t.class != byteType && t.class != opaqueType || t.size > 1 {
			slices.Reverse(dst[i : i+part])
		}
	}
}

// resize converts an integer whose size differs: external32 is the one that is not as the type says.
func resize(t *datatype, dst, src []byte) {
	clear(dst)
	if int64(len(src)) == t.size { // to external32
		v := uint64(signed(src))
		for i := len(dst) - 1; i >= 0; i-- {
			dst[i], v = byte(v), v>>8
		}
		return
	}
	for i := range dst {
		if i < len(src) {
			dst[i] = src[len(src)-1-i]
		}
	}
}
