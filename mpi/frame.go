package mpi

// Kinds of frames. Sequenced kinds carry a sequence number and are kept for
// replay until acked; control kinds are repeated by whoever needs them.
const (
	frameEager   = 1 // a message with its payload
	frameRTS     = 2 // a message's envelope; the sender waits for CTS
	frameCTS     = 3 // a receive has matched: send size bytes of it
	frameData    = 4 // a piece of payload
	frameAck     = 5 // control: only the ack fields that every frame has
	frameAttach  = 6 // control: "I am here now": answer, and send again what I lack
	frameWelcome = 7 // control: the answer to ATTACH
	frameSync    = 8 // control: please ack

	frameCancel    = 9  // a sender wants its message back: number of its frame in size and peerReq
	frameCancelled = 10 // the answer: size is 1 if the message was dropped
	frameEnd       = 11 // the sender's program has ended: it sends no message more, and wants none
	frameDone      = 12 // a receive has copied a message from its sender's memory: the send is over
	lastFrame      = frameDone

	frameOffer = 13 // only within a World: a matched receive may copy its message from its sender's memory; req as in DATA

	frameMagic = 0x6e // of frames of this version; older and newer ones are dropped
	// HeaderBytes is how long a frame's header is, which is the same for all.
	HeaderBytes = 76
	frameCost   = HeaderBytes // what a frame counts in windows besides its payload
)

// packet is a sequenced frame's content. Between local ranks it is never encoded.
type packet struct {
	kind    uint8
	seq     uint64
	context uint64
	tag     int32
	size    uint32   // RTS: bytes of the message; CTS: bytes wanted
	req     uint32   // RTS, CTS: the sender's request; DATA: the receiver's
	peerReq uint32   // CTS: the receiver's request; DATA: the sender's
	off     uint32   // DATA: of the payload in the message
	length  uint32   // bytes of payload
	origin  *request // RTS and OFFER between ranks of one World: the sender's
	landed  bool     // DATA whose payload is where it belongs already
	payload []byte   // EAGER kept for replay owns it; DATA kept for replay has none: it is read from the request's buffer again
}

func (k *packet) cost() int { return frameCost + int(k.length) }

// frame is a packet or a control frame on its way between Worlds.
type frame struct {
	packet
	src, dst Rank
	epoch    uint64 // at which src's incarnation was placed
	ack      uint64 // src has got all of dst's frames below
	consumed uint64 // eager cost that src's receives have consumed from dst
}

// header writes all but the payload, HeaderBytes.
func (f *frame) header(b []byte) {
	b[0], b[1], b[2], b[3] = frameMagic, f.kind, 0, 0
	for i, v := range [...]uint32{
		uint32(f.src), uint32(f.dst), uint32(f.context), uint32(f.tag), f.size, f.req, f.peerReq, f.off, f.length,
	} {
		order.PutUint32(b[4+4*i:], v)
	}
	for i, v := range [...]uint64{f.epoch, f.seq, f.ack, f.consumed} {
		order.PutUint64(b[40+8*i:], v)
	}
	order.PutUint32(b[72:], uint32(f.context>>32))
}

// decode reads a frame; its payload refers to b.
func (f *frame) decode(b []byte) bool {
	return f.decodeHead(b) && uint64(len(f.payload)) == uint64(f.length)
}

// decodeHead reads the header of a frame of which b may be only a part.
func (f *frame) decodeHead(b []byte) bool {
	if len(b) < HeaderBytes || b[0] != frameMagic || b[1] < frameEager || b[1] > lastFrame {
		return false
	}
	var u [9]uint32
	for i := range u {
		u[i] = order.Uint32(b[4+4*i:])
	}
	var q [4]uint64
	for i := range q {
		q[i] = order.Uint64(b[40+8*i:])
	}
	*f = frame{
		packet: packet{
			kind: b[1], seq: q[1], context: uint64(u[2]) | uint64(order.Uint32(b[72:]))<<32, tag: int32(u[3]), size: u[4],
			req: u[5], peerReq: u[6], off: u[7], length: u[8], payload: b[HeaderBytes:],
		},
		src: Rank(u[0]), dst: Rank(u[1]), epoch: q[0], ack: q[2], consumed: q[3],
	}
	return true
}
