// Package transport makes the HTTP clients and servers of the API: HTTP/1.1 and
// HTTP/2 on one port. TLS is put under by internal/listen, at both ends: here all is as if there were none, but for Peer.
package transport

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"connectrpc.com/connect/v2/connectproto"

	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/gate"
	"github.com/godwit-run/godwit/internal/listen"
	"github.com/godwit-run/godwit/internal/text"
)

// Limits of API connections and messages.
const (
	// MaxMessageBytes bounds one message; larger things are streamed in chunks.
	MaxMessageBytes = 4 << 20
	// ChunkBytes is the size of one chunk of a streamed module, image or log.
	ChunkBytes = 256 << 10

	maxStreams    = 64       // on one connection; clients open another when they need more
	maxRequests   = 48 << 10 // that are being answered, of a server: a session of each host, as many fetches that wait, and as many callers
	turnsPerCore  = 2
	maxSmall      = 256 << 10 // of a request's first message, unless it is said to be longer: a name, a page, a place in each rank's log
	maxHeader     = 16 << 10  // of a request; ours have some hundred bytes
	idleWait      = 3 * time.Minute
	handshakeWait = 5 * time.Second
	pingAfter     = 5 * time.Second
	pingWait      = 3 * time.Second
	maxFrame      = 256 << 10 // what is read at a time: a connection keeps a buffer of that size

	maxUnread = 256 << 20   // of answers that are being written, for all callers of a server together
	maxHalf   = 128 << 20   // of messages that have begun and are not whole, for all callers of a server together
	stillWait = time.Minute // with a message that stands still

	// A stream moves at most its receiver's window in a round trip, and the receiver may have to hold that much of it: callers' streams, which
	// may be many and read by nobody, have little; images and modules, which are written as they come, have what a line of 10 ms needs.
	streamWindow = 256 << 10
	bulkWindow   = 4 << 20
	// bulkUnread is what all streams of a caller's connection may have sent and nobody has read, where requests are long: no stream waits for a
	// turn there, so it needs not be a window for each, which would be 272 MiB for a caller who means ill.
	bulkUnread = 4 * bulkWindow
)

// http2Config gives each stream the window, and a connection what all its streams may have sent and nobody has read yet: whoever reads
// nothing, or waits for a turn to read, holds up nobody else.
func http2Config(window int) *http.HTTP2Config {
	return &http.HTTP2Config{
		SendPingTimeout: pingAfter, PingTimeout: pingWait,
		WriteByteTimeout:          pingAfter + pingWait, // a peer that reads nothing of the connection is not there, whatever it sends
		MaxReceiveBufferPerStream: window, MaxReceiveBufferPerConnection: (maxStreams + 4) * window,
		MaxReadFrameSize: maxFrame,
	}
}

// NewHTTPClient is an HTTP client that speaks HTTP/2 without TLS. It notices a dead peer within seconds.
func NewHTTPClient() *http.Client { return NewHTTPClientBy(listen.Dialer{}) }

// NewHTTPClientBy is NewHTTPClient over connections that the dialer makes.
func NewHTTPClientBy(d listen.Dialer) *http.Client { return newHTTPClient(d, streamWindow) }

// NewBulkHTTPClient is NewHTTPClient for answers that are long and are written as they come: over a line of 10 ms a stream moves hundreds of
// megabytes a second to it, and may leave 4 MiB for it to hold.
func NewBulkHTTPClient() *http.Client { return NewBulkHTTPClientBy(listen.Dialer{}) }

// NewBulkHTTPClientBy is NewBulkHTTPClient over connections that the dialer makes.
func NewBulkHTTPClientBy(d listen.Dialer) *http.Client { return newHTTPClient(d, bulkWindow) }

// newHTTPClient makes a client that knows nothing of TLS: its connections are what the dialer makes, which has agreed on HTTP/2 where there is TLS.
func newHTTPClient(d listen.Dialer, window int) *http.Client {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: &http.Transport{
		Protocols:          p,
		DialContext:        func(ctx context.Context, _, addr string) (net.Conn, error) { return d.HTTP(ctx, addr) },
		HTTP2:              http2Config(window),
		DisableCompression: true,
	}}
}

// NewClient calls the services at addr (host:port), with the gRPC protocol.
func NewClient(h *http.Client, addr string) *connect.Client {
	return NewBoundedClient(h, addr, MaxMessageBytes)
}

// NewBoundedClient is NewClient for answers of at most maxBytes.
func NewBoundedClient(h *http.Client, addr string, maxBytes int) *connect.Client {
	return connect.NewClient(connecthttp.NewTransport(wholeClient{h}, "http://"+addr, connecthttp.WithGRPC(), connecthttp.WithReadMaxBytes(maxBytes)))
}

// Mount puts the services on mux: gRPC, gRPC-Web, and JSON for curl, whose keys are those of the protobufs.
func Mount(mux *http.ServeMux, s *connect.Server) { MountBounded(mux, s, nil) }

// MountBounded is Mount where the first message of a request to one of the procedures of first has at most that many bytes, so that little
// is read before the handler knows whose request it is: what is decoded takes up to forty times as much. Of other procedures it has 256 KiB.
func MountBounded(mux *http.ServeMux, s *connect.Server, first map[string]int) {
	json := connectproto.NewJSONCodec()
	json.MarshalOptions.UseProtoNames = true
	json.MarshalOptions.EmitDefaultValues = true
	json.UnmarshalOptions.DiscardUnknown = false // a key that is none is told
	connecthttp.Mount(newSpecMux(mux, s, first), s,
		connecthttp.WithCodecs(connectproto.NewBinaryCodec(), shortJSON{json}),
		connecthttp.WithReadMaxBytes(MaxMessageBytes), connecthttp.WithCompressMinBytes(4<<10))
}

// shortJSON is the codec for JSON whose errors do not repeat all that a caller has sent: they travel in headers.
type shortJSON struct{ *connectproto.JSONCodec }

// UnmarshalRead implements connect.Codec.
func (c shortJSON) UnmarshalRead(ctx context.Context, src io.Reader, msg any) error {
	err := c.JSONCodec.UnmarshalRead(ctx, src, msg)
	if err == nil || len(err.Error()) <= apierr.MaxText {
		return err
	}
	return errors.New(text.Cut(err.Error(), apierr.MaxText) + "…")
}

// Serve answers on l until ctx ends, then gives requests under way a moment and closes. It returns nil at ctx's end.
// What messages that are not whole take of memory is bounded for all callers together: when it is short those go that have held much for long
// without moving, and one that stands still for stillWait goes whatever there is. So it is with answers that callers do not take, whatever
// their size. Requests that are compressed are refused: how much they hold is not to be seen.
// Those that are being answered are maxRequests at the most, of one address half as many. A request that is one message is worked on when it
// has its turn, of which there are a few for each core: from its decoding until its answer is written, or its handler calls Yield. A stream
// has one for its first message, until its handler asks for more.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	return serve(ctx, l, h, http2Config(streamWindow), newHalves(maxHalf, stillWait), newUnreads(maxUnread, stillWait))
}

// ServeBulk is Serve where requests are long and are written as they come, as images are: what NewBulkHTTPClient is for answers.
func ServeBulk(ctx context.Context, l net.Listener, h http.Handler) error {
	config := http2Config(bulkWindow)
	config.MaxReceiveBufferPerConnection = bulkUnread
	return serve(ctx, l, h, config, newHalves(maxHalf, stillWait), newUnreads(maxUnread, stillWait))
}

func serve(ctx context.Context, l net.Listener, h http.Handler, config *http.HTTP2Config, all, answers *account) error {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	config.MaxConcurrentStreams = maxStreams
	s := &http.Server{
		Handler: withWriter(h, all, answers, gate.NewShares(maxRequests), gate.NewTurns(turnsPerCore*runtime.GOMAXPROCS(0))), Protocols: p, ReadHeaderTimeout: handshakeWait, IdleTimeout: idleWait, MaxHeaderBytes: maxHeader, HTTP2: config,
		ErrorLog: newErrorLog(slog.Default()),
		// Requests end with the server, so that streams do not hold up its end.
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnContext: withPeer,
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
