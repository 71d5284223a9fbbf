package mpi

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/layout"
)

const (
	typeSrc    = 70_000 // where elements are sent from
	typeDst    = 150_000
	typePacked = 190_000
	typeMemory = 1 << 18
)

// typeRank is the only rank of a world, with random memory: its messages go in pieces of odd sizes.
func typeRank(rt *rapid.T) *guest {
	cfg := smallConfig(1)
	cfg.ChunkBytes = rapid.SampledFrom([]int{3, 7, 29, 1024}).Draw(rt, "chunk")
	cfg.EagerLimit = min(cfg.ChunkBytes, rapid.SampledFrom([]int{0, 512}).Draw(rt, "eager"))
	cfg.FarEager = cfg.EagerLimit
	w := NewWorld(cfg, noNetwork{})
	g := newGuest(0, 1, callsByName())
	g.mem = make(arena, typeMemory)
	rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "memory"), 0))
	for i := range g.mem {
		g.mem[i] = byte(rnd.Uint32())
	}
	var err error
	g.p, err = w.AddRank(0, 1, g.mem)
	require.NoError(rt, err)
	g.call("MPI_Init", 0, 0)
	return g
}

// checkTypes runs f with random datatypes, and how many elements of each to use.
func checkTypes(t *testing.T, f func(rt *rapid.T, g *guest, n node, count int)) {
	rapid.Check(t, func(rt *rapid.T) {
		g := typeRank(rt)
		b := &typeTree{rt: rt, g: g}
		n := b.grow(rapid.SampledFrom([]int{3, 2, 4, 1, 0}).Draw(rt, "depth"))
		g.setInts(treeOut, n.handle)
		g.call("MPI_Type_commit", treeOut)
		f(rt, g, n, b.few(3, "elements"))
	})
}

// want reports what is in memory after elements were put at a place.
func (g *guest) want(base int, list []element, data []byte) arena {
	mem := append(arena(nil), g.mem...)
	scatter(mem, base, list, data)
	return mem
}

// Size and bounds are those of the type map (MPI 5.0 sections 5.1 and 5.1.5 to 5.1.8).
func TestTypeBounds(t *testing.T) {
	checkTypes(t, func(rt *rapid.T, g *guest, n node, _ int) {
		g.call("MPI_Type_size", n.handle, treeOut)
		g.call("MPI_Type_get_extent", n.handle, treeOut+4, treeOut+8)
		g.call("MPI_Type_get_true_extent", n.handle, treeOut+12, treeOut+16)
		low, high := n.reach()
		require.Equal(rt, []int{n.size(), n.lb, n.extent(), low, high - low}, g.ints(treeOut, 5))
		g.call("MPI_Type_get_extent_c", n.handle, treeOut, treeOut+8)
		require.EqualValues(rt, n.lb, order.Uint64(g.mem[treeOut:]))
		require.EqualValues(rt, n.extent(), order.Uint64(g.mem[treeOut+8:]))
	})
}

// Packing takes the elements in the order of the type map, unpacking puts them back (MPI 5.0 section 5.2).
func TestPack(t *testing.T) {
	checkTypes(t, func(rt *rapid.T, g *guest, n node, count int) {
		list := n.times(count)
		data := gather(g.mem, typeSrc, list)
		g.call("MPI_Pack_size", count, n.handle, abi.CommWorld, treeOut)
		require.Equal(rt, len(data), g.int(treeOut))
		g.setInts(treeOut, 5)
		g.call("MPI_Pack", typeSrc, count, n.handle, typePacked, len(data)+5, treeOut, abi.CommWorld)
		require.Equal(rt, len(data)+5, g.int(treeOut))
		require.Equal(rt, data, append([]byte(nil), g.mem[typePacked+5:typePacked+5+len(data)]...))
		if overlap(list) {
			return
		}
		want := g.want(typeDst, list, data)
		g.setInts(treeOut, 5)
		g.call("MPI_Unpack", typePacked, len(data)+5, treeOut, typeDst, count, n.handle, abi.CommWorld)
		require.True(rt, bytes.Equal(want, g.mem))
	})
}

// external32 is big-endian, with sizes of its own (MPI 5.0 section 5.3).
func TestPackExternal(t *testing.T) {
	checkTypes(t, func(rt *rapid.T, g *guest, n node, count int) {
		const name = 100
		copy(g.mem[name:], "external32\x00")
		list := n.times(count)
		data := toExternal(g.mem, typeSrc, list)
		g.call("MPI_Pack_external_size", name, count, n.handle, treeOut)
		require.Equal(rt, len(data), g.int(treeOut))
		g.setInts(treeOut, 3)
		g.call("MPI_Pack_external", name, typeSrc, count, n.handle, typePacked, len(data)+3, treeOut)
		require.Equal(rt, len(data)+3, g.int(treeOut))
		require.Equal(rt, data, append([]byte(nil), g.mem[typePacked+3:typePacked+3+len(data)]...))
		if overlap(list) {
			return
		}
		back := gather(g.mem, typeSrc, list)
		for at, i := 0, 0; i < len(list); i++ {
			if list[i].handle == tWchar { // has two bytes in external32
				clear(back[at+2 : at+4])
			}
			at += list[i].size
		}
		want := g.want(typeDst, list, back)
		g.setInts(treeOut, 3)
		g.call("MPI_Unpack_external", name, typePacked, len(data)+3, treeOut, typeDst, count, n.handle)
		require.Equal(rt, len(data)+3, g.int(treeOut))
		copy(want[:treeArgs], g.mem)
		require.True(rt, bytes.Equal(want, g.mem))
	})
}

// spread makes another layout of the same elements: one behind the other with gaps or without, in some order.
func (b *typeTree) spread(list []element) node {
	slots := make([]int, len(list))
	for i := range slots {
		slots[i] = i
	}
	if b.int(0, 2, "shuffled") > 0 {
		slots = rapid.Permutation(slots).Draw(b.rt, "slots")
	}
	gaps := b.int(0, 1, "gaps") * 5
	m := &typeMap{elements: slices.Clone(list)}
	at := -3000
	for _, i := range slots {
		m.elements[i].disp = at
		at += list[i].size + b.int(0, gaps, "gap")
	}
	m.bound()
	lengths, displs, handles := make([]int, len(list)), make([]int, len(list)), make([]int, len(list))
	for i, e := range m.elements {
		lengths[i], displs[i], handles[i] = 1, e.disp, e.handle
	}
	b.next = treeArgs
	n := len(list)
	return node{b.create("create_struct", false, n, b.list(false, lengths), b.list(false, displs), b.list(false, handles)), m}
}

// commit commits a type.
func (g *guest) commit(handle int) {
	g.setInts(treeOut, handle)
	g.call("MPI_Type_commit", treeOut)
}

// A message goes from one layout to another of the same signature, in pieces that begin and end inside of elements (MPI
// 5.0 section 3.3.1).
func TestTypedMessages(t *testing.T) {
	checkTypes(t, func(rt *rapid.T, g *guest, n node, count int) {
		b := &typeTree{rt: rt, g: g}
		list := n.times(count)
		other := b.spread(list)
		g.commit(other.handle)
		data := gather(g.mem, typeSrc, list)
		want := g.want(typeDst, other.elements, data)
		g.exchange(rapid.Bool().Draw(rt, "expected"), typeSrc, count, n.handle, typeDst, 1, other.handle)
		copy(want[:treeArgs], g.mem) // statuses and handles
		require.True(rt, bytes.Equal(want, g.mem))
		if overlap(list) {
			return
		}
		want = g.want(typeSrc, list, gather(g.mem, typeDst+1, other.elements))
		g.exchange(rapid.Bool().Draw(rt, "expected"), typeDst+1, 1, other.handle, typeSrc, count, n.handle)
		copy(want[:treeArgs], g.mem)
		require.True(rt, bytes.Equal(want, g.mem))
	})
}

const typeStatus = 128

// exchange sends to oneself; the receive is posted before or after.
func (g *guest) exchange(expected bool, from, count, typ, to, room, into int) {
	if expected {
		g.call("MPI_Irecv", to, room, into, 0, 1, abi.CommWorld, treeOut)
		g.call("MPI_Send", from, count, typ, 0, 1, abi.CommWorld)
		g.call("MPI_Wait", treeOut, typeStatus)
		return
	}
	g.call("MPI_Isend", from, count, typ, 0, 1, abi.CommWorld, treeOut)
	g.call("MPI_Recv", to, room, into, 0, 1, abi.CommWorld, typeStatus)
	g.call("MPI_Wait", treeOut, 0)
}

// A shorter message fills the first elements, and the status tells how many (MPI 5.0 section 5.1.11).
func TestPartialMessages(t *testing.T) {
	checkTypes(t, func(rt *rapid.T, g *guest, n node, count int) {
		list := n.times(count)
		total := count * n.size()
		if overlap(list) || total == 0 {
			return
		}
		bytesSent := rapid.IntRange(0, total).Draw(rt, "bytes")
		whole, sum := 0, 0
		for whole < len(list) && sum+list[whole].size <= bytesSent {
			sum += list[whole].size
			whole++
		}
		if rapid.Bool().Draw(rt, "whole elements") {
			bytesSent = sum
		}
		data := append([]byte(nil), g.mem[typePacked:typePacked+bytesSent]...)
		want := g.want(typeDst, list, data)
		g.exchange(rapid.Bool().Draw(rt, "expected"), typePacked, bytesSent, tPacked, typeDst, count, n.handle)
		copy(want[:treeArgs], g.mem)
		require.True(rt, bytes.Equal(want, g.mem))
		g.call("MPI_Get_elements", typeStatus, n.handle, treeOut)
		g.call("MPI_Get_count", typeStatus, n.handle, treeOut+4)
		g.call("MPI_Get_elements_x", typeStatus, n.handle, treeOut+8)
		elements := pick(bytesSent == sum, whole, abi.Undefined)
		require.Equal(rt, elements, g.int(treeOut))
		require.Equal(rt, elements, g.int(treeOut+8))
		require.Equal(rt, pick(bytesSent%n.size() == 0, bytesSent/n.size(), abi.Undefined), g.int(treeOut+4))
		// The same elements can be set (MPI 5.0 section 13.3).
		g.call("MPI_Status_set_elements", typeStatus, n.handle, whole)
		g.call("MPI_Get_elements", typeStatus, n.handle, treeOut)
		require.Equal(rt, whole, g.int(treeOut))
	})
}

// Envelope and contents say how to make the type again (MPI 5.0 section 5.1.13).
func TestTypeContents(t *testing.T) {
	checkTypes(t, func(rt *rapid.T, g *guest, n node, count int) {
		again, ok := g.remake(n.handle)
		if !ok {
			require.True(rt, layout.Predefined()[uint32(n.handle)] != nil)
			return
		}
		old, made := g.p.types.get(uint32(n.handle)), g.p.types.get(uint32(again))
		require.Equal(rt, old.Made, made.Made)
		g.commit(again)
		g.call("MPI_Type_get_extent", again, treeOut, treeOut+4)
		require.Equal(rt, []int{n.lb, n.extent()}, g.ints(treeOut, 2))
		g.checkPacked(rt, again, n, count)
	})
}

func (g *guest) checkPacked(rt *rapid.T, handle int, n node, count int) {
	data := gather(g.mem, typeSrc, n.times(count))
	g.setInts(treeOut, 0)
	g.call("MPI_Pack", typeSrc, count, handle, typePacked, len(data), treeOut, abi.CommWorld)
	require.Equal(rt, data, append([]byte(nil), g.mem[typePacked:typePacked+len(data)]...))
}

// remake makes a type again from its envelope and contents; a named one has none.
func (g *guest) remake(handle int) (again int, ok bool) {
	const ints, addrs, counts, types = treeArgs, treeArgs + 2048, treeArgs + 4096, treeArgs + 8192
	g.call("MPI_Type_get_envelope_c", handle, 8, 16, 24, 32, 40)
	n := func(i int) int { return int(order.Uint64(g.mem[8+8*i:])) }
	combiner := g.int(40)
	if combiner == abi.CombinerNamed {
		return 0, false
	}
	g.call("MPI_Type_get_contents_c", handle, n(0), n(1), n(2), n(3), ints, addrs, counts, types)
	b := &typeTree{g: g}
	large := n(2) > 0
	old := g.int(types)
	i := func(k int) int { return g.int(ints + 4*k) }
	a := func(k int) int { return g.int(addrs + 4*k) }
	at := func(k int) int { return ints + 4*k } // of an array among the ints, addresses are an array of their own
	list := func(int) int { return addrs }
	if large { // all of it is among the counts
		i = func(k int) int { return int(order.Uint64(g.mem[counts+8*k:])) }
		a = func(k int) int { return i(n(2) - 1 - k) }
		at = func(k int) int { return counts + 8*k }
		list = at
	}
	create := func(name string, args ...int) (int, bool) { return b.create(name, large, args...), true }
	switch combiner {
	case abi.CombinerDup:
		return create("dup", old)
	case abi.CombinerContiguous:
		return create("contiguous", i(0), old)
	case abi.CombinerVector:
		return create("vector", i(0), i(1), i(2), old)
	case abi.CombinerHvector:
		return create("create_hvector", i(0), i(1), a(0), old)
	case abi.CombinerIndexed:
		return create("indexed", i(0), at(1), at(1+i(0)), old)
	case abi.CombinerHindexed:
		return create("create_hindexed", i(0), at(1), list(1+i(0)), old)
	case abi.CombinerIdxBlock:
		return create("create_indexed_block", i(0), i(1), at(2), old)
	case abi.CombinerHidxBlock:
		return create("create_hindexed_block", i(0), i(1), list(2), old)
	case abi.CombinerStruct:
		return create("create_struct", i(0), at(1), list(1+i(0)), types)
	case abi.CombinerResized:
		return create("create_resized", old, pick(large, a(1), a(0)), pick(large, a(0), a(1)))
	case abi.CombinerSubarray:
		dims := g.int(ints)
		if large {
			return create("create_subarray", dims, at(0), at(dims), at(2*dims), g.int(ints+4), old)
		}
		return create("create_subarray", dims, at(1), at(1+dims), at(1+2*dims), i(1+3*dims), old)
	default: // combinerDarray
		size, rank, dims := g.int(ints), g.int(ints+4), g.int(ints+8)
		if large {
			rest := ints + 12
			return create("create_darray", size, rank, dims, counts, rest, rest+4*dims, rest+8*dims, g.int(rest+12*dims), old)
		}
		return create("create_darray", size, rank, dims, at(3), at(3+dims), at(3+2*dims), at(3+3*dims), i(3+4*dims), old)
	}
}

// Types survive a capture: restored they are what they were.
func TestTypesMove(t *testing.T) {
	checkTypes(t, func(rt *rapid.T, g *guest, n node, count int) {
		late := time.Now().Add(time.Hour)
		g.p.clockStart = late // equal clocks make equal states
		state, err := g.p.w.Capture(0)
		require.NoError(rt, err)
		w := NewWorld(g.p.w.cfg, noNetwork{})
		g.p, err = w.RestoreRank(0, 2, g.mem, state)
		require.NoError(rt, err)
		g.p.clockStart = late
		require.Equal(rt, state, g.p.encodeLocked())
		g.checkPacked(rt, n.handle, n, count)
	})
}
