package mpi

// A guest's MPI_Status is 8 ints: SOURCE, TAG, ERROR and 5 reserved ones, the
// first of which holds the count of bytes.

// checkStatus checks a pointer to a status, before anything is begun.
func (p *Proc) checkStatus(c *comm, ptr uint32) error {
	if ptr == statusIgnore {
		return nil
	}
	_, err := p.guest(ptr, statusBytes)
	return c.on(argError(err))
}

// putStatus stores all of a status but ERROR, which single completions leave
// alone (MPI 5.0 section 3.2.5).
func (p *Proc) putStatus(c *comm, ptr uint32, st status) {
	if ptr == statusIgnore {
		return
	}
	s, err := p.guest(ptr, statusBytes)
	if err != nil {
		return // checked when the call began; memory does not shrink
	}
	source := int(st.source)
	if st.source >= 0 {
		source = c.localRank(st.source)
	}
	b := p.bytes(s)
	order.PutUint32(b[0:], uint32(int32(source)))
	order.PutUint32(b[4:], uint32(st.tag))
	order.PutUint32(b[12:], st.count)
	clear(b[16:])
}

// putError stores a status's ERROR.
func (p *Proc) putError(ptr uint32, class int32) {
	if s, err := p.guest(ptr, statusBytes); ptr != statusIgnore && err == nil {
		order.PutUint32(p.bytes(s)[8:], uint32(class))
	}
}

// emptyStatus is what completing a null request gives (MPI 5.0 section 3.7.3).
func emptyStatus() status { return status{source: anySource, tag: anyTag} }

func callGetCount(p *Proc, a args) (uint64, error) {
	t, err := typeOf(a.u32(1))
	if err != nil {
		return 0, err
	}
	s, err := p.guest(a.u32(0), statusBytes)
	if err != nil {
		return 0, argError(err)
	}
	bytes := order.Uint32(p.bytes(s)[12:])
	count := int(bytes / t.size)
	if bytes%t.size != 0 || count > 1<<31-1 {
		count = undefined
	}
	return success, p.putInt(a.u32(2), count)
}
