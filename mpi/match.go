package mpi

import "slices"

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
	comm       *comm // of a message that MPI_Mprobe has taken
}

func matches(context uint64, src Rank, tag int32, m *message) bool {
	return context == m.context && (src == m.src || src == anySource) && (tag == m.tag || tag == anyTag)
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

// arrive gives a message to the first posted receive that matches, or queues
// it. m.payload may be borrowed: it is copied if it stays.
func (p *Proc) arrive(m message) {
	if m.context%contextKinds == contextWindow && p.serve(&m) {
		return
	}
	for i, r := range p.posted {
		if matches(r.context, r.peer, r.tag, &m) {
			p.posted = slices.Delete(p.posted, i, i+1)
			p.accept(r, &m)
			return
		}
	}
	m.payload = slices.Clone(m.payload)
	p.unexpected = append(p.unexpected, &m)
	p.wake() // a Probe may wait for it
}

// accept starts the transfer of a matched message, which completes an eager one.
func (p *Proc) accept(r *request, m *message) {
	r.matched = true
	r.limit = min(m.size, r.buf.len)
	r.result = status{source: m.src, tag: m.tag, count: r.limit, size: m.size}
	if m.size > r.buf.len {
		r.result.class = errTruncate
	}
	c := p.channel(m.src)
	if m.rendezvous {
		c.push(item{kind: itemCTS, req: m.req, peerReq: r.index, limit: r.limit})
		if r.limit == 0 {
			p.complete(r)
		}
		return
	}
	p.unpack(r.buf, m.payload[:min(len(m.payload), int(r.buf.len))])
	c.consume(frameCost + len(m.payload))
	p.complete(r)
}

// takeCTS handles a receiver's wish for the data of one of our sends.
func (p *Proc) takeCTS(c *channel, k *packet) {
	r := p.request(k.req)
	if r == nil || r.kind != reqSend || r.peer != c.peer || r.matched || r.done || k.size > r.buf.len {
		return // only a damaged state or frame leads here
	}
	r.matched, r.peerReq, r.limit = true, k.peerReq, k.size
	if r.limit == 0 {
		p.complete(r)
		return
	}
	c.push(item{kind: itemData, req: r.index})
}

// takeData handles a piece of a rendezvous message.
func (p *Proc) takeData(c *channel, k *packet) {
	r := p.request(k.req)
	if r == nil || r.kind != reqRecv || !r.matched || r.done || r.result.source != c.peer ||
		k.off != r.moved || k.length > r.limit-r.moved {
		return // only a damaged state or frame leads here
	}
	p.unpack(r.buf.part(k.off, k.length), k.payload)
	r.moved += k.length
	if r.moved == r.limit {
		p.complete(r)
		c.sendControl(frameAck) // the sender waits for it
	}
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
