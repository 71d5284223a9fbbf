package mpi

import (
	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/channel"
	"github.com/godwit-run/godwit/mpi/coll"
	"github.com/godwit-run/godwit/mpi/layout"
)

func (c *codec) request(r *request) {
	c.u8(&r.kind)
	if r.kind == 0 {
		return
	}
	for _, b := range []*bool{&r.internal, &r.orphan, &r.done, &r.matched, &r.framed, &r.sent, &r.persistent, &r.active} {
		c.bool(b)
	}
	c.u8(&r.mode)
	c.u8(&r.cancel)
	c.comm(&r.comm)
	c.uint64(&r.context)
	narrow(c, &r.peer)
	c.i32(&r.tag)
	c.span(&r.buf)
	for _, v := range []*uint32{&r.peerReq, &r.limit, &r.moved, &r.acked} {
		c.u32(v)
	}
	c.uint64(&r.seq)
	c.status(&r.result)
	c.hook(&r.after)
	c.check(r.kind <= reqLastKind && r.peer >= abi.ProcNull && int(r.peer) < c.size && r.limit <= r.buf.Len &&
		r.moved <= r.limit && r.acked <= r.moved, "request %d is damaged", r.index)
	c.check(r.kind != reqSend || r.peer >= 0 || r.done, "request %d has no destination", r.index)
	switch r.kind {
	case reqCollective:
		if c.reading {
			r.coll = &collective{}
		}
		c.collective(r.coll)
	case reqGeneral:
		if c.reading {
			r.general = &general{}
		}
		g := r.general
		for _, v := range []*uint32{&g.query, &g.free, &g.cancel, &g.extra} {
			c.u32(v)
		}
	case reqFile:
		if c.reading {
			r.io = &fileOp{}
		}
		c.fileOp(r.io)
	case reqPart:
		if c.reading {
			r.parts = &partitions{}
		}
		c.bool(&r.parts.send)
		list(c, &r.parts.ready, c.bool)
		c.int(&r.parts.left)
	}
}

func (c *codec) status(s *status) {
	narrow(c, &s.source)
	c.i32(&s.tag)
	c.u32(&s.count)
	c.i32(&s.class)
	c.u32(&s.size)
	c.bool(&s.cancelled)
}

func (c *codec) hook(h *hook) {
	c.u8(&h.kind)
	if h.kind == hookNone {
		return
	}
	c.window(&h.win)
	if h.kind == hookTarget {
		c.targetOp(&h.op)
	}
	c.int(&h.target)
	c.u32(&h.owner)
	needs := h.kind == hookTarget || h.kind == hookOrigin
	c.check(h.kind <= lastHook && (!needs || h.win != nil), "what follows a request is damaged")
	if needs && c.reading && c.err == nil {
		n := h.win.comm.size()
		c.check(h.target >= 0 && h.target < n && (h.op == nil || h.op.origin >= 0 && h.op.origin < n), "what follows a request is damaged")
	}
}

func (c *codec) collective(x *collective) {
	c.comm(&x.comm)
	c.host(&x.host)
	list(c, &x.rounds, func(r *coll.Round) {
		list(c, &r.Transfers, func(t *coll.Transfer) {
			c.bool(&t.Recv)
			c.rank(&t.Peer)
			c.uint64(&t.Context)
			c.i32(&t.Tag)
			c.span(&t.Buf)
			c.bool(&t.Whole)
		})
		list(c, &r.Work, func(a *coll.Action) {
			c.span(&a.Dst)
			c.span(&a.Left)
			c.span(&a.Right)
			c.operation(&a.Op)
			c.datatype(&a.Type)
			ok := a.Op == nil || (a.Type != nil && (a.Op.Func != 0 || a.Type.Base != nil && layout.CheckOp(a.Op, a.Type) == nil))
			c.check(ok, "a reduction is damaged")
		})
	})
	c.int(&x.round)
	c.bool(&x.started)
	list(c, &x.reqs, c.u32)
	c.i32(&x.class)
	narrow(c, &x.from)
	c.bool(&x.received)
	c.comm(&x.made)
	c.u32(&x.madeAt)
	c.check(x.comm != nil && x.host != nil && x.round >= 0, "a collective is damaged")
}

func (c *codec) message(m *message) {
	c.rank(&m.src)
	c.uint64(&m.context)
	c.i32(&m.tag)
	c.u32(&m.size)
	c.bool(&m.rendezvous)
	c.u32(&m.req)
	c.uint64(&m.seq)
	c.bytes(&m.payload)
	c.comm(&m.comm)
	if c.reading {
		m.own = m.payload
	}
	c.check(m.rendezvous || uint64(m.size) == uint64(len(m.payload)), "a message of %d bytes has %d", m.size, len(m.payload))
}

// messageRef is a message that only one thing points to.
func (c *codec) messageRef(v **message) {
	if c.reading {
		*v = &message{}
	}
	c.message(*v)
}

func (c *codec) suspended(v **suspended) {
	there := *v != nil
	if c.bool(&there); !there {
		*v = nil
		return
	}
	if c.reading {
		*v = &suspended{}
	}
	s := *v
	c.string(&s.call)
	list(c, &s.args, c.uint64)
	list(c, &s.results, c.bytes)
	list(c, &s.reqs, c.u32)
}

func (c *codec) pair(x *pair) {
	var s channel.State
	if !c.reading {
		s = x.State()
	}
	for l := range channel.Lanes {
		c.uint64(&s.SendNext[l])
		c.uint64(&s.RecvNext[l])
	}
	for _, v := range []*uint64{&s.Charged, &s.Credited, &s.Consumed, &s.PeerEpoch} {
		c.uint64(v)
	}
	c.bool(&x.ended)
	n := c.count(len(s.Unacked))
	if c.reading {
		s.Unacked = make([]channel.Packet, 0, min(n, 1024))
	}
	for i := range n {
		if c.reading {
			s.Unacked = append(s.Unacked, channel.Packet{})
		}
		if c.packet(&s.Unacked[i]); c.err != nil {
			return
		}
	}
	if c.reading {
		if err := x.Restore(s); err != nil {
			c.fail("channel %d is damaged: %v", x.peer, err)
			return
		}
	}
	for l := range channel.Lanes {
		c.waiting(x, l)
	}
}

func (c *codec) packet(k *channel.Packet) {
	c.u8((*uint8)(&k.Kind))
	c.uint64(&k.Seq)
	c.uint64(&k.Context)
	c.i32(&k.Tag)
	for _, v := range []*uint32{&k.Size, &k.Req, &k.PeerReq, &k.Off, &k.Length} {
		c.u32(v)
	}
	c.bytes(&k.Payload)
}

func (c *codec) waiting(x *pair, l channel.Lane) {
	queue := x.waiting(l)
	for i := range c.count(queue.Len()) {
		it := item{}
		if !c.reading {
			it = *queue.At(i)
		}
		c.u8(&it.kind)
		c.u32(&it.req)
		c.u32(&it.peerReq)
		c.u32(&it.limit)
		c.uint64(&it.seq)
		if !c.reading {
			continue
		}
		q := x.p.request(it.req)
		ours := it.kind == itemSend || it.kind == itemData
		if it.kind < itemSend || it.kind > lastItem || (it.kind == itemData) != (l == channel.Bulk) || (ours && (q == nil || q.kind != reqSend || q.done)) {
			c.fail("what waits for rank %d is damaged", x.peer)
			return
		}
		queue.Push(it)
	}
}
