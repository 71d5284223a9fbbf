package executor

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/pipe"
)

// TestWorkersComeAndGo: what an executor prints is complete, and in order, however often its worker's process ends and another takes its place, and whatever of it that had acknowledged; each is told how the ranks stand, behind all else, and of
// their ends at the last.
func TestWorkersComeAndGo(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	const steps = 3000
	listener, link := listenerOf(t)
	e := New(listener, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()     // until ctx ends
	t.Cleanup(func() { cancel(); <-done }) //nolint:errcheck // it ends as it was told
	path, err := filepath.Abs("../../jepsen/testdata/steady.wasm")
	require.NoError(t, err)
	called := func() *pipe.Conn {
		lease := testLease(t)
		lease.Set(pipe.SinceBoot() + time.Hour)
		control, conns := call(t, link, lease)
		t.Cleanup(func() { _ = conns.Close() })
		return control
	}
	control := called()
	require.NoError(t, control.Send(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Start{Start: &apiv1.ExecStart{
		App: "app-test", Size: 2, Ranks: []int32{0, 1}, Host: "h0",
		Routes:   &apiv1.ExecRoutes{Epoch: 1, Placement: []string{"h0", "h0"}, RankEpochs: []uint64{1, 1}, Ended: []bool{false, false}},
		Programs: []*apiv1.ExecProgram{{ModulePath: path, CacheDir: cacheDir(t), Args: []string{"steady", strconv.Itoa(steps), "0"}, Ranks: 2}},
	}}}))
	next, ends := map[int32]uint64{}, 0
	for n := 0; ends < 2; n++ {
		stood := n == 0 // the first hears nothing of that
		for left := rng.IntN(40); left >= 0 || n == 20; left-- {
			ev := new(apiv1.ExecEvent)
			require.NoError(t, control.Receive(ev))
			for _, l := range ev.GetOutput().GetLines() {
				require.LessOrEqual(t, l.Seq, next[l.Rank], "a line is missing")
				next[l.Rank] = max(next[l.Rank], l.Seq+1)
			}
			if s := ev.GetStanding(); s != nil {
				require.False(t, stood)
				require.Len(t, s.Ranks, 2)
				stood, ends = true, 0
				for _, r := range s.Ranks {
					if r.State == apiv1.StandingRank_STATE_ENDED {
						ends++
					}
				}
			}
			if ev.GetEnded() != nil && stood {
				ends++
			}
			if rng.IntN(3) > 0 || n == 20 { // else it ends before it has said so
				require.NoError(t, control.Send(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Ack{Ack: &apiv1.ExecAck{Number: ev.Number}}}))
			}
			if ends == 2 {
				break
			}
		}
		if ends < 2 {
			require.NoError(t, control.Close())
			control = called()
		}
	}
	for rank := range int32(2) {
		require.EqualValues(t, steps+1, next[rank])
	}
}
