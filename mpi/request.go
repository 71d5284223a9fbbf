package mpi

const (
	reqSend = 1
	reqRecv = 2
	reqNull = 3 // done from the start: to or from MPI_PROC_NULL
)

// request is one send or receive, from its start to when its owner has seen
// that it is done. Requests live in the rank's table and are reused.
type request struct {
	index    uint32
	kind     uint8 // 0: not in use
	internal bool  // of a blocking call or collective: the guest has no handle of it
	done     bool
	sync     bool // a synchronous send: always rendezvous
	matched  bool // a receive that has got its envelope
	comm     uint32
	context  uint32
	peer     Rank // world rank, or anySource
	tag      int32
	buf      span
	peerReq  uint32 // the other side's request in a rendezvous
	limit    uint32 // bytes that the rendezvous moves
	moved    uint32 // bytes sent (framed) or received
	acked    uint32 // of a send: bytes that the receiver has acked
	result   status
}

// status is what a receive has found.
type status struct {
	source Rank // world rank
	tag    int32
	count  uint32 // bytes received
	class  int32  // success or errTruncate
	size   uint32 // bytes of the message
}

// newRequest takes a request from the table.
func (p *Proc) newRequest(kind uint8, internal bool) (*request, error) {
	n := len(p.freeList)
	if n == 0 {
		limit := p.w.cfg.MaxRequests
		if internal {
			limit += 2*p.w.cfg.Size + 64 // a collective must not fail because the guest has many
		}
		if len(p.requests) >= limit {
			return nil, fail(errOther, "more than %d requests", p.w.cfg.MaxRequests)
		}
		p.requests = append(p.requests, &request{index: uint32(len(p.requests)), kind: kind, internal: internal})
		return p.requests[len(p.requests)-1], nil
	}
	r := p.requests[p.freeList[n-1]]
	p.freeList = p.freeList[:n-1]
	*r = request{index: r.index, kind: kind, internal: internal}
	return r, nil
}

func (p *Proc) freeRequest(r *request) {
	r.kind = 0
	p.freeList = append(p.freeList, r.index)
}

// request finds a request in use by its index.
func (p *Proc) request(index uint32) *request {
	if uint64(index) >= uint64(len(p.requests)) || p.requests[index].kind == 0 {
		return nil
	}
	return p.requests[index]
}

// complete makes a request done.
func (p *Proc) complete(r *request) {
	r.done = true
	p.wake()
}

// startSend begins to send buf to dst.
func (p *Proc) startSend(c *comm, context uint32, dst Rank, tag int32, buf span, sync, internal bool) (*request, error) {
	r, err := p.newRequest(reqSend, internal)
	if err != nil {
		return nil, err
	}
	r.comm, r.context, r.peer, r.tag, r.buf, r.sync = c.handle, context, dst, tag, buf, sync
	p.channel(dst).push(item{kind: itemSend, req: r.index})
	return r, nil
}

// startRecv begins to receive from src (or anySource) into buf.
func (p *Proc) startRecv(c *comm, context uint32, src Rank, tag int32, buf span, internal bool) (*request, error) {
	r, err := p.newRequest(reqRecv, internal)
	if err != nil {
		return nil, err
	}
	r.comm, r.context, r.peer, r.tag, r.buf = c.handle, context, src, tag, buf
	if i := p.findUnexpected(context, src, tag); i >= 0 {
		m := p.unexpected[i]
		p.dropUnexpected(i)
		p.accept(r, m)
	} else {
		p.posted = append(p.posted, r)
	}
	return r, nil
}

// startNull makes a request to or from MPI_PROC_NULL (MPI 5.0 section 3.10).
func (p *Proc) startNull(c *comm, internal bool) (*request, error) {
	r, err := p.newRequest(reqNull, internal)
	if err != nil {
		return nil, err
	}
	r.comm, r.done = c.handle, true
	r.result = status{source: procNull, tag: anyTag}
	return r, nil
}
