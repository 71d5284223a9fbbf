package mpi

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/godwit-run/godwit/mpi/abi"
)

// interDrill is a drill on an intercommunicator: me and size are of the local group, whose first rank is low in the world.
type interDrill struct {
	*drill
	low, otherLow, otherSize int
	rooted                   bool // the root is in this group
}

// interDrills are the collectives that intercommunicators have (MPI 5.0 section 6.2.2).
var interDrills = map[string]func(d *interDrill) answer{
	"Barrier":              (*interDrill).barrier,
	"Bcast":                (*interDrill).bcast,
	"Reduce":               (*interDrill).reduce,
	"Allreduce":            (*interDrill).allreduce,
	"Reduce_scatter_block": (*interDrill).reduceScatterBlock,
	"Reduce_scatter":       (*interDrill).reduceScatter,
	"Gather":               (*interDrill).gather,
	"Gatherv":              (*interDrill).gatherv,
	"Scatter":              (*interDrill).scatter,
	"Scatterv":             (*interDrill).scatterv,
	"Allgather":            (*interDrill).allgather,
	"Allgatherv":           (*interDrill).allgatherv,
	"Alltoall":             (*interDrill).alltoall,
	"Alltoallv":            (*interDrill).alltoallv,
}

// Collectives over intercommunicators with groups of all sizes, in all forms.
func TestInterForms(t *testing.T) {
	s := seed(t)
	for a := 1; a <= 5; a++ {
		for b := 1; b <= 4; b++ {
			t.Run(fmt.Sprint(a, "+", b), func(t *testing.T) {
				var entered atomic.Int64
				run1(t, a+b, func(g *guest) { interForms(t, g, s, a, b, &entered) })
			})
		}
	}
}

func interForms(t *testing.T, g *guest, seed uint64, a, b int, entered *atomic.Int64) {
	x := newDriller(t, g, seed, entered)
	left := g.rank < a
	g.call("MPI_Comm_split", abi.CommWorld, truth(left), 0, drillReq)
	g.call("MPI_Intercomm_create", g.int(drillReq), 0, abi.CommWorld, pick(left, a, 0), 1, drillReq)
	comm := g.int(drillReq)
	for _, name := range drillNames {
		f := interDrills[name]
		if f == nil {
			continue
		}
		for form := range forms3 {
			for _, n := range []int{0, 1, 40} {
				d := &interDrill{drill: x.draw(name, n)}
				if reduces(name) {
					x.reduce(d.drill)
				}
				rootLeft := x.rnd.IntN(2) == 0
				d.root = x.rnd.IntN(pick(rootLeft, a, b))
				d.comm, d.place, d.rooted = comm, false, rootLeft == left
				d.low, d.size, d.otherLow, d.otherSize = 0, a, a, b
				if !left {
					d.low, d.size, d.otherLow, d.otherSize = a, b, 0, a
				}
				d.me = g.rank - d.low
				d.run(form, f(d))
			}
		}
	}
}

// rootArg is what a rank passes for the root.
func (d *interDrill) rootArg() int {
	switch {
	case !d.rooted:
		return d.root
	case d.me == d.root:
		return abi.RootHere
	}
	return abi.ProcNull
}

// isRoot reports whether this rank is the root; its world rank is rootRank.
func (d *interDrill) isRoot() bool  { return d.rooted && d.me == d.root }
func (d *interDrill) rootRank() int { return pick(d.rooted, d.low, d.otherLow) + d.root }

func (d *interDrill) barrier() answer {
	a := d.drill.barrier()
	size := d.size
	a.check = func() {
		d.size = d.otherSize + size
		d.drill.barrier().check()
		d.size = size
	}
	return a
}

func (d *interDrill) bcast() answer {
	s := pick(d.isRoot(), d.send, d.recv)
	v := func() []int { return d.items(d.rootRank(), 0, d.n) }
	return answer{
		args: []int{rbuf, d.n, s.typ, d.rootArg(), d.comm},
		fill: func() {
			d.blank(rbuf, d.n*s.step)
			if d.isRoot() {
				d.put(rbuf, s, v())
			}
		},
		check: func() {
			if !d.rooted || d.isRoot() {
				d.expect(rbuf, s, v())
			}
		},
	}
}

// fillOperand stores what this rank reduces.
func (d *interDrill) fillOperand(n int) func() {
	return func() {
		d.blank(rbuf, n*d.recv.step)
		d.put(sbuf, d.send, d.operand(d.low+d.me, n))
	}
}

// others is the reduction over the other group, in the order of its ranks.
func (d *interDrill) others(n int) []int { return d.reduced(d.otherLow, d.otherLow+d.otherSize-1, n) }

func (d *interDrill) reduce() answer {
	return answer{
		args: []int{sbuf, rbuf, d.n, d.send.typ, d.red.op, d.rootArg(), d.comm},
		fill: d.fillOperand(d.n),
		check: func() {
			if d.isRoot() {
				d.expect(rbuf, d.recv, d.others(d.n))
			}
		},
	}
}

func (d *interDrill) allreduce() answer {
	return answer{
		args:  []int{sbuf, rbuf, d.n, d.send.typ, d.red.op, d.comm},
		fill:  d.fillOperand(d.n),
		check: func() { d.expect(rbuf, d.recv, d.others(d.n)) },
	}
}

// The groups' vectors are equally long, and each group divides the other's result among its ranks.
func (d *interDrill) reduceScatterBlock() answer {
	each, total := d.n*d.otherSize, d.n*d.size*d.otherSize
	return answer{
		args: []int{sbuf, rbuf, each, d.send.typ, d.red.op, d.comm},
		fill: d.fillOperand(total),
		check: func() {
			w := each * d.red.width
			d.expect(rbuf, d.recv, d.others(total)[d.me*w:(d.me+1)*w])
		},
	}
}

func (d *interDrill) reduceScatter() answer {
	total := d.n * d.size * d.otherSize
	count := func(r int) int { return pick(r == d.size-1, total-(d.size-1)*(d.n/2), d.n/2) }
	for r := range d.size {
		d.setCount(drillA, r, count(r))
	}
	return answer{
		args: []int{sbuf, rbuf, drillA, d.send.typ, d.red.op, d.comm},
		fill: d.fillOperand(total),
		check: func() {
			at := d.me * (d.n / 2) * d.red.width
			d.expect(rbuf, d.recv, d.others(total)[at:at+count(d.me)*d.red.width])
		},
	}
}

// fromOthers is what a rank receives of each of the other group; parts stand where displacements say, or one behind the other.
func (d *interDrill) fromOthers(wants bool, count func(r int) int, at func(r int) int, item func(r int) []int) (fill, check func()) {
	return func() {
			for r := range d.otherSize {
				d.blank(rbuf+at(r)*d.recv.step, count(r)*d.recv.step)
			}
		}, func() {
			for r := range d.otherSize * truth(wants) {
				d.expect(rbuf+at(r)*d.recv.step, d.recv, item(r))
			}
		}
}

// part is the size of a rank's part in forms with counts.
func (d *interDrill) part(worldRank int) int { return d.n * (worldRank % 3) }

// lay writes counts and displacements of parts for or from the other group, in reverse order.
func (d *interDrill) lay(counts, displs int, count func(r int) int) func(r int) int {
	at := 0
	for r := d.otherSize - 1; r >= 0; r-- {
		d.setCount(counts, r, count(r))
		d.setInts(displs+4*r, at)
		at += count(r) + 1
	}
	return func(r int) int { return d.int(displs + 4*r) }
}

// gathers is one of the four gathering collectives.
func (d *interDrill) gathers(all, each bool) answer {
	mine, wants := d.low+d.me, all || d.isRoot()
	count := func(r int) int { return pick(each, d.part(d.otherLow+r), d.n) }
	n := pick(each, d.part(mine), d.n)
	at := func(r int) int { return r * d.n }
	args := []int{sbuf, n, d.send.typ, rbuf, d.n, d.recv.typ}
	if each {
		at = d.lay(drillA, drillB, count)
		args = []int{sbuf, n, d.send.typ, rbuf, drillA, drillB, d.recv.typ}
	}
	if !all {
		args = append(args, d.rootArg())
	}
	fill, check := d.fromOthers(wants, count, at, func(r int) []int { return d.items(d.otherLow+r, 0, count(r)) })
	return answer{
		args: append(args, d.comm),
		fill: func() {
			fill()
			d.put(sbuf, d.send, d.items(mine, 0, n))
		},
		check: check,
	}
}

func (d *interDrill) gather() answer     { return d.gathers(false, false) }
func (d *interDrill) gatherv() answer    { return d.gathers(false, true) }
func (d *interDrill) allgather() answer  { return d.gathers(true, false) }
func (d *interDrill) allgatherv() answer { return d.gathers(true, true) }

func (d *interDrill) scatters(each bool) answer {
	mine, root := d.low+d.me, d.rootRank()
	count := func(r int) int { return pick(each, d.part(d.otherLow+r), d.n) }
	n := pick(each, d.part(mine), d.n)
	at := func(r int) int { return r * d.n }
	args := []int{sbuf, d.n, d.send.typ}
	if each {
		at = d.lay(drillA, drillB, count)
		args = []int{sbuf, drillA, drillB, d.send.typ}
	}
	return answer{
		args: append(args, rbuf, n, d.recv.typ, d.rootArg(), d.comm),
		fill: func() {
			d.blank(rbuf, n*d.recv.step)
			for r := range d.otherSize {
				d.put(sbuf+at(r)*d.send.step, d.send, d.items(root, d.otherLow+r, count(r)))
			}
		},
		check: func() {
			if !d.rooted {
				d.expect(rbuf, d.recv, d.items(root, mine, n))
			}
		},
	}
}

func (d *interDrill) scatter() answer  { return d.scatters(false) }
func (d *interDrill) scatterv() answer { return d.scatters(true) }

func (d *interDrill) alltoalls(each bool) answer {
	mine := d.low + d.me
	count := func(r int) int { return pick(each, d.n*((mine+d.otherLow+r)%3), d.n) }
	out, in := func(r int) int { return r * d.n }, func(r int) int { return r * d.n }
	args := []int{sbuf, d.n, d.send.typ, rbuf, d.n, d.recv.typ, d.comm}
	if each {
		out, in = d.lay(drillA, drillB, count), d.lay(drillD, drillE, count)
		args = []int{sbuf, drillA, drillB, d.send.typ, rbuf, drillD, drillE, d.recv.typ, d.comm}
	}
	fill, check := d.fromOthers(true, count, in, func(r int) []int { return d.items(d.otherLow+r, mine, count(r)) })
	return answer{
		args: args,
		fill: func() {
			fill()
			for r := range d.otherSize {
				d.put(sbuf+out(r)*d.send.step, d.send, d.items(mine, d.otherLow+r, count(r)))
			}
		},
		check: check,
	}
}

func (d *interDrill) alltoall() answer  { return d.alltoalls(false) }
func (d *interDrill) alltoallv() answer { return d.alltoalls(true) }
