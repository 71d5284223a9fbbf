package client

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/transport"
)

// aWorker, aServer and aWebServer are what may be at an address.
type aWorker struct{ apiv1connect.DataHandler }

func (aWorker) Identify(context.Context, *apiv1.IdentifyRequest) (*apiv1.IdentifyResponse, error) {
	return &apiv1.IdentifyResponse{Host: "h1"}, nil
}

type aServer struct {
	apiv1connect.UnimplementedControlHandler
	apiv1connect.UnimplementedClusterHandler
}

func (aServer) Discover(context.Context, *apiv1.DiscoverRequest) (*apiv1.DiscoverResponse, error) {
	return &apiv1.DiscoverResponse{ServerId: "s1", ClusterId: "c1"}, nil
}

func (aServer) ListHosts(context.Context, *apiv1.ListHostsRequest) (*apiv1.ListHostsResponse, error) {
	return &apiv1.ListHostsResponse{}, nil
}

// listening serves until the test ends, and returns where.
func listening(t *testing.T, serve func(ctx context.Context, l net.Listener)) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); serve(ctx, l) }()
	t.Cleanup(func() { cancel(); _ = l.Close(); <-done })
	return l.Addr().String()
}

// saysFirst speaks before it is spoken to.
func saysFirst(_ context.Context, l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, "SSH-2.0-OpenSSH_9.9\r\n")
		go func() { // ends when the client hangs up: what is not read would end the connection before its words are
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close() // it was only there
		}()
	}
}

func serving(t *testing.T, h http.Handler) string {
	t.Helper()
	return listening(t, func(ctx context.Context, l net.Listener) { _ = transport.Serve(ctx, l, h) })
}

func servicesOf(register func(*connect.Server)) http.Handler {
	s, mux := connect.NewServer(), http.NewServeMux()
	register(s)
	transport.Mount(mux, s)
	return mux
}

// TestStrangersArePassedOver: of an address of something else it is said what is there, the next one is tried, and without one the call fails
// at once.
func TestStrangersArePassedOver(t *testing.T) {
	good := serving(t, servicesOf(func(s *connect.Server) {
		apiv1connect.RegisterControlHandler(s, aServer{})
		apiv1connect.RegisterClusterHandler(s, aServer{})
	}))
	worker := serving(t, servicesOf(func(s *connect.Server) { apiv1connect.RegisterDataHandler(s, aWorker{}) }))
	other := func(h http.HandlerFunc) string { return serving(t, h) }
	list := func(ctx context.Context, c apiv1connect.ControlClient) error {
		_, err := c.ListHosts(ctx, &apiv1.ListHostsRequest{})
		return err
	}
	for name, tc := range map[string]struct{ addr, said string }{
		"a worker":       {worker, worker + " is a worker, not a server (servers: port 7400)"},
		"a web server":   {other(http.NotFound), "but another program (HTTP status 404 Not Found; servers: port 7400)"},
		"one with pages": {other(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }), "but another program (invalid content-type"},
		"one that asks who it is": {
			other(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }), "but another program (HTTP status 401 Unauthorized",
		},
		"one without end": {other(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/grpc+proto")
			_, _ = w.Write([]byte{0, 0x7f, 0xff, 0xff, 0xff, 1, 2, 3})
		}), "but another program (message "},
		"one of HTTP/1": {listening(t, func(ctx context.Context, l net.Listener) {
			s := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Minute}
			stop := context.AfterFunc(ctx, func() { _ = s.Close() })
			defer stop()
			_ = s.Serve(l)
		}), `but another program (it says "HTTP/1.1 `},
		"one that speaks first": {listening(t, saysFirst), `but another program (it says "SSH-2.0-OpenSSH_9.9"`},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := New(tc.addr, time.Hour)
			require.NoError(t, err)
			err = c.Do(t.Context(), list)
			require.ErrorIs(t, err, ErrUnreachable)
			require.ErrorContains(t, err, tc.said)

			c, err = New(tc.addr+","+good, time.Hour)
			require.NoError(t, err)
			require.NoError(t, c.Do(t.Context(), list))

			c, err = New(tc.addr+",127.0.0.1:1", time.Millisecond)
			require.NoError(t, err)
			err = c.Do(t.Context(), list)
			require.ErrorIs(t, err, ErrUnreachable)
			require.ErrorContains(t, err, tc.said)
		})
	}
	// What a server says it says for itself, also that it does not know a call.
	c, err := New(good, time.Hour)
	require.NoError(t, err)
	err = c.Do(t.Context(), func(ctx context.Context, c apiv1connect.ControlClient) error {
		_, err := c.ListApps(ctx, &apiv1.ListAppsRequest{})
		return err
	})
	require.Equal(t, connect.CodeUnimplemented, connect.CodeOf(err))
	h := transport.NewHTTPClient()
	require.Empty(t, firstWords(t.Context(), h, good))
	require.NoError(t, NotAServer(t.Context(), h, worker, apierr.New(connect.CodeUnknown, apierr.ReasonInternal, "", "of a server", "")))
	require.NoError(t, NotAServer(t.Context(), h, worker, nil))
	// net/http has several words for what is no HTTP/2, by when it is found.
	first := listening(t, saysFirst)
	for _, early := range []error{
		connect.NewError(connect.CodeUnavailable, "http2: client conn is closed"), connect.NewError(connect.CodeCanceled, "write: broken pipe"),
		connect.NewError(connect.CodeUnavailable, "connection reset by peer"),
	} {
		require.ErrorContains(t, NotAServer(t.Context(), h, first, early), "SSH-2.0")
		require.NoError(t, NotAServer(t.Context(), h, good, early))
	}
}

// TestSilenceIsNotAskedAgain: who has answered nothing is not looked at once more, which would take as long again.
func TestSilenceIsNotAskedAgain(t *testing.T) {
	var dialed atomic.Int64
	silent := listening(t, func(_ context.Context, l net.Listener) {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			dialed.Add(1)
			defer conn.Close() //nolint:errcheck // it was only there
		}
	})
	h := transport.NewHTTPClient()
	c := &Client{http: h}
	_, err := c.ask(t.Context(), silent)
	require.ErrorContains(t, err, "does not answer")
	require.NoError(t, NotAServer(t.Context(), h, silent, err))
	require.NoError(t, NotAServer(t.Context(), h, silent, connect.NewError(connect.CodeUnavailable, strings.Repeat("x", 200)+"http2: client connection lost")))
	require.EqualValues(t, 1, dialed.Load())
}

// told tells when it is closed.
type told struct {
	net.Conn
	closed chan struct{}
	once   *sync.Once
}

func (c told) Close() error {
	defer c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// TestStrangerBeforeTheQuestion: one that speaks first may be found out before the first question goes out, of which there is another error.
func TestStrangerBeforeTheQuestion(t *testing.T) {
	addr := listening(t, saysFirst)
	h := transport.NewHTTPClient()
	tr, ok := h.Transport.(*http.Transport)
	require.True(t, ok)
	dial, gone := tr.DialContext, make(chan struct{})
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		return told{conn, gone, new(sync.Once)}, err
	}
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { <-gone }})
	_, err := apiv1connect.NewClusterClient(transport.NewClient(h, addr)).Discover(ctx, &apiv1.DiscoverRequest{})
	require.ErrorContains(t, err, "conn could not be established")
	tr.DialContext = dial
	require.ErrorContains(t, NotAServer(t.Context(), h, addr, err), `but another program (it says "SSH-2.0-OpenSSH_9.9"`)
}
