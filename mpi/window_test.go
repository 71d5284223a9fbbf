package mpi

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
)

// windowScript is a program of one-sided operations that a seed makes. All ranks draw the same steps and keep the same naive
// model of all windows; each does its own part, and compares what it fetched and its own window at the end of each epoch.
type windowScript struct {
	t      *testing.T
	seed   uint64
	epochs int
}

// A window's ints are slots of slotInts; the last one is larger than what goes behind a header.
const (
	slots       = 17
	slotInts    = 40
	bigInts     = 700
	windowInts  = (slots-1)*slotInts + bigInts
	windowAt    = 1 << 19 // of a window that is made of the program's memory
	windowFirst = 64      // where handles are
)

// step is one operation.
type step struct {
	kind           string // Put, Get, Accumulate, Get_accumulate, Fetch_and_op, Compare_and_swap
	origin, target int
	slot, n, op    int
	from, to       shape // layouts at the origin and at the target
	salt           int
	match          bool // a compare-and-swap compares with what is there

	at   int   // of origin buffers
	want []int // what it fetches
}

// windowRank is a script on one rank.
type windowRank struct {
	*guest
	*windowScript
	rnd    *rand.Rand
	win    int
	kind   int
	base   int
	model  [][]int
	shapes []shape
}

// Kinds of epochs.
const (
	epochFence  = 0
	epochLocks  = 1
	epochAll    = 2
	epochPosts  = 3
	epochsKinds = 4
)

func (s *windowScript) run(g *guest) {
	w := &windowRank{guest: g, windowScript: s, rnd: rand.New(rand.NewPCG(s.seed, 3))}
	w.create()
	for range s.epochs {
		plan := w.plan()
		w.epoch(w.rnd.IntN(epochsKinds), plan)
		g.call("MPI_Barrier", abi.CommWorld)
		for _, x := range plan {
			if x.origin == g.rank {
				w.checkFetched(x)
			}
		}
		require.Equal(s.t, w.model[g.rank], g.ints(w.base, windowInts), "seed %d", s.seed)
		g.call("MPI_Barrier", abi.CommWorld)
	}
	g.setInts(windowFirst, w.win)
	g.call("MPI_Win_free", windowFirst)
	require.Equal(s.t, abi.WinNull, g.int(windowFirst))
}

// create makes a window of one of three flavors, with a displacement unit of the rank's own.
func (w *windowRank) create() {
	w.kind = w.rnd.IntN(3)
	w.base = windowAt
	switch w.kind {
	case 0:
		w.call("MPI_Win_create", w.base, 4*windowInts, w.unit(w.rank), abi.InfoNull, abi.CommWorld, windowFirst)
	case 1:
		w.call("MPI_Win_allocate", 4*windowInts, w.unit(w.rank), abi.InfoNull, abi.CommWorld, windowFirst+4, windowFirst)
		w.base = w.int(windowFirst + 4)
	default:
		w.call("MPI_Win_create_dynamic", abi.InfoNull, abi.CommWorld, windowFirst)
		w.call("MPI_Win_attach", w.int(windowFirst), w.base, 4*windowInts)
	}
	w.win = w.int(windowFirst)
	for r := range w.size {
		w.model = append(w.model, make([]int, windowInts))
		for i := range w.model[r] {
			w.model[r][i] = r*100_000 + i
		}
	}
	w.setInts(w.base, w.model[w.rank]...)
	w.call("MPI_Type_create_resized", tInt, 0, 8, windowFirst)
	w.call("MPI_Type_commit", windowFirst)
	w.shapes = []shape{{tInt, 4, 1}, {w.int(windowFirst), 8, 1}}
	w.call("MPI_Barrier", abi.CommWorld) // a lock does not wait for the target
}

func (w *windowRank) unit(rank int) int { return pick(w.kind == 2, 1, []int{1, 4, 2}[rank%3]) }

// disp is the displacement of an int of a window. In a dynamic one it is the address, which is the same on all ranks.
func (w *windowRank) disp(rank, i int) int {
	return pick(w.kind == 2, windowAt, 0) + 4*i/w.unit(rank)
}

// plan draws an epoch's operations, and applies them to the model. A slot is for one origin alone, for several that add, or
// for reading; what one origin does to it is done in order (MPI 5.0 section 12.7.2).
func (w *windowRank) plan() []*step {
	var plan []*step
	before := make([][]int, w.size)
	for r := range w.size {
		before[r] = slices.Clone(w.model[r])
	}
	for target := range w.size {
		for slot := range slots {
			use, origin := w.rnd.IntN(6), w.rnd.IntN(w.size)
			for range 1 + w.rnd.IntN(3) {
				x := w.draw(target, slot, origin)
				switch use {
				case 0:
					x.kind = "Put"
				case 1:
					x.kind, x.origin = "Get", w.rnd.IntN(w.size)
				case 2:
					x.kind, x.op, x.origin = "Accumulate", abi.OpSum, w.rnd.IntN(w.size)
				case 3:
					x.kind = []string{"Accumulate", "Get_accumulate", "Fetch_and_op", "Compare_and_swap"}[w.rnd.IntN(4)]
				default:
					continue
				}
				x.apply(w.model[target], before[target])
				plan = append(plan, x)
				if use == 0 { // puts to the same place are not ordered
					break
				}
			}
		}
	}
	return plan
}

// draw makes an operation but for its kind.
func (w *windowRank) draw(target, slot, origin int) *step {
	x := &step{target: target, slot: slot, origin: origin, salt: w.rnd.IntN(1000), match: w.rnd.IntN(2) == 0}
	x.from, x.to = w.shapes[w.rnd.IntN(2)], w.shapes[w.rnd.IntN(2)]
	room := pick(slot == slots-1, bigInts, slotInts) * 4 / x.to.step
	x.n = pick(w.rnd.IntN(3) == 0, room, 1+w.rnd.IntN(room))
	x.op = []int{abi.OpSum, abi.OpProd, abi.OpMax, abi.OpBxor, abi.OpReplace, abi.OpNoOp}[w.rnd.IntN(6)]
	return x
}

// places are the ints of the window that an operation is about.
func (x *step) places() []int {
	out := make([]int, x.n)
	for i := range out {
		out[i] = x.slot*slotInts + i*x.to.step/4
	}
	return out
}

// operand is int i that the origin brings.
func (x *step) operand(i int) int { return x.salt*31 + i*7 + x.origin - 5000 }

func (x *step) apply(mem, before []int) {
	if x.kind == "Fetch_and_op" || x.kind == "Compare_and_swap" {
		x.n = 1
	}
	if x.kind == "Accumulate" && x.op == abi.OpNoOp {
		x.op = abi.OpReplace
	}
	for i, p := range x.places() {
		old := mem[p]
		x.want = append(x.want, pick(x.kind == "Get", before[p], old))
		switch x.kind {
		case "Put":
			mem[p] = x.operand(i)
		case "Compare_and_swap":
			mem[p] = pick(x.match, x.operand(0), old)
		case "Accumulate", "Get_accumulate", "Fetch_and_op":
			mem[p] = accumulate(x.op, old, x.operand(i))
		}
	}
}

// accumulate is what an operation leaves in an int.
func accumulate(op, old, v int) int {
	switch op {
	case abi.OpSum:
		v += old
	case abi.OpProd:
		v *= old
	case abi.OpMax:
		v = max(v, old)
	case abi.OpBxor:
		v ^= old
	case abi.OpNoOp:
		v = old
	}
	return int(int32(v))
}

// epoch makes the calls of this rank's part, in an epoch of some kind.
func (w *windowRank) epoch(kind int, plan []*step) {
	mine := slices.DeleteFunc(slices.Clone(plan), func(x *step) bool { return x.origin != w.rank })
	at := sbuf
	for _, x := range mine {
		x.at = at
		at += 3 * x.n * 8
	}
	switch kind {
	case epochFence:
		w.call("MPI_Win_fence", 0, w.win)
		w.issueAll(mine, false)
		w.call("MPI_Win_fence", modeNoSucceed, w.win)
	case epochAll:
		w.call("MPI_Win_lock_all", 0, w.win)
		w.issueAll(mine, true)
		w.call("MPI_Win_flush_all", w.win)
		w.call("MPI_Win_unlock_all", w.win)
	case epochPosts:
		w.call("MPI_Comm_group", abi.CommWorld, windowFirst)
		w.call("MPI_Win_post", w.int(windowFirst), 0, w.win)
		w.call("MPI_Win_start", w.int(windowFirst), 0, w.win)
		w.issueAll(mine, false)
		w.call("MPI_Win_complete", w.win)
		w.call("MPI_Win_wait", w.win)
		w.call("MPI_Group_free", windowFirst)
	case epochLocks:
		for target := range w.size {
			w.call("MPI_Win_lock", pick((w.rank+target)%2 == 0, abi.LockExclusive, abi.LockShared), target, 0, w.win)
			for _, x := range mine {
				if x.target == target {
					w.issue(x, true)
				}
			}
			if target%2 == 0 {
				w.call("MPI_Win_flush", target, w.win)
			}
			w.call("MPI_Win_unlock", target, w.win)
		}
	}
}

func (w *windowRank) issueAll(mine []*step, passive bool) {
	for _, x := range mine {
		w.issue(x, passive)
	}
}

// issue makes an operation's call; in passive epochs every other one with a request.
func (w *windowRank) issue(x *step, passive bool) {
	result, compare := x.at+8*x.n, x.at+16*x.n
	for i := range x.n {
		w.setInts(x.at+i*x.from.step, x.operand(i))
		w.setInts(result+i*x.from.step, untouched)
	}
	origin := []int{x.at, x.n, x.from.typ}
	fetched := []int{result, x.n, x.from.typ}
	target := []int{x.target, w.disp(x.target, x.slot*slotInts), x.n, x.to.typ}
	asks := passive && x.salt%2 == 0
	var args []int
	switch x.kind {
	case "Put":
		args = append(append(origin, target...), w.win)
	case "Get":
		args = append(append(fetched, target...), w.win)
	case "Accumulate":
		args = append(append(origin, target...), x.op, w.win)
	case "Get_accumulate":
		args = append(append(append(origin, fetched...), target...), x.op, w.win)
	case "Fetch_and_op":
		w.call("MPI_Fetch_and_op", x.at, result, tInt, x.target, target[1], x.op, w.win)
		return
	default:
		w.setInts(compare, x.want[0]+truth(!x.match))
		w.call("MPI_Compare_and_swap", x.at, compare, result, tInt, x.target, target[1], w.win)
		return
	}
	if !asks {
		w.call("MPI_"+x.kind, args...)
		return
	}
	w.call("MPI_R"+string(x.kind[0]|0x20)+x.kind[1:], append(args, windowFirst+8)...)
	w.call("MPI_Wait", windowFirst+8, 0)
	if x.kind != "Put" && x.kind != "Accumulate" {
		w.checkFetched(x)
	}
}

func (w *windowRank) checkFetched(x *step) {
	if x.kind == "Put" || x.kind == "Accumulate" {
		return
	}
	result := x.at + 8*x.n
	for i, v := range x.want {
		require.Equal(w.t, v, w.int(result+i*x.from.step), "seed %d: %s element %d", w.seed, x.kind, i)
	}
}

// One-sided operations against a naive model, in one World (MPI 5.0 chapter 12).
func TestWindows(t *testing.T) {
	first := seed(t)
	for i := range uint64(20) {
		s := &windowScript{t: t, seed: first + i, epochs: 6}
		run1(t, 1+int(i%5), s.run)
	}
}

// The same over three Worlds, while ranks move and links break.
func TestWindowsMove(t *testing.T) {
	first := seed(t)
	moves := 0
	for i := range uint64(10) {
		s := &windowScript{t: t, seed: first + i, epochs: 6}
		rnd := rand.New(rand.NewPCG(first, i))
		runCluster(t, smallConfig(2+int(i%4)), 3, s.run, wanderer(rnd, &moves))
	}
	t.Logf("%d moves", moves)
}

// Counters that all ranks count up at once are exact: no value is fetched twice (MPI 5.0 section 12.7.1).
func TestCounters(t *testing.T) {
	const each, size = 25, 4
	for _, moving := range []bool{false, true} {
		t.Run(fmt.Sprint("moving=", moving), func(t *testing.T) {
			fetched, tries := make([][]int, size), make([]int, size)
			f := func(g *guest) {
				const one, old, want = 128, 132, 136
				g.setInts(windowAt, 0, 0)
				g.call("MPI_Win_create", windowAt, 8, 4, abi.InfoNull, abi.CommWorld, windowFirst)
				win := g.int(windowFirst)
				g.call("MPI_Win_lock_all", 0, win)
				for range each {
					g.setInts(one, 1)
					g.call("MPI_Fetch_and_op", one, old, tInt, 0, 0, abi.OpSum, win)
					g.call("MPI_Win_flush", 0, win)
					fetched[g.rank] = append(fetched[g.rank], g.int(old))
					for g.setInts(want, 0); ; g.setInts(want, g.int(old)) { // a counter by compare and swap
						g.setInts(one, g.int(want)+1)
						g.call("MPI_Compare_and_swap", one, want, old, tInt, size-1, 1, win)
						g.call("MPI_Win_flush", size-1, win)
						tries[g.rank]++
						if g.int(old) == g.int(want) {
							break
						}
					}
				}
				g.call("MPI_Win_unlock_all", win)
				g.call("MPI_Win_free", windowFirst)
				if g.rank == 0 {
					require.Equal(t, each*size, g.int(windowAt))
				}
				if g.rank == size-1 {
					require.Equal(t, each*size, g.int(windowAt+4))
				}
			}
			if moving {
				moves := 0
				runCluster(t, smallConfig(size), 3, f, wanderer(rand.New(rand.NewPCG(seed(t), 0)), &moves))
			} else {
				run1(t, size, f)
			}
			all := slices.Concat(fetched...)
			slices.Sort(all)
			for i, v := range all {
				require.Equal(t, i, v)
			}
			t.Logf("compare and swap tried %v times", tries)
		})
	}
}
