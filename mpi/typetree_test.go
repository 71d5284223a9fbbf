package mpi

import (
	"pgregory.net/rapid"

	"github.com/godwit-run/godwit/mpi/abi"
)

// typeTree makes random datatypes by calls of a guest, and their type maps by their definitions.
type typeTree struct {
	rt   *rapid.T
	g    *guest
	next int // free memory for arguments
}

// node is a datatype of both sides.
type node struct {
	handle int
	*typeMap
}

const (
	treeArgs     = 1 << 12 // where arguments of constructors are
	treeOut      = 64      // where results are
	treeReach    = 6000    // bytes from the first to the last of a type
	treeElements = 150
)

func (b *typeTree) int(low, high int, what string) int {
	return rapid.IntRange(low, high).Draw(b.rt, what)
}

func (b *typeTree) ints(n, low, high int, what string) []int {
	return rapid.SliceOfN(rapid.IntRange(low, high), n, n).Draw(b.rt, what)
}

// few draws a small number, seldom none.
func (b *typeTree) few(most int, what string) int {
	return rapid.SampledFrom([]int{2, 3, 1, 4, 0}).Filter(func(v int) bool { return v <= most }).Draw(b.rt, what)
}

func (b *typeTree) fews(n, most int, what string) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = b.few(most, what)
	}
	return all
}

// list stores an array: ints, or MPI_Counts for a large-count function.
func (b *typeTree) list(large bool, v []int) int {
	at := b.next
	for _, x := range v {
		if large {
			order.PutUint64(b.g.mem[b.next:], uint64(x))
			b.next += 8
			continue
		}
		b.g.setInts(b.next, x)
		b.next += 4
	}
	return at
}

// create calls a constructor, whose last parameter is the new handle.
func (b *typeTree) create(name string, large bool, a ...int) int {
	if large {
		name += "_c"
	}
	b.next = treeArgs
	b.g.call("MPI_Type_"+name, append(a, treeOut)...)
	return b.g.int(treeOut)
}

// leaf is a basic type.
func (b *typeTree) leaf() node {
	if pairs := pairMaps(); b.int(0, 4, "leaf") == 4 {
		h := rapid.SampledFrom([]int{tFloatInt, tDoubleInt, t2Int, tShortInt, tLongDblInt}).Draw(b.rt, "pair")
		return node{h, pairs[h]}
	}
	h := rapid.SampledFrom([]int{tByte, tChar, tShort, tInt, tDouble, tLongDbl, tComplex, tAint, tWchar}).Draw(b.rt, "scalar")
	m := &typeMap{elements: []element{{0, scalars()[h]}}}
	m.bound()
	return node{h, m}
}

// grow makes a type of at most depth constructors.
func (b *typeTree) grow(depth int) node {
	if depth == 0 || b.int(0, 5, "stop") == 5 {
		return b.leaf()
	}
	if b.int(0, 3, "struct") == 3 {
		return b.structure(depth)
	}
	old := b.grow(depth - 1)
	large := b.int(0, 4, "large") == 4
	made, ok := b.derive(old, large)
	if !ok {
		return old
	}
	return made
}

// derive applies one constructor of one old type.
func (b *typeTree) derive(old node, large bool) (node, bool) {
	b.next = treeArgs
	switch b.int(0, 10, "constructor") {
	case 0:
		n := b.few(4, "count")
		return b.build(blocks(old, n, 1, old.extent()), func() int { return b.create("contiguous", large, n, old.handle) })
	case 1:
		n, length, stride := b.few(4, "count"), b.few(3, "blocklength"), b.int(-4, 6, "stride")
		return b.build(blocks(old, n, length, stride*old.extent()), func() int {
			return b.create("vector", large, n, length, stride, old.handle)
		})
	case 2:
		n, length, stride := b.few(4, "count"), b.few(3, "blocklength"), b.bytes(old.typeMap)
		return b.build(blocks(old, n, length, stride), func() int {
			return b.create("create_hvector", large, n, length, stride, old.handle)
		})
	case 3, 4:
		return b.indexed(old, large)
	case 5, 6:
		return b.blockIndexed(old, large)
	case 7:
		return b.subarray(old, large)
	case 8:
		return b.darray(old, large)
	case 9:
		return b.resized(old, large)
	default:
		return node{b.create("dup", false, old.handle), old.typeMap}, true
	}
}

// bytes draws a displacement in bytes, aligned more often than not.
func (b *typeTree) bytes(m *typeMap) int {
	v := b.int(-100, 200, "bytes")
	if b.int(0, 3, "unaligned") > 0 {
		v -= v % m.align()
	}
	return v
}

// build makes the type unless it is too large.
func (b *typeTree) build(list []placed, create func() int) (node, bool) {
	n := 0
	for _, p := range list {
		n += len(p.old.elements)
	}
	if n > treeElements {
		return node{}, false
	}
	return b.finish(combineMaps(list), create)
}

func (b *typeTree) finish(m *typeMap, create func() int) (node, bool) {
	low, high := m.reach()
	if min(low, m.lb, m.ub) < -treeReach || max(high, m.lb, m.ub) > treeReach {
		return node{}, false
	}
	made := node{create(), m}
	if m.loose && len(m.markers) == 0 { // taken from the library
		b.g.call("MPI_Type_get_extent", made.handle, treeOut, treeOut+4)
		m.lb, m.ub = b.g.int(treeOut), b.g.int(treeOut)+b.g.int(treeOut+4)
	}
	return made, true
}

// blocks are n blocks of length elements, stride bytes apart (MPI 5.0 section 5.1.2).
func blocks(old node, n, length, stride int) []placed {
	var list []placed
	for i := range n {
		for j := range length {
			list = append(list, placed{old.typeMap, i*stride + j*old.extent()})
		}
	}
	return list
}

// listing are blocks with lengths and displacements of their own.
func listing(old node, lengths, displs []int) []placed {
	var list []placed
	for i, d := range displs {
		for j := range lengths[i] {
			list = append(list, placed{old.typeMap, d + j*old.extent()})
		}
	}
	return list
}

func (b *typeTree) indexed(old node, large bool) (node, bool) {
	n := b.few(4, "count")
	lengths := b.fews(n, 3, "blocklengths")
	if b.int(0, 1, "unit") == 0 {
		displs := b.ints(n, -6, 9, "displacements")
		inBytes := make([]int, n)
		for i, d := range displs {
			inBytes[i] = d * old.extent()
		}
		return b.build(listing(old, lengths, inBytes), func() int {
			return b.create("indexed", large, n, b.list(large, lengths), b.list(large, displs), old.handle)
		})
	}
	displs := make([]int, n)
	for i := range displs {
		displs[i] = b.bytes(old.typeMap)
	}
	return b.build(listing(old, lengths, displs), func() int {
		return b.create("create_hindexed", large, n, b.list(large, lengths), b.list(large, displs), old.handle)
	})
}

func (b *typeTree) blockIndexed(old node, large bool) (node, bool) {
	n, length := b.few(4, "count"), b.few(3, "blocklength")
	lengths, displs, inBytes := make([]int, n), make([]int, n), make([]int, n)
	unit := b.int(0, 1, "unit") == 0
	for i := range displs {
		lengths[i] = length
		if unit {
			displs[i] = b.int(-6, 9, "displacement")
			inBytes[i] = displs[i] * old.extent()
			continue
		}
		displs[i] = b.bytes(old.typeMap)
		inBytes[i] = displs[i]
	}
	name := pick(unit, "create_indexed_block", "create_hindexed_block")
	return b.build(listing(old, lengths, inBytes), func() int {
		return b.create(name, large, n, length, b.list(large, displs), old.handle)
	})
}

// structure joins several types.
func (b *typeTree) structure(depth int) node {
	large := b.int(0, 4, "large") == 4
	n := b.few(3, "count")
	var types []node
	handles, all := make([]int, n), &typeMap{}
	for i := range n {
		types = append(types, b.grow(depth-1))
		handles[i] = types[i].handle
		all.add(types[i].typeMap, 0)
	}
	lengths, displs := b.fews(n, 3, "blocklengths"), make([]int, n)
	var list []placed
	for i, t := range types {
		displs[i] = b.bytes(all)
		for j := range lengths[i] {
			list = append(list, placed{t.typeMap, displs[i] + j*t.extent()})
		}
	}
	b.next = treeArgs
	made, ok := b.build(list, func() int {
		return b.create("create_struct", large, n, b.list(large, lengths), b.list(large, displs), b.list(false, handles))
	})
	if !ok {
		return b.leaf()
	}
	return made
}

func (b *typeTree) resized(old node, large bool) (node, bool) {
	lb, extent := b.int(-60, 60, "lb"), b.int(-40, 160, "extent")
	m := &typeMap{elements: old.elements, markers: [][2]int{{lb, lb + extent}}}
	m.bound()
	return b.finish(m, func() int { return b.create("create_resized", large, old.handle, lb, extent) })
}

// subarray by MPI 5.0 section 5.1.3: the elements of the block in the order of memory, between the bounds of the whole.
func (b *typeTree) subarray(old node, large bool) (node, bool) {
	n := b.int(1, 3, "ndims")
	sizes := b.ints(n, 1, 4, "sizes")
	subsizes, starts := make([]int, n), make([]int, n)
	for i, size := range sizes {
		subsizes[i] = b.int(1, size, "subsize")
		starts[i] = b.int(0, size-subsizes[i], "start")
	}
	layout := rapid.SampledFrom([]int{abi.OrderC, abi.OrderFortran}).Draw(b.rt, "order")
	return b.array(old, sizes, layout, func(at []int) bool {
		for i, x := range at {
			if x < starts[i] || x >= starts[i]+subsizes[i] {
				return false
			}
		}
		return true
	}, func() int {
		return b.create("create_subarray", large, n, b.list(large, sizes), b.list(large, subsizes), b.list(large, starts), layout, old.handle)
	})
}

// array makes the type of those elements of an array that are chosen.
func (b *typeTree) array(old node, sizes []int, layout int, chosen func(at []int) bool, create func() int) (node, bool) {
	total := 1
	for _, s := range sizes {
		total *= s
	}
	m := &typeMap{markers: [][2]int{{0, total * old.extent()}}}
	for i := range total {
		at, rest := make([]int, len(sizes)), i
		for k := range sizes {
			d := k
			if layout == abi.OrderC {
				d = len(sizes) - 1 - k
			}
			at[d] = rest % sizes[d]
			rest /= sizes[d]
		}
		if chosen(at) {
			m.add(&typeMap{elements: old.elements}, i*old.extent())
		}
	}
	if len(m.elements) > treeElements {
		return node{}, false
	}
	m.bound()
	return b.finish(m, create)
}

// darray by MPI 5.0 section 5.1.4: who owns an index follows from its block.
func (b *typeTree) darray(old node, large bool) (node, bool) {
	n := b.int(1, 3, "ndims")
	sizes, procs := b.ints(n, 1, 5, "gsizes"), make([]int, n)
	distribs, args, each := make([]int, n), make([]int, n), make([]int, n)
	total := 1
	for i := range n {
		distribs[i] = b.int(abi.DistributeNone, abi.DistributeCyclic, "distribution")
		procs[i] = pick(distribs[i] == abi.DistributeNone, 1, b.int(1, 3, "processes"))
		args[i], each[i] = abi.DistributeArg, 1
		if distribs[i] == abi.DistributeBlock {
			each[i] = (sizes[i] + procs[i] - 1) / procs[i]
		}
		if distribs[i] != abi.DistributeNone && b.int(0, 1, "argument") == 0 {
			each[i] = b.int(each[i], each[i]+2, "block")
			args[i] = each[i]
		}
		total *= procs[i]
	}
	rank := b.int(0, total-1, "rank")
	me, rest := make([]int, n), rank
	for i := n - 1; i >= 0; i-- { // processes are in row-major order
		me[i], rest = rest%procs[i], rest/procs[i]
	}
	layout := rapid.SampledFrom([]int{abi.OrderC, abi.OrderFortran}).Draw(b.rt, "order")
	return b.array(old, sizes, layout, func(at []int) bool {
		for i, x := range at {
			if distribs[i] != abi.DistributeNone && x/each[i]%procs[i] != me[i] {
				return false
			}
		}
		return true
	}, func() int {
		return b.create("create_darray", large, total, rank, n, b.list(large, sizes), b.list(false, distribs),
			b.list(false, args), b.list(false, procs), layout, old.handle)
	})
}
