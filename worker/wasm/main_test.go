package wasm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/files"
	"github.com/godwit-run/godwit/mpi"
)

// cacheVariable passes the compilation cache of one test run to its tests.
const cacheVariable = "GODWIT_TEST_CACHE"

// engineVariable has all tests run in another engine than wazero.
const engineVariable = "GODWIT_TEST_ENGINE"

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "godwit-wasm-test-")
	if err != nil {
		panic(err)
	}
	if err := os.Setenv(cacheVariable, dir); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir) //nolint:errcheck // a temporary directory
		os.Exit(code)
	}))
}

func newEngine(t testing.TB, cfg Config) *Engine {
	t.Helper()
	cfg.CacheDir = os.Getenv(cacheVariable)
	if cfg.Engine == "" {
		cfg.Engine = os.Getenv(engineVariable)
	}
	cfg.Optimize = "-O1" // a third of the time
	engine, err := NewEngine(context.Background(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, engine.Close(context.Background())) })
	return engine
}

// read returns a committed module, an example or a test guest.
func read(t testing.TB, name string) []byte {
	t.Helper()
	code, err := os.ReadFile(filepath.Join("testdata", name+".wasm"))
	if errors.Is(err, os.ErrNotExist) {
		code, err = os.ReadFile(filepath.Join("..", "..", "examples", name, name+".wasm"))
	}
	require.NoError(t, err)
	return code
}

func compile(t testing.TB, name string) *Module {
	t.Helper()
	module, err := newEngine(t, Config{}).Compile(context.Background(), read(t, name))
	require.NoError(t, err)
	return module
}

// seed is random, printed, and taken back from GODWIT_SEED.
func seed(t testing.TB) *rand.Rand {
	t.Helper()
	value := rand.Uint64()
	if text := os.Getenv("GODWIT_SEED"); text != "" {
		var err error
		value, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("GODWIT_SEED=%d", value)
	return rand.New(rand.NewPCG(value, 0))
}

// noNetwork is for worlds whose ranks are all local.
type noNetwork struct{}

func (noNetwork) Send(mpi.Rank, []byte, []byte, mpi.Way) {}
func (noNetwork) Room(mpi.Rank, bool) bool               { return true }
func (noNetwork) Poll(func(bool) mpi.Look) bool          { return false }
func (noNetwork) Wake()                                  {}

// world runs one app in this process, each rank a goroutine. With `every` > 0 a rank freezes a random rank
// about every so many calls of its own; a frozen rank goes on in place, or moves into a new guest.
type world struct {
	t      *testing.T
	module *Module
	args   []string
	mounts []Mount
	dir    string
	locks  *files.Server
	every  int
	others []*Module // where a rank that moves goes on, one at random; none: in module
	onCall func()    // nil: nothing
	mpi    *mpi.World

	mu      sync.Mutex // guards all below
	random  *rand.Rand
	procs   []*mpi.Proc
	epochs  []uint64
	moves   int
	crossed int // moves from one engine to another
	stays   int
	guests  []*Guest
}

// result is how one rank ended.
type result struct {
	rank           int
	exit           Exit
	refused        string // of its memory
	began, engine  string // where it ran at first and at last
	grade          int32  // of the code that it ran at last
	stdout, stderr bytes.Buffer
}

// run runs all ranks to their ends and checks that nothing panicked on the way.
func (w *world) run(size int) []*result {
	w.t.Helper()
	w.locks = files.NewServer(nil, nil, nil)
	w.mpi = mpi.NewWorld(mpi.DefaultConfig(size), noNetwork{})
	w.procs, w.epochs = make([]*mpi.Proc, size), make([]uint64, size)
	if w.random == nil {
		w.random = seed(w.t)
	}
	results := make([]*result, size)
	guests := make([]*Guest, size)
	for rank := range size {
		results[rank] = &result{rank: rank}
		guest, err := w.module.New(context.Background(), w.config(results[rank]))
		require.NoError(w.t, err)
		guests[rank] = guest
		w.procs[rank], err = w.mpi.AddRank(mpi.Rank(rank), 1, guest.Memory())
		require.NoError(w.t, err)
		w.epochs[rank] = 1
	}
	var running sync.WaitGroup
	for rank := range size {
		running.Go(func() { w.rank(rank, guests[rank], results[rank]) })
	}
	running.Wait()
	for _, guest := range w.guests {
		require.NoError(w.t, guest.Close(context.Background()))
	}
	return results
}

func (w *world) config(r *result) GuestConfig {
	return GuestConfig{Args: w.args, Stdout: &r.stdout, Stderr: &r.stderr, Mounts: w.mounts, Locks: homeLocks{w.locks, int32(r.rank)}, Dir: w.dir, Scratch: w.t.TempDir()}
}

// rank runs one rank through all its freezes to its end. Failures end the whole app.
func (w *world) rank(rank int, guest *Guest, r *result) {
	host := &freezer{world: w, rank: rank}
	r.began, _ = guest.Engine()
	for {
		guest.Bind(host)
		r.exit = guest.Run(context.Background())
		if !r.exit.Frozen {
			break
		}
		next, err := w.thaw(rank, guest, r)
		if err != nil {
			r.exit = Exit{Code: 255, Reason: err.Error(), Err: err}
			break
		}
		guest = next
	}
	r.engine, _ = guest.Engine()
	r.grade = guest.grade
	r.refused = guest.Memory().Refused()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.guests = append(w.guests, guest)
	if r.exit.Code != 0 {
		for _, proc := range w.procs {
			proc.Cancel(errors.New("another rank failed"))
		}
	}
}

// thaw brings a frozen rank back, in place or from an image.
func (w *world) thaw(rank int, guest *Guest, r *result) (*Guest, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	state, err := w.mpi.Capture(mpi.Rank(rank))
	if err != nil {
		return nil, err
	}
	if w.random.IntN(4) == 0 {
		w.stays++
		if err := guest.Capture(io.Discard); err != nil { // as for a checkpoint
			return nil, err
		}
		if err := w.mpi.Resume(mpi.Rank(rank)); err != nil {
			return nil, err
		}
		w.procs[rank].Unfreeze()
		return guest, nil
	}
	w.moves++
	var image bytes.Buffer
	if err := guest.Capture(&image); err != nil {
		return nil, err
	}
	w.mpi.Remove(mpi.Rank(rank))
	if err := guest.Close(context.Background()); err != nil {
		return nil, err
	}
	from, _ := guest.Engine()
	to := w.module
	if len(w.others) > 0 {
		to = w.others[w.random.IntN(len(w.others))]
	}
	moved, err := to.Restore(context.Background(), w.config(r), &image)
	if err != nil {
		return nil, err
	}
	if engine, _ := moved.Engine(); engine != from {
		w.crossed++
	}
	w.epochs[rank]++
	w.procs[rank], err = w.mpi.RestoreRank(mpi.Rank(rank), w.epochs[rank], moved.Memory(), state)
	return moved, err
}

// freezer is the Host of one rank: the rank's Proc, and a source of freezes.
type freezer struct {
	world *world
	rank  int
}

func (f *freezer) proc() *mpi.Proc {
	w := f.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.every > 0 && w.random.IntN(w.every) == 0 {
		w.procs[w.random.IntN(len(w.procs))].Freeze()
	}
	return w.procs[f.rank]
}

// Bind passes on whom the rank's calls call back.
func (f *freezer) Bind(g mpi.Guest) { f.proc().Bind(g) }

func (f *freezer) Invoke(call *mpi.Call, args []uint64) (uint64, error) {
	if f.world.onCall != nil {
		f.world.onCall()
	}
	return f.proc().Invoke(call, args)
}

// alone is a Host for guests without MPI whose migration points freeze on demand.
type alone struct{ freeze int }

func (a *alone) Invoke(*mpi.Call, []uint64) (uint64, error) { return 0, nil }

func (a *alone) MigrationPoint() error {
	if a.freeze--; a.freeze == 0 {
		return mpi.ErrFrozen
	}
	return nil
}

// within fails a test that hangs, naming what it waited for.
func within(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatalf("timed out: %s", what)
	}
}

// homeLocks keeps locks as an app's home does.
type homeLocks struct {
	server *files.Server
	rank   int32
}

func (h homeLocks) Lock(_ context.Context, number uint64, l *apiv1.FilesLock) (*apiv1.FilesResponse, error) {
	l.Rank = h.rank
	return h.server.Do(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_LOCK, Lane: h.rank, Number: number, Lock: l}), nil
}
