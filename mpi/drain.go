package mpi

import (
	"slices"

	"github.com/godwit-run/godwit/internal/fifo"
	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/channel"
)

// The end of a rank. Its program has ended, but what it has sent may still be on its way, or wait for a receive. Until
// everybody has it, or can want it no more, the rank drains: it stays in its World, answers, sends again, may be captured and
// restored elsewhere. Its peers hear of its end by an END frame, behind all that it has sent, so they know what that says:
// nothing more comes from it, and it wants nothing. Peers that it has never had to do with hear of it by PeerEnded.

// Drain tells that the rank's program has ended well, and blocks until nobody can want anything of the rank any more: each
// frame is acked and each message received, or its receiver has ended. The rank may be removed then. Like a call, it returns
// ErrFrozen where the rank is to freeze, and is to be called again, here or in the restored rank; or Cancel's error.
func (p *Proc) Drain() error {
	p.enter()
	defer p.leave()
	p.drain()
	if !p.ended {
		p.settle() // what receives have begun to copy goes before the news of the end
		p.ended = true
		p.partAll()
		p.active = nil // collectives that the program has not waited for: they might call it
		for _, c := range p.pairs {
			if c != nil && c.peer != p.rank && c.used() && !p.gone(c.peer) {
				c.push(item{kind: itemEnd})
			}
		}
		p.askAcks()
	}
	p.since = 0
	return p.wait(p.drained)
}

// Ended reports whether the rank's program has ended: Drain has been called, of this Proc or of the one that it was restored
// from.
func (p *Proc) Ended() bool {
	p.lock()
	defer p.release()
	return p.ended
}

// drained reports whether nobody can want anything of the rank.
func (p *Proc) drained() bool {
	for _, c := range p.pairs {
		if c != nil && c.undelivered() > 0 && !p.gone(c.peer) {
			return false
		}
	}
	for _, r := range p.requests {
		if r.kind == reqSend && !r.done && r.peer != p.rank && !p.gone(r.peer) {
			return false
		}
	}
	return true
}

// gone reports whether a peer's program has ended and all that it has sent to this rank is here.
func (p *Proc) gone(peer Rank) bool {
	if peer < 0 || int(peer) >= len(p.over) {
		return false // only a damaged state leads here
	}
	c := p.pairs[peer]
	return p.over[peer] || (c != nil && c.ended)
}

// askAcks asks peers for acks that they would give only later.
func (p *Proc) askAcks() {
	for _, c := range p.pairs {
		if c != nil && p.attached.Load() && c.Unacked() > 0 {
			c.control(channel.Sync)
		}
	}
}

// used reports whether the two ranks have had to do with each other.
func (c *pair) used() bool { return c.Used() || c.pending.Len()+c.data.Len() > 0 }

// undelivered counts what the peer has not got, beside the news of our end.
func (c *pair) undelivered() int {
	n := c.Unacked() + c.pending.Len() + c.data.Len()
	if k := c.Newest(); k != nil && k.Kind == channel.End {
		n-- // nothing is numbered behind it but answers to those who have not heard of it yet
	}
	if k := c.pending.Len(); k > 0 && c.pending.At(k-1).kind == itemEnd {
		n--
	}
	return n
}

// peerEnded takes the news that the peer's program has ended: sends that nobody waits for will not be received.
func (c *pair) peerEnded() {
	c.ended, c.p.left = true, true
	for _, r := range c.p.requests {
		if r.kind == reqSend && r.peer == c.peer && r.orphan && !r.matched {
			c.p.complete(r)
		}
	}
	c.p.changed()
}

// peerRemoved takes the news that the peer is nowhere any more: nothing goes to it.
func (c *pair) peerRemoved() {
	c.Forget()
	c.pending, c.data = fifo.Queue[item]{}, fifo.Queue[item]{}
	for c.copies.Len() > 0 {
		c.copies.Pop()
	}
	for _, r := range c.p.requests {
		switch {
		case r.kind != reqSend || r.peer != c.peer || r.done:
		case r.cancel == cancelAsked: // a peer that had heard of it would have answered
			r.cancel, r.result.cancelled = cancelDone, true
			c.p.complete(r)
		case r.matched:
			c.p.complete(r) // by a receive that the peer has not waited for
		}
	}
	c.peerEnded()
}

// hopeless reports whether a request can never be done: whoever it needs has ended, and nothing is on its way. blocked
// tells that the rank does nothing but wait for it: then it sends nothing to itself either.
func (p *Proc) hopeless(r *request, blocked bool) bool {
	if r == nil || !p.left || r.done || r.matched {
		return false
	}
	switch {
	case r.kind == reqRecv && r.peer == abi.AnySource:
		return p.noSource(r.comm, blocked)
	case r.kind == reqRecv, r.kind == reqSend:
		return p.gone(r.peer) && r.cancel != cancelAsked
	case r.kind == reqPart, r.kind == reqWindow:
		q := p.transferOf(r)
		return q != nil && p.hopeless(q, blocked)
	}
	return false
}

// transferOf finds a transfer under way of a partitioned or one-sided operation, if it has one.
func (p *Proc) transferOf(r *request) *request {
	for _, q := range p.requests {
		switch {
		case q.after.kind == hookOwner && r.kind == reqPart && q.after.owner == r.index,
			q.after.kind == hookOrigin && r.kind == reqWindow && q.after.owner == r.index+1:
			return q
		}
	}
	return nil
}

// noSource reports whether nobody of a communicator can send to this rank any more.
func (p *Proc) noSource(c *comm, blocked bool) bool {
	if !p.left {
		return false
	}
	for _, r := range c.peers().ranks {
		if !p.gone(r) && (r != p.rank || !blocked) {
			return false
		}
	}
	return true
}

// lost completes a request that is hopeless, with the error that says so, and reports whether it was.
func (p *Proc) lost(r *request, blocked bool) bool {
	if !p.hopeless(r, blocked) {
		return false
	}
	st := emptyStatus()
	st.source, st.class = r.peer, classEnded
	switch r.kind {
	case reqSend:
		st.class = classNotReceived
	case reqWindow:
		st.source, st.class = p.transferOf(r).peer, classNotFreed
		r.result = st
		p.complete(r)
		return true
	case reqPart:
		return p.lost(p.transferOf(r), blocked) // tells its owner
	}
	p.posted = slices.DeleteFunc(p.posted, func(q *request) bool { return q == r })
	r.result = st
	p.complete(r)
	return true
}

// lostAll does so where none of several requests can be done.
func (p *Proc) lostAll(reqs []*request) {
	for _, r := range reqs {
		if r != nil && !p.hopeless(r, true) {
			return
		}
	}
	for _, r := range reqs {
		p.lost(r, true)
	}
}

// Classes of outcomes that are ours alone; the program sees MPI_ERR_OTHER.
const (
	classEnded       = -1 // the source has ended
	classNotReceived = -2 // the destination has ended
	classNotFreed    = -3 // the target of a one-sided operation has ended
	classPart        = -4 // another rank has not got its part of a collective
)

// endedError says what a request has waited for in vain.
func (s status) endedError() error {
	switch {
	case s.class == classNotFreed:
		return abi.Fail(abi.ErrOther, "rank %d of MPI_COMM_WORLD has ended without freeing the window", s.source)
	case s.class == classNotReceived:
		return abi.Fail(abi.ErrOther, "rank %d of MPI_COMM_WORLD has ended without receiving the message", s.source)
	case s.source == abi.AnySource:
		return abi.Fail(abi.ErrOther, "all other ranks have ended, and no message is on its way")
	}
	return abi.Fail(abi.ErrOther, "rank %d of MPI_COMM_WORLD has ended, and no such message of it is on its way", s.source)
}
