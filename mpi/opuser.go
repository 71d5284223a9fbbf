package mpi

// opCalls are the functions about operations.
func opCalls() []entry {
	return []entry{
		{name: "MPI_Op_create", impl: bind(callOpCreate)},
		{name: "MPI_Op_free", impl: bind(callOpFree)},
		{name: "MPI_Op_commutative", impl: bind(callOpCommutative)},
		{name: "MPI_Reduce_local", impl: bind(callReduceLocal)},
	}
}

// op finds an operation by handle.
func (p *Proc) op(handle uint32) (*operation, error) {
	if o := predefinedOps[handle]; o != nil {
		return o, nil
	}
	if o := p.ops.get(handle); o != nil {
		return o, nil
	}
	return nil, fail(errOp, "operation %#x is not known", handle)
}

// reducer finds an operation for a reduction, where MPI_REPLACE and MPI_NO_OP are not allowed.
func (p *Proc) reducer(handle uint32, t *datatype) (*operation, error) {
	o, err := p.op(handle)
	if err != nil {
		return nil, err
	}
	if handle == opReplace || handle == opNoOp {
		return nil, fail(errOp, "%s is for one-sided operations only", opNames[handle])
	}
	return o, checkOp(o, t)
}

type opCreateArgs struct {
	userFn  address
	commute int
	op      address
}

func callOpCreate(p *Proc, a opCreateArgs) error {
	if a.userFn == 0 {
		return fail(errArg, "the function is a null pointer")
	}
	if _, err := p.handles(a.op, 1); err != nil {
		return err
	}
	o := &operation{fn: a.userFn, commutes: a.commute != 0, large: p.large()}
	var err error
	if o.handle, err = p.ops.add(o, p.w.cfg.MaxObjects); err != nil {
		return err
	}
	return p.putWord(a.op, o.handle)
}

type opFreeArgs struct{ op address }

func callOpFree(p *Proc, a opFreeArgs) error {
	h, err := p.word(a.op)
	if err != nil {
		return err
	}
	if p.ops.get(h) == nil {
		return fail(errOp, "operation %#x is not one that the program made", h)
	}
	p.ops.drop(h)
	return p.putWord(a.op, opNull)
}

type opCommutativeArgs struct {
	op      handle
	commute address
}

func callOpCommutative(p *Proc, a opCommutativeArgs) error {
	o, err := p.op(a.op)
	if err != nil {
		return err
	}
	return p.putInt(a.commute, truth(o.commutes))
}

type reduceLocalArgs struct {
	inbuf, inoutbuf address
	count           count
	datatype, op    handle
}

// callReduceLocal computes inoutbuf = inbuf op inoutbuf (MPI 5.0 section 6.9.7).
func callReduceLocal(p *Proc, a reduceLocalArgs) error {
	t, err := p.committed(a.datatype)
	if err != nil {
		return err
	}
	o, err := p.reducer(a.op, t)
	if err != nil {
		return err
	}
	in, err := p.elements(a.inbuf, a.count, t)
	if err != nil {
		return err
	}
	out, err := p.elements(a.inoutbuf, a.count, t)
	if err != nil || out.len == 0 {
		return err
	}
	if a.inbuf == a.inoutbuf {
		return fail(errBuffer, "inbuf and inoutbuf are the same")
	}
	if o.fn != 0 {
		return p.applyUser(o, t, out, in, out)
	}
	p.unlocked(out.len, func() {
		if out.typ == nil {
			data := p.bytes(out)
			combine(o.handle, t, data, p.bytes(in), data)
			return
		}
		data, more := make([]byte, out.len), make([]byte, out.len)
		p.pack(data, out)
		p.pack(more, in)
		combine(o.handle, t, data, more, data)
		p.unpack(out, data)
	})
	return nil
}

// applyUser computes dst = left op right with the program's function, which wants both operands as elements in its
// own memory and stores the result in the right one. Spans of guest memory are used where they are if the result
// may replace the operand.
func (p *Proc) applyUser(o *operation, t *datatype, dst, left, right span) error {
	count := int64(dst.len) / max(t.size, 1)
	if count == 0 {
		return nil
	}
	if count > 1<<31-1 && !o.large {
		return fail(errCount, "%d elements are too many for the program's operation", count)
	}
	need := (t.trueUB - t.trueLB) + int64(magnitude(times(count-1, t.extent())))
	need = roundUp(need, 16)
	if need >= 1<<31 {
		return fail(errNoMem, "%d bytes of operands are too many for the program's operation", need)
	}
	addr, done, err := p.operands(uint32(2 * need))
	if err != nil {
		return err
	}
	defer done()
	base := int64(addr) - t.trueLB
	if t.extent() < 0 {
		base -= (count - 1) * t.extent()
	}
	// The address of the first element may be below 0: the program adds displacements modulo 2^32, as wasm does.
	in, inout := base, base+need
	p.spread(t, in, left)
	p.spread(t, inout, right)
	if !t.predefined() && p.types.get(t.handle) != t { // freed meanwhile: the function may ask about it
		if t.handle, err = p.types.again(t, t.handle, p.w.cfg.MaxObjects); err != nil {
			return err
		}
		defer p.types.drop(t.handle)
	}
	words := []uint32{uint32(count), 0, t.handle}
	err = p.withWords(words, func(at uint32) error {
		_, err := p.call(o.fn, uint32(in), uint32(inout), at, at+8)
		return err
	})
	if err != nil {
		return err
	}
	result := make([]byte, dst.len)
	t.packAt(result, p.mem.Bytes(), inout)
	p.unpack(dst, result)
	return nil
}

// spread stores a span's data as elements of a type at an address of the program's memory.
func (p *Proc) spread(t *datatype, at int64, s span) {
	t.unpackAt(p.mem.Bytes(), at, p.packed(s))
}

// operands returns memory of the program for the operands of its operations, until done: it grows and is kept, since
// reductions come many in a row. An operation that reduces something itself finds it in use, and gets memory of its own.
func (p *Proc) operands(n uint32) (addr uint32, done func(), err error) {
	if p.operandsInUse {
		addr, err = p.alloc(n, 16)
		return addr, func() { _ = p.freeMemory(addr) }, err // a program that ends in free has ended in its operation too
	}
	if n > p.operandBytes {
		if err := p.freeMemory(p.operandMemory); err != nil {
			return 0, nil, err
		}
		p.operandMemory, p.operandBytes = 0, 0
		if addr, err = p.alloc(n, 16); err != nil {
			return 0, nil, err
		}
		p.operandMemory, p.operandBytes = addr, n
	}
	p.operandsInUse = true
	return p.operandMemory, func() { p.operandsInUse = false }, nil
}
