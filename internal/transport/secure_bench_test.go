package transport

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/internal/listen"
	"github.com/godwit-run/godwit/internal/trust"
)

// BenchmarkSecure has a small request answered, 64 MiB taken in, and a first request over a new connection answered, in the clear and over TLS.
func BenchmarkSecure(b *testing.B) {
	a, err := trust.NewAuthority("c1", time.Now())
	require.NoError(b, err)
	holds := func(role trust.Role, called string) *trust.Holder {
		key, request, err := trust.Request()
		require.NoError(b, err)
		cert, err := a.Sign(request, trust.Identity{Cluster: "c1", Role: role, Name: called}, time.Now(), time.Hour)
		require.NoError(b, err)
		h, err := trust.NewHolder(a.Certificate(), cert, key, nil)
		require.NoError(b, err)
		return h
	}
	for _, how := range []string{"clear", "tls"} {
		l, err := listen.New("127.0.0.1:0")
		require.NoError(b, err)
		web, dialer := l.HTTP(), listen.Dialer{}
		if how == "tls" {
			l.Secure(holds(trust.Server, "s1"), map[string]func(trust.Identity) error{"": nil})
			dialer = listen.To(holds(trust.Worker, "w1"), trust.Server)
		}
		ctx, stop := context.WithCancel(context.Background())
		listens, serves := make(chan error, 1), make(chan error, 1)
		go func() { listens <- l.Run(ctx) }()
		go func() {
			serves <- ServeBulk(ctx, web, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
		}()
		send := func(h *http.Client, body []byte) {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+l.Addr().String(), bytes.NewReader(body))
			require.NoError(b, err)
			res, err := h.Do(req)
			require.NoError(b, err)
			_, err = io.Copy(io.Discard, res.Body)
			require.NoError(b, err)
			require.NoError(b, res.Body.Close())
		}
		h := NewBulkHTTPClientBy(dialer)
		b.Run(how+"/small", func(b *testing.B) {
			for b.Loop() {
				send(h, []byte("x"))
			}
		})
		b.Run(how+"/64MiB", func(b *testing.B) {
			body := make([]byte, 64<<20)
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				send(h, body)
			}
		})
		b.Run(how+"/first", func(b *testing.B) {
			for b.Loop() {
				one := NewHTTPClientBy(dialer)
				send(one, []byte("x"))
				one.CloseIdleConnections()
			}
		})
		h.CloseIdleConnections()
		stop()
		require.NoError(b, <-listens)
		require.NoError(b, <-serves)
	}
}
