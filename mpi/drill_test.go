package mpi

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
)

// drill is one collective with parameters that a seed chose, the same on all ranks. It fills the buffers, makes the call
// in one of its forms and compares with a naive recomputation.
type drill struct {
	*guest
	t    *testing.T
	name string

	comm     int
	me, size int // in comm
	n, root  int
	place    bool
	large    bool  // MPI_X_c
	send     shape // of what a rank sends
	recv     shape
	red      reducing
	round    int           // of a persistent collective: gives other data
	entered  *atomic.Int64 // barriers of all ranks
	mine     *int          // of this rank
}

// shape is a datatype of one element, step bytes apart, that holds width ints.
type shape struct{ typ, step, width int }

// answer is what a drill calls, how it fills buffers and what it finds in them.
type answer struct {
	args  []int
	fill  func()
	check func()
}

// Forms of a collective (MPI 5.0 sections 6.12 and 6.13).
const (
	formBlocking   = 0
	formNonblock   = 1
	formPersistent = 2
	forms3         = 3
)

const (
	drillReq    = 16
	drillStatus = 32
	drillA      = 256 // arrays of counts and the like
	drillB      = 512
	drillC      = 768
	drillD      = 1024
	drillE      = 1280
	drillF      = 1536
)

// run makes the call in a form; a persistent one is started twice.
func (d *drill) run(form int, a answer) {
	what := func() string {
		return fmt.Sprintf("MPI_%s form %d large %v comm %#x n %d root %d place %v send %v recv %v op %#x",
			d.name, form, d.large, d.comm, d.n, d.root, d.place, d.send, d.recv, d.red.op)
	}
	defer func() {
		if r := recover(); r != nil {
			panic(fmt.Sprint(what(), ": ", r))
		}
	}()
	call := func(name string, extra ...int) {
		d.call("MPI_"+name+pick(d.large, "_c", ""), append(a.args, extra...)...)
	}
	switch form {
	case formBlocking:
		a.fill()
		call(d.name)
		a.check()
	case formNonblock:
		a.fill()
		call("I"+string(d.name[0]|0x20)+d.name[1:], drillReq)
		d.call("MPI_Wait", drillReq, drillStatus)
		a.check()
	default:
		call(d.name+"_init", abi.InfoNull, drillReq)
		for d.round = range 2 {
			a.fill()
			d.call("MPI_Start", drillReq)
			d.call("MPI_Wait", drillReq, drillStatus)
			a.check()
		}
		d.round = 0
		d.call("MPI_Request_free", drillReq)
	}
	if d.t.Failed() {
		d.t.Log(what())
		d.t.FailNow()
	}
}

// setCount stores the i-th of an array of counts.
func (d *drill) setCount(at, i, n int) {
	if d.large {
		order.PutUint64(d.mem[at+8*i:], uint64(n))
		return
	}
	d.setInts(at+4*i, n)
}

// item is int i of what one rank has for another.
func (d *drill) item(from, to, i int) int { return d.round*500_009 + from*10_007 + to*101 + i*7 + 1 }

func (d *drill) items(from, to, n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = d.item(from, to, i)
	}
	return out
}

const untouched = -0x01010102 // memory before a drill

// blank makes a region's untouched bytes known.
func (g *guest) blank(at, bytes int) {
	b := g.mem[at : at+bytes]
	for i := range b {
		b[i] = 0xfe
	}
}

// put stores elements, over untouched memory.
func (d *drill) put(at int, s shape, v []int) {
	n := len(v) / s.width
	d.blank(at, n*s.step)
	for i := range n {
		d.setInts(at+i*s.step, v[i*s.width:(i+1)*s.width]...)
	}
}

// expect compares elements in memory, and that nobody has written between them.
func (d *drill) expect(at int, s shape, want []int) {
	n := len(want) / s.width
	all := d.ints(at, n*s.step/4)
	each := s.step / 4
	for i := range n {
		for k := range each {
			w := untouched
			if k < s.width {
				w = want[i*s.width+k]
			}
			if all[i*each+k] != w {
				require.Equal(d.t, w, all[i*each+k], "element %d int %d, rank %d of %d", i, k, d.me, d.size)
			}
		}
	}
}

// reducing is an operation with the elements it works on.
type reducing struct {
	op    int
	width int // ints of an element
	elem  func(v []int)
	fold  func(left, right []int) // into right
}

const (
	affineFn = 7 // the number of the program's function
	prime    = 9973
)

// affine composes x*a + b maps, into the second: it is associative, and does not commute.
func affine(f, g []int) { g[0], g[1] = f[0]*g[0]%prime, (f[1]*g[0]+g[1])%prime }

// defineAffine makes the program's function and gives its operation's handle (MPI 5.0 section 6.9.5): inout = in op inout.
func (g *guest) defineAffine(typ, step int) int {
	g.functions[affineFn] = func(p ...uint32) uint32 {
		if got := int(order.Uint32(g.mem[p[3]:])); got != typ {
			panic(fmt.Sprintf("the operation is given type %#x, not %#x", got, typ))
		}
		for i := range g.int(int(p[2])) {
			in, out := int(p[0])+i*step, int(p[1])+i*step
			right := g.ints(out, 2)
			affine(g.ints(in, 2), right)
			g.setInts(out, right...)
		}
		return 0
	}
	g.call("MPI_Op_create", affineFn, 0, drillReq)
	return g.int(drillReq)
}

// reducings are the operations of drills; affine elements are in pairs.
func reducings(affineOp int) []reducing {
	return []reducing{
		{op: abi.OpSum, width: 1, elem: func([]int) {}, fold: func(l, r []int) { r[0] += l[0] }},
		{op: abi.OpMax, width: 1, elem: func(v []int) { v[0] %= 1009 }, fold: func(l, r []int) { r[0] = max(l[0], r[0]) }},
		{op: abi.OpMinloc, width: 2, elem: func(v []int) { v[0] %= 3 }, fold: func(l, r []int) {
			if l[0] < r[0] || (l[0] == r[0] && l[1] < r[1]) {
				copy(r, l)
			}
		}},
		{op: affineOp, width: 2, elem: func(v []int) { v[0], v[1] = v[0]%prime, v[1]%prime }, fold: affine},
	}
}

// operand is what a rank reduces: n elements.
func (d *drill) operand(rank, n int) []int {
	v := d.items(rank, 0, n*d.red.width)
	for i := range n {
		d.red.elem(v[i*d.red.width : (i+1)*d.red.width])
	}
	return v
}

// reduced folds the operands of the ranks from first on, in their order.
func (d *drill) reduced(first, last, n int) []int {
	acc := d.operand(first, n)
	for r := first + 1; r <= last; r++ {
		v := d.operand(r, n)
		for i := 0; i < len(acc); i += d.red.width {
			d.red.fold(acc[i:i+d.red.width], v[i:i+d.red.width])
		}
		acc = v
	}
	return acc
}

// driller makes drills on one rank.
type driller struct {
	*guest
	t        *testing.T
	rnd      *rand.Rand // equal on all ranks
	reversed int        // the ranks of the world, backwards
	shapes   map[int][]shape
	entered  *atomic.Int64
	mine     int
}

func newDriller(t *testing.T, g *guest, seed uint64, entered *atomic.Int64) *driller {
	x := &driller{guest: g, t: t, rnd: rand.New(rand.NewPCG(seed, uint64(g.size))), entered: entered}
	g.call("MPI_Comm_split", abi.CommWorld, 0, -g.rank, drillReq)
	x.reversed = g.int(drillReq)
	make1 := func(name string, a ...int) int {
		g.call("MPI_Type_"+name, append(a, drillReq)...)
		g.call("MPI_Type_commit", drillReq)
		return g.int(drillReq)
	}
	pair := make1("contiguous", 2, tInt)
	gap := make1("create_resized", pair, 0, 12)
	x.shapes = map[int][]shape{
		1: {{tInt, 4, 1}, {make1("create_resized", tInt, 0, 8), 8, 1}},
		2: {{pair, 8, 2}, {gap, 12, 2}},
		// MPI_MINLOC needs its own pairs.
		-2: {{t2Int, 8, 2}, {make1("create_resized", t2Int, 0, 12), 12, 2}},
	}
	return x
}

// draw makes a drill.
func (x *driller) draw(name string, n int) *drill {
	d := &drill{guest: x.guest, t: x.t, name: name, comm: abi.CommWorld, me: x.rank, size: x.size, n: n, entered: x.entered, mine: &x.mine}
	if x.rnd.IntN(3) == 0 {
		d.comm, d.me = x.reversed, x.size-1-x.rank
	}
	d.root, d.place = x.rnd.IntN(x.size), x.rnd.IntN(3) == 0
	d.large = x.rnd.IntN(3) == 0 && name != "Barrier" // which has no counts
	d.send, d.recv = x.shapes[1][x.rnd.IntN(2)], x.shapes[1][x.rnd.IntN(2)]
	return d
}

// reduce gives the drill an operation, and all ranks one shape.
func (x *driller) reduce(d *drill) {
	kind := x.rnd.IntN(4)
	sparse := x.rnd.IntN(3) == 0
	width := []int{1, 1, -2, 2}[kind]
	d.send = x.shapes[width][truth(sparse)]
	d.recv = d.send
	op := 0
	d.large = d.large && kind != 3 // the program's function takes an int
	if kind == 3 {
		d.n = min(d.n, 2500/d.size) // the test's heap has room for that
		op = x.defineAffine(d.send.typ, d.send.step)
	}
	d.red = reducings(op)[kind]
}
