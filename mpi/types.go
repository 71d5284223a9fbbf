package mpi

// typeOf finds a datatype by handle.
func (p *Proc) typeOf(handle uint32) (*datatype, error) {
	if t := p.w.named(handle); t != nil {
		return t, nil
	}
	if t := p.types.get(handle); t != nil {
		return t, nil
	}
	if handle == typeNull {
		return nil, fail(errType, "datatype is MPI_DATATYPE_NULL")
	}
	return nil, fail(errType, "datatype %#x is not known", handle)
}

// committed finds a datatype that may be used in communication.
func (p *Proc) committed(handle uint32) (*datatype, error) {
	t, err := p.typeOf(handle)
	if err == nil && !t.committed {
		return nil, fail(errType, "datatype %#x is not committed: call MPI_Type_commit first", handle)
	}
	return t, err
}

// hold gives the program one more handle of a type, and returns it.
func (p *Proc) hold(t *datatype) (uint32, error) {
	if t.predefined() {
		return t.handle, nil
	}
	if t.refs == 0 {
		if err := p.use(t); err != nil {
			return 0, err
		}
	}
	h, err := p.handleOf(t)
	if err == nil {
		t.handle = h
		t.refs++
	} else if t.refs == 0 {
		p.disuse(t)
	}
	return h, err
}

func (p *Proc) handleOf(t *datatype) (uint32, error) {
	if t.handle != 0 {
		return p.types.again(t, t.handle, p.w.cfg.MaxObjects)
	}
	return p.types.add(t, p.w.cfg.MaxObjects)
}
