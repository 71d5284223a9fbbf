package mpi

import (
	"runtime"
	"slices"
)

// pointCalls are the point-to-point functions that start or are one operation
// (MPI 5.0 chapter 3).
func pointCalls() []entry {
	const send = "buf count datatype dest tag comm"
	const recv = "buf count datatype source tag comm "
	return []entry{
		{name: "MPI_Send", params: send, impl: func(p *Proc, a args) (uint64, error) { return p.send(a, false) }},
		{name: "MPI_Ssend", params: send, impl: func(p *Proc, a args) (uint64, error) { return p.send(a, true) }},
		{name: "MPI_Isend", params: send + " request", impl: func(p *Proc, a args) (uint64, error) { return p.isend(a, false) }},
		{name: "MPI_Issend", params: send + " request", impl: func(p *Proc, a args) (uint64, error) { return p.isend(a, true) }},
		{name: "MPI_Recv", params: recv + "status", impl: callRecv},
		{name: "MPI_Irecv", params: recv + "request", impl: callIrecv},
		{
			name:   "MPI_Sendrecv",
			params: "sendbuf sendcount sendtype dest sendtag recvbuf recvcount recvtype source recvtag comm status",
			impl:   callSendrecv,
		},
		{name: "MPI_Probe", params: "source tag comm status", impl: callProbe},
		{name: "MPI_Iprobe", params: "source tag comm flag status", impl: callIprobe},
		{name: "MPI_Get_count", params: "status datatype count", impl: callGetCount},
	}
}

// envelope is the checked destination or source of an operation.
type envelope struct {
	buf  span
	null bool // MPI_PROC_NULL
	peer Rank // world rank or anySource
	tag  int32
}

// sendEnvelope checks buf, count, datatype, dest and tag of a send.
func (p *Proc) sendEnvelope(c *comm, a args) (e envelope, err error) {
	if e.buf, err = p.buffer(a.u32(0), a.int(1), a.u32(2)); err != nil {
		return e, c.on(err)
	}
	dest, tag := a.int(3), a.int(4)
	if tag < 0 || tag > tagUB {
		return e, c.on(fail(errTag, "tag %d is not in 0..%d", tag, tagUB))
	}
	e.tag = int32(tag)
	if dest == procNull {
		e.null = true
		return e, nil
	}
	if dest < 0 || dest >= p.commSize(c) {
		return e, c.on(fail(errRank, "rank %d is not in 0..%d", dest, p.commSize(c)-1))
	}
	e.peer = p.worldRank(c, dest)
	return e, nil
}

// source checks the source and tag of a receive or probe.
func (p *Proc) source(c *comm, source, tag int) (e envelope, err error) {
	if tag != anyTag && (tag < 0 || tag > tagUB) {
		return e, c.on(fail(errTag, "tag %d is not in 0..%d, nor MPI_ANY_TAG", tag, tagUB))
	}
	e.tag = int32(tag)
	switch {
	case source == procNull:
		e.null = true
	case source == anySource:
		e.peer = anySource
	case source < 0 || source >= p.commSize(c):
		return e, c.on(fail(errRank, "rank %d is not in 0..%d, nor MPI_ANY_SOURCE", source, p.commSize(c)-1))
	default:
		e.peer = p.worldRank(c, source)
	}
	return e, nil
}

// recvEnvelope checks buf, count, datatype, source and tag of a receive.
func (p *Proc) recvEnvelope(c *comm, a args) (envelope, error) {
	buf, err := p.buffer(a.u32(0), a.int(1), a.u32(2))
	if err != nil {
		return envelope{}, c.on(err)
	}
	e, err := p.source(c, a.int(3), a.int(4))
	e.buf = buf
	return e, err
}

func (p *Proc) beginSend(c *comm, e envelope, sync, internal bool) (*request, error) {
	if e.null {
		return p.startNull(c, internal)
	}
	return p.startSend(c, c.pointContext(), e.peer, e.tag, e.buf, sync, internal)
}

func (p *Proc) beginRecv(c *comm, e envelope, internal bool) (*request, error) {
	if e.null {
		return p.startNull(c, internal)
	}
	return p.startRecv(c, c.pointContext(), e.peer, e.tag, e.buf, internal)
}

// finish waits for the requests of a blocking call. If the rank is to freeze,
// the call is remembered, to go on from here.
func (p *Proc) finish(reqs []uint32) error {
	err := p.wait(func() bool {
		for _, i := range reqs {
			if r := p.request(i); r != nil && !r.done {
				return false
			}
		}
		return true
	})
	if err != nil {
		p.suspend(slices.Clone(reqs)...)
		return err
	}
	p.suspended = nil
	return nil
}

// take ends an internal request and returns what it found.
func (p *Proc) take(index uint32) status {
	r := p.request(index)
	if r == nil {
		return status{} // only a damaged state leads here
	}
	p.freeRequest(r)
	return r.result
}

// outcome makes the error of a finished receive, or nil.
func (s status) outcome(c *comm) error {
	if s.class == success {
		return nil
	}
	return c.on(fail(int(s.class), "message of %d bytes from rank %d with tag %d is longer than the buffer (%d bytes)",
		s.size, c.localRank(s.source), s.tag, s.count))
}

func (p *Proc) send(a args, sync bool) (uint64, error) {
	c, err := p.comm(a.u32(5))
	if err != nil {
		return 0, err
	}
	var reqs [1]uint32
	if s := p.suspended; s != nil {
		copy(reqs[:], s.reqs)
	} else {
		e, err := p.sendEnvelope(c, a)
		if err != nil {
			return 0, err
		}
		r, err := p.beginSend(c, e, sync, true)
		if err != nil {
			return 0, c.on(err)
		}
		reqs[0] = r.index
	}
	if err := p.finish(reqs[:]); err != nil {
		return 0, err
	}
	p.take(reqs[0])
	return success, nil
}

func (p *Proc) isend(a args, sync bool) (uint64, error) {
	c, err := p.comm(a.u32(5))
	if err != nil {
		return 0, err
	}
	e, err := p.sendEnvelope(c, a)
	if err != nil {
		return 0, err
	}
	out, err := p.guest(a.u32(6), 4)
	if err != nil {
		return 0, c.on(argError(err))
	}
	r, err := p.beginSend(c, e, sync, false)
	if err != nil {
		return 0, c.on(err)
	}
	order.PutUint32(p.bytes(out), firstRequest+r.index)
	return success, nil
}

func callRecv(p *Proc, a args) (uint64, error) {
	c, err := p.comm(a.u32(5))
	if err != nil {
		return 0, err
	}
	var reqs [1]uint32
	if s := p.suspended; s != nil {
		copy(reqs[:], s.reqs)
	} else {
		e, err := p.recvEnvelope(c, a)
		if err == nil {
			err = p.checkStatus(c, a.u32(6))
		}
		if err != nil {
			return 0, err
		}
		r, err := p.beginRecv(c, e, true)
		if err != nil {
			return 0, c.on(err)
		}
		reqs[0] = r.index
	}
	if err := p.finish(reqs[:]); err != nil {
		return 0, err
	}
	st := p.take(reqs[0])
	p.putStatus(c, a.u32(6), st)
	return success, st.outcome(c)
}

func callIrecv(p *Proc, a args) (uint64, error) {
	c, err := p.comm(a.u32(5))
	if err != nil {
		return 0, err
	}
	e, err := p.recvEnvelope(c, a)
	if err != nil {
		return 0, err
	}
	out, err := p.guest(a.u32(6), 4)
	if err != nil {
		return 0, c.on(argError(err))
	}
	r, err := p.beginRecv(c, e, false)
	if err != nil {
		return 0, c.on(err)
	}
	order.PutUint32(p.bytes(out), firstRequest+r.index)
	return success, nil
}

func callSendrecv(p *Proc, a args) (uint64, error) {
	c, err := p.comm(a.u32(10))
	if err != nil {
		return 0, err
	}
	var reqs [2]uint32
	if s := p.suspended; s != nil {
		copy(reqs[:], s.reqs)
	} else if reqs, err = p.beginSendrecv(c, a); err != nil {
		return 0, c.on(err)
	}
	if err := p.finish(reqs[:]); err != nil {
		return 0, err
	}
	st := p.take(reqs[0])
	p.take(reqs[1])
	p.putStatus(c, a.u32(11), st)
	return success, st.outcome(c)
}

// beginSendrecv starts the receive, then the send.
func (p *Proc) beginSendrecv(c *comm, a args) (reqs [2]uint32, err error) {
	out, err := p.sendEnvelope(c, a[0:5])
	if err != nil {
		return reqs, err
	}
	in, err := p.recvEnvelope(c, a[5:10])
	if err != nil {
		return reqs, err
	}
	if err := p.checkStatus(c, a.u32(11)); err != nil {
		return reqs, err
	}
	r, err := p.beginRecv(c, in, true)
	if err != nil {
		return reqs, err
	}
	s, err := p.beginSend(c, out, false, true)
	if err != nil {
		return reqs, err
	}
	return [2]uint32{r.index, s.index}, nil
}

func callProbe(p *Proc, a args) (uint64, error) {
	c, err := p.comm(a.u32(2))
	if err != nil {
		return 0, err
	}
	e, err := p.source(c, a.int(0), a.int(1))
	if err == nil {
		err = p.checkStatus(c, a.u32(3))
	}
	if err != nil {
		return 0, err
	}
	var st status
	err = p.wait(func() bool {
		var found bool
		st, found = p.probe(c, e)
		return found
	})
	if err != nil {
		return 0, err
	}
	p.putStatus(c, a.u32(3), st)
	return success, nil
}

func callIprobe(p *Proc, a args) (uint64, error) {
	c, err := p.comm(a.u32(2))
	if err != nil {
		return 0, err
	}
	e, err := p.source(c, a.int(0), a.int(1))
	if err == nil {
		err = p.checkStatus(c, a.u32(4))
	}
	if err != nil {
		return 0, err
	}
	st, found := p.probe(c, e)
	if err := p.putInt(a.u32(3), truth(found)); err != nil {
		return 0, c.on(err)
	}
	if found {
		p.putStatus(c, a.u32(4), st)
	} else {
		p.yield()
	}
	return success, nil
}

// probe looks for a message without taking it (MPI 5.0 section 3.8).
func (p *Proc) probe(c *comm, e envelope) (status, bool) {
	if e.null {
		return status{source: procNull, tag: anyTag}, true
	}
	i := p.findUnexpected(c.pointContext(), e.peer, e.tag)
	if i < 0 {
		return status{}, false
	}
	m := p.unexpected[i]
	return status{source: m.src, tag: m.tag, count: m.size}, true
}

// yield lets others run while a guest polls in a loop.
func (p *Proc) yield() {
	p.w.settle()
	p.w.mu.Unlock()
	runtime.Gosched()
	p.w.mu.Lock()
}
