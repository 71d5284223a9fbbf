package mpi

import "fmt"

// typeQueryCalls ask about datatypes (MPI 5.0 sections 5.1.5 to 5.1.13).
func typeQueryCalls() []entry {
	get := func(f func(p *Proc, t *datatype, a args) error) func(*Proc, args) (uint64, error) {
		return func(p *Proc, a args) (uint64, error) {
			t, err := p.typeOf(a.u32(0))
			if err != nil {
				return 0, err
			}
			return success, f(p, t, a)
		}
	}
	wide := func(f func(p *Proc, t *datatype, a args) error) func(*Proc, args) (uint64, error) {
		return get(func(p *Proc, t *datatype, a args) error { return f(p, t, args{a.v, true}) })
	}
	return []entry{
		{name: "MPI_Type_size", impl: get(typeSize)},
		{name: "MPI_Type_size_x", impl: wide(typeSize)},
		{name: "MPI_Type_get_extent", impl: get(typeExtent)},
		{name: "MPI_Type_get_extent_x", impl: wide(typeExtent)},
		{name: "MPI_Type_get_true_extent", impl: get(typeTrueExtent)},
		{name: "MPI_Type_get_true_extent_x", impl: wide(typeTrueExtent)},
		{name: "MPI_Type_extent", impl: get(func(p *Proc, t *datatype, a args) error { return p.putInt(a.u32(1), int(t.extent())) })},
		{name: "MPI_Type_lb", impl: get(func(p *Proc, t *datatype, a args) error { return p.putInt(a.u32(1), int(t.lb)) })},
		{name: "MPI_Type_ub", impl: get(func(p *Proc, t *datatype, a args) error { return p.putInt(a.u32(1), int(t.ub)) })},
		{name: "MPI_Type_get_envelope", impl: get(typeEnvelope)},
		{name: "MPI_Type_get_contents", impl: get(typeContents)},
		{name: "MPI_Type_get_name", impl: get(func(p *Proc, t *datatype, a args) error {
			return p.putString(a.u32(1), a.u32(2), p.typeName(t), maxObjectName)
		})},
		{name: "MPI_Type_set_name", impl: get(typeSetName)},
		{name: "MPI_Get_address", impl: callGetAddress, any: true},
		{name: "MPI_Address", impl: callGetAddress, any: true},
	}
}

func typeSize(p *Proc, t *datatype, a args) error { return p.putCount(a, a.u32(1), t.size) }

// putBound stores an MPI_Aint, or an MPI_Count in a large-count function.
func (p *Proc) putBound(a args, ptr uint32, v int64) error {
	if a.large {
		return p.putWide(ptr, v)
	}
	if v != int64(int32(v)) {
		v = undefined
	}
	return p.putWord(ptr, uint32(int32(v)))
}

func typeExtent(p *Proc, t *datatype, a args) error {
	if err := p.putBound(a, a.u32(1), t.lb); err != nil {
		return err
	}
	return p.putBound(a, a.u32(2), t.extent())
}

func typeTrueExtent(p *Proc, t *datatype, a args) error {
	if err := p.putBound(a, a.u32(1), t.trueLB); err != nil {
		return err
	}
	return p.putBound(a, a.u32(2), t.trueUB-t.trueLB)
}

func callGetAddress(p *Proc, a args) (uint64, error) { return success, p.putWord(a.u32(1), a.u32(0)) }

// typeName is the name the program gave a type, or its own.
func (p *Proc) typeName(t *datatype) string {
	if x := p.named[t.handle]; t.predefined() && x != nil && x.renamed {
		return x.name
	}
	return t.name
}

func typeSetName(p *Proc, t *datatype, a args) error {
	name, err := p.cString(a.u32(1), 1<<16)
	if err != nil {
		return err
	}
	name = name[:min(len(name), maxObjectName-1)]
	if t.predefined() {
		x := p.overlay(t)
		x.name, x.renamed = name, true
		return nil
	}
	t.name = name
	return nil
}

// overlay is what a rank adds to a predefined datatype, which all ranks share.
type overlay struct {
	name    string
	renamed bool
	attrs   attributes
}

func (p *Proc) overlay(t *datatype) *overlay {
	if p.named[t.handle] == nil {
		p.named[t.handle] = &overlay{}
	}
	return p.named[t.handle]
}

func (p *Proc) typeAttributes(t *datatype) *attributes {
	if t.predefined() {
		return &p.overlay(t).attrs
	}
	if p.typeAttrs[t] == nil {
		p.typeAttrs[t] = &attributes{}
	}
	return p.typeAttrs[t]
}

// envelope splits contents as MPI_Type_get_contents gives them. A type made with 64-bit values has its
// counts apart (MPI 5.0 section 5.1.13); asked through the large form about a type made with ints, there are none.
func (t *datatype) envelope() (ints, addrs, counts []int64, types []*datatype) {
	m := &t.made
	if m.combiner == combinerNamed {
		return nil, nil, nil, nil
	}
	if m.combiner == combinerF90Real || m.combiner == combinerF90Complex || m.combiner == combinerF90Integer {
		return m.ints, nil, nil, nil
	}
	if !m.large {
		return m.ints, m.addrs, nil, m.types
	}
	switch m.combiner {
	case combinerSubarray: // ndims and order are ints
		n := len(m.ints)
		return []int64{m.ints[0], m.ints[n-1]}, nil, m.ints[1 : n-1], m.types
	case combinerDarray:
		n := int(m.ints[2])
		ints = append(append([]int64{}, m.ints[:3]...), m.ints[3+n:]...)
		return ints, nil, m.ints[3 : 3+n], m.types
	}
	return nil, nil, append(append([]int64{}, m.ints...), m.addrs...), m.types
}

func typeEnvelope(p *Proc, t *datatype, a args) error {
	ints, addrs, counts, types := t.envelope()
	if a.large {
		for i, n := range []int{len(ints), len(addrs), len(counts), len(types)} {
			if err := p.putWide(a.u32(1+i), int64(n)); err != nil {
				return err
			}
		}
		return p.putInt(a.u32(5), t.made.combiner)
	}
	if len(counts) > 0 {
		return fail(errType, "the datatype was made by a large-count function: call MPI_Type_get_envelope_c")
	}
	for i, n := range []int{len(ints), len(addrs), len(types), t.made.combiner} {
		if err := p.putInt(a.u32(1+i), n); err != nil {
			return err
		}
	}
	return nil
}

func typeContents(p *Proc, t *datatype, a args) error {
	if t.made.combiner == combinerNamed {
		return fail(errType, "%s is a named datatype: it has no contents", t)
	}
	ints, addrs, counts, types := t.envelope()
	k := 3 // the number of numbers of things
	if a.large {
		k = 4
	} else if len(counts) > 0 {
		return fail(errType, "the datatype was made by a large-count function: call MPI_Type_get_contents_c")
	}
	have := [][]int64{ints, addrs, nil}
	if a.large {
		have = [][]int64{ints, addrs, counts, nil}
	}
	for i, list := range have {
		if n := pick(i == k-1, len(types), len(list)); a.count(1+i) < int64(n) {
			return fail(errArg, "room for %d values, there are %d", a.count(1+i), n)
		}
	}
	at := 1 + k
	if err := p.putList(a.u32(at), ints, 4); err != nil {
		return err
	}
	if err := p.putList(a.u32(at+1), addrs, 4); err != nil {
		return err
	}
	if a.large {
		if err := p.putList(a.u32(at+2), counts, 8); err != nil {
			return err
		}
	}
	out := a.u32(at + k - 1)
	if _, err := p.handles(out, len(types)); err != nil {
		return err
	}
	for i, sub := range types {
		h, err := p.hold(sub)
		if err != nil {
			return err
		}
		if err := p.putWord(out+4*uint32(i), h); err != nil {
			return err
		}
	}
	return nil
}

// putList stores numbers of width bytes.
func (p *Proc) putList(ptr uint32, list []int64, width uint32) error {
	s, err := p.guest(ptr, uint64(len(list))*uint64(width))
	if err != nil || len(list) == 0 {
		return argError(err)
	}
	b := p.bytes(s)
	for i, v := range list {
		if width == 8 {
			order.PutUint64(b[8*i:], uint64(v))
		} else {
			order.PutUint32(b[4*i:], uint32(int32(v)))
		}
	}
	return nil
}

// callF90 makes the Fortran types that are chosen by precision (MPI 5.0 section 19.1.9): the smallest that fits,
// the same one each time.
func callF90(combiner int) func(*Proc, args) (uint64, error) {
	return func(p *Proc, a args) (uint64, error) {
		made := contents{combiner: combiner, ints: []int64{int64(a.int(0))}}
		out := a.u32(1)
		if combiner != combinerF90Integer {
			made.ints, out = append(made.ints, int64(a.int(1))), a.u32(2)
		}
		base := f90Base(combiner, made.ints)
		if base == 0 {
			return 0, fail(errArg, "no type has that precision and range")
		}
		made.types = []*datatype{predefined()[base]}
		key := fmt.Sprint("f90 ", combiner, made.ints)
		t := p.f90[key]
		if t == nil {
			var err error
			if t, err = build(made); err != nil {
				return 0, err
			}
			t.fixed = true
			p.f90[key] = t
			return p.giveType(t, out)
		}
		return success, p.putWord(out, t.handle)
	}
}

func f90Base(combiner int, v []int64) uint32 {
	if combiner == combinerF90Integer {
		switch r := v[0]; {
		case r <= 2:
			return 0x2c1
		case r <= 4:
			return 0x2c9
		case r <= 9:
			return 0x2d1
		case r <= 18:
			return 0x2d9
		}
		return 0
	}
	digits, exponent := v[0], v[1]
	if digits == undefined {
		digits = 0
	}
	if exponent == undefined {
		exponent = 0
	}
	isReal := combiner == combinerF90Real
	switch {
	case digits <= 6 && exponent <= 37:
		return pick[uint32](isReal, 0x210, 0x212)
	case digits <= 15 && exponent <= 307:
		return pick[uint32](isReal, 0x214, 0x216)
	case digits <= 33 && exponent <= 4931:
		return pick[uint32](isReal, 0x220, 0x224)
	}
	return 0
}

// callMatchSize finds a type by class and size (MPI 5.0 section 19.1.9).
func callMatchSize(p *Proc, a args) (uint64, error) {
	found := map[[2]int]uint32{
		{typeclassReal, 4}: 0x2d2, {typeclassReal, 8}: 0x2da, {typeclassReal, 16}: 0x2e2,
		{typeclassInteger, 1}: 0x2c1, {typeclassInteger, 2}: 0x2c9, {typeclassInteger, 4}: 0x2d1, {typeclassInteger, 8}: 0x2d9,
		{typeclassComplex, 8}: 0x2db, {typeclassComplex, 16}: 0x2e3, {typeclassComplex, 32}: 0x2eb,
	}[[2]int{a.int(0), a.int(1)}]
	if found == 0 {
		return 0, fail(errArg, "no type of class %d has %d bytes", a.int(0), a.int(1))
	}
	return success, p.putWord(a.u32(2), found)
}

// callValueIndex finds the pair type of a value and an index type (MPI 5.0 section 6.9.4).
func callValueIndex(p *Proc, a args) (uint64, error) {
	value, err := p.typeOf(a.u32(0))
	if err != nil {
		return 0, err
	}
	index, err := p.typeOf(a.u32(1))
	if err != nil {
		return 0, err
	}
	for _, pair := range pairs {
		if pair.value == value.handle && pair.index == index.handle {
			return success, p.putWord(a.u32(2), pair.handle)
		}
	}
	if !arithmeticClass(value.class) || (index.class != signedType && index.class != unsignedType) || !value.predefined() || !index.predefined() {
		return success, p.putWord(a.u32(2), typeNull)
	}
	key := "pair " + value.name + " " + index.name
	if t := p.f90[key]; t != nil {
		return success, p.putWord(a.u32(2), t.handle)
	}
	t, err := build(contents{combiner: combinerValueIndex, types: []*datatype{value, index}})
	if err != nil {
		return 0, err
	}
	t.fixed = true
	p.f90[key] = t
	return p.giveType(t, a.u32(2))
}

func arithmeticClass(c typeClass) bool {
	return c == signedType || c == unsignedType || c == floatType || c == quadType
}
