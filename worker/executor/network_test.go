package executor

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/listen"
	"github.com/godwit-run/godwit/internal/pipe"
	"github.com/godwit-run/godwit/mpi"
)

func openNetwork(t *testing.T, host string, f *fence) *network {
	t.Helper()
	return newNetwork("a", host, f, slog.New(slog.DiscardHandler))
}

// openFence is one of a host that was granted no lease yet.
func openFence() *fence { return newFence(func() time.Duration { return 0 }) }

// twoNetworks are a network of an executor on h1, and one on h2 that can be called, until the test ends. calls counts who called h2.
func twoNetworks(t *testing.T) (h1, h2 *network, addr string, calls *atomic.Int64) {
	t.Helper()
	return networksWith(t, nil)
}

// networksWith are twoNetworks between which something is done with each direct connection, which is refused if between says so.
func networksWith(t *testing.T, between func(*net.Conn) bool) (h1, h2 *network, addr string, calls *atomic.Int64) {
	t.Helper()
	l, err := listen.New("127.0.0.1:0")
	require.NoError(t, err)
	acc := l.Protocol(pipe.RankProtocol)
	h1, h2, calls = openNetwork(t, "h1", openFence()), openNetwork(t, "h2", openFence()), new(atomic.Int64)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{}, 4)
	for _, run := range []func(){
		func() { _ = l.Run(ctx) },
		func() { _ = h1.Run(ctx) },
		func() { _ = h2.Run(ctx) },
		func() {
			for {
				c, err := acc.Accept()
				if err != nil {
					return
				}
				calls.Add(1)
				if between != nil && len(c.Args) == 3 && !between(&c.Conn) {
					_ = c.Close() // as a worker does whose executor does not take it
					continue
				}
				h2.called(c.Conn, strings.Join(c.Args[1:], " "))
			}
		},
	} {
		go func() { run(); ended <- struct{}{} }()
	}
	t.Cleanup(func() {
		cancel()
		_ = acc.Close()
		for range 4 {
			<-ended
		}
	})
	return h1, h2, l.Addr().String(), calls
}

// table is one of routes, with the address of h2.
func table(epoch uint64, addr string, placement ...string) *apiv1.ExecRoutes {
	return &apiv1.ExecRoutes{Epoch: epoch, Placement: placement, Addrs: map[string]string{"h2": addr}, Ended: make([]bool, len(placement))}
}

// linked says whether a network has a link to the host, and whether a stream is up on it.
func (n *network) linked(host string) (there, up bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	l := n.links[host]
	return l != nil, l != nil && l.streams()%2 == 1
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, testWait, time.Millisecond, what)
}

// TestLinksToHostsThatWereLeft: where the app has no rank any more, because it moved or ended, no stream stays and nobody is called; when
// it comes back there is a stream again.
func TestLinksToHostsThatWereLeft(t *testing.T) {
	h1, h2, addr, _ := twoNetworks(t)
	up := func() bool { _, one := h1.linked("h2"); _, two := h2.linked("h1"); return one && two }
	left := func() bool {
		one, _ := h1.linked("h2")
		two, _ := h2.linked("h1")
		h1.mu.RLock()
		defer h1.mu.RUnlock()
		return !one && !two && len(h1.dialled) == 0
	}
	both := func(r *apiv1.ExecRoutes) { h2.route(r); h1.route(r) }
	both(table(1, addr, "h1", "h2"))
	eventually(t, "a stream", up)
	h2.route(table(2, addr, "h0", "h0")) // it drops its link to h1, which calls again: by its own table there are ranks
	eventually(t, "the stream comes again", up)
	both(table(3, addr, "h1", "h0"))
	h2.route(table(3, addr, "h0", "h0"))
	eventually(t, "h2 was left", left)
	both(table(4, addr, "h1", "h2"))
	eventually(t, "a stream again", up)
	ended := table(4, addr, "h1", "h2")
	ended.Ended[0], ended.Ended[1] = true, true
	both(ended)
	eventually(t, "all ranks of h2 have ended", left)
}

// TestLinkIsLeftAndFound: however often a host is left and come back to, and whenever, a stream is there in the end.
func TestLinkIsLeftAndFound(t *testing.T) {
	h1, h2, addr, _ := twoNetworks(t)
	epoch := uint64(1)
	for range 200 {
		for _, host := range []string{"h2", "h0"} {
			h1.route(table(epoch, addr, "h1", host))
			h2.route(table(epoch, addr, "h1", host))
			epoch++
		}
	}
	h2.route(table(epoch, addr, "h1", "h2"))
	h1.route(table(epoch, addr, "h1", "h2"))
	// What h1 gives to its link arrives: the link that it finds is the one that has the stream.
	got := make(chan struct{}, 1)
	h2.mu.Lock()
	h2.world = heard(func() {
		select {
		case got <- struct{}{}:
		default:
		}
	})
	h2.mu.Unlock()
	eventually(t, "a frame", func() bool {
		h1.Send(1, []byte("frame"), nil, mpi.OrderedWay)
		select {
		case <-got:
			return true
		default:
			return false
		}
	})
}

// TestNoStreamOnAForgottenLink: a stream that comes up on a link as that is forgotten ends, so that its host calls again: Send would not
// find it. One that is up stays.
func TestNoStreamOnAForgottenLink(t *testing.T) {
	n := openNetwork(t, "h2", (&clocks{boot: time.Hour}).fence())
	defer n.lookout.close()
	l := newLink("h1", nil)
	n.links["h1"] = l
	number, _ := l.open()
	n.hungUp(l) // an older stream has ended
	require.Same(t, l, n.links["h1"])
	_, _, err := l.take(number)
	require.NoError(t, err)
	l.closed(number)
	n.hungUp(l)
	require.Empty(t, n.links)
	number, _ = l.open()
	_, _, err = l.take(number)
	require.ErrorIs(t, err, errLeft)
}

// TestNewAddressIsDialledAtOnce: however long the wait has become.
func TestNewAddressIsDialledAtOnce(t *testing.T) {
	h1, _, addr, calls := twoNetworks(t)
	h1.redialAfter = time.Hour
	old, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	h1.route(table(1, old.Addr().String(), "h1", "h2"))
	conn, err := old.Accept() // so it is the old address that was dialled
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.NoError(t, old.Close())
	h1.route(table(2, addr, "h1", "h2"))
	eventually(t, "a call", func() bool { return calls.Load() > 0 })
}

// calledStream is the stream of a host that calls.
type calledStream struct {
	grpc.ServerStream
	ctx   context.Context
	host  string
	hello bool
	sent  chan any
}

func (s *calledStream) Context() context.Context { return s.ctx }

func (s *calledStream) SendMsg(m any) error { s.sent <- m; return nil }

func (s *calledStream) RecvMsg(m any) error {
	if s.hello {
		<-s.ctx.Done()
		return s.ctx.Err()
	}
	s.hello = true
	m.(*batch).in = mem.BufferSlice{mem.SliceBuffer(s.host)}
	return nil
}

// TestWhoCallsIsNotLeft: a host that the app has left, and whose old stream is not over yet, calls since it has ranks again: this stream lasts.
func TestWhoCallsIsNotLeft(t *testing.T) {
	_, h2, _, _ := twoNetworks(t)
	h2.route(table(1, "", "h1", "h2"))
	l := h2.links["h1"]
	l.open()
	h2.route(table(2, "", "h0", "h2"))
	require.Same(t, l, h2.links["h1"])
	ctx, cancel := context.WithCancel(t.Context())
	s := &calledStream{ctx: ctx, host: "h1", sent: make(chan any, 1)}
	done := make(chan error, 1)
	go func() { done <- h2.accept(nil, s) }()
	eventually(t, "a stream", func() bool { return l.streams() >= 3 })
	l.send([]byte("frame"), nil, mpi.OrderedWay, h2.fence.passes)
	select {
	case <-s.sent:
	case err := <-done:
		t.Fatalf("the stream has ended: %v", err)
	}
	cancel()
	require.Error(t, <-done)
}

func TestRedial(t *testing.T) {
	r := redial{first: redialMin}
	var total time.Duration
	for now := r.next(false); now < redialMax; now = r.next(false) {
		require.LessOrEqual(t, now, total+redialMin, "no wait is longer than the outage before it")
		total += now
	}
	require.Equal(t, redialMax, r.next(false))
	require.Equal(t, redialMin, r.next(true))
}

// heard is a world that is told of frames only.
type heard func()

func (h heard) PeerEnded(mpi.Rank)     {}
func (h heard) Receive([]byte)         { h() }
func (h heard) TryReceive([]byte) bool { h(); return true }
func (heard) Land([]byte, int, int, bool, func([]byte) int) (int, mpi.Landing) {
	return 0, mpi.LandNone
}

func (h heard) Reconnect(mpi.Rank) {}
func (h heard) Room()              {}
