package mpi

// channel is one rank's side of its pair with a peer: what it sends there, and
// what it has got from there. Both directions number their frames; what is sent
// stays in replay until it is acked, so that it can be sent again on a new route.
type channel struct {
	p    *Proc
	peer Rank

	// To the peer.
	sendNext uint64        // sequence number of the next frame
	replay   queue[packet] // unacked frames, at most WindowBytes
	inflight int           // their cost
	unsent   int           // so many of them, the last, are still to be sent on the present route
	pending  queue[item]   // not framed yet: at most two for each request
	charged  uint64        // cost of eager messages sent
	credited uint64        // cost of those that receives have consumed
	awaiting bool          // an ATTACH is out: the answer makes us send again
	queued   bool          // in the rank's backlog

	// From the peer.
	recvNext  uint64 // sequence number of the next frame to take
	consumed  uint64 // cost of eager messages consumed here
	told      uint64 // consumed as the peer knows it
	owed      int    // cost of frames taken since the peer was told
	peerEpoch uint64 // highest epoch of the peer's incarnations seen
	ended     bool   // the peer's program has ended, and what it sent is here

	copies queue[*request] // receives that are copied from the peer's memory
}

const (
	itemSend = 1 // req: a send's envelope, with its payload if it may go eagerly
	itemCTS  = 2 // req, peerReq, limit: as in the packet
	itemData = 3 // req: a send's payload from moved to limit, chunk by chunk

	itemCancel    = 4 // req, seq: the sender wants its message back
	itemCancelled = 5 // req, limit: the answer, 1 if the message was dropped
	itemEnd       = 6 // our program has ended
	itemDone      = 7 // req: the sender's request, which is over
	lastItem      = itemDone
)

// item is something to send that has no frame yet. It refers to requests, never
// to copies of their buffers.
type item struct {
	kind    uint8
	req     uint32
	peerReq uint32
	limit   uint32
	seq     uint64
}

// channel returns the channel to a peer.
func (p *Proc) channel(peer Rank) *channel {
	c := p.channels[peer]
	if c == nil {
		c = &channel{p: p, peer: peer}
		p.channels[peer] = c
	}
	return c
}

// local returns the peer if it is a rank of this World.
func (c *channel) local() *Proc { return c.p.w.procs[c.peer].Load() }

// near returns the peer if packets go straight to its inbox. Older unacked
// frames go first, so only an empty replay allows it. Who detaches a rank waits until nobody uses an older answer.
func (c *channel) near() *Proc {
	if q := c.local(); q != nil && q.attached.Load() && c.replay.len() == 0 {
		return q
	}
	return nil
}

// reaches reports whether the peer is still that rank of this World, so that its requests and memory are as they were.
func (c *channel) reaches(q *Proc) bool { return q != nil && c.local() == q && q.attached.Load() }

// open reports whether a frame may be made now.
func (c *channel) open() bool {
	w := c.p.w
	switch {
	case !c.p.attached.Load():
		return false
	case c.near() != nil:
		return true
	case c.unsent > 0: // which goes first
		return false
	case c.inflight+frameCost+w.cfg.ChunkBytes > w.cfg.WindowBytes:
		return false
	case c.local() != nil: // what is for a rank that stands still is kept
		return true
	}
	return c.hasRoom()
}

// hasRoom reports whether the Network takes more for the peer. If not, the rank hears of it when it does.
func (c *channel) hasRoom() bool {
	net := c.p.w.net
	if net.Room(c.peer) {
		return true
	}
	c.p.crowded.Store(true)
	return net.Room(c.peer) // since the note
}

// resends reports whether something may be sent again now.
func (c *channel) resends() bool {
	return c.unsent > 0 && c.p.attached.Load() && c.local() == nil && c.hasRoom()
}

// schedule puts the channel on the rank's backlog if it has work it can do.
func (c *channel) schedule() {
	if !c.queued && (c.copies.len() > 0 || c.resends() || c.pending.len() > 0 && c.open()) {
		c.queued = true
		c.p.backlog.push(c)
	}
}

// push sends an item now if nothing is before it, and payload always later:
// frames are made in at most chunk-sized steps, by settle.
func (c *channel) push(it item) {
	if c.pending.len() == 0 && it.kind != itemData && c.open() {
		c.step(it)
		return
	}
	c.pending.push(it)
	c.schedule()
}

// pump copies or makes frames for at most about one chunk of payload.
func (c *channel) pump() {
	budget := c.p.w.cfg.ChunkBytes
	for budget > 0 && c.copies.len() > 0 {
		n, over := c.copyNear(*c.copies.at(0))
		budget -= n + frameCost
		if over {
			c.copies.pop()
		}
	}
	for budget > 0 && c.resends() {
		budget -= c.sendAgain()
	}
	for budget > 0 && c.pending.len() > 0 && c.open() {
		it := c.pending.pop()
		n, more := c.step(it)
		budget -= n + frameCost
		if more {
			c.pending.push(it) // behind what waits: payload has no order, envelopes keep theirs
		}
	}
	c.schedule()
	if c.p.ended {
		c.p.changed()
	}
}

// step makes one frame; more tells that the item is not finished.
func (c *channel) step(it item) (payload int, more bool) {
	switch it.kind {
	case itemCTS:
		c.emit(packet{kind: frameCTS, req: it.req, peerReq: it.peerReq, size: it.limit}, span{})
		return 0, false
	case itemCancel:
		c.emit(packet{kind: frameCancel, req: it.req, size: uint32(it.seq), peerReq: uint32(it.seq >> 32)}, span{})
		return 0, false
	case itemCancelled:
		c.emit(packet{kind: frameCancelled, req: it.req, size: it.limit}, span{})
		return 0, false
	case itemEnd:
		c.emit(packet{kind: frameEnd}, span{})
		return 0, false
	case itemDone:
		c.emit(packet{kind: frameDone, req: it.req}, span{})
		return 0, false
	}
	r := c.p.request(it.req)
	if r == nil {
		return 0, false // only a damaged state leads here
	}
	if it.kind == itemData {
		if q := c.near(); q != nil { // the receive began when one of the two was elsewhere
			c.offer(q, r)
			return 0, false
		}
		n := min(uint32(c.p.w.cfg.ChunkBytes), r.limit-r.moved)
		k := packet{kind: frameData, req: r.peerReq, peerReq: r.index, off: r.moved, length: n}
		r.moved += n
		more = r.moved < r.limit // before emit: it may complete the request
		c.emit(k, r.buf.part(k.off, n))
		return int(n), more
	}
	k := packet{kind: frameRTS, context: r.context, tag: r.tag, size: r.buf.len, req: r.index}
	cost := uint64(frameCost) + uint64(r.buf.len)
	cfg := &c.p.w.cfg
	long := r.mode == modeSync || int(r.buf.len) > pick(c.local() == nil, cfg.FarEager, cfg.EagerLimit)
	if c.p.gone(c.peer) { // it will not be received: who waits for that finds the request hopeless
		if !long || r.orphan {
			r.sent = true
			c.p.complete(r)
		}
		return 0, false
	}
	r.framed, r.seq = true, c.sendNext
	if long || c.charged-c.credited+cost > uint64(cfg.CreditBytes) {
		c.emit(k, span{})
		return 0, false
	}
	k.kind, k.length = frameEager, r.buf.len
	c.charged += cost
	c.emit(k, r.buf)
	r.sent = true
	c.p.complete(r)
	return int(k.length), false
}

// offer lets a matched receive of a rank of this World copy what it lacks, as if it had not asked for it yet: it may ask again.
func (c *channel) offer(q *Proc, r *request) {
	k := packet{kind: frameOffer, seq: c.sendNext, req: r.peerReq, origin: r}
	c.sendNext++
	r.matched, r.moved, r.acked = false, 0, 0
	c.handOver(q, &k)
}

// emit gives a packet its number and sends it: into the peer's inbox, or as a
// frame that is kept until acked. To a local peer that is detached it is only kept.
func (c *channel) emit(k packet, payload span) {
	k.seq = c.sendNext
	c.sendNext++
	k.payload = c.p.packed(payload)
	if q := c.near(); q != nil {
		c.handOver(q, &k)
		return
	}
	kept := k
	kept.payload = nil
	if k.kind == frameEager {
		kept.payload = append(c.p.payloads.get(len(k.payload)), k.payload...)
	}
	c.replay.push(kept)
	c.inflight += k.cost()
	if c.local() == nil {
		c.transmit(&k)
		if c.p.ended {
			c.sendControl(frameSync) // the rank waits for nothing but acks
		}
	}
}

// handOver puts a packet into the inbox of a rank of this World.
func (c *channel) handOver(q *Proc, k *packet) {
	if k.kind == frameRTS {
		k.origin = c.p.request(k.req)
	}
	if k.origin != nil {
		k.origin.offered = true
		c.p.offers++
	}
	q.in.put(c.p.rank, k)
	c.p.toSelf = c.p.toSelf || q == c.p
	if k.needsServing() && q != c.p {
		q.in.urgent.Store(true) // behind the packet: who clears it finds that
		c.p.urge = append(c.p.urge, q)
	}
}

// needsServing reports whether a packet is for the library of its receiver, even while the program computes: one-sided operations and long
// messages go on without it.
func (k *packet) needsServing() bool {
	switch k.kind {
	case frameEager:
		return k.context%contextKinds >= contextWindow
	case frameDone, frameEnd, frameAck:
		return false
	}
	return true
}

// payload returns the payload of a packet in replay.
func (c *channel) payload(k *packet) []byte {
	if k.kind != frameData {
		return k.payload
	}
	r := c.p.request(k.peerReq)
	if r == nil {
		return nil
	}
	return c.p.packed(r.buf.part(k.off, k.length))
}

// transmit sends a packet over the Network, with what we know of the peer's frames.
func (c *channel) transmit(k *packet) {
	f := frame{packet: *k, src: c.p.rank, dst: c.peer, epoch: c.p.epoch, ack: c.recvNext, consumed: c.consumed}
	c.owed, c.told = 0, c.consumed
	f.header(c.p.head[:])
	c.p.w.net.Send(c.peer, c.p.head[:], k.payload, k.kind == frameAck) // which says nothing of what is before it
}

// sendControl sends a frame without a number. It does nothing for local peers.
func (c *channel) sendControl(kind uint8) {
	if c.local() != nil {
		return
	}
	c.awaiting = c.awaiting || kind == frameAttach
	c.transmit(&packet{kind: kind})
}

// resend has all unacked frames sent again, as there is room for them.
func (c *channel) resend() {
	c.awaiting = false
	c.unsent = c.replay.len()
	c.schedule()
}

// sendAgain sends the next frame again, and returns what it counts.
func (c *channel) sendAgain() int {
	k := *c.replay.at(c.replay.len() - c.unsent)
	k.payload = c.payload(&k)
	c.unsent--
	c.transmit(&k)
	if c.unsent == 0 && c.p.ended {
		c.sendControl(frameSync) // it asked for the acks before the peer had moved
	}
	return k.cost()
}

// receive handles a frame from the Network.
func (c *channel) receive(f *frame) {
	c.acknowledge(f.ack, f.consumed)
	switch f.kind {
	case frameAck:
	case frameSync:
		c.sendControl(frameAck)
	case frameAttach:
		c.sendControl(frameWelcome)
		c.resend()
	case frameWelcome:
		if c.awaiting {
			c.resend()
		}
	default:
		if f.seq != c.recvNext {
			// A frame we have, or one after a loss: ATTACH brings what is missing.
			if f.seq+1 == c.recvNext {
				c.sendControl(frameAck)
			}
			return
		}
		c.owed += f.cost()
		c.take(&f.packet)
		c.tell()
	}
	c.schedule()
}

// take handles the next packet in sequence.
func (c *channel) take(k *packet) {
	c.recvNext++
	switch k.kind {
	case frameEager:
		m := c.p.newMessage()
		m.src, m.context, m.tag, m.size, m.seq, m.payload = c.peer, k.context, k.tag, k.length, k.seq, k.payload
		c.p.arrive(m)
	case frameRTS:
		m := c.p.newMessage()
		m.src, m.context, m.tag, m.size, m.seq, m.rendezvous, m.req = c.peer, k.context, k.tag, k.size, k.seq, true, k.req
		if k.origin != nil {
			m.sender, m.origin = c.local(), k.origin
		}
		c.p.arrive(m)
	case frameCTS:
		c.p.takeCTS(c, k)
	case frameData:
		c.p.takeData(c, k)
	case frameOffer:
		c.p.takeOffer(c, k)
	case frameCancel:
		c.p.takeCancel(c, k)
	case frameCancelled:
		c.p.takeCancelled(k)
	case frameEnd:
		c.peerEnded()
	case frameDone:
		c.p.takeDone(c, k)
	}
}

// consume counts an eager message that a receive has taken, which gives the
// sender credit.
func (c *channel) consume(cost int) {
	c.consumed += uint64(cost)
	c.tell()
}

// tell acks when a quarter of the window, or of the credit, is owed: well before the sender's
// window or credit can be used up, so it is never stuck for want of an ack.
func (c *channel) tell() {
	cfg := &c.p.w.cfg
	if !c.p.attached.Load() || c.owed < cfg.WindowBytes/4 && c.consumed-c.told < uint64(cfg.CreditBytes/4) {
		return
	}
	if q := c.local(); q != nil {
		if q.attached.Load() { // else it hears of it when it is again
			c.told = c.consumed
			q.in.put(c.p.rank, &packet{kind: frameAck, context: c.consumed})
		}
		return
	}
	c.sendControl(frameAck)
}

func (c *channel) credit(consumed uint64) {
	if consumed > c.credited && consumed <= c.charged {
		c.credited = consumed
	}
}

// acknowledge handles what the peer says it has got and consumed. Both only
// grow, so older news does no harm.
func (c *channel) acknowledge(ack, consumed uint64) {
	c.credit(consumed)
	if ack > c.sendNext {
		return // not of this channel's life
	}
	for c.replay.len() > 0 && c.replay.at(0).seq < ack {
		k := c.replay.pop()
		c.inflight -= k.cost()
		if k.kind == frameData {
			c.p.dataAcked(k.peerReq, k.length)
		}
		c.p.payloads.put(k.payload)
	}
	c.unsent = min(c.unsent, c.replay.len())
	if c.p.ended {
		c.p.changed()
	}
}

// exchange brings two local ranks to direct delivery: each gets what the other
// has sent and it has not got.
func exchange(a, b *channel) {
	a.acknowledge(b.recvNext, b.consumed)
	b.acknowledge(a.recvNext, a.consumed)
	a.flushTo(b)
	b.flushTo(a)
	a.schedule()
	b.schedule()
}

func (c *channel) flushTo(to *channel) {
	c.awaiting, to.owed, to.told = false, 0, to.consumed
	for c.replay.len() > 0 && c.replay.at(0).seq == to.recvNext {
		k := *c.replay.at(0)
		k.payload = c.payload(&k)
		to.take(&k)
		c.acknowledge(to.recvNext, to.consumed)
	}
}
