package channel

import "errors"

// State is all of a channel that a captured rank keeps.
type State struct {
	SendNext, Charged, Credited   uint64
	RecvNext, Consumed, PeerEpoch uint64
	Unacked                       []Packet
}

// State returns a channel's. Payloads are the channel's own.
func (c *Channel) State() State {
	s := State{
		SendNext: c.sendNext, Charged: c.charged, Credited: c.credited,
		RecvNext: c.recvNext, Consumed: c.consumed, PeerEpoch: c.peerEpoch,
	}
	for i := range c.unacked.Len() {
		s.Unacked = append(s.Unacked, *c.unacked.At(i))
	}
	return s
}

// Restore makes an unused channel what State says; its payloads are the channel's from now on. It fails if no channel can have been like that.
func (c *Channel) Restore(s State) error {
	if s.Credited > s.Charged {
		return errors.New("it has more credit than it used")
	}
	c.sendNext, c.charged, c.credited = s.SendNext, s.Charged, s.Credited
	c.recvNext, c.consumed, c.peerEpoch = s.RecvNext, s.Consumed, s.PeerEpoch
	first := s.SendNext - uint64(len(s.Unacked))
	for i, k := range s.Unacked {
		sequenced := k.Kind >= Eager && k.Kind <= lastKind && !k.Kind.control()
		if !sequenced || k.Seq != first+uint64(i) || k.Kind != Data && uint64(k.Length) != uint64(len(k.Payload)) || c.inflight > c.limits.Window {
			return errors.New("an unacked frame is damaged")
		}
		if k.Kind != Eager {
			k.Payload = nil
		}
		c.unacked.Push(k)
		c.inflight += k.Cost()
	}
	return nil
}
