package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/control"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/gossip"
	"github.com/godwit-run/godwit/internal/listen"
	"github.com/godwit-run/godwit/internal/transport"
	"github.com/godwit-run/godwit/raftnode"
)

// serverFlags are the flags of godwit server.
type serverFlags struct {
	dataDir, listen, gossip, join, level string
	expect, multiplier                   int
	lease                                time.Duration
	freezeDeadline                       time.Duration
	snapshotEvery                        uint64
	snapshotInterval                     time.Duration
	heartbeat                            time.Duration
}

const serverLong = `Run a server: a member of the Raft group that keeps the cluster's truth.

Three servers, each with the same --bootstrap-expect and --retry-join:
  godwit server --data-dir /var/lib/godwit --listen 10.0.0.1:7400 \
      --bootstrap-expect 3 --retry-join 10.0.0.1,10.0.0.2,10.0.0.3
A single server needs neither. A later server that joins an existing group takes --retry-join only.`

func newServer() *cobra.Command {
	f := &serverFlags{}
	c := &cobra.Command{
		Use: "server --data-dir DIR", Short: "Run a server: a member of the control plane", Long: serverLong, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt)
			defer stop()
			return runServer(ctx, f)
		},
	}
	d := control.DefaultConfig()
	c.Flags().StringVar(&f.dataDir, "data-dir", "", "directory of everything this server keeps (required)")
	c.Flags().StringVar(&f.listen, "listen", defaultListen, "host:port of the API and Raft; also what others are told")
	c.Flags().StringVar(&f.gossip, "gossip-listen", "", "host:port of gossip, TCP and UDP (default: port 7402 beside --listen port 7400, else any free one)")
	c.Flags().StringVar(&f.join, "retry-join", "", "API addresses of servers to find, with commas between; tried until they answer")
	c.Flags().IntVar(&f.expect, "bootstrap-expect", 0, "number of servers that make a new cluster (default 1 without --retry-join, else 0: join an existing one)")
	c.Flags().DurationVar(&f.lease, "lease", d.Lease, "how long a silent host keeps its ranks, of a new cluster; an existing one keeps the lease it was made with")
	c.Flags().DurationVar(&f.freezeDeadline, "freeze-deadline", d.FreezeDeadline, "how long a rank may compute without an MPI call before its migration is aborted")
	c.Flags().IntVar(&f.multiplier, "raft-multiplier", 1, "stretches Raft's timeouts of about 1 s on slow machines; the same on all servers")
	c.Flags().Uint64Var(&f.snapshotEvery, "snapshot-threshold", raftnode.DefaultConfig().SnapshotThreshold, "log entries between snapshots")
	c.Flags().DurationVar(&f.snapshotInterval, "snapshot-interval", raftnode.DefaultConfig().SnapshotInterval, "how often to look whether a snapshot is due")
	c.Flags().DurationVar(&f.heartbeat, "heartbeat-timeout", raftnode.DefaultConfig().HeartbeatTimeout, "Raft's; the same on all servers")
	_ = c.Flags().MarkHidden("heartbeat-timeout") // the flag is there; it lets a single server lead at once
	c.Flags().StringVar(&f.level, "log-level", "info", "debug, info, warn or error")
	return c
}

// server is one server's parts, wired together.
type server struct {
	flags    *serverFlags
	log      *slog.Logger
	machine  *fsm.Machine
	node     *raftnode.Node
	gossip   *gossip.Gossip
	control  *control.Control
	listener *listen.Listener
	http     net.Listener
	seeds    *seeds
	fatal    chan error
}

func runServer(ctx context.Context, f *serverFlags) error {
	log, err := newLogger(f.level)
	if err != nil {
		return err
	}
	if f.dataDir == "" {
		return usagef("--data-dir is missing: name a directory for what this server keeps")
	}
	if f.expect == 0 && f.join == "" {
		f.expect = 1
	}
	if f.expect < 0 || f.expect > 9 || (f.expect > 1 && f.join == "") {
		return usagef("--bootstrap-expect %d: give 1 to 9, and --retry-join with all of them if more than one", f.expect)
	}
	s := &server{flags: f, log: log, machine: fsm.New(), fatal: make(chan error, 1)}
	if err := s.open(ctx); err != nil {
		return err
	}
	return s.run(ctx)
}

// open takes the data directory and the ports.
func (s *server) open(ctx context.Context) error {
	host, port, err := checkListen(ctx, "listen", s.flags.listen)
	if err != nil {
		return err
	}
	bind, err := gossipBind(ctx, s.flags.gossip, s.flags.dataDir, host, standardGossip(port))
	if err != nil {
		return err
	}
	if s.listener, err = listen.New(net.JoinHostPort(host, strconv.Itoa(port))); err != nil {
		return err
	}
	s.http = s.listener.HTTP()
	addr := s.listener.Addr().String()
	rc := raftnode.DefaultConfig()
	rc.DataDir, rc.Addr, rc.Encode, rc.Multiplier = s.flags.dataDir, addr, fsm.Encode, s.flags.multiplier
	rc.SnapshotThreshold, rc.TrailingLogs = s.flags.snapshotEvery, s.flags.snapshotEvery
	rc.SnapshotInterval = s.flags.snapshotInterval
	rc.HeartbeatTimeout, rc.ElectionTimeout, rc.LeaderLease = s.flags.heartbeat, s.flags.heartbeat, s.flags.heartbeat/2
	rc.OnFatal = func(err error) { s.die(err) }
	if s.node, err = raftnode.Open(rc, raftnode.NewFSM(machine{s.machine}), s.listener.Protocol(raftnode.Protocol), s.log); err != nil {
		return errors.Join(err, s.listener.Close())
	}
	s.seeds = newSeeds(splitAddrs(s.flags.join), s.sameCluster)
	gc := gossip.DefaultConfig()
	gc.ID, gc.Bind, gc.Seeds = s.node.ID(), bind, s.seeds.list
	gc.Meta = gossip.Meta{Role: gossip.RoleServer, Addr: addr, ClusterID: s.node.ClusterID()}
	if s.gossip, err = gossip.New(gc, s.log); err != nil {
		return s.closed(err)
	}
	cc := control.DefaultConfig()
	cc.Addr, cc.DataDir, cc.Lease, cc.FreezeDeadline = addr, s.flags.dataDir, s.flags.lease, s.flags.freezeDeadline
	cc.Version, cc.Inspect = version, inspectModule
	if s.control, err = control.New(cc, s.machine, raftLog{s.node}, raftGroup{s.node}, peers{s.gossip}, s.log); err != nil {
		return s.closed(err)
	}
	return nil
}

// closed gives up what open has taken.
func (s *server) closed(err error) error { return errors.Join(err, s.node.Close(), s.listener.Close()) }

// sameCluster refuses a server of another cluster than the one this data directory belongs to.
func (s *server) sameCluster(res *apiv1.DiscoverResponse) error {
	if id := s.node.ClusterID(); id != "" && res.ClusterId != "" && res.ClusterId != id {
		return fmt.Errorf("data directory %s belongs to cluster %s, that server is of cluster %s: use another --data-dir, or the right --retry-join",
			s.flags.dataDir, id, res.ClusterId)
	}
	return nil
}

// checkPeers looks once, before anything is started, whether the data directory is of another cluster.
func (s *server) checkPeers(ctx context.Context) error {
	for _, addr := range s.seeds.addrs {
		if addr == s.node.Addr() {
			continue
		}
		if res, err := s.seeds.discover(ctx, addr); err == nil {
			if err := s.sameCluster(res); err != nil {
				return fmt.Errorf("server %s: %w", addr, err)
			}
		}
	}
	return nil
}

// die ends the process's run with an error from wherever it happened.
func (s *server) die(err error) {
	select {
	case s.fatal <- err:
	default:
	}
}

func (s *server) run(ctx context.Context) error {
	if err := s.checkPeers(ctx); err != nil {
		return s.closed(err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.listener.Run(ctx) })
	g.Go(func() error { return ended("raft", s.node.Run(ctx), ctx) })
	g.Go(func() error { return ended("gossip", s.gossip.Run(ctx), ctx) })
	g.Go(func() error { return transport.Serve(ctx, s.http, s.control.Handler()) })
	g.Go(func() error { return s.seeds.run(ctx, s.gossip) })
	g.Go(func() error { return s.bootstrap(ctx) })
	g.Go(func() error { return s.learnCluster(ctx) })
	g.Go(func() error { return s.node.RunLeader(ctx, s.control.Lead) })
	g.Go(func() error {
		select {
		case err := <-s.fatal:
			return fmt.Errorf("%w: %w", raftnode.ErrFatal, err)
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	s.log.Info("server started", "id", s.node.ID(), "addr", s.node.Addr(), "gossip", s.gossip.Addr(), "data_dir", s.flags.dataDir, "version", version)
	err := g.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// ended makes the end of a part of the server the end of the server.
func ended(what string, err error, ctx context.Context) error { //nolint:revive // the context is what is asked about
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		return fmt.Errorf("%s ended", what)
	}
}

// bootstrap makes a new cluster when the expected servers have found each other and none of them has any state.
func (s *server) bootstrap(ctx context.Context) error {
	if s.flags.expect == 0 {
		return nil
	}
	select {
	case <-s.node.Ready():
	case <-ctx.Done():
		return ctx.Err()
	}
	warned := 0
	for {
		if has, err := s.node.HasState(); err != nil || has {
			return err
		}
		found := aliveServers(s.gossip)
		switch n := len(found); {
		case n == s.flags.expect && s.noneBootstrapped(ctx, found):
			var servers []raftnode.Server
			for _, m := range found {
				servers = append(servers, raftnode.Server{ID: m.ID, Addr: m.Addr, Voter: true})
			}
			s.log.Info("bootstrapping a new cluster", "servers", n)
			if err := s.node.Bootstrap(servers); err != nil && !errors.Is(err, raftnode.ErrHasState) {
				return err
			}
			return nil
		case n > s.flags.expect && n != warned:
			warned = n
			s.log.Warn("more servers than --bootstrap-expect found: not bootstrapping", "found", n, "expect", s.flags.expect)
		}
		select {
		case <-time.After(seedFast):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *server) noneBootstrapped(ctx context.Context, found []gossip.Member) bool {
	for _, m := range found {
		if m.Addr == s.node.Addr() {
			continue
		}
		res, err := s.seeds.discover(ctx, m.Addr)
		if err != nil || res.ClusterId != "" {
			return false
		}
	}
	return true
}

// learnCluster stores the cluster's id on disk once the log has named it, and tells gossip.
func (s *server) learnCluster(ctx context.Context) error {
	for {
		changed := s.machine.Watch()
		if id := s.machine.View().ClusterID(); id != "" {
			if err := s.node.SetClusterID(id); err != nil {
				return err
			}
			m := s.gossip.Meta()
			m.ClusterID = id
			return s.gossip.SetMeta(m)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// machine adapts the state machine to the Raft node.
type machine struct{ *fsm.Machine }

// Snapshot implements raftnode.Machine.
func (m machine) Snapshot() (io.WriterTo, error) { return m.View(), nil }

// raftLog adapts the Raft node to control.Log.
type raftLog struct{ node *raftnode.Node }

// Propose implements control.Log.
func (l raftLog) Propose(ctx context.Context, c *apiv1.Command) (*apiv1.Result, error) {
	res, err := l.node.Propose(ctx, c)
	return res, logError(err)
}

// Barrier implements control.Log.
func (l raftLog) Barrier(ctx context.Context) (uint64, error) {
	i, err := l.node.Barrier(ctx)
	return i, logError(err)
}

// Leader implements control.Log.
func (l raftLog) Leader() (string, bool) {
	addr, _ := l.node.Leader()
	return addr, l.node.IsLeader()
}

// Term implements control.Log.
func (l raftLog) Term() uint64 { return l.node.Term() }

func logError(err error) error {
	switch {
	case errors.Is(err, raftnode.ErrNotLeader):
		return fmt.Errorf("%w (%w)", control.ErrNotLeader, err)
	case errors.Is(err, raftnode.ErrUnknownOutcome):
		return fmt.Errorf("%w (%w)", control.ErrUnknownOutcome, err)
	case errors.Is(err, raftnode.ErrTooLarge):
		return fmt.Errorf("%w (%w)", control.ErrTooLarge, err)
	case errors.Is(err, raftnode.ErrOverloaded):
		return fmt.Errorf("%w (%w)", control.ErrOverloaded, err)
	default:
		return err
	}
}

// raftGroup adapts the Raft node to control.Group.
type raftGroup struct{ *raftnode.Node }

// Servers implements control.Group.
func (g raftGroup) Servers() []control.ServerInfo {
	var out []control.ServerInfo
	for _, s := range g.Node.Servers() {
		out = append(out, control.ServerInfo{ID: s.ID, Addr: s.Addr, Voter: s.Voter})
	}
	return out
}

// peers adapts gossip to control.Peers.
type peers struct{ g *gossip.Gossip }

// Servers implements control.Peers.
func (p peers) Servers() []control.ServerInfo {
	var out []control.ServerInfo
	for _, m := range aliveServers(p.g) {
		out = append(out, control.ServerInfo{ID: m.ID, Addr: m.Addr})
	}
	return out
}

// GossipAddr implements control.Peers.
func (p peers) GossipAddr() string { return p.g.Addr() }
