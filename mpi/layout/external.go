package layout

import "slices"

// ToExternal converts n packed elements of a type to external32 (MPI 5.0 section 5.3 and table 14.2: big-endian, IEEE). dst has n times the bytes that the
// type takes there.
func (t *Type) ToExternal(dst, src []byte, n int64) {
	if t.Size == 0 {
		return
	}
	for range n {
		t.signature(func(b *Type) {
			swap(b, dst[:b.External], src[:b.Size])
			dst, src = dst[b.External:], src[b.Size:]
		})
	}
}

// FromExternal converts n elements of a type from external32, packed.
func (t *Type) FromExternal(dst, src []byte, n int64) {
	if t.Size == 0 {
		return
	}
	for range n {
		t.signature(func(b *Type) {
			swap(b, dst[:b.Size], src[:b.External])
			dst, src = dst[b.Size:], src[b.External:]
		})
	}
}

// externalSize is the size of a basic type in external32.
func externalSize(t *Type) int64 {
	switch t.Name {
	case "MPI_AINT":
		return 8
	case "MPI_WCHAR":
		return 2
	}
	return t.Size
}

// signature calls visit for each basic element of the type, in order.
func (t *Type) signature(visit func(basic *Type)) {
	if t.IsBasic() {
		if value, index := t.Pair(); t.Class == PairType {
			visit(value)
			visit(index)
		} else {
			visit(t)
		}
		return
	}
	blocks, _, _ := t.Made.blocks()
	for _, b := range blocks {
		if b.typ.Size == 0 {
			continue
		}
		for range b.n {
			b.typ.signature(visit)
		}
	}
}

// swap converts one element between little-endian and external32, either way. Sizes may differ.
func swap(t *Type, dst, src []byte) {
	part := len(src)
	if t.Class == ComplexType || t.Class == QuadComplexType || t.Name == "MPI_COMPLEX4" {
		part /= 2
	}
	if len(dst) != len(src) {
		resize(t, dst, src)
		return
	}
	copy(dst, src)
	for i := 0; i < len(src); i += part {
		if t.Class != ByteType && t.Class != opaqueType || t.Size > 1 {
			slices.Reverse(dst[i : i+part])
		}
	}
}

// resize converts an integer whose size differs: external32 is the one that is not as the type says.
func resize(t *Type, dst, src []byte) {
	clear(dst)
	if int64(len(src)) == t.Size { // to external32
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
