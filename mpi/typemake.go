package mpi

// typeCalls are the constructors of datatypes (MPI 5.0 section 5.1).
func typeCalls() []entry {
	return []entry{
		{name: "MPI_Type_contiguous", impl: construct(2, 1, makeContiguous)},
		{name: "MPI_Type_vector", impl: construct(4, 3, makeVector)},
		{name: "MPI_Type_create_hvector", impl: construct(4, 3, makeHvector)},
		{name: "MPI_Type_hvector", impl: construct(4, 3, makeHvector)},
		{name: "MPI_Type_indexed", impl: construct(4, 3, makeIndexed)},
		{name: "MPI_Type_create_hindexed", impl: construct(4, 3, makeHindexed)},
		{name: "MPI_Type_hindexed", impl: construct(4, 3, makeHindexed)},
		{name: "MPI_Type_create_indexed_block", impl: construct(4, 3, makeIndexedBlock)},
		{name: "MPI_Type_create_hindexed_block", impl: construct(4, 3, makeHindexedBlock)},
		{name: "MPI_Type_create_struct", impl: construct(4, -1, makeStruct)},
		{name: "MPI_Type_struct", impl: construct(4, -1, makeStruct)},
		{name: "MPI_Type_create_subarray", impl: construct(6, 5, makeSubarray)},
		{name: "MPI_Type_create_darray", impl: construct(9, 8, makeDarray)},
		{name: "MPI_Type_create_resized", impl: construct(3, 0, makeResized)},
		{name: "MPI_Type_dup", impl: callTypeDup},
		{name: "MPI_Type_commit", impl: callTypeCommit},
		{name: "MPI_Type_free", impl: callTypeFree},
		{name: "MPI_Type_create_f90_real", impl: callF90(combinerF90Real)},
		{name: "MPI_Type_create_f90_complex", impl: callF90(combinerF90Complex)},
		{name: "MPI_Type_create_f90_integer", impl: callF90(combinerF90Integer)},
		{name: "MPI_Type_match_size", impl: callMatchSize},
		{name: "MPI_Type_get_value_index", impl: callValueIndex},
	}
}

// maxTypeBytes bounds size, extent and displacements of a type, so that sums of them do not overflow.
const maxTypeBytes = 1 << 52

// maxTypeDepth bounds how deep types are made of types: whoever goes through one goes down by recursion.
const maxTypeDepth = maxDepth / 2 // what has types in it may be captured, too

// construct makes a constructor's call: describe says how the type was made; the new handle goes to parameter
// out. old is the parameter with the old type, or -1.
func construct(out, old int, describe func(p *Proc, a args, old *datatype) (contents, error)) func(*Proc, args) (uint64, error) {
	return func(p *Proc, a args) (uint64, error) {
		var t *datatype
		if old >= 0 {
			var err error
			if t, err = p.typeOf(a.u32(old)); err != nil {
				return 0, err
			}
		}
		made, err := describe(p, a, t)
		if err != nil {
			return 0, err
		}
		made.large = a.large
		if err = p.room(blockCost * int64(len(made.ints)+len(made.addrs)+len(made.types))); err != nil {
			return 0, err
		}
		if t, err = build(made); err != nil {
			return 0, err
		}
		return p.giveType(t, a.u32(out))
	}
}

// giveType stores the handle of a new type.
func (p *Proc) giveType(t *datatype, out uint32) (uint64, error) {
	if _, err := p.handles(out, 1); err != nil {
		return 0, err
	}
	h, err := p.hold(t)
	if err != nil {
		return 0, err
	}
	return success, p.putWord(out, h)
}

// nonNegative checks a count or length.
func nonNegative(v int64, what string) error {
	if v < 0 {
		return fail(errArg, "%s is %d", what, v)
	}
	return nil
}

func makeContiguous(_ *Proc, a args, old *datatype) (contents, error) {
	n := a.count(0)
	if n < 0 {
		return contents{}, fail(errCount, "count is %d", n)
	}
	return contents{combiner: combinerContiguous, ints: []int64{n}, types: []*datatype{old}}, nil
}

func makeVector(_ *Proc, a args, old *datatype) (contents, error) {
	n, length, stride := a.count(0), a.count(1), a.count(2)
	if n < 0 {
		return contents{}, fail(errCount, "count is %d", n)
	}
	c := contents{combiner: combinerVector, ints: []int64{n, length, stride}, types: []*datatype{old}}
	return c, nonNegative(length, "blocklength")
}

func makeHvector(_ *Proc, a args, old *datatype) (contents, error) {
	n, length, stride := a.count(0), a.count(1), a.count(2)
	if n < 0 {
		return contents{}, fail(errCount, "count is %d", n)
	}
	c := contents{combiner: combinerHvector, ints: []int64{n, length}, addrs: []int64{stride}, types: []*datatype{old}}
	return c, nonNegative(length, "blocklength")
}

// lists reads a constructor's arrays: n values at each pointer. Lengths must not be negative.
func (p *Proc) lists(a args, n int64, lengths, displs uint32) (l, d []int64, err error) {
	if n < 0 || n > 1<<28 {
		return nil, nil, fail(errCount, "count is %d", n)
	}
	if lengths != 0 || n == 0 {
		if l, err = p.counts(a, lengths, int(n)); err != nil {
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
	d, err = p.counts(a, displs, int(n))
	return l, d, err
}

func makeIndexed(p *Proc, a args, old *datatype) (contents, error) {
	l, d, err := p.lists(a, a.count(0), a.u32(1), a.u32(2))
	ints := append(append([]int64{a.count(0)}, l...), d...)
	return contents{combiner: combinerIndexed, ints: ints, types: []*datatype{old}}, err
}

func makeHindexed(p *Proc, a args, old *datatype) (contents, error) {
	l, d, err := p.lists(a, a.count(0), a.u32(1), a.u32(2))
	ints := append([]int64{a.count(0)}, l...)
	return contents{combiner: combinerHindexed, ints: ints, addrs: d, types: []*datatype{old}}, err
}

func makeIndexedBlock(p *Proc, a args, old *datatype) (contents, error) {
	c, d, err := p.blockList(a, old)
	c.combiner, c.ints = combinerIdxBlock, append(c.ints, d...)
	return c, err
}

func makeHindexedBlock(p *Proc, a args, old *datatype) (contents, error) {
	c, d, err := p.blockList(a, old)
	c.combiner, c.addrs = combinerHidxBlock, d
	return c, err
}

func (p *Proc) blockList(a args, old *datatype) (contents, []int64, error) {
	n, length := a.count(0), a.count(1)
	c := contents{ints: []int64{n, length}, types: []*datatype{old}}
	if n < 0 || n > 1<<28 {
		return c, nil, fail(errCount, "count is %d", n)
	}
	if err := nonNegative(length, "blocklength"); err != nil {
		return c, nil, err
	}
	d, err := p.counts(a, a.u32(2), int(n))
	return c, d, err
}

func makeStruct(p *Proc, a args, _ *datatype) (contents, error) {
	l, d, err := p.lists(a, a.count(0), a.u32(1), a.u32(2))
	if err != nil {
		return contents{}, err
	}
	handles, err := p.words(a.u32(3), len(l))
	if err != nil {
		return contents{}, err
	}
	c := contents{combiner: combinerStruct, ints: append([]int64{a.count(0)}, l...), addrs: d}
	for _, h := range handles {
		t, err := p.typeOf(h)
		if err != nil {
			return contents{}, err
		}
		c.types = append(c.types, t)
	}
	return c, nil
}

func makeResized(_ *Proc, a args, old *datatype) (contents, error) {
	return contents{combiner: combinerResized, addrs: []int64{a.count(1), a.count(2)}, types: []*datatype{old}}, nil
}

// callTypeDup copies a type with the attributes that want it (MPI 5.0 section 5.1.10).
func callTypeDup(p *Proc, a args) (uint64, error) {
	old, err := p.typeOf(a.u32(0))
	if err != nil {
		return 0, err
	}
	of := old
	if old.made.combiner == combinerDup {
		of = old.made.types[0] // a copy of a copy is no deeper
	}
	t, err := build(contents{combiner: combinerDup, types: []*datatype{of}})
	if err != nil {
		return 0, err
	}
	t.committed = old.committed
	if _, err := p.handles(a.u32(1), 1); err != nil {
		return 0, err
	}
	if err := p.room(t.cost()); err != nil { // before the program hears of it
		return 0, err
	}
	p.charge(old) // whatever the program's functions do
	defer p.disuse(old)
	if err := p.copyAttributes(a.u32(0), p.typeAttributes(old), p.typeAttributes(t)); err != nil {
		delete(p.typeAttrs, t)
		if bad := p.putWord(a.u32(1), typeNull); bad != nil {
			return 0, bad
		}
		return 0, err
	}
	v, err := p.giveType(t, a.u32(1))
	if err != nil {
		p.forget(p.typeAttributes(t))
		delete(p.typeAttrs, t)
	}
	return v, err
}

func callTypeCommit(p *Proc, a args) (uint64, error) {
	h, err := p.word(a.u32(0))
	if err != nil {
		return 0, err
	}
	t, err := p.typeOf(h)
	if err == nil && !t.committed { // a predefined one is shared by all ranks, and committed
		t.committed = true
	}
	return success, err
}

// callTypeFree forgets a handle. Messages and types that use the type keep it.
func callTypeFree(p *Proc, a args) (uint64, error) {
	h, err := p.word(a.u32(0))
	if err != nil {
		return 0, err
	}
	t, err := p.typeOf(h)
	if err != nil {
		return 0, err
	}
	if t.predefined() || t.fixed {
		return 0, fail(errType, "the predefined datatype %s cannot be freed", t)
	}
	if t.refs == 1 {
		if err := p.deleteAttributes(h, p.typeAttributes(t)); err != nil {
			return 0, err
		}
		if p.types.get(h) != t {
			return 0, fail(errType, freedInside)
		}
	}
	if t.refs--; t.refs <= 0 {
		delete(p.typeAttrs, t)
		p.types.drop(h)
		p.disuse(t)
	}
	return success, p.putWord(a.u32(0), typeNull)
}
