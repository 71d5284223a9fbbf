package mpi

import "slices"

// inbound is what one origin has told a target and the target has not done yet: strictly in order.
type inbound struct {
	queue []*targetOp
	class int32 // of an error that the next answer reports
}

// targetOp is one window message at its target.
type targetOp struct {
	origin  int
	kind    uint8
	ready   bool        // all of it is here
	message *hostBuffer // header, and inline data
	decoded bool
	header  opHeader
	data    span // of the operation: inline, or received
	direct  bool // data was received into the window itself
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
	if from == undefined || m.tag < msgPut || m.tag > lastMessage {
		return back, false // only a damaged state or frame leads here
	}
	op := &targetOp{origin: from, kind: uint8(m.tag), message: &hostBuffer{b: make([]byte, m.size)}}
	w.targets[from].queue = append(w.targets[from].queue, op)
	r, err := p.newRequest(reqRecv, true)
	if err != nil {
		return back, true // only a damaged state leads here: the bound counts every window message
	}
	r.comm, r.context, r.peer, r.tag = w.comm, m.context, m.src, m.tag
	r.buf = span{host: op.message, len: m.size}
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
		if err := p.do(w, in, op); err != nil && in.class == success {
			in.class = errorClass(err)
		}
	}
}

// decodeOp reads the header. If the data is still to come it is received, and the operation waits; a header that makes no
// sense is dropped.
func (p *Proc) decodeOp(w *window, in *inbound, op *targetOp) bool {
	c := newReader(op.message.b)
	op.header.fields(c)
	if c.err != nil || op.header.typ == nil || op.header.count < 0 {
		in.queue = in.queue[1:]
		in.class = errIntern
		return false
	}
	op.decoded = true
	at := uint32(len(op.message.b) - len(c.in))
	op.data = span{host: op.message, off: at, len: uint32(len(c.in))}
	if op.header.inline {
		return true
	}
	op.ready = false
	buf, err := p.place(w, op)
	if op.kind == msgPut && err == nil {
		op.direct = true
	} else {
		n := times(op.header.count, op.header.typ.size)
		if err := p.room(n); err != nil { // the origin hears of it, and its data is cut
			n = 0
			if in.class == success {
				in.class = errNoMem
			}
		}
		h := &hostBuffer{b: make([]byte, n)}
		buf = span{host: h, len: uint32(len(h.b))}
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
func (p *Proc) place(w *window, op *targetOp) (span, error) {
	h := &op.header
	at := int64(w.base) + times(h.disp, int64(w.units[w.comm.me]))
	if w.flavor == flavorDynamic {
		at = int64(uint32(h.disp))
	}
	if h.typ.size > 0 && h.count > 1<<32/h.typ.size {
		return span{}, fail(errRMARange, "too large")
	}
	last := at + times(h.count-1, h.typ.extent())
	low, high := min(at, last)+h.typ.trueLB, max(at, last)+h.typ.trueUB
	inside := low >= int64(w.base) && high <= int64(w.base)+w.bytes[w.comm.me]
	if w.flavor == flavorDynamic {
		inside = w.attached(low, high)
	}
	if !inside || at < 0 || at >= 1<<32 {
		return span{}, fail(errRMARange, "outside of the window")
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
		w.lock.waiting = append(w.lock.waiting, lockWait{op.origin, len(op.message.b) > 0 && op.message.b[0] == 1})
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
		if len(op.message.b) > 0 && o.class == success {
			o.class = int32(op.message.b[0])
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
	size := uint32(h.count * h.typ.size)
	if op.kind == msgPut {
		p.move(here, op.data)
		return err
	}
	if op.kind == msgGet && err == nil {
		return p.reply(w, op, here)
	}
	if e := p.roomToPass(2 * int64(size)); e != nil {
		err, size, here = e, 0, span{}
	}
	old := &hostBuffer{b: make([]byte, size)}
	p.pack(old.b, here)
	if err == nil {
		data := p.bytes(op.data)
		switch {
		case op.kind == msgSwap && 2*len(old.b) == len(data):
			if slices.Equal(old.b, data[len(old.b):]) {
				p.unpack(here, data[:len(old.b)])
			}
		case op.kind != msgSwap && op.kind != msgGet && h.op != opNoOp && len(data) == len(old.b):
			sum := make([]byte, size)
			if b := h.typ.base; b == nil && h.op != opReplace || b != nil && !opFits(h.op, b.class) {
				err = fail(errOp, "operation %#x", h.op)
			} else {
				combine(h.op, h.typ, sum, data, old.b)
				p.unpack(here, sum)
			}
		}
	}
	if op.kind == msgAccumulate {
		return err
	}
	if e := p.reply(w, op, span{host: old, len: size}); err == nil {
		err = e
	}
	return err
}

// reply sends what an operation fetched.
func (p *Proc) reply(w *window, op *targetOp, data span) error {
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
	in.class = success
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
