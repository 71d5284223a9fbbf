package transport

import (
	"context"
	"net"

	"github.com/godwit-run/godwit/internal/listen"
	"github.com/godwit-run/godwit/internal/trust"
)

type peerKey struct{}

// withPeer has the requests of a connection know who makes them.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	if id := listen.Peer(c); id != nil {
		return context.WithValue(ctx, peerKey{}, *id)
	}
	return ctx
}

// Peer is whom the certificate names that the caller of the request of ctx has shown; ok: he has shown one.
func Peer(ctx context.Context) (id trust.Identity, ok bool) {
	id, ok = ctx.Value(peerKey{}).(trust.Identity)
	return id, ok
}

// WithPeer is ctx as of a request of whom id names.
func WithPeer(ctx context.Context, id trust.Identity) context.Context {
	return context.WithValue(ctx, peerKey{}, id)
}
