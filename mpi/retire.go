package mpi

import (
	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/layout"
)

// describeDone stores the status of a done request.
func (p *Proc) describeDone(r *request, ptr uint32) error {
	if r.kind == reqGeneral {
		return p.queryGeneral(r, ptr)
	}
	p.describe(r, ptr)
	return nil
}

// describe is describeDone for what the library does itself.
func (p *Proc) describe(r *request, ptr uint32) {
	if ptr == abi.StatusIgnore {
		return
	}
	st := r.result
	if r.kind == reqSend {
		st = emptyStatus()
		st.cancelled = r.result.cancelled
	}
	p.putStatus(r.owner(p), ptr, st)
}

// owner is the communicator that a request's ranks count in, and its errors are raised on.
func (r *request) owner(p *Proc) *comm {
	if r.comm == nil {
		return p.self
	}
	return r.comm
}

// retire ends a done request: status, handle set to null, or the persistent request inactive. It returns its error.
func (p *Proc) retire(list layout.Span, i int, r *request, ptr uint32) error {
	if r.plain() {
		p.finishPlain(r, p.bytes(list)[4*i:], ptr)
		return nil
	}
	if r.kind == reqGeneral {
		return p.retireGeneral(list, i, r, ptr)
	}
	p.describe(r, ptr)
	st, c, kind, io := r.result, r.owner(p), r.kind, r.io
	single := kind != reqCollective || r.coll.received
	if r.persistent {
		r.active = false
	} else {
		order.PutUint32(p.bytes(list)[4*i:], abi.RequestNull)
		p.conclude(r.index)
	}
	switch {
	case kind == reqFile:
		return io.failure()
	case st.class < abi.Success:
		return c.on(st.endedError())
	case st.class != abi.Success && kind == reqWindow:
		return abi.Fail(int(st.class), "the one-sided operation has failed")
	case single:
		return st.outcome(c)
	}
	return c.on(st.failed())
}

// retireGeneral is retire for a generalized request, of which its program's functions hear.
func (p *Proc) retireGeneral(list layout.Span, i int, r *request, ptr uint32) error {
	g := r.general
	err := p.queryGeneral(r, ptr)
	if r.general != g {
		return errEndedInside()
	}
	if e := p.endGeneral(r); err == nil {
		err = e
	}
	if r.general != g {
		return errEndedInside()
	}
	order.PutUint32(p.bytes(list)[4*i:], abi.RequestNull)
	p.conclude(r.index)
	return err
}

// failures are those of the requests that one call ends: each is in its status, and the first is the call's.
type failures struct{ first *callError }

// note stores how a request has ended. It returns what is none of MPI's errors: the call is over then.
func (f *failures) note(p *Proc, statusPtr uint32, err error) error {
	e := raised(err)
	if err != nil && e == nil {
		return err
	}
	if f.first == nil {
		f.first = e
	}
	p.putError(statusPtr, errorClass(err))
	return nil
}

func (f *failures) result() error {
	if f.first == nil {
		return nil
	}
	return &callError{Fault: abi.Fault{Class: abi.ErrInStatus, Why: f.first.Error()}, comm: f.first.comm, file: f.first.file}
}

// retireAll ends all requests of a list.
func (p *Proc) retireAll(list layout.Span, reqs []*request, ptr uint32) error {
	var failed failures
	for i, r := range reqs {
		if r == nil {
			p.putStatus(p.self, statusPtr(ptr, i), emptyStatus())
			p.putError(statusPtr(ptr, i), abi.Success)
			continue
		}
		if !r.done || r.internal {
			continue // the same handle twice in the list, or ended by a function of the program: what has its place now is another
		}
		err := p.retire(list, i, r, statusPtr(ptr, i))
		if err := failed.note(p, statusPtr(ptr, i), err); err != nil {
			return err
		}
	}
	return failed.result()
}

// retireAny ends the request at i; without active requests (i < 0) the index is
// MPI_UNDEFINED and the status empty.
func (p *Proc) retireAny(list layout.Span, reqs []*request, i int, indexPtr, statusPtr uint32) error {
	if i < 0 {
		p.putStatus(p.self, statusPtr, emptyStatus())
		return p.putInt(indexPtr, abi.Undefined)
	}
	if err := p.putInt(indexPtr, i); err != nil {
		return err
	}
	return p.retire(list, i, reqs[i], statusPtr)
}

// retireSome ends all requests that are done.
func (p *Proc) retireSome(a someArgs, list layout.Span, reqs []*request, active int) error {
	if active == 0 {
		return p.putInt(a.outcount, abi.Undefined)
	}
	var failed failures
	n := 0
	for i, r := range reqs {
		if r == nil || !r.done || r.internal { // as in retireAll
			continue
		}
		ptr := statusPtr(a.arrayOfStatuses, n)
		err := p.retire(list, i, r, ptr)
		if err := failed.note(p, ptr, err); err != nil {
			return err
		}
		if err := p.putInt(a.arrayOfIndices+4*uint32(n), i); err != nil {
			return err
		}
		n++
	}
	if err := p.putInt(a.outcount, n); err != nil {
		return err
	}
	return failed.result()
}
