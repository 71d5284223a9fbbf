package worker

import (
	"net"
	"net/http"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/internal/transport"
)

// listenLocal makes a listener on loopback, for serve.
func listenLocal(t *testing.T) net.Listener {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return l
}

// serve answers with the services that register puts on the server, until the test ends. It returns where.
func serve(t *testing.T, l net.Listener, register func(*connect.Server)) string {
	t.Helper()
	s := connect.NewServer()
	register(s)
	mux := http.NewServeMux()
	transport.Mount(mux, s)
	done := make(chan error, 1)
	go func() { done <- transport.Serve(t.Context(), l, mux) }() // that context ends before the cleanups begin
	t.Cleanup(func() { require.NoError(t, <-done) })
	return l.Addr().String()
}
