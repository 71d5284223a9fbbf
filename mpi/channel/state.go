package channel

import "errors"

// State is all of a channel that a captured rank keeps.
type State struct {
	SendNext, RecvNext          Numbers
	Charged, Credited, Consumed uint64
	PeerEpoch                   uint64
	Unacked                     []Packet // each lane's in order
}

// State returns a channel's. Payloads are the channel's own.
func (c *Channel) State() State {
	s := State{Charged: c.charged, Credited: c.credited, RecvNext: c.Received(), Consumed: c.consumed, PeerEpoch: c.peerEpoch}
	for i := range c.lanes {
		l := &c.lanes[i]
		s.SendNext[i] = l.sendNext
		for k := range l.unacked.Len() {
			s.Unacked = append(s.Unacked, *l.unacked.At(k))
		}
	}
	return s
}

// Restore makes an unused channel what State says; its payloads are the channel's from now on. It fails if no channel can have been like that.
func (c *Channel) Restore(s State) error {
	if s.Credited > s.Charged {
		return errors.New("it has more credit than it used")
	}
	c.charged, c.credited, c.consumed, c.peerEpoch = s.Charged, s.Credited, s.Consumed, s.PeerEpoch
	var next Numbers
	for i := range c.lanes {
		c.lanes[i].sendNext, c.lanes[i].recvNext = s.SendNext[i], s.RecvNext[i]
		next[i] = s.SendNext[i]
	}
	for i := range s.Unacked {
		next[s.Unacked[i].Lane()]--
	}
	for _, k := range s.Unacked {
		l := &c.lanes[k.Lane()]
		sequenced := k.Kind >= Eager && k.Kind <= lastKind && !k.Kind.control()
		if !sequenced || k.Seq != next[k.Lane()] || k.Kind != Data && uint64(k.Length) != uint64(len(k.Payload)) || l.inflight > c.limits.Window {
			return errors.New("an unacked frame is damaged")
		}
		next[k.Lane()]++
		if k.Kind != Eager {
			k.Payload = nil
		}
		l.unacked.Push(k)
		l.inflight += k.Cost()
	}
	return nil
}
