package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/godwit-run/godwit/internal/gate"
	"github.com/godwit-run/godwit/internal/trust"
)

const (
	// maxHalfOpen bounds the connections whose protocol is not known yet. When there are more, the one that is silent for longest
	// is closed: who means it speaks within a round trip, and must not wait behind those who never do.
	maxHalfOpen = 256
	// maxSorting bounds these and those that wait for room in a protocol's queue. While so many are there none is accepted: further
	// ones wait in the kernel's backlog, and each of the former is over within twice PrefaceTimeout.
	maxSorting = 1024
)

// httpProto keys the connections without preface; no preface can name it, since its name would be empty.
const httpProto = ""

// Listener is one TCP port shared by HTTP and the prefaced protocols.
type Listener struct {
	tcp     net.Listener
	ownUser bool      // no others are served
	secure  *security // nil: in the clear
	relays  []string  // by their names in ALPN
	sorting chan struct{}
	done    chan struct{}
	stop    sync.Once

	// mu guards what stands below.
	mu        sync.Mutex
	running   bool
	acceptors map[string]*Acceptor
	pending   map[net.Conn]uint64 // the half-open ones, numbered as they came.
	came      uint64
}

// New binds addr ("host:port"; port 0 takes a free one). Connections wait in the kernel until Run. The error of an address in
// use satisfies errors.Is(err, syscall.EADDRINUSE) and tells the user what to do.
func New(addr string) (*Listener, error) {
	var lc net.ListenConfig
	tcp, err := lc.Listen(context.Background(), "tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("address in use: another process has %s; choose another --listen (%w)", addr, syscall.EADDRINUSE)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("address not available: this machine has no %s; choose another --listen (%w)", addr, syscall.EADDRNOTAVAIL)
	case err != nil:
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return &Listener{
		tcp:       tcp,
		sorting:   make(chan struct{}, maxSorting),
		done:      make(chan struct{}),
		acceptors: make(map[string]*Acceptor),
		pending:   make(map[net.Conn]uint64),
	}, nil
}

// Addr returns the bound address, with the port the system chose.
func (l *Listener) Addr() net.Addr { return l.tcp.Addr() }

// HTTP returns the listener of connections without preface. It must be called before Run, and once. Without it such
// connections are closed.
func (l *Listener) HTTP() net.Listener {
	return httpListener{l.register(httpProto), gate.NewShares(maxHTTP)}
}

// Protocol returns the acceptor of connections whose preface names the protocol. It must be called before Run, and once a
// name. Connections that name another protocol are told so and closed.
func (l *Listener) Protocol(name string) *Acceptor {
	if !validWord(name) {
		panic(fmt.Sprintf("listen: bad protocol name %q", name))
	}
	return l.register(name)
}

func (l *Listener) register(name string) *Acceptor {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running || l.acceptors[name] != nil {
		panic(fmt.Sprintf("listen: protocol %q registered twice or after Run", name))
	}
	a := newAcceptor(name, l.Addr())
	l.acceptors[name] = a
	return a
}

// Run accepts connections until ctx is over or Close is called, and then returns nil: the port is free, the acceptors are
// closed, and every goroutine it started has ended. Connections already handed out belong to their takers. It may run once.
func (l *Listener) Run(ctx context.Context) error {
	l.mu.Lock()
	if l.running {
		panic("listen: Run called twice")
	}
	l.running = true
	l.mu.Unlock()

	unwatch := context.AfterFunc(ctx, l.shut)
	defer unwatch()
	var sorting sync.WaitGroup
	err := l.accept(&sorting)
	l.shut()
	sorting.Wait()
	for _, a := range l.acceptors {
		_ = a.Close()
	}
	return err
}

// Close frees the port and makes Run return. It does not wait for Run.
func (l *Listener) Close() error {
	l.shut()
	return nil
}

func (l *Listener) shut() {
	l.stop.Do(func() {
		close(l.done)
		_ = l.tcp.Close()
		l.mu.Lock()
		defer l.mu.Unlock()
		for c := range l.pending {
			_ = c.Close()
		}
		if !l.running { // nobody else will.
			for _, a := range l.acceptors {
				_ = a.Close()
			}
		}
	})
}

// accept is the loop of Run. An error of Accept (no more file descriptors, a connection reset early) is waited out, longer
// each time up to a second: the port must survive it.
func (l *Listener) accept(sorting *sync.WaitGroup) error {
	const shortest, longest = 5 * time.Millisecond, time.Second
	pause := shortest
	for {
		select {
		case l.sorting <- struct{}{}:
		case <-l.done:
			return nil
		}
		c, err := l.tcp.Accept()
		if err == nil {
			pause = shortest
			sorting.Go(func() {
				defer func() { <-l.sorting }()
				l.sort(c)
			})
			continue
		}
		<-l.sorting
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, longest)
		case <-l.done:
			return nil
		}
	}
}

// sort finds out the protocol of c and puts it in that protocol's queue, or closes it.
func (l *Listener) sort(c net.Conn) {
	if !l.track(c) || !l.deliver(c) {
		_ = c.Close()
	}
	l.mu.Lock()
	delete(l.pending, c)
	l.mu.Unlock()
}

// track lets shut close c; it reports false if shut has been here already. It makes room for c among the half-open.
func (l *Listener) track(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.done:
		return false
	default:
	}
	if len(l.pending) >= maxHalfOpen {
		oldest, first := net.Conn(nil), uint64(0)
		for p, came := range l.pending {
			if oldest == nil || came < first {
				oldest, first = p, came
			}
		}
		_ = oldest.Close() // who sorts it sees that.
		delete(l.pending, oldest)
	}
	l.came++
	l.pending[c] = l.came
	return true
}

func (l *Listener) deliver(c net.Conn) bool {
	noDelay(c)
	if l.ownUser && !fromOwnUser(c) {
		return false
	}
	if c.SetDeadline(time.Now().Add(PrefaceTimeout)) != nil {
		return false
	}
	proto, out, err := l.read(c)
	if err != nil {
		return false
	}
	a := l.acceptors[proto] // immutable since Run.
	if a == nil {
		if proto != httpProto {
			_, _ = fmt.Fprintf(out, "refused no protocol %q here\n", proto)
		}
		return false
	}
	if c.SetDeadline(time.Time{}) != nil {
		return false
	}
	l.untrack(c)
	return l.enqueue(a, out)
}

// read reads what tells the protocol of a connection.
func (l *Listener) read(c net.Conn) (proto string, out *Conn, err error) {
	out = &Conn{Conn: c}
	if l.secure != nil {
		if tcp, ok := c.(*net.TCPConn); ok && len(l.relays) > 0 {
			hello, err := greeting(tcp)
			if err == nil && len(hello.SupportedProtos) == 1 && slices.Contains(l.relays, hello.SupportedProtos[0]) {
				out.Args = []string{hello.ServerName}
				return protoOf(hello.SupportedProtos[0]), out, nil
			}
		} // what is wrong with it the handshake says
		s, meant, err := l.shake(c)
		if err != nil {
			return "", nil, err
		}
		out.Conn = secureConn{s}
		if id, ok := trust.Peer(s.ConnectionState()); ok {
			out.Peer = &id
		}
		if meant == httpProto {
			return meant, out, nil
		}
		proto, out.Args, _, err = readPreface(s)
		if err == nil && proto != meant {
			err = fmt.Errorf("%w: %q where %q was agreed on", ErrPreface, proto, meant)
		}
		return proto, out, err
	}
	proto, args, taken, err := readPreface(c)
	if errors.Is(err, errPlain) {
		out.Conn = &httpConn{Conn: c, head: taken}
		return httpProto, out, nil
	}
	out.Args = args
	return proto, out, err
}

// untrack takes c from shut's reach: from now on it is closed by sort, the acceptor or its taker.
func (l *Listener) untrack(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.pending, c)
}

func (l *Listener) enqueue(a *Acceptor, c *Conn) bool {
	late := time.NewTimer(PrefaceTimeout)
	defer late.Stop()
	select {
	case <-a.done:
		return false
	case <-l.done:
		return false
	default:
	}
	select {
	case a.queue <- c:
		select {
		case <-a.done: // closed meanwhile: its own drain may have missed this one.
			a.drain()
		default:
		}
		return true
	case <-a.done:
	case <-l.done:
	case <-late.C:
	}
	return false
}
