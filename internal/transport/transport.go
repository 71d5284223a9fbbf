// Package transport makes the HTTP clients and servers of the API: HTTP/1.1 and
// HTTP/2 on one port, without TLS for now. It is the one place to put TLS under.
package transport

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"connectrpc.com/connect/v2/connectproto"
)

// Limits of API connections and messages.
const (
	// MaxMessageBytes bounds one message; larger things are streamed in chunks.
	MaxMessageBytes = 4 << 20
	// ChunkBytes is the size of one chunk of a streamed module, image or log.
	ChunkBytes = 256 << 10

	maxStreams    = 64 // on one connection; clients open another when they need more
	idleWait      = 3 * time.Minute
	handshakeWait = 5 * time.Second
	dialWait      = 3 * time.Second
	pingAfter     = 5 * time.Second
	pingWait      = 3 * time.Second
	streamWindow  = 256 << 10
	// connWindow holds what all streams of a connection may have sent and nobody has read yet: whoever reads nothing, or waits for a turn
	// to read, holds up nobody else.
	connWindow = (maxStreams + 4) * streamWindow
	maxFrame   = 1 << 20 // a frame is never larger than a stream's window
)

// NewHTTPClient is an HTTP client that speaks HTTP/2 without TLS. It notices a dead peer within seconds.
func NewHTTPClient() *http.Client {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: &http.Transport{
		Protocols:   p,
		DialContext: (&net.Dialer{Timeout: dialWait}).DialContext,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout: pingAfter, PingTimeout: pingWait,
			MaxReceiveBufferPerStream: streamWindow, MaxReceiveBufferPerConnection: connWindow,
			MaxReadFrameSize: maxFrame,
		},
		DisableCompression: true,
	}}
}

// NewClient calls the services at addr (host:port), with the gRPC protocol.
func NewClient(h *http.Client, addr string) *connect.Client {
	return NewBoundedClient(h, addr, MaxMessageBytes)
}

// NewBoundedClient is NewClient for answers of at most maxBytes.
func NewBoundedClient(h *http.Client, addr string, maxBytes int) *connect.Client {
	return connect.NewClient(connecthttp.NewTransport(h, "http://"+addr, connecthttp.WithGRPC(), connecthttp.WithReadMaxBytes(maxBytes)))
}

// Mount puts the services on mux: gRPC, gRPC-Web, and JSON for curl, whose keys are those of the protobufs.
func Mount(mux *http.ServeMux, s *connect.Server) {
	json := connectproto.NewJSONCodec()
	json.MarshalOptions.UseProtoNames = true
	json.MarshalOptions.EmitDefaultValues = true
	connecthttp.Mount(mux, s,
		connecthttp.WithCodecs(connectproto.NewBinaryCodec(), json),
		connecthttp.WithReadMaxBytes(MaxMessageBytes), connecthttp.WithCompressMinBytes(4<<10))
}

// Serve answers on l until ctx ends, then gives requests under way a moment and closes. It returns nil at ctx's end.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	s := &http.Server{
		Handler: withWriter(h), Protocols: p, ReadHeaderTimeout: handshakeWait, IdleTimeout: idleWait, MaxHeaderBytes: 64 << 10,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, SendPingTimeout: pingAfter, PingTimeout: pingWait,
			MaxReceiveBufferPerStream: streamWindow, MaxReceiveBufferPerConnection: connWindow,
			MaxReadFrameSize: maxFrame,
		},
		// Requests end with the server, so that streams do not hold up its end.
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := s.Shutdown(grace); err != nil {
		if err := s.Close(); err != nil {
			return err
		}
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
