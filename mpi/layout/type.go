package layout

import "github.com/godwit-run/godwit/mpi/abi"

// Type is a named or derived datatype (MPI 5.0 chapter 5). It is immutable once it is made, but for what
// hangs on it: name, attributes, handle. Others point to it, so it lives on after MPI_Type_free for as long as
// messages or types need it.
type Type struct {
	Handle    uint32
	Refs      int // handles that the program holds; 0: only others point here
	Name      string
	Committed bool
	Fixed     bool // of the library: cannot be freed
	depth     int  // how many types it was made of, one of the other
	Users     int  // types that were made of it, and one for the program's handles: charged for while there is any

	Class    Class
	Base     *Type // the basic type that all elements are of, itself for a basic one; nil: of several
	basics   int64 // basic elements in it
	Scalar   int64 // the same, where a pair counts as two
	External int64 // bytes of data in external32
	align    int64

	Size           int64 // bytes of data
	LB, UB         int64
	TrueLB, TrueUB int64
	stickyLB       bool // a marker has set it (MPI 5.0 section 5.1.7)
	stickyUB       bool
	Dense          bool    // data is one run, from TrueLB to TrueUB, in order
	pieces         []Piece // else: the runs, in the order of the type map
	walk           int     // pieces to pass over, at the most, for one in the midst
	column         int64   // bytes of an element that is runs at equal distance, or is made of such alone; else 0

	Made Contents
}

// Contents is how a type was made (MPI 5.0 section 5.1.13). In types made by large-count functions numbers
// that have 64 bits are in counts, as MPI_Type_get_contents_c wants them.
type Contents struct {
	Combiner int
	Large    bool
	Ints     []int64
	Addrs    []int64
	Counts   []int64
	Types    []*Type
}

// Piece is n runs, or n elements of an inner type, stride bytes apart.
type Piece struct {
	disp, n, stride int64
	run             int64 // bytes; 0: typ
	typ             *Type
}

func (p *Piece) size() int64 {
	if p.typ != nil {
		return p.n * p.typ.Size
	}
	return p.n * p.run
}

// Extent is how far one element is from the next, in bytes.
func (t *Type) Extent() int64 { return t.UB - t.LB }

// Predefined reports whether the type is one of the standard's, which all ranks share.
func (t *Type) Predefined() bool { return t.Made.Combiner == abi.CombinerNamed }

// block is a part of a type map as its constructor says it: n elements of a type, stride bytes apart.
type block struct {
	disp, n, stride int64
	typ             *Type
}

// assemble computes all that follows from the type map.
func assemble(blocks []block) *Type {
	t := &Type{align: 1}
	lower, upper := bound{}, bound{}
	filled := false
	for _, b := range blocks {
		if b.n <= 0 {
			continue
		}
		last := b.disp + (b.n-1)*b.stride
		low, high := min(b.disp, last), max(b.disp, last)
		if b.typ.Handle != typeUB {
			lower.widen(low+b.typ.LB, b.typ.stickyLB, func(a, b int64) bool { return a < b })
		}
		if b.typ.Handle != typeLB {
			upper.widen(high+b.typ.UB, b.typ.stickyUB, func(a, b int64) bool { return a > b })
		}
		t.align = max(t.align, b.typ.align)
		if b.typ.Size == 0 {
			continue
		}
		low, high = low+b.typ.TrueLB, high+b.typ.TrueUB
		if !filled {
			t.TrueLB, t.TrueUB, t.Base = low, high, b.typ.Base
		}
		filled = true
		t.TrueLB, t.TrueUB = min(t.TrueLB, low), max(t.TrueUB, high)
		t.Size += b.n * b.typ.Size
		t.basics += b.n * b.typ.basics
		t.Scalar += b.n * b.typ.Scalar
		t.External += b.n * b.typ.External
		if b.typ.Base != t.Base {
			t.Base = nil
		}
		t.append(b)
	}
	t.LB, t.UB, t.stickyLB, t.stickyUB = lower.at, upper.at, lower.sticky, upper.sticky
	t.Dense = t.Size == 0 || (len(t.pieces) == 1 && t.pieces[0].n == 1 && t.pieces[0].typ == nil)
	if t.Dense {
		t.pieces = nil
	}
	t.measure()
	return t
}

// measure sees how long it takes to find a place in the midst of an element.
func (t *Type) measure() {
	t.walk = len(t.pieces)
	for i := range t.pieces {
		if inner := t.pieces[i].typ; inner != nil {
			t.walk = max(t.walk, len(t.pieces)+inner.walk)
		}
	}
	switch {
	case len(t.pieces) != 1:
	case t.pieces[0].typ != nil:
		t.column = t.pieces[0].typ.column
	default:
		t.column = t.Size
	}
}

// block is of how many bytes, at least, the parts should be that many elements are copied in: to find where a part begins takes the longer the more pieces
// the type has, and columns are copied several at a time.
func (t *Type) block() int64 { return max(64*int64(t.walk), 8*t.column) }

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
func (t *Type) append(b block) {
	p := Piece{disp: b.disp, n: b.n, stride: b.stride, typ: b.typ}
	if b.typ.Dense {
		p.typ, p.run, p.disp = nil, b.typ.Size, b.disp+b.typ.TrueLB
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
func (t *Type) String() string {
	if t.Name != "" {
		return t.Name
	}
	return "a derived datatype"
}

// What a type takes, in bytes, about: a list that grows has up to as much again in reserve.
const (
	TypeCost   = 320
	PieceCost  = 48
	numberCost = 8
)

// WholeCost is what a type takes, in bytes, with all that it was made of.
func (t *Type) WholeCost() int64 {
	seen := map[*Type]bool{}
	var whole func(t *Type) int64
	whole = func(t *Type) int64 {
		if t.Predefined() || seen[t] {
			return 0
		}
		seen[t] = true
		n := t.Cost()
		for _, inner := range t.Made.Types {
			n += whole(inner)
		}
		return n
	}
	return whole(t)
}

// Cost is what a type takes, in bytes, without the types that it was made of, but with those that were made for it alone.
func (t *Type) Cost() int64 {
	m := &t.Made
	n := int64(TypeCost + PieceCost*len(t.pieces) + numberCost*(len(m.Ints)+len(m.Addrs)+len(m.Counts)+len(m.Types)))
	var last *Type
	for i := range t.pieces {
		if inner := t.pieces[i].typ; inner != nil && inner != last && inner.Handle == 0 {
			n += inner.Cost()
			last = inner
		}
	}
	return n
}
