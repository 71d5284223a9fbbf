package layout

// mover copies between the elements of a datatype in memory and a packed buffer, either way. Addresses count modulo 2^32, as
// in the program: an absolute address beyond 2 GiB is a negative MPI_Aint. What lies outside of the memory is left alone: only
// a damaged state leads there.
type mover struct {
	mem  []byte
	buf  []byte // what is left of the packed data
	skip int64  // packed bytes to pass over first
	in   bool   // from buf to mem
}

// PackAt copies elements of a type, the first at an address of mem, to dst, until that is full.
func (t *Type) PackAt(dst, mem []byte, at int64) {
	m := mover{mem: mem, buf: dst}
	m.elements(t, at)
}

// UnpackAt copies src to elements of a type, the first at an address of mem.
func (t *Type) UnpackAt(mem []byte, at int64, src []byte) {
	m := mover{mem: mem, buf: src, in: true}
	m.elements(t, at)
}

// elements copies elements one behind the other from base on, until buf is used up.
func (m *mover) elements(t *Type, base int64) {
	if t.Size <= 0 {
		return
	}
	n := m.skip / t.Size
	m.skip -= n * t.Size
	for i := n; len(m.buf) > 0; i++ {
		at := base + i*t.Extent()
		if k := m.grid(t, at, t.Extent(), int64(len(m.buf))); k > 0 {
			i += k - 1
			continue
		}
		m.element(t, at)
	}
}

// element copies one element at base.
func (m *mover) element(t *Type, base int64) {
	if t.Dense {
		m.run(base+t.TrueLB, t.Size)
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
func (m *mover) piece(p *Piece, base int64) {
	each := p.run
	if p.typ != nil {
		each = p.typ.Size
	}
	first := m.skip / each
	m.skip -= first * each
	for i := first; i < p.n && len(m.buf) > 0; i++ {
		at := base + i*p.stride
		if p.typ != nil {
			if k := m.grid(p.typ, at, p.stride, p.n-i); k > 0 {
				i += k - 1
				continue
			}
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

// grid copies elements of a type that are stride bytes apart, n at the most, where each is short runs that are farther apart: a matrix by columns. It goes
// along the memory's rows, some columns at a time, so that each of its cache lines is touched once. It returns how many whole elements it has
// copied; 0: they are none of that kind.
func (m *mover) grid(t *Type, at, stride, n int64) int64 {
	if m.skip != 0 || t.Dense || len(t.pieces) != 1 {
		return 0
	}
	rows := &t.pieces[0]
	n = min(n, int64(len(m.buf))/t.Size)
	if !isShort(rows.run) || n < 2 || Magnitude(stride) >= Magnitude(rows.stride) {
		return 0
	}
	first := int64(uint32(at + rows.disp))
	wide, high := (n-1)*stride, (rows.n-1)*rows.stride
	if first+min(0, wide)+min(0, high) < 0 || first+max(0, wide)+max(0, high)+rows.run > int64(len(m.mem)) {
		return 0
	}
	g := shortRuns{mem: m.mem, buf: m.buf[:n*t.Size], in: m.in, stride: stride, pitch: t.Size}
	m.buf = m.buf[n*t.Size:]
	columns := cacheLine / rows.run
	for j := int64(0); j < n; j += columns {
		w := min(columns, n-j)
		for i := range rows.n {
			p, q := first+i*rows.stride+j*stride, j*t.Size+i*rows.run
			g.row(rows.run, p, q, w)
		}
	}
	return n
}

// cacheLine is a processor's, in bytes.
const cacheLine = 64

// isShort reports whether runs of so many bytes are copied without a call each.
func isShort(run int64) bool { return run == 4 || run == 8 || run == 16 }

// shortRuns are what one row of a grid is copied in: from p of mem, each element stride bytes farther, and from q of buf, each pitch bytes farther.
type shortRuns struct {
	mem, buf      []byte
	in            bool // from buf to mem
	stride, pitch int64
}

// row copies n runs of a short length.
func (g *shortRuns) row(run, p, q, n int64) {
	switch run {
	case 4:
		g.row4(p, q, n)
	case 8:
		g.row8(p, q, n)
	default:
		g.row16(p, q, n)
	}
}

func (g *shortRuns) row4(p, q, n int64) {
	mem, buf, stride, pitch := g.mem, g.buf, g.stride, g.pitch
	if g.in {
		for ; n > 0; n-- {
			order.PutUint32(mem[p:p+4], order.Uint32(buf[q:q+4]))
			p, q = p+stride, q+pitch
		}
		return
	}
	for ; n > 0; n-- {
		order.PutUint32(buf[q:q+4], order.Uint32(mem[p:p+4]))
		p, q = p+stride, q+pitch
	}
}

func (g *shortRuns) row8(p, q, n int64) {
	mem, buf, stride, pitch := g.mem, g.buf, g.stride, g.pitch
	if g.in {
		for ; n > 0; n-- {
			order.PutUint64(mem[p:p+8], order.Uint64(buf[q:q+8]))
			p, q = p+stride, q+pitch
		}
		return
	}
	for ; n > 0; n-- {
		order.PutUint64(buf[q:q+8], order.Uint64(mem[p:p+8]))
		p, q = p+stride, q+pitch
	}
}

func (g *shortRuns) row16(p, q, n int64) {
	mem, buf, stride, pitch := g.mem, g.buf, g.stride, g.pitch
	if g.in {
		for ; n > 0; n-- {
			*(*[16]byte)(mem[p : p+16]) = *(*[16]byte)(buf[q : q+16])
			p, q = p+stride, q+pitch
		}
		return
	}
	for ; n > 0; n-- {
		*(*[16]byte)(buf[q : q+16]) = *(*[16]byte)(mem[p : p+16])
		p, q = p+stride, q+pitch
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
	if isShort(each) {
		g := shortRuns{mem: mem, buf: buf, in: m.in, stride: stride, pitch: each}
		g.row(each, at, 0, n)
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
