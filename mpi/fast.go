package mpi

import (
	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/channel"
)

// Sends and receives of short messages of predefined types within a World, by far the most frequent calls of many programs, take a straight way
// here: no request where the call is a blocking one, and no message and no queue but for what is posted before its message has come. What is in any way out of the ordinary, errors too, is left to the calls
// themselves, as if nothing had been tried.

// quick reports whether the guest's next call may take the straight way: it is none that goes on after a freeze, and nothing else is under way that
// calls have to look after.
func (p *Proc) quick() bool {
	return p.initialized && !p.finalized && p.suspended == nil && p.cancelErr == nil && !p.freeze && p.attached.Load() && len(p.active) == 0
}

// plain is a checked buffer of a short message on an intracommunicator.
type plain struct {
	comm *comm
	mem  []byte
}

// plainBuffer checks buf, count, datatype and the communicator of a call, and reports whether they are ordinary.
func (p *Proc) plainBuffer(v []uint64) (b plain, ok bool) {
	t := p.w.named(uint32(v[2]))
	if t == nil || uint32(v[5]) == abi.CommNull {
		return b, false
	}
	switch h := uint32(v[5]); h {
	case abi.CommWorld:
		b.comm = p.world
	default:
		b.comm = p.comms.get(h)
	}
	count := int64(int32(uint32(v[1])))
	if b.comm == nil || b.comm.inter() || !t.Dense || t.TrueLB != 0 || t.Extent() != t.Size || count < 0 || count > inboxBytes {
		return b, false
	}
	n, at := uint64(count*t.Size), uint64(uint32(v[0]))
	if n == 0 {
		return b, true
	}
	mem := p.mem.Bytes()
	if n > uint64(p.w.cfg.EagerLimit) || at == 0 || at+n > uint64(len(mem)) {
		return b, false
	}
	b.mem = mem[at : at+n : at+n]
	return b, true
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

// isNext is the message that is first in the inbox, if it is the one that is wished for and fits, or nil.
func (p *Proc) isNext(w *wish) *cell {
	k := p.in.first()
	if k == nil || k.kind != channel.Eager || k.context != w.context || w.peer != abi.AnySource && k.from != w.peer ||
		w.tag != abi.AnyTag && k.tag != w.tag || int(k.length) > len(w.mem) {
		return nil
	}
	return k
}

// takeNow receives that message, if there is one.
func (p *Proc) takeNow(w *wish) (st status, ok bool) {
	k := p.isNext(w)
	if k == nil {
		return st, false
	}
	copy(w.mem, p.in.payload(k))
	st = status{source: k.from, tag: k.tag, count: k.length, size: k.length}
	p.in.drop()
	c := p.pair(st.source)
	c.Took()
	c.Consume(channel.FrameCost + int(st.size))
	c.tell()
	return st, true
}

// quickRecv is MPI_Recv, if its message is here or comes soon.
func (p *Proc) quickRecv(v []uint64) bool {
	var w wish
	out := uint32(v[6])
	if !p.wishOf(&w, v) || len(p.posted) > 0 || len(p.unexpected) > 0 || p.left || p.checkStatus(w.comm, out) != nil {
		return false
	}
	if w.peer != abi.AnySource {
		if c := p.pairs[w.peer]; c == nil || c.near() == nil {
			return false // it comes by another way
		}
	}
	if !p.in.some() && (!p.awaitCell() || !p.quick() || len(p.posted) > 0 || len(p.unexpected) > 0) {
		return false // who had the lock meanwhile may have taken an earlier one
	}
	st, ok := p.takeNow(&w)
	if ok {
		p.putStatus(w.comm, out, st)
	}
	return ok
}

// quickSendrecv is MPI_Sendrecv, if what it receives is here and what it sends leaves at once.
func (p *Proc) quickSendrecv(v []uint64) bool {
	send, recv := [...]uint64{v[0], v[1], v[2], v[3], v[4], v[10]}, [...]uint64{v[5], v[6], v[7], v[8], v[9], v[10]}
	var w wish
	if !p.wishOf(&w, recv[:]) || len(p.posted) > 0 || len(p.unexpected) > 0 || p.left || p.isNext(&w) == nil || p.checkStatus(w.comm, uint32(v[11])) != nil {
		return false
	}
	if _, ok := p.sendNow(send[:]); !ok {
		return false
	}
	st, _ := p.takeNow(&w) // nobody else takes it
	p.putStatus(w.comm, uint32(v[11]), st)
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
