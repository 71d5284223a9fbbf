package mpi

import (
	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/layout"
)

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
func (p *Proc) op(handle uint32) (*layout.Op, error) {
	if o := layout.PredefinedOps[handle]; o != nil {
		return o, nil
	}
	if o := p.ops.get(handle); o != nil {
		return o, nil
	}
	return nil, abi.Fail(abi.ErrOp, "operation %#x is not known", handle)
}

// reducer finds an operation for a reduction, where MPI_REPLACE and MPI_NO_OP are not allowed.
func (p *Proc) reducer(handle uint32, t *layout.Type) (*layout.Op, error) {
	o, err := p.op(handle)
	if err != nil {
		return nil, err
	}
	if handle == abi.OpReplace || handle == abi.OpNoOp {
		return nil, abi.Fail(abi.ErrOp, "%s is for one-sided operations only", abi.OpNames[handle])
	}
	return o, layout.CheckOp(o, t)
}

type opCreateArgs struct {
	userFn  address
	commute int
	op      address
}

func callOpCreate(p *Proc, a opCreateArgs) error {
	if a.userFn == 0 {
		return abi.Fail(abi.ErrArg, "the function is a null pointer")
	}
	if _, err := p.handles(a.op, 1); err != nil {
		return err
	}
	o := &layout.Op{Func: a.userFn, Commutes: a.commute != 0, Large: p.large()}
	var err error
	if o.Handle, err = p.ops.add(o, p.w.cfg.MaxObjects); err != nil {
		return err
	}
	return p.putWord(a.op, o.Handle)
}

type opFreeArgs struct{ op address }

func callOpFree(p *Proc, a opFreeArgs) error {
	h, err := p.word(a.op)
	if err != nil {
		return err
	}
	if p.ops.get(h) == nil {
		return abi.Fail(abi.ErrOp, "operation %#x is not one that the program made", h)
	}
	p.ops.drop(h)
	return p.putWord(a.op, abi.OpNull)
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
	return p.putInt(a.commute, truth(o.Commutes))
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
	if err != nil || out.Len == 0 {
		return err
	}
	if a.inbuf == a.inoutbuf {
		return abi.Fail(abi.ErrBuffer, "inbuf and inoutbuf are the same")
	}
	if o.Func != 0 {
		return p.applyUser(p.callThrough, o, t, out, in, out)
	}
	p.unlocked(out.Len, func() {
		if out.Type == nil {
			data := p.bytes(out)
			layout.Combine(o.Handle, t, data, p.bytes(in), data)
			return
		}
		data, more := make([]byte, out.Len), make([]byte, out.Len)
		p.pack(data, out)
		p.pack(more, in)
		layout.Combine(o.Handle, t, data, more, data)
		p.unpack(out, data)
	})
	return nil
}

// applyUser computes dst = left op right with the program's function, which wants both operands as elements in its
// own memory and stores the result in the right one. Spans of guest memory are used where they are if the result
// may replace the operand. call calls the function.
func (p *Proc) applyUser(call func(fn uint32, params ...uint32) (uint32, error), o *layout.Op, t *layout.Type, dst, left, right layout.Span) error {
	count := int64(dst.Len) / max(t.Size, 1)
	if count == 0 {
		return nil
	}
	if count > 1<<31-1 && !o.Large {
		return abi.Fail(abi.ErrCount, "%d elements are too many for the program's operation", count)
	}
	need := (t.TrueUB - t.TrueLB) + int64(layout.Magnitude(layout.Times(count-1, t.Extent())))
	need = layout.RoundUp(need, 16)
	if need >= 1<<31 {
		return abi.Fail(abi.ErrNoMem, "%d bytes of operands are too many for the program's operation", need)
	}
	addr, done, err := p.operands(uint32(2 * need))
	if err != nil {
		return err
	}
	defer done()
	base := int64(addr) - t.TrueLB
	if t.Extent() < 0 {
		base -= (count - 1) * t.Extent()
	}
	// The address of the first element may be below 0: the program adds displacements modulo 2^32, as wasm does.
	in, inout := base, base+need
	p.spread(t, in, left)
	p.spread(t, inout, right)
	if !t.Predefined() && p.types.get(t.Handle) != t { // freed meanwhile: the function may ask about it
		if t.Handle, err = p.types.restore(t, t.Handle, p.w.cfg.MaxObjects); err != nil {
			return err
		}
		defer p.types.drop(t.Handle)
	}
	words := []uint32{uint32(count), 0, t.Handle}
	err = p.withWords(words, func(at uint32) error {
		_, err := call(o.Func, uint32(in), uint32(inout), at, at+8)
		return err
	})
	if err != nil {
		return err
	}
	result := make([]byte, dst.Len)
	t.PackAt(result, p.mem.Bytes(), inout)
	p.unpack(dst, result)
	return nil
}

// spread stores a span's data as elements of a type at an address of the program's memory.
func (p *Proc) spread(t *layout.Type, at int64, s layout.Span) {
	t.UnpackAt(p.mem.Bytes(), at, p.packed(s))
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
