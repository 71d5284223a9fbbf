package mpi

import (
	"fmt"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/layout"
)

// typeQueryCalls ask about datatypes (MPI 5.0 sections 5.1.5 to 5.1.13).
func typeQueryCalls() []entry {
	return []entry{
		{name: "MPI_Type_size", impl: ofType(typeSize)},
		{name: "MPI_Type_get_extent", impl: ofType(typeExtent)},
		{name: "MPI_Type_get_true_extent", impl: ofType(typeTrueExtent)},
		{name: "MPI_Type_extent", impl: ofType(typeOldExtent)},
		{name: "MPI_Type_lb", impl: ofType(func(p *Proc, t *layout.Type, a boundArgs) error { return p.putInt(a.displacement, int(t.LB)) })},
		{name: "MPI_Type_ub", impl: ofType(func(p *Proc, t *layout.Type, a boundArgs) error { return p.putInt(a.displacement, int(t.UB)) })},
		{name: "MPI_Type_get_envelope", impl: ofType(typeEnvelope)},
		{name: "MPI_Type_get_envelope_c", impl: ofType(typeEnvelopeLarge)},
		{name: "MPI_Type_get_contents", impl: ofType(typeContents)},
		{name: "MPI_Type_get_contents_c", impl: ofType(typeContentsLarge)},
		{name: "MPI_Type_get_name", impl: bind(callTypeGetName)},
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
func ofType[T any](f func(p *Proc, t *layout.Type, a T) error) body {
	return bind(func(p *Proc, a typeArgs[T]) error {
		t, err := p.typeOf(a.datatype)
		if err != nil {
			return err
		}
		return f(p, t, a.what)
	})
}

type sizeArgs struct{ size address }

func typeSize(p *Proc, t *layout.Type, a sizeArgs) error { return p.putCount(a.size, t.Size) }

// putBound stores an MPI_Aint, or an MPI_Count in a large-count function.
func (p *Proc) putBound(ptr uint32, v int64) error {
	if p.large() {
		return p.putWide(ptr, v)
	}
	if v != int64(int32(v)) {
		v = abi.Undefined
	}
	return p.putWord(ptr, uint32(int32(v)))
}

type extentArgs struct{ lb, extent address }

func typeExtent(p *Proc, t *layout.Type, a extentArgs) error {
	if err := p.putBound(a.lb, t.LB); err != nil {
		return err
	}
	return p.putBound(a.extent, t.Extent())
}

type trueExtentArgs struct{ trueLB, trueExtent address }

func typeTrueExtent(p *Proc, t *layout.Type, a trueExtentArgs) error {
	if err := p.putBound(a.trueLB, t.TrueLB); err != nil {
		return err
	}
	return p.putBound(a.trueExtent, t.TrueUB-t.TrueLB)
}

type oldExtentArgs struct{ extent address }

func typeOldExtent(p *Proc, t *layout.Type, a oldExtentArgs) error {
	return p.putInt(a.extent, int(t.Extent()))
}

// boundArgs are those of MPI_Type_lb and MPI_Type_ub.
type boundArgs struct{ displacement address }

type getAddressArgs struct{ location, address address }

func callGetAddress(p *Proc, a getAddressArgs) error { return p.putWord(a.address, a.location) }

// typeName is the name the program gave a type, or its own.
func (p *Proc) typeName(t *layout.Type) string {
	if x := p.named[t.Handle]; t.Predefined() && x != nil && x.renamed {
		return x.name
	}
	return t.Name
}

type getTypeNameArgs struct{ typeName, resultlen address }

// callTypeGetName knows the name of no type, too (MPI 5.0 section 7.8).
func callTypeGetName(p *Proc, a typeArgs[getTypeNameArgs]) error {
	name := "MPI_DATATYPE_NULL"
	if a.datatype != abi.TypeNull {
		t, err := p.typeOf(a.datatype)
		if err != nil {
			return err
		}
		name = p.typeName(t)
	}
	return p.putString(a.what.typeName, a.what.resultlen, name, abi.MaxObjectName)
}

type setTypeNameArgs struct{ typeName address }

func typeSetName(p *Proc, t *layout.Type, a setTypeNameArgs) error {
	name, err := p.cString(a.typeName, 1<<16)
	if err != nil {
		return err
	}
	name = name[:min(len(name), abi.MaxObjectName-1)]
	if t.Predefined() {
		x := p.overlay(t)
		x.name, x.renamed = name, true
		return nil
	}
	t.Name = name
	return nil
}

// overlay is what a rank adds to a predefined datatype, which all ranks share.
type overlay struct {
	name    string
	renamed bool
	attrs   attributes
}

func (p *Proc) overlay(t *layout.Type) *overlay {
	if p.named[t.Handle] == nil {
		p.named[t.Handle] = &overlay{}
	}
	return p.named[t.Handle]
}

func (p *Proc) typeAttributes(t *layout.Type) *attributes {
	if t.Predefined() {
		return &p.overlay(t).attrs
	}
	if p.typeAttrs[t] == nil {
		p.typeAttrs[t] = &attributes{}
	}
	return p.typeAttrs[t]
}

type envelopeArgs struct{ numIntegers, numAddresses, numDatatypes, combiner address }

func typeEnvelope(p *Proc, t *layout.Type, a envelopeArgs) error {
	ints, addrs, counts, types := t.Envelope()
	if len(counts) > 0 {
		return abi.Fail(abi.ErrType, "the datatype was made by a large-count function: call MPI_Type_get_envelope_c")
	}
	for _, n := range []struct {
		out address
		n   int
	}{{a.numIntegers, len(ints)}, {a.numAddresses, len(addrs)}, {a.numDatatypes, len(types)}} {
		if err := p.putInt(n.out, n.n); err != nil {
			return err
		}
	}
	return p.putInt(a.combiner, t.Made.Combiner)
}

type largeEnvelopeArgs struct{ numIntegers, numAddresses, numLargeCounts, numDatatypes, combiner address }

func typeEnvelopeLarge(p *Proc, t *layout.Type, a largeEnvelopeArgs) error {
	ints, addrs, counts, types := t.Envelope()
	for _, n := range []struct {
		out address
		n   int
	}{{a.numIntegers, len(ints)}, {a.numAddresses, len(addrs)}, {a.numLargeCounts, len(counts)}, {a.numDatatypes, len(types)}} {
		if err := p.putWide(n.out, int64(n.n)); err != nil {
			return err
		}
	}
	return p.putInt(a.combiner, t.Made.Combiner)
}

type contentsArgs struct {
	maxIntegers, maxAddresses, maxDatatypes             count
	arrayOfIntegers, arrayOfAddresses, arrayOfDatatypes address
}

func typeContents(p *Proc, t *layout.Type, a contentsArgs) error {
	if _, _, counts, _ := t.Envelope(); len(counts) > 0 {
		return abi.Fail(abi.ErrType, "the datatype was made by a large-count function: call MPI_Type_get_contents_c")
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

func typeContentsLarge(p *Proc, t *layout.Type, a largeContentsArgs) error {
	if t.Made.Combiner == abi.CombinerNamed {
		return abi.Fail(abi.ErrType, "%s is a named datatype: it has no contents", t)
	}
	ints, addrs, counts, types := t.Envelope()
	for _, n := range []struct {
		room count
		n    int
	}{{a.maxIntegers, len(ints)}, {a.maxAddresses, len(addrs)}, {a.maxLargeCounts, len(counts)}, {a.maxDatatypes, len(types)}} {
		if n.room < int64(n.n) {
			return abi.Fail(abi.ErrArg, "room for %d values, there are %d", n.room, n.n)
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
		return p.giveF90(layout.Contents{Combiner: combiner, Ints: []int64{int64(a.p), int64(a.r)}}, a.newtype)
	})
}

type f90IntegerArgs struct {
	r       int
	newtype address
}

func callF90Integer(p *Proc, a f90IntegerArgs) error {
	return p.giveF90(layout.Contents{Combiner: abi.CombinerF90Integer, Ints: []int64{int64(a.r)}}, a.newtype)
}

// giveF90 makes the Fortran types that are chosen by precision (MPI 5.0 section 19.1.9): the smallest that fits,
// the same one each time.
func (p *Proc) giveF90(made layout.Contents, out address) error {
	base := layout.F90Base(made.Combiner, made.Ints)
	if base == 0 {
		return abi.Fail(abi.ErrArg, "no type has that precision and range")
	}
	made.Types = []*layout.Type{layout.Predefined()[base]}
	key := fmt.Sprint("f90 ", made.Combiner, made.Ints)
	t := p.f90[key]
	if t == nil {
		var err error
		if t, err = layout.Build(made); err != nil {
			return err
		}
		t.Fixed = true
		p.f90[key] = t
		return p.giveType(t, out)
	}
	return p.putWord(out, t.Handle)
}

type matchSizeArgs struct {
	typeclass, size int
	datatype        address
}

// callMatchSize finds a type by class and size (MPI 5.0 section 19.1.9).
func callMatchSize(p *Proc, a matchSizeArgs) error {
	found := map[[2]int]uint32{
		{abi.TypeclassReal, 4}: 0x2d2, {abi.TypeclassReal, 8}: 0x2da, {abi.TypeclassReal, 16}: 0x2e2,
		{abi.TypeclassInteger, 1}: 0x2c1, {abi.TypeclassInteger, 2}: 0x2c9, {abi.TypeclassInteger, 4}: 0x2d1, {abi.TypeclassInteger, 8}: 0x2d9,
		{abi.TypeclassComplex, 8}: 0x2db, {abi.TypeclassComplex, 16}: 0x2e3, {abi.TypeclassComplex, 32}: 0x2eb,
	}[[2]int{a.typeclass, a.size}]
	if found == 0 {
		return abi.Fail(abi.ErrArg, "no type of class %d has %d bytes", a.typeclass, a.size)
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
	for _, pair := range layout.Pairs {
		if pair.Value == value.Handle && pair.Index == index.Handle {
			return p.putWord(a.pairType, pair.Handle)
		}
	}
	if !arithmeticClass(value.Class) || (index.Class != layout.SignedType && index.Class != layout.UnsignedType) || !value.Predefined() || !index.Predefined() {
		return p.putWord(a.pairType, abi.TypeNull)
	}
	key := "pair " + value.Name + " " + index.Name
	if t := p.f90[key]; t != nil {
		return p.putWord(a.pairType, t.Handle)
	}
	t, err := layout.Build(layout.Contents{Combiner: abi.CombinerValueIndex, Types: []*layout.Type{value, index}})
	if err != nil {
		return err
	}
	t.Fixed = true
	p.f90[key] = t
	return p.giveType(t, a.pairType)
}

func arithmeticClass(c layout.Class) bool {
	return c == layout.SignedType || c == layout.UnsignedType || c == layout.FloatType || c == layout.QuadType
}
