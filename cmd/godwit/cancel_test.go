package main

import (
	"context"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/apierr"
)

// slowEnds is a server whose apps, but "queued", run on after they are cancelled, until both "a" and "b" are.
type slowEnds struct {
	apiv1connect.UnimplementedControlHandler
	ends map[string]*apiv1.App // "forgotten" is not among them

	mu    sync.Mutex
	asked map[string]bool
	both  chan struct{} // closed once both are
}

func (f *slowEnds) CancelApp(_ context.Context, req *apiv1.CancelAppRequest) (*apiv1.CancelAppResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked[req.App] = true
	if f.asked["a"] && f.asked["b"] && !closed(f.both) {
		close(f.both)
	}
	if req.App == "queued" {
		return &apiv1.CancelAppResponse{App: &apiv1.App{Id: req.App, Phase: apiv1.AppCancelled}}, nil
	}
	return &apiv1.CancelAppResponse{App: &apiv1.App{Id: req.App, Phase: apiv1.AppRunning}}, nil
}

func (f *slowEnds) WaitApp(ctx context.Context, req *apiv1.WaitAppRequest) (*apiv1.WaitAppResponse, error) {
	select {
	case <-f.both:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if app := f.ends[req.App]; app != nil {
		return &apiv1.WaitAppResponse{App: app}, nil
	}
	return nil, apierr.New(connect.CodeNotFound, apierr.ReasonNotFound, "app", "its end is forgotten", "")
}

// TestCancelWaitsForTheEnd: who cancels apps hears that they are cancelled when they have ended, and all are asked to before one is waited for.
func TestCancelWaitsForTheEnd(t *testing.T) {
	f := &slowEnds{asked: map[string]bool{}, both: make(chan struct{}), ends: map[string]*apiv1.App{
		"a": {Id: "a", Phase: apiv1.AppCancelled},
		"b": {Id: "b", Phase: apiv1.AppFailed, Reason: "rank 0 exited 3"},
	}}
	cl := serveControl(t, f)
	alone := cancelAll(t.Context(), cl, []string{"a", "queued"}, "")
	require.NoError(t, awaitCancelled(t.Context(), cl, alone["queued"].app, time.Minute), "it never ran")
	err := awaitCancelled(t.Context(), cl, alone["a"].app, time.Millisecond)
	require.ErrorContains(t, err, "not ended within 1ms")
	require.Equal(t, exitTimeout, exitCode(err))

	all := cancelAll(t.Context(), cl, []string{"a", "b", "a", "forgotten"}, "")
	require.NoError(t, awaitCancelled(t.Context(), cl, all["a"].app, time.Minute))
	require.ErrorContains(t, awaitCancelled(t.Context(), cl, all["b"].app, time.Minute), "it had failed before: rank 0 exited 3")
	require.NoError(t, awaitCancelled(t.Context(), cl, all["forgotten"].app, time.Minute))
}
