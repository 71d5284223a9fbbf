package mpi

import (
	"slices"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/channel"
)

// message has arrived and no receive has matched it. An eager message holds its
// payload; of a rendezvous one only the envelope is here.
type message struct {
	src        Rank
	context    uint64
	tag        int32
	size       uint32
	rendezvous bool
	req        uint32 // the sender's request, of a rendezvous
	seq        uint64 // number of its frame
	payload    []byte
	own        []byte   // memory for the payload of one that stays
	sender     *Proc    // of a rendezvous within the World: whose request origin is
	origin     *request // what to copy
	comm       *comm    // of a message that MPI_Mprobe has taken
}

// newMessage is one to be filled. Whoever takes it out of all queues gives it back with dropMessage.
func (p *Proc) newMessage() *message {
	if n := len(p.idle); n > 0 {
		m := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return m
	}
	return &message{}
}

// keptMessages and keptPayload bound the memory of messages that is used again.
const (
	keptMessages = 256
	keptPayload  = 4 << 10
)

// dropMessage takes back one that is in no queue any more.
func (p *Proc) dropMessage(m *message) {
	own := m.own[:0]
	if cap(own) > keptPayload {
		own = nil
	}
	*m = message{own: own}
	if len(p.idle) < keptMessages {
		p.idle = append(p.idle, m)
	}
}

func matches(context uint64, src Rank, tag int32, m *message) bool {
	return context == m.context && (src == m.src || src == abi.AnySource) && (tag == m.tag || tag == abi.AnyTag)
}

// isFor is what matches says of a message that is still in the inbox.
func (c *cell) isFor(context uint64, src Rank, tag int32) bool {
	return context == c.context && (src == c.from || src == abi.AnySource) && (tag == c.tag || tag == abi.AnyTag)
}

// findUnexpected returns the index of the first message that arrived for a
// receive, or -1. Arrival order makes messages non-overtaking (MPI 5.0 section 3.5).
func (p *Proc) findUnexpected(context uint64, src Rank, tag int32) int {
	for i, m := range p.unexpected {
		if matches(context, src, tag, m) {
			return i
		}
	}
	return -1
}

func (p *Proc) dropUnexpected(i int) {
	p.unexpected = slices.Delete(p.unexpected, i, i+1)
}

// arrive gives a message, one of newMessage, to the first posted receive that matches, or queues
// it. m.payload may be borrowed: it is copied if it stays.
func (p *Proc) arrive(m *message) reply {
	if m.context%contextKinds == contextWindow {
		if back, served := p.serveWindow(m); served {
			p.dropMessage(m)
			return back
		}
	}
	for i, r := range p.posted {
		if matches(r.context, r.peer, r.tag, m) {
			p.posted = slices.Delete(p.posted, i, i+1)
			back := p.accept(r, m)
			p.dropMessage(m)
			return back
		}
	}
	m.own = append(m.own[:0], m.payload...)
	m.payload = m.own
	p.unexpected = append(p.unexpected, m)
	p.changed() // a Probe may wait for it
	return reply{}
}

// accept starts the transfer of a matched message. The reply, which is to be given, completes an eager one.
func (p *Proc) accept(r *request, m *message) reply {
	r.matched = true
	p.pair(m.src).hear(m.size)
	r.limit = min(m.size, r.buf.Len)
	r.result = status{source: m.src, tag: m.tag, count: r.limit, size: m.size}
	if m.size > r.buf.Len {
		r.result.class = abi.ErrTruncate
	}
	if m.rendezvous {
		r.peerReq = m.req
		r.source, r.origin = m.sender, m.origin
		return reply{wants: r}
	}
	p.unpack(r.buf, m.payload[:min(len(m.payload), int(r.buf.Len))])
	return reply{consumed: m.cost(), done: r}
}

// cost is what an eager message counts in its sender's credit.
func (m *message) cost() int { return channel.FrameCost + len(m.payload) }

// fetch begins to get the data of a matched message: from the memory of its source, if that is the rank of this World that has offered it, and is still
// there; else the sender is asked.
func (c *pair) fetch(r *request) {
	if !c.reaches(r.source) {
		r.source, r.origin, r.moved = nil, nil, 0
		c.clearToSend(r)
		return
	}
	c.copies.Push(r)
	c.schedule()
}

// clearToSend asks the sender of a matched message for its data.
func (c *pair) clearToSend(r *request) {
	c.push(item{kind: itemCTS, req: r.peerReq, peerReq: r.index, limit: r.limit})
	if r.limit == 0 {
		c.p.complete(r)
	}
}

// copyNear copies about a chunk of a matched message from the memory of its sender, a rank of this World, and reports whether that was the last.
func (c *pair) copyNear(r *request) (n int, over bool) {
	p := c.p
	n = min(p.w.cfg.ChunkBytes, int(r.limit-r.moved))
	p.copyFrom(r.source, r.buf.Part(r.moved, uint32(n)), r.origin.buf.Part(r.moved, uint32(n)))
	if r.moved += uint32(n); r.moved < r.limit {
		return n, false
	}
	r.source, r.origin = nil, nil
	c.push(item{kind: itemDone, req: r.peerReq})
	p.complete(r)
	return n, true
}

// stopCopies gives up what is being copied from the peer's memory: the peer is asked for it, wherever it will be, as those are that matched later.
func (c *pair) stopCopies() {
	for c.copies.Len() > 0 {
		r := c.copies.Pop()
		r.source, r.origin, r.moved = nil, nil, 0
		c.clearToSend(r)
	}
}

// takeDone hears that the receiver has copied one of our sends.
func (p *Proc) takeDone(c *pair, k *channel.Packet) {
	r := p.request(k.Req)
	if r == nil || r.kind != reqSend || r.peer != c.peer || r.matched || r.done {
		return // only a damaged state or frame leads here
	}
	r.matched = true
	p.complete(r)
}

// takeCTS handles a receiver's wish for the data of one of our sends.
func (p *Proc) takeCTS(c *pair, k *channel.Packet) reply {
	r := p.request(k.Req)
	if r == nil || r.kind != reqSend || r.peer != c.peer || r.matched || r.done || k.Size > r.buf.Len {
		return reply{} // only a damaged state or frame leads here
	}
	p.withdraw(r)
	r.matched, r.peerReq, r.limit = true, k.PeerReq, k.Size
	if r.limit == 0 {
		p.complete(r)
		return reply{}
	}
	return reply{item: item{kind: itemData, req: r.index}}
}

// waiting is the receive that a piece of a rendezvous message is for, or nil.
func (p *Proc) waiting(c *pair, k *channel.Packet) *request {
	r := p.request(k.Req)
	if r == nil || r.kind != reqRecv || !r.matched || r.done || r.result.source != c.peer || k.Off != r.moved || k.Length > r.limit-r.moved {
		return nil
	}
	return r
}

// takeData handles a piece of a rendezvous message.
func (p *Proc) takeData(c *pair, k *channel.Packet) reply {
	r := p.waiting(c, k)
	if r == nil {
		return reply{} // only a damaged state or frame leads here
	}
	if !k.Landed {
		p.unpack(r.buf.Part(k.Off, k.Length), k.Payload)
	}
	r.moved += k.Length
	if r.moved < r.limit {
		return reply{}
	}
	p.complete(r)
	return reply{ack: true} // the sender waits for it
}

// takeOffer goes on with a receive whose sender has come into this World since it was asked for the data.
func (p *Proc) takeOffer(c *pair, k *channel.Packet, origin *request) reply {
	r := p.request(k.Req)
	if r == nil || r.kind != reqRecv || !r.matched || r.done || r.source != nil || r.result.source != c.peer {
		return reply{} // only a damaged state leads here
	}
	r.source, r.origin = c.local(), origin
	return reply{wants: r}
}

// dataAcked counts bytes of a send that its receiver has.
func (p *Proc) dataAcked(index, n uint32) {
	r := p.request(index)
	if r == nil || r.kind != reqSend || n > r.moved-r.acked {
		return // only a damaged state leads here
	}
	r.acked += n
	if r.acked == r.limit {
		p.complete(r)
	}
}
