package mpi

import "github.com/godwit-run/godwit/mpi/abi"

// A guest's MPI_Status is 8 ints: SOURCE, TAG, ERROR and 5 reserved ones. Of these the first holds the count of bytes,
// the second whether the operation was cancelled, and the third the count's upper half.

const (
	statusCount     = 12
	statusCancelled = 16
	statusCountHigh = 20
)

// statusCalls are the functions that read and set a status.
func statusCalls() []entry {
	return []entry{
		{name: "MPI_Get_count", impl: bind(callGetCount), any: true},
		{name: "MPI_Get_elements", impl: bind(callGetElements), any: true},
		{name: "MPI_Test_cancelled", any: true, impl: getStatusWord(statusCancelled, "flag")},
		{name: "MPI_Status_set_cancelled", any: true, impl: setStatusWord(statusCancelled, "flag")},
		{name: "MPI_Status_set_elements", any: true, impl: bind(callSetElements)},
		{name: "MPI_Status_get_source", any: true, impl: getStatusWord(0, "source")},
		{name: "MPI_Status_set_source", any: true, impl: setStatusWord(0, "source")},
		{name: "MPI_Status_get_tag", any: true, impl: getStatusWord(4, "tag")},
		{name: "MPI_Status_set_tag", any: true, impl: setStatusWord(4, "tag")},
		{name: "MPI_Status_get_error", any: true, impl: getStatusWord(8, "err")},
		{name: "MPI_Status_set_error", any: true, impl: setStatusWord(8, "err")},
	}
}

type statusWordArgs struct {
	status address
	word   uint32 // its address, or what it becomes
}

func getStatusWord(off uint32, parameter string) body {
	return bind(func(p *Proc, a statusWordArgs) error {
		b, err := p.statusAt(a.status)
		if err != nil {
			return err
		}
		return p.putWord(a.word, order.Uint32(b[off:]))
	}).as("word", parameter)
}

func setStatusWord(off uint32, parameter string) body {
	return bind(func(p *Proc, a statusWordArgs) error {
		b, err := p.statusAt(a.status)
		if err != nil {
			return err
		}
		order.PutUint32(b[off:], a.word)
		return nil
	}).as("word", parameter)
}

// statusAt is a status in the program's memory.
func (p *Proc) statusAt(ptr uint32) ([]byte, error) {
	s, err := p.guest(ptr, abi.StatusBytes)
	return p.bytes(s), argError(err)
}

// checkStatus checks a pointer to a status, before anything is begun.
func (p *Proc) checkStatus(c *comm, ptr uint32) error {
	if ptr == abi.StatusIgnore {
		return nil
	}
	_, err := p.guest(ptr, abi.StatusBytes)
	return c.on(argError(err))
}

// putStatus stores all of a status but ERROR, which single completions leave
// alone (MPI 5.0 section 3.2.5).
func (p *Proc) putStatus(c *comm, ptr uint32, st status) {
	if ptr == abi.StatusIgnore {
		return
	}
	s, err := p.guest(ptr, abi.StatusBytes)
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
	order.PutUint32(b[statusCount:], st.count)
	clear(b[statusCancelled:])
	order.PutUint32(b[statusCancelled:], uint32(truth(st.cancelled)))
}

// putError stores a status's ERROR.
func (p *Proc) putError(ptr uint32, class int32) {
	if ptr == abi.StatusIgnore {
		return
	}
	if s, err := p.guest(ptr, abi.StatusBytes); err == nil {
		order.PutUint32(p.bytes(s)[8:], uint32(class))
	}
}

// emptyStatus is what completing a null request gives (MPI 5.0 section 3.7.3).
func emptyStatus() status { return status{source: abi.AnySource, tag: abi.AnyTag} }

// received is the count of bytes in a status.
func received(b []byte) int64 {
	return int64(order.Uint32(b[statusCount:])) | int64(order.Uint32(b[statusCountHigh:]))<<32
}

type getCountArgs struct {
	status   address
	datatype handle
	count    address
}

func callGetCount(p *Proc, a getCountArgs) error {
	t, err := p.typeOf(a.datatype)
	if err != nil {
		return err
	}
	b, err := p.statusAt(a.status)
	if err != nil {
		return err
	}
	bytes, count := received(b), int64(0)
	switch {
	case t.Size > 0 && bytes%t.Size == 0:
		count = bytes / t.Size
	case bytes > 0:
		count = abi.Undefined
	}
	return p.putCount(a.count, count)
}

// callGetElements counts basic elements (MPI 5.0 section 5.1.11).
func callGetElements(p *Proc, a getCountArgs) error {
	t, err := p.typeOf(a.datatype)
	if err != nil {
		return err
	}
	b, err := p.statusAt(a.status)
	if err != nil {
		return err
	}
	bytes, count := received(b), int64(0)
	if t.Size > 0 {
		whole := bytes / t.Size
		rest, n, exact := t.Partial(bytes % t.Size)
		count = whole*t.Scalar + n
		if rest != 0 || !exact {
			count = abi.Undefined
		}
	} else if bytes > 0 {
		count = abi.Undefined
	}
	return p.putCount(a.count, count)
}

type setElementsArgs struct {
	status   address
	datatype handle
	count    count
}

func callSetElements(p *Proc, a setElementsArgs) error {
	t, err := p.typeOf(a.datatype)
	if err != nil {
		return err
	}
	b, err := p.statusAt(a.status)
	if err != nil {
		return err
	}
	n := a.count
	if n < 0 {
		return abi.Fail(abi.ErrArg, "count is %d", n)
	}
	bytes := int64(0)
	if e := t.Scalar; e > 0 {
		bytes = n / e * t.Size
		bytes += t.BytesOf(n % e)
	}
	order.PutUint32(b[statusCount:], uint32(bytes))
	order.PutUint32(b[statusCountHigh:], uint32(bytes>>32))
	return nil
}
