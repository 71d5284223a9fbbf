package transport

import (
	"context"
	"net"
	"net/http"
)

// WithToken is an HTTP client that shows a token with each request. Connections must be such that nobody hears it but who may: secure ones, to a cluster
// that is known before.
func WithToken(h *http.Client, token string) *http.Client {
	return &http.Client{Transport: &bearer{h.Transport, token}}
}

// bearer shows a token.
type bearer struct {
	http.RoundTripper

	token string
}

// RoundTrip implements http.RoundTripper.
func (b *bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context()) // it is the caller's
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.RoundTripper.RoundTrip(r)
}

// CloseIdleConnections is what http.Client calls.
func (b *bearer) CloseIdleConnections() {
	if t, ok := b.RoundTripper.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
}

// Connect makes a connection as the client makes them; ok: it is one of this package's.
func Connect(ctx context.Context, h *http.Client, addr string) (c net.Conn, ok bool, err error) {
	rt := h.Transport
	if b, is := rt.(*bearer); is {
		rt = b.RoundTripper
	}
	t, ok := rt.(*http.Transport)
	if !ok || t.DialContext == nil {
		return nil, false, nil
	}
	c, err = t.DialContext(ctx, "tcp", addr)
	return c, true, err
}
