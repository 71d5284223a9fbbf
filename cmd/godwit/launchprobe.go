package main

import (
	"context"
	"net"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/client"
	"github.com/godwit-run/godwit/internal/transport"
)

// How long what listens on this machine may take, when nobody has said that there is a cluster: to take a connection, and to answer as a
// server does. A server that answers later is passed over with a note that names it: GODWIT_ADDR insists on it.
const (
	probeWait  = 500 * time.Millisecond
	answerWait = 2 * time.Second
)

// listener is what is at an address.
type listener uint8

const (
	nobody listener = iota // nothing takes a connection
	aStranger
	aServer
)

// whoListens finds out what is at addr.
func whoListens(ctx context.Context, addr string) listener {
	dialing, cancel := context.WithTimeout(ctx, probeWait)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(dialing, "tcp", addr)
	if err != nil {
		return nobody
	}
	_ = conn.Close() // only looked at
	a, err := client.FindAccess(addr)
	if err != nil {
		return aStranger
	}
	h, err := a.HTTP()
	if err != nil {
		return aStranger
	}
	defer h.CloseIdleConnections()
	asking, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	_, err = apiv1connect.NewClusterClient(transport.NewClient(h, addr)).Discover(asking, &apiv1.DiscoverRequest{})
	if err == nil || apierr.Info(err) != nil { // a server's word, even if it cannot answer now
		return aServer
	}
	return aStranger
}
