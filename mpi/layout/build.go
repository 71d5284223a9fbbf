package layout

import (
	"math/bits"

	"github.com/godwit-run/godwit/mpi/abi"
)

// MaxBytes bounds size, extent and displacements of a type, so that sums of them do not overflow.
const MaxBytes = 1 << 52

// MaxDepth bounds how deep types are made of types: whoever goes through one goes down by recursion.
const MaxDepth = 1000

// Build makes a type from its contents. It is a pure function: a captured type is built again from them.
func Build(made Contents) (*Type, error) {
	blocks, bounds, err := made.blocks()
	if err != nil {
		return nil, err
	}
	t, err := fitted(blocks, made.Types)
	if err != nil {
		return nil, err
	}
	switch made.Combiner {
	case abi.CombinerStruct: // the extent is padded as a C struct's (MPI 5.0 section 5.1.6)
		if !t.stickyUB && len(blocks) > 0 {
			t.UB = t.LB + RoundUp(t.UB-t.LB, t.align)
		}
	case abi.CombinerDup:
		old := made.Types[0]
		t.stickyLB, t.stickyUB = old.stickyLB, old.stickyUB
	case abi.CombinerF90Real, abi.CombinerF90Complex, abi.CombinerF90Integer, abi.CombinerValueIndex:
		t.Class, t.Base, t.basics, t.Committed = made.Types[0].Class, t, 1, true
		if made.Combiner == abi.CombinerValueIndex {
			t = pairOf(made.Types[0], made.Types[1])
			t.Committed = true
		}
	}
	if bounds != nil {
		if far(bounds[0]) || far(bounds[1]) || far(bounds[0]+bounds[1]) {
			return nil, abi.Fail(abi.ErrArg, "the datatype would reach beyond %d bytes", int64(MaxBytes))
		}
		t.LB, t.UB, t.stickyLB, t.stickyUB = bounds[0], bounds[0]+bounds[1], true, true
	}
	t.Made = made
	return t, nil
}

// fitted assembles blocks of other types, if what comes of it is neither too large nor too deep.
func fitted(blocks []block, types []*Type) (*Type, error) {
	tooLarge := abi.Fail(abi.ErrArg, "the datatype would reach beyond %d bytes", int64(MaxBytes))
	depth, size := 0, int64(0)
	for _, inner := range types {
		depth = max(depth, inner.depth+1)
	}
	for _, b := range blocks {
		depth = max(depth, b.typ.depth+1)
		if b.n > 0 && (far(b.disp) || far(Times(b.n, b.stride)) || far(b.n) || far(Times(b.n, b.typ.Size))) {
			return nil, tooLarge
		}
		if size += max(b.n, 0) * b.typ.Size; size > MaxBytes { // each step is at most that long, and none wraps
			return nil, tooLarge
		}
	}
	if depth > MaxDepth {
		return nil, abi.Fail(abi.ErrType, "a datatype of a datatype, more than %d times", MaxDepth)
	}
	t := assemble(blocks)
	if far(t.LB) || far(t.UB) {
		return nil, tooLarge
	}
	t.depth = depth
	return t, nil
}

// far reports whether a number of bytes, or of elements, is beyond what a type may reach. -v would not do for the least of all numbers.
func far(v int64) bool { return v > MaxBytes || v < -MaxBytes }

// Times is a bounded product: what is too large stays too large, on its side of zero.
func Times(a, b int64) int64 {
	const most = 4 * MaxBytes
	high, low := bits.Mul64(Magnitude(a), Magnitude(b))
	if n := int64(low); high == 0 && low <= most {
		return pick(a < 0 != (b < 0), -n, n)
	}
	return pick(a < 0 != (b < 0), int64(-most), int64(most))
}

// Magnitude is how far a number is from 0.
func Magnitude(v int64) uint64 {
	if v < 0 {
		return -uint64(v)
	}
	return uint64(v)
}

// blocks returns the type map, and lower bound and extent where the constructor sets them.
func (c *Contents) blocks() (blocks []block, bounds []int64, err error) {
	if len(c.Types) == 0 {
		return nil, nil, nil // a struct of nothing
	}
	old := c.Types[0]
	ext := old.Extent()
	switch c.Combiner {
	case abi.CombinerDup, abi.CombinerF90Real, abi.CombinerF90Complex, abi.CombinerF90Integer:
		return []block{{0, 1, 0, old}}, nil, nil
	case abi.CombinerValueIndex:
		return []block{{0, 1, 0, old}}, nil, nil
	case abi.CombinerResized:
		return []block{{0, 1, 0, old}}, c.Addrs, nil
	case abi.CombinerContiguous:
		return []block{{0, c.Ints[0], ext, old}}, nil, nil
	case abi.CombinerVector:
		return strided(c.Ints[0], c.Ints[1], Times(c.Ints[2], ext), old)
	case abi.CombinerHvector:
		return strided(c.Ints[0], c.Ints[1], c.Addrs[0], old)
	case abi.CombinerIndexed:
		n := c.Ints[0]
		return listed(n, c.Ints[1:1+n], c.Ints[1+n:], ext, old), nil, nil
	case abi.CombinerHindexed:
		return listed(c.Ints[0], c.Ints[1:], c.Addrs, 1, old), nil, nil
	case abi.CombinerIdxBlock:
		return equal(c.Ints[0], c.Ints[1], c.Ints[2:], ext, old), nil, nil
	case abi.CombinerHidxBlock:
		return equal(c.Ints[0], c.Ints[1], c.Addrs, 1, old), nil, nil
	case abi.CombinerStruct:
		for i, t := range c.Types {
			blocks = append(blocks, block{c.Addrs[i], c.Ints[1+i], t.Extent(), t})
		}
		return blocks, nil, nil
	case abi.CombinerSubarray:
		return c.subarray(old)
	case abi.CombinerDarray:
		return c.darray(old)
	}
	return nil, nil, abi.Fail(abi.ErrIntern, "combiner %d is not known", c.Combiner)
}

// strided are n blocks of length elements, stride bytes apart.
func strided(n, length, stride int64, old *Type) ([]block, []int64, error) {
	if length == 0 {
		return nil, nil, nil
	}
	if length == 1 {
		return []block{{0, n, stride, old}}, nil, nil
	}
	inner, err := Build(Contents{Combiner: abi.CombinerContiguous, Ints: []int64{length}, Types: []*Type{old}})
	if err != nil {
		return nil, nil, err
	}
	return []block{{0, n, stride, inner}}, nil, nil
}

// listed are n blocks with lengths and displacements of their own, in units of unit bytes.
func listed(n int64, lengths, displs []int64, unit int64, old *Type) []block {
	blocks := make([]block, n)
	for i := range blocks {
		blocks[i] = block{Times(displs[i], unit), lengths[i], old.Extent(), old}
	}
	return blocks
}

// equal are n blocks of one length.
func equal(n, length int64, displs []int64, unit int64, old *Type) []block {
	blocks := make([]block, n)
	for i := range blocks {
		blocks[i] = block{Times(displs[i], unit), length, old.Extent(), old}
	}
	return blocks
}
