// Package pipe is the link between a worker and one of its executors: protobuf
// messages over one unix socket, and TCP connections handed over on another.
// The executor inherits both as file descriptors.
package pipe

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"
)

// RankProtocol is the name of connections between executors on a worker's port; their preface names the app and the
// calling host.
const RankProtocol = "rank"

// File descriptors under which an executor finds its ends of the link.
const (
	ControlFD  = 3
	HandoverFD = 4
)

// maxMessageBytes bounds one control message. Images and modules go by path.
const maxMessageBytes = 16 << 20

// Conn carries protobuf messages. One goroutine receives; any may send.
type Conn struct {
	conn *net.UnixConn
	r    *bufio.Reader

	mu sync.Mutex // guards w
	w  *bufio.Writer
}

// Pair makes the two ends of a link: the worker's, and the file to give to the child process.
func Pair() (*net.UnixConn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("pipe: socketpair: %w", err)
	}
	child := os.NewFile(uintptr(fds[1]), "executor-pipe")
	conn, err := fromFD(fds[0])
	if err != nil {
		return nil, nil, fmt.Errorf("pipe: %w", errClose(err, child))
	}
	return conn, child, nil
}

func errClose(err error, f *os.File) error {
	if cerr := f.Close(); cerr != nil {
		return fmt.Errorf("%w (and closing: %w)", err, cerr)
	}
	return err
}

// Inherited is the executor's end of the link with the given file descriptor.
func Inherited(fd int) (*net.UnixConn, error) {
	conn, err := fromFD(fd)
	if err != nil {
		return nil, fmt.Errorf("pipe: file descriptor %d is not a link to a worker (godwit exec is started by godwit worker only): %w", fd, err)
	}
	return conn, nil
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
