package executor

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/pipe"
)

// TestBootFailsWhileTheWorkerIsAway: why an executor cannot run is not lost with the process of the worker that has started it.
func TestBootFailsWhileTheWorkerIsAway(t *testing.T) {
	listener, link := listenerOf(t)
	e := New(listener, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }() // until it has said why
	lease := testLease(t)
	lease.Set(pipe.SinceBoot() + time.Hour)
	for n := range 3 {
		control, conns := call(t, link, lease)
		if n == 0 {
			require.NoError(t, control.Send(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Start{Start: &apiv1.ExecStart{
				App: "app-test", Size: 1, Ranks: []int32{0}, Host: "h0", Programs: []*apiv1.ExecProgram{{ModulePath: "/none", CacheDir: cacheDir(t), Ranks: 1}},
			}}}))
		} else {
			ev := new(apiv1.ExecEvent)
			require.NoError(t, control.Receive(ev))
			require.Contains(t, ev.GetFailed().GetReason(), "/none")
			if n == 2 {
				require.NoError(t, control.Send(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Ack{Ack: &apiv1.ExecAck{Number: ev.Number}}}))
			}
		}
		require.NoError(t, control.Close())
		require.NoError(t, conns.Close())
	}
	select {
	case err := <-done:
		require.ErrorContains(t, err, "/none")
	case <-time.After(testWait):
		require.FailNow(t, "it does not end")
	}
}
