// Package pipe is the link between a worker and one of its executors: protobuf
// messages over one unix connection, and TCP connections handed over on another.
// The worker makes both, to a socket that the executor has inherited, and so does the next process of the worker.
package pipe

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"
)

// RankProtocol is the name of connections between executors on a worker's port; their preface names the app and the
// calling host.
const RankProtocol = "rank"

// SecureNote is said with a connection between executors in a secured cluster: the executor speaks TLS over it, and hears inside what else there is to say.
const SecureNote = "+tls" // no host has such a name

// maxMessageBytes bounds one control message. Images and modules go by path.
const maxMessageBytes = 16 << 20

// Conn carries protobuf messages. One goroutine receives; any may send.
type Conn struct {
	conn *net.UnixConn
	r    *bufio.Reader

	mu sync.Mutex // guards w
	w  *bufio.Writer
}

func errClose(err error, f *os.File) error {
	if cerr := f.Close(); cerr != nil {
		return fmt.Errorf("%w (and closing: %w)", err, cerr)
	}
	return err
}

func fromFD(fd int) (*net.UnixConn, error) {
	f := os.NewFile(uintptr(fd), "pipe")
	if f == nil {
		return nil, os.ErrInvalid
	}
	c, err := net.FileConn(f)
	if err != nil {
		return nil, errClose(err, f)
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return nil, fmt.Errorf("%T is not a unix socket", c)
	}
	return u, nil
}

// NewConn carries messages over conn.
func NewConn(conn *net.UnixConn) *Conn {
	return &Conn{conn: conn, r: bufio.NewReaderSize(conn, 64<<10), w: bufio.NewWriterSize(conn, 64<<10)}
}

// Send writes one message. It blocks while the other side does not read.
func (c *Conn) Send(m proto.Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := protodelim.MarshalTo(c.w, m); err != nil {
		return fmt.Errorf("pipe: send: %w", err)
	}
	if err := c.w.Flush(); err != nil {
		return fmt.Errorf("pipe: send: %w", err)
	}
	return nil
}

// SendUntil has every Send fail that has not ended by then.
func (c *Conn) SendUntil(t time.Time) error { return c.conn.SetWriteDeadline(t) }

// Receive reads the next message into m. At the end of the link it returns an error that wraps io.EOF.
func (c *Conn) Receive(m proto.Message) error {
	opts := protodelim.UnmarshalOptions{MaxSize: maxMessageBytes}
	if err := opts.UnmarshalFrom(c.r, m); err != nil {
		return fmt.Errorf("pipe: receive: %w", err)
	}
	return nil
}

// Close ends the link. Pending calls fail.
func (c *Conn) Close() error { return c.conn.Close() }
