package mpi

import "github.com/godwit-run/godwit/mpi/abi"

// The straight way of nonblocking calls: their requests are as they would be, but made, and taken back, without a detour.

// handleAt is where a handle of the program stands, or nil if there can be none.
func (p *Proc) handleAt(ptr uint32) []byte {
	mem := p.mem.Bytes()
	if ptr == 0 || uint64(ptr)+4 > uint64(len(mem)) {
		return nil
	}
	return mem[ptr : ptr+4 : ptr+4]
}

// quickIsend is MPI_Isend, if its message leaves at once.
func (p *Proc) quickIsend(v []uint64) bool {
	out := p.handleAt(uint32(v[6]))
	if out == nil || len(p.freeList) == 0 {
		return false
	}
	s, ok := p.sendNow(v)
	if !ok {
		return false
	}
	r := p.reused(reqSend)
	r.comm, r.context, r.peer, r.tag, r.seq = s.comm, s.comm.context(contextPoint), s.peer, s.tag, s.seq
	r.framed, r.sent, r.done = true, true, true
	order.PutUint32(out, baseRequest+r.index)
	return true
}

// quickIrecv is MPI_Irecv, if its message is the next that is here, or has not come.
func (p *Proc) quickIrecv(v []uint64) bool {
	var w wish
	out := p.handleAt(uint32(v[6]))
	if !p.wishOf(&w, v) || out == nil || len(p.freeList) == 0 {
		return false
	}
	f, ok := p.find(&w)
	if !ok {
		return false
	}
	r := p.reused(reqRecv)
	r.comm, r.context, r.peer, r.tag = w.comm, w.context, w.peer, w.tag
	if r.buf.Len = uint32(len(w.mem)); r.buf.Len > 0 {
		r.buf.Off = uint32(v[0])
	}
	if f.here() {
		st := p.takeNow(&w, &f)
		r.matched, r.done, r.limit, r.result = true, true, st.count, st
	} else {
		p.posted = append(p.posted, r)
	}
	order.PutUint32(out, baseRequest+r.index)
	return true
}

// plain reports whether a request is a message that has come or left as it should: nothing follows its end, and no error.
func (r *request) plain() bool {
	return r.done && (r.kind == reqSend || r.kind == reqRecv) && !r.internal && !r.persistent && r.result.class == abi.Success
}

// plainAt is the request whose handle stands there, if it is plain.
func (p *Proc) plainAt(handle []byte) *request {
	i := order.Uint32(handle) - baseRequest
	if uint64(i) >= uint64(len(p.requests)) {
		return nil
	}
	if r := p.requests[i]; r.plain() {
		return r
	}
	return nil
}

// finishPlain ends a plain request, and its handle.
func (p *Proc) finishPlain(r *request, handle []byte, statusPtr uint32) {
	p.describe(r, statusPtr)
	order.PutUint32(handle, abi.RequestNull)
	p.freeRequest(r)
}

// quickWait is MPI_Wait for a plain request.
func (p *Proc) quickWait(v []uint64) bool {
	handle, ptr := p.handleAt(uint32(v[0])), uint32(v[1])
	if handle == nil || p.statuses(ptr, 1) != nil {
		return false
	}
	r := p.plainAt(handle)
	if r == nil {
		return false
	}
	p.finishPlain(r, handle, ptr)
	return true
}

// quickWaitall is MPI_Waitall for plain requests.
func (p *Proc) quickWaitall(v []uint64) bool {
	n, at, ptr := int(int32(uint32(v[0]))), uint64(uint32(v[1])), uint32(v[2])
	mem := p.mem.Bytes()
	if n <= 0 || at == 0 || at+4*uint64(n) > uint64(len(mem)) || p.statuses(ptr, n) != nil {
		return false
	}
	list := mem[at : at+4*uint64(n)]
	for i := range n {
		if p.plainAt(list[4*i:]) == nil {
			return false
		}
	}
	for i := range n {
		handle := list[4*i:]
		if r := p.plainAt(handle); r != nil { // else the same handle stands twice in the list: ended above
			p.finishPlain(r, handle, statusPtr(ptr, i))
			p.putError(statusPtr(ptr, i), abi.Success)
		}
	}
	return true
}
