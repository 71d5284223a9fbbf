package mpi

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
	_, reqs, done, err := p.testedAll(a)
	if err != nil || !done {
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
