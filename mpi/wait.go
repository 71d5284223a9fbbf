package mpi

import (
	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/layout"
)

// waitCalls are the completion functions (MPI 5.0 sections 3.7.3, 3.7.5 and 3.7.6). They
// keep nothing while they block: made again, they look at the same handles.
func waitCalls() []entry {
	return []entry{
		{name: "MPI_Wait", impl: bind(callWait), quick: (*Proc).quickWait},
		{name: "MPI_Test", impl: bind(callTest)},
		{name: "MPI_Waitall", impl: bind(callWaitall), quick: (*Proc).quickWaitall},
		{name: "MPI_Testall", impl: bind(callTestall)},
		{name: "MPI_Waitany", impl: bind(callWaitany)},
		{name: "MPI_Testany", impl: bind(callTestany)},
		{name: "MPI_Waitsome", impl: bind(callWaitsome)},
		{name: "MPI_Testsome", impl: bind(callTestsome)},
		{name: "MPI_Request_get_status", impl: bind(callGetStatus)},
		{name: "MPI_Request_get_status_all", impl: bind(callGetStatusAll)},
		{name: "MPI_Request_get_status_any", impl: bind(callGetStatusAny)},
		{name: "MPI_Request_get_status_some", impl: bind(callGetStatusSome)},
		{name: "MPI_Grequest_start", impl: bind(callGrequestStart)},
		{name: "MPI_Grequest_complete", impl: bind(callGrequestComplete)},
		{name: "MPI_Psend_init", impl: bind(callPsendInit)},
		{name: "MPI_Precv_init", impl: bind(callPrecvInit)},
		{name: "MPI_Pready", impl: bind(callPready)},
		{name: "MPI_Pready_range", impl: bind(callPreadyRange)},
		{name: "MPI_Pready_list", impl: bind(callPreadyList)},
		{name: "MPI_Parrived", impl: bind(callParrived)},
	}
}

// requestAt reads the i-th of the guest's request handles and finds its request,
// nil for MPI_REQUEST_NULL.
func (p *Proc) requestAt(list layout.Span, i int) (*request, error) {
	if list.Len == 0 {
		return nil, abi.Fail(abi.ErrRequest, "no request")
	}
	return p.requestOf(order.Uint32(p.bytes(list)[4*i:]))
}

func (p *Proc) requestOf(h uint32) (*request, error) {
	if h == abi.RequestNull {
		return nil, nil
	}
	if h >= baseRequest {
		if r := p.request(h - baseRequest); r != nil && !r.internal {
			return r, nil
		}
	}
	return nil, abi.Fail(abi.ErrRequest, "request %#x is not known", h)
}

// live reports whether a completion function waits for the request: not for MPI_REQUEST_NULL, nor for a persistent one
// that was not started.
func (r *request) live() bool { return r != nil && (!r.persistent || r.active) }

// list checks the guest's request handles and reports how many are active. Requests that are not live are nil.
func (p *Proc) list(ptr uint32, count int) (list layout.Span, reqs []*request, active int, err error) {
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
	if ptr == abi.StatusIgnore {
		return nil
	}
	_, err := p.guest(ptr, uint64(n)*abi.StatusBytes)
	return argError(err)
}

// statusPtr is the i-th of some statuses.
func statusPtr(ptr uint32, i int) uint32 {
	if ptr == abi.StatusIgnore {
		return abi.StatusIgnore
	}
	return ptr + uint32(i)*abi.StatusBytes
}

type waitArgs struct{ request, status address }

func callWait(p *Proc, a waitArgs) error {
	list, err := p.handles(a.request, 1)
	if err == nil {
		err = p.statuses(a.status, 1)
	}
	if err != nil {
		return err
	}
	r, err := p.requestAt(list, 0)
	if err != nil {
		return err
	}
	if !r.live() {
		p.putStatus(p.self, a.status, emptyStatus())
		return nil
	}
	if err := p.wait(func() bool { return r.done || p.lost(r, true) }); err != nil {
		return err
	}
	return p.retire(list, 0, r, a.status)
}

type testArgs struct{ request, flag, status address }

func callTest(p *Proc, a testArgs) error {
	list, err := p.handles(a.request, 1)
	if err == nil {
		err = p.statuses(a.status, 1)
	}
	if err != nil {
		return err
	}
	r, err := p.requestAt(list, 0)
	if err != nil {
		return err
	}
	if r.live() && !r.done {
		p.poll(r)
	}
	done := !r.live() || r.done
	if err := p.putInt(a.flag, truth(done)); err != nil {
		return err
	}
	switch {
	case !r.live():
		p.putStatus(p.self, a.status, emptyStatus())
	case done:
		return p.retire(list, 0, r, a.status)
	}
	return nil
}

func allDone(reqs []*request) bool {
	for _, r := range reqs {
		if r != nil && !r.done {
			return false
		}
	}
	return true
}

type waitallArgs struct {
	count                            int
	arrayOfRequests, arrayOfStatuses address
}

func callWaitall(p *Proc, a waitallArgs) error {
	list, reqs, _, err := p.list(a.arrayOfRequests, a.count)
	if err == nil {
		err = p.statuses(a.arrayOfStatuses, len(reqs))
	}
	if err != nil {
		return err
	}
	next := 0 // requests stay done: none is looked at twice
	err = p.wait(func() bool {
		for next < len(reqs) && (reqs[next] == nil || reqs[next].done || p.lost(reqs[next], true)) {
			next++
		}
		return next == len(reqs)
	})
	if err != nil {
		return err
	}
	return p.retireAll(list, reqs, a.arrayOfStatuses)
}

type testallArgs struct {
	count                                  int
	arrayOfRequests, flag, arrayOfStatuses address
}

func callTestall(p *Proc, a testallArgs) error {
	list, reqs, done, err := p.testedAll(a)
	if err != nil || !done {
		return err
	}
	return p.retireAll(list, reqs, a.arrayOfStatuses)
}

// testedAll checks count, requests, flag and statuses, looks whether all requests are done, and stores that.
func (p *Proc) testedAll(a testallArgs) (list layout.Span, reqs []*request, done bool, err error) {
	list, reqs, _, err = p.list(a.arrayOfRequests, a.count)
	if err == nil {
		err = p.statuses(a.arrayOfStatuses, len(reqs))
	}
	if err != nil {
		return list, nil, false, err
	}
	if !allDone(reqs) {
		p.poll(reqs...)
	}
	done = allDone(reqs)
	return list, reqs, done, p.putInt(a.flag, truth(done))
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

type waitanyArgs struct {
	count                          int
	arrayOfRequests, index, status address
}

func callWaitany(p *Proc, a waitanyArgs) error {
	list, reqs, active, err := p.list(a.arrayOfRequests, a.count)
	if err == nil {
		err = p.statuses(a.status, 1)
	}
	if err != nil {
		return err
	}
	i := -1
	if err := p.wait(func() bool {
		if i = firstDone(reqs); active > 0 && i < 0 {
			p.lostAll(reqs)
			i = firstDone(reqs)
		}
		return active == 0 || i >= 0
	}); err != nil {
		return err
	}
	return p.retireAny(list, reqs, i, a.index, a.status)
}

type testanyArgs struct {
	count                                int
	arrayOfRequests, index, flag, status address
}

func callTestany(p *Proc, a testanyArgs) error {
	list, reqs, active, err := p.list(a.arrayOfRequests, a.count)
	if err == nil {
		err = p.statuses(a.status, 1)
	}
	if err != nil {
		return err
	}
	if firstDone(reqs) < 0 && active > 0 {
		p.poll(reqs...)
	}
	i := firstDone(reqs)
	done := i >= 0 || active == 0
	if err := p.putInt(a.flag, truth(done)); err != nil {
		return err
	}
	if !done {
		return p.putInt(a.index, abi.Undefined)
	}
	return p.retireAny(list, reqs, i, a.index, a.status)
}

type someArgs struct {
	incount                                                    int
	arrayOfRequests, outcount, arrayOfIndices, arrayOfStatuses address
}

func callWaitsome(p *Proc, a someArgs) error {
	list, reqs, active, err := p.some(a)
	if err != nil {
		return err
	}
	if err := p.wait(func() bool {
		if active > 0 && firstDone(reqs) < 0 {
			p.lostAll(reqs)
		}
		return active == 0 || firstDone(reqs) >= 0
	}); err != nil {
		return err
	}
	return p.retireSome(a, list, reqs, active)
}

func callTestsome(p *Proc, a someArgs) error {
	list, reqs, active, err := p.some(a)
	if err != nil {
		return err
	}
	if firstDone(reqs) < 0 && active > 0 {
		p.poll(reqs...)
	}
	return p.retireSome(a, list, reqs, active)
}

// some checks incount, requests, outcount, indices and statuses.
func (p *Proc) some(a someArgs) (list layout.Span, reqs []*request, active int, err error) {
	list, reqs, active, err = p.list(a.arrayOfRequests, a.incount)
	if err == nil {
		_, err = p.handles(a.arrayOfIndices, len(reqs))
	}
	if err == nil {
		err = p.statuses(a.arrayOfStatuses, len(reqs))
	}
	return list, reqs, active, err
}
