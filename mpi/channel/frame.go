package channel

import (
	"encoding/binary"

	"github.com/godwit-run/godwit/mpi/abi"
)

// Kind is what a frame is for. Sequenced kinds have a number and are kept until they are acked; control kinds are repeated by whoever needs them.
type Kind uint8

// Kinds of frames. The values are those of frames and of captured state: they stay.
const (
	Eager   Kind = 1 // a message with its payload
	RTS     Kind = 2 // a message's envelope; the sender waits for CTS
	CTS     Kind = 3 // a receive has matched: send Size bytes of it
	Data    Kind = 4 // a piece of payload
	Ack     Kind = 5 // control: only the news that every frame has
	Attach  Kind = 6 // control: "I am here now": answer, and send again what I lack
	Welcome Kind = 7 // control: the answer to Attach
	Sync    Kind = 8 // control: please ack

	Cancel    Kind = 9  // a sender wants its message back: number of its frame in Size and PeerReq
	Cancelled Kind = 10 // the answer: Size is 1 if the message was dropped
	End       Kind = 11 // the sender's program has ended: it sends no message more, and wants none
	Done      Kind = 12 // a receive has copied a message from its sender's memory: the send is over
	lastKind       = Done

	Offer Kind = 13 // never in a frame: a matched receive may copy its message from its sender's memory; Req as in Data
)

func (k Kind) control() bool { return k >= Ack && k <= Sync }

const (
	magic = 0x6f // of frames of this version; older and newer ones are dropped
	// HeaderBytes is how long a frame's header is, which is the same for all.
	HeaderBytes = 84
	// FrameCost is what a frame counts in windows besides its payload, in bytes.
	FrameCost = HeaderBytes
)

// Packet is a sequenced frame's content. Between ranks of one World it is never encoded.
type Packet struct {
	Kind    Kind
	Seq     uint64 // in its lane
	Context uint64
	Tag     int32
	Size    uint32 // RTS: bytes of the message; CTS: bytes wanted
	Req     uint32 // RTS, CTS, Done: the sender's request; Data, Offer: the receiver's
	PeerReq uint32 // CTS: the receiver's request; Data: the sender's
	Off     uint32 // Data: of the payload in the message
	Length  uint32 // bytes of payload
	Landed  bool   // Data whose payload is where it belongs already
	Payload []byte // what is kept of Eager owns it; of Data nothing is kept
}

// Cost is what a packet counts in a window, in bytes.
func (k *Packet) Cost() int { return FrameCost + int(k.Length) }

// Frame is a packet or a control frame on its way between Worlds.
type Frame struct {
	Packet
	Src, Dst abi.Rank
	Epoch    uint64  // at which Src's incarnation was placed
	Acked    Numbers // Src has got all of Dst's frames below
	Consumed uint64  // cost of eager messages that Src's receives have consumed from Dst
}

// Header writes all but the payload to b, which has HeaderBytes.
func (f *Frame) Header(b []byte) {
	order := binary.LittleEndian
	b[0], b[1], b[2], b[3] = magic, byte(f.Kind), 0, 0
	for i, v := range [...]uint32{
		uint32(f.Src), uint32(f.Dst), uint32(f.Context), uint32(f.Tag), f.Size, f.Req, f.PeerReq, f.Off, f.Length,
	} {
		order.PutUint32(b[4+4*i:], v)
	}
	for i, v := range [...]uint64{f.Epoch, f.Seq, f.Acked[Talk], f.Consumed, f.Acked[Bulk]} {
		order.PutUint64(b[40+8*i:], v)
	}
	order.PutUint32(b[80:], uint32(f.Context>>32))
}

// Decode reads a frame, whose payload refers to b, and reports whether it is one.
func (f *Frame) Decode(b []byte) bool {
	return f.DecodeHead(b) && uint64(len(f.Payload)) == uint64(f.Length)
}

// DecodeHead reads the header of a frame, of which b may be only a part, and reports whether it is one.
func (f *Frame) DecodeHead(b []byte) bool {
	if len(b) < HeaderBytes || b[0] != magic || Kind(b[1]) < Eager || Kind(b[1]) > lastKind {
		return false
	}
	order := binary.LittleEndian
	var u [9]uint32
	for i := range u {
		u[i] = order.Uint32(b[4+4*i:])
	}
	var q [5]uint64
	for i := range q {
		q[i] = order.Uint64(b[40+8*i:])
	}
	*f = Frame{
		Packet: Packet{
			Kind: Kind(b[1]), Seq: q[1], Context: uint64(u[2]) | uint64(order.Uint32(b[80:]))<<32, Tag: int32(u[3]), Size: u[4],
			Req: u[5], PeerReq: u[6], Off: u[7], Length: u[8], Payload: b[HeaderBytes:],
		},
		Src: abi.Rank(u[0]), Dst: abi.Rank(u[1]), Epoch: q[0], Acked: Numbers{q[2], q[4]}, Consumed: q[3],
	}
	return true
}
