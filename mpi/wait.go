package mpi

// waitCalls are the completion functions (MPI 5.0 sections 3.7.3, 3.7.5 and 3.7.6). They
// keep nothing while they block: made again, they look at the same handles.
func waitCalls() []entry {
	return []entry{
		{name: "MPI_Wait", impl: callWait, quick: (*Proc).quickWait},
		{name: "MPI_Test", impl: callTest},
		{name: "MPI_Waitall", impl: callWaitall, quick: (*Proc).quickWaitall},
		{name: "MPI_Testall", impl: callTestall},
		{name: "MPI_Waitany", impl: callWaitany},
		{name: "MPI_Testany", impl: callTestany},
		{name: "MPI_Waitsome", impl: callWaitsome},
		{name: "MPI_Testsome", impl: callTestsome},
		{name: "MPI_Request_get_status", impl: callGetStatus},
		{name: "MPI_Request_get_status_all", impl: callGetStatusAll},
		{name: "MPI_Request_get_status_any", impl: callGetStatusAny},
		{name: "MPI_Request_get_status_some", impl: callGetStatusSome},
		{name: "MPI_Grequest_start", impl: callGrequestStart},
		{name: "MPI_Grequest_complete", impl: callGrequestComplete},
		{name: "MPI_Psend_init", impl: callPsendInit},
		{name: "MPI_Precv_init", impl: callPrecvInit},
		{name: "MPI_Pready", impl: callPready},
		{name: "MPI_Pready_range", impl: callPreadyRange},
		{name: "MPI_Pready_list", impl: callPreadyList},
		{name: "MPI_Parrived", impl: callParrived},
	}
}

// requestAt reads the i-th of the guest's request handles and finds its request,
// nil for MPI_REQUEST_NULL.
func (p *Proc) requestAt(list span, i int) (*request, error) {
	if list.len == 0 {
		return nil, fail(errRequest, "no request")
	}
	return p.requestOf(order.Uint32(p.bytes(list)[4*i:]))
}

func (p *Proc) requestOf(h uint32) (*request, error) {
	if h == requestNull {
		return nil, nil
	}
	if h >= baseRequest {
		if r := p.request(h - baseRequest); r != nil && !r.internal {
			return r, nil
		}
	}
	return nil, fail(errRequest, "request %#x is not known", h)
}

// live reports whether a completion function waits for the request: not for MPI_REQUEST_NULL, nor for a persistent one
// that was not started.
func (r *request) live() bool { return r != nil && (!r.persistent || r.active) }

// list checks the guest's request handles and reports how many are active. Requests that are not live are nil.
func (p *Proc) list(ptr uint32, count int) (list span, reqs []*request, active int, err error) {
	list, err = p.handles(ptr, count)
	if err == nil && count > p.w.cfg.MaxRequests {
		err = p.room(wordCost * int64(count))
	}
	if err != nil {
		return list, nil, 0, err
	}
	if p.running.depth == 1 && count <= cap(p.listed) {
		reqs = p.listed[:count] // until the call ends
		clear(reqs)
	} else if reqs = make([]*request, count); p.running.depth == 1 && count <= keptRequests {
		p.listed = reqs
	}
	for i := range reqs {
		r, err := p.requestAt(list, i)
		if err != nil {
			return list, nil, 0, err
		}
		if r.live() {
			reqs[i] = r
			active++
		}
	}
	return list, reqs, active, nil
}

// statuses checks a pointer to n statuses.
func (p *Proc) statuses(ptr uint32, n int) error {
	if ptr == statusIgnore {
		return nil
	}
	_, err := p.guest(ptr, uint64(n)*statusBytes)
	return argError(err)
}

// statusPtr is the i-th of some statuses.
func statusPtr(ptr uint32, i int) uint32 {
	if ptr == statusIgnore {
		return statusIgnore
	}
	return ptr + uint32(i)*statusBytes
}

// describeDone stores the status of a done request.
func (p *Proc) describeDone(r *request, ptr uint32) error {
	if r.kind == reqGeneral {
		return p.queryGeneral(r, ptr)
	}
	st := r.result
	if r.kind == reqSend {
		st = emptyStatus()
		st.cancelled = r.result.cancelled
	}
	p.putStatus(r.owner(p), ptr, st)
	return nil
}

// owner is the communicator that a request's ranks count in, and its errors are raised on.
func (r *request) owner(p *Proc) *comm {
	if r.comm == nil {
		return p.self
	}
	return r.comm
}

// retire ends a done request: status, handle set to null, or the persistent request inactive. It returns its error.
func (p *Proc) retire(list span, i int, r *request, ptr uint32) error {
	if r.plain() {
		p.finishPlain(r, p.bytes(list)[4*i:], ptr)
		return nil
	}
	if r.kind == reqGeneral {
		return p.retireGeneral(list, i, r, ptr)
	}
	err := p.describeDone(r, ptr)
	st, c, kind := r.result, r.owner(p), r.kind
	single := kind != reqCollective || r.coll.received
	switch {
	case r.persistent:
		r.active = false
	default:
		order.PutUint32(p.bytes(list)[4*i:], requestNull)
		p.take(r.index)
	}
	switch {
	case err != nil:
		return err
	case st.class < success:
		return c.on(st.endedError())
	case st.class != success && kind == reqWindow:
		return fail(int(st.class), "the one-sided operation has failed")
	case single:
		return st.outcome(c)
	}
	return c.on(st.failed())
}

// retireGeneral is retire for a generalized request, of which its program's functions hear.
func (p *Proc) retireGeneral(list span, i int, r *request, ptr uint32) error {
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
	order.PutUint32(p.bytes(list)[4*i:], requestNull)
	p.take(r.index)
	return err
}

func callWait(p *Proc, a args) (uint64, error) {
	list, err := p.handles(a.u32(0), 1)
	if err == nil {
		err = p.statuses(a.u32(1), 1)
	}
	if err != nil {
		return 0, err
	}
	r, err := p.requestAt(list, 0)
	if err != nil {
		return 0, err
	}
	if !r.live() {
		p.putStatus(p.self, a.u32(1), emptyStatus())
		return success, nil
	}
	if err := p.wait(func() bool { return r.done || p.lost(r, true) }); err != nil {
		return 0, err
	}
	return success, p.retire(list, 0, r, a.u32(1))
}

func callTest(p *Proc, a args) (uint64, error) {
	list, err := p.handles(a.u32(0), 1)
	if err == nil {
		err = p.statuses(a.u32(2), 1)
	}
	if err != nil {
		return 0, err
	}
	r, err := p.requestAt(list, 0)
	if err != nil {
		return 0, err
	}
	if r.live() && !r.done {
		p.poll(r)
	}
	done := !r.live() || r.done
	if err := p.putInt(a.u32(1), truth(done)); err != nil {
		return 0, err
	}
	switch {
	case !r.live():
		p.putStatus(p.self, a.u32(2), emptyStatus())
	case done:
		return success, p.retire(list, 0, r, a.u32(2))
	}
	return success, nil
}

func allDone(reqs []*request) bool {
	for _, r := range reqs {
		if r != nil && !r.done {
			return false
		}
	}
	return true
}

// retireAll ends all requests of a list.
func (p *Proc) retireAll(list span, reqs []*request, ptr uint32) (uint64, error) {
	var failed *callError
	for i, r := range reqs {
		if r == nil {
			p.putStatus(p.self, statusPtr(ptr, i), emptyStatus())
			p.putError(statusPtr(ptr, i), success)
			continue
		}
		if !r.done || r.internal {
			continue // the same handle twice in the list, or ended by a function of the program: what has its place now is another
		}
		err := p.retire(list, i, r, statusPtr(ptr, i))
		e, isMPI := err.(*callError) //nolint:errorlint // never wrapped
		if err != nil && !isMPI {
			return 0, err
		}
		if isMPI && failed == nil {
			failed = e
		}
		p.putError(statusPtr(ptr, i), errorClass(err))
	}
	if failed != nil {
		return 0, &callError{class: errInStatus, why: failed.Error(), comm: failed.comm}
	}
	return success, nil
}

func callWaitall(p *Proc, a args) (uint64, error) {
	list, reqs, _, err := p.list(a.u32(1), a.int(0))
	if err == nil {
		err = p.statuses(a.u32(2), len(reqs))
	}
	if err != nil {
		return 0, err
	}
	next := 0 // requests stay done: none is looked at twice
	err = p.wait(func() bool {
		for next < len(reqs) && (reqs[next] == nil || reqs[next].done || p.lost(reqs[next], true)) {
			next++
		}
		return next == len(reqs)
	})
	if err != nil {
		return 0, err
	}
	return p.retireAll(list, reqs, a.u32(2))
}

func callTestall(p *Proc, a args) (uint64, error) {
	list, reqs, _, err := p.list(a.u32(1), a.int(0))
	if err == nil {
		err = p.statuses(a.u32(3), len(reqs))
	}
	if err != nil {
		return 0, err
	}
	if !allDone(reqs) {
		p.poll(reqs...)
	}
	done := allDone(reqs)
	if err := p.putInt(a.u32(2), truth(done)); err != nil || !done {
		return success, err
	}
	return p.retireAll(list, reqs, a.u32(3))
}

// poll looks at what a program asks for in a loop, and lets others run.
func (p *Proc) poll(reqs ...*request) {
	for _, r := range reqs {
		p.lost(r, false)
	}
	p.yield()
}

// firstDone returns the index of a done request, or -1.
func firstDone(reqs []*request) int {
	for i, r := range reqs {
		if r != nil && r.done {
			return i
		}
	}
	return -1
}

// retireAny ends the request at i; without active requests (i < 0) the index is
// MPI_UNDEFINED and the status empty.
func (p *Proc) retireAny(list span, reqs []*request, i int, indexPtr, statusPtr uint32) error {
	if i < 0 {
		p.putStatus(p.self, statusPtr, emptyStatus())
		return p.putInt(indexPtr, undefined)
	}
	if err := p.putInt(indexPtr, i); err != nil {
		return err
	}
	return p.retire(list, i, reqs[i], statusPtr)
}

func callWaitany(p *Proc, a args) (uint64, error) {
	list, reqs, active, err := p.list(a.u32(1), a.int(0))
	if err == nil {
		err = p.statuses(a.u32(3), 1)
	}
	if err != nil {
		return 0, err
	}
	i := -1
	if err := p.wait(func() bool {
		if i = firstDone(reqs); active > 0 && i < 0 {
			p.lostAll(reqs)
			i = firstDone(reqs)
		}
		return active == 0 || i >= 0
	}); err != nil {
		return 0, err
	}
	return success, p.retireAny(list, reqs, i, a.u32(2), a.u32(3))
}

func callTestany(p *Proc, a args) (uint64, error) {
	list, reqs, active, err := p.list(a.u32(1), a.int(0))
	if err == nil {
		err = p.statuses(a.u32(4), 1)
	}
	if err != nil {
		return 0, err
	}
	if firstDone(reqs) < 0 && active > 0 {
		p.poll(reqs...)
	}
	i := firstDone(reqs)
	done := i >= 0 || active == 0
	if err := p.putInt(a.u32(3), truth(done)); err != nil {
		return 0, err
	}
	if !done {
		return success, p.putInt(a.u32(2), undefined)
	}
	return success, p.retireAny(list, reqs, i, a.u32(2), a.u32(4))
}

func callWaitsome(p *Proc, a args) (uint64, error) {
	list, reqs, active, err := p.some(a)
	if err != nil {
		return 0, err
	}
	if err := p.wait(func() bool {
		if active > 0 && firstDone(reqs) < 0 {
			p.lostAll(reqs)
		}
		return active == 0 || firstDone(reqs) >= 0
	}); err != nil {
		return 0, err
	}
	return p.retireSome(a, list, reqs, active)
}

func callTestsome(p *Proc, a args) (uint64, error) {
	list, reqs, active, err := p.some(a)
	if err != nil {
		return 0, err
	}
	if firstDone(reqs) < 0 && active > 0 {
		p.poll(reqs...)
	}
	return p.retireSome(a, list, reqs, active)
}

// some checks incount, requests, outcount, indices and statuses.
func (p *Proc) some(a args) (list span, reqs []*request, active int, err error) {
	list, reqs, active, err = p.list(a.u32(1), a.int(0))
	if err == nil {
		_, err = p.handles(a.u32(3), len(reqs))
	}
	if err == nil {
		err = p.statuses(a.u32(4), len(reqs))
	}
	return list, reqs, active, err
}

// retireSome ends all requests that are done.
func (p *Proc) retireSome(a args, list span, reqs []*request, active int) (uint64, error) {
	if active == 0 {
		return success, p.putInt(a.u32(2), undefined)
	}
	var failed *callError
	n := 0
	for i, r := range reqs {
		if r == nil || !r.done || r.internal { // as in retireAll
			continue
		}
		ptr := statusPtr(a.u32(4), n)
		err := p.retire(list, i, r, ptr)
		e, isMPI := err.(*callError) //nolint:errorlint // never wrapped
		if err != nil && !isMPI {
			return 0, err
		}
		if isMPI && failed == nil {
			failed = e
		}
		p.putError(ptr, errorClass(err))
		if err := p.putInt(a.u32(3)+4*uint32(n), i); err != nil {
			return 0, err
		}
		n++
	}
	if err := p.putInt(a.u32(2), n); err != nil {
		return 0, err
	}
	if failed != nil {
		return 0, &callError{class: errInStatus, why: failed.Error(), comm: failed.comm}
	}
	return success, nil
}

// callGetStatus looks at a request without ending it (MPI 5.0 section 3.7.6).
func callGetStatus(p *Proc, a args) (uint64, error) {
	r, err := p.requestOf(a.u32(0))
	if err == nil {
		err = p.statuses(a.u32(2), 1)
	}
	if err != nil {
		return 0, err
	}
	if r.live() && !r.done {
		p.poll(r)
	}
	done := !r.live() || r.done
	if err := p.putInt(a.u32(1), truth(done)); err != nil || !done {
		return success, err
	}
	return success, p.peek(r, a.u32(2))
}

// peek stores the status of a request that is done or not live.
func (p *Proc) peek(r *request, ptr uint32) error {
	if !r.live() {
		p.putStatus(p.self, ptr, emptyStatus())
		return nil
	}
	return p.describeDone(r, ptr)
}

func callGetStatusAll(p *Proc, a args) (uint64, error) {
	_, reqs, _, err := p.list(a.u32(1), a.int(0))
	if err == nil {
		err = p.statuses(a.u32(3), len(reqs))
	}
	if err != nil {
		return 0, err
	}
	if !allDone(reqs) {
		p.poll(reqs...)
	}
	done := allDone(reqs)
	if err := p.putInt(a.u32(2), truth(done)); err != nil || !done {
		return success, err
	}
	for i, r := range reqs {
		if err := p.peek(r, statusPtr(a.u32(3), i)); err != nil {
			return 0, err
		}
	}
	return success, nil
}

func callGetStatusAny(p *Proc, a args) (uint64, error) {
	_, reqs, active, err := p.list(a.u32(1), a.int(0))
	if err == nil {
		err = p.statuses(a.u32(4), 1)
	}
	if err != nil {
		return 0, err
	}
	if firstDone(reqs) < 0 && active > 0 {
		p.poll(reqs...)
	}
	i := firstDone(reqs)
	if err := p.putInt(a.u32(3), truth(i >= 0 || active == 0)); err != nil {
		return 0, err
	}
	if err := p.putInt(a.u32(2), pick(i >= 0, i, undefined)); err != nil || (i < 0 && active > 0) {
		return success, err
	}
	if i < 0 {
		return success, p.peek(nil, a.u32(4))
	}
	return success, p.peek(reqs[i], a.u32(4))
}

func callGetStatusSome(p *Proc, a args) (uint64, error) {
	_, reqs, active, err := p.some(a)
	if err != nil {
		return 0, err
	}
	if active == 0 {
		return success, p.putInt(a.u32(2), undefined)
	}
	n := 0
	for i, r := range reqs {
		if r == nil || !r.done {
			continue
		}
		if err := p.peek(r, statusPtr(a.u32(4), n)); err != nil {
			return 0, err
		}
		if err := p.putInt(a.u32(3)+4*uint32(n), i); err != nil {
			return 0, err
		}
		n++
	}
	return success, p.putInt(a.u32(2), n)
}
