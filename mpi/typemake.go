package mpi

import (
	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/layout"
)

// typeCalls are the constructors of datatypes (MPI 5.0 section 5.1).
func typeCalls() []entry {
	return []entry{
		{name: "MPI_Type_contiguous", impl: constructOf(makeContiguous)},
		{name: "MPI_Type_vector", impl: constructOf(makeVector)},
		{name: "MPI_Type_create_hvector", impl: constructOf(makeHvector)},
		{name: "MPI_Type_hvector", impl: constructOf(makeHvector)},
		{name: "MPI_Type_indexed", impl: constructOf(makeIndexed)},
		{name: "MPI_Type_create_hindexed", impl: constructOf(makeHindexed)},
		{name: "MPI_Type_hindexed", impl: constructOf(makeHindexed)},
		{name: "MPI_Type_create_indexed_block", impl: constructOf(makeIndexedBlock)},
		{name: "MPI_Type_create_hindexed_block", impl: constructOf(makeHindexedBlock)},
		{name: "MPI_Type_create_struct", impl: construct(makeStruct)},
		{name: "MPI_Type_struct", impl: construct(makeStruct)},
		{name: "MPI_Type_create_subarray", impl: constructOf(makeSubarray)},
		{name: "MPI_Type_create_darray", impl: constructOf(makeDarray)},
		{name: "MPI_Type_create_resized", impl: construct(makeResized)},
		{name: "MPI_Type_dup", impl: bind(callTypeDup)},
		{name: "MPI_Type_commit", impl: bind(callTypeCommit)},
		{name: "MPI_Type_free", impl: bind(callTypeFree)},
		{name: "MPI_Type_create_f90_real", impl: callF90Float(abi.CombinerF90Real)},
		{name: "MPI_Type_create_f90_complex", impl: callF90Float(abi.CombinerF90Complex)},
		{name: "MPI_Type_create_f90_integer", impl: bind(callF90Integer)},
		{name: "MPI_Type_match_size", impl: bind(callMatchSize)},
		{name: "MPI_Type_get_value_index", impl: bind(callValueIndex)},
	}
}

// newTypeArgs are a constructor's arguments: how the type is made, and where its handle goes.
type newTypeArgs[T any] struct {
	how     T
	newtype address
}

// construct makes a constructor of what says how the type is made.
func construct[T any](describe func(p *Proc, a T) (layout.Contents, error)) body {
	return bind(func(p *Proc, a newTypeArgs[T]) error {
		made, err := describe(p, a.how)
		if err != nil {
			return err
		}
		made.Large = p.large()
		if err = p.room(blockCost * int64(len(made.Ints)+len(made.Addrs)+len(made.Types))); err != nil {
			return err
		}
		t, err := layout.Build(made)
		if err != nil {
			return err
		}
		return p.giveType(t, a.newtype)
	})
}

// oldTypeArgs end in the type of the elements.
type oldTypeArgs[T any] struct {
	how     T
	oldtype handle
}

// constructOf is construct for types of elements of one type.
func constructOf[T any](describe func(p *Proc, a T, old *layout.Type) (layout.Contents, error)) body {
	return construct(func(p *Proc, a oldTypeArgs[T]) (layout.Contents, error) {
		old, err := p.typeOf(a.oldtype)
		if err != nil {
			return layout.Contents{}, err
		}
		return describe(p, a.how, old)
	})
}

// giveType stores the handle of a new type.
func (p *Proc) giveType(t *layout.Type, out uint32) error {
	if _, err := p.handles(out, 1); err != nil {
		return err
	}
	h, err := p.hold(t)
	if err != nil {
		return err
	}
	return p.putWord(out, h)
}

// nonNegative checks a count or length.
func nonNegative(v int64, what string) error {
	if v < 0 {
		return abi.Fail(abi.ErrArg, "%s is %d", what, v)
	}
	return nil
}

type contiguousArgs struct{ count count }

func makeContiguous(_ *Proc, a contiguousArgs, old *layout.Type) (layout.Contents, error) {
	n := a.count
	if n < 0 {
		return layout.Contents{}, abi.Fail(abi.ErrCount, "count is %d", n)
	}
	return layout.Contents{Combiner: abi.CombinerContiguous, Ints: []int64{n}, Types: []*layout.Type{old}}, nil
}

type vectorArgs struct{ count, blocklength, stride count }

func makeVector(_ *Proc, a vectorArgs, old *layout.Type) (layout.Contents, error) {
	n, length, stride := a.count, a.blocklength, a.stride
	if n < 0 {
		return layout.Contents{}, abi.Fail(abi.ErrCount, "count is %d", n)
	}
	c := layout.Contents{Combiner: abi.CombinerVector, Ints: []int64{n, length, stride}, Types: []*layout.Type{old}}
	return c, nonNegative(length, "blocklength")
}

func makeHvector(_ *Proc, a vectorArgs, old *layout.Type) (layout.Contents, error) {
	n, length, stride := a.count, a.blocklength, a.stride
	if n < 0 {
		return layout.Contents{}, abi.Fail(abi.ErrCount, "count is %d", n)
	}
	c := layout.Contents{Combiner: abi.CombinerHvector, Ints: []int64{n, length}, Addrs: []int64{stride}, Types: []*layout.Type{old}}
	return c, nonNegative(length, "blocklength")
}

// lists reads a constructor's arrays: n values at each pointer. Lengths must not be negative.
func (p *Proc) lists(n int64, lengths, displs uint32) (l, d []int64, err error) {
	if n < 0 || n > 1<<28 {
		return nil, nil, abi.Fail(abi.ErrCount, "count is %d", n)
	}
	if lengths != 0 || n == 0 {
		if l, err = p.counts(lengths, int(n)); err != nil {
			return nil, nil, err
		}
		for _, v := range l {
			if err := nonNegative(v, "a blocklength"); err != nil {
				return nil, nil, err
			}
		}
	} else {
		return nil, nil, abi.Fail(abi.ErrArg, "array_of_blocklengths is a null pointer")
	}
	d, err = p.counts(displs, int(n))
	return l, d, err
}

type indexedArgs struct {
	count                                     count
	arrayOfBlocklengths, arrayOfDisplacements address
}

func makeIndexed(p *Proc, a indexedArgs, old *layout.Type) (layout.Contents, error) {
	l, d, err := p.lists(a.count, a.arrayOfBlocklengths, a.arrayOfDisplacements)
	ints := append(append([]int64{a.count}, l...), d...)
	return layout.Contents{Combiner: abi.CombinerIndexed, Ints: ints, Types: []*layout.Type{old}}, err
}

func makeHindexed(p *Proc, a indexedArgs, old *layout.Type) (layout.Contents, error) {
	l, d, err := p.lists(a.count, a.arrayOfBlocklengths, a.arrayOfDisplacements)
	ints := append([]int64{a.count}, l...)
	return layout.Contents{Combiner: abi.CombinerHindexed, Ints: ints, Addrs: d, Types: []*layout.Type{old}}, err
}

type indexedBlockArgs struct {
	count, blocklength   count
	arrayOfDisplacements address
}

func makeIndexedBlock(p *Proc, a indexedBlockArgs, old *layout.Type) (layout.Contents, error) {
	c, d, err := p.blockList(a, old)
	c.Combiner, c.Ints = abi.CombinerIdxBlock, append(c.Ints, d...)
	return c, err
}

func makeHindexedBlock(p *Proc, a indexedBlockArgs, old *layout.Type) (layout.Contents, error) {
	c, d, err := p.blockList(a, old)
	c.Combiner, c.Addrs = abi.CombinerHidxBlock, d
	return c, err
}

func (p *Proc) blockList(a indexedBlockArgs, old *layout.Type) (layout.Contents, []int64, error) {
	n, length := a.count, a.blocklength
	c := layout.Contents{Ints: []int64{n, length}, Types: []*layout.Type{old}}
	if n < 0 || n > 1<<28 {
		return c, nil, abi.Fail(abi.ErrCount, "count is %d", n)
	}
	if err := nonNegative(length, "blocklength"); err != nil {
		return c, nil, err
	}
	d, err := p.counts(a.arrayOfDisplacements, int(n))
	return c, d, err
}

type structArgs struct {
	count                                                   count
	arrayOfBlocklengths, arrayOfDisplacements, arrayOfTypes address
}

func makeStruct(p *Proc, a structArgs) (layout.Contents, error) {
	l, d, err := p.lists(a.count, a.arrayOfBlocklengths, a.arrayOfDisplacements)
	if err != nil {
		return layout.Contents{}, err
	}
	handles, err := p.words(a.arrayOfTypes, len(l))
	if err != nil {
		return layout.Contents{}, err
	}
	c := layout.Contents{Combiner: abi.CombinerStruct, Ints: append([]int64{a.count}, l...), Addrs: d}
	for _, h := range handles {
		t, err := p.typeOf(h)
		if err != nil {
			return layout.Contents{}, err
		}
		c.Types = append(c.Types, t)
	}
	return c, nil
}

type resizedArgs struct {
	oldtype    handle
	lb, extent count
}

func makeResized(p *Proc, a resizedArgs) (layout.Contents, error) {
	old, err := p.typeOf(a.oldtype)
	return layout.Contents{Combiner: abi.CombinerResized, Addrs: []int64{a.lb, a.extent}, Types: []*layout.Type{old}}, err
}

type typeDupArgs struct {
	oldtype handle
	newtype address
}

// callTypeDup copies a type with the attributes that want it (MPI 5.0 section 5.1.10).
func callTypeDup(p *Proc, a typeDupArgs) error {
	old, err := p.typeOf(a.oldtype)
	if err != nil {
		return err
	}
	of := old
	if old.Made.Combiner == abi.CombinerDup {
		of = old.Made.Types[0] // a copy of a copy is no deeper
	}
	t, err := layout.Build(layout.Contents{Combiner: abi.CombinerDup, Types: []*layout.Type{of}})
	if err != nil {
		return err
	}
	t.Committed = old.Committed
	if _, err := p.handles(a.newtype, 1); err != nil {
		return err
	}
	if err := p.room(t.Cost()); err != nil { // before the program hears of it
		return err
	}
	p.charge(old) // whatever the program's functions do
	defer p.disuse(old)
	if err := p.copyAttributes(a.oldtype, p.typeAttributes(old), p.typeAttributes(t)); err != nil {
		delete(p.typeAttrs, t)
		if bad := p.putWord(a.newtype, abi.TypeNull); bad != nil {
			return bad
		}
		return err
	}
	err = p.giveType(t, a.newtype)
	if err != nil {
		p.forget(p.typeAttributes(t))
		delete(p.typeAttrs, t)
	}
	return err
}

type typeHandleArgs struct{ datatype address }

func callTypeCommit(p *Proc, a typeHandleArgs) error {
	h, err := p.word(a.datatype)
	if err != nil {
		return err
	}
	t, err := p.typeOf(h)
	if err == nil && !t.Committed { // a predefined one is shared by all ranks, and committed
		t.Committed = true
	}
	return err
}

// callTypeFree forgets a handle. Messages and types that use the type keep it.
func callTypeFree(p *Proc, a typeHandleArgs) error {
	h, err := p.word(a.datatype)
	if err != nil {
		return err
	}
	t, err := p.typeOf(h)
	if err != nil {
		return err
	}
	if t.Predefined() || t.Fixed {
		return abi.Fail(abi.ErrType, "the predefined datatype %s cannot be freed", t)
	}
	if t.Refs == 1 {
		if err := p.deleteAttributes(h, p.typeAttributes(t)); err != nil {
			return err
		}
		if p.types.get(h) != t {
			return abi.Fail(abi.ErrType, freedInside)
		}
	}
	if t.Refs--; t.Refs <= 0 {
		delete(p.typeAttrs, t)
		p.types.drop(h)
		p.disuse(t)
	}
	return p.putWord(a.datatype, abi.TypeNull)
}
