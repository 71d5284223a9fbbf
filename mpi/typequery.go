package mpi

import "fmt"

// typeQueryCalls ask about datatypes (MPI 5.0 sections 5.1.5 to 5.1.13).
func typeQueryCalls() []entry {
	return []entry{
		{name: "MPI_Type_size", impl: ofType(typeSize)},
		{name: "MPI_Type_get_extent", impl: ofType(typeExtent)},
		{name: "MPI_Type_get_true_extent", impl: ofType(typeTrueExtent)},
		{name: "MPI_Type_extent", impl: ofType(typeOldExtent)},
		{name: "MPI_Type_lb", impl: ofType(func(p *Proc, t *datatype, a boundArgs) error { return p.putInt(a.displacement, int(t.lb)) })},
		{name: "MPI_Type_ub", impl: ofType(func(p *Proc, t *datatype, a boundArgs) error { return p.putInt(a.displacement, int(t.ub)) })},
		{name: "MPI_Type_get_envelope", impl: ofType(typeEnvelope)},
		{name: "MPI_Type_get_envelope_c", impl: ofType(typeEnvelopeLarge)},
		{name: "MPI_Type_get_contents", impl: ofType(typeContents)},
		{name: "MPI_Type_get_contents_c", impl: ofType(typeContentsLarge)},
		{name: "MPI_Type_get_name", impl: ofType(typeGetName)},
		{name: "MPI_Type_set_name", impl: ofType(typeSetName)},
		{name: "MPI_Get_address", impl: bind(callGetAddress), any: true},
		{name: "MPI_Address", impl: bind(callGetAddress), any: true},
	}
}

// typeArgs begin with the type that is asked about.
type typeArgs[T any] struct {
	datatype handle
	what     T
}

// ofType makes the call of a question about a type.
func ofType[T any](f func(p *Proc, t *datatype, a T) error) body {
	return bind(func(p *Proc, a typeArgs[T]) error {
		t, err := p.typeOf(a.datatype)
		if err != nil {
			return err
		}
		return f(p, t, a.what)
	})
}

type sizeArgs struct{ size address }

func typeSize(p *Proc, t *datatype, a sizeArgs) error { return p.putCount(a.size, t.size) }

// putBound stores an MPI_Aint, or an MPI_Count in a large-count function.
func (p *Proc) putBound(ptr uint32, v int64) error {
	if p.large() {
		return p.putWide(ptr, v)
	}
	if v != int64(int32(v)) {
		v = undefined
	}
	return p.putWord(ptr, uint32(int32(v)))
}

type extentArgs struct{ lb, extent address }

func typeExtent(p *Proc, t *datatype, a extentArgs) error {
	if err := p.putBound(a.lb, t.lb); err != nil {
		return err
	}
	return p.putBound(a.extent, t.extent())
}

type trueExtentArgs struct{ trueLB, trueExtent address }

func typeTrueExtent(p *Proc, t *datatype, a trueExtentArgs) error {
	if err := p.putBound(a.trueLB, t.trueLB); err != nil {
		return err
	}
	return p.putBound(a.trueExtent, t.trueUB-t.trueLB)
}

type oldExtentArgs struct{ extent address }

func typeOldExtent(p *Proc, t *datatype, a oldExtentArgs) error {
	return p.putInt(a.extent, int(t.extent()))
}

// boundArgs are those of MPI_Type_lb and MPI_Type_ub.
type boundArgs struct{ displacement address }

type getAddressArgs struct{ location, address address }

func callGetAddress(p *Proc, a getAddressArgs) error { return p.putWord(a.address, a.location) }

// typeName is the name the program gave a type, or its own.
func (p *Proc) typeName(t *datatype) string {
	if x := p.named[t.handle]; t.predefined() && x != nil && x.renamed {
		return x.name
	}
	return t.name
}

type getTypeNameArgs struct{ typeName, resultlen address }

func typeGetName(p *Proc, t *datatype, a getTypeNameArgs) error {
	return p.putString(a.typeName, a.resultlen, p.typeName(t), maxObjectName)
}

type setTypeNameArgs struct{ typeName address }

func typeSetName(p *Proc, t *datatype, a setTypeNameArgs) error {
	name, err := p.cString(a.typeName, 1<<16)
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

type envelopeArgs struct{ numIntegers, numAddresses, numDatatypes, combiner address }

func typeEnvelope(p *Proc, t *datatype, a envelopeArgs) error {
	ints, addrs, counts, types := t.envelope()
	if len(counts) > 0 {
		return fail(errType, "the datatype was made by a large-count function: call MPI_Type_get_envelope_c")
	}
	for _, n := range []struct {
		out address
		n   int
	}{{a.numIntegers, len(ints)}, {a.numAddresses, len(addrs)}, {a.numDatatypes, len(types)}} {
		if err := p.putInt(n.out, n.n); err != nil {
			return err
		}
	}
	return p.putInt(a.combiner, t.made.combiner)
}

type largeEnvelopeArgs struct{ numIntegers, numAddresses, numLargeCounts, numDatatypes, combiner address }

func typeEnvelopeLarge(p *Proc, t *datatype, a largeEnvelopeArgs) error {
	ints, addrs, counts, types := t.envelope()
	for _, n := range []struct {
		out address
		n   int
	}{{a.numIntegers, len(ints)}, {a.numAddresses, len(addrs)}, {a.numLargeCounts, len(counts)}, {a.numDatatypes, len(types)}} {
		if err := p.putWide(n.out, int64(n.n)); err != nil {
			return err
		}
	}
	return p.putInt(a.combiner, t.made.combiner)
}

type contentsArgs struct {
	maxIntegers, maxAddresses, maxDatatypes             count
	arrayOfIntegers, arrayOfAddresses, arrayOfDatatypes address
}

func typeContents(p *Proc, t *datatype, a contentsArgs) error {
	if _, _, counts, _ := t.envelope(); len(counts) > 0 {
		return fail(errType, "the datatype was made by a large-count function: call MPI_Type_get_contents_c")
	}
	return typeContentsLarge(p, t, largeContentsArgs{
		maxIntegers: a.maxIntegers, maxAddresses: a.maxAddresses, maxDatatypes: a.maxDatatypes,
		arrayOfIntegers: a.arrayOfIntegers, arrayOfAddresses: a.arrayOfAddresses, arrayOfDatatypes: a.arrayOfDatatypes,
	})
}

type largeContentsArgs struct {
	maxIntegers, maxAddresses, maxLargeCounts, maxDatatypes                 count
	arrayOfIntegers, arrayOfAddresses, arrayOfLargeCounts, arrayOfDatatypes address
}

func typeContentsLarge(p *Proc, t *datatype, a largeContentsArgs) error {
	if t.made.combiner == combinerNamed {
		return fail(errType, "%s is a named datatype: it has no contents", t)
	}
	ints, addrs, counts, types := t.envelope()
	for _, n := range []struct {
		room count
		n    int
	}{{a.maxIntegers, len(ints)}, {a.maxAddresses, len(addrs)}, {a.maxLargeCounts, len(counts)}, {a.maxDatatypes, len(types)}} {
		if n.room < int64(n.n) {
			return fail(errArg, "room for %d values, there are %d", n.room, n.n)
		}
	}
	if err := p.putList(a.arrayOfIntegers, ints, 4); err != nil {
		return err
	}
	if err := p.putList(a.arrayOfAddresses, addrs, 4); err != nil {
		return err
	}
	if err := p.putList(a.arrayOfLargeCounts, counts, 8); err != nil {
		return err
	}
	if _, err := p.handles(a.arrayOfDatatypes, len(types)); err != nil {
		return err
	}
	for i, sub := range types {
		h, err := p.hold(sub)
		if err != nil {
			return err
		}
		if err := p.putWord(a.arrayOfDatatypes+4*uint32(i), h); err != nil {
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

type f90FloatArgs struct {
	p, r    int
	newtype address
}

// callF90Float makes a function that chooses real or complex types by precision.
func callF90Float(combiner int) body {
	return bind(func(p *Proc, a f90FloatArgs) error {
		return p.giveF90(contents{combiner: combiner, ints: []int64{int64(a.p), int64(a.r)}}, a.newtype)
	})
}

type f90IntegerArgs struct {
	r       int
	newtype address
}

func callF90Integer(p *Proc, a f90IntegerArgs) error {
	return p.giveF90(contents{combiner: combinerF90Integer, ints: []int64{int64(a.r)}}, a.newtype)
}

// giveF90 makes the Fortran types that are chosen by precision (MPI 5.0 section 19.1.9): the smallest that fits,
// the same one each time.
func (p *Proc) giveF90(made contents, out address) error {
	base := f90Base(made.combiner, made.ints)
	if base == 0 {
		return fail(errArg, "no type has that precision and range")
	}
	made.types = []*datatype{predefined()[base]}
	key := fmt.Sprint("f90 ", made.combiner, made.ints)
	t := p.f90[key]
	if t == nil {
		var err error
		if t, err = build(made); err != nil {
			return err
		}
		t.fixed = true
		p.f90[key] = t
		return p.giveType(t, out)
	}
	return p.putWord(out, t.handle)
}

type matchSizeArgs struct {
	typeclass, size int
	datatype        address
}

// callMatchSize finds a type by class and size (MPI 5.0 section 19.1.9).
func callMatchSize(p *Proc, a matchSizeArgs) error {
	found := map[[2]int]uint32{
		{typeclassReal, 4}: 0x2d2, {typeclassReal, 8}: 0x2da, {typeclassReal, 16}: 0x2e2,
		{typeclassInteger, 1}: 0x2c1, {typeclassInteger, 2}: 0x2c9, {typeclassInteger, 4}: 0x2d1, {typeclassInteger, 8}: 0x2d9,
		{typeclassComplex, 8}: 0x2db, {typeclassComplex, 16}: 0x2e3, {typeclassComplex, 32}: 0x2eb,
	}[[2]int{a.typeclass, a.size}]
	if found == 0 {
		return fail(errArg, "no type of class %d has %d bytes", a.typeclass, a.size)
	}
	return p.putWord(a.datatype, found)
}

type valueIndexArgs struct {
	valueType, indexType handle
	pairType             address
}

// callValueIndex finds the pair type of a value and an index type (MPI 5.0 section 6.9.4).
func callValueIndex(p *Proc, a valueIndexArgs) error {
	value, err := p.typeOf(a.valueType)
	if err != nil {
		return err
	}
	index, err := p.typeOf(a.indexType)
	if err != nil {
		return err
	}
	for _, pair := range pairs {
		if pair.value == value.handle && pair.index == index.handle {
			return p.putWord(a.pairType, pair.handle)
		}
	}
	if !arithmeticClass(value.class) || (index.class != signedType && index.class != unsignedType) || !value.predefined() || !index.predefined() {
		return p.putWord(a.pairType, typeNull)
	}
	key := "pair " + value.name + " " + index.name
	if t := p.f90[key]; t != nil {
		return p.putWord(a.pairType, t.handle)
	}
	t, err := build(contents{combiner: combinerValueIndex, types: []*datatype{value, index}})
	if err != nil {
		return err
	}
	t.fixed = true
	p.f90[key] = t
	return p.giveType(t, a.pairType)
}

func arithmeticClass(c typeClass) bool {
	return c == signedType || c == unsignedType || c == floatType || c == quadType
}
