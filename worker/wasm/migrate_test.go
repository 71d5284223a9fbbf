package wasm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi"
)

// Migration is invisible: under random schedules of freezes, resumes in place and moves into new guests,
// every program prints what it prints unmoved.
func TestMigrationIsInvisible(t *testing.T) {
	for _, tt := range []struct {
		name  string
		args  []string
		size  int
		every int
	}{
		{"hello", nil, 5, 4},
		{"ring", []string{"200"}, 4, 60},
		{"pi", []string{"1000", "30"}, 3, 8},
		{"heat2d", []string{"48", "64", "200"}, 4, 100},
		{"alltoall", []string{"60", "512"}, 4, 10},
		{"alltoall", []string{"8", "20000"}, 3, 5}, // rendezvous
		{"cg", []string{"400", "60"}, 3, 40},
		{"bigmem", []string{"2", "40"}, 3, 12},
		{"spin", []string{"2", "200"}, 4, 40},
		{"output", []string{"50"}, 3, 15},
		{"deep", []string{"200", "30"}, 3, 10},
		{"life", nil, 3, 8},
		{"exceptions", nil, 3, 2},
		{"jumps", nil, 3, 8},
	} {
		t.Run(tt.name, func(t *testing.T) {
			module, err := newEngine(t, Config{MemoryLimitPages: 1024}).Compile(t.Context(), read(t, tt.name)) // many guests: an emulator minds what each reserves
			require.NoError(t, err)
			args := append([]string{tt.name}, tt.args...)
			want := (&world{t: t, module: module, args: args}).run(tt.size)
			random := seed(t)
			for range 3 {
				w := &world{t: t, module: module, args: args, every: tt.every, random: random}
				got := w.run(tt.size)
				for rank := range got {
					require.Equal(t, Exit{}, got[rank].exit, "rank %d: %s", rank, &got[rank].stderr)
					require.Equal(t, want[rank].stdout.String(), got[rank].stdout.String(), "rank %d", rank)
					require.Equal(t, want[rank].stderr.String(), got[rank].stderr.String(), "rank %d", rank)
				}
				t.Logf("%d moves, %d resumed in place", w.moves, w.stays)
			}
		})
	}
}

// frozenGuest runs deep alone until its first migration point and freezes it there.
func frozenGuest(t testing.TB, module *Module, depth int) *Guest {
	t.Helper()
	guest, err := module.New(context.Background(), GuestConfig{Args: []string{"deep", strconv.Itoa(depth), "3"}})
	require.NoError(t, err)
	guest.Bind(&alone{freeze: 1})
	exit := guest.Run(context.Background())
	require.True(t, exit.Frozen, exit.Reason)
	return guest
}

// Capture changes nothing: an image of a restored guest is the image it was made from, but for the clocks.
func TestCaptureIsRepeatable(t *testing.T) {
	module := compile(t, "deep")
	guest := frozenGuest(t, module, 100)
	var first, second, state, restoredState bytes.Buffer
	require.NoError(t, guest.Capture(&first))
	require.Less(t, first.Len(), len(guest.Memory().Bytes()), "zeros take no room")
	require.NoError(t, guest.Capture(&second))
	require.NoError(t, guest.CaptureState(&state, false))
	restored, err := module.Restore(context.Background(), GuestConfig{}, bytes.NewReader(first.Bytes()))
	require.NoError(t, err)
	require.Equal(t, guest.Memory().Bytes(), restored.Memory().Bytes())
	require.NoError(t, restored.CaptureState(&restoredState, false))
	const clocks, end = headerPrefix + 37, headerPrefix + 37 + 16
	for _, image := range [][]byte{first.Bytes(), second.Bytes()} {
		begin := len(image) - sha256.Size - state.Len()
		clear(image[begin+clocks : begin+end])
		clear(image[len(image)-sha256.Size:])
	}
	for _, state := range [][]byte{state.Bytes(), restoredState.Bytes()} {
		clear(state[clocks:end])
	}
	require.Equal(t, first.Bytes(), second.Bytes())
	require.Equal(t, state.Bytes(), restoredState.Bytes())
	require.NoError(t, guest.Close(context.Background()))
	require.NoError(t, restored.Close(context.Background()))
}

func TestNotMigratable(t *testing.T) {
	module := compile(t, "noasync")
	require.False(t, module.Info().Migratable)
	guest, err := module.New(context.Background(), GuestConfig{Args: []string{"output"}})
	require.NoError(t, err)
	guest.Bind(freezing{})
	exit := guest.Run(context.Background())
	require.ErrorIs(t, exit.Err, ErrNotMigratable)
	require.Contains(t, exit.Reason, "godwit cc")
	require.Panics(t, func() { _ = guest.Capture(new(bytes.Buffer)) })
	require.NoError(t, guest.Close(context.Background()))
	_, err = module.Restore(context.Background(), GuestConfig{}, new(bytes.Buffer))
	require.ErrorIs(t, err, ErrNotMigratable)
}

type freezing struct{}

func (freezing) Invoke(*mpi.Call, []uint64) (uint64, error) { return 0, mpi.ErrFrozen }

// BenchmarkMove captures and restores a guest of 64 MiB that do not compress well.
func BenchmarkMove(b *testing.B) {
	module := compile(b, "bigmem")
	guest, err := module.New(context.Background(), GuestConfig{Args: []string{"bigmem", "64", "1"}})
	require.NoError(b, err)
	guest.Bind(&onBarrier{mpi.NewWorld(mpi.DefaultConfig(1), noNetwork{}), nil})
	require.NoError(b, guest.host.(*onBarrier).join(guest))
	require.True(b, guest.Run(context.Background()).Frozen)
	var image bytes.Buffer
	b.SetBytes(64 << 20)
	for b.Loop() {
		image.Reset()
		require.NoError(b, guest.Capture(&image))
		b.ReportMetric(float64(image.Len())/(1<<20), "MiB")
		moved, err := module.Restore(context.Background(), GuestConfig{}, &image)
		require.NoError(b, err)
		require.NoError(b, moved.Close(context.Background()))
	}
	require.NoError(b, guest.Close(context.Background()))
}

// onBarrier freezes its guest at the first barrier, where bigmem has filled its memory.
type onBarrier struct {
	world *mpi.World
	proc  *mpi.Proc
}

func (o *onBarrier) join(g *Guest) (err error) {
	o.proc, err = o.world.AddRank(0, 1, g.Memory())
	return err
}

func (o *onBarrier) Invoke(call *mpi.Call, args []uint64) (uint64, error) {
	if call.Name == "MPI_Barrier" {
		return 0, mpi.ErrFrozen
	}
	return o.proc.Invoke(call, args)
}
