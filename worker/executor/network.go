package executor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/listen"
	"github.com/godwit-run/godwit/internal/notify"
	"github.com/godwit-run/godwit/internal/pipe"
	"github.com/godwit-run/godwit/mpi"
)

const (
	linkMethod     = "/godwit.v1.Rank/Link"
	dialTimeout    = 3 * time.Second
	maxFrameBytes  = 4 << 20
	maxGreeting    = 16
	maxPeerName    = 256
	streamWindow   = 8 << 20
	keepaliveEvery = 10 * time.Second
	keepaliveWait  = 3 * time.Second
)

// world is what the network does to the local ranks.
type world interface {
	PeerEnded(peer mpi.Rank)
	Receive(frame []byte)
	TryReceive(frame []byte) bool
	Land(head []byte, size, at int, wait bool, read func(place []byte) int) (n int, how mpi.Landing)
	Reconnect(peer mpi.Rank)
	Room()
}

// network is mpi.Network over gRPC streams and direct connections: one stream, and two connections, to each other host of the app, dialled by the host whose name
// sorts first, for as long as the app has live ranks there. It owns the links' goroutines.
type network struct {
	app, host   string
	log         *slog.Logger
	incoming    *connListener
	lookout     *lookout
	greetings   greetings
	fence       *fence
	redialAfter time.Duration // the first wait before a link is dialled again
	offerEvery  time.Duration
	beatEvery   time.Duration
	streamsOnly bool // no direct connections
	dialer      listen.Dialer

	mu      sync.RWMutex // guards the fields below
	world   world
	epoch   uint64
	routes  []string          // host of each rank
	addrs   map[string]string // data address of each host
	live    map[string]bool   // other hosts with ranks that have not ended
	links   map[string]*link
	dialled map[string]bool
	toDial  []*link       // for Run to take
	wake    notify.Signal // toDial is not empty
}

func newNetwork(app, host string, fence *fence, log *slog.Logger) *network {
	n := &network{
		app: app, host: host, fence: fence, log: log, incoming: newConnListener(), redialAfter: redialMin, offerEvery: offerEvery, beatEvery: beatEvery,
		links: map[string]*link{}, dialled: map[string]bool{}, wake: notify.NewSignal(),
	}
	n.lookout = newLookout(n)
	return n
}

// Send implements mpi.Network.
func (n *network) Send(dst mpi.Rank, head, payload []byte, way mpi.Way) {
	if l := n.linkTo(dst); l != nil {
		l.send(head, payload, way, n.fence.passes)
	}
}

// Room implements mpi.Network.
func (n *network) Room(dst mpi.Rank, isBulk bool) bool {
	l := n.linkTo(dst)
	return l == nil || l.room(isBulk)
}

// Poll implements mpi.Network.
func (n *network) Poll(next func(came bool) mpi.Look) bool { return n.lookout.poll(next) }

// Wake implements mpi.Network.
func (n *network) Wake() { n.lookout.wake() }

// linkTo is the link to a rank's host, or nil.
func (n *network) linkTo(dst mpi.Rank) *link {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if int(dst) >= len(n.routes) {
		return nil
	}
	return n.links[n.routes[dst]]
}

// hadPeers says whether there is a link to another host, or was.
func (n *network) hadPeers() bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return len(n.links) > 0 || len(n.dialled) > 0 || len(n.live) > 0
}

// Run serves, dials and reads until ctx ends. It begins with each when there is something to do: an app on one host has no network.
func (n *network) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	defer n.lookout.close()
	var server *grpc.Server
	for {
		for _, l := range n.takeDials() {
			g.Go(func() error { n.dialLoop(ctx, l); return nil })
		}
		select {
		case <-n.wake:
		case <-n.lookout.begun:
			g.Go(func() error { return n.lookout.run(ctx) })
		case <-n.incoming.some:
			if server == nil {
				server = n.server()
				g.Go(func() error { return server.Serve(n.incoming) })
			}
		case <-ctx.Done():
			if server != nil {
				server.Stop()
			}
			return cmp.Or(g.Wait(), ctx.Err())
		}
	}
}

func (n *network) takeDials() []*link {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := n.toDial
	n.toDial = nil
	return t
}

// route takes a new table; peers whose host changed are reconnected. Older tables are ignored.
func (n *network) route(r *apiv1.ExecRoutes) {
	n.mu.Lock()
	if r.Epoch < n.epoch {
		n.mu.Unlock()
		return
	}
	old := n.routes
	n.epoch, n.routes = r.Epoch, r.Placement
	n.connect(r)
	w := n.world
	n.mu.Unlock()
	if w == nil {
		return
	}
	for rank, h := range r.Placement {
		if rank < len(r.Ended) && r.Ended[rank] {
			w.PeerEnded(mpi.Rank(rank))
			continue
		}
		if h != n.host && (rank >= len(old) || old[rank] != h) {
			w.Reconnect(mpi.Rank(rank))
		}
	}
}

// connect makes links to the hosts with live ranks, and drops those to hosts that had some by the table before and have none. One to a
// host that called us and is in no table yet stays: it knows a newer one. Holds mu.
func (n *network) connect(r *apiv1.ExecRoutes) {
	before, addrs := n.live, n.addrs
	n.live, n.addrs = map[string]bool{}, r.Addrs
	for rank, h := range r.Placement {
		if h != n.host && (rank >= len(r.Ended) || !r.Ended[rank]) {
			n.live[h] = true
		}
	}
	for h := range n.live {
		l := n.links[h]
		if l == nil {
			l = newLink(h, n.lookout)
			n.links[h] = l
		}
		l.leave(false)
		if addrs[h] != n.addrs[h] {
			l.news.Set()
		}
		if n.host < h && !n.dialled[h] {
			n.dialled[h] = true
			n.toDial = append(n.toDial, l)
		}
	}
	for h := range before {
		if l := n.links[h]; l != nil && !n.live[h] {
			l.leave(true)
			n.forget(l)
		}
	}
	n.wake.Set()
}

// forget drops a link to a host without live ranks, once its stream has ended and nobody dials it. A stream that was about to come up on it
// ends at once, and is made anew: none lasts on a link that Send does not find. Holds mu.
func (n *network) forget(l *link) {
	if !n.live[l.peer] && !n.dialled[l.peer] && n.links[l.peer] == l && l.retire() {
		delete(n.links, l.peer)
	}
}

// dropped says that the link's host was left; nobody dials it any more then.
func (n *network) dropped(l *link) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.live[l.peer] {
		return false
	}
	delete(n.dialled, l.peer)
	n.forget(l)
	return true
}

func (n *network) dialOnce(ctx context.Context, l *link) error {
	n.mu.RLock()
	addr := n.addrs[l.peer]
	n.mu.RUnlock()
	if addr == "" {
		return fmt.Errorf("executor: no address of host %s", l.peer)
	}
	dctx, cancel := context.WithTimeout(ctx, dialTimeout)
	conn, err := n.dialer.Dial(dctx, addr, pipe.RankProtocol, n.app, n.host)
	cancel()
	if err != nil {
		return err
	}
	return n.callOver(ctx, l, conn)
}

// callOver opens the link's stream on an established connection and serves it until it ends.
func (n *network) callOver(ctx context.Context, l *link, conn net.Conn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	once := make(chan net.Conn, 1)
	once <- conn
	cc, err := grpc.NewClient("passthrough:///"+l.peer, n.dialOptions(once)...)
	if err != nil {
		return fmt.Errorf("executor: link to %s: %w", l.peer, err)
	}
	defer cc.Close() //nolint:errcheck // the stream's own error is the one to report
	desc := &grpc.StreamDesc{StreamName: "Link", ServerStreams: true, ClientStreams: true}
	s, err := cc.NewStream(ctx, desc, linkMethod, grpc.ForceCodecV2(frameCodec{}), grpc.MaxCallRecvMsgSize(maxFrameBytes))
	if err != nil {
		return fmt.Errorf("executor: link to %s: %w", l.peer, err)
	}
	if err := s.SendMsg(&batch{out: mem.BufferSlice{mem.SliceBuffer(n.host)}}); err != nil {
		return err
	}
	return n.serve(ctx, l, s, true)
}

func (n *network) dialOptions(once chan net.Conn) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			select {
			case c := <-once:
				return c, nil
			default:
				return nil, net.ErrClosed // one connection, one stream: the loop above dials again
			}
		}),
		grpc.WithInitialWindowSize(streamWindow), grpc.WithInitialConnWindowSize(streamWindow),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveEvery, Timeout: keepaliveWait, PermitWithoutStream: true}),
	}
}

func (n *network) server() *grpc.Server {
	s := grpc.NewServer(
		grpc.ForceServerCodecV2(frameCodec{}), grpc.MaxRecvMsgSize(maxFrameBytes),
		grpc.InitialWindowSize(streamWindow), grpc.InitialConnWindowSize(streamWindow),
		grpc.MaxConcurrentStreams(16), grpc.ConnectionTimeout(dialTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: keepaliveEvery, Timeout: keepaliveWait}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: keepaliveEvery / 2, PermitWithoutStream: true}),
	)
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "godwit.v1.Rank", HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{StreamName: "Link", ServerStreams: true, ClientStreams: true, Handler: n.accept}},
	}, nil)
	return s
}

// greeted waits for the name of the host that calls. Callers that have not said it may hold a message each: few may be there at a time, the
// one that has waited longest has to go, and none waits for long.
func (n *network) greeted(s grpc.ServerStream) (peer string, err error) {
	quit, leave := n.greetings.enter()
	defer leave()
	var hello batch
	said := make(chan error, 1)
	go func() { said <- s.RecvMsg(&hello) }() // ends with the stream, which ends when accept returns
	t := time.NewTimer(dialTimeout)
	defer t.Stop()
	select {
	case err := <-said:
		if err != nil {
			return "", err
		}
	case <-quit:
		return "", errors.New("executor: too many callers have not said which host they are")
	case <-t.C:
		return "", fmt.Errorf("executor: a caller has not said within %v which host it is", dialTimeout)
	}
	defer hello.in.Free()
	if hello.in.Len() > maxPeerName {
		return "", fmt.Errorf("executor: a caller's name has %d bytes", hello.in.Len())
	}
	return string(hello.in.Materialize()), nil
}

// greetings are the callers that have not said who they are, or what they bring.
type greetings struct {
	mu   sync.Mutex // guards open
	open []chan struct{}
}

// enter adds one. quit is closed when it has to go.
func (g *greetings) enter() (quit <-chan struct{}, leave func()) {
	ch := make(chan struct{})
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.open) == maxGreeting {
		close(g.open[0])
		g.open = slices.Delete(g.open, 0, 1)
	}
	g.open = append(g.open, ch)
	return ch, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if i := slices.Index(g.open, ch); i >= 0 {
			g.open = slices.Delete(g.open, i, i+1)
		}
	}
}

// accept serves a stream dialled by another executor.
func (n *network) accept(_ any, s grpc.ServerStream) error {
	peer, err := n.greeted(s)
	if err != nil {
		return err
	}
	n.mu.Lock()
	l := n.links[peer]
	if l == nil && peer != "" && peer < n.host {
		l = newLink(peer, n.lookout) // it knows a newer placement than we do
		n.links[peer] = l
	}
	if l != nil {
		l.leave(false) // it has ranks, or will
	}
	n.mu.Unlock()
	if l == nil {
		return fmt.Errorf("executor: host %q is not one that calls host %q", peer, n.host)
	}
	defer n.hungUp(l)
	return n.serve(s.Context(), l, s, false)
}

// hungUp drops the link to a host that called and has no live ranks by the newest table; it is made anew if it calls again.
func (n *network) hungUp(l *link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.forget(l)
}

// serve runs a link over one stream until it fails. calls says that this host has called the other.
func (n *network) serve(ctx context.Context, l *link, s stream, calls bool) error {
	g, ctx := errgroup.WithContext(ctx)
	number, by := l.open()
	defer l.closed(number)
	n.reconnect(l.peer)
	g.Go(func() error { return l.pump(ctx, fenced{s, n.fence}, number, n.room) })
	g.Go(func() error {
		return drain(s, func(frame []byte) {
			if len(frame) > 1 && frame[0] == offerFrame {
				if which := int(frame[1]); which < lanes {
					by[which].offered(string(frame[2:]), true)
				}
				return
			}
			n.deliver(frame)
		})
	})
	if !n.streamsOnly {
		for which, m := range by {
			g.Go(func() error { return n.serveDirect(ctx, l, number, which, m, calls) })
		}
	}
	// A stream's RecvMsg ends with the stream's own context, which ends when this function returns: do not wait for it.
	<-ctx.Done()
	return context.Cause(ctx)
}

// offer gives a frame to its rank, unless that is in a long call.
func (n *network) offer(frame []byte) bool {
	w := n.worldNow()
	return w == nil || w.TryReceive(frame)
}

func (n *network) deliver(frame []byte) {
	if w := n.worldNow(); w != nil {
		w.Receive(frame)
	}
}

// land is World's Land.
func (n *network) land(head []byte, size, at int, wait bool, read func(place []byte) int) (int, mpi.Landing) {
	w := n.worldNow()
	if w == nil {
		return 0, mpi.LandNone
	}
	return w.Land(head, size, at, wait, read)
}

// room tells the local ranks that there is room on a link again.
func (n *network) room() {
	if w := n.worldNow(); w != nil {
		w.Room()
	}
}

func (n *network) worldNow() world {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.world
}

func (n *network) reconnect(host string) {
	n.mu.RLock()
	w, routes := n.world, n.routes
	n.mu.RUnlock()
	if w == nil {
		return
	}
	for rank, h := range routes {
		if h == host {
			w.Reconnect(mpi.Rank(rank))
		}
	}
}
