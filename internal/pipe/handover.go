package pipe

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// maxNoteBytes bounds what is said with a handed-over connection: a host's name.
const maxNoteBytes = 256

// ErrNotTaken is returned when the process at the other end has taken none of many connections: it stands still.
var ErrNotTaken = errors.New("the other process takes no connections")

// SendConn gives a TCP connection to the process at the other end, with a short note on it, and closes it here. It does not
// block: one process that stands still must not keep others from their connections. Errors: ErrNotTaken, or those of the link.
func SendConn(link *net.UnixConn, conn *net.TCPConn, note string) error {
	if len(note) == 0 || len(note) > maxNoteBytes {
		return fmt.Errorf("pipe: a note of %d bytes: must be 1 to %d", len(note), maxNoteBytes)
	}
	f, err := conn.File()
	if err != nil {
		return fmt.Errorf("pipe: hand over a connection: %w", err)
	}
	defer f.Close()    //nolint:errcheck // the receiver holds its own copy
	defer conn.Close() //nolint:errcheck // the receiver holds its own copy
	frame := append([]byte{byte(len(note) - 1)}, note...)
	if err := sendNow(link, frame, unix.UnixRights(int(f.Fd()))); err != nil {
		return fmt.Errorf("pipe: hand over a connection: %w", err)
	}
	return nil
}

// sendNow sends a message, or nothing of it if there is no room.
func sendNow(link *net.UnixConn, frame, oob []byte) error {
	raw, err := link.SyscallConn()
	if err != nil {
		return err
	}
	n := 0
	werr := raw.Write(func(fd uintptr) bool {
		n, err = unix.SendmsgN(int(fd), frame, oob, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		return true
	})
	switch {
	case werr != nil:
		return werr
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ETOOMANYREFS):
		return ErrNotTaken
	case err == nil && n < len(frame): // the kernel takes so short a message whole
		return errors.Join(io.ErrShortWrite, link.Close())
	}
	return err
}

// ErrConnLost is returned for a connection that has not come with its note: this process has no descriptor free for it. The link goes on.
var ErrConnLost = errors.New("pipe: a connection was lost on its way: no descriptor is free")

// ReceiveConn waits for the next connection handed over. Errors: ErrConnLost, or those of the link.
func ReceiveConn(link *net.UnixConn) (net.Conn, string, error) {
	head := make([]byte, 1)
	oob := make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := link.ReadMsgUnix(head, oob)
	if err != nil {
		return nil, "", fmt.Errorf("pipe: take a connection: %w", err)
	}
	if n == 0 {
		return nil, "", fmt.Errorf("pipe: take a connection: %w", io.EOF)
	}
	conn, err := connFromRights(oob[:oobn])
	note := make([]byte, int(head[0])+1)
	if _, rerr := io.ReadFull(link, note); rerr != nil {
		if conn != nil {
			rerr = errors.Join(rerr, conn.Close())
		}
		return nil, "", fmt.Errorf("pipe: take a connection: %w", rerr)
	}
	return conn, string(note), err
}

func connFromRights(oob []byte) (net.Conn, error) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(msgs) != 1 {
		return nil, fmt.Errorf("%w (%w)", ErrConnLost, errors.Join(err, os.ErrInvalid))
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) != 1 {
		return nil, fmt.Errorf("pipe: take a connection: %d descriptors: %w", len(fds), errors.Join(err, os.ErrInvalid))
	}
	unix.CloseOnExec(fds[0])
	f := os.NewFile(uintptr(fds[0]), "rank-conn")
	conn, err := net.FileConn(f) // with a descriptor of its own
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrConnLost, err)
	}
	return conn, nil
}
