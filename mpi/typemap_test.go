package mpi

import "slices"

// scalar is a basic datatype as the naive model knows it: MPI 5.0 table 14.2 gives the size in external32.
type scalar struct {
	handle, size, align, external int
	halves                        bool // of a complex number: swapped one by one
}

const (
	tAint    = 0x201
	tPacked  = 0x207
	tShort   = 0x208
	tComplex = 0x216 // MPI_C_DOUBLE_COMPLEX
	tLongDbl = 0x220
	tWchar   = 0x23c
	tChar    = 0x243
	tFloat   = 0x210
	tLong    = 0x20a

	tFloatInt   = 0x228
	tDoubleInt  = 0x229
	t2Int       = 0x22b
	tShortInt   = 0x22c
	tLongDblInt = 0x22d
)

func scalars() map[int]scalar {
	all := map[int]scalar{}
	for _, s := range []scalar{
		{tByte, 1, 1, 1, false},
		{tChar, 1, 1, 1, false},
		{tShort, 2, 2, 2, false},
		{tInt, 4, 4, 4, false},
		{tLong, 4, 4, 4, false},
		{tFloat, 4, 4, 4, false},
		{tDouble, 8, 8, 8, false},
		{tLongDbl, 16, 16, 16, false},
		{tComplex, 16, 8, 16, true},
		{tAint, 4, 4, 8, false},
		{tWchar, 4, 4, 2, false},
	} {
		all[s.handle] = s
	}
	return all
}

// pairMaps are the pair types: C structs of a value and an int (MPI 5.0 section 6.9.4).
func pairMaps() map[int]*typeMap {
	all := map[int]*typeMap{}
	for _, p := range []struct{ handle, value, at int }{
		{tFloatInt, tFloat, 4}, {tDoubleInt, tDouble, 8}, {t2Int, tInt, 4}, {tShortInt, tShort, 4}, {tLongDblInt, tLongDbl, 16},
	} {
		m := &typeMap{elements: []element{{0, scalars()[p.value]}, {p.at, scalars()[tInt]}}}
		m.bound()
		all[p.handle] = m
	}
	return all
}

// typeMap is a datatype by its definition (MPI 5.0 section 5.1): the list of its basic elements with their
// displacements, and the bounds that MPI_Type_create_resized and its kin put into it.
type typeMap struct {
	elements []element
	markers  [][2]int // pairs of lower and upper bound
	lb, ub   int
	loose    bool // the padding of its extent is the library's choice, see combineMaps
}

type element struct {
	disp int
	scalar
}

// add puts a copy of all elements and bounds of a type map at a displacement.
func (m *typeMap) add(old *typeMap, disp int) {
	for _, e := range old.elements {
		m.elements = append(m.elements, element{disp + e.disp, e.scalar})
	}
	for _, k := range old.markers {
		m.markers = append(m.markers, [2]int{disp + k[0], disp + k[1]})
	}
}

// bound computes the bounds: markers win, without them the extent is rounded up to the strictest alignment.
func (m *typeMap) bound() {
	m.lb, m.ub = 0, 0
	if len(m.markers) > 0 {
		m.lb, m.ub = m.markers[0][0], m.markers[0][1]
		for _, k := range m.markers {
			m.lb, m.ub = min(m.lb, k[0]), max(m.ub, k[1])
		}
		return
	}
	if len(m.elements) == 0 {
		return
	}
	low, high := m.reach()
	m.lb, m.ub = low, low+(high-low+m.align()-1)/m.align()*m.align()
}

func (m *typeMap) align() int {
	a := 1
	for _, e := range m.elements {
		a = max(a, e.align)
	}
	return a
}

func (m *typeMap) extent() int { return m.ub - m.lb }

func (m *typeMap) size() int {
	n := 0
	for _, e := range m.elements {
		n += e.size
	}
	return n
}

// reach is the true lower and upper bound.
func (m *typeMap) reach() (low, high int) {
	for i, e := range m.elements {
		if i == 0 {
			low, high = e.disp, e.disp+e.size
		}
		low, high = min(low, e.disp), max(high, e.disp+e.size)
	}
	return low, high
}

// placed is a part of a type map's definition: a type at a displacement.
type placed struct {
	old  *typeMap
	disp int
}

// combineMaps makes the type map of types at displacements. Where elements are not aligned to the strictest alignment, what
// padding is added depends on whether that is done for every type, as the standard has it, or for structures alone, as
// libraries do; and libraries let types without elements widen the bounds. Such a type map is loose.
func combineMaps(list []placed) *typeMap {
	m := &typeMap{}
	for _, p := range list {
		m.add(p.old, p.disp)
	}
	m.bound()
	a := m.align()
	for _, p := range list {
		if len(p.old.markers) == 0 && (p.old.loose || len(p.old.elements) == 0 || p.disp%a != 0 || p.old.lb%a != 0) {
			m.loose = true
		}
	}
	return m
}

// times is the type map of n consecutive elements.
func (m *typeMap) times(n int) []element {
	var all []element
	for i := range n {
		for _, e := range m.elements {
			all = append(all, element{i*m.extent() + e.disp, e.scalar})
		}
	}
	return all
}

// overlap reports whether two elements share a byte: such a layout cannot be received into.
func overlap(list []element) bool {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b element) int { return a.disp - b.disp })
	for i := 1; i < len(list); i++ {
		if list[i-1].disp+list[i-1].size > list[i].disp {
			return true
		}
	}
	return false
}

// gather packs elements, naively.
func gather(mem []byte, base int, list []element) []byte {
	var out []byte
	for _, e := range list {
		out = append(out, mem[base+e.disp:base+e.disp+e.size]...)
	}
	return out
}

// scatter unpacks as much as there is, naively.
func scatter(mem []byte, base int, list []element, data []byte) {
	for _, e := range list {
		n := copy(mem[base+e.disp:base+e.disp+e.size], data)
		data = data[n:]
	}
}

// toExternal is external32: big-endian, integers in the size of table 14.2.
func toExternal(mem []byte, base int, list []element) []byte {
	var out []byte
	for _, e := range list {
		in := slices.Clone(mem[base+e.disp : base+e.disp+e.size])
		for len(in) < e.external { // signed
			in = append(in, byte(int8(in[len(in)-1])>>7))
		}
		in = in[:e.external]
		if e.halves {
			slices.Reverse(in[:len(in)/2])
			slices.Reverse(in[len(in)/2:])
		} else {
			slices.Reverse(in)
		}
		out = append(out, in...)
	}
	return out
}
