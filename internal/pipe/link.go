package pipe

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// ListenFD is the file descriptor under which an executor finds the socket at which its worker calls.
const ListenFD = 3

// LinkVersion is of what a worker and an executor say to each other. It counts up when one of them can no longer go on with an older other: a worker adopts
// executors of its own version only, whatever binary they run.
const LinkVersion = 2

// Kind says what a connection of a worker is for.
type Kind byte

// The connections that a worker makes, in this order.
const (
	Control  Kind = 'c' // commands and events
	Handover Kind = 'h' // connections of other hosts
)

const (
	linkBacklog = 16
	headWait    = 5 * time.Second // for a caller's first word
)

// at is a name in a directory, of any length, as a socket's address, which has few bytes.
func at(dir, name string, f func(addr unix.Sockaddr) error) error {
	d, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(d) //nolint:errcheck // only looked at
	return f(&unix.SockaddrUnix{Name: fmt.Sprintf("/proc/self/fd/%d/%s", d, name)})
}

// Listen makes a socket of that name in a directory, for an executor to inherit. The name is short.
func Listen(dir, name string) (*os.File, error) {
	if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("pipe: listen: %w", err)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("pipe: listen: %w", err)
	}
	f := os.NewFile(uintptr(fd), "executor-link")
	err = at(dir, name, func(addr unix.Sockaddr) error { return errors.Join(unix.Bind(fd, addr), unix.Listen(fd, linkBacklog)) })
	if err != nil {
		return nil, fmt.Errorf("pipe: listen: %w", errClose(err, f))
	}
	return f, nil
}

// Dial calls an executor. It does not wait until that takes the call. The lease is the one that counts for the executor from then on.
func Dial(dir, name string, kind Kind, lease *Lease) (*net.UnixConn, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("pipe: call an executor: %w", err)
	}
	err = at(dir, name, func(addr unix.Sockaddr) error { return unix.Connect(fd, addr) })
	if err == nil {
		err = unix.Sendmsg(fd, []byte{byte(kind), LinkVersion}, unix.UnixRights(int(lease.file.Fd())), nil, unix.MSG_NOSIGNAL)
	}
	if err != nil {
		return nil, fmt.Errorf("pipe: call an executor: %w", errors.Join(err, unix.Close(fd)))
	}
	return fromFD(fd)
}

// Listener is where an executor's worker calls, and after that has ended the next process of it.
type Listener struct{ l *net.UnixListener }

// InheritedListener is the socket with the given file descriptor.
func InheritedListener(fd int) (*Listener, error) {
	f := os.NewFile(uintptr(fd), "executor-link")
	if f == nil {
		return nil, os.ErrInvalid
	}
	l, err := NewListener(f)
	if err != nil {
		return nil, fmt.Errorf("pipe: file descriptor %d is not a link to a worker (godwit exec is started by godwit worker only): %w", fd, err)
	}
	return l, nil
}

// NewListener listens at what Listen has made, which it closes.
func NewListener(f *os.File) (*Listener, error) {
	l, err := net.FileListener(f) // with a descriptor of its own
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, err
	}
	u, ok := l.(*net.UnixListener)
	if !ok {
		return nil, fmt.Errorf("%T is not a unix socket", l)
	}
	return &Listener{u}, nil
}

// Caller is a connection that a worker has made.
type Caller struct {
	Kind  Kind
	Conn  *net.UnixConn
	Lease *Lease // that came for Control; nil: none did
}

// Accept waits for the next call of a worker. Who calls and says nothing of that kind is hung up on.
func (l *Listener) Accept() (*Caller, error) {
	for {
		conn, err := l.l.AcceptUnix()
		if err != nil {
			return nil, fmt.Errorf("pipe: accept: %w", err)
		}
		c, err := readHead(conn)
		if err == nil {
			return c, nil
		}
		_ = conn.Close() // nothing was said on it
	}
}

// Close ends Accept.
func (l *Listener) Close() error { return l.l.Close() }

func readHead(conn *net.UnixConn) (*Caller, error) {
	if err := conn.SetReadDeadline(time.Now().Add(headWait)); err != nil {
		return nil, err
	}
	head := make([]byte, 2)
	oob := make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := conn.ReadMsgUnix(head, oob)
	if err != nil {
		return nil, err
	}
	fd, err := oneRight(oob[:oobn])
	if err != nil {
		return nil, err
	}
	c := &Caller{Kind: Kind(head[0]), Conn: conn}
	if n != len(head) || c.Kind != Control && c.Kind != Handover || head[1] != LinkVersion {
		return nil, errors.Join(os.ErrInvalid, unix.Close(fd))
	}
	if c.Kind == Handover {
		err = unix.Close(fd)
	} else {
		c.Lease, err = leaseOf(fd) // last: a mapping stays
	}
	if err != nil {
		return nil, err
	}
	return c, conn.SetReadDeadline(time.Time{})
}

// oneRight is the one descriptor that came with a message. Others are closed.
func oneRight(oob []byte) (int, error) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	var all []int
	for i := range msgs {
		fds, perr := unix.ParseUnixRights(&msgs[i])
		all, err = append(all, fds...), errors.Join(err, perr)
	}
	if err == nil && len(all) == 1 {
		return all[0], nil
	}
	for _, fd := range all {
		err = errors.Join(err, unix.Close(fd))
	}
	return -1, errors.Join(err, os.ErrInvalid)
}
