package mpi

import (
	"github.com/godwit-run/godwit/internal/fifo"
	"github.com/godwit-run/godwit/mpi/channel"
	"github.com/godwit-run/godwit/mpi/layout"
)

// pair is one rank's side of what it has to do with a peer: the channel of their frames, what waits to become one, and what is copied from
// the peer's memory.
type pair struct {
	channel.Channel
	p    *Proc
	peer Rank

	pending fifo.Queue[item]     // not framed yet: at most two for each request, with the next
	data    fifo.Queue[item]     // payload that is not
	copies  fifo.Queue[*request] // receives that are copied from the peer's memory
	queued  bool                 // in the rank's backlog
	ended   bool                 // the peer's program has ended, and what it sent is here
	heard   uint64               // bytes of its messages, since the rank came here
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
	kind    uint8 // 0: nothing
	req     uint32
	peerReq uint32
	limit   uint32
	seq     uint64
}

// pair returns what the rank has to do with a peer.
func (p *Proc) pair(peer Rank) *pair {
	c := p.pairs[peer]
	if c == nil {
		c = &pair{p: p, peer: peer}
		c.Channel = channel.Make(c, &p.w.limits, &p.pool)
		p.pairs[peer] = c
	}
	return c
}

// local returns the peer if it is a rank of this World.
func (c *pair) local() *Proc { return c.p.w.procs[c.peer].Load() }

// near returns the peer if packets go straight to its inbox. Older unacked
// frames go first, so only an empty channel allows it. Who detaches a rank waits until nobody uses an older answer.
func (c *pair) near() *Proc {
	if q := c.local(); q != nil && q.attached.Load() && c.Unacked() == 0 {
		return q
	}
	return nil
}

// reaches reports whether the peer is still that rank of this World, so that its requests and memory are as they were.
func (c *pair) reaches(q *Proc) bool { return q != nil && c.local() == q && q.attached.Load() }

// open reports whether a frame of a lane may be made now.
func (c *pair) open(l channel.Lane) bool {
	switch {
	case !c.p.attached.Load():
		return false
	case c.near() != nil:
		return true
	case c.Unsent(l) > 0 || c.Full(l): // what is to be sent again goes first
		return false
	case c.local() != nil: // what is for a rank that stands still is kept
		return true
	}
	return c.Room(l)
}

// Room implements channel.Link. Where the Network takes no more for the peer, the rank hears of it when it does.
func (c *pair) Room(l channel.Lane) bool {
	net, bulk := c.p.w.net, l == channel.Bulk
	if net.Room(c.peer, bulk) {
		return true
	}
	c.p.crowded.Store(true)
	return net.Room(c.peer, bulk) // since the note
}

// Transmit implements channel.Link.
func (c *pair) Transmit(f channel.Frame) {
	f.Src, f.Dst, f.Epoch = c.p.rank, c.peer, c.p.epoch
	f.Header(c.p.head[:])
	way := pick(f.Lane() == channel.Bulk, BulkWay, OrderedWay)
	if f.Kind == channel.Ack { // which says nothing of what is before it
		way = UrgentWay
	}
	c.p.w.net.Send(c.peer, c.p.head[:], f.Payload, way)
}

// Payload implements channel.Link: data is read from the guest's memory again.
func (c *pair) Payload(k channel.Packet) []byte {
	r := c.p.request(k.PeerReq)
	if r == nil {
		return nil
	}
	return c.p.packed(r.buf.Part(k.Off, k.Length))
}

// resends reports whether something of a lane may be sent again now.
func (c *pair) resends(l channel.Lane) bool {
	return c.Unsent(l) > 0 && c.p.attached.Load() && c.local() == nil && c.Room(l)
}

// waiting are the items of a lane that have no frame yet.
func (c *pair) waiting(l channel.Lane) *fifo.Queue[item] {
	return pick(l == channel.Bulk, &c.data, &c.pending)
}

// goesOn reports whether there is something of a lane that can go on now.
func (c *pair) goesOn(l channel.Lane) bool {
	return c.resends(l) || c.waiting(l).Len() > 0 && c.open(l)
}

// control sends a frame without a number. It does nothing for local peers.
func (c *pair) control(kind channel.Kind) {
	if c.local() == nil {
		c.Control(kind)
	}
}

// schedule puts the pair on the rank's backlog if it has work it can do.
func (c *pair) schedule() {
	if !c.queued && (c.copies.Len() > 0 || c.goesOn(channel.Talk) || c.goesOn(channel.Bulk)) {
		c.queued = true
		c.p.backlog.Push(c)
	}
}

// push sends an item now if nothing is before it, and payload always later:
// frames are made in at most chunk-sized steps, by settle.
func (c *pair) push(it item) {
	switch {
	case it.kind == itemData:
		c.data.Push(it)
	case c.pending.Len() == 0 && c.open(channel.Talk):
		c.step(it)
		return
	default:
		c.pending.Push(it)
	}
	c.schedule()
}

// pump copies or makes frames for at most about one chunk of payload.
func (c *pair) pump() {
	budget := c.p.w.cfg.ChunkBytes
	for budget > 0 && c.copies.Len() > 0 {
		n, over := c.copyNear(*c.copies.At(0))
		budget -= n + channel.FrameCost
		if over {
			c.copies.Pop()
		}
	}
	for l := range channel.Lanes {
		budget = c.pumpLane(l, budget)
	}
	c.schedule()
	if c.p.ended {
		c.p.changed()
	}
}

// pumpLane makes frames of a lane within a budget, and returns what is left of that.
func (c *pair) pumpLane(l channel.Lane, budget int) int {
	for budget > 0 && c.resends(l) {
		budget -= c.SendAgain(l)
		if c.p.ended && c.Unsent(channel.Talk)+c.Unsent(channel.Bulk) == 0 {
			c.control(channel.Sync) // it asked for the acks before the peer had moved
		}
	}
	for queue := c.waiting(l); budget > 0 && queue.Len() > 0 && c.open(l); {
		it := queue.Pop()
		n, more := c.step(it)
		budget -= n + channel.FrameCost
		if more {
			queue.Push(it) // behind what waits: payload has no order
		}
	}
	return budget
}

// step makes one frame; more tells that the item is not finished.
func (c *pair) step(it item) (payload int, more bool) {
	switch it.kind {
	case itemSend, itemData:
		r := c.p.request(it.req)
		switch {
		case r == nil: // only a damaged state leads here
			return 0, false
		case it.kind == itemSend:
			return c.sendEnvelope(r), false
		}
		return c.sendData(r)
	case itemCTS:
		c.emit(channel.Packet{Kind: channel.CTS, Req: it.req, PeerReq: it.peerReq, Size: it.limit}, layout.Span{})
	case itemCancel:
		c.emit(channel.Packet{Kind: channel.Cancel, Req: it.req, Size: uint32(it.seq), PeerReq: uint32(it.seq >> 32)}, layout.Span{})
	case itemCancelled:
		c.emit(channel.Packet{Kind: channel.Cancelled, Req: it.req, Size: it.limit}, layout.Span{})
	case itemEnd:
		c.emit(channel.Packet{Kind: channel.End}, layout.Span{})
	case itemDone:
		c.emit(channel.Packet{Kind: channel.Done, Req: it.req}, layout.Span{})
	}
	return 0, false
}

// sendEnvelope makes the first frame of a send: its message, or, where that is long or beyond the credit, its envelope alone.
func (c *pair) sendEnvelope(r *request) (payload int) {
	cfg := &c.p.w.cfg
	long := r.mode == modeSync || int(r.buf.Len) > pick(c.local() == nil, cfg.FarEager, cfg.EagerLimit)
	if c.p.gone(c.peer) { // it will not be received: who waits for that finds the request hopeless
		if !long || r.orphan {
			r.sent = true
			c.p.complete(r)
		}
		return 0
	}
	r.framed, r.seq = true, c.Next()
	k := channel.Packet{Kind: channel.RTS, Context: r.context, Tag: r.tag, Size: r.buf.Len, Req: r.index}
	if long || !c.Spend(channel.FrameCost+int(r.buf.Len)) {
		c.emit(k, layout.Span{})
		return 0
	}
	k.Kind, k.Length = channel.Eager, r.buf.Len
	c.emit(k, r.buf)
	r.sent = true
	c.p.complete(r)
	return int(k.Length)
}

// sendData makes the next frame of a send's payload, and tells whether there is more of it.
func (c *pair) sendData(r *request) (payload int, more bool) {
	if q := c.near(); q != nil { // the receive began when one of the two was elsewhere
		c.offer(q, r)
		return 0, false
	}
	n := min(uint32(c.p.w.cfg.ChunkBytes), r.limit-r.moved)
	k := channel.Packet{Kind: channel.Data, Req: r.peerReq, PeerReq: r.index, Off: r.moved, Length: n}
	r.moved += n
	more = r.moved < r.limit // before it is sent: that may complete the request
	k.Payload = c.p.packed(r.buf.Part(k.Off, n))
	c.keep(k) // never into an inbox: the peer may have come here meanwhile, and takes it with what it lacks
	return int(n), more
}

// offer lets a matched receive of a rank of this World copy what it lacks, as if it had not asked for it yet: it may ask again.
func (c *pair) offer(q *Proc, r *request) {
	c.Number()
	r.matched, r.moved, r.acked = false, 0, 0
	c.handOver(q, &channel.Packet{Kind: channel.Offer, Req: r.peerReq}, r)
}

// emit gives a packet its number and sends it: into the peer's inbox, or as keep does.
func (c *pair) emit(k channel.Packet, payload layout.Span) {
	k.Payload = c.p.packed(payload)
	if q := c.near(); q != nil {
		c.Number()
		c.handOver(q, &k, c.copied(&k))
		return
	}
	c.keep(k)
}

// keep gives a packet its number and sends it as a frame, which is kept until acked. To a local peer that is detached, or has not been brought to direct
// delivery yet, it is only kept.
func (c *pair) keep(k channel.Packet) {
	far := c.local() == nil
	if c.Send(k, far); far && c.p.ended {
		c.Control(channel.Sync) // the rank waits for nothing but acks
	}
}

// copied is the send that a receiver within the World copies from, if a packet offers one.
func (c *pair) copied(k *channel.Packet) *request {
	if k.Kind != channel.RTS {
		return nil
	}
	return c.p.request(k.Req)
}

// handOver puts a packet into the inbox of a rank of this World, with the send that it offers.
func (c *pair) handOver(q *Proc, k *channel.Packet, origin *request) {
	if origin != nil {
		origin.offered = true
		c.p.offers++
	}
	q.in.put(c.p.rank, k, origin)
	c.p.toSelf = c.p.toSelf || q == c.p
	if needsServing(k) && q != c.p {
		q.in.urgent.Store(true) // behind the packet: who clears it finds that
		c.p.urge = append(c.p.urge, q)
	}
}

// needsServing reports whether a packet is for the library of its receiver, even while the program computes: one-sided operations and long
// messages go on without it.
func needsServing(k *channel.Packet) bool {
	switch k.Kind {
	case channel.Eager:
		return k.Context%contextKinds >= contextWindow
	case channel.RTS, channel.CTS, channel.Data, channel.Offer, channel.Cancel, channel.Cancelled:
		return true
	case channel.Done, channel.End, channel.Ack, channel.Attach, channel.Welcome, channel.Sync:
	}
	return false
}

// receive takes a frame from the Network: what it says of earlier ones, and, if it is the next in order, its packet. What that makes us send goes last.
func (c *pair) receive(f *channel.Frame) {
	if !c.Heard(f) {
		return
	}
	c.acknowledged()
	if c.Admit(f) {
		c.answer(c.take(&f.Packet, nil))
	}
	c.schedule()
}

// acknowledged takes note of what the peer has got.
func (c *pair) acknowledged() {
	for k, ok := c.Acked(); ok; k, ok = c.Acked() {
		if k.Kind == channel.Data {
			c.p.dataAcked(k.PeerReq, k.Length)
		}
	}
	if c.p.ended {
		c.p.changed()
	}
}

// receiveNear takes a packet of a rank of this World, with the send that it offers.
func (c *pair) receiveNear(k *channel.Packet, origin *request) {
	if k.Kind == channel.Ack {
		c.Credit(k.Context)
		return
	}
	k.Seq = c.Received()[channel.Talk]
	c.Took(channel.Talk)
	c.answer(c.take(k, origin))
}

// take does what the next packet in order is for. What flows back to the peer is the result.
func (c *pair) take(k *channel.Packet, origin *request) reply {
	switch k.Kind {
	case channel.Eager:
		m := c.p.newMessage()
		m.src, m.context, m.tag, m.size, m.seq, m.payload = c.peer, k.Context, k.Tag, k.Length, k.Seq, k.Payload
		return c.p.arrive(m)
	case channel.RTS:
		m := c.p.newMessage()
		m.src, m.context, m.tag, m.size, m.seq, m.rendezvous, m.req = c.peer, k.Context, k.Tag, k.Size, k.Seq, true, k.Req
		if origin != nil {
			m.sender, m.origin = c.local(), origin
		}
		return c.p.arrive(m)
	case channel.CTS:
		return c.p.takeCTS(c, k)
	case channel.Data:
		return c.p.takeData(c, k)
	case channel.Offer:
		return c.p.takeOffer(c, k, origin)
	case channel.Cancel:
		return c.p.takeCancel(c, k)
	case channel.Cancelled:
		c.p.takeCancelled(k)
	case channel.End:
		c.peerEnded()
	case channel.Done:
		c.p.takeDone(c, k)
	case channel.Ack, channel.Attach, channel.Welcome, channel.Sync: // have no number
	}
	return reply{}
}

// reply is what flows back to the peer for a packet that was taken, or a message that was matched.
type reply struct {
	consumed int      // cost of an eager message that a receive has taken, and
	done     *request // that receive, which is over
	wants    *request // a receive that has matched a long message, and wants its data
	ack      bool     // at once: the peer waits for it
	item     item     // something to be sent
}

// answer sends a reply.
func (c *pair) answer(r reply) {
	if r.consumed > 0 {
		c.Consume(r.consumed)
	}
	if r.done != nil {
		c.p.complete(r.done) // which may make us send: that tells of it
	}
	switch {
	case r.ack:
		c.control(channel.Ack)
	case r.wants != nil:
		c.fetch(r.wants)
	case r.item.kind != 0:
		c.push(r.item)
	}
	c.tell()
}

// tell acks, if that is due.
func (c *pair) tell() {
	if !c.p.attached.Load() || !c.Due() {
		return
	}
	q := c.local()
	switch {
	case q == nil:
		c.Control(channel.Ack)
	case q.attached.Load(): // else it hears of it when it is again
		c.Told()
		q.in.put(c.p.rank, &channel.Packet{Kind: channel.Ack, Context: c.Consumed()}, nil)
	}
}

// attachRemote tells a peer elsewhere that the route to it is new.
func (c *pair) attachRemote() {
	c.control(channel.Attach) // the peer's answer makes us send again what it lacks
	c.schedule()
}

// exchange brings two local ranks to direct delivery: each gets what the other
// has sent and it has not got.
func exchange(a, b *pair) {
	a.Acknowledge(b.Received(), b.Consumed())
	a.acknowledged()
	b.Acknowledge(a.Received(), a.Consumed())
	b.acknowledged()
	a.flushTo(b)
	b.flushTo(a)
	a.schedule()
	b.schedule()
}

// flushTo gives a local peer what it has not got. The Talk goes first, and nothing is added to it by what the peer takes of the Bulk: an ack of the last piece completes a send, and
// that makes nobody send.
func (c *pair) flushTo(to *pair) {
	c.Near()
	to.Near()
	for l := range channel.Lanes {
		for {
			oldest := c.Oldest(l)
			if oldest == nil || oldest.Seq != to.Received()[l] {
				break
			}
			k := *oldest
			k.Payload = c.Channel.Payload(k)
			to.Took(l)
			to.answer(to.take(&k, nil))
			c.Acknowledge(to.Received(), to.Consumed())
			c.acknowledged()
		}
	}
}
