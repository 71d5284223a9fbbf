package mpi

import "github.com/godwit-run/godwit/mpi/abi"

type getStatusArgs struct {
	request      handle
	flag, status address
}

// callGetStatus looks at a request without ending it (MPI 5.0 section 3.7.6).
func callGetStatus(p *Proc, a getStatusArgs) error {
	r, err := p.requestOf(a.request)
	if err == nil {
		err = p.statuses(a.status, 1)
	}
	if err != nil {
		return err
	}
	if r.live() && !r.done {
		p.poll(r)
	}
	done := !r.live() || r.done
	if err := p.putInt(a.flag, truth(done)); err != nil || !done {
		return err
	}
	return p.peek(r, a.status)
}

// peek stores the status of a request that is done or not live.
func (p *Proc) peek(r *request, ptr uint32) error {
	if !r.live() {
		p.putStatus(p.self, ptr, emptyStatus())
		return nil
	}
	return p.describeDone(r, ptr)
}

func callGetStatusAll(p *Proc, a testallArgs) error {
	_, reqs, done, err := p.testedAll(a)
	if err != nil || !done {
		return err
	}
	for i, r := range reqs {
		if err := p.peek(r, statusPtr(a.arrayOfStatuses, i)); err != nil {
			return err
		}
	}
	return nil
}

func callGetStatusAny(p *Proc, a testanyArgs) error {
	_, reqs, active, err := p.list(a.arrayOfRequests, a.count)
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
	if err := p.putInt(a.flag, truth(i >= 0 || active == 0)); err != nil {
		return err
	}
	if err := p.putInt(a.index, pick(i >= 0, i, abi.Undefined)); err != nil || (i < 0 && active > 0) {
		return err
	}
	if i < 0 {
		return p.peek(nil, a.status)
	}
	return p.peek(reqs[i], a.status)
}

func callGetStatusSome(p *Proc, a someArgs) error {
	_, reqs, active, err := p.some(a)
	if err != nil {
		return err
	}
	if active == 0 {
		return p.putInt(a.outcount, abi.Undefined)
	}
	n := 0
	for i, r := range reqs {
		if r == nil || !r.done {
			continue
		}
		if err := p.peek(r, statusPtr(a.arrayOfStatuses, n)); err != nil {
			return err
		}
		if err := p.putInt(a.arrayOfIndices+4*uint32(n), i); err != nil {
			return err
		}
		n++
	}
	return p.putInt(a.outcount, n)
}
