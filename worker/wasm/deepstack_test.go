package wasm

import (
	"bytes"
	"context"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godwit-run/godwit/mpi"
)

// hops freezes its guest at each of its first n migration points.
type hops struct {
	alone
	n int
}

func (h *hops) MigrationPoint() error {
	if h.n == 0 {
		return nil
	}
	h.n--
	return mpi.ErrFrozen
}

// deepWorld is a guest of deep that is alone, moved at its deepest or run on there, by turns.
func deepWorld(t *testing.T, module *Module, depth, moves int) (out string, guest *Guest) {
	t.Helper()
	var stdout bytes.Buffer
	cfg := GuestConfig{Args: []string{"deep", strconv.Itoa(depth), "5", "7"}, Stdout: &stdout}
	guest, err := module.New(t.Context(), cfg)
	require.NoError(t, err)
	own := len(guest.Memory().Bytes())
	host := &hops{n: moves}
	for {
		guest.Bind(host)
		exit := guest.Run(t.Context())
		if !exit.Frozen {
			require.Equal(t, Exit{}, exit)
			require.Len(t, guest.Memory().Bytes(), own+5*7*pageSize, "the guest has as much memory as if it had never stopped")
			return stdout.String(), guest
		}
		if host.n%2 == 0 {
			continue
		}
		var image bytes.Buffer
		require.NoError(t, guest.Capture(&image))
		require.NoError(t, guest.Close(t.Context()))
		guest, err = module.Restore(t.Context(), cfg, &image)
		require.NoError(t, err)
	}
}

// A stack is saved whatever its depth: in the program's buffer, or behind its memory; and again and again, here or elsewhere.
func TestDeepStacks(t *testing.T) {
	for _, tt := range []struct {
		name  string
		depth int
	}{{"shallow", 10}, {"shallow", 3000}, {"deep", 100_000}, {"deep", 500_000}} {
		t.Run(tt.name+strconv.Itoa(tt.depth), func(t *testing.T) {
			module := compile(t, tt.name)
			want, still := deepWorld(t, module, tt.depth, 0)
			require.NoError(t, still.Close(t.Context()))
			got, moved := deepWorld(t, module, tt.depth, 5)
			require.Equal(t, want, got)
			require.NoError(t, moved.Close(t.Context()))
			require.Zero(t, module.engine.budget.inUse())
		})
	}
}

// A stack for which there is no room is a clear error, which names the room and what bounds it.
func TestUnwindOverflow(t *testing.T) {
	minimum := compile(t, "shallow").Info().MemoryMinPages
	for _, tt := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"no more memory", Config{MemoryLimitPages: minimum}, "more than 4096 bytes, which is all that is left of the most memory that the program may have"},
		{"little more memory", Config{MemoryLimitPages: minimum + 2}, "more than 65536 bytes, which is all that is left of the most memory that the program may have"},
		{"a small host", Config{MemoryBytes: int64(minimum+3)*pageSize + stackLeast}, "more than 196608 bytes, which is all that is left of the memory that this host has for programs"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			module, err := newEngine(t, tt.cfg).Compile(t.Context(), read(t, "shallow"))
			require.NoError(t, err)
			guest, err := module.New(t.Context(), GuestConfig{Args: []string{"deep", "20000", "1"}})
			require.NoError(t, err)
			uncounted(t, guest)
			guest.Bind(&alone{freeze: 1})
			exit := guest.Run(t.Context())
			require.ErrorIs(t, exit.Err, ErrUnwindOverflow)
			require.ErrorContains(t, exit.Err, tt.want)
			require.EqualValues(t, codeAbort, exit.Code)
			require.NoError(t, guest.Close(t.Context()))
			require.Zero(t, module.engine.budget.inUse())
		})
	}
}

// uncounted has a guest's calls on the engine's own stack.
func uncounted(t *testing.T, g *Guest) {
	require.NoError(t, unix.Munmap(g.stack.bytes))
	g.stack.bytes = nil
}

// TestCallStacksAreCounted: what guests' calls take of the machine is counted. Where there is not enough for all, a guest whose calls are too deep ends, and hears why; one that needs memory gets what others' calls have not taken; and what they have taken
// is given back when they stand still.
func TestCallStacksAreCounted(t *testing.T) {
	const most = 500_000
	minimum := compile(t, "shallow").Info().MemoryMinPages
	run := func(limit int64, depth int) Exit {
		module, err := newEngine(t, Config{MemoryBytes: limit}).Compile(t.Context(), read(t, "shallow"))
		require.NoError(t, err)
		guest, err := module.New(t.Context(), GuestConfig{Args: []string{"deep", strconv.Itoa(depth), "1"}})
		require.NoError(t, err)
		guest.Bind(&alone{})
		exit := guest.Run(t.Context())
		require.Less(t, module.engine.InUse(), uint64(minimum+16)*pageSize+stackLeast, "it stands still")
		require.NoError(t, guest.Close(t.Context()))
		require.Zero(t, module.engine.InUse())
		return exit
	}
	exit := run(int64(minimum)*pageSize+stackBytes+pageSize*64, most)
	require.Equal(t, Exit{}, exit)
	exit = run(int64(minimum)*pageSize+(8<<20), most)
	require.EqualValues(t, codeSegv, exit.Code)
	require.Contains(t, exit.Reason, "trap: stack overflow (the calls under way take more than the")
	require.Contains(t, exit.Reason, "that are left for them of the memory that this host has for programs")
	exit = run(int64(minimum)*pageSize+(8<<20), 10_000)
	require.Equal(t, Exit{}, exit)
}

// meeting freezes its guest at its first migration point, when all have come there.
type meeting struct {
	alone
	all *sync.WaitGroup
}

func (m *meeting) MigrationPoint() error {
	if m.freeze++; m.freeze > 1 {
		return nil
	}
	m.all.Done()
	m.all.Wait()
	return mpi.ErrFrozen
}

// Guests that stop together have no more memory for their stacks than the budget has: who comes last gets the error. What one was lent and does not need is the others'.
func TestDeepStacksTogether(t *testing.T) {
	const deep = 200_000
	depth := []string{"deep", strconv.Itoa(deep), "1"}
	alone, err := compile(t, "shallow").New(t.Context(), GuestConfig{Args: depth})
	require.NoError(t, err)
	own := alone.module.engine.InUse()
	alone.Bind(&hops{n: 1})
	require.True(t, alone.Run(t.Context()).Frozen)
	stack := alone.module.engine.InUse() - own
	require.Greater(t, stack, uint64(10*pageSize))
	require.NoError(t, alone.Close(t.Context()))

	for _, tt := range []struct {
		name   string
		stacks uint64 // for which there is room
	}{{"all", 3}, {"two of three", 2}, {"none", 0}} {
		t.Run(tt.name, func(t *testing.T) {
			limit := 3*own + tt.stacks*stack + pageSize
			module, err := newEngine(t, Config{MemoryBytes: int64(limit)}).Compile(t.Context(), read(t, "shallow"))
			require.NoError(t, err)
			var all sync.WaitGroup
			all.Add(3)
			exits := make(chan Exit, 3)
			for range 3 {
				guest, err := module.New(t.Context(), GuestConfig{Args: depth})
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, guest.Close(context.Background())) })
				uncounted(t, guest)
				guest.Bind(&meeting{all: &all})
				go func() { exits <- guest.Run(t.Context()) }()
			}
			var frozen uint64
			for range 3 {
				exit := <-exits
				if exit.Frozen {
					frozen++
					continue
				}
				require.ErrorIs(t, exit.Err, ErrUnwindOverflow)
				require.ErrorContains(t, exit.Err, "all that is left of the memory that this host has for programs")
			}
			require.Equal(t, tt.stacks, frozen)
			require.LessOrEqual(t, module.engine.InUse(), limit)
		})
	}
}
