package native

// loop is what there is in a loop, the loops in it among it.
type loop struct {
	calls   bool // it calls something, or changes memory otherwise than by stores
	stores  bool
	counts  bool            // a local is added to in it
	inner   bool            // there is a loop in it
	changes map[uint32]bool // locals
}

// waits says whether a loop may wait for what others write: it makes no progress by itself.
func (l *loop) waits() bool { return !l.calls && !l.stores && !l.counts }

// tight says whether a loop is one that clang may make vectors of.
func (l *loop) tight() bool { return !l.calls && !l.inner && !l.waits() }

// scan is a pass over a function's code before it is translated.
type scan struct {
	loops []*loop         // in the order in which they begin
	read  map[uint32]bool // locals whose values are looked at
}

// scanned looks at all of a function's code, which need not be reached.
func scanned(code []byte) scan {
	s := scan{read: map[uint32]bool{}}
	r := newReader(code)
	var open []*loop // for each block around: its loop; nil: it is none
	within := func(do func(l *loop)) {
		for _, l := range open {
			if l != nil {
				do(l)
			}
		}
	}
	last := byte(opNop)
	for len(r.Data) > 0 && r.Err == nil {
		in := r.instruction()
		switch op := in.op; {
		case op == opLoop:
			within(func(l *loop) { l.inner = true })
			l := &loop{changes: map[uint32]bool{}}
			s.loops, open = append(s.loops, l), append(open, l)
		case op == opBlock || op == opIf:
			open = append(open, nil)
		case op == opEnd && len(open) > 0:
			open = open[:len(open)-1]
		case op == opLocalGet:
			s.read[in.x] = true
		case op == opLocalSet || op == opLocalTee:
			counts := last == opI32Add || last == opI64Add
			within(func(l *loop) { l.changes[in.x], l.counts = true, l.counts || counts })
		case op == opCall || op == opCallIndirect || op == opMemoryGrow || op == opMore && in.sub >= 8:
			within(func(l *loop) { l.calls = true })
		case stores(in):
			within(func(l *loop) { l.stores = true })
		}
		last = in.op
	}
	return s
}

// stores says whether an instruction is a store to memory.
func stores(in instruction) bool {
	if in.op >= firstAccess && int(in.op) < firstAccess+len(accesses) {
		return accesses[in.op-firstAccess].store
	}
	return in.op == opVector && (in.sub == 11 || in.sub >= 88 && in.sub <= 91)
}
