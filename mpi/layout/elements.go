package layout

// Partial counts the whole basic elements in the first bytes of a type's data; rest is what is left over in the type.
func (t *Type) Partial(bytes int64) (rest, n int64, exact bool) {
	if bytes == 0 {
		return 0, 0, true
	}
	if t.IsBasic() {
		if value, _ := t.Pair(); t.Class == PairType && bytes >= value.Size && bytes < t.Size {
			return 0, 1, bytes == value.Size
		}
		return 0, bytes / t.Size, bytes%t.Size == 0
	}
	blocks, _, _ := t.Made.blocks()
	for _, b := range blocks {
		if b.n <= 0 || b.typ.Size == 0 {
			continue
		}
		whole := min(b.n, bytes/b.typ.Size)
		n += whole * b.typ.Scalar
		if bytes -= whole * b.typ.Size; bytes == 0 {
			return 0, n, true
		}
		if whole < b.n {
			rest, k, exact := b.typ.Partial(bytes)
			return rest, n + k, exact
		}
	}
	return bytes, n, bytes == 0
}

// BytesOf is the size of a type's first n basic elements.
func (t *Type) BytesOf(n int64) int64 {
	if n <= 0 {
		return 0
	}
	if value, _ := t.Pair(); t.Class == PairType && t.IsBasic() && n == 1 {
		return value.Size
	}
	if t.IsBasic() {
		return t.Size
	}
	blocks, _, _ := t.Made.blocks()
	var bytes int64
	for _, b := range blocks {
		e := b.typ.Scalar
		if b.n <= 0 || e == 0 {
			continue
		}
		whole := min(b.n, n/e)
		bytes += whole * b.typ.Size
		if n -= whole * e; whole < b.n {
			return bytes + b.typ.BytesOf(n)
		}
	}
	return bytes
}
