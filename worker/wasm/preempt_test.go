package wasm

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi"
)

// atNextPoint is a Host that freezes its guest at the next point, once it is to.
type atNextPoint struct {
	alone
	wanted atomic.Bool
}

func (h *atNextPoint) MigrationPoint() error {
	if h.wanted.Swap(false) {
		return mpi.ErrFrozen
	}
	return nil
}

// A guest that was built for it is stopped in its loops, and goes on in another as if nothing had been, whichever loop that was.
func TestPreemptionIsInvisible(t *testing.T) {
	module, random := compile(t, "loops"), seed(t)
	args := []string{"loops", "12"}
	run := func(preempt bool) (string, int) {
		var out bytes.Buffer
		cfg := GuestConfig{Args: args, Stdout: &out}
		guest, err := module.New(context.Background(), cfg)
		require.NoError(t, err)
		for moves := 0; ; moves++ {
			host := &atNextPoint{}
			guest.Bind(host)
			over := make(chan struct{})
			var preempting sync.WaitGroup
			if preempt {
				wait := time.Duration(random.IntN(5000)) * time.Microsecond
				preempting.Go(func() {
					select {
					case <-time.After(wait):
						host.wanted.Store(true)
						guest.Preempt(true)
					case <-over:
					}
				})
			}
			exit := guest.Run(context.Background())
			close(over)
			preempting.Wait()
			if !exit.Frozen {
				require.Equal(t, Exit{}, exit)
				require.NoError(t, guest.Close(context.Background()))
				return out.String(), moves
			}
			var image bytes.Buffer
			require.NoError(t, guest.Capture(&image))
			require.NoError(t, guest.Close(context.Background()))
			guest, err = module.Restore(context.Background(), cfg, &image)
			require.NoError(t, err)
		}
	}
	require.NotZero(t, module.Info().preempt)
	want, moves := run(false)
	require.Zero(t, moves)
	require.NotEmpty(t, want)
	got, moves := run(true)
	require.Equal(t, want, got)
	require.Positive(t, moves)
	t.Logf("%d moves", moves)
	require.Zero(t, compile(t, "spin").Info().preempt)
}
