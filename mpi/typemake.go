package mpi

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
		{name: "MPI_Type_create_f90_real", impl: callF90Float(combinerF90Real)},
		{name: "MPI_Type_create_f90_complex", impl: callF90Float(combinerF90Complex)},
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
func construct[T any](describe func(p *Proc, a T) (contents, error)) body {
	return bind(func(p *Proc, a newTypeArgs[T]) error {
		made, err := describe(p, a.how)
		if err != nil {
			return err
		}
		made.large = p.large()
		if err = p.room(blockCost * int64(len(made.ints)+len(made.addrs)+len(made.types))); err != nil {
			return err
		}
		t, err := build(made)
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
func constructOf[T any](describe func(p *Proc, a T, old *datatype) (contents, error)) body {
	return construct(func(p *Proc, a oldTypeArgs[T]) (contents, error) {
		old, err := p.typeOf(a.oldtype)
		if err != nil {
			return contents{}, err
		}
		return describe(p, a.how, old)
	})
}

// giveType stores the handle of a new type.
func (p *Proc) giveType(t *datatype, out uint32) error {
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
		return fail(errArg, "%s is %d", what, v)
	}
	return nil
}

type contiguousArgs struct{ count count }

func makeContiguous(_ *Proc, a contiguousArgs, old *datatype) (contents, error) {
	n := a.count
	if n < 0 {
		return contents{}, fail(errCount, "count is %d", n)
	}
	return contents{combiner: combinerContiguous, ints: []int64{n}, types: []*datatype{old}}, nil
}

type vectorArgs struct{ count, blocklength, stride count }

func makeVector(_ *Proc, a vectorArgs, old *datatype) (contents, error) {
	n, length, stride := a.count, a.blocklength, a.stride
	if n < 0 {
		return contents{}, fail(errCount, "count is %d", n)
	}
	c := contents{combiner: combinerVector, ints: []int64{n, length, stride}, types: []*datatype{old}}
	return c, nonNegative(length, "blocklength")
}

func makeHvector(_ *Proc, a vectorArgs, old *datatype) (contents, error) {
	n, length, stride := a.count, a.blocklength, a.stride
	if n < 0 {
		return contents{}, fail(errCount, "count is %d", n)
	}
	c := contents{combiner: combinerHvector, ints: []int64{n, length}, addrs: []int64{stride}, types: []*datatype{old}}
	return c, nonNegative(length, "blocklength")
}

// lists reads a constructor's arrays: n values at each pointer. Lengths must not be negative.
func (p *Proc) lists(n int64, lengths, displs uint32) (l, d []int64, err error) {
	if n < 0 || n > 1<<28 {
		return nil, nil, fail(errCount, "count is %d", n)
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
		return nil, nil, fail(errArg, "array_of_blocklengths is a null pointer")
	}
	d, err = p.counts(displs, int(n))
	return l, d, err
}

type indexedArgs struct {
	count                                     count
	arrayOfBlocklengths, arrayOfDisplacements address
}

func makeIndexed(p *Proc, a indexedArgs, old *datatype) (contents, error) {
	l, d, err := p.lists(a.count, a.arrayOfBlocklengths, a.arrayOfDisplacements)
	ints := append(append([]int64{a.count}, l...), d...)
	return contents{combiner: combinerIndexed, ints: ints, types: []*datatype{old}}, err
}

func makeHindexed(p *Proc, a indexedArgs, old *datatype) (contents, error) {
	l, d, err := p.lists(a.count, a.arrayOfBlocklengths, a.arrayOfDisplacements)
	ints := append([]int64{a.count}, l...)
	return contents{combiner: combinerHindexed, ints: ints, addrs: d, types: []*datatype{old}}, err
}

type indexedBlockArgs struct {
	count, blocklength   count
	arrayOfDisplacements address
}

func makeIndexedBlock(p *Proc, a indexedBlockArgs, old *datatype) (contents, error) {
	c, d, err := p.blockList(a, old)
	c.combiner, c.ints = combinerIdxBlock, append(c.ints, d...)
	return c, err
}

func makeHindexedBlock(p *Proc, a indexedBlockArgs, old *datatype) (contents, error) {
	c, d, err := p.blockList(a, old)
	c.combiner, c.addrs = combinerHidxBlock, d
	return c, err
}

func (p *Proc) blockList(a indexedBlockArgs, old *datatype) (contents, []int64, error) {
	n, length := a.count, a.blocklength
	c := contents{ints: []int64{n, length}, types: []*datatype{old}}
	if n < 0 || n > 1<<28 {
		return c, nil, fail(errCount, "count is %d", n)
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

func makeStruct(p *Proc, a structArgs) (contents, error) {
	l, d, err := p.lists(a.count, a.arrayOfBlocklengths, a.arrayOfDisplacements)
	if err != nil {
		return contents{}, err
	}
	handles, err := p.words(a.arrayOfTypes, len(l))
	if err != nil {
		return contents{}, err
	}
	c := contents{combiner: combinerStruct, ints: append([]int64{a.count}, l...), addrs: d}
	for _, h := range handles {
		t, err := p.typeOf(h)
		if err != nil {
			return contents{}, err
		}
		c.types = append(c.types, t)
	}
	return c, nil
}

type resizedArgs struct {
	oldtype    handle
	lb, extent count
}

func makeResized(p *Proc, a resizedArgs) (contents, error) {
	old, err := p.typeOf(a.oldtype)
	return contents{combiner: combinerResized, addrs: []int64{a.lb, a.extent}, types: []*datatype{old}}, err
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
	if old.made.combiner == combinerDup {
		of = old.made.types[0] // a copy of a copy is no deeper
	}
	t, err := build(contents{combiner: combinerDup, types: []*datatype{of}})
	if err != nil {
		return err
	}
	t.committed = old.committed
	if _, err := p.handles(a.newtype, 1); err != nil {
		return err
	}
	if err := p.room(t.cost()); err != nil { // before the program hears of it
		return err
	}
	p.charge(old) // whatever the program's functions do
	defer p.disuse(old)
	if err := p.copyAttributes(a.oldtype, p.typeAttributes(old), p.typeAttributes(t)); err != nil {
		delete(p.typeAttrs, t)
		if bad := p.putWord(a.newtype, typeNull); bad != nil {
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
	if err == nil && !t.committed { // a predefined one is shared by all ranks, and committed
		t.committed = true
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
	if t.predefined() || t.fixed {
		return fail(errType, "the predefined datatype %s cannot be freed", t)
	}
	if t.refs == 1 {
		if err := p.deleteAttributes(h, p.typeAttributes(t)); err != nil {
			return err
		}
		if p.types.get(h) != t {
			return fail(errType, freedInside)
		}
	}
	if t.refs--; t.refs <= 0 {
		delete(p.typeAttrs, t)
		p.types.drop(h)
		p.disuse(t)
	}
	return p.putWord(a.datatype, typeNull)
}
