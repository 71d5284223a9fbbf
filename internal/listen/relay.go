package listen

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// maxGreeting bounds how TLS begins, in bytes: a client's greeting has some hundred, and with keys of new kinds two thousand.
const maxGreeting = 16 << 10

// Relay has connections of a protocol that is registered handed out before anything of them is read, on a port that is Secure: somebody else is to speak TLS over
// them. Args is then what the greeting names as the other end (SNI). Who that is, and may be reached, is for the taker to see. It must be called before Run.
func (l *Listener) Relay(proto string) { l.relays = append(l.relays, alpnOf(proto)) }

// errSeen ends a handshake that was only to be looked at.
var errSeen = errors.New("the greeting was read")

// greeting looks at how a client begins TLS, and takes nothing of it: all is there to be read again. It blocks until the greeting is whole, or the deadline of
// the connection.
func greeting(c *net.TCPConn) (*tls.ClientHelloInfo, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	buf := make([]byte, 2<<10)
	seen := 0
	for {
		var n int
		var failed error
		err := raw.Read(func(fd uintptr) bool {
			n, _, failed = unix.Recvfrom(int(fd), buf, unix.MSG_PEEK|unix.MSG_DONTWAIT)
			again := failed == nil && n == seen && n > 0 // it is waited for more
			return !errors.Is(failed, unix.EAGAIN) && !again
		})
		switch {
		case err != nil:
			return nil, err
		case failed != nil:
			return nil, failed
		case n == 0:
			return nil, io.ErrUnexpectedEOF
		}
		seen = n
		hello, err := helloIn(buf[:n])
		switch {
		case hello != nil:
			return hello, nil
		case !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF):
			return nil, err
		case n == len(buf) && n >= maxGreeting:
			return nil, errors.New("the greeting is too long")
		case n == len(buf):
			buf = make([]byte, 2*len(buf))
			seen = 0
		}
	}
}

// helloIn reads a client's greeting; nil: there is no whole one, or it is none.
func helloIn(b []byte) (hello *tls.ClientHelloInfo, err error) {
	err = tls.Server(seenConn{bytes.NewReader(b)}, &tls.Config{MinVersion: tls.VersionTLS13, GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		hello = h
		return nil, errSeen
	}}).HandshakeContext(context.Background())
	return hello, err
}

// seenConn is a connection of which some bytes were seen, and over which nothing goes.
type seenConn struct{ r io.Reader }

func (c seenConn) Read(p []byte) (int, error)     { return c.r.Read(p) }
func (seenConn) Write(p []byte) (int, error)      { return len(p), nil }
func (seenConn) Close() error                     { return nil }
func (seenConn) LocalAddr() net.Addr              { return nil }
func (seenConn) RemoteAddr() net.Addr             { return nil }
func (seenConn) SetDeadline(time.Time) error      { return nil }
func (seenConn) SetReadDeadline(time.Time) error  { return nil }
func (seenConn) SetWriteDeadline(time.Time) error { return nil }

// refuseWait bounds how long Refuse takes.
const refuseWait = time.Second

// Refuse answers who has made a connection that was relayed with TLS's word that there is nobody of the name that he asks for, and closes it.
func Refuse(c net.Conn) {
	_ = c.SetDeadline(time.Now().Add(refuseWait)) // what goes wrong from here on goes wrong for him
	_, _ = c.Read(make([]byte, maxGreeting))      // who closes with something unread takes back what he has said
	_, _ = c.Write([]byte{21, 3, 3, 0, 2, 2, 112})
	_ = c.Close()
}

// Shake speaks TLS with who has made a connection that was relayed, and reads the preface inside, which has to be the protocol's. It blocks as long as ctx lets it,
// and closes c on an error.
func Shake(ctx context.Context, c net.Conn, proto string, config *tls.Config) (*Conn, error) {
	s := tls.Server(c, config)
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	err := s.HandshakeContext(ctx)
	out := &Conn{Conn: secureConn{s}}
	if err == nil {
		var got string
		if got, out.Args, _, err = readPreface(s); err == nil && got != proto {
			err = ErrPreface
		}
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return out, nil
}

// ALPN is the name of a protocol in ALPN.
func ALPN(proto string) string { return alpnOf(proto) }
