package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/transport"
)

// fakeCluster answers Discover only.
type fakeCluster struct {
	apiv1connect.ClusterHandler

	err error
}

func (d fakeCluster) Discover(context.Context, *apiv1.DiscoverRequest) (*apiv1.DiscoverResponse, error) {
	return &apiv1.DiscoverResponse{}, d.err
}

// serveHTTP serves h as a server does, until the test ends.
func serveHTTP(t *testing.T, l net.Listener, h http.Handler) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- transport.Serve(ctx, l, h) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
}

// mountCluster is what serves d.
func mountCluster(d fakeCluster) http.Handler {
	s, mux := connect.NewServer(), http.NewServeMux()
	apiv1connect.RegisterClusterHandler(s, d)
	transport.Mount(mux, s)
	return mux
}

// What listens where a cluster might be is one only if it answers as one.
func TestWhoListens(t *testing.T) {
	each := func(f func(net.Conn)) func(*testing.T, net.Listener) {
		return func(t *testing.T, l net.Listener) {
			t.Helper()
			done := make(chan struct{})
			go func() { // ends when the listener is closed
				defer close(done)
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					f(conn)
					defer conn.Close() //nolint:errcheck // what f has left open
				}
			}()
			t.Cleanup(func() { _ = l.Close(); <-done })
		}
	}
	overloaded := apierr.New(connect.CodeResourceExhausted, apierr.ReasonOverloaded, "", "too many calls", "")
	for name, tt := range map[string]struct {
		serve func(*testing.T, net.Listener)
		want  listener
	}{
		"nobody":      {func(_ *testing.T, l net.Listener) { _ = l.Close() }, nobody},
		"hangs up":    {each(func(c net.Conn) { _ = c.Close() }), aStranger},
		"says else":   {each(func(c net.Conn) { _, _ = io.WriteString(c, "220 mail.example ESMTP\r\n"); _ = c.Close() }), aStranger},
		"says nought": {each(func(net.Conn) {}), aStranger},
		"a web server": {func(t *testing.T, l net.Listener) {
			t.Helper()
			serveHTTP(t, l, http.NotFoundHandler())
		}, aStranger},
		"a server": {func(t *testing.T, l net.Listener) {
			t.Helper()
			serveHTTP(t, l, mountCluster(fakeCluster{}))
		}, aServer},
		"a server with other cares": {func(t *testing.T, l net.Listener) {
			t.Helper()
			serveHTTP(t, l, mountCluster(fakeCluster{err: overloaded}))
		}, aServer},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", loopback+":0")
			require.NoError(t, err)
			tt.serve(t, l)
			require.Equal(t, tt.want, whoListens(t.Context(), l.Addr().String()))
		})
	}
}
