package executor

import (
	"net"
	"sync"

	"github.com/godwit-run/godwit/internal/notify"
)

// connBacklog bounds connections handed over and not yet served.
const connBacklog = 64

// connListener is a net.Listener of connections that the worker accepted and handed over.
type connListener struct {
	ch   chan net.Conn
	some notify.Signal // one has come
	done chan struct{}
	once sync.Once
}

func newConnListener() *connListener {
	return &connListener{ch: make(chan net.Conn, connBacklog), some: notify.NewSignal(), done: make(chan struct{})}
}

// offer passes a connection to Accept; a full backlog closes it, and the peer dials again.
func (l *connListener) offer(c net.Conn) {
	select {
	case l.ch <- c:
		l.some.Set()
	default:
		c.Close() //nolint:errcheck,gosec // nothing was said on it
	}
}

// Accept implements net.Listener.
func (l *connListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.ch:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *connListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr implements net.Listener.
func (l *connListener) Addr() net.Addr { return &net.UnixAddr{Name: "handed-over", Net: "unix"} }
