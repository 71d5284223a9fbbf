package mpi

import (
	"slices"

	"github.com/godwit-run/godwit/mpi/channel"
)

// probeCalls look for messages and take them (MPI 5.0 section 3.8).
func probeCalls() []entry {
	return []entry{
		{name: "MPI_Probe", impl: callProbe},
		{name: "MPI_Iprobe", impl: callIprobe},
		{name: "MPI_Mprobe", impl: callMprobe},
		{name: "MPI_Improbe", impl: callImprobe},
		{name: "MPI_Mrecv", impl: callMrecv},
		{name: "MPI_Imrecv", impl: callImrecv},
		{name: "MPI_Cancel", impl: callCancel},
		{name: "MPI_Request_free", impl: callRequestFree},
	}
}

// found is the status of a message that was not received yet.
func (m *message) found() status { return status{source: m.src, tag: m.tag, count: m.size} }

// look finds the index of the first message for an envelope, or -1.
func (p *Proc) look(c *comm, e envelope) int {
	return p.findUnexpected(c.context(contextPoint), e.peer, e.tag)
}

// sought is the envelope that a probe looks for: source, tag and comm come first, status is parameter statusAt.
func (p *Proc) sought(a args, statusAt int) (*comm, envelope, error) {
	c, err := p.comm(a.u32(2))
	if err != nil {
		return nil, envelope{}, err
	}
	e, err := p.source(c, a.int(0), a.int(1))
	if err == nil {
		err = p.checkStatus(c, a.u32(statusAt))
	}
	return c, e, err
}

// awaitMessage waits for a message for an envelope, and returns its index.
func (p *Proc) awaitMessage(c *comm, e envelope) (i int, err error) {
	lost := false
	err = p.wait(func() bool {
		i = p.look(c, e)
		lost = !e.null && i < 0 && (e.peer == anySource && p.noSource(c, true) || e.peer != anySource && p.gone(e.peer))
		return e.null || i >= 0 || lost
	})
	if err == nil && lost {
		err = c.on(status{source: e.peer, class: classEnded}.endedError())
	}
	return i, err
}

func callProbe(p *Proc, a args) (uint64, error) {
	c, e, err := p.sought(a, 3)
	if err != nil {
		return 0, err
	}
	i, err := p.awaitMessage(c, e)
	if err != nil {
		return 0, err
	}
	st := nullStatus()
	if !e.null {
		st = p.unexpected[i].found()
	}
	p.putStatus(c, a.u32(3), st)
	return success, nil
}

func callIprobe(p *Proc, a args) (uint64, error) {
	c, e, err := p.sought(a, 4)
	if err != nil {
		return 0, err
	}
	i := p.look(c, e)
	if err := p.putInt(a.u32(3), truth(e.null || i >= 0)); err != nil {
		return 0, c.on(err)
	}
	switch {
	case e.null:
		p.putStatus(c, a.u32(4), nullStatus())
	case i >= 0:
		p.putStatus(c, a.u32(4), p.unexpected[i].found())
	default:
		p.yield()
	}
	return success, nil
}

// keep takes a message out of the queue for the program, which has a handle of it.
func (p *Proc) keep(c *comm, i int, out uint32) error {
	m := p.unexpected[i]
	m.comm = c
	h, err := p.messages.add(m, p.w.cfg.MaxObjects)
	if err != nil {
		return err
	}
	p.dropUnexpected(i)
	return p.putWord(out, h)
}

func callMprobe(p *Proc, a args) (uint64, error) {
	c, e, err := p.sought(a, 4)
	if err == nil {
		_, err = p.handles(a.u32(3), 1)
	}
	if err != nil {
		return 0, c.on(err)
	}
	i, err := p.awaitMessage(c, e)
	if err != nil {
		return 0, err
	}
	return success, c.on(p.matched(c, e, i, a.u32(3), a.u32(4)))
}

// matched gives the program a message, or MPI_MESSAGE_NO_PROC.
func (p *Proc) matched(c *comm, e envelope, i int, out, statusPtr uint32) error {
	if e.null {
		p.putStatus(c, statusPtr, nullStatus())
		return p.putWord(out, messageNoProc)
	}
	p.putStatus(c, statusPtr, p.unexpected[i].found())
	return p.keep(c, i, out)
}

func callImprobe(p *Proc, a args) (uint64, error) {
	c, e, err := p.sought(a, 5)
	if err == nil {
		_, err = p.handles(a.u32(4), 1)
	}
	if err != nil {
		return 0, c.on(err)
	}
	i := p.look(c, e)
	if err := p.putInt(a.u32(3), truth(e.null || i >= 0)); err != nil {
		return 0, c.on(err)
	}
	if !e.null && i < 0 {
		p.yield()
		return success, nil
	}
	return success, c.on(p.matched(c, e, i, a.u32(4), a.u32(5)))
}

// taken starts the receive of a message that the program has probed.
func (p *Proc) taken(a args, internal bool) (*request, error) {
	h, err := p.word(a.u32(3))
	if err != nil {
		return nil, err
	}
	m := p.messages.get(h)
	if m == nil && h != messageNoProc {
		return nil, fail(errRequest, "message %#x is not known", h)
	}
	buf, err := p.buffer(a.u32(0), a.count(1), a.u32(2))
	if err != nil {
		return nil, err
	}
	if err := p.putWord(a.u32(3), messageNull); err != nil {
		return nil, err
	}
	if m == nil {
		return p.startNull(p.self, internal)
	}
	r, err := p.newRequest(reqRecv, internal)
	if err != nil {
		return nil, err
	}
	p.messages.drop(h)
	r.comm, r.context, r.peer, r.tag, r.buf = m.comm, m.context, m.src, m.tag, buf
	back := p.accept(r, m)
	p.pair(m.src).give(back)
	p.dropMessage(m)
	return r, nil
}

func callMrecv(p *Proc, a args) (uint64, error) {
	reqs, err := p.once(func() ([]uint32, error) {
		if err := p.statuses(a.u32(4), 1); err != nil {
			return nil, err
		}
		return p.one(p.taken(a, true))
	})
	if err != nil {
		return 0, err
	}
	if err := p.finish(reqs); err != nil {
		return 0, err
	}
	c := p.self
	if r := p.request(reqs[0]); r != nil && r.comm != nil {
		c = r.comm
	}
	st := p.take(reqs[0])
	p.putStatus(c, a.u32(4), st)
	return success, st.outcome(c)
}

func callImrecv(p *Proc, a args) (uint64, error) {
	return p.give(nil, a.u32(4), func() (*request, error) { return p.taken(a, false) })
}

// callCancel tries to take an operation back (MPI 5.0 section 3.8.4): a receive that has not matched, or a send whose message
// the receiver has not matched.
func callCancel(p *Proc, a args) (uint64, error) {
	list, err := p.handles(a.u32(0), 1)
	if err != nil {
		return 0, err
	}
	r, err := p.requestAt(list, 0)
	if err != nil {
		return 0, err
	}
	if r == nil || (r.persistent && !r.active) {
		return 0, fail(errRequest, "the request is not active")
	}
	switch {
	case r.kind == reqCollective || r.kind == reqWindow || r.kind == reqPart:
		return 0, r.comm.on(fail(errRequest, "operations of this kind cannot be cancelled"))
	case r.kind == reqGeneral:
		return success, p.cancelGeneral(r)
	case r.kind == reqRecv && !r.matched && !r.done:
		if i := slices.Index(p.posted, r); i >= 0 {
			p.posted = slices.Delete(p.posted, i, i+1)
		}
		r.result = emptyStatus()
		r.result.cancelled = true
		p.complete(r)
	case r.kind == reqSend && r.cancel == cancelNone && r.mode != modeBuffered: // a copy that has left does not come back
		p.cancelSend(r)
	}
	return success, nil
}

// cancelSend takes back a send that has no frame yet, or asks the receiver to drop its message.
func (p *Proc) cancelSend(r *request) {
	c := p.pair(r.peer)
	if !r.framed {
		c.pending.Remove(func(it item) bool { return it.kind == itemSend && it.req == r.index })
		r.cancel, r.result.cancelled = cancelDone, true
		p.complete(r)
		return
	}
	if r.matched {
		return
	}
	if p.over[r.peer] { // it was not received, and nobody is left to answer
		r.cancel, r.result.cancelled = cancelDone, true
		p.complete(r)
		return
	}
	r.cancel, r.done = cancelAsked, false
	c.push(item{kind: itemCancel, req: r.index, seq: r.seq})
}

// takeCancel drops a message that its sender wants back, unless it was matched.
func (p *Proc) takeCancel(c *pair, k *channel.Packet) reply {
	back := reply{item: item{kind: itemCancelled, req: k.Req}}
	for i, m := range p.unexpected {
		if m.src == c.peer && m.seq == uint64(k.Size)|uint64(k.PeerReq)<<32 {
			p.dropUnexpected(i)
			if !m.rendezvous {
				back.consumed = m.cost()
			}
			p.dropMessage(m)
			back.item.limit = 1
			break
		}
	}
	return back
}

// takeCancelled hears what became of a send that was to be cancelled.
func (p *Proc) takeCancelled(k *channel.Packet) {
	r := p.request(k.Req)
	if r == nil || r.kind != reqSend || r.cancel != cancelAsked {
		return // only a damaged state leads here
	}
	r.cancel = cancelFailed
	switch {
	case k.Size == 1:
		r.cancel, r.result.cancelled = cancelDone, true
		p.complete(r)
	case r.sent:
		p.complete(r)
	}
}

// callRequestFree lets a request go: it completes by itself (MPI 5.0 section 3.7.3).
func callRequestFree(p *Proc, a args) (uint64, error) {
	list, err := p.handles(a.u32(0), 1)
	if err != nil {
		return 0, err
	}
	r, err := p.requestAt(list, 0)
	if err == nil && r == nil {
		err = fail(errRequest, "request is MPI_REQUEST_NULL")
	}
	if err != nil {
		return 0, err
	}
	if r.kind == reqGeneral && r.done {
		if err := p.endGeneral(r); err != nil {
			return 0, err
		}
	}
	r.internal = true // the handle is stale from now on
	if r.persistent && !r.active {
		r.done = true
	}
	if r.done {
		p.freeRequest(r)
	} else {
		r.orphan, r.persistent = true, false
	}
	return success, p.putWord(a.u32(0), requestNull)
}
