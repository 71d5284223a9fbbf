package mpi

// Blocking sends and receives of short messages of predefined types within a World, by far the most frequent calls of many programs, take a straight way
// here: no request, no message, no queue. What is in any way out of the ordinary, errors too, is left to the calls themselves, as if nothing had
// been tried.

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
	if t == nil || uint32(v[5]) == commNull {
		return b, false
	}
	switch h := uint32(v[5]); h {
	case commWorld:
		b.comm = p.world
	default:
		b.comm = p.comms.get(h)
	}
	count := int64(int32(uint32(v[1])))
	if b.comm == nil || b.comm.inter() || !t.dense || t.trueLB != 0 || t.extent() != t.size || count < 0 || count > inboxBytes {
		return b, false
	}
	n, at := uint64(count*t.size), uint64(uint32(v[0]))
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
	b, ok := p.plainBuffer(v)
	dest, tag := int32(uint32(v[3])), int32(uint32(v[4]))
	if !ok || tag < 0 || tag > tagUB || dest < 0 || int(dest) >= len(b.comm.group.ranks) {
		return false
	}
	peer := b.comm.group.ranks[dest]
	c := p.channels[peer]
	if c == nil || c.ended || p.over[peer] || c.pending.len() > 0 {
		return false
	}
	q := c.near()
	cost := uint64(frameCost + len(b.mem))
	if q == nil || c.charged-c.credited+cost > uint64(p.w.cfg.CreditBytes) {
		return false
	}
	c.sendNext++
	c.charged += cost
	q.in.put(p.rank, &packet{kind: frameEager, context: b.comm.context(contextPoint), tag: tag, length: uint32(len(b.mem)), payload: b.mem})
	return true
}

// quickRecv is MPI_Recv, if its message is here or comes soon.
func (p *Proc) quickRecv(v []uint64) bool {
	b, ok := p.plainBuffer(v)
	source, tag, out := int32(uint32(v[3])), int32(uint32(v[4])), uint32(v[6])
	if !ok || tag < 0 && tag != anyTag || tag > tagUB || len(p.posted) > 0 || len(p.unexpected) > 0 || p.left || p.checkStatus(b.comm, out) != nil {
		return false
	}
	peer := Rank(anySource)
	if source != anySource {
		if source < 0 || int(source) >= len(b.comm.group.ranks) {
			return false
		}
		peer = b.comm.group.ranks[source]
		if c := p.channels[peer]; c == nil || c.near() == nil {
			return false // it comes by another way
		}
	}
	context := b.comm.context(contextPoint)
	if !p.in.some() && (!p.awaitCell() || !p.quick() || len(p.posted) > 0 || len(p.unexpected) > 0) {
		return false // who had the lock meanwhile may have taken an earlier one
	}
	k, from, there := p.in.first()
	if !there || k.kind != frameEager || k.context != context || peer != anySource && from != peer || tag != anyTag && k.tag != tag || int(k.length) > len(b.mem) {
		return false
	}
	copy(b.mem, k.payload)
	st := status{source: from, tag: k.tag, count: k.length, size: k.length}
	p.in.drop()
	c := p.channel(from)
	c.recvNext++
	c.consume(frameCost + int(st.size))
	p.putStatus(b.comm, out, st)
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
