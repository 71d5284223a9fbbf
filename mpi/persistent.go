package mpi

import (
	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/layout"
)

// persistentCalls are the functions that make operations to be started again and again (MPI 5.0 section 3.9).
func persistentCalls() []entry {
	calls := []entry{
		{name: "MPI_Recv_init", impl: bind(callRecvInit)},
		{name: "MPI_Start", impl: bind(callStart)},
		{name: "MPI_Startall", impl: bind(callStartall)},
	}
	for letter, mode := range sendModes() {
		calls = append(calls, entry{
			name: "MPI_" + pick(letter == "", "S", letter+"s") + "end_init",
			impl: bind(func(p *Proc, a isendArgs) error {
				c, err := p.comm(a.comm)
				if err != nil {
					return err
				}
				e, err := p.sendEnvelope(c, a.sendArgs)
				if err != nil {
					return err
				}
				return p.givePersistent(c, reqSend, mode, e, a.request)
			}),
		})
	}
	return calls
}

func callRecvInit(p *Proc, a irecvArgs) error {
	c, err := p.comm(a.comm)
	if err != nil {
		return err
	}
	e, err := p.recvEnvelope(c, a.receiveArgs)
	if err != nil {
		return err
	}
	return p.givePersistent(c, reqRecv, modeStandard, e, a.request)
}

func (p *Proc) givePersistent(c *comm, kind, mode uint8, e envelope, out uint32) error {
	return p.giveRequest(c, out, func() (*request, error) {
		if e.null {
			kind = reqNull
		}
		r, err := p.newRequest(kind, false)
		if err != nil {
			return nil, err
		}
		r.comm, r.context, r.peer, r.tag, r.buf, r.mode = c, c.context(contextPoint), e.peer, e.tag, e.buf, mode
		r.persistent, r.done = true, true
		return r, nil
	})
}

// start starts a persistent request.
func (p *Proc) start(r *request) error {
	if !r.persistent {
		return abi.Fail(abi.ErrRequest, "the request is not persistent")
	}
	if r.active {
		return r.comm.on(abi.Fail(abi.ErrRequest, "the request is active already"))
	}
	if r.kind == reqCollective {
		if err := p.mayCollect(); err != nil {
			return r.comm.on(err)
		}
	}
	if r.kind == reqPart && !r.parts.send {
		if err := p.roomForRequests(1, true); err != nil {
			return r.comm.on(err)
		}
	}
	r.active = true
	r.matched, r.limit, r.moved, r.acked, r.framed, r.sent, r.cancel = false, 0, 0, 0, false, false, cancelNone
	r.result = emptyStatus()
	switch {
	case r.kind == reqNull:
		r.result = nullStatus()
	case r.kind == reqCollective:
		return p.launch(r)
	case r.kind == reqPart:
		return p.startParts(r)
	case r.mode == modeBuffered:
		b, err := p.startBuffered(r.comm, envelope{buf: r.buf, peer: r.peer, tag: r.tag}, true)
		if err != nil {
			r.active = false
			return r.comm.on(err)
		}
		p.freeRequest(b)
	case r.kind == reqSend:
		r.done = false
		p.pair(r.peer).push(item{kind: itemSend, req: r.index})
	default:
		r.done = false
		p.postRecv(r)
	}
	return nil
}

// requestArgs are those of the functions that take a request alone.
type requestArgs struct{ request address }

func callStart(p *Proc, a requestArgs) error {
	list, err := p.handles(a.request, 1)
	if err != nil {
		return err
	}
	return p.startAt(list, 0)
}

func (p *Proc) startAt(list layout.Span, i int) error {
	r, err := p.requestAt(list, i)
	if err == nil && r == nil {
		err = abi.Fail(abi.ErrRequest, "request is MPI_REQUEST_NULL")
	}
	if err != nil {
		return err
	}
	return p.start(r)
}

type startallArgs struct {
	count           int
	arrayOfRequests address
}

func callStartall(p *Proc, a startallArgs) error {
	list, err := p.handles(a.arrayOfRequests, a.count)
	if err != nil {
		return err
	}
	for i := range a.count {
		if err := p.startAt(list, i); err != nil {
			return err
		}
	}
	return nil
}
