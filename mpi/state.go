package mpi

import (
	"fmt"
	"slices"
	"time"
)

// stateVersion is the first value of captured state. A new field means a new
// version, and decode reads all versions since 1.
const stateVersion = 1

// encode writes the rank's state. Equal states give equal bytes.
func (p *Proc) encode() []byte {
	w := &writer{}
	w.uint(stateVersion)
	w.uint(uint64(p.rank))
	w.uint(uint64(p.w.cfg.Size))
	w.bool(p.initialized)
	w.bool(p.finalized)
	w.uint(uint64(max(0, time.Since(p.clockStart))))
	w.u32(p.nextID[0])
	w.u32(p.nextID[1])
	w.uint(uint64(len(p.comms)))
	for _, c := range p.comms {
		w.u32(c.id)
		w.u32(c.errhandler)
		w.u32(c.collSeq)
		w.bool(c.freed)
	}
	w.uint(uint64(len(p.requests)))
	for _, r := range p.requests {
		w.request(r)
	}
	w.uint(uint64(len(p.freeList)))
	for _, i := range p.freeList {
		w.u32(i)
	}
	w.uint(uint64(len(p.posted)))
	for _, r := range p.posted {
		w.u32(r.index)
	}
	w.uint(uint64(len(p.unexpected)))
	for _, m := range p.unexpected {
		w.message(m)
	}
	w.suspended(p.suspended, p.scratch)
	used := 0
	for _, c := range p.channels {
		used += truth(c != nil)
	}
	w.uint(uint64(used))
	for _, c := range p.channels {
		if c != nil {
			w.channel(c)
		}
	}
	return w.b
}

func (w *writer) request(r *request) {
	w.uint(uint64(r.kind))
	if r.kind == 0 {
		return
	}
	for _, b := range []bool{r.internal, r.done, r.sync, r.matched} {
		w.bool(b)
	}
	w.u32(r.comm)
	w.u32(r.context)
	w.int(int64(r.peer))
	w.int(int64(r.tag))
	w.span(r.buf)
	for _, v := range []uint32{r.peerReq, r.limit, r.moved, r.acked} {
		w.u32(v)
	}
	w.int(int64(r.result.source))
	w.int(int64(r.result.tag))
	w.u32(r.result.count)
	w.int(int64(r.result.class))
	w.u32(r.result.size)
}

func (w *writer) message(m *message) {
	w.int(int64(m.src))
	w.u32(m.context)
	w.int(int64(m.tag))
	w.u32(m.size)
	w.bool(m.rendezvous)
	w.u32(m.req)
	w.bytes(m.payload)
}

func (w *writer) suspended(s *suspended, scratch []byte) {
	w.bool(s != nil)
	if s == nil {
		return
	}
	w.string(s.call)
	w.uint(uint64(len(s.args)))
	for _, v := range s.args {
		w.u32(v)
	}
	w.uint(uint64(len(s.reqs)))
	for _, v := range s.reqs {
		w.u32(v)
	}
	w.u32(s.coll.seq)
	w.u32(s.coll.round)
	w.bool(s.coll.started)
	w.int(int64(s.coll.class))
	w.bytes(scratch)
}

func (w *writer) channel(c *channel) {
	w.uint(uint64(c.peer))
	for _, v := range []uint64{c.sendNext, c.charged, c.credited, c.recvNext, c.consumed, c.peerEpoch} {
		w.uint(v)
	}
	w.uint(uint64(c.replay.len()))
	for i := range c.replay.len() {
		k := c.replay.at(i)
		w.uint(uint64(k.kind))
		w.uint(k.seq)
		w.int(int64(k.tag))
		for _, v := range []uint32{k.context, k.size, k.req, k.peerReq, k.off, k.length} {
			w.u32(v)
		}
		w.bytes(k.payload)
	}
	w.uint(uint64(c.pending.len()))
	for i := range c.pending.len() {
		it := c.pending.at(i)
		w.uint(uint64(it.kind))
		w.u32(it.req)
		w.u32(it.peerReq)
		w.u32(it.limit)
	}
}

// decode reads a state into a new Proc. It accepts nothing that could make the
// library panic later; it cannot tell a wrong state that is well formed.
func (p *Proc) decode(state []byte) error {
	r := &reader{b: state}
	if v := r.uint(); v != stateVersion {
		r.fail("version %d is not known", v)
	}
	if rank, size := r.uint(), r.uint(); rank != uint64(p.rank) || size != uint64(p.w.cfg.Size) {
		r.fail("it is of rank %d of %d", rank, size)
	}
	p.initialized, p.finalized = r.bool(), r.bool()
	p.clockStart = time.Now().Add(-time.Duration(r.upTo(1 << 62)))
	r.comms(p)
	limit := p.w.cfg.MaxRequests + 2*p.w.cfg.Size + 64
	for i := range min(r.count(), limit) {
		p.requests = append(p.requests, r.request(uint32(i), p.w.cfg.Size))
	}
	r.freeList(p)
	r.posted(p)
	for range r.count() {
		p.unexpected = append(p.unexpected, r.message(p.w.cfg.Size))
	}
	r.suspended(p)
	for range r.count() {
		r.channel(p)
	}
	if len(r.b) > 0 {
		r.fail("%d bytes are left over", len(r.b))
	}
	if r.err == nil {
		r.check(p)
	}
	return r.err
}

// rank reads a rank that must exist.
func (r *reader) rank(size int) Rank {
	v := r.i32()
	if v < 0 || int(v) >= size {
		r.fail("rank %d is not in 0..%d", v, size-1)
		return 0
	}
	return Rank(v)
}

// comms reads the communicators: world, self, then the others by growing id of each group.
func (r *reader) comms(p *Proc) {
	p.nextID = [2]uint32{uint32(r.upTo(maxCommID + 1)), uint32(r.upTo(maxCommID + 1))}
	n := r.count()
	if n < 2 || p.nextID[0]%2 != 0 || p.nextID[1]%2 != 1 {
		r.fail("the communicators are damaged")
		return
	}
	for i := range n {
		c := &comm{id: r.u32(), errhandler: r.u32(), collSeq: r.u32(), freed: r.bool()}
		c.self, c.handle = c.id%2 == 1, firstComm+c.id
		if i < 2 {
			*p.comms[i] = comm{handle: p.comms[i].handle, id: uint32(i), self: i == 1, errhandler: c.errhandler, collSeq: c.collSeq}
			continue
		}
		if c.id < 2 || c.id >= p.nextID[c.id%2] || p.anyComm(c.handle) != nil {
			r.fail("communicator %d is damaged", c.id)
			return
		}
		p.comms = append(p.comms, c)
	}
}

func (r *reader) request(index uint32, size int) *request {
	q := &request{index: index, kind: r.u8()}
	if q.kind == 0 {
		return q
	}
	q.internal, q.done, q.sync, q.matched = r.bool(), r.bool(), r.bool(), r.bool()
	q.comm, q.context = r.u32(), r.u32()
	q.peer, q.tag = Rank(r.i32()), r.i32()
	q.buf = r.span()
	q.peerReq, q.limit, q.moved, q.acked = r.u32(), r.u32(), r.u32(), r.u32()
	q.result = status{source: Rank(r.i32()), tag: r.i32(), count: r.u32(), class: r.i32(), size: r.u32()}
	if q.kind > reqNull || q.peer < anySource || int(q.peer) >= size || q.limit > q.buf.len || q.moved > q.limit || q.acked > q.moved {
		r.fail("request %d is damaged", index)
	}
	return q
}

func (r *reader) freeList(p *Proc) {
	seen := map[uint32]bool{}
	for range r.count() {
		i := r.u32()
		if uint64(i) >= uint64(len(p.requests)) || p.requests[i].kind != 0 || seen[i] {
			r.fail("request %d is not free", i)
			return
		}
		seen[i] = true
		p.freeList = append(p.freeList, i)
	}
}

func (r *reader) posted(p *Proc) {
	for range r.count() {
		q := p.request(r.u32())
		if q == nil || q.kind != reqRecv || q.matched || q.done || slices.Contains(p.posted, q) {
			r.fail("a posted receive is damaged")
			return
		}
		p.posted = append(p.posted, q)
	}
}

func (r *reader) message(size int) *message {
	m := &message{src: r.rank(size), context: r.u32(), tag: r.i32(), size: r.u32(), rendezvous: r.bool(), req: r.u32(), payload: r.bytes()}
	if !m.rendezvous && uint64(m.size) != uint64(len(m.payload)) {
		r.fail("a message of %d bytes has %d", m.size, len(m.payload))
	}
	return m
}

func (r *reader) suspended(p *Proc) {
	if !r.bool() {
		return
	}
	s := &suspended{call: string(r.bytes())}
	for range r.count() {
		s.args = append(s.args, r.u32())
	}
	for range r.count() {
		i := r.u32()
		if q := p.request(i); q == nil || !q.internal || slices.Contains(s.reqs, i) {
			r.fail("request %d is not of the frozen call", i)
			return
		}
		s.reqs = append(s.reqs, i)
	}
	s.coll = progress{seq: r.u32(), round: r.u32(), started: r.bool(), class: r.i32()}
	p.scratch = r.bytes()
	p.suspended = s
}

func (r *reader) channel(p *Proc) {
	peer := r.upTo(uint64(p.w.cfg.Size - 1))
	if p.channels[peer] != nil {
		r.fail("channel %d is there twice", peer)
		return
	}
	c := p.channel(Rank(peer))
	c.sendNext, c.charged, c.credited = r.uint(), r.uint(), r.uint()
	c.recvNext, c.consumed, c.peerEpoch = r.uint(), r.uint(), r.uint()
	if c.credited > c.charged {
		r.fail("channel %d has more credit than it used", peer)
	}
	n := r.count()
	for i := range n {
		k := packet{kind: r.u8(), seq: r.uint(), tag: r.i32()}
		k.context, k.size, k.req, k.peerReq, k.off, k.length = r.u32(), r.u32(), r.u32(), r.u32(), r.u32(), r.u32()
		k.payload = r.bytes()
		whole := k.kind >= frameEager && k.kind <= frameData && k.seq == c.sendNext-uint64(n-i)
		if !whole || (k.kind != frameData && uint64(k.length) != uint64(len(k.payload))) || c.inflight > p.w.cfg.WindowBytes {
			r.fail("frame %d to rank %d is damaged", k.seq, peer)
			return
		}
		if k.kind != frameEager {
			k.payload = nil
		}
		c.replay.push(k)
		c.inflight += k.cost()
	}
	for range r.count() {
		it := item{kind: r.u8(), req: r.u32(), peerReq: r.u32(), limit: r.u32()}
		q := p.request(it.req)
		ours := it.kind == itemSend || it.kind == itemData
		if it.kind < itemSend || it.kind > itemData || (ours && (q == nil || q.kind != reqSend || q.done)) {
			r.fail("what waits for rank %d is damaged", peer)
			return
		}
		c.pending.push(it)
	}
}

// check looks at what refers to memory, once all is read.
func (r *reader) check(p *Proc) {
	for _, q := range p.requests {
		if q.kind != 0 && !q.done && uint64(len(p.bytes(q.buf))) != uint64(q.buf.len) {
			r.fail("request %d is outside of the memory", q.index)
		}
	}
	if p.suspended == nil {
		return
	}
	for _, c := range Calls() {
		if c.Name == p.suspended.call && len(c.Params) == len(p.suspended.args) {
			return
		}
	}
	r.err = fmt.Errorf("%w: the frozen call %q is not known", ErrState, p.suspended.call)
}
