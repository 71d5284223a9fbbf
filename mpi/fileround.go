package mpi

import (
	"math/bits"

	"github.com/godwit-run/godwit/mpi/layout"
)

// learnViews has an aggregator know what it was told.
func (p *Proc) learnViews(o *fileOp) error {
	x, f := o.plan, o.file
	_, err := p.endRound(x)
	if err != nil {
		return err
	}
	f.told = x.nodes
	if x.node(f) < 0 {
		return nil
	}
	p.forgetViews(f)
	f.views = make([]placing, len(x.intents))
	rest := x.host.Bytes
	x.host = nil
	for rank := range x.intents {
		n := x.intents[rank].view
		code := rest[:n]
		rest = rest[n:]
		if rank == f.comm().me {
			f.views[rank] = f.view.placing
			continue
		}
		c := newReader(code)
		c.placing(&f.views[rank])
		if c.err != nil {
			return c.err
		}
	}
	p.chargeViews(f)
	return nil
}

// chargeViews charges an aggregator for what it knows of the others' views.
func (p *Proc) chargeViews(f *file) {
	for i := range f.views {
		f.viewsCost += f.views[i].inFile.WholeCost()
	}
	p.kept += f.viewsCost
}

// forgetViews has an aggregator know nothing of them.
func (p *Proc) forgetViews(f *file) {
	p.kept -= f.viewsCost
	f.views, f.viewsCost = nil, 0
}

// piece is what a rank has in an aggregator's window.
type piece struct {
	rank    int
	from, n int64 // in the rank's view
	at      int64 // where it is in the window, if it is one run there; -1: it is several
	off     int64 // where it is among the parts, if it is several
}

// pieces lists what all ranks have in a window. It is computed anew when it is needed again: a rank may have moved in between.
func (x *twoPhase) pieces(f *file, lo, hi int64) (list []piece, parts int64) {
	for rank := range x.intents {
		v := x.placing(f, rank)
		k := piece{rank: rank, at: -1, off: parts}
		k.from, k.n = x.share(v, rank, lo, hi)
		if k.n == 0 {
			continue
		}
		v.runs(k.from, k.n, func(at, n int64) bool {
			if n == k.n {
				k.at = at - lo
			}
			return false
		})
		if k.at < 0 {
			parts += k.n
		}
		list = append(list, k)
	}
	return list, parts
}

// span is where a piece's data is at its aggregator.
func (x *twoPhase) span(k *piece) layout.Span {
	if k.at >= 0 {
		return layout.Span{Host: x.host, Off: uint32(k.at), Len: uint32(k.n)}
	}
	return layout.Span{Host: x.parts, Off: uint32(k.off), Len: uint32(k.n)}
}

// own is this rank's data of a piece.
func (o *fileOp) own(from, n int64) layout.Span { return o.buf.Part(uint32(from-o.from), uint32(n)) }

// stageRound begins a round, unless all are over.
func (p *Proc) stageRound(o *fileOp) (int, error) {
	x, f := o.plan, o.file
	if x.round >= x.rounds() {
		return stageEnd, nil
	}
	me := f.comm().me
	for i := range x.nodes { // what is read is received before it is sent, so that it need not be kept
		to := f.aggregator(i, x.nodes)
		lo, hi := x.part(i)
		from, n := x.share(&f.view.placing, me, lo, hi)
		if n == 0 || to == me {
			continue
		}
		if err := p.add(x, f, o.write, to, tagData, o.own(from, n)); err != nil {
			return 0, err
		}
	}
	if i := x.node(f); i >= 0 {
		lo, hi := x.part(i)
		if lo < hi {
			return stageMoved, p.serveRound(o, lo, hi)
		}
	}
	return stageMoved, nil
}

// serveRound is an aggregator's part of that.
func (p *Proc) serveRound(o *fileOp, lo, hi int64) error {
	x, f := o.plan, o.file
	list, parts := x.pieces(f, lo, hi)
	if len(list) == 0 {
		return nil
	}
	x.host, x.parts = room(x.host, hi-lo), room(x.parts, parts)
	if !o.write {
		if err := o.fail(p.readWindow(o, list, lo)); err != nil {
			return err
		}
	}
	for i := range list {
		k := &list[i]
		here := x.span(k)
		if !o.write {
			here = x.gather(f, k, lo)
		}
		switch own := k.rank == f.comm().me; {
		case own && o.write:
			p.pack(p.bytes(here), o.own(k.from, k.n))
		case own:
			p.unpack(o.own(k.from, k.n), p.bytes(here))
			o.done += int64(here.Len)
		default:
			if err := p.add(x, f, !o.write, k.rank, tagData, here); err != nil {
				return err
			}
		}
	}
	return nil
}

// room is memory of n bytes; what was there before is used again if it fits.
func room(have *layout.Buffer, n int64) *layout.Buffer {
	if have != nil && int64(cap(have.Bytes)) >= n {
		have.Bytes = have.Bytes[:n]
		return have
	}
	return &layout.Buffer{Bytes: make([]byte, n)}
}

// readWindow reads what the pieces lie in.
func (p *Proc) readWindow(o *fileOp, list []piece, lo int64) error {
	x, f := o.plan, o.file
	x.read = 0
	first, last := int64(len(x.host.Bytes)), int64(0)
	for i := range list {
		k := &list[i]
		v := x.placing(f, k.rank)
		first = min(first, v.place(k.from)-lo)
		last = max(last, v.place(k.from+k.n-1)+1-lo)
	}
	opened, err := p.opened(f)
	if err != nil {
		return err
	}
	n := 0
	p.away(func() { n, err = readFull(opened, x.host.Bytes[first:last], lo+first) })
	x.read = first + int64(n)
	return fileFault(f.name, err)
}

// gather is what was read of a piece: less than all of it if the file has ended.
func (x *twoPhase) gather(f *file, k *piece, lo int64) layout.Span {
	v := x.placing(f, k.rank)
	n := max(0, min(k.n, v.before(lo+x.read)-k.from))
	s := x.span(k)
	s.Len = uint32(n)
	if k.at < 0 {
		to := x.parts.Bytes[k.off:]
		v.runs(k.from, n, func(at, n int64) bool {
			copy(to[:n], x.host.Bytes[at-lo:])
			to = to[n:]
			return true
		})
	}
	return s
}

// stageMoved ends a round: what an aggregator has got is written.
func (p *Proc) stageMoved(o *fileOp) (int, error) {
	x, f := o.plan, o.file
	if !p.moved(x) {
		return waits, nil
	}
	received, err := p.endRound(x)
	if err := o.fail(err); err != nil {
		return 0, err
	}
	if !o.write {
		o.done += received
	} else if i := x.node(f); i >= 0 {
		if err := o.fail(p.writeWindow(o, i)); err != nil {
			return 0, err
		}
	}
	if x.round++; x.round >= x.rounds() && o.write && o.class == 0 {
		o.done = int64(o.buf.Len)
	}
	return stageRound, nil
}

// writeWindow writes what the ranks have sent, and nothing in between.
func (p *Proc) writeWindow(o *fileOp, node int) error {
	x, f := o.plan, o.file
	lo, hi := x.part(node)
	if lo >= hi || o.class != 0 {
		return nil
	}
	list, _ := x.pieces(f, lo, hi)
	if len(list) == 0 {
		return nil
	}
	opened, err := p.opened(f)
	if err != nil {
		return err
	}
	p.away(func() {
		written := coverage{bits: make([]uint64, (hi-lo+63)/64)}
		for i := range list {
			k := &list[i]
			if k.at >= 0 {
				written.add(k.at, k.n)
				continue
			}
			part := x.parts.Bytes[k.off:]
			x.placing(f, k.rank).runs(k.from, k.n, func(at, n int64) bool {
				copy(x.host.Bytes[at-lo:], part[:n])
				part = part[n:]
				written.add(at-lo, n)
				return true
			})
		}
		for at, n := written.next(0, hi-lo); n > 0 && err == nil; at, n = written.next(at+n, hi-lo) {
			_, err = opened.WriteAt(x.host.Bytes[at:at+n], lo+at)
		}
	})
	f.unsynced = true
	return fileFault(f.name, err)
}

// coverage says which bytes of a window are to be written.
type coverage struct{ bits []uint64 }

func (c *coverage) add(at, n int64) {
	for n > 0 {
		shift := at % 64
		k := min(n, 64-shift)
		c.bits[at/64] |= (^uint64(0) >> (64 - k)) << shift
		at, n = at+k, n-k
	}
}

// next is the first run of bytes that are, from a place on.
func (c *coverage) next(from, end int64) (at, n int64) {
	at = c.find(from, end, 0)
	return at, c.find(at, end, ^uint64(0)) - at
}

// find is the first byte from a place on that is covered, or with flip that is not; the end if there is none.
func (c *coverage) find(from, end int64, flip uint64) int64 {
	for from < end {
		if word := (c.bits[from/64] ^ flip) >> (from % 64); word != 0 {
			return min(end, from+int64(bits.TrailingZeros64(word)))
		}
		from += 64 - from%64
	}
	return end
}
