package mpi

import "github.com/godwit-run/godwit/mpi/abi"

// bufferCalls are the functions about buffered sends (MPI 5.0 section 3.6). The messages themselves are kept by the library;
// the attached buffer is what limits them.
func bufferCalls() []entry {
	return []entry{
		{name: "MPI_Buffer_attach", impl: bind(callAttachBuffer)},
		{name: "MPI_Buffer_detach", impl: bind(callDetachBuffer)},
		{name: "MPI_Buffer_flush", impl: bind(callFlushBuffer)},
		{name: "MPI_Buffer_iflush", impl: bind(callIflushBuffer)},
		{name: "MPI_Comm_attach_buffer", impl: onComm(callAttachBuffer)},
		{name: "MPI_Comm_detach_buffer", impl: onComm(callDetachBuffer)},
		{name: "MPI_Comm_flush_buffer", impl: onComm(callFlushBuffer)},
		{name: "MPI_Comm_iflush_buffer", impl: onComm(callIflushBuffer)},
		{name: "MPI_Session_attach_buffer", impl: onSession(callAttachBuffer)},
		{name: "MPI_Session_detach_buffer", impl: onSession(callDetachBuffer)},
		{name: "MPI_Session_flush_buffer", impl: onSession(callFlushBuffer)},
		{name: "MPI_Session_iflush_buffer", impl: onSession(callIflushBuffer)},
	}
}

type onSessionArgs[T any] struct {
	session handle
	rest    T
}

// onSession drops the session, in the same way.
func onSession[T any](f func(p *Proc, a T) error) body {
	return bind(func(p *Proc, a onSessionArgs[T]) error {
		s, err := p.session(a.session)
		if err != nil {
			return err
		}
		return (&callError{session: s}).raise(f(p, a.rest))
	})
}

type onCommArgs[T any] struct {
	comm handle
	rest T
}

// onComm drops the communicator: all communicators of a rank share one buffer, which is at least as large as the one
// that was attached to them.
func onComm[T any](f func(p *Proc, a T) error) body {
	return bind(func(p *Proc, a onCommArgs[T]) error {
		c, err := p.comm(a.comm)
		if err != nil {
			return err
		}
		return c.on(f(p, a.rest))
	})
}

// automaticBuffer is how much MPI_BUFFER_AUTOMATIC allows, in bytes.
const automaticBuffer = 1 << 30

type attachBufferArgs struct {
	buffer address
	size   count
}

func callAttachBuffer(p *Proc, a attachBufferArgs) error {
	if p.bufferAttached {
		return abi.Fail(abi.ErrBuffer, "a buffer is attached already: detach it first")
	}
	size := a.size
	if a.buffer == abi.BufferAutomatic {
		size = automaticBuffer
	} else if size < 0 {
		return abi.Fail(abi.ErrArg, "size is %d", size)
	} else if _, err := p.guest(a.buffer, uint64(size)); err != nil {
		return err
	}
	p.bufferAttached, p.bufferAddr, p.bufferSize = true, a.buffer, size
	return nil
}

type detachBufferArgs struct{ bufferAddr, size address }

// callDetachBuffer waits until all messages have left, and gives the buffer back.
func callDetachBuffer(p *Proc, a detachBufferArgs) error {
	if !p.bufferAttached {
		return abi.Fail(abi.ErrBuffer, "no buffer is attached")
	}
	if err := p.flushBuffer(); err != nil {
		return err
	}
	size := p.bufferSize
	if p.bufferAddr == abi.BufferAutomatic {
		size = 0
	}
	if err := p.putWord(a.bufferAddr, p.bufferAddr); err != nil {
		return err
	}
	if err := p.putCount(a.size, size); err != nil {
		return err
	}
	p.bufferAttached = false
	return nil
}

func callFlushBuffer(p *Proc, _ noArgs) error { return p.flushBuffer() }

func (p *Proc) flushBuffer() error {
	return p.wait(func() bool { return p.buffered == 0 })
}

// callIflushBuffer gives a request that is done when the messages that are buffered now have left, those of later calls aside (MPI 5.0 section 3.6).
func callIflushBuffer(p *Proc, a requestArgs) error {
	return p.giveRequest(p.self, a.request, func() (*request, error) {
		r, err := p.newRequest(reqFlush, false)
		if err == nil {
			r.comm, r.result, r.seq = p.self, emptyStatus(), uint64(p.bufferNext)
			p.openFlush(r)
		}
		return r, err
	})
}

// openFlush has a flush wait for the buffered messages up to its number, or completes it if there are none.
func (p *Proc) openFlush(r *request) {
	left := 0
	for _, q := range p.requests {
		if q.kind == reqSend && q.after.kind == hookBuffer && r.waitsFor(q.after.owner) {
			left++
		}
	}
	if left == 0 {
		p.complete(r)
		return
	}
	p.flushes = append(p.flushes, flush{r, left})
}

// flush is a request of MPI_Buffer_iflush that is not done.
type flush struct {
	request *request
	left    int // messages that it waits for
}

// waitsFor says whether a flush waits for the buffered message of a number. Numbers begin again after the largest.
func (r *request) waitsFor(number uint32) bool { return int32(number-uint32(r.seq)) <= 0 }

// flushed tells the flushes that a buffered message has left.
func (p *Proc) flushed(number uint32) {
	var done []*request
	open := p.flushes[:0]
	for _, f := range p.flushes {
		if f.request.waitsFor(number) {
			f.left--
		}
		if f.left > 0 {
			open = append(open, f)
		} else {
			done = append(done, f.request)
		}
	}
	clear(p.flushes[len(open):])
	p.flushes = open
	for _, r := range done {
		p.complete(r)
	}
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
	cost := int64(e.buf.Len) + abi.BsendOverhead
	room := int64(0)
	if p.bufferAttached {
		room = p.bufferSize - p.buffered
	}
	if cost > room {
		return nil, abi.Fail(abi.ErrBuffer, "a message of %d bytes (and MPI_BSEND_OVERHEAD) does not fit the attached buffer: %d bytes are free",
			e.buf.Len, room)
	}
	s, err := p.newRequest(reqSend, true)
	if err != nil {
		return nil, err
	}
	s.comm, s.context, s.peer, s.tag, s.buf = c, c.context(contextPoint), e.peer, e.tag, p.copyOf(e.buf) // the attached buffer bounds all of them
	p.bufferNext++
	s.orphan, s.after = true, hook{kind: hookBuffer, owner: p.bufferNext}
	p.buffered += cost
	p.pair(e.peer).push(item{kind: itemSend, req: s.index})
	return p.doneRequest(c, internal)
}
