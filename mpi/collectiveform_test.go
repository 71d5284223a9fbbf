package mpi

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/coll"
)

// drills are all collectives of MPI 5.0 chapter 6.
var drills = map[string]func(d *drill) answer{
	"Barrier":              (*drill).barrier,
	"Bcast":                (*drill).bcast,
	"Reduce":               (*drill).reduce,
	"Allreduce":            (*drill).allreduce,
	"Scan":                 (*drill).scan,
	"Exscan":               (*drill).exscan,
	"Reduce_scatter_block": (*drill).reduceScatterBlock,
	"Reduce_scatter":       (*drill).reduceScatter,
	"Gather":               (*drill).gather,
	"Gatherv":              (*drill).gatherv,
	"Scatter":              (*drill).scatter,
	"Scatterv":             (*drill).scatterv,
	"Allgather":            (*drill).allgather,
	"Allgatherv":           (*drill).allgatherv,
	"Alltoall":             (*drill).alltoall,
	"Alltoallv":            (*drill).alltoallv,
	"Alltoallw":            (*drill).alltoallw,
}

// names of drills, in an order that all ranks share.
var drillNames = []string{
	"Barrier", "Bcast", "Reduce", "Allreduce", "Scan", "Exscan", "Reduce_scatter_block", "Reduce_scatter", "Gather", "Gatherv",
	"Scatter", "Scatterv", "Allgather", "Allgatherv", "Alltoall", "Alltoallv", "Alltoallw",
}

func reduces(name string) bool {
	switch name {
	case "Reduce", "Allreduce", "Scan", "Exscan", "Reduce_scatter_block", "Reduce_scatter":
		return true
	}
	return false
}

// runDrills makes collectives with each count on size ranks, in all forms or in one that the seed chooses.
func runDrills(t *testing.T, size int, seed uint64, allForms bool, names []string, counts []int) {
	var entered atomic.Int64
	run1(t, size, func(g *guest) {
		x := newDriller(t, g, seed, &entered)
		for _, name := range names {
			for form := range forms3 {
				if !allForms && form != x.rnd.IntN(forms3) {
					continue
				}
				for _, n := range counts {
					d := x.draw(name, n)
					if reduces(name) {
						x.reduce(d)
					}
					d.run(form, drills[name](d))
				}
			}
		}
	})
}

// Every collective, blocking, nonblocking and persistent, against a naive recomputation, on 1 to 17 ranks, with counts around
// the limits of algorithm.go (MPI 5.0 chapter 6).
func TestCollectiveForms(t *testing.T) {
	s := seed(t)
	for size := 1; size <= 17; size++ {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			runDrills(t, size, s, true, drillNames, []int{0, 1, 5, coll.SmallExchange / 4, coll.SmallExchange/4 + 1})
		})
	}
}

// The algorithms for much data: parts of a broadcast that go round, halving, pairs, the ring.
func TestLargeCollectives(t *testing.T) {
	s := seed(t)
	for _, size := range []int{2, 3, 4, 7, 8, 13} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			runDrills(t, size, s, false, []string{"Bcast"}, []int{coll.LargeBcast/4 - 1, coll.LargeBcast/4 + 3})
			runDrills(t, size, s+1, false, []string{"Allreduce", "Reduce", "Allreduce"}, []int{coll.LargeReduction / 8, coll.LargeReduction/4 + 5})
			runDrills(t, size, s+2, false, []string{"Reduce_scatter", "Reduce_scatter_block", "Reduce_scatter"}, []int{coll.LargeReduction/4/size + 7})
			runDrills(t, size, s+3, false, []string{"Allgather", "Allgatherv"}, []int{coll.SmallGather/4/size + 3})
			runDrills(t, size, s+4, false, []string{"Alltoall", "Alltoallv"}, []int{400})
		})
	}
}

func (d *drill) barrier() answer {
	return answer{
		args: []int{d.comm},
		fill: func() {
			*d.mine++
			d.entered.Add(1)
		},
		check: func() { // every rank has come as often as this one
			require.GreaterOrEqual(d.t, d.entered.Load(), int64(*d.mine*d.size))
		},
	}
}

func (d *drill) bcast() answer {
	s := pick(d.me == d.root, d.send, d.recv)
	return answer{
		args: []int{rbuf, d.n, s.typ, d.root, d.comm},
		fill: func() {
			d.blank(rbuf, d.n*s.step)
			if d.me == d.root {
				d.put(rbuf, s, d.items(d.root, 0, d.n))
			}
		},
		check: func() { d.expect(rbuf, s, d.items(d.root, 0, d.n)) },
	}
}

// input fills the operand of a reduction, and says what to pass for it.
func (d *drill) input(place bool, n int) (ptr int, fill func()) {
	return pick(place, abi.InPlace, sbuf), func() {
		d.blank(rbuf, n*d.recv.step)
		d.put(pick(place, rbuf, sbuf), d.send, d.operand(d.me, n))
	}
}

func (d *drill) reduce() answer {
	in, fill := d.input(d.place && d.me == d.root, d.n)
	return answer{
		args: []int{in, rbuf, d.n, d.send.typ, d.red.op, d.root, d.comm},
		fill: fill,
		check: func() {
			if d.me == d.root {
				d.expect(rbuf, d.recv, d.reduced(0, d.size-1, d.n))
			}
		},
	}
}

func (d *drill) over(ranks func() (first, last int)) answer {
	in, fill := d.input(d.place, d.n)
	return answer{
		args: []int{in, rbuf, d.n, d.send.typ, d.red.op, d.comm},
		fill: fill,
		check: func() {
			if first, last := ranks(); last >= first {
				d.expect(rbuf, d.recv, d.reduced(first, last, d.n))
			}
		},
	}
}

func (d *drill) allreduce() answer { return d.over(func() (int, int) { return 0, d.size - 1 }) }
func (d *drill) scan() answer      { return d.over(func() (int, int) { return 0, d.me }) }
func (d *drill) exscan() answer    { return d.over(func() (int, int) { return 0, d.me - 1 }) }

func (d *drill) reduceScatterBlock() answer {
	in, fill := d.input(d.place, d.n*d.size)
	return answer{
		args: []int{in, rbuf, d.n, d.send.typ, d.red.op, d.comm},
		fill: fill,
		check: func() {
			w := d.n * d.red.width
			d.expect(rbuf, d.recv, d.reduced(0, d.size-1, d.n*d.size)[d.me*w:(d.me+1)*w])
		},
	}
}

// uneven is the size of a rank's part in collectives with counts.
func (d *drill) uneven(rank int) int { return d.n * (rank % 3) * truth(rank != 4) }

func (d *drill) reduceScatter() answer {
	total, before := 0, 0
	for r := range d.size {
		d.setCount(drillA, r, d.uneven(r))
		if r < d.me {
			before += d.uneven(r)
		}
		total += d.uneven(r)
	}
	in, fill := d.input(d.place, total)
	return answer{
		args: []int{in, rbuf, drillA, d.send.typ, d.red.op, d.comm},
		fill: fill,
		check: func() {
			w := d.red.width
			d.expect(rbuf, d.recv, d.reduced(0, d.size-1, total)[before*w:(before+d.uneven(d.me))*w])
		},
	}
}

// here reports whether this rank is the root of a gather or scatter in place: its part is where it belongs.
func (d *drill) here() bool { return d.place && d.me == d.root }

func (d *drill) gather() answer {
	part := d.n * d.recv.step
	return answer{
		args: []int{pick(d.here(), abi.InPlace, sbuf), d.n, d.send.typ, rbuf, d.n, d.recv.typ, d.root, d.comm},
		fill: func() {
			d.blank(rbuf, part*d.size)
			d.put(sbuf, d.send, d.items(d.me, 0, d.n))
			if d.here() {
				d.put(rbuf+part*d.me, d.recv, d.items(d.me, 0, d.n))
			}
		},
		check: func() {
			for r := range d.size * truth(d.me == d.root) {
				d.expect(rbuf+part*r, d.recv, d.items(r, 0, d.n))
			}
		},
	}
}

// spreadParts writes counts and displacements: parts stand in reverse order with gaps of two elements.
func (d *drill) spreadParts(counts, displs, unit int, count func(rank int) int) (bytes int) {
	at := 0
	for r := d.size - 1; r >= 0; r-- {
		d.setCount(counts, r, count(r))
		d.setInts(displs+4*r, at*unit)
		at += count(r) + 2
	}
	return at
}

func (d *drill) gatherv() answer {
	total := d.spreadParts(drillA, drillB, 1, d.uneven)
	part := func(r int) int { return rbuf + d.int(drillB+4*r)*d.recv.step }
	n := d.uneven(d.me)
	return answer{
		args: []int{pick(d.here(), abi.InPlace, sbuf), n, d.send.typ, rbuf, drillA, drillB, d.recv.typ, d.root, d.comm},
		fill: func() {
			d.blank(rbuf, total*d.recv.step)
			d.put(sbuf, d.send, d.items(d.me, 0, n))
			if d.here() {
				d.put(part(d.me), d.recv, d.items(d.me, 0, n))
			}
		},
		check: func() {
			for r := range d.size * truth(d.me == d.root) {
				d.expect(part(r), d.recv, d.items(r, 0, d.uneven(r)))
			}
		},
	}
}

func (d *drill) scatter() answer {
	part := d.n * d.send.step
	return answer{
		args: []int{sbuf, d.n, d.send.typ, pick(d.here(), abi.InPlace, rbuf), d.n, d.recv.typ, d.root, d.comm},
		fill: func() {
			d.blank(rbuf, d.n*d.recv.step)
			for r := range d.size {
				d.put(sbuf+part*r, d.send, d.items(d.root, r, d.n))
			}
		},
		check: func() {
			if !d.here() {
				d.expect(rbuf, d.recv, d.items(d.root, d.me, d.n))
			}
		},
	}
}

func (d *drill) scatterv() answer {
	d.spreadParts(drillA, drillB, 1, d.uneven)
	n := d.uneven(d.me)
	return answer{
		args: []int{sbuf, drillA, drillB, d.send.typ, pick(d.here(), abi.InPlace, rbuf), n, d.recv.typ, d.root, d.comm},
		fill: func() {
			d.blank(rbuf, n*d.recv.step)
			for r := range d.size {
				d.put(sbuf+d.int(drillB+4*r)*d.send.step, d.send, d.items(d.root, r, d.uneven(r)))
			}
		},
		check: func() {
			if !d.here() {
				d.expect(rbuf, d.recv, d.items(d.root, d.me, n))
			}
		},
	}
}

func (d *drill) allgather() answer {
	part := d.n * d.recv.step
	return answer{
		args: []int{pick(d.place, abi.InPlace, sbuf), d.n, d.send.typ, rbuf, d.n, d.recv.typ, d.comm},
		fill: func() {
			d.blank(rbuf, part*d.size)
			d.put(sbuf, d.send, d.items(d.me, 0, d.n))
			if d.place {
				d.put(rbuf+part*d.me, d.recv, d.items(d.me, 0, d.n))
			}
		},
		check: func() {
			for r := range d.size {
				d.expect(rbuf+part*r, d.recv, d.items(r, 0, d.n))
			}
		},
	}
}

func (d *drill) allgatherv() answer {
	total := d.spreadParts(drillA, drillB, 1, d.uneven)
	part := func(r int) int { return rbuf + d.int(drillB+4*r)*d.recv.step }
	n := d.uneven(d.me)
	return answer{
		args: []int{pick(d.place, abi.InPlace, sbuf), n, d.send.typ, rbuf, drillA, drillB, d.recv.typ, d.comm},
		fill: func() {
			d.blank(rbuf, total*d.recv.step)
			d.put(sbuf, d.send, d.items(d.me, 0, n))
			if d.place {
				d.put(part(d.me), d.recv, d.items(d.me, 0, n))
			}
		},
		check: func() {
			for r := range d.size {
				d.expect(part(r), d.recv, d.items(r, 0, d.uneven(r)))
			}
		},
	}
}

func (d *drill) alltoall() answer {
	in, out := d.n*d.recv.step, d.n*d.send.step
	return answer{
		args: []int{pick(d.place, abi.InPlace, sbuf), d.n, d.send.typ, rbuf, d.n, d.recv.typ, d.comm},
		fill: func() {
			for r := range d.size {
				d.put(sbuf+out*r, d.send, d.items(d.me, r, d.n))
				d.blank(rbuf+in*r, in)
				if d.place {
					d.put(rbuf+in*r, d.recv, d.items(d.me, r, d.n))
				}
			}
		},
		check: func() {
			for r := range d.size {
				d.expect(rbuf+in*r, d.recv, d.items(r, d.me, d.n))
			}
		},
	}
}

// between is how much two ranks exchange, the same both ways as MPI_IN_PLACE wants it.
func (d *drill) between(a, b int) int { return (d.n + a*b%5) * truth((a+b)%3 > 0) * truth(d.n > 0) }

func (d *drill) alltoallv() answer { return d.exchange(false) }
func (d *drill) alltoallw() answer { return d.exchange(true) }

// exchange is MPI_Alltoallv, or MPI_Alltoallw where every other rank has the other side's shape.
func (d *drill) exchange(each bool) answer {
	shapes := func(s, other shape, r int) shape { return pick(each && r%2 == 1, other, s) }
	out := func(r int) shape { return shapes(d.send, d.recv, r) }
	in := func(r int) shape { return shapes(d.recv, d.send, r) }
	count := func(r int) int { return d.between(d.me, r) }
	d.spreadParts(drillA, drillB, pick(each, 8, 1), count)
	d.spreadParts(drillD, drillE, pick(each, 8, 1), count)
	args := []int{pick(d.place, abi.InPlace, sbuf), drillA, drillB, d.send.typ, rbuf, drillD, drillE, d.recv.typ, d.comm}
	if each {
		for r := range d.size {
			d.setInts(drillC+4*r, out(r).typ)
			d.setInts(drillF+4*r, in(r).typ)
		}
		args[3], args[7] = drillC, drillF
	}
	part := func(base, displs, r int, s shape) int { return base + d.int(displs+4*r)*pick(each, 1, s.step) }
	return answer{
		args: args,
		fill: func() {
			for r := range d.size {
				d.put(part(sbuf, drillB, r, out(r)), out(r), d.items(d.me, r, count(r)))
				d.blank(part(rbuf, drillE, r, in(r)), count(r)*in(r).step)
				if d.place {
					d.put(part(rbuf, drillE, r, in(r)), in(r), d.items(d.me, r, count(r)))
				}
			}
		},
		check: func() {
			for r := range d.size {
				d.expect(part(rbuf, drillE, r, in(r)), in(r), d.items(r, d.me, count(r)))
			}
		},
	}
}
