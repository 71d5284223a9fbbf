package listen

import (
	"net"
	"net/netip"
	"sync"

	"github.com/godwit-run/godwit/internal/gate"
	"github.com/godwit-run/godwit/internal/trust"
)

// queueLength bounds the connections of one protocol that wait for Accept. A connection that finds the queue full waits
// PrefaceTimeout and is then closed.
const queueLength = 64

// Acceptor hands out the connections of one prefaced protocol.
type Acceptor struct {
	proto string
	addr  net.Addr
	queue chan *Conn
	done  chan struct{}
	close sync.Once
}

func newAcceptor(proto string, addr net.Addr) *Acceptor {
	return &Acceptor{proto: proto, addr: addr, queue: make(chan *Conn, queueLength), done: make(chan struct{})}
}

// Accept blocks until a connection with this protocol's preface arrives. It returns net.ErrClosed once the Acceptor or its
// Listener is closed.
func (a *Acceptor) Accept() (*Conn, error) {
	select {
	case <-a.done:
	default:
		select {
		case c := <-a.queue:
			return c, nil
		case <-a.done:
		}
	}
	a.drain()
	return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: a.addr, Err: net.ErrClosed}
}

// Addr returns the address of the Listener.
func (a *Acceptor) Addr() net.Addr { return a.addr }

// Close ends Accept and closes what still waits in the queue. The Listener lives on and refuses the protocol from then on.
func (a *Acceptor) Close() error {
	a.close.Do(func() { close(a.done) })
	a.drain()
	return nil
}

func (a *Acceptor) drain() {
	for {
		select {
		case c := <-a.queue:
			_ = c.Close()
		default:
			return
		}
	}
}

// maxHTTP bounds the open HTTP connections of a Listener: each costs buffers and a goroutine or more. Those of one address are at most a
// half of them, gate.Shares says why. One over either is closed.
const maxHTTP = 8192

// httpListener is an Acceptor in the shape net/http wants.
type httpListener struct {
	*Acceptor
	open *gate.Shares
}

// Accept hides the Conn wrapper, of which Peer tells what there is to tell about an HTTP connection. That it may be TLS is hidden, too: net/http would take
// the connection for one that it has secured itself.
func (l httpListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Acceptor.Accept()
		if err != nil {
			return nil, err
		}
		from := address(c)
		if l.open.Open(from, 1) {
			return &countedConn{Conn: c.Conn, peer: c.Peer, open: l.open, from: from}, nil
		}
		_ = c.Close()
	}
}

// address is the address of c's other end, without its port.
func address(c net.Conn) netip.Addr {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// countedConn is counted until it is closed.
type countedConn struct {
	net.Conn
	peer   *trust.Identity
	open   *gate.Shares
	from   netip.Addr
	closed sync.Once
}

// Peer is who is at the other end of a connection that HTTP's listener has accepted; nil: nobody has said so.
func Peer(c net.Conn) *trust.Identity {
	if counted, ok := c.(*countedConn); ok {
		return counted.peer
	}
	return nil
}

func (c *countedConn) Close() error {
	c.closed.Do(func() { c.open.Close(c.from, 1) })
	return c.Conn.Close()
}
