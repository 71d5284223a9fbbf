package mpi

// datatype is a named or derived datatype (MPI 5.0 chapter 5). It is immutable once it is made, but for what
// hangs on it: name, attributes, handle. Others point to it, so it lives on after MPI_Type_free for as long as
// messages or types need it.
type datatype struct {
	handle    uint32
	refs      int // handles that the program holds; 0: only others point here
	name      string
	committed bool
	fixed     bool // of the library: cannot be freed
	depth     int  // how many types it was made of, one of the other
	users     int  // types that were made of it, and one for the program's handles: charged for while there is any

	class    typeClass
	base     *datatype // the basic type that all elements are of, itself for a basic one; nil: of several
	basics   int64     // basic elements in it
	scalar   int64     // the same, where a pair counts as two
	external int64     // bytes of data in external32
	align    int64

	size           int64 // bytes of data
	lb, ub         int64
	trueLB, trueUB int64
	stickyLB       bool // a marker has set it (MPI 5.0 section 5.1.7)
	stickyUB       bool
	dense          bool    // data is one run, from trueLB to trueUB, in order
	pieces         []piece // else: the runs, in the order of the type map

	made contents
}

// contents is how a type was made (MPI 5.0 section 5.1.13). In types made by large-count functions numbers
// that have 64 bits are in counts, as MPI_Type_get_contents_c wants them.
type contents struct {
	combiner int
	large    bool
	ints     []int64
	addrs    []int64
	counts   []int64
	types    []*datatype
}

// piece is n runs, or n elements of an inner type, stride bytes apart.
type piece struct {
	disp, n, stride int64
	run             int64 // bytes; 0: typ
	typ             *datatype
}

func (p *piece) size() int64 {
	if p.typ != nil {
		return p.n * p.typ.size
	}
	return p.n * p.run
}

// extent is how far one element is from the next, in bytes.
func (t *datatype) extent() int64 { return t.ub - t.lb }

// predefined reports whether the type is one of the standard's, which all ranks share.
func (t *datatype) predefined() bool { return t.made.combiner == combinerNamed }

// block is a part of a type map as its constructor says it: n elements of a type, stride bytes apart.
type block struct {
	disp, n, stride int64
	typ             *datatype
}

// assemble computes all that follows from the type map.
func assemble(blocks []block) *datatype {
	t := &datatype{align: 1}
	lower, upper := bound{}, bound{}
	filled := false
	for _, b := range blocks {
		if b.n <= 0 {
			continue
		}
		last := b.disp + (b.n-1)*b.stride
		low, high := min(b.disp, last), max(b.disp, last)
		if b.typ.handle != typeUB {
			lower.widen(low+b.typ.lb, b.typ.stickyLB, func(a, b int64) bool { return a < b })
		}
		if b.typ.handle != typeLB {
			upper.widen(high+b.typ.ub, b.typ.stickyUB, func(a, b int64) bool { return a > b })
		}
		t.align = max(t.align, b.typ.align)
		if b.typ.size == 0 {
			continue
		}
		low, high = low+b.typ.trueLB, high+b.typ.trueUB
		if !filled {
			t.trueLB, t.trueUB, t.base = low, high, b.typ.base
		}
		filled = true
		t.trueLB, t.trueUB = min(t.trueLB, low), max(t.trueUB, high)
		t.size += b.n * b.typ.size
		t.basics += b.n * b.typ.basics
		t.scalar += b.n * b.typ.scalar
		t.external += b.n * b.typ.external
		if b.typ.base != t.base {
			t.base = nil
		}
		t.append(b)
	}
	t.lb, t.ub, t.stickyLB, t.stickyUB = lower.at, upper.at, lower.sticky, upper.sticky
	t.dense = t.size == 0 || (len(t.pieces) == 1 && t.pieces[0].n == 1 && t.pieces[0].typ == nil)
	if t.dense {
		t.pieces = nil
	}
	return t
}

// bound is the lower or upper bound of a type map while it is read. One that a marker sets wins over data.
type bound struct {
	at          int64
	set, sticky bool
}

func (b *bound) widen(at int64, sticky bool, beyond func(a, b int64) bool) {
	if !b.set || (sticky && !b.sticky) || (sticky == b.sticky && beyond(at, b.at)) {
		b.at = at
	}
	b.set, b.sticky = true, b.sticky || sticky
}

// append adds a block's data to the pieces, joined with the last one where they touch.
func (t *datatype) append(b block) {
	p := piece{disp: b.disp, n: b.n, stride: b.stride, typ: b.typ}
	if b.typ.dense {
		p.typ, p.run, p.disp = nil, b.typ.size, b.disp+b.typ.trueLB
		if p.stride == p.run || p.n == 1 {
			p.run, p.n, p.stride = p.run*p.n, 1, 0
		}
	} else if b.n == 1 && len(b.typ.pieces) == 1 {
		p = b.typ.pieces[0]
		p.disp += b.disp
	}
	if k := len(t.pieces); k > 0 && p.n == 1 && p.typ == nil {
		if l := &t.pieces[k-1]; l.n == 1 && l.typ == nil && l.disp+l.run == p.disp {
			l.run += p.run
			return
		}
	}
	t.pieces = append(t.pieces, p)
}

// named reports the type as an argument is shown.
func (t *datatype) String() string {
	if t.name != "" {
		return t.name
	}
	return "a derived datatype"
}

// What a type takes, in bytes, about: a list that grows has up to as much again in reserve.
const (
	typeCost   = 320
	pieceCost  = 48
	numberCost = 8
)

// cost is what a type takes, in bytes, without the types that it was made of, but with those that were made for it alone.
func (t *datatype) cost() int64 {
	m := &t.made
	n := int64(typeCost + pieceCost*len(t.pieces) + numberCost*(len(m.ints)+len(m.addrs)+len(m.counts)+len(m.types)))
	var last *datatype
	for i := range t.pieces {
		if inner := t.pieces[i].typ; inner != nil && inner != last && inner.handle == 0 {
			n += inner.cost()
			last = inner
		}
	}
	return n
}
