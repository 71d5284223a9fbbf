package mpi

// bufferCalls are the functions about buffered sends (MPI 5.0 section 3.6). The messages themselves are kept by the library;
// the attached buffer is what limits them.
func bufferCalls() []entry {
	return []entry{
		{name: "MPI_Buffer_attach", impl: func(p *Proc, a args) (uint64, error) { return p.attachBuffer(a) }},
		{name: "MPI_Buffer_detach", impl: func(p *Proc, a args) (uint64, error) { return p.detachBuffer(a) }},
		{name: "MPI_Buffer_flush", impl: func(p *Proc, _ args) (uint64, error) { return success, p.flushBuffer() }},
		{name: "MPI_Buffer_iflush", impl: func(p *Proc, a args) (uint64, error) { return p.iflushBuffer(a.u32(0)) }},
		{name: "MPI_Comm_attach_buffer", impl: onComm((*Proc).attachBuffer)},
		{name: "MPI_Comm_detach_buffer", impl: onComm((*Proc).detachBuffer)},
		{name: "MPI_Comm_flush_buffer", impl: onComm(func(p *Proc, _ args) (uint64, error) { return success, p.flushBuffer() })},
		{name: "MPI_Comm_iflush_buffer", impl: onComm(func(p *Proc, a args) (uint64, error) { return p.iflushBuffer(a.u32(0)) })},
		{name: "MPI_Session_attach_buffer", impl: onSession((*Proc).attachBuffer)},
		{name: "MPI_Session_detach_buffer", impl: onSession((*Proc).detachBuffer)},
		{name: "MPI_Session_flush_buffer", impl: onSession(func(p *Proc, _ args) (uint64, error) { return success, p.flushBuffer() })},
		{name: "MPI_Session_iflush_buffer", impl: onSession(func(p *Proc, a args) (uint64, error) { return p.iflushBuffer(a.u32(0)) })},
	}
}

// onSession drops the session, in the same way.
func onSession(f func(p *Proc, a args) (uint64, error)) func(*Proc, args) (uint64, error) {
	return func(p *Proc, a args) (uint64, error) {
		s, err := p.session(a.u32(0))
		if err != nil {
			return 0, err
		}
		v, err := f(p, a.from(1))
		return v, (&callError{session: s}).raise(err)
	}
}

// onComm drops the communicator: all communicators of a rank share one buffer, which is at least as large as the one
// that was attached to them.
func onComm(f func(p *Proc, a args) (uint64, error)) func(*Proc, args) (uint64, error) {
	return func(p *Proc, a args) (uint64, error) {
		c, err := p.comm(a.u32(0))
		if err != nil {
			return 0, err
		}
		v, err := f(p, a.from(1))
		return v, c.on(err)
	}
}

// automaticBuffer is how much MPI_BUFFER_AUTOMATIC allows, in bytes.
const automaticBuffer = 1 << 30

func (p *Proc) attachBuffer(a args) (uint64, error) {
	if p.bufferAttached {
		return 0, fail(errBuffer, "a buffer is attached already: detach it first")
	}
	size := a.count(1)
	if a.u32(0) == bufferAutomatic {
		size = automaticBuffer
	} else if size < 0 {
		return 0, fail(errArg, "size is %d", size)
	} else if _, err := p.guest(a.u32(0), uint64(size)); err != nil {
		return 0, err
	}
	p.bufferAttached, p.bufferAddr, p.bufferSize = true, a.u32(0), size
	return success, nil
}

// detachBuffer waits until all messages have left, and gives the buffer back.
func (p *Proc) detachBuffer(a args) (uint64, error) {
	if !p.bufferAttached {
		return 0, fail(errBuffer, "no buffer is attached")
	}
	if err := p.flushBuffer(); err != nil {
		return 0, err
	}
	size := p.bufferSize
	if p.bufferAddr == bufferAutomatic {
		size = 0
	}
	if err := p.putWord(a.u32(0), p.bufferAddr); err != nil {
		return 0, err
	}
	if err := p.putCount(a.u32(1), size); err != nil {
		return 0, err
	}
	p.bufferAttached = false
	return success, nil
}

func (p *Proc) flushBuffer() error {
	return p.wait(func() bool { return p.buffered == 0 })
}

// iflushBuffer gives a request that is done at once where nothing is buffered, else after all of it has left: it waits
// as MPI_Buffer_flush does, which is allowed to be slower than it could be but always ends.
func (p *Proc) iflushBuffer(out uint32) (uint64, error) {
	if err := p.flushBuffer(); err != nil {
		return 0, err
	}
	return p.give(p.self, out, func() (*request, error) { return p.doneRequest(p.self, false) })
}

// doneRequest is one that is done, with an empty status.
func (p *Proc) doneRequest(c *comm, internal bool) (*request, error) {
	r, err := p.startNull(c, internal)
	if err == nil {
		r.result = emptyStatus()
	}
	return r, err
}

// startBuffered copies the message and sends the copy; the request that it returns is done.
func (p *Proc) startBuffered(c *comm, e envelope, internal bool) (*request, error) {
	cost := int64(e.buf.len) + bsendOverhead
	room := int64(0)
	if p.bufferAttached {
		room = p.bufferSize - p.buffered
	}
	if cost > room {
		return nil, fail(errBuffer, "a message of %d bytes (and MPI_BSEND_OVERHEAD) does not fit the attached buffer: %d bytes are free",
			e.buf.len, room)
	}
	s, err := p.newRequest(reqSend, true)
	if err != nil {
		return nil, err
	}
	s.comm, s.context, s.peer, s.tag, s.buf = c, c.context(contextPoint), e.peer, e.tag, p.copyOf(e.buf) // the attached buffer bounds all of them
	s.orphan, s.after = true, hook{kind: hookBuffer}
	p.buffered += cost
	p.channel(e.peer).push(item{kind: itemSend, req: s.index})
	return p.doneRequest(c, internal)
}
