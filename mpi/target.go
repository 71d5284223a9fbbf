package mpi

import (
	"slices"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/layout"
)

// inbound is what one origin has told a target and the target has not done yet: strictly in order.
type inbound struct {
	queue []*targetOp
	class int32 // of an error that the next answer reports
}

// targetOp is one window message at its target.
type targetOp struct {
	origin  int
	kind    uint8
	ready   bool           // all of it is here
	message *layout.Buffer // header, and inline data
	decoded bool
	header  opHeader
	data    layout.Span // of the operation: inline, or received
	direct  bool        // data was received into the window itself
}

// targetLock is the lock of a rank's part of a window.
type targetLock struct {
	exclusive bool
	holders   int
	waiting   []lockWait
}

type lockWait struct {
	origin    int
	exclusive bool
}

// serveWindow takes a window message, and reports whether there is such a window here. A message that comes before the window
// stays in the queue of unexpected messages.
func (p *Proc) serveWindow(m *message) (back reply, served bool) {
	w := p.winByID[m.context/contextKinds]
	if w == nil {
		return back, false
	}
	from := w.comm.group.find(m.src)
	if from == abi.Undefined || m.tag < msgPut || m.tag > lastMessage {
		return back, false // only a damaged state or frame leads here
	}
	op := &targetOp{origin: from, kind: uint8(m.tag), message: &layout.Buffer{Bytes: make([]byte, m.size)}}
	w.targets[from].queue = append(w.targets[from].queue, op)
	r, err := p.newRequest(reqRecv, true)
	if err != nil {
		return back, true // only a damaged state leads here: the bound counts every window message
	}
	r.comm, r.context, r.peer, r.tag = w.comm, m.context, m.src, m.tag
	r.buf = layout.Span{Host: op.message, Len: m.size}
	r.orphan, r.after = true, hook{kind: hookTarget, win: w, op: op}
	return p.accept(r, m), true
}

// serveReady does what an origin has asked for, as far as it is here.
func (p *Proc) serveReady(w *window, from int) {
	in := w.targets[from]
	for len(in.queue) > 0 && in.queue[0].ready {
		op := in.queue[0]
		if op.kind <= msgSwap && !op.decoded && !p.decodeOp(w, in, op) {
			continue // its data is on the way, or it was dropped
		}
		if len(in.queue) == 0 || in.queue[0] != op {
			continue
		}
		in.queue = in.queue[1:]
		if err := p.do(w, in, op); err != nil && in.class == abi.Success {
			in.class = errorClass(err)
		}
	}
}

// decodeOp reads the header. If the data is still to come it is received, and the operation waits; a header that makes no
// sense is dropped.
func (p *Proc) decodeOp(w *window, in *inbound, op *targetOp) bool {
	c := newReader(op.message.Bytes)
	op.header.fields(c)
	if c.err != nil || op.header.typ == nil || op.header.count < 0 {
		in.queue = in.queue[1:]
		in.class = abi.ErrIntern
		return false
	}
	op.decoded = true
	at := uint32(len(op.message.Bytes) - len(c.in))
	op.data = layout.Span{Host: op.message, Off: at, Len: uint32(len(c.in))}
	if op.header.inline {
		return true
	}
	op.ready = false
	buf, err := p.place(w, op)
	if op.kind == msgPut && err == nil {
		op.direct = true
	} else {
		n := layout.Times(op.header.count, op.header.typ.Size)
		if err := p.room(n); err != nil { // the origin hears of it, and its data is cut
			n = 0
			if in.class == abi.Success {
				in.class = abi.ErrNoMem
			}
		}
		h := &layout.Buffer{Bytes: make([]byte, n)}
		buf = layout.Span{Host: h, Len: uint32(len(h.Bytes))}
	}
	op.data = buf
	r, err := p.newRequest(reqRecv, true)
	if err != nil {
		in.queue = in.queue[1:]
		in.class = errorClass(err)
		return false
	}
	r.comm, r.context, r.peer, r.tag, r.buf = w.comm, w.comm.context(contextPrivate), w.rank(op.origin), op.header.dataTag(), buf
	r.orphan, r.after = true, hook{kind: hookTarget, win: w, op: op}
	p.postRecv(r)
	return op.ready
}

// place is the memory of the window that an operation is about.
func (p *Proc) place(w *window, op *targetOp) (layout.Span, error) {
	h := &op.header
	at := int64(w.base) + layout.Times(h.disp, int64(w.units[w.comm.me]))
	if w.flavor == abi.FlavorDynamic {
		at = int64(uint32(h.disp))
	}
	if h.typ.Size > 0 && h.count > 1<<32/h.typ.Size {
		return layout.Span{}, abi.Fail(abi.ErrRMARange, "too large")
	}
	last := at + layout.Times(h.count-1, h.typ.Extent())
	low, high := min(at, last)+h.typ.TrueLB, max(at, last)+h.typ.TrueUB
	inside := low >= int64(w.base) && high <= int64(w.base)+w.bytes[w.comm.me]
	if w.flavor == abi.FlavorDynamic {
		inside = w.attached(low, high)
	}
	if !inside || at < 0 || at >= 1<<32 {
		return layout.Span{}, abi.Fail(abi.ErrRMARange, "outside of the window")
	}
	return p.elements(uint32(at), h.count, h.typ)
}

// attached reports whether memory from low to high is attached, in one region or in several that touch.
func (w *window) attached(low, high int64) bool {
	for low < high {
		i := slices.IndexFunc(w.regions, func(r region) bool { return low >= int64(r.addr) && low < int64(r.addr)+int64(r.size) })
		if i < 0 {
			return false
		}
		low = int64(w.regions[i].addr) + int64(w.regions[i].size)
	}
	return true
}

// do does one operation whose turn it is.
func (p *Proc) do(w *window, in *inbound, op *targetOp) error {
	switch op.kind {
	case msgFlush:
		return p.answer(w, in, op.origin)
	case msgLock:
		w.lock.waiting = append(w.lock.waiting, lockWait{op.origin, len(op.message.Bytes) > 0 && op.message.Bytes[0] == 1})
		return p.grant(w)
	case msgUnlock:
		w.lock.holders = max(0, w.lock.holders-1)
		if w.lock.holders == 0 {
			w.lock.exclusive = false
		}
		if err := p.answer(w, in, op.origin); err != nil {
			return err
		}
		return p.grant(w)
	case msgPost:
		w.posted[op.origin]++
		p.changed()
		return nil
	case msgComplete:
		w.over[op.origin]++
		p.changed()
		return nil
	case msgAnswer:
		o := &w.origins[op.origin]
		o.waiting = max(0, o.waiting-1)
		if len(op.message.Bytes) > 0 && o.class == abi.Success {
			o.class = int32(op.message.Bytes[0])
		}
		p.changed()
		return nil
	}
	return p.operate(w, op)
}

// operate does a communication operation.
func (p *Proc) operate(w *window, op *targetOp) error {
	if op.direct {
		return nil // the data is in its place
	}
	here, err := p.place(w, op)
	h := &op.header
	size := uint32(h.count * h.typ.Size)
	if op.kind == msgPut {
		p.move(here, op.data)
		return err
	}
	if op.kind == msgGet && err == nil {
		return p.reply(w, op, here)
	}
	if e := p.roomToPass(2 * int64(size)); e != nil {
		err, size, here = e, 0, layout.Span{}
	}
	old := &layout.Buffer{Bytes: make([]byte, size)}
	p.pack(old.Bytes, here)
	if err == nil {
		data := p.bytes(op.data)
		switch {
		case op.kind == msgSwap && 2*len(old.Bytes) == len(data):
			if slices.Equal(old.Bytes, data[len(old.Bytes):]) {
				p.unpack(here, data[:len(old.Bytes)])
			}
		case op.kind != msgSwap && op.kind != msgGet && h.op != abi.OpNoOp && len(data) == len(old.Bytes):
			sum := make([]byte, size)
			if b := h.typ.Base; b == nil && h.op != abi.OpReplace || b != nil && !layout.OpFits(h.op, b.Class) {
				err = abi.Fail(abi.ErrOp, "operation %#x", h.op)
			} else {
				layout.Combine(h.op, h.typ, sum, data, old.Bytes)
				p.unpack(here, sum)
			}
		}
	}
	if op.kind == msgAccumulate {
		return err
	}
	if e := p.reply(w, op, layout.Span{Host: old, Len: size}); err == nil {
		err = e
	}
	return err
}

// reply sends what an operation fetched.
func (p *Proc) reply(w *window, op *targetOp, data layout.Span) error {
	r, err := p.newRequest(reqSend, true)
	if err != nil {
		return err
	}
	r.comm, r.context, r.peer, r.tag = w.comm, w.comm.context(contextPrivate), w.rank(op.origin), op.header.answerTag()
	r.buf, r.orphan = data, true
	p.pair(r.peer).push(item{kind: itemSend, req: r.index})
	return nil
}

// answer tells an origin that all it has asked for before is done, or what went wrong.
func (p *Proc) answer(w *window, in *inbound, to int) error {
	class := in.class
	in.class = abi.Success
	return p.tell(w, to, msgAnswer, []byte{byte(class)}, false)
}

// grant gives the lock to those who can have it, first come first served.
func (p *Proc) grant(w *window) error {
	l := &w.lock
	for len(l.waiting) > 0 {
		next := l.waiting[0]
		if l.exclusive || (next.exclusive && l.holders > 0) {
			return nil
		}
		l.waiting = l.waiting[1:]
		l.exclusive = next.exclusive
		l.holders++
		if err := p.answer(w, w.targets[next.origin], next.origin); err != nil {
			return err
		}
	}
	return nil
}
