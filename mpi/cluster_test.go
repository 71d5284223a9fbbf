package mpi

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/godwit-run/godwit/mpi/abi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// seed returns the test's seed: MPI_TEST_SEED, or a new one. It is printed.
func seed(t testing.TB) uint64 {
	s := rand.Uint64() % 1e9
	if v := os.Getenv("MPI_TEST_SEED"); v != "" {
		var err error
		s, err = strconv.ParseUint(v, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("MPI_TEST_SEED=%d", s)
	return s
}

// arena is a guest's memory in tests.
type arena []byte

func (a arena) Bytes() []byte { return a }

func callsByName() map[string]*Call {
	m := map[string]*Call{}
	for _, c := range Calls() {
		m[c.Name] = c
	}
	return m
}

const arenaBytes = 1 << 20

// guest is a Go function that plays a rank: it makes calls by name, and makes a
// frozen call again in whatever Proc it is given.
type guest struct {
	rank   int
	size   int
	calls  map[string]*Call
	thawCh chan thawed // the Proc and memory to go on with
	ctl    *control
	bound  *Proc // that calls this guest back
	files  Files // nil: none
	*program
	thawed
}

type thawed struct {
	p   *Proc
	mem arena
}

// control is what the migrating test sees of a guest.
type control struct {
	frozenCh chan struct{} // one value for each time that the guest has stopped
	endedCh  chan struct{}
}

func newGuest(rank, size int, calls map[string]*Call) *guest {
	return &guest{
		rank: rank, size: size, calls: calls, thawCh: make(chan thawed), program: newProgram(),
		ctl: &control{frozenCh: make(chan struct{}), endedCh: make(chan struct{})},
	}
}

// abortPanic carries an error of Invoke out of a guest's function.
type abortPanic struct{ err error }

// call makes an MPI call and returns its result; an error ends the guest.
func (g *guest) call(name string, a ...int) uint64 {
	c := g.calls[name]
	if c == nil {
		panic("no call " + name)
	}
	params := make([]uint64, len(a))
	for i, v := range a {
		params[i] = 0xdead<<32 | uint64(uint32(int32(v))) // the upper half is garbage
		if c.Params[i] == abi.I64 {
			params[i] = uint64(v)
		}
	}
	for {
		if g.bound != g.p {
			if g.p.Bind(g.program); g.files != nil {
				g.p.Bind(filed{g.program, g.files})
			}
			g.bound = g.p
		}
		r, err := g.p.Invoke(c, params)
		if errors.Is(err, ErrFrozen) {
			g.ctl.frozenCh <- struct{}{}
			g.thawed = <-g.thawCh
			continue
		}
		if err != nil {
			panic(abortPanic{err})
		}
		return r
	}
}

// drain ends the rank: it blocks until nobody wants anything of it. It may be frozen and moved meanwhile.
func (g *guest) drain() {
	for {
		err := g.p.Drain()
		if err == nil {
			return
		}
		if !errors.Is(err, ErrFrozen) {
			panic(abortPanic{err})
		}
		g.ctl.frozenCh <- struct{}{}
		g.thawed = <-g.thawCh
	}
}

func (g *guest) int(at int) int { return int(int32(order.Uint32(g.mem[at:]))) }

func (g *guest) setInts(at int, v ...int) {
	for i, x := range v {
		order.PutUint32(g.mem[at+4*i:], uint32(int32(x)))
	}
}

func (g *guest) ints(at, n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = g.int(at + 4*i)
	}
	return out
}

// run runs the guest's function, and returns how it ended.
func (g *guest) run(f func(g *guest)) (err error) {
	defer close(g.ctl.endedCh)
	defer func() {
		if r := recover(); r != nil {
			a, ok := r.(abortPanic)
			if !ok {
				panic(r)
			}
			err = a.err
		}
	}()
	f(g)
	return nil
}

// begun is a rank of a World whose program has called MPI_Init, with so many bytes of memory; the test makes its calls.
func begun(t testing.TB, w *World, rank, memory int) *guest {
	t.Helper()
	g := newGuest(rank, w.cfg.Size, callsByName())
	g.mem = make(arena, memory)
	var err error
	g.p, err = w.AddRank(Rank(rank), 1, g.mem)
	require.NoError(t, err)
	g.call("MPI_Init", 0, 0)
	return g
}

// smallConfig makes all limits show up with little data.
func smallConfig(size int) Config {
	c := DefaultConfig(size)
	c.EagerLimit, c.FarEager, c.ChunkBytes, c.WindowBytes, c.CreditBytes = 512, 512, 1024, 8<<10, 8<<10
	return c
}

// noNetwork fails when used.
type noNetwork struct{}

func (noNetwork) Send(Rank, []byte, []byte, Way) { panic("a frame left a world that has all ranks") }
func (noNetwork) Room(Rank, bool) bool           { return true }
func (noNetwork) Poll(func(bool) Look) bool      { return false }
func (noNetwork) Wake()                          {}

// localGuests makes the ranks of one World.
func localGuests(t testing.TB, cfg Config) (*World, []*guest) {
	t.Helper()
	w := NewWorld(cfg, noNetwork{})
	calls := callsByName()
	guests := make([]*guest, cfg.Size)
	for r := range guests {
		g := newGuest(r, cfg.Size, calls)
		g.mem = make(arena, arenaBytes)
		p, err := w.AddRank(Rank(r), 1, g.mem)
		require.NoError(t, err)
		g.p = p
		guests[r] = g
	}
	return w, guests
}

// runLocal runs f on all ranks of one World, after MPI_Init, and returns how each ended.
func runLocal(t testing.TB, cfg Config, f func(g *guest)) []error {
	t.Helper()
	w, guests := localGuests(t, cfg)
	errs := make([]error, cfg.Size)
	var wg sync.WaitGroup
	for r, g := range guests {
		wg.Go(func() {
			errs[r] = g.run(func(g *guest) {
				g.call("MPI_Init", 0, 0)
				f(g)
				g.call("MPI_Finalize")
			})
			if errs[r] != nil { // as the executor does: one rank's failure ends the app
				for _, o := range guests {
					o.p.Cancel(errPeer)
				}
			}
		})
	}
	waitFor(t, &wg, func() string { return inspectAll(w) })
	return errs
}

var errPeer = errors.New("another rank has failed")

// run1 is runLocal for what must not fail.
func run1(t testing.TB, size int, f func(g *guest)) {
	t.Helper()
	for r, err := range runLocal(t, smallConfig(size), f) {
		require.NoError(t, err, "rank %d", r)
	}
}

func inspectAll(ws ...*World) string {
	s := ""
	for i, w := range ws {
		for r := range w.cfg.Size {
			s += fmt.Sprintf("\nworld %d rank %d: %s", i, r, w.Inspect(Rank(r)))
		}
	}
	return s
}

// waitFor waits for the group, and fails with a description after four minutes.
func waitFor(t testing.TB, wg *sync.WaitGroup, what func() string) {
	t.Helper()
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(4 * time.Minute):
		panic("stuck: " + what())
	}
}
