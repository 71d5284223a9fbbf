// Package channel is what one rank keeps of the frames between it and one other rank: both directions number them, what is sent
// stays until it is acked, so that it can be sent again on a new route, and what comes is taken once and in order.
//
// A Channel knows neither messages nor memory. It is not safe for concurrent use: its rank's lock guards it. Nothing blocks.
package channel

import "github.com/godwit-run/godwit/internal/fifo"

// Link is the way to the peer.
type Link interface {
	// Room reports whether the way takes more of a lane now. If not, the channel is asked to go on when it does.
	Room(l Lane) bool
	// Transmit sends a frame, whose Src, Dst and Epoch it fills in, and whose payload is the caller's again when it returns.
	Transmit(f Frame)
	// Payload is the payload of a Data packet that is to be sent again, valid until the next call.
	Payload(k Packet) []byte
}

// Limits bound a channel, in bytes: unacked frames, the payload of one, and eager messages that no receive has taken.
type Limits struct{ Window, Chunk, Credit int }

// Lane is one of the two sequences of a channel. Pieces of payload have one of their own, that neither holds up what else there is nor waits for it.
type Lane uint8

// The lanes.
const (
	Talk Lane = iota // all but
	Bulk             // Data
	Lanes
)

// Lane is the one that a packet goes in.
func (k *Packet) Lane() Lane {
	if k.Kind == Data {
		return Bulk
	}
	return Talk
}

// Numbers are one for each lane.
type Numbers [Lanes]uint64

// Channel is one rank's side of the frames between it and a peer.
type Channel struct {
	link   Link
	limits *Limits
	pool   *Pool
	lanes  [Lanes]lane

	// To the peer.
	charged  uint64 // cost of eager messages sent
	credited uint64 // cost of those that receives have consumed
	awaiting bool   // an Attach is out: the answer makes us send again

	// From the peer.
	consumed  uint64 // cost of eager messages consumed here
	told      uint64 // consumed as the peer knows it
	owed      int    // cost of frames taken since the peer was told
	peerEpoch uint64 // highest epoch of the peer's incarnations seen
}

// lane is both directions of a sequence.
type lane struct {
	sendNext uint64             // number of the next frame to the peer
	unacked  fifo.Queue[Packet] // at most limits.Window
	inflight int                // their cost
	unsent   int                // so many of them, the last, are still to be sent on the present route
	acked    uint64             // the peer has all frames below
	recvNext uint64             // number of the next frame to take from the peer
}

// Make returns a channel over which nothing has gone. Limits and pool may be shared with others of the same rank.
func Make(link Link, limits *Limits, pool *Pool) Channel {
	return Channel{link: link, limits: limits, pool: pool}
}

// Used reports whether a frame has gone either way.
func (c *Channel) Used() bool {
	for i := range c.lanes {
		if c.lanes[i].sendNext+c.lanes[i].recvNext > 0 {
			return true
		}
	}
	return false
}

// Number numbers a packet of the talk that goes to the peer by another way than the link, at once.
func (c *Channel) Number() uint64 { return c.lanes[Talk].number() }

func (l *lane) number() uint64 {
	l.sendNext++
	return l.sendNext - 1
}

// Next is the number of the next packet of the talk.
func (c *Channel) Next() uint64 { return c.lanes[Talk].sendNext }

// Counts are how many packets were numbered for the peer so far, and taken from it, over all lanes.
func (c *Channel) Counts() (sent, received uint64) {
	for i := range c.lanes {
		sent, received = sent+c.lanes[i].sendNext, received+c.lanes[i].recvNext
	}
	return sent, received
}

// Spend takes credit for an eager message of a cost, and reports whether there was enough.
func (c *Channel) Spend(cost int) bool {
	if c.charged-c.credited+uint64(cost) > uint64(c.limits.Credit) {
		return false
	}
	c.charged += uint64(cost)
	return true
}

// Unacked is how many packets the peer may lack.
func (c *Channel) Unacked() int { return c.lanes[Talk].unacked.Len() + c.lanes[Bulk].unacked.Len() }

// Oldest is the first of those of a lane, without the payload of Data, or nil.
func (c *Channel) Oldest(l Lane) *Packet {
	if q := &c.lanes[l].unacked; q.Len() > 0 {
		return q.At(0)
	}
	return nil
}

// Newest is the last of those of the talk, or nil.
func (c *Channel) Newest() *Packet {
	if q := &c.lanes[Talk].unacked; q.Len() > 0 {
		return q.At(q.Len() - 1)
	}
	return nil
}

// Inflight is the cost of those of a lane, in bytes.
func (c *Channel) Inflight(l Lane) int { return c.lanes[l].inflight }

// Full reports whether another packet may be too many for a lane's window.
func (c *Channel) Full(l Lane) bool {
	return c.lanes[l].inflight+FrameCost+c.limits.Chunk > c.limits.Window
}

// Unsent is how many packets of a lane are to be sent again before any other goes.
func (c *Channel) Unsent(l Lane) int { return c.lanes[l].unsent }

// Send numbers a packet and keeps it until it is acked. If the peer is reached by the link it is sent.
func (c *Channel) Send(k Packet, reached bool) {
	l := &c.lanes[k.Lane()]
	k.Seq = l.number()
	kept := k
	kept.Payload = nil
	if k.Kind == Eager {
		kept.Payload = append(c.pool.get(len(k.Payload)), k.Payload...)
	}
	l.unacked.Push(kept)
	l.inflight += k.Cost()
	if reached {
		c.transmit(k)
	}
}

func (c *Channel) transmit(k Packet) {
	c.owed, c.told = 0, c.consumed
	c.link.Transmit(Frame{Packet: k, Acked: c.Received(), Consumed: c.consumed})
}

// Control sends a control frame.
func (c *Channel) Control(kind Kind) {
	c.awaiting = c.awaiting || kind == Attach
	c.transmit(Packet{Kind: kind})
}

// resend has all unacked frames sent again, as there is room for them.
func (c *Channel) resend() {
	c.awaiting = false
	for i := range c.lanes {
		c.lanes[i].unsent = c.lanes[i].unacked.Len()
	}
}

// SendAgain sends the first of the Unsent of a lane, of which there must be one, and returns its cost.
func (c *Channel) SendAgain(l Lane) int {
	x := &c.lanes[l]
	k := *x.unacked.At(x.unacked.Len() - x.unsent)
	k.Payload = c.Payload(k)
	x.unsent--
	c.transmit(k)
	return k.Cost()
}

// Payload is that of an unacked packet.
func (c *Channel) Payload(k Packet) []byte {
	if k.Kind == Data {
		return c.link.Payload(k)
	}
	return k.Payload
}

// Heard takes the news that a frame from the peer has, whatever else it is, and reports false for one that an older incarnation has sent, which is to be
// dropped. Acked is to be asked next.
func (c *Channel) Heard(f *Frame) bool {
	if f.Epoch < c.peerEpoch {
		return false
	}
	c.peerEpoch = f.Epoch
	c.Acknowledge(f.Acked, f.Consumed)
	return true
}

// Acknowledge takes the news that the peer has got all frames below some numbers, and consumed eager messages of a cost. All of that only grows, so older news do no
// harm. Acked is to be asked next.
func (c *Channel) Acknowledge(acked Numbers, consumed uint64) {
	c.Credit(consumed)
	for i, n := range acked {
		if l := &c.lanes[i]; n <= l.sendNext { // else it is not of this channel's life
			l.acked = max(l.acked, n)
		}
	}
}

// Credit takes the news that the peer has consumed eager messages of a cost.
func (c *Channel) Credit(consumed uint64) {
	if consumed > c.credited && consumed <= c.charged {
		c.credited = consumed
	}
}

// Acked takes back the first packet of a lane that the peer has got, until there is none left. Its payload is gone.
func (c *Channel) Acked() (k Packet, ok bool) {
	for i := range c.lanes {
		l := &c.lanes[i]
		if l.unacked.Len() == 0 || l.unacked.At(0).Seq >= l.acked {
			l.unsent = min(l.unsent, l.unacked.Len())
			continue
		}
		k = l.unacked.Pop()
		l.inflight -= k.Cost()
		c.pool.put(k.Payload)
		k.Payload = nil
		return k, true
	}
	return k, false
}

// Admit does what a control frame wants, and reports of another one whether it is the next in order: its packet is then to be taken.
func (c *Channel) Admit(f *Frame) bool {
	switch f.Kind {
	case Ack:
	case Sync:
		c.Control(Ack)
	case Attach:
		c.Control(Welcome)
		c.resend()
	case Welcome:
		if c.awaiting {
			c.resend()
		}
	default:
		l := &c.lanes[f.Lane()]
		if f.Seq == l.recvNext {
			l.recvNext++
			c.owed += f.Cost()
			return true
		}
		// One that is here, or one after a loss: Attach brings what is missing.
		if f.Seq+1 == l.recvNext {
			c.Control(Ack)
		}
	}
	return false
}

// Awaits reports whether a frame is the next of its lane.
func (c *Channel) Awaits(f *Frame) bool {
	return f.Epoch >= c.peerEpoch && f.Seq == c.lanes[f.Lane()].recvNext
}

// Received are the numbers of the next packets to take.
func (c *Channel) Received() Numbers {
	return Numbers{c.lanes[Talk].recvNext, c.lanes[Bulk].recvNext}
}

// Took notes that the next packet of a lane has come, by another way than the link.
func (c *Channel) Took(l Lane) { c.lanes[l].recvNext++ }

// Consumed is the cost of the eager messages from the peer that have been consumed.
func (c *Channel) Consumed() uint64 { return c.consumed }

// Consume notes that a receive has taken an eager message of a cost.
func (c *Channel) Consume(cost int) { c.consumed += uint64(cost) }

// Due reports whether the peer is to be told what it does not know: a quarter of the window, or of the credit, is owed. That is well before either is
// used up, so the peer is never stuck for want of an ack.
func (c *Channel) Due() bool {
	return c.owed >= c.limits.Window/4 || c.consumed-c.told >= uint64(c.limits.Credit/4)
}

// Told notes that the peer has heard, by another way than the link, what was consumed.
func (c *Channel) Told() { c.told = c.consumed }

// Near notes that the peer is reached by another way than the link from now on, and has the news.
func (c *Channel) Near() { c.awaiting, c.owed, c.told = false, 0, c.consumed }

// Forget drops all unacked packets: the peer is nowhere any more.
func (c *Channel) Forget() {
	for i := range c.lanes {
		l := &c.lanes[i]
		for l.unacked.Len() > 0 {
			k := l.unacked.Pop()
			c.pool.put(k.Payload)
		}
		l.unsent, l.inflight = 0, 0
	}
}
