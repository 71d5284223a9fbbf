package mpi

// waitCalls are the completion functions (MPI 5.0 sections 3.7.3 and 3.7.5). They
// keep nothing while they block: made again, they look at the same handles.
func waitCalls() []entry {
	return []entry{
		{name: "MPI_Wait", params: "request status", impl: callWait},
		{name: "MPI_Test", params: "request flag status", impl: callTest},
		{name: "MPI_Waitall", params: "count requests statuses", impl: callWaitall},
		{name: "MPI_Testall", params: "count requests flag statuses", impl: callTestall},
		{name: "MPI_Waitany", params: "count requests index status", impl: callWaitany},
		{name: "MPI_Testany", params: "count requests index flag status", impl: callTestany},
	}
}

// handle reads the i-th of the guest's request handles and finds its request,
// nil for MPI_REQUEST_NULL.
func (p *Proc) handle(list span, i int) (*request, error) {
	h := order.Uint32(p.bytes(list)[4*i:])
	if h == requestNull {
		return nil, nil
	}
	if h >= firstRequest {
		if r := p.request(h - firstRequest); r != nil && !r.internal {
			return r, nil
		}
	}
	return nil, fail(errRequest, "request %#x is not known", h)
}

// list checks the guest's request handles and reports which are active.
func (p *Proc) list(ptr uint32, count int) (list span, reqs []*request, active int, err error) {
	list, err = p.handles(ptr, count)
	if err != nil {
		return list, nil, 0, err
	}
	reqs = make([]*request, count)
	for i := range reqs {
		if reqs[i], err = p.handle(list, i); err != nil {
			return list, nil, 0, err
		}
		if reqs[i] != nil {
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

// retire ends a done request: status, handle set to null. It returns its error.
func (p *Proc) retire(list span, i int, r *request, statusPtr uint32) error {
	c := p.anyComm(r.comm)
	if c == nil {
		c = p.self // only a damaged state leads here
	}
	st := r.result
	if r.kind == reqSend {
		st = emptyStatus()
	}
	p.putStatus(c, statusPtr, st)
	order.PutUint32(p.bytes(list)[4*i:], requestNull)
	p.freeRequest(r)
	return st.outcome(c)
}

func callWait(p *Proc, a args) (uint64, error) {
	list, err := p.handles(a.u32(0), 1)
	if err == nil {
		err = p.statuses(a.u32(1), 1)
	}
	if err != nil {
		return 0, err
	}
	r, err := p.handle(list, 0)
	if err != nil {
		return 0, err
	}
	if r == nil {
		p.putStatus(p.self, a.u32(1), emptyStatus())
		return success, nil
	}
	if err := p.wait(func() bool { return r.done }); err != nil {
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
	r, err := p.handle(list, 0)
	if err != nil {
		return 0, err
	}
	if r != nil && !r.done {
		p.yield()
	}
	done := r == nil || r.done
	if err := p.putInt(a.u32(1), truth(done)); err != nil {
		return 0, err
	}
	switch {
	case r == nil:
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
func (p *Proc) retireAll(list span, reqs []*request, statusPtr uint32) (uint64, error) {
	at := func(i int) uint32 {
		if statusPtr == statusIgnore {
			return statusIgnore
		}
		return statusPtr + uint32(i)*statusBytes
	}
	var failed *callError
	for i, r := range reqs {
		if r == nil {
			p.putStatus(p.self, at(i), emptyStatus())
			p.putError(at(i), success)
			continue
		}
		if r.kind == 0 {
			continue // the same handle twice in the list: ended above
		}
		class := r.result.class
		if e, ok := p.retire(list, i, r, at(i)).(*callError); ok && failed == nil { //nolint:errorlint // never wrapped
			failed = e
		}
		p.putError(at(i), class)
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
		for next < len(reqs) && (reqs[next] == nil || reqs[next].done) {
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
		p.yield()
	}
	done := allDone(reqs)
	if err := p.putInt(a.u32(2), truth(done)); err != nil || !done {
		return success, err
	}
	return p.retireAll(list, reqs, a.u32(3))
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
		i = firstDone(reqs)
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
		p.yield()
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
