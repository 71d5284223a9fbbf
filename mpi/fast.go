package mpi

import (
	"slices"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/channel"
	"github.com/godwit-run/godwit/mpi/layout"
)

// Sends and receives of short messages of predefined types within a World, by far the most frequent calls of many programs, take a straight way
// here: no request where the call is a blocking one, and no message and no queue but for what comes before it is asked for. What is in any way out of the ordinary, errors
// too, is left to the calls themselves: all that may have happened then is that receives posted earlier have got what they would have got first thing there.

// quick reports whether the guest's next call may take the straight way: it is none that goes on after a freeze, and nothing else is under way that
// calls have to look after.
func (p *Proc) quick() bool {
	return p.initialized && !p.finalized && p.suspended == nil && p.cancelErr == nil && !p.freeze && p.attached.Load() && len(p.active) == 0 && len(p.filing) == 0
}

// plain is a checked buffer of a short message on an intracommunicator.
type plain struct {
	comm *comm
	mem  []byte
}

// plainBuffer checks buf, count, datatype and the communicator of a call, and reports whether they are ordinary.
func (p *Proc) plainBuffer(v []uint64) (b plain, ok bool) {
	switch h := uint32(v[5]); h {
	case abi.CommNull:
		return b, false
	case abi.CommWorld:
		b.comm = p.world
	default:
		b.comm = p.comms.get(h)
	}
	if b.comm == nil || b.comm.inter() {
		return b, false
	}
	b.mem, ok = p.plainBytes(p.w.named(uint32(v[2])), int64(int32(uint32(v[1]))), uint32(v[0]))
	return b, ok
}

// plainBytes checks a short buffer, and reports whether it is ordinary.
func (p *Proc) plainBytes(t *layout.Type, count int64, ptr uint32) (b []byte, ok bool) {
	if t == nil || !t.Dense || t.TrueLB != 0 || t.Extent() != t.Size || count < 0 || count > inboxBytes {
		return nil, false
	}
	n, at := uint64(count*t.Size), uint64(ptr)
	if n == 0 {
		return nil, true
	}
	mem := p.mem.Bytes()
	if n > uint64(p.w.cfg.EagerLimit) || at == 0 || at+n > uint64(len(mem)) {
		return nil, false
	}
	return mem[at : at+n : at+n], true
}

// quickSend is MPI_Send, if it is done at once.
func (p *Proc) quickSend(v []uint64) bool {
	_, ok := p.sendNow(v)
	return ok
}

// sent is a message that has left.
type sent struct {
	comm *comm
	peer Rank
	tag  int32
	seq  uint64
}

// sendNow sends a message that can leave at once, or does nothing.
func (p *Proc) sendNow(v []uint64) (s sent, ok bool) {
	b, ok := p.plainBuffer(v)
	dest, tag := int32(uint32(v[3])), int32(uint32(v[4]))
	if !ok || tag < 0 || tag > abi.TagUB || dest < 0 || int(dest) >= len(b.comm.group.ranks) {
		return s, false
	}
	s = sent{comm: b.comm, peer: b.comm.group.ranks[dest], tag: tag}
	c := p.pairs[s.peer]
	if c == nil {
		return s, false
	}
	s.seq, ok = c.sendNow(b.comm.context(contextPoint), tag, b.mem)
	return s, ok
}

// sendNow sends a short message that can leave at once to a rank of this World, without a request, or does nothing. It returns the message's number.
func (c *pair) sendNow(context uint64, tag int32, payload []byte) (seq uint64, ok bool) {
	if c.p.gone(c.peer) || c.pending.Len() > 0 || len(payload) > c.p.w.cfg.EagerLimit {
		return 0, false
	}
	q := c.near()
	if q == nil || !c.Spend(channel.FrameCost+len(payload)) {
		return 0, false
	}
	seq = c.Number()
	k := channel.Packet{Kind: channel.Eager, Context: context, Tag: tag, Length: uint32(len(payload)), Payload: payload}
	c.handOver(q, &k, nil)
	return seq, true
}

// wish is what a receive asks for.
type wish struct {
	plain
	source  int32 // as the program says it
	peer    Rank
	tag     int32
	context uint64
}

// wishOf checks the arguments of a receive, and reports whether they are ordinary.
func (p *Proc) wishOf(w *wish, v []uint64) bool {
	var ok bool
	if w.plain, ok = p.plainBuffer(v); !ok {
		return false
	}
	w.source, w.tag, w.peer = int32(uint32(v[3])), int32(uint32(v[4])), abi.AnySource
	if w.tag < 0 && w.tag != abi.AnyTag || w.tag > abi.TagUB {
		return false
	}
	if w.source != abi.AnySource {
		if w.source < 0 || int(w.source) >= len(w.comm.group.ranks) {
			return false
		}
		w.peer = w.comm.group.ranks[w.source]
	}
	w.context = w.comm.context(contextPoint)
	return true
}

// feed gives to the receives that were posted earlier what the inbox begins with, and returns the first that is for none of them, or that is no short message,
// or nil.
func (p *Proc) feed() *cell {
	for {
		k := p.in.first()
		if k == nil || k.kind != channel.Eager {
			return k
		}
		i := slices.IndexFunc(p.posted, func(r *request) bool { return k.isFor(r.context, r.peer, r.tag) })
		if i < 0 {
			return k
		}
		r := p.posted[i]
		p.posted = slices.Delete(p.posted, i, i+1)
		c := p.pair(k.from)
		c.Took(channel.Talk)
		m := message{src: k.from, tag: k.tag, size: k.length, payload: p.in.payload(k)}
		c.answer(p.accept(r, &m))
		p.in.drop()
	}
}

// found is where a message is that a receive is for, if it has come: it waits among the unexpected ones, or is the first in the inbox.
type found struct {
	waits *message
	at    int // among the unexpected ones
	next  *cell
}

// find looks for the message that is wished for. ok is false if that is not for the straight way: it is long, does not fit, or is behind others.
func (p *Proc) find(w *wish) (f found, ok bool) {
	if f.at = p.findUnexpected(w.context, w.peer, w.tag); f.at >= 0 {
		f.waits = p.unexpected[f.at]
		return f, !f.waits.rendezvous && len(f.waits.payload) <= len(w.mem)
	}
	if f.next = p.feed(); f.next == nil {
		return f, true
	}
	k := f.next
	return f, k.kind == channel.Eager && k.isFor(w.context, w.peer, w.tag) && int(k.length) <= len(w.mem)
}

// here reports whether the message has come.
func (f *found) here() bool { return f.waits != nil || f.next != nil }

// takeNow receives a message that was found here.
func (p *Proc) takeNow(w *wish, f *found) status {
	var st status
	var c *pair
	if k := f.next; k != nil {
		copy(w.mem, p.in.payload(k))
		st = status{source: k.from, tag: k.tag, count: k.length, size: k.length}
		p.in.drop()
		c = p.pair(st.source)
		c.Took(channel.Talk)
	} else {
		copy(w.mem, f.waits.payload)
		st = status{source: f.waits.src, tag: f.waits.tag, count: f.waits.size, size: f.waits.size}
		p.dropUnexpected(f.at)
		p.dropMessage(f.waits)
		c = p.pair(st.source)
	}
	c.hear(st.size)
	c.Consume(channel.FrameCost + int(st.size))
	c.tell()
	return st
}

// quickRecv is MPI_Recv, if its message is here or comes soon.
func (p *Proc) quickRecv(v []uint64) bool {
	var w wish
	out := uint32(v[6])
	if !p.wishOf(&w, v) || p.left || p.checkStatus(w.comm, out) != nil {
		return false
	}
	f, ok := p.find(&w)
	if ok && !f.here() && p.comesNear(w.peer) && p.awaitCell() && p.quick() {
		f, ok = p.find(&w) // who had the lock meanwhile may have taken what came, and more; or has cancelled the call, and removed the rank, whose memory is gone
	}
	if !ok || !f.here() {
		return false
	}
	p.putStatus(w.comm, out, p.takeNow(&w, &f))
	return true
}

// comesNear reports whether what a peer sends comes by the inbox. From any source it may.
func (p *Proc) comesNear(peer Rank) bool {
	if peer == abi.AnySource {
		return true
	}
	c := p.pairs[peer]
	return c != nil && c.near() != nil
}

// quickSendrecv is MPI_Sendrecv, if what it receives is here and what it sends leaves at once.
func (p *Proc) quickSendrecv(v []uint64) bool {
	send, recv := [...]uint64{v[0], v[1], v[2], v[3], v[4], v[10]}, [...]uint64{v[5], v[6], v[7], v[8], v[9], v[10]}
	var w wish
	if !p.wishOf(&w, recv[:]) || p.left || p.checkStatus(w.comm, uint32(v[11])) != nil {
		return false
	}
	f, ok := p.find(&w)
	if !ok || !f.here() {
		return false
	}
	if _, ok := p.sendNow(send[:]); !ok {
		return false
	}
	p.putStatus(w.comm, uint32(v[11]), p.takeNow(&w, &f)) // nobody else takes it
	return true
}

// awaitCell waits some microseconds for something in the inbox, without the lock, and reports whether there is something. It ends when anything else
// wants the guest's attention.
func (p *Proc) awaitCell() bool {
	if !p.w.spins() {
		return false
	}
	seen, rounds := p.in.kicks.Load(), p.patience.at(p.w.now())
	p.unlock()
	defer p.mu.Lock()
	return p.looked(seen, rounds, looks) && p.in.some()
}
