package transport

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/internal/listen"
	"github.com/godwit-run/godwit/internal/trust"
)

// TestPeer: over TLS a handler knows who calls, by HTTP/2 and HTTP/1.1, or that nobody has said so; the token comes with each request.
func TestPeer(t *testing.T) {
	a, err := trust.NewAuthority("c1", time.Now())
	require.NoError(t, err)
	holds := func(role trust.Role, called string) *trust.Holder {
		key, request, err := trust.Request()
		require.NoError(t, err)
		cert, err := a.Sign(request, trust.Identity{Cluster: "c1", Role: role, Name: called}, time.Now(), time.Hour)
		require.NoError(t, err)
		h, err := trust.NewHolder(a.Certificate(), cert, key, nil)
		require.NoError(t, err)
		return h
	}
	l, err := listen.New("127.0.0.1:0")
	require.NoError(t, err)
	web := l.HTTP()
	l.Secure(holds(trust.Server, "s1"), map[string]func(trust.Identity) error{"": nil})
	listening, deafen := context.WithCancel(t.Context())
	defer deafen()
	ctx, stop := context.WithCancel(listening)
	listens, serves := make(chan error, 1), make(chan error, 1)
	go func() { listens <- l.Run(listening) }()
	go func() {
		serves <- Serve(ctx, web, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id, ok := Peer(r.Context())
			_, _ = fmt.Fprintf(w, "%s %v %s %s", r.Proto, ok, id.Name, r.Header.Get("Authorization"))
		}))
	}()
	said := func(h *http.Client) string {
		defer h.CloseIdleConnections()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.Addr().String()+"/", http.NoBody)
		require.NoError(t, err)
		res, err := h.Do(req)
		require.NoError(t, err)
		b, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return string(b)
	}
	require.Equal(t, "HTTP/2.0 true w1 ", said(NewHTTPClientBy(listen.To(holds(trust.Worker, "w1"), trust.Server))))
	pinned := NewHTTPClientBy(listen.Pinned(a.Pin(), nil))
	require.Equal(t, "HTTP/2.0 false  Bearer word", said(WithToken(pinned, "word")))
	dialer := listen.To(holds(trust.Worker, "w1"), trust.Server)
	old := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) { return dialer.HTTP(ctx, addr) }}}
	require.Equal(t, "HTTP/1.1 true w1 ", said(old))
	other, err := trust.NewAuthority("c1", time.Now())
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.Addr().String()+"/", http.NoBody)
	require.NoError(t, err)
	_, err = WithToken(NewHTTPClientBy(listen.Pinned(other.Pin(), nil)), "word").Do(req) //nolint:bodyclose // there is none
	require.ErrorIs(t, err, trust.ErrPin)
	stop() // first what is served, whose listener would be gone
	require.NoError(t, <-serves)
	deafen()
	require.NoError(t, <-listens)
}
