package executor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/godwit-run/godwit/internal/notify"
	"github.com/godwit-run/godwit/mpi"
)

const (
	// frameBytes is how long a frame may be, with its length.
	frameBytes = 1 << 20
	// readBytes is how much is read at once that may be of several frames.
	readBytes = 64 << 10
	// landAtOnce is how much of a payload is read at once.
	landAtOnce = 128 << 10
	// joinedBytes is up to how long a frame is written in one piece.
	joinedBytes = 4 << 10
)

// direct is a direct connection. The runtime knows nothing of its socket: nobody waits in a write, and the network's lookout says when there is something
// to read, or room for what is left to be written.
type direct struct {
	file *os.File
	raw  syscall.RawConn
	once sync.Once
	over chan struct{} // closed when the connection has failed
	why  error         // set before
	left notify.Signal // frames are left for who waits for their rank

	bulk bool // it is of that lane

	// To the peer; guarded by the lane's lock.
	full    atomic.Bool // the kernel took not all: what is sent now waits behind that
	flush   func() bool // has what waits written as far as there is room, and reports whether anything was
	rest    []byte      // of what the kernel did not take whole
	at      int         // of it was taken
	joined  []byte
	parts   [2]unix.Iovec // of one message to the kernel
	message unix.Msghdr
	written transfer
	send    func(fd uintptr) bool

	// From the peer.
	id      int32         // the lookout's, as the next
	watched uint32        // what the set tells
	heard   atomic.Uint32 // counts what was read
	reading sync.Mutex    // guards the following
	buf     []byte
	have    int         // read, and not given away yet
	stuck   atomic.Bool // there are frames whose rank takes none now: who waits for it gives them away; changed with reading
	landing landing     // behind the buffer's begin, if it is under way
	skip    int         // bytes that come and are nobody's
	read    transfer
	into    [2]unix.Iovec
	heads   unix.Msghdr
	receive func(fd uintptr) bool
	land    func(place []byte) int // reads to a place
	move    func(place []byte) int // moves there what the buffer has of the payload
	moved   []byte
}

// transfer is how one attempt to write or read has ended.
type transfer struct {
	n   int
	err syscall.Errno // 0: none
}

func ended(n, _ uintptr, err syscall.Errno) transfer {
	if err != 0 {
		n = 0
	}
	return transfer{int(n), err}
}

// later reports whether there was nothing to be done just now.
func (t transfer) later() bool { return t.err == unix.EAGAIN || t.err == unix.EINTR }

// newDirect takes a connection, which is closed, for a lane.
func newDirect(conn net.Conn, which int) (*direct, error) {
	defer conn.Close() //nolint:errcheck // another descriptor of the same socket goes on
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil, fmt.Errorf("executor: a %T is no direct connection", conn)
	}
	file, err := withoutRuntime(tcp)
	if err != nil {
		return nil, fmt.Errorf("executor: direct connection: %w", err)
	}
	d := &direct{bulk: which == bulk, file: file, over: make(chan struct{}), left: notify.NewSignal(), joined: make([]byte, 0, joinedBytes), buf: make([]byte, frameBytes)}
	d.message.Iov = &d.parts[0]
	if d.raw, err = file.SyscallConn(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	d.send = func(fd uintptr) bool {
		d.written = ended(unix.Syscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&d.message)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)) //nolint:gosec // d outlives the call
		return true
	}
	d.heads.Iov = &d.into[0]
	d.receive = func(fd uintptr) bool {
		d.read = ended(unix.Syscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&d.heads)), unix.MSG_DONTWAIT)) //nolint:gosec // d outlives the call
		return true
	}
	d.land, d.move = d.readTo, d.moveTo
	return d, nil
}

// withoutRuntime is a socket that blocks, and that the runtime's poller does not watch: each message would wake it.
func withoutRuntime(tcp *net.TCPConn) (*os.File, error) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	gone := raw.Control(func(own uintptr) { fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) })
	if err := errors.Join(gone, err); err != nil {
		return nil, err
	}
	if err := errors.Join(tcp.Close(), unix.SetNonblock(fd, false)); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "direct connection"), nil
}

// vector names two pieces of memory to the kernel, as far as they are not empty, and returns how many that are.
func vector(parts *[2]unix.Iovec, one, other []byte) (n uint64) {
	for _, b := range [...][]byte{one, other} {
		if len(b) > 0 {
			parts[n].Base = &b[0]
			parts[n].SetLen(len(b))
			n++
		}
	}
	return n
}

// write gives a frame to the kernel, without waiting; what it does not take is left in rest.
func (d *direct) write(head, payload []byte) {
	d.joined = binary.LittleEndian.AppendUint32(d.joined[:0], uint32(len(head)+len(payload)))
	d.joined = append(d.joined, head...)
	if len(d.joined)+len(payload) <= joinedBytes {
		d.joined = append(d.joined, payload...)
		payload = nil
	}
	n := d.push(d.joined, payload)
	for _, b := range [][]byte{d.joined, payload} {
		k := min(n, len(b))
		d.rest = append(d.rest, b[k:]...)
		n -= k
	}
	d.full.Store(len(d.rest) > 0)
}

// writeRest gives what is left to the kernel. It reports how much that has taken, and whether it was all.
func (d *direct) writeRest() (n int, all bool) {
	n = d.push(d.rest[d.at:], nil)
	if d.at += n; d.at < len(d.rest) {
		return n, false
	}
	d.rest, d.at = d.rest[:0], 0
	if cap(d.rest) > frameBytes {
		d.rest = nil
	}
	return n, true
}

// push gives bytes to the kernel, as many as it takes now.
func (d *direct) push(one, other []byte) int {
	d.message.Iovlen = vector(&d.parts, one, other)
	d.written = transfer{}
	err := d.raw.Write(d.send)
	d.parts = [2]unix.Iovec{} // the guest's memory may go
	switch {
	case err != nil:
		d.end(err)
		return 0
	case d.written.err != 0 && !d.written.later():
		d.end(d.written.err)
	}
	return d.written.n
}

// take reads once what is there, and offers each whole frame, as long as they are taken. It reports whether there was anything, and whether there are
// frames left whose rank takes none now. If somebody else reads, it leaves it to that.
func (d *direct) take(t taker) (some, stuck bool) {
	if !d.reading.TryLock() {
		return false, false
	}
	defer d.reading.Unlock()
	if d.failed() != nil || d.stuck.Load() {
		return false, false // what the socket still has is nobody's, or comes later
	}
	before := d.heard.Load()
	switch d.goOnLanding(t, false) {
	case mpi.LandLate:
		d.stuck.Store(true)
		return false, true
	case mpi.LandNone:
		d.readTo(nil)
	case mpi.Landed:
	}
	if d.heard.Load() == before {
		return false, false
	}
	stuck = !d.give(t, t.offer)
	d.stuck.Store(stuck)
	return true, stuck
}

// readTo reads once what is there, first to place, then to the buffer. It returns how much the former got. Holds reading.
func (d *direct) readTo(place []byte) int {
	room := d.buf[d.have:] // not empty: a frame fits
	if wanted := max(d.wants()-d.have, 0) + readBytes; len(room) > wanted {
		room = room[:wanted]
	}
	if len(place) > landAtOnce { // the rest with the next look: there may be something else
		place, room = place[:landAtOnce], nil
	}
	d.heads.Iovlen = vector(&d.into, place, room)
	d.read = transfer{}
	err := d.raw.Read(d.receive)
	d.into = [2]unix.Iovec{} // the guest's memory may go
	switch {
	case err != nil:
	case d.read.later():
		return 0
	case d.read.err != 0:
		err = d.read.err
	case d.read.n == 0:
		err = net.ErrClosed
	}
	if err != nil {
		d.end(err)
		return 0
	}
	d.heard.Add(1)
	n := min(d.read.n, len(place))
	d.have += d.read.n - n
	return n
}

// wants is how long the frame is that the buffer has the begin of; 0: that is not known.
func (d *direct) wants() int {
	if d.have < 4 || d.skip > 0 {
		return 0
	}
	return 4 + int(binary.LittleEndian.Uint32(d.buf))
}

// goOn gives away the frames that are left, to who waits for their rank.
func (d *direct) goOn(t taker) {
	d.reading.Lock()
	defer d.reading.Unlock()
	if d.failed() == nil { // else it comes again by the next route
		d.goOnLanding(t, true)
	}
	d.give(t, func(frame []byte) bool {
		if d.failed() == nil {
			t.deliver(frame)
		}
		return true
	})
	d.stuck.Store(false)
}

// quiet reports whether all that has come was taken from the socket and, but for a part of a frame, given away.
func (d *direct) quiet() bool {
	waits := 0
	err := d.control(func(fd int) (err error) {
		waits, err = unix.IoctlGetInt(fd, unix.TIOCINQ)
		return err
	})
	return waits == 0 && err == nil && !d.stuck.Load()
}

// give gives away the whole frames that were read, as long as they are taken, and reports whether all were. A long one that is not whole begins to land. Holds
// reading.
func (d *direct) give(t taker, offer func(frame []byte) bool) bool {
	at, taken := min(d.skip, d.have), true
	d.skip -= at
	for d.have-at >= 4 {
		size := int(binary.LittleEndian.Uint32(d.buf[at:]))
		if size > frameBytes-4 {
			d.have = 0
			d.end(errMalformed)
			return true
		}
		if d.have-at < 4+size {
			at += d.beginLanding(t, at, size)
			break
		}
		if size > 0 && !offer(d.buf[at+4:at+4+size]) { // an empty one only says that the other side is there
			taken = false
			break
		}
		at += 4 + size
	}
	d.have = copy(d.buf, d.buf[at:d.have])
	return taken
}

// end says that the connection has failed: who waits for it goes on.
func (d *direct) end(err error) {
	d.once.Do(func() {
		d.why = err
		close(d.over)
		_ = d.control(func(fd int) error { return unix.Shutdown(fd, unix.SHUT_RDWR) })
	})
}

// control gives f the socket, which stays open meanwhile.
func (d *direct) control(f func(fd int) error) error {
	var err error
	gone := d.raw.Control(func(fd uintptr) { err = f(int(fd)) })
	return errors.Join(gone, err)
}

// failed is why the connection has failed, or nil.
func (d *direct) failed() error {
	select {
	case <-d.over:
		return d.why
	default:
		return nil
	}
}
