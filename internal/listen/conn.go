package listen

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/godwit-run/godwit/internal/trust"
)

// Conn is an accepted connection of a prefaced protocol. The embedded Conn is the *net.TCPConn itself while no TLS is in
// place, positioned right behind the preface.
type Conn struct {
	net.Conn
	// Args are the words of the preface behind the protocol's name.
	Args []string
	// Peer is who connects; nil: nobody has said so, as always without TLS.
	Peer *trust.Identity
}

// httpConn gives the bytes taken while looking for a preface back to its reader.
type httpConn struct {
	net.Conn
	head []byte
}

func (c *httpConn) Read(p []byte) (int, error) {
	if len(c.head) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.head)
	c.head = c.head[n:]
	return n, nil
}

// Dial is that of the zero Dialer.
func Dial(ctx context.Context, addr, proto string, args ...string) (net.Conn, error) {
	return Dialer{}.Dial(ctx, addr, proto, args...)
}

// Dial connects to addr and sends the preface of proto with args. It blocks until connected, until ctx is over, or for
// PrefaceTimeout while the preface is written. Arguments are printable ASCII without spaces; all of it fits MaxPreface bytes.
// The server may still refuse: how it says so is the protocol's affair.
func (d Dialer) Dial(ctx context.Context, addr, proto string, args ...string) (net.Conn, error) {
	line, err := formatPreface(proto, args)
	if err != nil {
		return nil, err
	}
	c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	noDelay(c)
	if c, err = d.secured(ctx, c, addr, proto); err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	deadline := time.Now().Add(PrefaceTimeout)
	if until, ok := ctx.Deadline(); ok && until.Before(deadline) {
		deadline = until
	}
	if err = c.SetWriteDeadline(deadline); err == nil {
		_, err = c.Write(line)
	}
	if err == nil {
		err = c.SetWriteDeadline(time.Time{})
	}
	if err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("send preface to %s: %w", addr, err)
	}
	return c, nil
}

// noDelay turns Nagle's algorithm off: small messages are latency-bound, and writers batch by themselves. A connection that
// is already broken shows it at its next use.
func noDelay(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetNoDelay(true)
	}
}
