package raftnode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/godwit-run/godwit/internal/listen"
)

// Protocol is the name under which a listen.Listener must hand the peers' connections to New.
const Protocol = "raft"

const (
	// unknown stands in the preface for an id that the dialer does not know.
	unknown = "-"
	// answerTimeout bounds writing the one line that answers a preface.
	answerTimeout = time.Second
	// maxAnswer bounds that line in bytes.
	maxAnswer = 512
	// complainEvery is how often the same refusal is logged: peers try again several times a second.
	complainEvery = time.Minute
	// maxComplaints bounds the refusals that are logged within complainEvery.
	maxComplaints = 64
	// maxOfCaller bounds the accepted connections of one caller, who uses a handful, and maxAccepted those of all: Raft gives each a
	// buffer of 256 KiB and a goroutine, and waits on it for ever. One more closes the oldest: a caller that comes back after a
	// partition has left dead ones behind.
	maxOfCaller = 16
	maxAccepted = 256
)

// stream carries Raft's connections. The dialer's preface says which cluster it is of, whom it wants and who it is; the
// acceptor answers "ok" or "refused <why>" before Raft sees the connection, so that a stranger cannot disturb it.
type stream struct {
	acceptor *listen.Acceptor
	addr     string
	log      *slog.Logger
	dialer   listen.Dialer
	// self and cluster give this server's ids; cluster may be empty. peer gives the id of the member at an address, or "".
	self    func() string
	cluster func() string
	peer    func(addr string) string
	// members gives the group as this server knows it; vouched reports whether other members know a server that is not in it.
	members func() []Server
	vouched func(id string) bool
	started time.Time

	done chan struct{} // closed by Close; ends what Dial waits for.

	// mu guards what stands below.
	mu         sync.Mutex
	closed     bool
	paused     bool
	contacts   map[string]*contact
	conns      map[net.Conn]struct{}
	accepted   []*trackedConn // in the order they came.
	complaints map[string]time.Time
}

func newStream(a *listen.Acceptor, addr string, log *slog.Logger) *stream {
	return &stream{
		acceptor: a, addr: addr, log: log, started: time.Now(),
		contacts:   make(map[string]*contact),
		done:       make(chan struct{}),
		conns:      make(map[net.Conn]struct{}),
		complaints: make(map[string]time.Time),
	}
}

// Accept returns the next connection of a peer that belongs here, answered.
func (s *stream) Accept() (net.Conn, error) {
	for {
		c, err := s.acceptor.Accept()
		if err != nil {
			return nil, err
		}
		why := s.judge(c.Args)
		if c.Peer != nil && why == "" && c.Peer.Name != c.Args[2] {
			why = fmt.Sprintf("the caller says that it is server %s, and its certificate names %s", c.Args[2], c.Peer)
		}
		if why != "" {
			s.complain(slog.LevelWarn, "refused a raft connection", c.RemoteAddr().String(), why)
		}
		if err := answer(c.Conn, why); err != nil || why != "" {
			_ = c.Close()
			continue
		}
		if tracked, err := s.track(c.Conn); err == nil {
			tracked.contact = s.contact(c.Args[2])
			s.admit(tracked, c.Args[2])
			return tracked, nil
		}
	}
}

// judge returns why a preface's arguments are refused, or "". Who knows its cluster talks to nobody of another or of none. A
// server that knows none yet is new, or about to bootstrap: it listens to a cluster that has added it, and to those that
// it bootstraps with.
func (s *stream) judge(args []string) string {
	if len(args) < 4 {
		return "malformed preface"
	}
	cluster, target, caller := args[0], args[1], args[2]
	own, members := s.cluster(), s.members()
	member := slices.ContainsFunc(members, func(m Server) bool { return m.ID == caller })
	switch {
	case s.isPaused():
		return "this server's disk does not answer"
	case target != s.self():
		return fmt.Sprintf("this is server %s, the caller wants server %s", s.self(), target)
	case own != "" && cluster == unknown:
		return fmt.Sprintf("this server is of cluster %s, the caller of none yet", own)
	case own != "" && cluster != own:
		return fmt.Sprintf("this server is of cluster %s, the caller of cluster %s", own, cluster)
	case member:
		return ""
	case cluster == unknown:
		return "neither the caller nor this server knows its cluster, and they do not bootstrap together"
	case len(members) > 0 && !s.vouched(caller):
		return fmt.Sprintf("server %s is no member of the cluster, as far as this server and those it asked know", caller)
	}
	return ""
}

func answer(c net.Conn, why string) error {
	line := "ok\n"
	if why != "" {
		line = "refused " + why + "\n"
	}
	if err := c.SetWriteDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, line); err != nil {
		return err
	}
	return c.SetWriteDeadline(time.Time{})
}

// Dial connects to the member at addr and waits for its answer, within timeout.
func (s *stream) Dial(addr raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	go func() { // ends with this call.
		select {
		case <-s.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	if s.isPaused() {
		return nil, errPaused
	}
	target, at := splitTarget(string(addr))
	if target == "" {
		target = orUnknown(s.peer(at))
	}
	c, err := s.dialer.Dial(ctx, at, Protocol, orUnknown(s.cluster()), target, s.self(), s.addr)
	if err != nil {
		return nil, err
	}
	tracked, err := s.track(c)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	if err = tracked.SetReadDeadline(deadline); err == nil {
		err = readAnswer(tracked)
	}
	if err == nil {
		err = tracked.SetReadDeadline(time.Time{})
	}
	if err != nil {
		_ = tracked.Close()
		if errors.Is(err, errRefused) {
			s.complain(slog.LevelWarn, "a raft peer refused this server", at, err.Error())
		}
		return nil, fmt.Errorf("raft peer %s: %w", addr, err)
	}
	if target != unknown {
		tracked.contact = s.contact(target) // only now: a refusal comes from somebody else.
	}
	return tracked, nil
}

var (
	errRefused = errors.New("refused")
	errPaused  = errors.New("raft connections are closed while the disk does not answer")
)

// readAnswer reads the line byte by byte: what follows belongs to Raft.
func readAnswer(c net.Conn) error {
	var line []byte
	one := make([]byte, 1)
	for len(line) < maxAnswer {
		if _, err := io.ReadFull(c, one); err != nil {
			return fmt.Errorf("read answer: %w", err)
		}
		if one[0] == '\n' {
			break
		}
		line = append(line, one[0])
	}
	if string(line) == "ok" {
		return nil
	}
	return fmt.Errorf("%w: %s", errRefused, strings.TrimPrefix(string(line), "refused "))
}

// Close closes every connection, dialed and accepted, and refuses new ones. Raft's transport closes none by itself.
func (s *stream) Close() error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.done)
	}
	s.mu.Unlock()
	err := s.acceptor.Close()
	s.cut()
	return err
}

// pause closes every connection and refuses new ones until resume: a leader whose disk hangs must be silent, heartbeats
// included, for the others to elect another.
func (s *stream) pause() {
	s.mu.Lock()
	s.paused = true
	s.mu.Unlock()
	s.cut()
}

func (s *stream) resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused = false
}

func (s *stream) isPaused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.paused
}

// cut closes the connections of this moment.
func (s *stream) cut() {
	s.mu.Lock()
	conns := s.conns
	s.conns = make(map[net.Conn]struct{})
	s.mu.Unlock()
	for c := range conns {
		_ = c.Close()
	}
}

// Addr returns the advertised address: it is what Raft tells its peers.
func (s *stream) Addr() net.Addr { return tcpAddr(s.addr) }

// track takes a connection into the reach of cut.
func (s *stream) track(c net.Conn) (*trackedConn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.paused {
		_ = c.Close()
		return nil, net.ErrClosed
	}
	s.conns[c] = struct{}{}
	return &trackedConn{Conn: c, stream: s}, nil
}

// admit counts an accepted connection until it is closed, and closes the oldest of its caller, or of all, if it is one too many.
func (s *stream) admit(c *trackedConn, caller string) {
	c.caller = caller
	s.mu.Lock()
	ofCaller, oldest := 0, (*trackedConn)(nil)
	for _, a := range slices.Backward(s.accepted) {
		if a.caller == caller {
			ofCaller, oldest = ofCaller+1, a
		}
	}
	switch {
	case ofCaller >= maxOfCaller:
	case len(s.accepted) >= maxAccepted:
		oldest = s.accepted[0]
	default:
		oldest = nil
	}
	s.accepted = append(s.accepted, c)
	s.mu.Unlock()
	if oldest != nil {
		_ = oldest.Close()
	}
}

// complain logs one line for each pair of address and reason within complainEvery, and maxComplaints of them: strangers make up as many.
func (s *stream) complain(level slog.Level, msg, addr, why string) {
	now := time.Now()
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	key := msg + host + why
	s.mu.Lock()
	last, seen := s.complaints[key]
	if !seen && len(s.complaints) >= maxComplaints {
		maps.DeleteFunc(s.complaints, func(_ string, at time.Time) bool { return now.Sub(at) >= complainEvery })
	}
	quiet := seen && now.Sub(last) < complainEvery || !seen && len(s.complaints) >= maxComplaints
	if !quiet {
		s.complaints[key] = now
	}
	s.mu.Unlock()
	if !quiet {
		s.log.Log(context.Background(), level, msg, "peer_addr", addr, "reason", why) //nolint:sloglint // every caller gives a literal
	}
}

type trackedConn struct {
	net.Conn
	stream  *stream
	contact *contact // nil: not kept.
	caller  string   // who dialed, if that was not this server.
}

// Read notes that the server at the other end was heard.
func (c *trackedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && c.contact != nil {
		c.contact.at.Store(max(1, int64(time.Since(c.stream.started))))
	}
	return n, err
}

func (c *trackedConn) Close() error {
	c.stream.mu.Lock()
	delete(c.stream.conns, c.Conn)
	c.stream.accepted = slices.DeleteFunc(c.stream.accepted, func(a *trackedConn) bool { return a == c })
	c.stream.mu.Unlock()
	return c.Conn.Close()
}

// tcpAddr is an address as advertised, names left as they are.
type tcpAddr string

func (tcpAddr) Network() string  { return "tcp" }
func (a tcpAddr) String() string { return string(a) }

func orUnknown(id string) string {
	if id == "" {
		return unknown
	}
	return id
}
