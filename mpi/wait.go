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
	list, reqs, done, err := p.testedAll(a)
	if err != nil || !done {
		return success, err
	}
	return p.retireAll(list, reqs, a.u32(3))
}

// testedAll checks count, requests, flag and statuses, looks whether all requests are done, and stores that.
func (p *Proc) testedAll(a args) (list span, reqs []*request, done bool, err error) {
	list, reqs, _, err = p.list(a.u32(1), a.int(0))
	if err == nil {
		err = p.statuses(a.u32(3), len(reqs))
	}
	if err != nil {
		return list, nil, false, err
	}
	if !allDone(reqs) {
		p.poll(reqs...)
	}
	done = allDone(reqs)
	return list, reqs, done, p.putInt(a.u32(2), truth(done))
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
