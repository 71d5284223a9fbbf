package mpi

import (
	"slices"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/channel"
)

// probeCalls look for messages and take them (MPI 5.0 section 3.8).
func probeCalls() []entry {
	return []entry{
		{name: "MPI_Probe", impl: bind(callProbe)},
		{name: "MPI_Iprobe", impl: bind(callIprobe)},
		{name: "MPI_Mprobe", impl: bind(callMprobe)},
		{name: "MPI_Improbe", impl: bind(callImprobe)},
		{name: "MPI_Mrecv", impl: bind(callMrecv)},
		{name: "MPI_Imrecv", impl: bind(callImrecv)},
		{name: "MPI_Cancel", impl: bind(callCancel)},
		{name: "MPI_Request_free", impl: bind(callRequestFree)},
	}
}

// found is the status of a message that was not received yet.
func (m *message) found() status { return status{source: m.src, tag: m.tag, count: m.size} }

// look finds the index of the first message for an envelope, or -1.
func (p *Proc) look(c *comm, e envelope) int {
	return p.findUnexpected(c.context(contextPoint), e.peer, e.tag)
}

// soughtArgs are what a probe looks for.
type soughtArgs struct {
	source, tag int
	comm        handle
}

// sought is the envelope that a probe looks for.
func (p *Proc) sought(a soughtArgs, statusPtr address) (*comm, envelope, error) {
	c, err := p.comm(a.comm)
	if err != nil {
		return nil, envelope{}, err
	}
	e, err := p.source(c, a.source, a.tag)
	if err == nil {
		err = p.checkStatus(c, statusPtr)
	}
	return c, e, err
}

// awaitMessage waits for a message for an envelope, and returns its index.
func (p *Proc) awaitMessage(c *comm, e envelope) (i int, err error) {
	lost := false
	err = p.wait(func() bool {
		i = p.look(c, e)
		lost = !e.null && i < 0 && (e.peer == abi.AnySource && p.noSource(c, true) || e.peer != abi.AnySource && p.gone(e.peer))
		return e.null || i >= 0 || lost
	})
	if err == nil && lost {
		err = c.on(status{source: e.peer, class: classEnded}.endedError())
	}
	return i, err
}

type probeArgs struct {
	soughtArgs
	status address
}

func callProbe(p *Proc, a probeArgs) error {
	c, e, err := p.sought(a.soughtArgs, a.status)
	if err != nil {
		return err
	}
	i, err := p.awaitMessage(c, e)
	if err != nil {
		return err
	}
	st := nullStatus()
	if !e.null {
		st = p.unexpected[i].found()
	}
	p.putStatus(c, a.status, st)
	return nil
}

type iprobeArgs struct {
	soughtArgs
	flag, status address
}

func callIprobe(p *Proc, a iprobeArgs) error {
	c, e, err := p.sought(a.soughtArgs, a.status)
	if err != nil {
		return err
	}
	i := p.look(c, e)
	if err := p.putInt(a.flag, truth(e.null || i >= 0)); err != nil {
		return c.on(err)
	}
	switch {
	case e.null:
		p.putStatus(c, a.status, nullStatus())
	case i >= 0:
		p.putStatus(c, a.status, p.unexpected[i].found())
	default:
		p.yield()
	}
	return nil
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

type mprobeArgs struct {
	soughtArgs
	message, status address
}

func callMprobe(p *Proc, a mprobeArgs) error {
	c, e, err := p.sought(a.soughtArgs, a.status)
	if err == nil {
		_, err = p.handles(a.message, 1)
	}
	if err != nil {
		return c.on(err)
	}
	i, err := p.awaitMessage(c, e)
	if err != nil {
		return err
	}
	return c.on(p.matched(c, e, i, a.message, a.status))
}

// matched gives the program a message, or MPI_MESSAGE_NO_PROC.
func (p *Proc) matched(c *comm, e envelope, i int, out, statusPtr uint32) error {
	if e.null {
		p.putStatus(c, statusPtr, nullStatus())
		return p.putWord(out, abi.MessageNoProc)
	}
	p.putStatus(c, statusPtr, p.unexpected[i].found())
	return p.keep(c, i, out)
}

type improbeArgs struct {
	soughtArgs
	flag, message, status address
}

func callImprobe(p *Proc, a improbeArgs) error {
	c, e, err := p.sought(a.soughtArgs, a.status)
	if err == nil {
		_, err = p.handles(a.message, 1)
	}
	if err != nil {
		return c.on(err)
	}
	i := p.look(c, e)
	if err := p.putInt(a.flag, truth(e.null || i >= 0)); err != nil {
		return c.on(err)
	}
	if !e.null && i < 0 {
		p.yield()
		return nil
	}
	return c.on(p.matched(c, e, i, a.message, a.status))
}

// takenArgs are those of a receive of a message that the program has probed.
type takenArgs struct {
	buf      address
	count    count
	datatype handle
	message  address
}

type mrecvArgs struct {
	takenArgs
	status address
}

type imrecvArgs struct {
	takenArgs
	request address
}

// taken starts the receive of a message that the program has probed.
func (p *Proc) taken(a takenArgs, internal bool) (*request, error) {
	h, err := p.word(a.message)
	if err != nil {
		return nil, err
	}
	m := p.messages.get(h)
	if m == nil && h != abi.MessageNoProc {
		return nil, abi.Fail(abi.ErrRequest, "message %#x is not known", h)
	}
	buf, err := p.landing(a.buf, a.count, a.datatype)
	if err != nil {
		return nil, err
	}
	if err := p.putWord(a.message, abi.MessageNull); err != nil {
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
	p.pair(m.src).answer(back)
	p.dropMessage(m)
	return r, nil
}

func callMrecv(p *Proc, a mrecvArgs) error {
	reqs, err := p.once(func() ([]uint32, error) {
		if err := p.statuses(a.status, 1); err != nil {
			return nil, err
		}
		return p.one(p.taken(a.takenArgs, true))
	})
	if err != nil {
		return err
	}
	if err := p.finish(reqs); err != nil {
		return err
	}
	c := p.self
	if r := p.request(reqs[0]); r != nil && r.comm != nil {
		c = r.comm
	}
	st := p.conclude(reqs[0])
	p.putStatus(c, a.status, st)
	return st.outcome(c)
}

func callImrecv(p *Proc, a imrecvArgs) error {
	return p.giveRequest(nil, a.request, func() (*request, error) { return p.taken(a.takenArgs, false) })
}

// callCancel tries to take an operation back (MPI 5.0 section 3.8.4): a receive that has not matched, or a send whose message
// the receiver has not matched.
func callCancel(p *Proc, a requestArgs) error {
	list, err := p.handles(a.request, 1)
	if err != nil {
		return err
	}
	r, err := p.requestAt(list, 0)
	if err != nil {
		return err
	}
	if r == nil || (r.persistent && !r.active) {
		return abi.Fail(abi.ErrRequest, "the request is not active")
	}
	switch {
	case r.kind == reqFile:
		return r.io.file.on(abi.Fail(abi.ErrRequest, "operations on files cannot be cancelled"))
	case r.kind == reqCollective || r.kind == reqWindow || r.kind == reqPart:
		return r.comm.on(abi.Fail(abi.ErrRequest, "operations of this kind cannot be cancelled"))
	case r.kind == reqGeneral:
		return p.cancelGeneral(r)
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
	return nil
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
func callRequestFree(p *Proc, a requestArgs) error {
	list, err := p.handles(a.request, 1)
	if err != nil {
		return err
	}
	r, err := p.requestAt(list, 0)
	if err == nil && r == nil {
		err = abi.Fail(abi.ErrRequest, "request is MPI_REQUEST_NULL")
	}
	if err != nil {
		return err
	}
	if r.kind == reqGeneral && r.done {
		if err := p.endGeneral(r); err != nil {
			return err
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
	return p.putWord(a.request, abi.RequestNull)
}
