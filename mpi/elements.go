package mpi

// partial counts the whole basic elements in the first bytes of a type's data; rest is what is left over in the type.
func (t *datatype) partial(bytes int64) (rest, n int64, exact bool) {
	if bytes == 0 {
		return 0, 0, true
	}
	if t.isBasic() {
		if value, _ := t.pair(); t.class == pairType && bytes >= value.size && bytes < t.size {
			return 0, 1, bytes == value.size
		}
		return 0, bytes / t.size, bytes%t.size == 0
	}
	blocks, _, _ := t.made.blocks()
	for _, b := range blocks {
		if b.n <= 0 || b.typ.size == 0 {
			continue
		}
		whole := min(b.n, bytes/b.typ.size)
		n += whole * b.typ.scalar
		if bytes -= whole * b.typ.size; bytes == 0 {
			return 0, n, true
		}
		if whole < b.n {
			rest, k, exact := b.typ.partial(bytes)
			return rest, n + k, exact
		}
	}
	return bytes, n, bytes == 0
}

// bytesOf is the size of a type's first n basic elements.
func (t *datatype) bytesOf(n int64) int64 {
	if n <= 0 {
		return 0
	}
	if value, _ := t.pair(); t.class == pairType && t.isBasic() && n == 1 {
		return value.size
	}
	if t.isBasic() {
		return t.size
	}
	blocks, _, _ := t.made.blocks()
	var bytes int64
	for _, b := range blocks {
		e := b.typ.scalar
		if b.n <= 0 || e == 0 {
			continue
		}
		whole := min(b.n, n/e)
		bytes += whole * b.typ.size
		if n -= whole * e; whole < b.n {
			return bytes + b.typ.bytesOf(n)
		}
	}
	return bytes
}
