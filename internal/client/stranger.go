package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/text"
	"github.com/godwit-run/godwit/internal/transport"
)

// maxStrange bounds what is repeated of the words of a program that is none of ours, in bytes.
const maxStrange = 120

// StrangerError is returned when something answers at an address, and it is no server.
type StrangerError struct {
	Addr   string
	Worker bool
	// Said is what came back instead of a server's answer.
	Said string
}

// Error implements error.
func (e *StrangerError) Error() string {
	if strings.Contains(e.Said, "speaks TLS only") {
		return fmt.Sprintf("the Godwit cluster at %s is secured: give a token of it (GODWIT_TOKEN, or godwit context add)", e.Addr)
	}
	if e.Worker {
		return fmt.Sprintf("%s is a worker, not a server (servers: port %s)", e.Addr, DefaultPort)
	}
	return fmt.Sprintf("no Godwit server answers at %s, but another program (%s; servers: port %s)", e.Addr, e.Said, DefaultPort)
}

// NotAServer says what is at addr if the error of a call to it shows that this is no server; nil: it may be one. It asks there once more, for
// askWait at the most, where that is open. Of a program that hangs up without a word nothing is known.
func NotAServer(ctx context.Context, h *http.Client, addr string, err error) error {
	var call *connect.Error
	if !errors.As(err, &call) || apierr.Info(err) != nil {
		return nil
	}
	e := &StrangerError{Addr: addr, Said: text.Line(apierr.Message(err), maxStrange)}
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	if code := connect.CodeOf(err); code == connect.CodeUnavailable || code == connect.CodeCanceled { // a connection that broke
		// Who was reached may speak no HTTP/2: net/http has many words for that and no kind. Who has fallen silent says nothing now either.
		if undialed(err) || strings.Contains(apierr.Message(err), "http2: client connection lost") {
			return nil
		}
		if e.Said = firstWords(ctx, h, addr); e.Said == "" {
			return nil
		}
		return e
	}
	codes := []connect.Code{
		connect.CodeResourceExhausted, // its answer is too large
		connect.CodeUnimplemented, connect.CodeUnauthenticated, connect.CodePermissionDenied, connect.CodeUnknown, connect.CodeInternal,
	}
	if !slices.Contains(codes, connect.CodeOf(err)) {
		return nil
	}
	c := transport.NewBoundedClient(h, addr, maxAnswer)
	_, err = apiv1connect.NewClusterClient(c).Discover(ctx, &apiv1.DiscoverRequest{})
	if err == nil || apierr.Info(err) != nil || !slices.Contains(codes, connect.CodeOf(err)) {
		return nil // a server, that said what it said; or nobody any more
	}
	_, err = apiv1connect.NewDataClient(c).Identify(ctx, &apiv1.IdentifyRequest{})
	e.Worker = err == nil || apierr.Info(err) != nil
	return e
}

// AsStranger is err, or what NotAServer says instead.
func AsStranger(ctx context.Context, h *http.Client, addr string, err error) error {
	return cmp.Or(NotAServer(ctx, h, addr, err), err)
}

// firstWords tells how an answer begins that is no HTTP/2, to somebody who speaks that; empty: it is, or there is none.
func firstWords(ctx context.Context, h *http.Client, addr string) string {
	conn, ok, err := transport.Connect(ctx, h, addr)
	if !ok || err != nil {
		return ""
	}
	defer conn.Close() //nolint:errcheck // only looked at
	if until, ok := ctx.Deadline(); ok {
		if conn.SetDeadline(until) != nil {
			return ""
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // it only unblocks the read
	defer stop()
	const header, settings = 9, 4 // a frame's first bytes, and the type of the first, at [3]; RFC 9113, 3.4 and 4.1
	frame := make([]byte, header, maxStrange)
	frame[3] = settings
	if _, err := conn.Write(append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame...)); err != nil {
		return ""
	}
	said := frame[:maxStrange]
	n, err := io.ReadAtLeast(conn, said, header)
	if n == 0 || err == nil && said[0] == 0 && said[3] == settings {
		return ""
	}
	line, _, _ := strings.Cut(string(said[:n]), "\n")
	return fmt.Sprintf("it says %q", text.Line(strings.TrimSuffix(line, "\r"), maxStrange))
}

// strangers are the addresses at which no server is, as far as a call has found.
type strangers map[string]error

// all says that there is a server at none of addrs.
func (s strangers) all(addrs []string) bool {
	return !slices.ContainsFunc(addrs, func(a string) bool { return s[a] == nil })
}

// with is err and, before it, what is known of the addresses.
func (s strangers) with(addrs []string, err error) string {
	var said []string
	for _, a := range addrs {
		if e := s[a]; e != nil && !slices.Contains(said, e.Error()) {
			said = append(said, e.Error())
		}
	}
	if m := apierr.Message(err); !slices.Contains(said, m) {
		said = append(said, m)
	}
	return strings.Join(said, "; ")
}
