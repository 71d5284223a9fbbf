package transport

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// answering answers with h until the test ends, and returns the address and a counter of connections.
func answering(t testing.TB, h http.HandlerFunc) (url string, conns *atomic.Int32) {
	t.Helper()
	return answeringBy(t, Serve, h)
}

func answeringBy(t testing.TB, serve func(context.Context, net.Listener, http.Handler) error, h http.HandlerFunc) (url string, conns *atomic.Int32) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	counted := &countingListener{Listener: l}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, counted, h) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-ended) })
	return "http://" + l.Addr().String(), &counted.n
}

type countingListener struct {
	net.Listener
	n atomic.Int32
}

func (l *countingListener) Accept() (net.Conn, error) {
	l.n.Add(1)
	return l.Listener.Accept()
}

// TestDeafStreams: streams of which nobody reads what they get hold up no other stream of their connection, whichever side is deaf.
func TestDeafStreams(t *testing.T) {
	full := make(chan struct{}, maxStreams)
	url, conns := answering(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/talks": // more than the client's window takes
			w.WriteHeader(http.StatusOK)
			for chunk := make([]byte, streamWindow); ; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
				select {
				case full <- struct{}{}: // once it has taken a window
				default:
				}
			}
		case "/deaf":
			full <- struct{}{}
			<-r.Context().Done()
		default:
			b, err := io.ReadAll(r.Body)
			if err == nil {
				_, _ = w.Write(b)
			}
		}
	})
	for _, path := range []string{"/talks", "/deaf"} {
		t.Run(path, func(t *testing.T) {
			client := NewHTTPClient()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			echo(t, client, url, []byte("first"))
			before := conns.Load()
			for range maxStreams - 4 {
				if path == "/talks" {
					req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+path, nil)
					require.NoError(t, err)
					res, err := client.Do(req)
					require.NoError(t, err)
					defer res.Body.Close() //nolint:errcheck // it is not read
				} else {
					req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+path, endless{})
					require.NoError(t, err)
					go func() {
						if res, err := client.Do(req); err == nil {
							_ = res.Body.Close()
						}
					}()
				}
				<-full
			}
			echo(t, client, url, bytes.Repeat([]byte("x"), 8*streamWindow))
			require.Equal(t, before, conns.Load(), "all on one connection")
		})
	}
}

// echo sends a body and wants it back.
func echo(t *testing.T, client *http.Client, url string, body []byte) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/echo", bytes.NewReader(body))
	require.NoError(t, err)
	res, err := client.Do(req)
	require.NoError(t, err)
	got, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, body, got)
}

// endless is a body without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
