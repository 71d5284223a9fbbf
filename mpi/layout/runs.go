package layout

import "github.com/godwit-run/godwit/mpi/abi"

// A file is laid out by types, too: places in it have 64 bits, and are walked along rather than copied from.

// Runs calls visit with the runs that n bytes of data of elements of t have, one element behind the other from base on, past the first skip bytes of data: at
// which place, and how many bytes. Runs that touch are one. It ends early when visit returns false.
func (t *Type) Runs(base, skip, n int64, visit func(at, n int64) bool) {
	if t.Size <= 0 || n <= 0 {
		return
	}
	w := walker{skip: skip % t.Size, left: n, visit: visit}
	first := skip / t.Size
	if t.Even() {
		w.run(base+t.TrueLB+first*t.Size, w.skip+n)
		w.flush()
		return
	}
	for i := first; w.left > 0; i++ {
		w.element(t, base+i*t.Extent())
	}
	w.flush()
}

// Even reports whether elements of t, one behind the other, are one run.
func (t *Type) Even() bool { return t.Dense && t.Extent() == t.Size }

// walker goes along the runs of a type.
type walker struct {
	skip, left int64 // bytes of data to pass over, and to visit
	at, n      int64 // the run that is being joined
	visit      func(at, n int64) bool
}

func (w *walker) element(t *Type, base int64) {
	if t.Dense {
		w.run(base+t.TrueLB, t.Size)
		return
	}
	for i := range t.pieces {
		if w.left <= 0 {
			return
		}
		if p := &t.pieces[i]; w.skip >= p.size() {
			w.skip -= p.size()
		} else {
			w.piece(p, base+p.disp)
		}
	}
}

func (w *walker) piece(p *Piece, base int64) {
	each := p.run
	if p.typ != nil {
		each = p.typ.Size
	}
	first := w.skip / each
	w.skip -= first * each
	for i := first; i < p.n && w.left > 0; i++ {
		if at := base + i*p.stride; p.typ != nil {
			w.element(p.typ, at)
		} else {
			w.run(at, each)
		}
	}
}

// run joins a run to the last one, or what is wanted of it.
func (w *walker) run(at, n int64) {
	at, n = at+w.skip, min(n-w.skip, w.left)
	w.skip = 0
	if w.left <= 0 || n <= 0 {
		return
	}
	w.left -= n
	if w.n > 0 && w.at+w.n == at {
		w.n += n
		return
	}
	left := w.left
	w.flush()
	if w.left == left { // it goes on
		w.at, w.n = at, n
	}
}

// flush shows the run that was being joined.
func (w *walker) flush() {
	if w.n > 0 && !w.visit(w.at, w.n) {
		w.left = -1
	}
	w.n = 0
}

// Ascending reports whether the runs of an element follow each other without overlap, from the lowest place to the highest.
func (t *Type) Ascending() bool { return t.ascends(map[*Type]bool{}) }

func (t *Type) ascends(known map[*Type]bool) bool {
	if t.Dense {
		return true
	}
	if is, ok := known[t]; ok {
		return is
	}
	end, is := int64(-4*MaxBytes), true
	for i := range t.pieces {
		p := &t.pieces[i]
		low, high := p.bounds()
		if low < end || p.n > 1 && p.stride < high-low || p.typ != nil && !p.typ.ascends(known) {
			is = false
			break
		}
		end = high + (p.n-1)*p.stride
	}
	known[t] = is
	return is
}

// bounds are those of a piece's first run or element.
func (p *Piece) bounds() (low, high int64) {
	if p.typ != nil {
		return p.disp + p.typ.TrueLB, p.disp + p.typ.TrueUB
	}
	return p.disp, p.disp + p.run
}

// Before is how many bytes of data an element has below a displacement. It must be Ascending.
func (t *Type) Before(at int64) int64 {
	switch {
	case at <= t.TrueLB:
		return 0
	case at >= t.TrueUB:
		return t.Size
	case t.Dense:
		return at - t.TrueLB
	}
	var n int64
	for i := range t.pieces {
		p := &t.pieces[i]
		low, high := p.bounds()
		if at <= low {
			break
		}
		each := p.size() / p.n
		whole := int64(0)
		switch {
		case at < high:
		case p.n == 1:
			whole = 1
		default:
			whole = min(p.n, (at-high)/p.stride+1)
		}
		n += whole * each
		if whole == p.n {
			continue
		}
		if rest := at - whole*p.stride; p.typ != nil {
			n += p.typ.Before(rest - p.disp)
		} else {
			n += max(0, rest-p.disp)
		}
		break
	}
	return n
}

// Resized is the type with basic elements of other sizes, as they are in a file: displacements in bytes stay, those in elements follow. size is asked for each
// basic type.
func (t *Type) Resized(size func(basic *Type) (int64, error)) (*Type, error) {
	return t.resized(size, map[*Type]*Type{})
}

func (t *Type) resized(size func(basic *Type) (int64, error), known map[*Type]*Type) (*Type, error) {
	if r := known[t]; r != nil {
		return r, nil
	}
	r, err := t.anew(size, known)
	if err == nil {
		known[t] = r
	}
	return r, err
}

func (t *Type) anew(size func(basic *Type) (int64, error), known map[*Type]*Type) (*Type, error) {
	if t.Predefined() || t.IsBasic() {
		n, err := size(t)
		if err != nil || n == t.Size && t.Even() {
			return t, err
		}
		r, err := Build(Contents{Combiner: abi.CombinerContiguous, Ints: []int64{n}, Types: []*Type{Predefined()[typeByte]}})
		if err == nil {
			r.Committed = true
		}
		return r, err
	}
	made, same := t.Made, true
	made.Types = make([]*Type, len(t.Made.Types))
	for i, inner := range t.Made.Types {
		r, err := inner.resized(size, known)
		if err != nil {
			return nil, err
		}
		made.Types[i], same = r, same && r == inner
	}
	if same {
		return t, nil
	}
	r, err := Build(made)
	if err == nil {
		r.Committed = true
	}
	return r, err
}

// typeByte is MPI_BYTE.
const typeByte = 0x247
