package mpi

import (
	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/layout"
)

// Kinds of requests.
const (
	reqSend       = 1
	reqRecv       = 2
	reqNull       = 3 // done from the start: to or from MPI_PROC_NULL, a buffered send, an operation with no data
	reqCollective = 4
	reqGeneral    = 5 // generalized: the program completes it
	reqWindow     = 6 // a one-sided operation: done when the requests it started are
	reqPart       = 7 // partitioned communication over another request
	reqFile       = 8 // on a file
	reqFlush      = 9 // done when the messages that were buffered before it have left
	reqLastKind   = reqFlush
)

// Modes of sends.
const (
	modeStandard = 0
	modeSync     = 1
	modeBuffered = 2
)

// request is one operation, from its start to when its owner has seen that it
// is done. Requests live in the rank's table and are reused. What only some kinds have stands in parts of its own; of a kind that has none of it, it is zero.
type request struct {
	index    uint32
	kind     uint8 // 0: not in use
	internal bool  // of a blocking call, collective or window: the guest has no handle of it
	orphan   bool  // nobody waits: it is freed when it is done
	done     bool

	persistent bool // made by MPI_X_init: waits for MPI_Start again when it is done
	active     bool // of a persistent one: started, and not completed yet

	comm    *comm // null of some that belong to no communicator
	result  status
	charged int64 // bytes that the rank is charged for it
	after   hook  // what follows its end

	transmission             // a message, from or to this rank
	sending                  // of reqSend
	receiving                // of reqRecv
	coll         *collective // of reqCollective
	general      *general    // of reqGeneral
	parts        *partitions // of reqPart
	io           *fileOp     // of reqFile
}

// transmission is a message that is sent or received, in parts where it is long.
type transmission struct {
	context uint64
	peer    Rank // world rank, or abi.AnySource
	tag     int32
	buf     layout.Span
	matched bool   // a receive that has got its envelope; a send that has got its CTS
	peerReq uint32 // the other side's request in a rendezvous
	limit   uint32 // bytes that the rendezvous moves
	moved   uint32 // bytes sent (framed) or received
}

// sending is how far a send is.
type sending struct {
	mode    uint8
	cancel  uint8  // cancelNone ..
	framed  bool   // its first frame has been made
	sent    bool   // nothing is left to do but to hear of a cancellation
	offered bool   // its receiver, a rank of this World, may copy it
	seq     uint64 // number of its first frame
	acked   uint32 // bytes that the receiver has acked
}

// receiving is where a receive under way within the World copies from.
type receiving struct {
	source *Proc
	origin *request // of source
}

// States of MPI_Cancel.
const (
	cancelNone   = 0
	cancelAsked  = 1 // the receiver was asked to drop the message
	cancelDone   = 2
	cancelFailed = 3
)

// status is what a receive has found.
type status struct {
	source    Rank // world rank
	tag       int32
	count     uint32 // bytes received
	class     int32  // success or errTruncate, or a code of a callback
	size      uint32 // bytes of the message
	cancelled bool
}

// hook says what happens when an internal request is done: the owner is told.
type hook struct {
	kind   uint8
	win    *window
	op     *targetOp
	target int    // rank of the window
	owner  uint32 // request; of an origin's, one more, 0 for none; of a buffered message its number
}

// Kinds of hooks.
const (
	hookNone    = 0
	hookBuffer  = 1 // a buffered message has left: its room is free again
	hookTarget  = 2 // data of a one-sided operation has come: do it
	hookOrigin  = 3 // a transfer of a one-sided operation is over for its origin
	hookOwner   = 4 // the transfer of a partitioned operation is over
	lastHook    = hookOwner
	maxInternal = 1 << 20 // internal requests of a rank, beside those of collectives
)

// newRequest takes a request from the table.
func (p *Proc) newRequest(kind uint8, internal bool) (*request, error) {
	if err := p.roomForRequests(1, internal); err != nil {
		return nil, err
	}
	if len(p.freeList) == 0 {
		p.requests = append(p.requests, &request{index: uint32(len(p.requests)), kind: kind, internal: internal})
		return p.requests[len(p.requests)-1], nil
	}
	r := p.reused(kind)
	r.internal = internal
	return r, nil
}

// roomForRequests fails if so many more are too many.
func (p *Proc) roomForRequests(n int, internal bool) error {
	limit := p.w.cfg.MaxRequests
	if internal {
		limit += 2*p.w.cfg.Size + maxInternal // a collective must not fail because the guest has many
	}
	if lacking := n - len(p.freeList); lacking > 0 && len(p.requests)+lacking > limit {
		return abi.Fail(abi.ErrOther, "more than %d requests", p.w.cfg.MaxRequests)
	}
	return nil
}

// reused is a request that was used before; there must be one.
func (p *Proc) reused(kind uint8) *request {
	n := len(p.freeList)
	r := p.requests[p.freeList[n-1]]
	p.freeList = p.freeList[:n-1]
	r.kind = kind
	return r
}

// freeRequest takes a request back. It is as new from now on.
func (p *Proc) freeRequest(r *request) {
	p.kept -= r.charged
	*r = request{index: r.index}
	p.freeList = append(p.freeList, r.index)
}

// request finds a request in use by its index.
func (p *Proc) request(index uint32) *request {
	if uint64(index) >= uint64(len(p.requests)) || p.requests[index].kind == 0 {
		return nil
	}
	return p.requests[index]
}

// complete makes a request done, and tells its owner.
func (p *Proc) complete(r *request) {
	if r.done {
		return
	}
	if r.kind == reqSend && r.cancel == cancelAsked {
		r.sent = true // the receiver's answer to the cancellation names this request
		return
	}
	p.withdraw(r)
	r.done = true
	p.changed()
	h := r.after
	r.after = hook{}
	size, result := r.buf.Len, r.result
	if r.orphan {
		p.freeRequest(r)
	}
	switch h.kind {
	case hookBuffer:
		p.buffered -= int64(size) + abi.BsendOverhead
		p.flushed(h.owner)
	case hookOwner:
		if o := p.request(h.owner); o != nil {
			o.result = result
			p.complete(o)
		}
	case hookTarget:
		h.op.ready = true
		p.serveReady(h.win, h.op.origin)
	case hookOrigin:
		h.win.origins[h.target].local--
		if o := p.request(h.owner - 1); h.owner > 0 && o != nil {
			p.complete(o)
		}
	}
}

// withdraw notes that a send's receiver does not copy it any more.
func (p *Proc) withdraw(r *request) {
	if r.offered {
		r.offered = false
		p.offers--
	}
}

// startSend begins to send buf to dst.
func (p *Proc) startSend(c *comm, context uint64, dst Rank, tag int32, buf layout.Span, mode uint8, internal bool) (*request, error) {
	r, err := p.newRequest(reqSend, internal)
	if err != nil {
		return nil, err
	}
	r.comm, r.context, r.peer, r.tag, r.buf, r.mode = c, context, dst, tag, buf, mode
	p.pair(dst).push(item{kind: itemSend, req: r.index})
	return r, nil
}

// startRecv begins to receive from src (or abi.AnySource) into buf.
func (p *Proc) startRecv(c *comm, context uint64, src Rank, tag int32, buf layout.Span, internal bool) (*request, error) {
	r, err := p.newRequest(reqRecv, internal)
	if err != nil {
		return nil, err
	}
	r.comm, r.context, r.peer, r.tag, r.buf = c, context, src, tag, buf
	p.postRecv(r)
	return r, nil
}

// postRecv matches a receive, or queues it.
func (p *Proc) postRecv(r *request) {
	if i := p.findUnexpected(r.context, r.peer, r.tag); i >= 0 {
		m := p.unexpected[i]
		p.dropUnexpected(i)
		back := p.accept(r, m)
		p.pair(m.src).answer(back)
		p.dropMessage(m)
		return
	}
	p.posted = append(p.posted, r)
}

// startNull makes a request to or from MPI_PROC_NULL (MPI 5.0 section 3.10).
func (p *Proc) startNull(c *comm, internal bool) (*request, error) {
	r, err := p.newRequest(reqNull, internal)
	if err != nil {
		return nil, err
	}
	r.comm, r.done = c, true
	r.result = nullStatus()
	return r, nil
}

// nullStatus is what a receive from MPI_PROC_NULL gives.
func nullStatus() status { return status{source: abi.ProcNull, tag: abi.AnyTag} }
