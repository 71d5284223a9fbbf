package mpi

import "math/bits"

// maxTypeBytes bounds size, extent and displacements of a type, so that sums of them do not overflow.
const maxTypeBytes = 1 << 52

// maxTypeDepth bounds how deep types are made of types: whoever goes through one goes down by recursion.
const maxTypeDepth = 1000

// build makes a type from its contents. It is a pure function: a captured type is built again from them.
func build(made contents) (*datatype, error) {
	blocks, bounds, err := made.blocks()
	if err != nil {
		return nil, err
	}
	t, err := fitted(blocks, made.types)
	if err != nil {
		return nil, err
	}
	switch made.combiner {
	case combinerStruct: // the extent is padded as a C struct's (MPI 5.0 section 5.1.6)
		if !t.stickyUB && len(blocks) > 0 {
			t.ub = t.lb + roundUp(t.ub-t.lb, t.align)
		}
	case combinerDup:
		old := made.types[0]
		t.stickyLB, t.stickyUB = old.stickyLB, old.stickyUB
	case combinerF90Real, combinerF90Complex, combinerF90Integer, combinerValueIndex:
		t.class, t.base, t.basics, t.committed = made.types[0].class, t, 1, true
		if made.combiner == combinerValueIndex {
			t = pairOf(made.types[0], made.types[1])
			t.committed = true
		}
	}
	if bounds != nil {
		if far(bounds[0]) || far(bounds[1]) || far(bounds[0]+bounds[1]) {
			return nil, fail(errArg, "the datatype would reach beyond %d bytes", int64(maxTypeBytes))
		}
		t.lb, t.ub, t.stickyLB, t.stickyUB = bounds[0], bounds[0]+bounds[1], true, true
	}
	t.made = made
	return t, nil
}

// fitted assembles blocks of other types, if what comes of it is neither too large nor too deep.
func fitted(blocks []block, types []*datatype) (*datatype, error) {
	tooLarge := fail(errArg, "the datatype would reach beyond %d bytes", int64(maxTypeBytes))
	depth, size := 0, int64(0)
	for _, inner := range types {
		depth = max(depth, inner.depth+1)
	}
	for _, b := range blocks {
		depth = max(depth, b.typ.depth+1)
		if b.n > 0 && (far(b.disp) || far(times(b.n, b.stride)) || far(b.n) || far(times(b.n, b.typ.size))) {
			return nil, tooLarge
		}
		if size += max(b.n, 0) * b.typ.size; size > maxTypeBytes { // each step is at most that long, and none wraps
			return nil, tooLarge
		}
	}
	if depth > maxTypeDepth {
		return nil, fail(errType, "a datatype of a datatype, more than %d times", maxTypeDepth)
	}
	t := assemble(blocks)
	if far(t.lb) || far(t.ub) {
		return nil, tooLarge
	}
	t.depth = depth
	return t, nil
}

// far reports whether a number of bytes, or of elements, is beyond what a type may reach. -v would not do for the least of all numbers.
func far(v int64) bool { return v > maxTypeBytes || v < -maxTypeBytes }

// times is a bounded product: what is too large stays too large, on its side of zero.
func times(a, b int64) int64 {
	const most = 4 * maxTypeBytes
	high, low := bits.Mul64(magnitude(a), magnitude(b))
	if n := int64(low); high == 0 && low <= most {
		return pick(a < 0 != (b < 0), -n, n)
	}
	return pick(a < 0 != (b < 0), int64(-most), int64(most))
}

// magnitude is how far a number is from 0.
func magnitude(v int64) uint64 {
	if v < 0 {
		return -uint64(v)
	}
	return uint64(v)
}

// blocks returns the type map, and lower bound and extent where the constructor sets them.
func (c *contents) blocks() (blocks []block, bounds []int64, err error) {
	if len(c.types) == 0 {
		return nil, nil, nil // a struct of nothing
	}
	old := c.types[0]
	ext := old.extent()
	switch c.combiner {
	case combinerDup, combinerF90Real, combinerF90Complex, combinerF90Integer:
		return []block{{0, 1, 0, old}}, nil, nil
	case combinerValueIndex:
		return []block{{0, 1, 0, old}}, nil, nil
	case combinerResized:
		return []block{{0, 1, 0, old}}, c.addrs, nil
	case combinerContiguous:
		return []block{{0, c.ints[0], ext, old}}, nil, nil
	case combinerVector:
		return strided(c.ints[0], c.ints[1], times(c.ints[2], ext), old)
	case combinerHvector:
		return strided(c.ints[0], c.ints[1], c.addrs[0], old)
	case combinerIndexed:
		n := c.ints[0]
		return listed(n, c.ints[1:1+n], c.ints[1+n:], ext, old), nil, nil
	case combinerHindexed:
		return listed(c.ints[0], c.ints[1:], c.addrs, 1, old), nil, nil
	case combinerIdxBlock:
		return equal(c.ints[0], c.ints[1], c.ints[2:], ext, old), nil, nil
	case combinerHidxBlock:
		return equal(c.ints[0], c.ints[1], c.addrs, 1, old), nil, nil
	case combinerStruct:
		for i, t := range c.types {
			blocks = append(blocks, block{c.addrs[i], c.ints[1+i], t.extent(), t})
		}
		return blocks, nil, nil
	case combinerSubarray:
		return c.subarray(old)
	case combinerDarray:
		return c.darray(old)
	}
	return nil, nil, fail(errIntern, "combiner %d is not known", c.combiner)
}

// strided are n blocks of length elements, stride bytes apart.
func strided(n, length, stride int64, old *datatype) ([]block, []int64, error) {
	if length == 0 {
		return nil, nil, nil
	}
	if length == 1 {
		return []block{{0, n, stride, old}}, nil, nil
	}
	inner, err := build(contents{combiner: combinerContiguous, ints: []int64{length}, types: []*datatype{old}})
	if err != nil {
		return nil, nil, err
	}
	return []block{{0, n, stride, inner}}, nil, nil
}

// listed are n blocks with lengths and displacements of their own, in units of unit bytes.
func listed(n int64, lengths, displs []int64, unit int64, old *datatype) []block {
	blocks := make([]block, n)
	for i := range blocks {
		blocks[i] = block{times(displs[i], unit), lengths[i], old.extent(), old}
	}
	return blocks
}

// equal are n blocks of one length.
func equal(n, length int64, displs []int64, unit int64, old *datatype) []block {
	blocks := make([]block, n)
	for i := range blocks {
		blocks[i] = block{times(displs[i], unit), length, old.extent(), old}
	}
	return blocks
}
