package gossip

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/hashicorp/memberlist"
)

// What strangers can make this process hold, all together. Members exchange their lists in one connection of well under a
// second, one member at a time.
const (
	maxStreams     = 16      // exchanges at once
	maxWaiting     = 256     // connections that wait for their turn
	maxStreamBytes = 8 << 20 // of one exchange
	maxMembers     = 1 << 15 // in one list
)

// Kinds of messages of memberlist's protocol (its net.go).
const (
	kindPing     = 0
	kindAck      = 2
	kindPushPull = 6
	kindCompound = 7
	kindCompress = 9
	kindCRC      = 12
	kindErr      = 13
	kindEncrypt  = 10 // whatever is inside, with its length in four bytes
)

// door is memberlist's transport, with bounds on what comes in. memberlist itself takes any number of connections, allocates
// what a header announces, and unpacks what is compressed, of which a few bytes may become gigabytes: members of this program
// compress nothing.
type door struct {
	*memberlist.NetTransport

	wait    time.Duration // for a turn, and then for the first bytes
	log     *slog.Logger
	closed  bool          // all is encrypted
	turns   chan struct{} // of maxStreams
	waiting chan struct{} // of maxWaiting
	streams chan net.Conn
	packets chan *memberlist.Packet
	stop    chan struct{}
	inside  sync.WaitGroup
}

// bindTries is how often a free port is looked for that is free for both TCP and UDP.
const bindTries = 10

// newDoor binds the address; port 0 takes a free one. stopping is closed when the door is about to be closed.
func newDoor(host string, port int, wait time.Duration, log *slog.Logger, stopping <-chan struct{}, closed bool) (*door, error) {
	where := net.JoinHostPort(host, strconv.Itoa(port))
	for try := 1; ; try++ {
		nt, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{BindAddrs: []string{host}, BindPort: port, Logger: newLogger(log, stopping)})
		switch {
		case err == nil:
			return openDoor(nt, wait, log, closed), nil
		case !strings.Contains(err.Error(), syscall.EADDRINUSE.Error()): // memberlist gives the text alone.
			return nil, fmt.Errorf("gossip on %s: %w", where, err)
		case port != 0 || try == bindTries:
			return nil, fmt.Errorf("address in use: another process has %s; choose another --gossip-listen (%w)", where, syscall.EADDRINUSE)
		}
	}
}

func openDoor(nt *memberlist.NetTransport, wait time.Duration, log *slog.Logger, closed bool) *door {
	d := &door{
		NetTransport: nt, wait: wait, log: log, closed: closed, turns: make(chan struct{}, maxStreams), waiting: make(chan struct{}, maxWaiting),
		streams: make(chan net.Conn), packets: make(chan *memberlist.Packet), stop: make(chan struct{}),
	}
	d.inside.Go(d.takeStreams)
	d.inside.Go(d.takePackets)
	return d
}

// DialTimeout implements memberlist.Transport.
func (d *door) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return d.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout implements memberlist.NodeAwareTransport. Who is dialed may be a stranger too: what it answers is looked at
// like what strangers bring.
func (d *door) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	conn, err := d.NetTransport.DialAddressTimeout(a, timeout)
	if err != nil {
		return nil, err
	}
	return &dialed{stream: &stream{Conn: conn, closed: d.closed, done: func() {}}}, nil
}

// dialed is a connection whose answer is looked at when it is first read.
type dialed struct {
	*stream

	looked  sync.Once
	refused error
}

// Read implements net.Conn.
func (c *dialed) Read(p []byte) (int, error) {
	c.looked.Do(func() { c.refused = c.look(kindAck, kindPushPull, kindErr) })
	if c.refused != nil {
		return 0, c.refused
	}
	return c.stream.Read(p)
}

// StreamCh implements memberlist.Transport.
func (d *door) StreamCh() <-chan net.Conn { return d.streams }

// PacketCh implements memberlist.Transport.
func (d *door) PacketCh() <-chan *memberlist.Packet { return d.packets }

// Shutdown implements memberlist.Transport.
func (d *door) Shutdown() error {
	err := d.NetTransport.Shutdown() // its goroutines may wait for ours to take what they have
	close(d.stop)
	d.inside.Wait()
	return err
}

func (d *door) takeStreams() {
	for {
		select {
		case conn := <-d.NetTransport.StreamCh():
			select {
			case d.waiting <- struct{}{}:
				d.inside.Go(func() { d.admit(conn) })
			default:
				_ = conn.Close() // who is a member comes again
			}
		case <-d.stop:
			return
		}
	}
}

// admit gives a connection its turn, looks at what it is about, and passes it on.
func (d *door) admit(conn net.Conn) {
	defer func() { <-d.waiting }()
	late := time.NewTimer(d.wait)
	defer late.Stop()
	select {
	case d.turns <- struct{}{}:
	case <-late.C:
		_ = conn.Close()
		return
	case <-d.stop:
		_ = conn.Close()
		return
	}
	in := &stream{Conn: conn, closed: d.closed, done: func() { <-d.turns }}
	err := conn.SetDeadline(time.Now().Add(d.wait))
	if err == nil {
		err = in.look(kindPing, kindPushPull)
	}
	if err != nil {
		d.log.Debug("gossip refused a connection", "from", conn.RemoteAddr(), "error", err)
		_ = in.Close()
		return
	}
	select {
	case d.streams <- in:
	case <-d.stop:
		_ = in.Close()
	}
}

// stream is a connection whose first bytes have been looked at.
type stream struct {
	net.Conn

	closed bool      // what comes is encrypted
	in     io.Reader // all that may be read
	once   sync.Once
	done   func()
}

// look refuses all but these kinds of messages, and lists that no member sends. It waits for the first bytes. Of what is encrypted it sees the length alone:
// only members can have made what is in it, and memberlist refuses all else.
func (s *stream) look(kinds ...byte) error {
	if s.closed {
		kinds = []byte{kindEncrypt}
	}
	limited := io.LimitReader(s.Conn, maxStreamBytes)
	var seen bytes.Buffer
	head := io.TeeReader(limited, &seen)
	var kind [1]byte
	if _, err := io.ReadFull(head, kind[:]); err != nil {
		return err
	}
	if !slices.Contains(kinds, kind[0]) {
		return fmt.Errorf("a message of kind %d", kind[0])
	}
	if kind[0] == kindEncrypt {
		var length [4]byte
		if _, err := io.ReadFull(head, length[:]); err != nil {
			return err
		}
		if n := binary.BigEndian.Uint32(length[:]); n > maxStreamBytes {
			return fmt.Errorf("%d encrypted bytes", n)
		}
	}
	if kind[0] == kindPushPull {
		var header struct {
			Nodes        int
			UserStateLen int
			Join         bool
		}
		if err := codec.NewDecoder(head, &codec.MsgpackHandle{}).Decode(&header); err != nil {
			return err
		}
		if header.Nodes < 0 || header.Nodes > maxMembers || header.UserStateLen != 0 {
			return fmt.Errorf("a list of %d members with %d bytes of other state", header.Nodes, header.UserStateLen)
		}
	}
	s.in = io.MultiReader(&seen, limited)
	return nil
}

// Read implements net.Conn.
func (s *stream) Read(p []byte) (int, error) { return s.in.Read(p) }

// Close implements net.Conn.
func (s *stream) Close() error {
	err := s.Conn.Close()
	s.once.Do(s.done)
	return err
}

func (d *door) takePackets() {
	for {
		select {
		case p := <-d.NetTransport.PacketCh():
			if !d.closed && packed(p.Buf) {
				continue
			}
			select {
			case d.packets <- p:
			case <-d.stop:
				return
			}
		case <-d.stop:
			return
		}
	}
}

// packed says whether a packet, or a part of it, is compressed. What is cut off anywhere memberlist refuses itself.
func packed(b []byte) bool {
	for len(b) > 0 {
		switch b[0] {
		case kindCompress:
			return true
		case kindCRC:
			b = b[min(len(b), 5):]
		case kindCompound:
			return slices.ContainsFunc(split(b[1:]), packed)
		default:
			return false
		}
	}
	return false
}

// split gives the parts of a compound message, those that are whole: their number in a byte, their lengths in two bytes each, then
// themselves.
func split(b []byte) (parts [][]byte) {
	if len(b) < 1 || len(b) < 1+2*int(b[0]) {
		return nil
	}
	lengths, b := b[1:1+2*int(b[0])], b[1+2*int(b[0]):]
	for ; len(lengths) > 0; lengths = lengths[2:] {
		n := int(binary.BigEndian.Uint16(lengths))
		if len(b) < n {
			return parts
		}
		parts, b = append(parts, b[:n]), b[n:]
	}
	return parts
}
