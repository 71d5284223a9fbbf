package mpi

// mover copies between the elements of a datatype in memory and a packed buffer, either way. Addresses count modulo 2^32, as
// in the program: an absolute address beyond 2 GiB is a negative MPI_Aint. What lies outside of the memory is left alone: only
// a damaged state leads there.
type mover struct {
	mem  []byte
	buf  []byte // what is left of the packed data
	skip int64  // packed bytes to pass over first
	in   bool   // from buf to mem
}

// elements copies elements one behind the other from base on, until buf is used up.
func (m *mover) elements(t *datatype, base int64) {
	if t.size <= 0 {
		return
	}
	n := m.skip / t.size
	m.skip -= n * t.size
	for i := n; len(m.buf) > 0; i++ {
		m.element(t, base+i*t.extent())
	}
}

// element copies one element at base.
func (m *mover) element(t *datatype, base int64) {
	if t.dense {
		m.run(base+t.trueLB, t.size)
		return
	}
	for i := range t.pieces {
		if len(m.buf) == 0 {
			return
		}
		if p := &t.pieces[i]; m.skip >= p.size() {
			m.skip -= p.size()
		} else {
			m.piece(p, base+p.disp)
		}
	}
}

// piece copies a piece that begins at base.
func (m *mover) piece(p *piece, base int64) {
	each := p.run
	if p.typ != nil {
		each = p.typ.size
	}
	first := m.skip / each
	m.skip -= first * each
	for i := first; i < p.n && len(m.buf) > 0; i++ {
		at := base + i*p.stride
		if p.typ != nil {
			m.element(p.typ, at)
			continue
		}
		at = int64(uint32(at))
		if m.skip == 0 && int64(len(m.buf)) >= each && at >= 0 && at+each <= int64(len(m.mem)) {
			i += m.runs(at, each, p.stride, p.n-i) - 1
			continue
		}
		m.run(at, each)
	}
}

// runs copies whole runs at equal distance, as many as lie in memory and buffer, at least one, and
// returns how many.
func (m *mover) runs(at, each, stride, n int64) int64 {
	n = min(n, int64(len(m.buf))/each)
	if stride > 0 {
		n = min(n, (int64(len(m.mem))-at-each)/stride+1)
	} else if stride < 0 {
		n = min(n, at/-stride+1)
	}
	mem, buf := m.mem, m.buf[:n*each]
	m.buf = m.buf[n*each:]
	if each == 8 {
		for i := range n {
			p, q := mem[at+i*stride:][:8], buf[8*i:][:8]
			if m.in {
				p, q = q, p
			}
			order.PutUint64(q, order.Uint64(p))
		}
		return n
	}
	for i := range n {
		p, q := mem[at+i*stride:][:each], buf[i*each:][:each]
		if m.in {
			p, q = q, p
		}
		copy(q, p)
	}
	return n
}

// run copies one contiguous run, or what is left of it.
func (m *mover) run(at, n int64) {
	at, n = int64(uint32(at+min(m.skip, n))), n-min(m.skip, n)
	m.skip = 0
	k := min(n, int64(len(m.buf)))
	if k <= 0 {
		return
	}
	if at >= 0 && at+k <= int64(len(m.mem)) {
		if m.in {
			copy(m.mem[at:at+k], m.buf)
		} else {
			copy(m.buf[:k], m.mem[at:])
		}
	}
	m.buf = m.buf[k:]
}
