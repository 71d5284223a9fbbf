package mpi

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/layout"
)

// byForm makes a collective in its blocking form, which may be a meeting, or in its nonblocking one, which never is. It returns the class of the error.
func (g *guest) byForm(blocking bool, name string, a ...int) uint64 {
	const request = 64
	if blocking {
		return g.call("MPI_"+name, a...)
	}
	if class := g.call("MPI_I"+string(name[0]|0x20)+name[1:], append(a, request)...); class != abi.Success {
		return class
	}
	return g.call("MPI_Wait", request, 0)
}

// met reports whether the last collective on MPI_COMM_WORLD was a meeting; where it was, it may miss that if others have gone on by messages.
func (g *guest) met() bool {
	g.p.mu.Lock()
	defer g.p.mu.Unlock()
	m := g.p.world.meeting
	if m == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return int32(g.p.world.collSeq-m.begun) > 0
}

// warm does collectives until all ranks have joined the meeting of MPI_COMM_WORLD, and know that the others have.
func (g *guest) warm() {
	for range 3 {
		g.call("MPI_Barrier", abi.CommWorld)
	}
}

// TestMeeting: what a meeting gives is what messages give, bit for bit, whatever is computed; and nothing is sent.
func TestMeeting(t *testing.T) {
	s := seed(t)
	for size := 2; size <= 9; size++ {
		put := func(g *guest) uint32 {
			g.p.in.mu.Lock()
			defer g.p.in.mu.Unlock()
			return g.p.in.tail
		}
		for r, err := range runLocal(t, smallConfig(size), func(g *guest) {
			rnd := rand.New(rand.NewPCG(s, uint64(g.rank)))
			g.warm()
			for i, x := range []struct {
				name string
				args []int
			}{
				{"Barrier", nil},
				{"Allreduce", []int{sbuf, rbuf, 1, tDouble, abi.OpSum}},
				{"Allreduce", []int{sbuf, rbuf, 40, tDouble, abi.OpSum}},
				{"Allreduce", []int{abi.InPlace, rbuf, 3, tDouble, abi.OpProd}},
				{"Allreduce", []int{sbuf, rbuf, 5, tInt, abi.OpMax}},
				{"Allreduce", []int{sbuf, rbuf, 0, tInt, abi.OpMax}},
				{"Allgather", []int{sbuf, 3, tInt, rbuf, 12, tByte}},
				{"Allgather", []int{abi.InPlace, 0, 0, rbuf, 2, tDouble}},
				{"Allgather", []int{sbuf, 0, tInt, rbuf, 0, tDouble}},
				{"Alltoall", []int{sbuf, 1, tDouble, rbuf, 8, tByte}},
				{"Alltoall", []int{sbuf, 5, tByte, rbuf, 5, tByte}},
			} {
				a := append(x.args, abi.CommWorld)
				var got [2]string
				for k, blocking := range []bool{false, true, true, true} { // the first that blocks has to know that all others do
					if k == 0 {
						for j := range 128 {
							order.PutUint64(g.mem[sbuf+8*j:], math.Float64bits(rnd.NormFloat64()))
							order.PutUint64(g.mem[rbuf+512*8+8*j:], math.Float64bits(rnd.NormFloat64()))
						}
					}
					copy(g.mem[rbuf:rbuf+1024], g.mem[rbuf+512*8:])
					before := put(g)
					if class := g.byForm(blocking, x.name, a...); class != abi.Success {
						panic(fmt.Sprintf("%s: class %d", x.name, class))
					}
					if k == 1 && !g.met() || k == 2 && (!g.met() || put(g) != before) { // after the last one, others may have gone on
						panic(fmt.Sprintf("%d: %s of rank %d was no meeting", i, x.name, g.rank))
					}
					got[min(k, 1)] = string(g.mem[rbuf : rbuf+2048])
					if got[min(k, 1)] != got[0] {
						panic(fmt.Sprintf("%d: %s: rank %d got %x in a meeting, not %x", i, x.name, g.rank, got[1][:32], got[0][:32]))
					}
				}
			}
		}) {
			require.NoError(t, err, "rank %d of %d", r, size)
		}
	}
}

// TestMeetingBroken: where ranks do not ask for the same, or some cannot, all is as by messages: results, and errors.
func TestMeetingBroken(t *testing.T) {
	s := seed(t)
	for size := 2; size <= 5; size++ {
		var mu sync.Mutex
		met := 0
		for r, err := range runLocal(t, smallConfig(size), func(g *guest) {
			g.call("MPI_Type_contiguous", 1, tInt, 32)
			g.call("MPI_Type_commit", 32)
			own := g.int(32)
			rnd := rand.New(rand.NewPCG(s, uint64(g.rank)))
			for n := range 400 {
				typ := pick(rnd.IntN(3*size) == 0, own, tInt) // one of the program's, for which nobody meets
				for i := range size {
					g.setInts(sbuf+4*i, 1000*n+10*g.rank+i)
				}
				switch n % 3 {
				case 0:
					g.call("MPI_Alltoall", sbuf, 1, typ, rbuf, 1, tInt, abi.CommWorld)
				case 1:
					g.call("MPI_Allgather", sbuf+4*g.rank, 1, tInt, rbuf, 1, typ, abi.CommWorld)
				case 2:
					g.call("MPI_Allreduce", sbuf, rbuf, 1, tInt, abi.OpMax, abi.CommWorld)
				}
				if g.met() {
					mu.Lock()
					met++
					mu.Unlock()
				}
				for i := range pick(n%3 == 2, 1, size) {
					want := []int{1000*n + 10*i + g.rank, 1000*n + 11*i, 1000*n + 10*(size-1)}[n%3]
					if got := g.int(rbuf + 4*i); got != want {
						panic(fmt.Sprintf("round %d: part %d of rank %d is %d, not %d", n, i, g.rank, got, want))
					}
				}
			}
		}) {
			require.NoError(t, err, "rank %d of %d", r, size)
		}
		require.Positive(t, met)
		require.Less(t, met, 400*size)
	}
	// Counts that differ: each rank hears what it hears by messages.
	classes := [2][3]uint64{}
	for k, blocking := range []bool{true, false} {
		for r, err := range runLocal(t, smallConfig(3), func(g *guest) {
			g.call("MPI_Comm_set_errhandler", abi.CommWorld, abi.ErrorsReturn)
			g.warm()
			classes[k][g.rank] = g.byForm(blocking, "Allreduce", sbuf, rbuf, 1+g.rank, tInt, abi.OpSum, abi.CommWorld)
		}) {
			require.NoError(t, err, "rank %d", r)
		}
	}
	require.Equal(t, classes[1], classes[0])
	require.Contains(t, classes[0], uint64(abi.ErrTruncate))
}

// TestDifferentCollectives: where ranks that meet call different collectives each hears of it, and the next one is as it should be.
func TestDifferentCollectives(t *testing.T) {
	for r, err := range runLocal(t, smallConfig(5), func(g *guest) {
		g.call("MPI_Comm_set_errhandler", abi.CommWorld, abi.ErrorsReturn)
		g.warm()
		for wrong := range g.size {
			var class uint64
			if g.rank == wrong {
				class = g.call("MPI_Barrier", abi.CommWorld)
			} else {
				class = g.call("MPI_Allreduce", sbuf, rbuf, 1, tInt, abi.OpSum, abi.CommWorld)
			}
			g.setInts(sbuf, g.rank)
			g.call("MPI_Allreduce", sbuf, rbuf, 1, tInt, abi.OpSum, abi.CommWorld)
			if class != abi.ErrOther || g.int(rbuf) != 10 {
				panic(abortPanic{fmt.Errorf("class %d, sum %d", class, g.int(rbuf))})
			}
		}
	}) {
		require.NoError(t, err, "rank %d", r)
	}
	errs := runLocal(t, smallConfig(2), func(g *guest) {
		g.warm()
		if g.rank == 0 {
			g.call("MPI_Barrier", abi.CommWorld)
		} else {
			g.call("MPI_Allgather", sbuf, 1, tInt, rbuf, 1, tInt, abi.CommWorld)
		}
	})
	text := fmt.Sprint(errs[0], errs[1])
	require.Contains(t, text, "has called MPI_")
	require.Contains(t, text, " where another has called MPI_")
}

// seated is how many ranks wait in the meeting of MPI_COMM_WORLD, and the number of the last collective begun by messages.
func (w *World) seated() (n int, begun uint32) {
	w.meetings.mu.Lock()
	defer w.meetings.mu.Unlock()
	m := w.meetings.by[0]
	if m == nil {
		return 0, 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seated, m.begun
}

// awaitSeated waits until so many ranks wait there.
func (w *World) awaitSeated(n int) (begun uint32) {
	for {
		if k, begun := w.seated(); k == n {
			return begun
		}
		runtime.Gosched()
	}
}

// TestMeetingFrozen: a rank that is frozen while it waits has begun nothing; the others wait for it as long as it stays, and do without the meeting when it has
// moved.
func TestMeetingFrozen(t *testing.T) {
	for _, captured := range []bool{false, true} {
		gathered, last := make(chan struct{}), make(chan struct{})
		var ready sync.WaitGroup
		ready.Add(3)
		runCluster(t, smallConfig(3), 2, func(g *guest) {
			<-gathered
			g.call("MPI_Barrier", abi.CommWorld) // it was moved
			g.warm()
			g.setInts(sbuf, 10+g.rank)
			ready.Done()
			if g.rank == 1 {
				<-last
			}
			g.call("MPI_Allreduce", sbuf, rbuf, 1, tInt, abi.OpSum, abi.CommWorld)
			if g.int(rbuf) != 33 {
				panic(fmt.Sprintf("the sum is %d", g.int(rbuf)))
			}
		}, func(c *cluster, guests []*guest, _ <-chan struct{}) {
			close(gathered)
			for _, g := range guests {
				if c.location(g.rank) != 0 {
					require.True(c.t, c.move(g, 0, true, false))
				}
			}
			ready.Wait()
			w := c.worlds[0]
			begun := w.awaitSeated(2)
			if captured {
				require.True(c.t, c.move(guests[0], 1, true, false))
			} else {
				g := guests[0]
				p := g.current(c)
				p.Freeze()
				<-g.ctl.frozenCh
				w.awaitSeated(1)
				p.Unfreeze()
				g.thawCh <- thawed{p, p.mem.(arena)}
				require.Equal(c.t, begun, w.awaitSeated(2), "nothing was begun by messages")
			}
			close(last)
		})
	}
}

// TestMeetingsMove: collectives are right whether all ranks are in one World, or come and go.
func TestMeetingsMove(t *testing.T) {
	s := seed(t)
	var mu sync.Mutex
	met, sent, moves := 0, 0, 0
	for i := range uint64(pick(testing.Short(), 3, 10)) {
		size := 2 + int(i%4)
		rnd := rand.New(rand.NewPCG(s, i))
		runCluster(t, smallConfig(size), 2, func(g *guest) {
			g.call("MPI_Comm_dup", abi.CommWorld, 48)
			for n := range pick(testing.Short(), 1000, 4000) {
				comm := pick(n%5 == 4, g.int(48), abi.CommWorld)
				for k := range size {
					g.setInts(sbuf+4*k, 1000*n+10*g.rank+k)
				}
				parts := size
				switch n % 3 {
				case 0:
					g.call("MPI_Alltoall", sbuf, 1, tInt, rbuf, 1, tInt, comm)
				case 1:
					g.call("MPI_Allgather", sbuf+4*g.rank, 1, tInt, rbuf, 1, tInt, comm)
				case 2:
					parts = 1
					g.call("MPI_Allreduce", sbuf, rbuf, 1, tInt, abi.OpMax, comm)
				}
				mu.Lock()
				if g.met() {
					met++
				} else {
					sent++
				}
				mu.Unlock()
				for k := range parts {
					want := []int{1000*n + 10*k + g.rank, 1000*n + 11*k, 1000*n + 10*(size-1)}[n%3]
					if got := g.int(rbuf + 4*k); got != want {
						panic(fmt.Sprintf("round %d: part %d of rank %d is %d, not %d", n, k, g.rank, got, want))
					}
				}
			}
		}, func(c *cluster, guests []*guest, endedCh <-chan struct{}) {
			for !ended(endedCh) {
				for _, g := range guests { // to one World, mostly
					if c.location(g.rank) != 0 {
						c.move(g, 0, rnd.IntN(4) > 0, rnd.IntN(2) == 0)
					}
				}
				pause(rnd)
				c.move(guests[rnd.IntN(size)], rnd.IntN(2), rnd.IntN(2) == 0, rnd.IntN(2) == 0)
				moves++
			}
		})
	}
	t.Logf("%d in meetings, %d by messages, %d moves", met, sent, moves)
	require.Positive(t, met)
	require.Positive(t, sent)
}

// TestMeetingLeft: who waits for a rank that ends hears of it, as by messages; and no meeting is left behind.
func TestMeetingLeft(t *testing.T) {
	w := NewWorld(smallConfig(3), sink{})
	var guests [3]*guest
	var wg sync.WaitGroup
	each := func(f func(g *guest)) {
		for _, g := range guests {
			wg.Go(func() { f(g) })
		}
		waitFor(t, &wg, func() string { return inspectAll(w) })
	}
	for r := range guests {
		guests[r] = begun(t, w, r, arenaBytes)
	}
	const dup = 48
	each(func(g *guest) {
		g.warm()
		g.call("MPI_Comm_dup", abi.CommWorld, dup)
		for range 3 {
			g.call("MPI_Barrier", g.int(dup))
		}
	})
	require.Len(t, w.meetings.by, 2)
	each(func(g *guest) { g.call("MPI_Comm_free", dup) })
	require.Len(t, w.meetings.by, 1)
	each(func(g *guest) {
		if g.rank < 2 {
			g.call("MPI_Comm_set_errhandler", abi.CommWorld, abi.ErrorsReturn)
		}
	})
	var classes [2]uint64
	for r, g := range guests[:2] {
		wg.Go(func() { classes[r] = g.call("MPI_Barrier", abi.CommWorld) })
	}
	w.awaitSeated(2)
	guests[2].call("MPI_Finalize")
	require.NoError(t, guests[2].p.Drain())
	waitFor(t, &wg, func() string { return inspectAll(w) })
	require.Equal(t, [2]uint64{abi.ErrOther, abi.ErrOther}, classes)
	for r := range guests {
		w.Remove(Rank(r))
	}
	require.Empty(t, w.meetings.by)
}

// TestMayMeet: a rank meets nobody while its program's functions may run, where somebody has ended, or while it stands still.
func TestMayMeet(t *testing.T) {
	for name, change := range map[string]func(p *Proc){
		"":          func(*Proc) {},
		"active":    func(p *Proc) { p.active = make([]*request, 1) },
		"advancing": func(p *Proc) { p.advancing = true },
		"left":      func(p *Proc) { p.left = true },
		"resumed":   func(p *Proc) { p.running.resumed = &suspended{} },
		"detached":  func(p *Proc) { p.attached.Store(false) },
	} {
		w := NewWorld(smallConfig(2), noNetwork{})
		begun(t, w, 0, 1<<16)
		p := begun(t, w, 1, 1<<16).p
		change(p)
		require.Equal(t, name == "", p.mayMeet(p.world), name)
	}
}

// TestTasksThatAreOne: ranks ask for the same if they give as much, and combine it alike.
func TestTasksThatAreOne(t *testing.T) {
	types := layout.Named()
	a := task{kind: taskAllreduce, part: 8, op: abi.OpSum, typ: types[tDouble], in: make([]byte, 8)}
	for b, want := range map[*task]bool{
		{kind: taskAllreduce, part: 8, op: abi.OpSum, typ: types[tDouble]}: true,
		{kind: taskAllreduce, part: 8, op: abi.OpMax, typ: types[tDouble]}: false,
		{kind: taskAllreduce, part: 8, op: abi.OpSum, typ: types[tInt]}:    false,
		{kind: taskAllreduce, part: 4, op: abi.OpSum, typ: types[tDouble]}: false,
		{kind: taskAllgather, part: 8, op: abi.OpSum, typ: types[tDouble]}: false,
	} {
		require.Equal(t, want, a.same(b))
	}
}

// TestMeetingJoinedLate: who joins says which collectives it has begun by messages before: nobody waits for it in one of those.
func TestMeetingJoinedLate(t *testing.T) {
	w := NewWorld(smallConfig(2), noNetwork{})
	a, b := begun(t, w, 0, 1<<16).p, begun(t, w, 1, 1<<16).p
	b.world.collSeq = 5
	m := a.meeting(a.world)
	require.Same(t, m, b.meeting(b.world))
	one := &task{kind: taskBarrier}
	for _, number := range []uint32{1, 5} {
		require.EqualValues(t, seatFree, m.sit(a, m.seats[0], number, one))
	}
	require.EqualValues(t, seatTaken, m.sit(a, m.seats[0], 6, one))
	require.EqualValues(t, seatMet, m.sit(b, m.seats[1], 6, one))
	require.EqualValues(t, seatMet, m.stand(m.seats[0]))
}

// TestMeetingOfMany: many ranks meet only where they share processors.
func TestMeetingOfMany(t *testing.T) {
	for _, size := range []int{meetRanks, meetRanks + 1} {
		w := NewWorld(smallConfig(size), noNetwork{})
		var g *guest
		for r := range size {
			g = begun(t, w, r, 1<<16)
		}
		for _, cores := range []int{2, size - 1, size, 2 * size} {
			w.cores = cores
			g.p.lock()
			require.Equal(t, size <= meetRanks || cores < size, g.p.mayMeet(g.p.world), "%d ranks, %d processors", size, cores)
			g.p.release()
		}
	}
}

// TestMeetingNumbers: numbers of collectives wrap, in a meeting too.
func TestMeetingNumbers(t *testing.T) {
	errs := runLocal(t, smallConfig(3), func(g *guest) {
		g.p.mu.Lock()
		g.p.world.collSeq = math.MaxUint32 - 5
		g.p.mu.Unlock()
		met := 0
		for i := range 20 {
			if i%7 == 6 {
				g.byForm(false, "Barrier", abi.CommWorld)
			} else if g.call("MPI_Barrier", abi.CommWorld); g.met() {
				met++
			}
		}
		if met < 15 {
			panic(abortPanic{fmt.Errorf("%d meetings", met)})
		}
	})
	for _, err := range errs {
		require.NoError(t, err)
	}
}
