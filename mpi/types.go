package mpi

import (
	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/layout"
)

// typeOf finds a datatype by handle.
func (p *Proc) typeOf(handle uint32) (*layout.Type, error) {
	if t := p.w.named(handle); t != nil {
		return t, nil
	}
	if t := p.types.get(handle); t != nil {
		return t, nil
	}
	if handle == abi.TypeNull {
		return nil, abi.Fail(abi.ErrType, "datatype is MPI_DATATYPE_NULL")
	}
	return nil, abi.Fail(abi.ErrType, "datatype %#x is not known", handle)
}

// committed finds a datatype that may be used in communication.
func (p *Proc) committed(handle uint32) (*layout.Type, error) {
	t, err := p.typeOf(handle)
	if err == nil && !t.Committed {
		return nil, abi.Fail(abi.ErrType, "datatype %#x is not committed: call MPI_Type_commit first", handle)
	}
	return t, err
}

// hold gives the program one more handle of a type, and returns it.
func (p *Proc) hold(t *layout.Type) (uint32, error) {
	if t.Predefined() {
		return t.Handle, nil
	}
	if t.Refs == 0 {
		if err := p.use(t); err != nil {
			return 0, err
		}
	}
	h, err := p.handleOf(t)
	if err == nil {
		t.Handle = h
		t.Refs++
	} else if t.Refs == 0 {
		p.disuse(t)
	}
	return h, err
}

func (p *Proc) handleOf(t *layout.Type) (uint32, error) {
	if t.Handle != 0 {
		return p.types.restore(t, t.Handle, p.w.cfg.MaxObjects)
	}
	return p.types.add(t, p.w.cfg.MaxObjects)
}
