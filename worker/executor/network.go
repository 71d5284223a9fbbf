package executor

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/listen"
	"github.com/godwit-run/godwit/internal/notify"
	"github.com/godwit-run/godwit/internal/pipe"
	"github.com/godwit-run/godwit/mpi"
)

const (
	linkMethod     = "/godwit.v1.Rank/Link"
	dialTimeout    = 3 * time.Second
	redialMin      = 10 * time.Millisecond
	redialMax      = 500 * time.Millisecond
	maxFrameBytes  = 4 << 20
	streamWindow   = 8 << 20
	keepaliveEvery = 10 * time.Second
	keepaliveWait  = 3 * time.Second
)

// world is what the network does to the local ranks.
type world interface {
	PeerEnded(peer mpi.Rank)
	Receive(frame []byte)
	Reconnect(peer mpi.Rank)
}

// network is mpi.Network over gRPC streams: one stream to each other host of the app, dialled by the host whose name
// sorts first. It owns the links' goroutines.
type network struct {
	app, host string
	log       *slog.Logger
	incoming  *connListener
	fence     *fence

	mu      sync.RWMutex // guards the fields below
	world   world
	epoch   uint64
	routes  []string          // host of each rank
	addrs   map[string]string // data address of each host
	links   map[string]*link
	dialled map[string]bool
	toDial  []*link       // for Run to take
	wake    notify.Signal // toDial is not empty
}

func newNetwork(app, host string, fence *fence, log *slog.Logger) *network {
	return &network{
		app: app, host: host, fence: fence, log: log, incoming: newConnListener(),
		links: map[string]*link{}, dialled: map[string]bool{}, wake: notify.NewSignal(),
	}
}

// Send implements mpi.Network.
func (n *network) Send(dst mpi.Rank, frame []byte) {
	n.mu.RLock()
	var l *link
	if int(dst) < len(n.routes) {
		l = n.links[n.routes[dst]]
	}
	n.mu.RUnlock()
	if l != nil {
		l.send(frame)
	}
}

// Run serves and dials until ctx ends.
func (n *network) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	server := n.server()
	g.Go(func() error { return server.Serve(n.incoming) })
	g.Go(func() error {
		defer server.Stop()
		for {
			for _, l := range n.takeDials() {
				g.Go(func() error { n.dialLoop(ctx, l); return nil })
			}
			select {
			case <-n.wake:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	return g.Wait()
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
	n.epoch, n.routes, n.addrs = r.Epoch, r.Placement, r.Addrs
	for _, h := range n.routes {
		if h != n.host && n.links[h] == nil {
			n.links[h] = newLink(h)
		}
	}
	n.dialMissing()
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

// dialMissing asks Run for a dialler for each link that is ours to dial. Holds mu.
func (n *network) dialMissing() {
	for h, l := range n.links {
		if n.host < h && !n.dialled[h] {
			n.dialled[h] = true
			n.toDial = append(n.toDial, l)
		}
	}
	n.wake.Set()
}

func (n *network) dialLoop(ctx context.Context, l *link) {
	wait := redialMin
	for ctx.Err() == nil {
		start := time.Now()
		err := n.dialOnce(ctx, l)
		n.log.Debug("link down", "peer", l.peer, "err", err)
		if time.Since(start) > redialMax {
			wait = redialMin
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		wait = min(2*wait, redialMax)
	}
}

func (n *network) dialOnce(ctx context.Context, l *link) error {
	n.mu.RLock()
	addr := n.addrs[l.peer]
	n.mu.RUnlock()
	if addr == "" {
		return fmt.Errorf("executor: no address of host %s", l.peer)
	}
	dctx, cancel := context.WithTimeout(ctx, dialTimeout)
	conn, err := listen.Dial(dctx, addr, pipe.RankProtocol, n.app, n.host)
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
	if err := s.SendMsg(&batch{parts: [][]byte{[]byte(n.host)}}); err != nil {
		return err
	}
	return n.serve(ctx, l, s)
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

// accept serves a stream dialled by another executor.
func (n *network) accept(_ any, s grpc.ServerStream) error {
	var hello batch
	if err := s.RecvMsg(&hello); err != nil {
		return err
	}
	peer := string(hello.in.Materialize())
	hello.in.Free()
	n.mu.Lock()
	l := n.links[peer]
	if l == nil && peer != "" && peer < n.host {
		l = newLink(peer) // it knows a newer placement than we do
		n.links[peer] = l
	}
	n.mu.Unlock()
	if l == nil {
		return fmt.Errorf("executor: host %q is not one that calls host %q", peer, n.host)
	}
	return n.serve(s.Context(), l, s)
}

// serve runs a link over one stream until it fails.
func (n *network) serve(ctx context.Context, l *link, s stream) error {
	g, ctx := errgroup.WithContext(ctx)
	number := l.open()
	defer l.closed(number)
	n.reconnect(l.peer)
	g.Go(func() error { return l.pump(ctx, fenced{s, n.fence}, number) })
	g.Go(func() error { return drain(s, n.deliver) })
	// A stream's RecvMsg ends with the stream's own context, which ends when this function returns: do not wait for it.
	<-ctx.Done()
	return context.Cause(ctx)
}

func (n *network) deliver(frame []byte) {
	n.mu.RLock()
	w := n.world
	n.mu.RUnlock()
	if w != nil {
		w.Receive(frame)
	}
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
