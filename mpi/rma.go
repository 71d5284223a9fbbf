package mpi

import (
	"slices"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/layout"
)

// One-sided operations travel as messages in the window's context: a header, and the data behind it if it is short. Longer
// data follows in the private context, straight from the origin's memory to the target's. The target does what it is told in
// the order it was told, on whichever goroutine brings the message: its program need not call anything.

// Kinds of window messages.
const (
	msgPut        = 1
	msgGet        = 2
	msgAccumulate = 3
	msgFetch      = 4 // MPI_Get_accumulate and MPI_Fetch_and_op
	msgSwap       = 5 // MPI_Compare_and_swap
	msgFlush      = 6
	msgLock       = 7
	msgUnlock     = 8
	msgPost       = 9
	msgComplete   = 10
	msgAnswer     = 11 // to flush, lock and unlock
	lastMessage   = msgAnswer
)

// rmaCalls are the communication functions of windows (MPI 5.0 section 12.3).
func rmaCalls() []entry {
	return []entry{
		{name: "MPI_Put", impl: oneSided(accessPut)},
		{name: "MPI_Rput", impl: oneSidedRequest(accessPut)},
		{name: "MPI_Get", impl: oneSided(accessGet)},
		{name: "MPI_Rget", impl: oneSidedRequest(accessGet)},
		{name: "MPI_Accumulate", impl: oneSided(accessAccumulate)},
		{name: "MPI_Raccumulate", impl: oneSidedRequest(accessAccumulate)},
		{name: "MPI_Get_accumulate", impl: oneSided(accessGetAccumulate)},
		{name: "MPI_Rget_accumulate", impl: oneSidedRequest(accessGetAccumulate)},
		{name: "MPI_Fetch_and_op", impl: oneSided(accessFetchAndOp)},
		{name: "MPI_Compare_and_swap", impl: oneSided(accessCompareAndSwap)},
	}
}

// maxOutstanding bounds the operations of one origin on one target that are not over at the origin.
const maxOutstanding = 1024

// access is one checked operation of an origin.
type access struct {
	kind   uint8
	target int
	null   bool // to MPI_PROC_NULL
	disp   int64
	count  int64
	typ    *layout.Type // of the target
	op     *layout.Op
	data   layout.Span // to the target
	result layout.Span // from the target
}

// oneSidedArgs are those of an operation: its own, and the window.
type oneSidedArgs[T any] struct {
	own T
	win handle
}

// oneSided makes the call of an operation without a request.
func oneSided[T any](plan func(p *Proc, a T, w *window) (*access, error)) body {
	return bind(func(p *Proc, a oneSidedArgs[T]) error {
		w, err := p.window(a.win)
		if err != nil {
			return err
		}
		x, err := plan(p, a.own, w)
		if err != nil {
			return w.on(err)
		}
		_, err = p.begun(w, x, false)
		return err
	})
}

type oneSidedRequestArgs[T any] struct {
	oneSidedArgs[T]
	request address
}

// oneSidedRequest makes the call of an operation with a request.
func oneSidedRequest[T any](plan func(p *Proc, a T, w *window) (*access, error)) body {
	return bind(func(p *Proc, a oneSidedRequestArgs[T]) error {
		w, err := p.window(a.win)
		if err != nil {
			return err
		}
		if _, err := p.handles(a.request, 1); err != nil {
			return w.on(err)
		}
		x, err := plan(p, a.own, w)
		if err != nil {
			return w.on(err)
		}
		r, err := p.begun(w, x, true)
		if err != nil {
			return err
		}
		return p.putWord(a.request, baseRequest+r.index)
	})
}

// begun begins an operation, and returns its request if it is to have one.
func (p *Proc) begun(w *window, x *access, asks bool) (r *request, err error) {
	if err := p.checkAccess(w, x); err != nil {
		return nil, w.on(err)
	}
	// What a program issues without waiting is bounded; the call is made again if the rank freezes here.
	if !x.null {
		room := p.windowWait(w, []int{x.target}, func(r int) bool { return w.origins[r].local >= maxOutstanding })
		if err := p.wait(room.done); err != nil {
			return nil, err
		}
		if err := room.err(); err != nil {
			return nil, w.on(err)
		}
	}
	if asks {
		if r, err = p.newRequest(reqWindow, false); err != nil {
			return nil, w.on(err)
		}
		r.comm, r.result = w.comm, emptyStatus()
	}
	return r, w.on(p.issue(w, x, r))
}

// What an operation names at the origin, at the target, and for its result.
type (
	originArgs struct {
		originAddr     address
		originCount    count
		originDatatype handle
	}
	targetArgs struct {
		targetRank              int
		targetDisp, targetCount count
		targetDatatype          handle
	}
	resultArgs struct {
		resultAddr     address
		resultCount    count
		resultDatatype handle
	}
)

// destination checks what is named at the target.
func (x *access) destination(p *Proc, a targetArgs, w *window) (err error) {
	if x.count = a.targetCount; x.count < 0 {
		return abi.Fail(abi.ErrCount, "target_count is %d", x.count)
	}
	if x.typ, err = p.committed(a.targetDatatype); err != nil {
		return err
	}
	return x.where(w, a.targetRank, a.targetDisp)
}

func (x *access) where(w *window, rank int, disp int64) error {
	x.disp = disp
	if rank < 0 || rank >= w.comm.size() {
		return abi.Fail(abi.ErrRank, "target_rank %d is not in 0..%d", rank, w.comm.size()-1)
	}
	x.target = rank
	return nil
}

// nobody is an access to MPI_PROC_NULL: it has no effect, so nothing that it names is looked at (MPI 5.0 section 12.3).
var nobody = &access{null: true} //nolint:gochecknoglobals // nothing of it changes

type putArgs struct {
	originArgs
	targetArgs
}

func accessPut(p *Proc, a putArgs, w *window) (x *access, err error) {
	if a.targetRank == abi.ProcNull {
		return nobody, nil
	}
	x = &access{kind: msgPut}
	if x.data, err = p.buffer(a.originAddr, a.originCount, a.originDatatype); err != nil {
		return nil, err
	}
	return x, x.destination(p, a.targetArgs, w)
}

func accessGet(p *Proc, a putArgs, w *window) (x *access, err error) {
	if a.targetRank == abi.ProcNull {
		return nobody, nil
	}
	x = &access{kind: msgGet}
	if x.result, err = p.buffer(a.originAddr, a.originCount, a.originDatatype); err != nil {
		return nil, err
	}
	return x, x.destination(p, a.targetArgs, w)
}

// accumulator finds the operation of an accumulate: a predefined one that fits the basic type of all elements.
func (x *access) accumulator(p *Proc, handle uint32, origin *layout.Type) (err error) {
	if x.op, err = p.op(handle); err != nil {
		return err
	}
	if x.op.Func != 0 {
		return abi.Fail(abi.ErrOp, "only predefined operations can be used")
	}
	if handle != abi.OpReplace && handle != abi.OpNoOp {
		if err := layout.CheckOp(x.op, x.typ); err != nil {
			return err
		}
		if origin != nil && x.count > 0 && x.typ.Size > 0 && origin.Base != x.typ.Base {
			return abi.Fail(abi.ErrType, "%s at the origin and %s at the target are not of the same basic type", origin, x.typ)
		}
	}
	return nil
}

type accumulateArgs struct {
	originArgs
	targetArgs
	op handle
}

func accessAccumulate(p *Proc, a accumulateArgs, w *window) (x *access, err error) {
	if a.targetRank == abi.ProcNull {
		return nobody, nil
	}
	x = &access{kind: msgAccumulate}
	t, err := p.committed(a.originDatatype)
	if err != nil {
		return nil, err
	}
	if x.data, err = p.elements(a.originAddr, a.originCount, t); err != nil {
		return nil, err
	}
	if err := x.destination(p, a.targetArgs, w); err != nil {
		return nil, err
	}
	return x, x.accumulator(p, a.op, t)
}

type getAccumulateArgs struct {
	originArgs
	resultArgs
	targetArgs
	op handle
}

func accessGetAccumulate(p *Proc, a getAccumulateArgs, w *window) (x *access, err error) {
	if a.targetRank == abi.ProcNull {
		return nobody, nil
	}
	x = &access{kind: msgFetch}
	if err := x.destination(p, a.targetArgs, w); err != nil {
		return nil, err
	}
	if x.result, err = p.buffer(a.resultAddr, a.resultCount, a.resultDatatype); err != nil {
		return nil, err
	}
	var t *layout.Type
	if a.op != abi.OpNoOp {
		if t, err = p.committed(a.originDatatype); err != nil {
			return nil, err
		}
		if x.data, err = p.elements(a.originAddr, a.originCount, t); err != nil {
			return nil, err
		}
	}
	return x, x.accumulator(p, a.op, t)
}

type fetchAndOpArgs struct {
	originAddr, resultAddr address
	datatype               handle
	targetRank             int
	targetDisp             count
	op                     handle
}

func accessFetchAndOp(p *Proc, a fetchAndOpArgs, w *window) (x *access, err error) {
	if a.targetRank == abi.ProcNull {
		return nobody, nil
	}
	x = &access{kind: msgFetch, count: 1}
	if x.typ, err = p.committed(a.datatype); err != nil {
		return nil, err
	}
	if !x.typ.IsBasic() {
		return nil, abi.Fail(abi.ErrType, "%s is not predefined", x.typ)
	}
	if x.result, err = p.elements(a.resultAddr, 1, x.typ); err != nil {
		return nil, err
	}
	if a.op != abi.OpNoOp {
		if x.data, err = p.elements(a.originAddr, 1, x.typ); err != nil {
			return nil, err
		}
	}
	if err := x.where(w, a.targetRank, a.targetDisp); err != nil {
		return nil, err
	}
	return x, x.accumulator(p, a.op, nil)
}

type compareAndSwapArgs struct {
	originAddr, compareAddr, resultAddr address
	datatype                            handle
	targetRank                          int
	targetDisp                          count
}

// accessCompareAndSwap sends the new value and the one to compare with.
func accessCompareAndSwap(p *Proc, a compareAndSwapArgs, w *window) (x *access, err error) {
	if a.targetRank == abi.ProcNull {
		return nobody, nil
	}
	x = &access{kind: msgSwap, count: 1}
	if x.typ, err = p.committed(a.datatype); err != nil {
		return nil, err
	}
	switch x.typ.Class {
	case layout.SignedType, layout.UnsignedType, layout.BoolType, layout.LogicalType, layout.ByteType:
	default:
		return nil, abi.Fail(abi.ErrType, "%s cannot be compared", x.typ)
	}
	if !x.typ.IsBasic() {
		return nil, abi.Fail(abi.ErrType, "%s is not predefined", x.typ)
	}
	var values [2]layout.Span
	for i, ptr := range []address{a.originAddr, a.compareAddr} {
		if values[i], err = p.elements(ptr, 1, x.typ); err != nil {
			return nil, err
		}
	}
	if x.result, err = p.elements(a.resultAddr, 1, x.typ); err != nil {
		return nil, err
	}
	h := &layout.Buffer{Bytes: append(append([]byte{}, p.bytes(values[0])...), p.bytes(values[1])...)}
	x.data = layout.Span{Host: h, Len: uint32(len(h.Bytes))}
	return x, x.where(w, a.targetRank, a.targetDisp)
}

// checkAccess checks that an epoch allows the access, and that it stays inside of the window.
func (p *Proc) checkAccess(w *window, x *access) error {
	if x.null {
		return nil
	}
	o := &w.origins[x.target]
	if !w.fenced && o.locked == lockNone && !slices.Contains(w.started, x.target) {
		return abi.Fail(abi.ErrRMASync, "no access epoch to rank %d is open: call MPI_Win_fence, MPI_Win_start or MPI_Win_lock first", x.target)
	}
	size := x.typ.Size * x.count
	switch {
	case x.typ.Size > 0 && x.count > 1<<32/x.typ.Size:
		return abi.Fail(abi.ErrCount, "%d elements of %d bytes are more than a rank can hold", x.count, x.typ.Size)
	case (x.kind == msgPut || x.kind == msgAccumulate || (x.kind == msgFetch && x.op.Handle != abi.OpNoOp)) && size != int64(x.data.Len):
		return abi.Fail(abi.ErrArg, "the origin has %d bytes, the target %d", x.data.Len, size)
	case (x.kind == msgGet || x.kind == msgFetch) && size != int64(x.result.Len):
		return abi.Fail(abi.ErrArg, "the result has %d bytes, the target %d", x.result.Len, size)
	case w.flavor == abi.FlavorDynamic || size == 0:
		return nil
	}
	at := layout.Times(x.disp, int64(w.units[x.target]))
	last := at + layout.Times(x.count-1, x.typ.Extent())
	if low, high := min(at, last)+x.typ.TrueLB, max(at, last)+x.typ.TrueUB; low < 0 || high > w.bytes[x.target] {
		return abi.Fail(abi.ErrRMARange, "bytes %d to %d are outside of rank %d's part of the window (%d bytes)", low, high, x.target, w.bytes[x.target])
	}
	return nil
}

// issue sends an operation. r, if there is one, is done when the operation is over for the origin.
func (p *Proc) issue(w *window, x *access, r *request) error {
	if x.null || (x.count == 0 && x.kind != msgSwap) || x.typ.Size == 0 {
		if r != nil {
			p.complete(r)
		}
		return nil
	}
	o := &w.origins[x.target]
	o.dirty = true
	w.tagNext = (w.tagNext + 1) & (abi.TagUB>>1 - 1)
	h := opHeader{disp: x.disp, count: x.count, typ: x.typ, number: w.tagNext, inline: x.data.Len <= uint32(p.w.cfg.EagerLimit)}
	if x.op != nil {
		h.op = x.op.Handle
	}
	b := h.encode()
	parts := 0
	if x.result.Len > 0 {
		parts++
		q, err := p.startRecv(w.comm, w.comm.context(contextPrivate), w.rank(x.target), h.answerTag(), x.result, true)
		if err != nil {
			return err
		}
		p.track(w, x.target, q, r)
	}
	if h.inline {
		b = append(b, p.packed(x.data)...)
	}
	if err := p.tell(w, x.target, x.kind, b, true); err != nil {
		return err
	}
	if !h.inline {
		q, err := p.startSend(w.comm, w.comm.context(contextPrivate), w.rank(x.target), h.dataTag(), x.data, modeStandard, true)
		if err != nil {
			return err
		}
		if parts > 0 {
			r = nil // it waits for the answer
		}
		parts++
		p.track(w, x.target, q, r)
	}
	if parts == 0 && r != nil {
		p.complete(r)
	}
	return nil
}

// track counts a transfer of an operation until it is over.
func (p *Proc) track(w *window, target int, q, r *request) {
	w.origins[target].local++
	q.orphan = true
	q.after = hook{kind: hookOrigin, win: w, target: target}
	if r != nil {
		q.after.owner = r.index + 1
	}
	if q.done { // at once: what follows was not known yet
		q.done = false
		p.complete(q)
	}
}

// rank is a rank of the world.
func (w *window) rank(r int) Rank { return w.comm.group.ranks[r] }

// tell sends a window message. One that is counted is local work until it has left.
func (p *Proc) tell(w *window, to int, kind uint8, payload []byte, counted bool) error {
	r, err := p.newRequest(reqSend, true)
	if err != nil {
		return err
	}
	r.comm, r.context, r.peer, r.tag = w.comm, w.comm.context(contextWindow), w.rank(to), int32(kind)
	r.buf, r.orphan = layout.Span{Host: &layout.Buffer{Bytes: payload}, Len: uint32(len(payload))}, true
	if counted {
		w.origins[to].local++
		r.after = hook{kind: hookOrigin, win: w, target: to}
	}
	p.pair(r.peer).push(item{kind: itemSend, req: r.index})
	return nil
}

// opHeader is what a target has to know of an operation.
type opHeader struct {
	disp, count int64
	op          uint32
	number      uint32 // of the operation: tells apart its data and its answer
	inline      bool   // the data is behind the header
	typ         *layout.Type
}

// Tags in the private context: of data to the target, and of answers to the origin.
func (h *opHeader) dataTag() int32   { return int32(2 * h.number) }
func (h *opHeader) answerTag() int32 { return int32(2*h.number + 1) }

func (h *opHeader) encode() []byte {
	c := newWriter()
	h.fields(c)
	return c.out
}

func (h *opHeader) fields(c *codec) {
	c.int64(&h.disp)
	c.int64(&h.count)
	c.u32(&h.op)
	c.u32(&h.number)
	c.bool(&h.inline)
	c.datatype(&h.typ)
}
