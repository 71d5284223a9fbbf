package listen

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"syscall"
	"time"

	"github.com/godwit-run/godwit/internal/trust"
)

// What is spoken inside TLS, by its name in ALPN: a prefaced protocol has its own, so that nobody who means one gets another.
const (
	alpnHTTP2 = "h2"
	alpnHTTP1 = "http/1.1"
	alpnOurs  = "godwit-"
)

// alpnOf is the name in ALPN of a protocol of ours, or of HTTP/2.
func alpnOf(proto string) string {
	if proto == httpProto {
		return alpnHTTP2
	}
	return alpnOurs + proto
}

// security is how a Listener knows who connects.
type security struct {
	holder *trust.Holder
	admits map[string]func(trust.Identity) error
	guests func(leaf *x509.Certificate) (trust.Identity, error) // nil: nobody
}

// Secure has the port speak TLS 1.3 and nothing else, as whom the holder's certificate names. admits decides, for each protocol that is registered, about
// who connects; the empty name is HTTP. A nil function lets those in, too, who do not say who they are: what they may ask for is then for the handler to
// decide. A protocol without an entry takes nobody. Who is not let in gets a TLS alert. It must be called before Run.
func (l *Listener) Secure(holder *trust.Holder, admits map[string]func(trust.Identity) error) {
	l.secure = &security{holder: holder, admits: admits}
}

// Guests has those let in by HTTP, too, whose certificate the cluster's authority has not signed, and whom guests knows all the same. It must be called behind Secure,
// and before Run.
func (l *Listener) Guests(guests func(leaf *x509.Certificate) (trust.Identity, error)) {
	l.secure.guests = guests
}

// clearAnswer is what somebody hears who speaks no TLS to a port that speaks nothing else, whatever he speaks: programs that speak HTTP show it.
const clearAnswer = "HTTP/1.1 400 this port speaks TLS only\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n" +
	"This Godwit cluster is secured: its ports speak TLS only. Use a context of it (godwit context).\n"

// shake makes the connection a secure one, and says by which protocol.
func (l *Listener) shake(c net.Conn) (_ *tls.Conn, proto string, err error) {
	s := tls.Server(c, &tls.Config{MinVersion: tls.VersionTLS13, GetConfigForClient: l.secure.configFor})
	ctx, cancel := context.WithTimeout(context.Background(), PrefaceTimeout)
	defer cancel()
	if err := s.HandshakeContext(ctx); err != nil {
		var plain tls.RecordHeaderError
		if errors.As(err, &plain) && plain.Conn != nil {
			_, _ = io.WriteString(c, clearAnswer) // he may have gone
		}
		return nil, "", err
	}
	return s, protoOf(s.ConnectionState().NegotiatedProtocol), nil
}

// protoOf is the protocol of a name in ALPN. Who names none speaks HTTP, as old programs do.
func protoOf(alpn string) string {
	if len(alpn) > len(alpnOurs) && alpn[:len(alpnOurs)] == alpnOurs {
		return alpn[len(alpnOurs):]
	}
	return httpProto
}

// configFor is the configuration for who asks for one of the protocols.
func (s *security) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	for _, alpn := range hello.SupportedProtos {
		if proto := protoOf(alpn); proto != httpProto {
			return s.config(proto, alpn), nil
		}
	}
	return s.config(httpProto, alpnHTTP2, alpnHTTP1), nil
}

func (s *security) config(proto string, alpn ...string) *tls.Config {
	admits, known := s.admits[proto]
	if !known {
		admits = func(id trust.Identity) error {
			return fmt.Errorf("%w: %s is not let in by %q here", trust.ErrRole, id, slices.Concat(alpn))
		}
	}
	config := s.holder.Listens(alpn, admits)
	if known := config.VerifyConnection; s.guests != nil && proto == httpProto {
		config.VerifyConnection = func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) > 0 {
				if _, err := s.guests(state.PeerCertificates[0]); err == nil {
					return nil
				}
			}
			return known(state)
		}
	}
	return config
}

// Dialer makes connections to Listeners. The zero Dialer makes them in the clear, to Listeners that are not Secure.
type Dialer struct {
	// TLS, if set, is how the other end is known, and shown who this is, by the name of what is to be spoken (ALPN).
	TLS func(alpn string) *tls.Config
}

// To is a Dialer to whoever has a role, by a holder's certificate. A nil holder gives the zero Dialer.
func To(holder *trust.Holder, role trust.Role) Dialer {
	if holder == nil {
		return Dialer{}
	}
	return Dialer{TLS: func(alpn string) *tls.Config { return holder.Dials(alpn, role, "") }}
}

// Pinned is a Dialer to servers of the cluster whose authority has a pin, for whoever has a token and no certificate. learned, if set, gets the authority's
// certificate before anything is said.
func Pinned(pin string, learned func(authority []byte)) Dialer {
	if learned == nil {
		learned = func([]byte) {}
	}
	return Dialer{TLS: func(alpn string) *tls.Config { return trust.DialsPinned(alpn, pin, nil, learned) }}
}

// Secure says whether connections are secure.
func (d Dialer) Secure() bool { return d.TLS != nil }

// Linked is a Dialer to the other executors of an app, by the links that now returns. Without that function it is the zero Dialer.
func Linked(now func() *trust.Links) Dialer {
	if now == nil {
		return Dialer{}
	}
	return Dialer{TLS: func(alpn string) *tls.Config { return now().Dials(alpn) }}
}

// LinkedToWorkers is a Dialer to workers, for an executor.
func LinkedToWorkers(now func() *trust.Links) Dialer {
	if now == nil {
		return Dialer{}
	}
	return Dialer{TLS: func(alpn string) *tls.Config { return now().DialsWorker(alpn) }}
}

// dialWait bounds a connection's making, secured and all.
const dialWait = 3 * time.Second

// HTTP connects to addr for HTTP/2. It blocks until connected, at most dialWait, or until ctx is over.
func (d Dialer) HTTP(ctx context.Context, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialWait)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return d.secured(ctx, c, addr, httpProto)
}

// secured is the connection with TLS, if there is to be any. It closes c if that fails.
func (d Dialer) secured(ctx context.Context, c net.Conn, addr, proto string) (net.Conn, error) {
	if d.TLS == nil {
		return c, nil
	}
	s := tls.Client(c, d.TLS(alpnOf(proto)))
	if err := s.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: c.RemoteAddr(), Err: &SecurityError{Addr: addr, Err: err}}
	}
	return secureConn{s}, nil
}

// secureConn is a connection with TLS that ends as one without does: at once, and with io.EOF at the other end. TLS would write a last word first, and wait five
// seconds for who reads nothing; what is spoken inside says by itself whether it is whole.
type secureConn struct{ *tls.Conn }

// Read implements net.Conn.
func (c secureConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

// SyscallConn gives the socket.
func (c secureConn) SyscallConn() (syscall.RawConn, error) {
	s, ok := c.NetConn().(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return s.SyscallConn()
}

// Close implements net.Conn.
func (c secureConn) Close() error { return c.NetConn().Close() }

// SecurityError is returned when somebody answers at an address, and is not who was meant, or does not take this one for whom it needs.
type SecurityError struct {
	Addr string
	Err  error
}

// Error implements error.
func (e *SecurityError) Error() string {
	var plain tls.RecordHeaderError
	if errors.As(e.Err, &plain) {
		return e.Addr + " speaks no TLS: its cluster is not secured, or another program is there"
	}
	return "no secure connection to " + e.Addr + ": " + e.Err.Error()
}

// Unwrap returns what went wrong.
func (e *SecurityError) Unwrap() error { return e.Err }
