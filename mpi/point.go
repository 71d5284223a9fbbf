package mpi

import (
	"cmp"
	"runtime"
	"slices"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/layout"
)

// pointCalls are the point-to-point functions that start or are one operation
// (MPI 5.0 chapter 3). A ready send is a standard one: that is always correct.
func pointCalls() []entry {
	calls := []entry{
		{name: "MPI_Recv", impl: bind(callRecv), quick: (*Proc).quickRecv},
		{name: "MPI_Irecv", impl: bind(callIrecv), quick: (*Proc).quickIrecv},
		{name: "MPI_Sendrecv", impl: bind(callSendrecv), quick: (*Proc).quickSendrecv},
		{name: "MPI_Sendrecv_replace", impl: bind(callSendrecvReplace)},
		{name: "MPI_Isendrecv", impl: bind(callIsendrecv)},
		{name: "MPI_Isendrecv_replace", impl: bind(callIsendrecvReplace)},
	}
	for letter, mode := range sendModes() {
		send := entry{name: "MPI_" + pick(letter == "", "S", letter+"s") + "end", impl: bind(func(p *Proc, a sendArgs) error { return p.send(a, mode) })}
		isend := entry{name: "MPI_I" + lower(letter) + "send", impl: bind(func(p *Proc, a isendArgs) error { return p.isend(a, mode) })}
		if mode == modeStandard {
			send.quick, isend.quick = (*Proc).quickSend, (*Proc).quickIsend
		}
		calls = append(calls, send, isend)
	}
	return calls
}

// sendModes are the modes by the letter in the functions' names.
func sendModes() map[string]uint8 {
	return map[string]uint8{"": modeStandard, "S": modeSync, "B": modeBuffered, "R": modeStandard}
}

func lower(letter string) string {
	if letter == "" {
		return ""
	}
	return string(letter[0] | 0x20)
}

// envelope is the checked destination or source of an operation.
type envelope struct {
	buf  layout.Span
	null bool // MPI_PROC_NULL
	peer Rank // world rank or abi.AnySource
	tag  int32
}

type sendArgs struct {
	buf       address
	count     count
	datatype  handle
	dest, tag int
	comm      handle
}

// isendArgs are those of MPI_Send_init, too.
type isendArgs struct {
	sendArgs
	request address
}

// sendEnvelope checks buf, count, datatype, dest and tag of a send.
func (p *Proc) sendEnvelope(c *comm, a sendArgs) (e envelope, err error) {
	if a.dest != abi.ProcNull { // a send to nobody has no effect: its buffer may be any
		if e.buf, err = p.buffer(a.buf, a.count, a.datatype); err != nil {
			return e, c.on(err)
		}
	}
	e.peer, e.tag, e.null, err = p.destination(c, a.dest, a.tag)
	return e, err
}

func (p *Proc) destination(c *comm, dest, tag int) (peer Rank, t int32, null bool, err error) {
	if tag < 0 || tag > abi.TagUB {
		return 0, 0, false, c.on(abi.Fail(abi.ErrTag, "tag %d is not in 0..%d", tag, abi.TagUB))
	}
	if dest == abi.ProcNull {
		return 0, int32(tag), true, nil
	}
	ranks := c.peers().ranks
	if dest < 0 || dest >= len(ranks) {
		return 0, 0, false, c.on(abi.Fail(abi.ErrRank, "rank %d is not in 0..%d", dest, len(ranks)-1))
	}
	return ranks[dest], int32(tag), false, nil
}

// source checks the source and tag of a receive or probe.
func (p *Proc) source(c *comm, source, tag int) (e envelope, err error) {
	if tag != abi.AnyTag && (tag < 0 || tag > abi.TagUB) {
		return e, c.on(abi.Fail(abi.ErrTag, "tag %d is not in 0..%d, nor MPI_ANY_TAG", tag, abi.TagUB))
	}
	e.tag = int32(tag)
	ranks := c.peers().ranks
	switch {
	case source == abi.ProcNull:
		e.null = true
	case source == abi.AnySource:
		e.peer = abi.AnySource
	case source < 0 || source >= len(ranks):
		return e, c.on(abi.Fail(abi.ErrRank, "rank %d is not in 0..%d, nor MPI_ANY_SOURCE", source, len(ranks)-1))
	default:
		e.peer = ranks[source]
	}
	return e, nil
}

// receiveArgs are those of a receive, but for where its status or request goes.
type receiveArgs struct {
	buf         address
	count       count
	datatype    handle
	source, tag int
	comm        handle
}

type recvArgs struct {
	receiveArgs
	status address
}

// irecvArgs are those of MPI_Recv_init, too.
type irecvArgs struct {
	receiveArgs
	request address
}

// recvEnvelope checks buf, count, datatype, source and tag of a receive.
func (p *Proc) recvEnvelope(c *comm, a receiveArgs) (envelope, error) {
	var buf layout.Span
	if a.source != abi.ProcNull {
		var err error
		if buf, err = p.landing(a.buf, a.count, a.datatype); err != nil {
			return envelope{}, c.on(err)
		}
	}
	e, err := p.source(c, a.source, a.tag)
	e.buf = buf
	return e, err
}

func (p *Proc) beginSend(c *comm, e envelope, mode uint8, internal bool) (*request, error) {
	switch {
	case e.null:
		return p.startNull(c, internal)
	case mode == modeBuffered:
		return p.startBuffered(c, e, internal)
	}
	r, err := p.startSend(c, c.context(contextPoint), e.peer, e.tag, e.buf, mode, internal)
	if err == nil && e.buf.Host != nil { // a copy, whose room was asked for
		r.charged = int64(e.buf.Len)
		p.kept += r.charged
	}
	return r, err
}

func (p *Proc) beginRecv(c *comm, e envelope, internal bool) (*request, error) {
	if e.null {
		return p.startNull(c, internal)
	}
	return p.startRecv(c, c.context(contextPoint), e.peer, e.tag, e.buf, internal)
}

// once starts what a blocking call waits for, unless the call was frozen after it had started that. It returns the
// requests.
func (p *Proc) once(start func() ([]uint32, error)) ([]uint32, error) {
	if s := p.running.resumed; s != nil {
		p.running.resumed = nil
		return s.reqs, nil
	}
	return start()
}

// phase runs one part of a call that waits several times, and keeps its result: a call that was frozen in a later part
// does not run it again. Phases count from 1.
func (p *Proc) phase(number int, f func() ([]byte, error)) ([]byte, error) {
	if len(p.running.results) < number {
		result, err := f()
		if err != nil {
			return nil, err
		}
		p.running.results = append(p.running.results, result)
	}
	return p.running.results[number-1], nil
}

// await blocks until done. If the rank is to freeze, the call is remembered with its requests, to go on from here.
func (p *Proc) await(reqs []uint32, done func() bool) error {
	err := p.wait(done)
	if err != nil {
		p.suspend(slices.Clone(reqs))
	}
	return err
}

// finish waits for the requests of a blocking call.
func (p *Proc) finish(reqs []uint32) error {
	return p.await(reqs, func() bool {
		for _, i := range reqs {
			if r := p.request(i); r != nil && !r.done && !p.lost(r, true) {
				return false
			}
		}
		return true
	})
}

// conclude ends an internal request and returns what it found.
func (p *Proc) conclude(index uint32) status {
	r := p.request(index)
	if r == nil {
		return status{} // only a damaged state leads here
	}
	st := r.result
	if r.coll != nil && !r.persistent && cap(r.coll.host.Bytes) <= p.w.cfg.ChunkBytes {
		p.spare = r.coll.host.Bytes[:0]
		if s := r.coll.plan; s != nil && cap(s.Transfers) <= keptTransfers {
			p.sketch = s
		}
	}
	p.freeRequest(r)
	return st
}

// outcome makes the error of a finished receive, or nil.
func (s status) outcome(c *comm) error {
	switch s.class {
	case abi.Success:
		return nil
	case abi.ErrTruncate:
		return c.on(abi.Fail(abi.ErrTruncate, "message of %d bytes from rank %d with tag %d is longer than the buffer (%d bytes)",
			s.size, c.localRank(s.source), s.tag, s.count))
	case classEnded, classNotReceived, classNotFreed:
		return c.on(s.endedError())
	}
	return c.on(abi.Fail(int(s.class), "the operation has failed"))
}

func (p *Proc) send(a sendArgs, mode uint8) error {
	c, err := p.comm(a.comm)
	if err != nil {
		return err
	}
	reqs, err := p.once(func() ([]uint32, error) {
		e, err := p.sendEnvelope(c, a)
		if err != nil {
			return nil, err
		}
		return p.one(p.beginSend(c, e, mode, true))
	})
	if err != nil {
		return c.on(err)
	}
	if err := p.finish(reqs); err != nil {
		return err
	}
	return p.conclude(reqs[0]).outcome(c)
}

// awaited are the requests that a call waits for. The list lasts until the call's next.
func (p *Proc) awaited(reqs ...uint32) []uint32 {
	if p.running.depth > 1 {
		return slices.Clone(reqs) // the interrupted call has its own
	}
	p.awaits = append(p.awaits[:0], reqs...)
	return p.awaits
}

// one is the list of one request.
func (p *Proc) one(r *request, err error) ([]uint32, error) {
	if err != nil {
		return nil, err
	}
	return p.awaited(r.index), nil
}

// giveRequest stores the handle of a request that start makes.
func (p *Proc) giveRequest(c *comm, out uint32, start func() (*request, error)) error {
	if _, err := p.handles(out, 1); err != nil {
		return c.on(err)
	}
	if out == 0 {
		return c.on(abi.Fail(abi.ErrArg, "request is a null pointer"))
	}
	r, err := start()
	if err != nil {
		return c.on(err)
	}
	return p.putWord(out, baseRequest+r.index)
}

func (p *Proc) isend(a isendArgs, mode uint8) error {
	c, err := p.comm(a.comm)
	if err != nil {
		return err
	}
	e, err := p.sendEnvelope(c, a.sendArgs)
	if err != nil {
		return err
	}
	return p.giveRequest(c, a.request, func() (*request, error) { return p.beginSend(c, e, mode, false) })
}

func callRecv(p *Proc, a recvArgs) error {
	c, err := p.comm(a.comm)
	if err != nil {
		return err
	}
	reqs, err := p.once(func() ([]uint32, error) {
		e, err := p.recvEnvelope(c, a.receiveArgs)
		if err == nil {
			err = p.checkStatus(c, a.status)
		}
		if err != nil {
			return nil, err
		}
		return p.one(p.beginRecv(c, e, true))
	})
	if err != nil {
		return c.on(err)
	}
	if err := p.finish(reqs); err != nil {
		return err
	}
	st := p.conclude(reqs[0])
	p.putStatus(c, a.status, st)
	return st.outcome(c)
}

func callIrecv(p *Proc, a irecvArgs) error {
	c, err := p.comm(a.comm)
	if err != nil {
		return err
	}
	e, err := p.recvEnvelope(c, a.receiveArgs)
	if err != nil {
		return err
	}
	return p.giveRequest(c, a.request, func() (*request, error) { return p.beginRecv(c, e, false) })
}

// exchangeArgs are those of a send and a receive.
type exchangeArgs struct {
	sendbuf         address
	sendcount       count
	sendtype        handle
	dest, sendtag   int
	recvbuf         address
	recvcount       count
	recvtype        handle
	source, recvtag int
	comm            handle
}

type sendrecvArgs struct {
	exchangeArgs
	status address
}

func callSendrecv(p *Proc, a sendrecvArgs) error {
	c, err := p.comm(a.comm)
	if err != nil {
		return err
	}
	reqs, err := p.once(func() ([]uint32, error) {
		out, in, err := p.exchangeEnvelopes(c, a.exchangeArgs, a.status)
		if err != nil {
			return nil, err
		}
		return p.beginExchange(c, out, in, true)
	})
	if err != nil {
		return c.on(err)
	}
	if err := p.finish(reqs); err != nil {
		return err
	}
	st := p.conclude(reqs[0])
	sent := p.conclude(reqs[1])
	p.putStatus(c, a.status, st)
	return cmp.Or(st.outcome(c), sent.outcome(c))
}

func (p *Proc) exchangeEnvelopes(c *comm, a exchangeArgs, statusPtr uint32) (out, in envelope, err error) {
	out, err = p.sendEnvelope(c, sendArgs{buf: a.sendbuf, count: a.sendcount, datatype: a.sendtype, dest: a.dest, tag: a.sendtag})
	if err != nil {
		return out, in, err
	}
	in, err = p.recvEnvelope(c, receiveArgs{buf: a.recvbuf, count: a.recvcount, datatype: a.recvtype, source: a.source, tag: a.recvtag})
	if err != nil {
		return out, in, err
	}
	return out, in, p.checkStatus(c, statusPtr)
}

// beginExchange starts the receive, then the send, or neither.
func (p *Proc) beginExchange(c *comm, out, in envelope, internal bool) ([]uint32, error) {
	if err := p.roomForRequests(2, internal); err != nil {
		return nil, err
	}
	r, err := p.beginRecv(c, in, internal)
	if err != nil {
		return nil, err
	}
	s, err := p.beginSend(c, out, modeStandard, true)
	if err != nil {
		return nil, err
	}
	return p.awaited(r.index, s.index), nil
}

// replaceArgs are those of a send and a receive with one buffer.
type replaceArgs struct {
	buf             address
	count           count
	datatype        handle
	dest, sendtag   int
	source, recvtag int
	comm            handle
}

type sendrecvReplaceArgs struct {
	replaceArgs
	status address
}

type isendrecvReplaceArgs struct {
	replaceArgs
	request address
}

// replaceEnvelopes checks all but the communicator: what is sent is a copy.
func (p *Proc) replaceEnvelopes(c *comm, a replaceArgs, room func(n int64) error) (out, in envelope, err error) {
	buf, err := p.buffer(a.buf, a.count, a.datatype)
	if err != nil {
		return out, in, c.on(err)
	}
	if out.peer, out.tag, out.null, err = p.destination(c, a.dest, a.sendtag); err != nil {
		return out, in, err
	}
	if in, err = p.source(c, a.source, a.recvtag); err != nil {
		return out, in, err
	}
	in.buf = buf
	if err := room(int64(buf.Len)); err != nil {
		return out, in, c.on(err)
	}
	out.buf = p.copyOf(buf) // the request that has it is charged for it
	return out, in, nil
}

// copyOf is a span of the library's memory with the same data.
func (p *Proc) copyOf(buf layout.Span) layout.Span {
	h := &layout.Buffer{Bytes: make([]byte, buf.Len)}
	p.pack(h.Bytes, buf)
	return layout.Span{Host: h, Len: buf.Len}
}

func callSendrecvReplace(p *Proc, a sendrecvReplaceArgs) error {
	c, err := p.comm(a.comm)
	if err != nil {
		return err
	}
	reqs, err := p.once(func() ([]uint32, error) {
		out, in, err := p.replaceEnvelopes(c, a.replaceArgs, p.roomToPass)
		if err == nil {
			err = p.checkStatus(c, a.status)
		}
		if err != nil {
			return nil, err
		}
		return p.beginExchange(c, out, in, true)
	})
	if err != nil {
		return c.on(err)
	}
	if err := p.finish(reqs); err != nil {
		return err
	}
	st := p.conclude(reqs[0])
	sent := p.conclude(reqs[1])
	p.putStatus(c, a.status, st)
	return cmp.Or(st.outcome(c), sent.outcome(c))
}

type isendrecvArgs struct {
	exchangeArgs
	request address
}

func callIsendrecv(p *Proc, a isendrecvArgs) error {
	c, err := p.comm(a.comm)
	if err != nil {
		return err
	}
	out, in, err := p.exchangeEnvelopes(c, a.exchangeArgs, abi.StatusIgnore)
	if err != nil {
		return err
	}
	return p.giveRequest(c, a.request, func() (*request, error) { return p.joinedExchange(c, out, in) })
}

func callIsendrecvReplace(p *Proc, a isendrecvReplaceArgs) error {
	c, err := p.comm(a.comm)
	if err != nil {
		return err
	}
	out, in, err := p.replaceEnvelopes(c, a.replaceArgs, p.room)
	if err != nil {
		return err
	}
	return p.giveRequest(c, a.request, func() (*request, error) { return p.joinedExchange(c, out, in) })
}

// joinedExchange is one request for a receive and a send (MPI 5.0 section 3.11): a collective of one round whose result is
// the receive's.
func (p *Proc) joinedExchange(c *comm, out, in envelope) (*request, error) {
	s := &sketch{comm: c}
	s.Host = &s.own
	s.Round()
	r, err := p.scheduled(s, false)
	if err != nil {
		return nil, err
	}
	reqs, err := p.beginExchange(c, out, in, true)
	if err != nil {
		p.freeRequest(r)
		return nil, err
	}
	r.coll.reqs, r.coll.started, r.coll.received = append(r.coll.reqs, reqs...), true, true // what a call waits for is its own only
	p.active = append(p.active, r)
	return r, p.progress()
}

// yield lets others run while a guest polls in a loop.
func (p *Proc) yield() {
	p.settle()
	p.unlock()
	runtime.Gosched()
	p.lock()
}
