package mpi

import "github.com/godwit-run/godwit/mpi/abi"

// windowWait is what a synchronisation waits for: something of each of some ranks of a window. It is in vain when that is
// missing of a rank that has ended.
type windowWait struct {
	p       *Proc
	w       *window
	ranks   []int
	missing func(rank int) bool
	ended   int // the rank that it is missing of for ever, or undefined
}

func (p *Proc) windowWait(w *window, ranks []int, missing func(rank int) bool) *windowWait {
	return &windowWait{p: p, w: w, ranks: ranks, missing: missing, ended: abi.Undefined}
}

// accesses is the wait for the end of this rank's accesses to some ranks.
func (p *Proc) accesses(w *window, ranks []int) *windowWait {
	return p.windowWait(w, ranks, func(r int) bool { return w.origins[r].local > 0 || w.origins[r].waiting > 0 })
}

// done reports whether there is nothing to wait for any more.
func (x *windowWait) done() bool {
	x.ended = abi.Undefined
	over := true
	for _, r := range x.ranks {
		if !x.missing(r) {
			continue
		}
		if over = false; x.p.gone(x.w.comm.group.ranks[r]) {
			x.ended = r
			return true
		}
	}
	return over
}

// err says which rank the wait was in vain for.
func (x *windowWait) err() error {
	if x.ended == abi.Undefined {
		return nil
	}
	return status{source: x.w.comm.group.ranks[x.ended], class: classNotFreed}.endedError()
}

// await blocks until the wait is over, as Proc.await does.
func (x *windowWait) await(reqs []uint32) error {
	if err := x.p.await(reqs, x.done); err != nil {
		return err
	}
	return x.err()
}
