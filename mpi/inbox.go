package mpi

import (
	"sync"
	"sync/atomic"

	"github.com/godwit-run/godwit/internal/notify"
	"github.com/godwit-run/godwit/mpi/channel"
)

const (
	inboxCells = 256      // packets that wait in the ring; more wait behind it; so many that the memory begins at a page, not behind a header
	inboxBytes = 64 << 10 // payload of packets in the ring that does not fit their cells
	cellInline = 72       // bytes of payload that a cell holds: two cache lines with the rest, and 8 bytes are in the first
)

// inbox is what ranks of the same World have put before a rank and it has not taken yet, in the order they did. Senders
// append, whoever holds the rank's lock takes (drain): neither waits for the other. What the ring does not hold waits behind
// it; how much that may be is bounded by the senders' credit and requests, as with all messages.
//
// A cache line's way from one processor to another is what a short message costs. So its cell is the only one that both sides
// write; what else they share they only read, but where something is rare.
type inbox struct {
	cells  []cell
	bytes  []byte // made with the first packet that needs it
	wakeCh notify.Signal
	kicks  atomic.Uint32 // counts what may end a wait of the rank's guest besides packets
	parked atomic.Bool   // the guest sleeps, or is about to: until wakeCh is set, or
	asleep atomic.Bool   // until bell is called, for it sleeps in the Network
	bell   func()
	urgent atomic.Bool // something waits that is to be taken even while the program computes
	spilt  atomic.Bool // over is not empty

	_         [64]byte   // what follows is of who appends
	mu        sync.Mutex // guards the next
	tail      uint32     // cells appended so far
	headSeen  uint32     // cells taken when it was looked
	end       uint32     // of what was appended to bytes so far
	startSeen uint32     // what was taken of that when it was looked
	over      []spill

	_     [64]byte      // what follows is of who takes
	head  atomic.Uint32 // cells taken so far
	start atomic.Uint32 // of what is not taken yet in bytes
	busy  atomic.Bool   // the guest is in a call: it will look by itself
	spare []spill       // over's other half
	_     [64]byte
}

func newInbox() inbox { return inbox{cells: make([]cell, inboxCells), wakeCh: notify.NewSignal()} }

// cell is a packet in the ring.
type cell struct {
	turn    atomic.Uint32 // the packet's number, counted from 1, once it is here
	from    Rank
	context uint64   // ACK: what was consumed
	origin  *request // RTS: the sender's, to be copied from
	tag     int32
	size    uint32
	req     uint32
	peerReq uint32
	off     uint32
	length  uint32
	at      uint32 // where in bytes the payload is, if it is there
	kind    channel.Kind
	spills  bool // it is
	inline  [cellInline]byte
}

// spill is a packet behind the ring.
type spill struct {
	from    Rank
	k       channel.Packet
	origin  *request
	payload []byte // memory for the packet's
}

// put appends a packet, whose payload it copies, with the send that it offers, and wakes the guest. It blocks for no longer than others' puts.
func (in *inbox) put(from Rank, k *channel.Packet, origin *request) {
	in.mu.Lock()
	at, fits := in.room(len(k.Payload))
	if len(in.over) > 0 || !fits {
		in.spill(from, k, origin)
	} else {
		c := &in.cells[in.tail%inboxCells]
		c.from, c.context, c.origin, c.tag, c.kind = from, k.Context, origin, k.Tag, k.Kind
		c.size, c.req, c.peerReq, c.off, c.length = k.Size, k.Req, k.PeerReq, k.Off, k.Length
		if c.spills = len(k.Payload) > cellInline; c.spills {
			c.at = at
			in.end = at + uint32(copy(in.bytes[at%inboxBytes:], k.Payload))
		} else {
			copy(c.inline[:], k.Payload)
		}
		in.tail++
		c.turn.Store(in.tail)
	}
	in.mu.Unlock()
	in.rouse()
}

// rouse ends the guest's sleep.
func (in *inbox) rouse() {
	switch {
	case !in.parked.Load():
	case in.asleep.Load():
		in.bell()
	default:
		in.wakeCh.Set()
	}
}

// room is where in bytes a payload goes that does not fit a cell, and whether there is room for it. Holds in.mu.
func (in *inbox) room(n int) (at uint32, fits bool) {
	if in.tail-in.headSeen == inboxCells {
		if in.headSeen = in.head.Load(); in.tail-in.headSeen == inboxCells {
			return 0, false
		}
	}
	if n <= cellInline {
		return 0, true
	}
	if n > inboxBytes {
		return 0, false
	}
	if in.bytes == nil {
		in.bytes = make([]byte, inboxBytes)
	}
	at = in.end
	if at%inboxBytes+uint32(n) > inboxBytes {
		at += inboxBytes - at%inboxBytes
	}
	if at+uint32(n)-in.startSeen > inboxBytes {
		in.startSeen = in.start.Load()
	}
	return at, at+uint32(n)-in.startSeen <= inboxBytes
}

// spill appends a packet behind the ring. Holds in.mu.
func (in *inbox) spill(from Rank, k *channel.Packet, origin *request) {
	n := len(in.over)
	if n == cap(in.over) {
		in.over = append(in.over, spill{})
	}
	in.over = in.over[:n+1]
	s := &in.over[n]
	s.from, s.k, s.origin = from, *k, origin
	s.payload = append(s.payload[:0], k.Payload...)
	in.spilt.Store(true)
}

// wake ends a wait of the guest, which then looks again.
func (in *inbox) wake() {
	in.kicks.Add(1)
	in.rouse()
}

// some says whether anything is to be taken. Holds the rank's lock, or is its guest.
func (in *inbox) some() bool {
	h := in.head.Load()
	return in.cells[h%inboxCells].turn.Load() == h+1 || in.spilt.Load()
}

// packet is what a cell holds, the payload being valid until it is dropped.
func (in *inbox) packet(c *cell) channel.Packet {
	return channel.Packet{
		Kind: c.kind, Context: c.context, Tag: c.tag, Size: c.size, Req: c.req, PeerReq: c.peerReq, Off: c.off, Length: c.length,
		Payload: in.payload(c),
	}
}

// payload is that of a cell, valid until it is dropped.
func (in *inbox) payload(c *cell) []byte {
	if c.spills {
		at := c.at % inboxBytes
		return in.bytes[at : at+c.length]
	}
	return c.inline[:min(c.length, cellInline)]
}

// first is the cell that is taken next, or nil if there is none in the ring. Holds the rank's lock.
func (in *inbox) first() *cell {
	h := in.head.Load()
	if c := &in.cells[h%inboxCells]; c.turn.Load() == h+1 {
		return c
	}
	return nil
}

// drop lets go of the first packet. Holds the rank's lock.
func (in *inbox) drop() {
	h := in.head.Load()
	c := &in.cells[h%inboxCells]
	if c.spills {
		in.start.Store(c.at + c.length)
	}
	in.head.Store(h + 1)
}

// keptSpills is up to how many packets behind the ring the memory is kept of, keptSpill up to how long their payload.
const (
	keptSpills = 4 * inboxCells
	keptSpill  = 1 << 10
)

// take gives to its rank what is there when it begins, the payload being valid only meanwhile: what is put meanwhile may wait for the next. Holds the
// rank's lock.
func (in *inbox) take(p *Proc) {
	for range inboxCells {
		if !in.takeCell(p) {
			break
		}
	}
	if !in.spilt.Load() {
		return
	}
	in.mu.Lock()
	tail, over := in.tail, in.over
	in.over, in.spare = in.spare[:0], nil
	in.spilt.Store(false)
	in.mu.Unlock()
	for in.head.Load() != tail { // put before the first one behind
		in.takeCell(p)
	}
	for i := range over {
		s := &over[i]
		s.k.Payload = s.payload
		p.pair(s.from).receiveNear(&s.k, s.origin)
		s.k, s.origin = channel.Packet{}, nil
		if cap(s.payload) > keptSpill {
			s.payload = nil
		}
	}
	if cap(over) <= keptSpills {
		in.spare = over[:0]
	}
}

// takeCell gives the ring's first packet to its rank, if there is one.
func (in *inbox) takeCell(p *Proc) bool {
	c := in.first()
	if c == nil {
		return false
	}
	k := in.packet(c)
	p.pair(c.from).receiveNear(&k, c.origin)
	in.drop()
	return true
}
