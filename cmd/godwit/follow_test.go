package main

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/client"
	"github.com/godwit-run/godwit/internal/transport"
)

// forgetful is a server whose app ends as soon as somebody waits for it, and is forgotten as soon as one was told.
type forgetful struct {
	apiv1connect.UnimplementedControlHandler
	told     chan struct{}
	failures chan error // of WaitApp, before it works
}

func (f *forgetful) GetApp(context.Context, *apiv1.GetAppRequest) (*apiv1.GetAppResponse, error) {
	return &apiv1.GetAppResponse{App: &apiv1.App{Id: "a", Phase: apiv1.AppRunning}}, nil
}

func (f *forgetful) WaitApp(context.Context, *apiv1.WaitAppRequest) (*apiv1.WaitAppResponse, error) {
	select {
	case err := <-f.failures:
		return nil, err
	case <-f.told:
		return nil, apierr.New(connect.CodeNotFound, apierr.ReasonNotFound, "app", "its end is forgotten", "")
	default:
	}
	close(f.told)
	return &apiv1.WaitAppResponse{App: &apiv1.App{Id: "a", Phase: apiv1.AppFailed, ExitCode: 7, Reason: "rank 0 said so"}}, nil
}

// Logs goes on for as long as the app is remembered.
func (f *forgetful) Logs(ctx context.Context, _ *apiv1.LogsRequest, stream apiv1connect.ControlLogsServerStream) error {
	if err := stream.Send(&apiv1.LogsResponse{Lines: []*apiv1.LogLine{{Text: []byte("hello")}}}); err != nil {
		return err
	}
	select {
	case <-f.told:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Minute):
		return apierr.New(connect.CodeInternal, apierr.ReasonInternal, "", "nobody waits for the app's end while its output lasts", "")
	}
}

// serveControl returns a client of a server that answers so until the test ends.
func serveControl(t *testing.T, f apiv1connect.ControlHandler) *client.Client {
	t.Helper()
	c, err := client.New(controlAddr(t, f), time.Minute)
	require.NoError(t, err)
	return c
}

// controlAddr is the address of a server that answers so until the test ends.
func controlAddr(t *testing.T, f apiv1connect.ControlHandler) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := connect.NewServer()
	apiv1connect.RegisterControlHandler(s, f)
	mux := http.NewServeMux()
	transport.Mount(mux, s)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- transport.Serve(ctx, l, mux) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
	return l.Addr().String()
}

// The end of an app is had by who runs it, though the servers forget it before its output is read.
func TestRunHasTheEndOfAForgottenApp(t *testing.T) {
	for name, failures := range map[string][]error{
		"at once":         nil,
		"after a failure": {apierr.New(connect.CodeUnavailable, apierr.ReasonNoLeader, "", "no leader", "")},
	} {
		t.Run(name, func(t *testing.T) {
			f := &forgetful{told: make(chan struct{}), failures: make(chan error, len(failures))}
			for _, err := range failures {
				f.failures <- err
			}
			r := &runner{
				in: &interrupts{},
				f:  &submitFlags{}, client: serveControl(t, f), program: "godwit", id: "a",
				lines: func(*apiv1.LogLine) error { return nil },
			}
			var exit *exitError
			require.ErrorAs(t, r.follow(t.Context(), "a"), &exit)
			require.Equal(t, 7, exit.code)
			require.ErrorContains(t, exit, "rank 0 said so")
		})
	}
}

// TestCancelHint: an app that is being stopped waits for its hosts, and an interrupt does no more to it.
func TestCancelHint(t *testing.T) {
	require.Contains(t, cancelHint(&apiv1.App{Phase: "starting"}), "Ctrl-C")
	require.Empty(t, cancelHint(&apiv1.App{Phase: "starting", Verdict: "cancelled"}))
}

// hangingFiles is a server that does not say what an app has left.
type hangingFiles struct {
	apiv1connect.UnimplementedControlHandler
	asked chan struct{}
}

func (h hangingFiles) GetApp(ctx context.Context, _ *apiv1.GetAppRequest) (*apiv1.GetAppResponse, error) {
	h.asked <- struct{}{}
	<-ctx.Done()
	return nil, ctx.Err()
}

// What a run gets of an app's files can be interrupted, also after an interrupt that was the app's.
func TestOutCanBeInterrupted(t *testing.T) {
	for _, before := range []bool{false, true} {
		h := hangingFiles{asked: make(chan struct{}, 1)}
		in := newInterrupts()
		interrupt := in.first
		if before {
			close(in.first)
			interrupt = in.second
		}
		r := &runner{f: &submitFlags{out: t.TempDir()}, client: serveControl(t, h), in: in, id: "a", ended: &apiv1.App{Id: "a", Files: &apiv1.AppFiles{}}}
		got := make(chan error)
		go func() { got <- r.getOut(t.Context(), nil) }()
		<-h.asked
		close(interrupt)
		err := <-got
		require.ErrorContains(t, err, "interrupted; godwit get a gets the files later")
		require.Equal(t, exitInterrupted, exitCode(err))
	}
}
