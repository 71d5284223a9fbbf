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

	gather chan struct{} // if set, all waits end when so many have come
	of     int
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
	if f.gather != nil {
		select {
		case f.gather <- struct{}{}:
		default: // one that comes again
		}
		f.mu.Lock()
		if len(f.gather) == f.of && !closed(f.both) {
			close(f.both)
		}
		f.mu.Unlock()
	}
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
	wait := func(ctx context.Context, all map[string]*cancelled, long time.Duration) map[string]*cancelled {
		awaitAll(ctx, cl, all, long)
		return all
	}
	alone := wait(t.Context(), cancelAll(t.Context(), cl, []string{"a", "queued", "c", "d"}, "", 0), 50*time.Millisecond)
	require.NoError(t, alone["queued"].err, "it never ran")
	for _, ref := range []string{"a", "c", "d"} { // one deadline for all
		require.ErrorContains(t, alone[ref].err, "not seen to end within 50ms")
		require.Equal(t, exitTimeout, exitCode(alone[ref].err))
	}

	// Who is interrupted while they are waited for hears that all were asked, and which have ended.
	ctx, interrupt := context.WithCancel(t.Context())
	asked := cancelAll(ctx, cl, []string{"a", "c", "queued"}, "", 0)
	interrupt()
	wait(ctx, asked, time.Minute)
	require.NoError(t, asked["queued"].err)
	for _, ref := range []string{"a", "c"} {
		require.ErrorContains(t, asked[ref].err, "it is cancelled, but was not seen to end")
		require.Equal(t, exitInterrupted, exitCode(asked[ref].err))
	}
	asked = cancelAll(ctx, cl, []string{"a", "b"}, "", 0)
	require.ErrorContains(t, asked["a"].err, "whether it is cancelled is not known")
	require.Nil(t, asked["b"], "not asked")

	all := wait(t.Context(), cancelAll(t.Context(), cl, []string{"a", "b", "a", "forgotten"}, "", 0), time.Minute)
	require.NoError(t, all["a"].err)
	require.ErrorContains(t, all["b"].err, "it had failed before: rank 0 exited 3")
	require.NoError(t, all["forgotten"].err)
}

// TestCancelWaitsForAllAtOnce: an app that takes long holds up no other: one end that is seen only while another is waited for is seen.
func TestCancelWaitsForAllAtOnce(t *testing.T) {
	f := &slowEnds{asked: map[string]bool{}, both: make(chan struct{}), gather: make(chan struct{}, 3), of: 3}
	cl := serveControl(t, f)
	all := cancelAll(t.Context(), cl, []string{"x", "y", "z"}, "", 0)
	awaitAll(t.Context(), cl, all, time.Minute)
	for ref, a := range all {
		require.NoError(t, a.err, ref)
	}
}
