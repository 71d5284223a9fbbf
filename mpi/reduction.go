package mpi

import (
	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/coll"
	"github.com/godwit-run/godwit/mpi/layout"
)

// reduction finds the datatype and operation of a reducing collective.
func (g *plan) reduction(typ, op uint32) (*coll.Reduction, error) {
	t, err := g.p.committed(typ)
	if err != nil {
		return nil, err
	}
	o, err := g.p.reducer(op, t)
	g.reduces = coll.Reduction{Op: o, Type: t}
	return &g.reduces, err
}

// operand returns a buffer to compute with: one that is not contiguous is used through scratch memory, which
// is filled with it first if it is input.
func (g *plan) operand(s layout.Span, input bool) layout.Span {
	if s.Type == nil {
		return s
	}
	flat := g.s.Alloc(s.Len)
	if input {
		g.s.Copy(flat, s)
	}
	return flat
}

type allreduceArgs struct {
	sendbuf, recvbuf address
	count            count
	datatype, op     handle
}

// operands finds input and output of a reduction over the local group. Where wanted is false there is no output.
func (g *plan) operands(a allreduceArgs, t *layout.Type, placeOK, wanted bool) (in, out layout.Span, err error) {
	if a.count < 0 {
		return in, out, abi.Fail(abi.ErrCount, "count is %d", a.count)
	}
	if wanted {
		if out, err = g.p.elements(a.recvbuf, a.count, t); err != nil {
			return in, out, err
		}
	}
	if a.sendbuf == abi.InPlace && a.count > 0 {
		if !placeOK {
			return in, out, abi.Fail(abi.ErrBuffer, "MPI_IN_PLACE is for the root only")
		}
		return out, out, nil
	}
	if in, err = g.p.elements(a.sendbuf, a.count, t); err != nil {
		return in, out, err
	}
	return in, out, distinct(in, out)
}

// compute runs f between flat operands.
func (g *plan) compute(in, out layout.Span, f func(in, out layout.Span)) {
	flatIn, flatOut := g.operand(in, true), g.operand(out, false)
	if in == out {
		flatOut = flatIn
	}
	f(flatIn, flatOut)
	g.s.Copy(out, flatOut)
}

type reduceArgs struct {
	allreduceArgs
	root int
}

func planReduce(g *plan, a reduceArgs) error {
	root, err := g.root(a.root)
	if err != nil || root == abi.ProcNull {
		return err
	}
	r, err := g.reduction(a.datatype, a.op)
	if err != nil {
		return err
	}
	if g.c.inter() {
		return g.interReduce(a.allreduceArgs, root, r)
	}
	in, out, err := g.operands(a.allreduceArgs, r.Type, g.me == root, g.me == root)
	if err != nil {
		return err
	}
	g.compute(in, out, func(in, out layout.Span) { g.s.Reduce(g.me, g.size, root, in, out, r) })
	return nil
}

func planAllreduce(g *plan, a allreduceArgs) error {
	r, err := g.reduction(a.datatype, a.op)
	if err != nil {
		return err
	}
	in, out, err := g.operands(a, r.Type, !g.c.inter(), true)
	if err != nil {
		return err
	}
	g.compute(in, out, func(in, out layout.Span) {
		if g.c.inter() {
			g.interAllreduce(in, out, r)
		} else {
			g.s.Allreduce(g.me, g.size, in, out, r)
		}
	})
	return nil
}

func planScan(g *plan, a allreduceArgs) error   { return g.scan(a, false) }
func planExscan(g *plan, a allreduceArgs) error { return g.scan(a, true) }

func (g *plan) scan(a allreduceArgs, exclusive bool) error {
	if g.c.inter() {
		return abi.Fail(abi.ErrComm, "a scan is not defined on an intercommunicator")
	}
	r, err := g.reduction(a.datatype, a.op)
	if err != nil {
		return err
	}
	in, out, err := g.operands(a, r.Type, true, true)
	if err != nil {
		return err
	}
	if exclusive && g.me == 0 { // its output stays as it is
		g.s.Scan(g.me, g.size, g.operand(in, true), layout.Span{}, r, true)
		return nil
	}
	g.compute(in, out, func(in, out layout.Span) { g.s.Scan(g.me, g.size, in, out, r, exclusive) })
	return nil
}

type reduceScatterBlockArgs struct {
	sendbuf, recvbuf address
	recvcount        count
	datatype, op     handle
}

func planReduceScatterBlock(g *plan, a reduceScatterBlockArgs) error {
	n := a.recvcount
	if n < 0 {
		return abi.Fail(abi.ErrCount, "recvcount is %d", n)
	}
	counts := make([]int64, g.size)
	for i := range counts {
		counts[i] = n
	}
	return g.reduceScatter(reduceScatterArgs{sendbuf: a.sendbuf, recvbuf: a.recvbuf, datatype: a.datatype, op: a.op}, counts)
}

type reduceScatterArgs struct {
	sendbuf, recvbuf, recvcounts address
	datatype, op                 handle
}

func planReduceScatter(g *plan, a reduceScatterArgs) error {
	counts, err := g.p.counts(a.recvcounts, g.size)
	if err != nil {
		return err
	}
	for i, n := range counts {
		if n < 0 {
			return abi.Fail(abi.ErrCount, "the count of rank %d is %d", i, n)
		}
	}
	return g.reduceScatter(a, counts)
}

// reduceScatter reduces all parts, and leaves each with its rank. Their counts have been read.
func (g *plan) reduceScatter(a reduceScatterArgs, counts []int64) error {
	r, err := g.reduction(a.datatype, a.op)
	if err != nil {
		return err
	}
	var total int64
	for _, n := range counts {
		if total += n; r.Type.Size > 0 && total > 1<<32/r.Type.Size {
			return abi.Fail(abi.ErrCount, "%d elements of %d bytes are more than a rank can hold", total, r.Type.Size)
		}
	}
	place := a.sendbuf == abi.InPlace && !g.c.inter()
	in, err := g.p.elements(pick(place, a.recvbuf, a.sendbuf), total, r.Type)
	if err != nil {
		return err
	}
	out, err := g.p.elements(a.recvbuf, counts[g.me], r.Type)
	if err != nil {
		return err
	}
	if !place {
		if err := distinct(in, out); err != nil {
			return err
		}
	}
	flat, mine := g.operand(in, true), g.operand(out, false)
	at := make([]uint32, g.size+1)
	for i, n := range counts {
		at[i+1] = at[i] + uint32(n*r.Type.Size)
	}
	cut := func(s layout.Span) coll.Parts {
		all := make(coll.Parts, g.size)
		for i := range all {
			all[i] = s.Part(at[i], at[i+1]-at[i])
		}
		return all
	}
	if g.c.inter() {
		g.interReduceScatter(flat, mine, cut, r)
	} else {
		g.s.ReduceScatter(g.me, g.size, flat, mine, cut, r, place)
	}
	g.s.Copy(out, mine)
	return nil
}
