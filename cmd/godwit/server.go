package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/godwit-run/godwit/control"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/gossip"
	"github.com/godwit-run/godwit/internal/client"
	"github.com/godwit-run/godwit/internal/listen"
	"github.com/godwit-run/godwit/internal/text"
	"github.com/godwit-run/godwit/internal/transport"
	"github.com/godwit-run/godwit/raftnode"
)

// serverFlags are the flags of godwit server.
type serverFlags struct {
	dataDir, listen, gossip, join, level string
	expect, multiplier                   int
	lease                                time.Duration
	freezeDeadline, checkpointAge        time.Duration
	snapshotEvery                        uint64
	snapshotInterval                     time.Duration
	heartbeat                            time.Duration
	leave, ownUser                       bool
	secure                               bool
	joinToken                            string
	bind                                 string // where gossip listens, once that is chosen
}

const serverLong = `Run a server: a member of the Raft group that keeps the cluster's truth.

Three servers, each with the same --bootstrap-expect and --retry-join:
  godwit server --data-dir /var/lib/godwit --listen 10.0.0.1:7400 \
      --bootstrap-expect 3 --retry-join 10.0.0.1,10.0.0.2,10.0.0.3
A single server needs neither. A later server that joins an existing group takes --retry-join only.
It has no vote until it has the log and the modules. Which servers there are is kept by the cluster: godwit servers lists
them, godwit servers remove takes one out. A server that stops comes back, unless --leave-on-stop is given.`

func newServer() *cobra.Command {
	f := &serverFlags{}
	c := &cobra.Command{
		Use: "server --data-dir DIR", Short: "Run a server: a member of the control plane", Long: serverLong, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt)
			defer stop()
			if f.expect == 0 && f.join == "" { // it has nobody to wait for
				f.expect = 1
			}
			return runServer(ctx, f)
		},
	}
	d := control.DefaultConfig()
	c.Flags().StringVar(&f.dataDir, "data-dir", "", "directory of everything this server keeps (required)")
	c.Flags().StringVar(&f.listen, "listen", client.DefaultAddr, "host:port of the API and Raft, without a port "+client.DefaultPort+"; also what others are told")
	c.Flags().StringVar(&f.gossip, "gossip-listen", "", gossipListenHelp(serverGossipPort, client.DefaultPort))
	c.Flags().StringVar(&f.join, "retry-join", "", "API addresses of servers to find, with commas between; tried until they answer. Only their cluster takes a new server")
	c.Flags().IntVar(&f.expect, "bootstrap-expect", 0, "number of servers that make a new cluster (default 1 without --retry-join, else 0: join an existing one)")
	c.Flags().DurationVar(&f.lease, "lease", d.Lease, "how long a silent host keeps its ranks, of a new cluster; an existing one keeps the lease it was made with")
	c.Flags().DurationVar(&f.checkpointAge, "checkpoint-age", d.CheckpointAge, "how long checkpoints are kept of an app that has failed or was cancelled")
	c.Flags().DurationVar(&f.freezeDeadline, "freeze-deadline", d.FreezeDeadline, "how long a rank may compute without an MPI call before its migration is aborted")
	c.Flags().IntVar(&f.multiplier, "raft-multiplier", 1, "stretches Raft's timeouts of about 1 s on slow machines; the same on all servers")
	c.Flags().Uint64Var(&f.snapshotEvery, "snapshot-threshold", raftnode.DefaultConfig().SnapshotThreshold, "log entries between snapshots")
	c.Flags().DurationVar(&f.snapshotInterval, "snapshot-interval", raftnode.DefaultConfig().SnapshotInterval, "how often to look whether a snapshot is due")
	c.Flags().DurationVar(&f.heartbeat, "heartbeat-timeout", raftnode.DefaultConfig().HeartbeatTimeout, "Raft's; the same on all servers")
	_ = c.Flags().MarkHidden("heartbeat-timeout") // the flag is there; it lets a single server lead at once
	c.Flags().BoolVar(&f.leave, "leave-on-stop", false, "when asked to end by a signal, leave the group of servers for good, if the others are a majority without this one")
	ownUserFlag(c, &f.ownUser)
	c.Flags().BoolVar(&f.secure, "secure", false, "make a new cluster a secured one, of which this is the first server")
	_ = c.Flags().MarkHidden("secure") // until a secured cluster is whole
	secureFlags(c, &f.joinToken)
	c.Flags().StringVar(&f.level, "log-level", "info", "debug, info, warn or error")
	c.AddCommand(newRecover())
	return c
}

// shortest is the least of the times that Raft takes.
const shortest = 5 * time.Millisecond

// check says which of the flags is wrong.
func (f *serverFlags) check() error {
	if f.dataDir == "" {
		return usagef("--data-dir is missing: name a directory for what this server keeps")
	}
	if err := client.CheckAddrs(f.join); err != nil {
		return usagef("--retry-join: %w", err)
	}
	switch {
	case f.expect < 0 || f.expect > 9 || (f.expect > 1 && f.join == ""):
		return usagef("--bootstrap-expect %d: give 1 to 9, and --retry-join with all of them if more than one", f.expect)
	case f.snapshotEvery < 1:
		return usagef("--snapshot-threshold %d: give at least 1", f.snapshotEvery)
	case f.snapshotInterval < shortest:
		return usagef("--snapshot-interval %v: give at least %v", f.snapshotInterval, shortest)
	case f.heartbeat < shortest:
		return usagef("--heartbeat-timeout %v: give at least %v", f.heartbeat, shortest)
	}
	return cmp.Or(checkMultiplier(f.multiplier), checkTimes(f.lease, f.freezeDeadline))
}

func checkMultiplier(n int) error {
	if n < 1 || n > 100 {
		return usagef("--raft-multiplier %d: give 1 to 100", n)
	}
	return nil
}

// checkTimes checks the times that a new cluster is made with.
func checkTimes(lease, freezeDeadline time.Duration) error {
	heartbeat := control.DefaultConfig().Heartbeat
	switch {
	case lease < 4*heartbeat:
		return usagef("--lease %v: give at least %v, which are four heartbeats of %v", lease, 4*heartbeat, heartbeat)
	case freezeDeadline <= 0:
		return usagef("--freeze-deadline %v: give a time above 0, such as 10s", freezeDeadline)
	}
	return nil
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
	join     []string // of --retry-join
	dir      *directory
	fatal    chan error
	state    *stateWatch
	badge    *badge // nil: the cluster is not secured

	meta      sync.Mutex // guards changes of what gossip is told
	departure departure
	settledCh chan struct{} // closed once nobody asks any more what became of an earlier departure
	left      atomic.Bool   // this server is no member any more, by its own wish
}

func runServer(ctx context.Context, f *serverFlags) error {
	outlivePipes()
	defer ballast()()
	log, err := newLogger(f.level)
	if err != nil {
		return err
	}
	if err := f.check(); err != nil {
		return err
	}
	if err := checkDataOf(f.dataDir, "worker", ofWorkers); err != nil {
		return err
	}
	for { // again as a new server, at the most once for each time that it had left
		d := departure{f.dataDir}
		if done, err := d.putAway(); err != nil {
			return err
		} else if done {
			log.Info("the data of the server that has left is put away: this one starts as a new one", "data_dir", f.dataDir)
		}
		s := &server{
			flags: f, log: log, machine: fsm.New(), dir: newDirectory(log), fatal: make(chan error, 1), join: client.SplitAddrs(f.join),
			departure: d, settledCh: make(chan struct{}),
		}
		if err := s.open(ctx); err != nil {
			return err
		}
		err := s.run(ctx)
		if errors.Is(err, errLeft) && ctx.Err() == nil {
			continue
		}
		if s.left.Load() {
			return errors.Join(unlessLeft(err), s.finishLeaving())
		}
		return err
	}
}

func unlessLeft(err error) error {
	if errors.Is(err, errLeft) {
		return nil
	}
	return err
}

// open takes the data directory and the ports.
func (s *server) open(ctx context.Context) error {
	host, port, err := checkListen(ctx, "listen", s.flags.listen, standardAPIPort())
	if err != nil {
		return err
	}
	if err := checkReach(host, "retry-join", s.join, isOwnIP); err != nil {
		return err
	}
	if s.flags.bind == "" {
		if s.flags.bind, err = gossipBind(ctx, s.flags.gossip, s.flags.dataDir, host, port); err != nil {
			return err
		}
	}
	if s.listener, err = listen.New(net.JoinHostPort(host, strconv.Itoa(port))); err != nil {
		return err
	}
	if s.flags.ownUser {
		s.listener.OwnUserOnly()
	}
	s.http = s.listener.HTTP()
	addr := s.listener.Addr().String()
	rc := raftnode.DefaultConfig()
	rc.DataDir, rc.Addr, rc.Encode, rc.Multiplier = s.flags.dataDir, addr, fsm.Encode, s.flags.multiplier
	rc.SnapshotThreshold, rc.TrailingLogs = s.flags.snapshotEvery, s.flags.snapshotEvery
	rc.SnapshotInterval = s.flags.snapshotInterval
	rc.HeartbeatTimeout, rc.ElectionTimeout, rc.LeaderLease = s.flags.heartbeat, s.flags.heartbeat, s.flags.heartbeat
	rc.OnFatal = func(err error) { s.die(err) }
	rc.Locate, rc.Vouch = s.dir.Locate, s.dir.Vouch
	if s.node, err = raftnode.Open(rc, raftnode.NewFSM(machine{s.machine}), s.listener.Protocol(raftnode.Protocol), s.log); err != nil {
		return errors.Join(err, s.listener.Close())
	}
	rememberGossip(s.flags.dataDir, s.flags.bind)
	s.state = newStateWatch(s.node.HasState, s.die)
	if err = s.state.first(); err != nil {
		return errors.Join(err, s.node.Close(), s.listener.Close())
	}
	if err = errors.Join(checkTwin(s.flags.dataDir), s.departure.belongs(s.node.ID())); err != nil {
		return errors.Join(err, s.node.Close(), s.listener.Close())
	}
	if err = s.guard(ctx); err != nil {
		return s.closed(err)
	}
	s.dir.self, s.dir.claims, s.dir.members, s.dir.key, s.dir.standing = s.own, s.claims, s.memberIDs, s.node.Key(), s.node.Standing
	gc := gossip.DefaultConfig()
	gc.ID, gc.Bind, gc.Seeds = s.node.ID(), s.flags.bind, s.dir.gossipAddrs
	gc.Meta = gossip.Meta{Role: gossip.RoleServer, Addr: addr, ClusterID: s.node.ClusterID()}
	if s.badge != nil {
		gc.Keys = s.badge.kept.Gossip
	}
	if s.gossip, err = gossip.New(gc, s.log); err != nil {
		return s.closed(err)
	}
	cc := control.DefaultConfig()
	cc.Addr, cc.DataDir, cc.Lease, cc.FreezeDeadline, cc.CheckpointAge = addr, s.flags.dataDir, s.flags.lease, s.flags.freezeDeadline, s.flags.checkpointAge
	cc.Version, cc.Inspect, cc.Security = version, inspectModule, s.security()
	if s.control, err = control.New(cc, s.machine, raftLog{s.node}, raftGroup{s.node, s.dir}, peers{s.gossip, s.dir, s.why}, s.log); err != nil {
		return s.closed(err)
	}
	return nil
}

// closed gives up what open has taken.
func (s *server) closed(err error) error { return errors.Join(err, s.node.Close(), s.listener.Close()) }

// own is what this server knows of itself.
func (s *server) own() ownState {
	return ownState{
		id: s.node.ID(), addr: s.node.Addr(), hasState: s.state.has(), clusterID: s.node.ClusterID(), expect: s.flags.expect,
		formerIDs: s.machine.View().FormerClusterIDs(), named: slices.DeleteFunc(slices.Clone(s.join), func(a string) bool { return a == s.node.Addr() }),
	}
}

// claims are where servers are said to be: by --retry-join, by this server's log and by gossip.
func (s *server) claims() []claim {
	var out []claim
	for _, addr := range s.join {
		out = append(out, claim{addr: addr, seed: true})
	}
	for _, m := range s.node.Servers() {
		out = append(out, claim{id: m.ID, addr: m.Addr, log: true})
	}
	for _, m := range aliveServers(s.gossip) {
		if m.ID != s.node.ID() {
			out = append(out, claim{id: m.ID, addr: m.Addr, gossiped: true, gossipOf: m.ClusterID})
		}
	}
	if s.node.ClusterID() == "" {
		for _, m := range s.gossip.Strangers() { // nothing comes of it but that no new cluster is made beside them
			if m.Role == gossip.RoleServer && m.ID != s.node.ID() {
				out = append(out, claim{id: m.ID, addr: m.Addr, gossiped: true, gossipOf: m.ClusterID, kept: true})
			}
		}
	}
	return out
}

func (s *server) memberIDs() []string {
	var out []string
	for _, m := range s.node.Servers() {
		out = append(out, m.ID)
	}
	return out
}

// die ends the process's run with an error from wherever it happened.
func (s *server) die(err error) {
	select {
	case s.fatal <- err:
	default:
	}
}

func (s *server) run(ctx context.Context) error {
	for range 2 { // who is named is asked, and then those whom they name; above all whether this is a copy of another.
		if err := s.dir.round(ctx); err != nil {
			if ctx.Err() != nil { // asked to end already.
				err = nil
			}
			return s.closed(noteTwin(s.flags.dataDir, err))
		}
	}
	if err := s.tellSeeking(); err != nil {
		return s.closed(err)
	}
	asked := ctx // ends when this server is asked to end
	ctx, stop := s.untilLeft(ctx)
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.settleDeparture(asked, ctx) })
	g.Go(func() error { return s.listener.Run(ctx) })
	g.Go(func() error { return ended("raft", s.node.Run(ctx), ctx) })
	g.Go(func() error { return ended("gossip", s.gossip.Run(ctx), ctx) })
	g.Go(func() error { return transport.Serve(ctx, s.http, s.control.Handler()) })
	g.Go(func() error { return noteTwin(s.flags.dataDir, s.dir.run(ctx)) })
	g.Go(func() error { return s.joinGossip(ctx) })
	g.Go(func() error { return s.control.KeepModules(ctx) })
	g.Go(func() error { return s.control.CollectModules(ctx) })
	g.Go(func() error { return s.control.WatchState(ctx) })
	g.Go(func() error { return s.bootstrap(ctx) })
	g.Go(func() error { return s.learnCluster(ctx) })
	g.Go(func() error { return s.keepSecure(ctx) })
	g.Go(func() error { return s.watchRemoved(ctx) })
	g.Go(func() error { return s.node.RunLeader(ctx, s.control.Lead) })
	g.Go(func() error {
		select {
		case err := <-s.fatal:
			return err
		case <-ctx.Done():
			s.log.Info("the server stops")
			return ctx.Err()
		}
	})
	s.log.Info("server started", "id", s.node.ID(), "addr", s.node.Addr(), "gossip", s.gossip.Addr(), "data_dir", s.flags.dataDir, "version", version)
	err := waitFor(ctx, g.Wait, stopWithin)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// stopWithin is how long the parts of a server may take to end, once one has or they are asked to: what they wait for longer is a disk that
// hangs, which no other server should have to wait for.
const stopWithin = 30 * time.Second

// errHung ends a process of which a part has not ended. Nothing may follow in it: what hangs has the directory and the ports still.
var errHung = errors.New("the server did not stop")

// waitFor is wait, which may take so long after ctx's end and no longer: then the process is to end as it is, with errHung.
func waitFor(ctx context.Context, wait func() error, long time.Duration) error {
	done := make(chan error, 1)
	go func() { done <- wait() }() // ends with the process at the latest
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(long):
		return fmt.Errorf("%w within %v, as when its disk hangs: it ends as it is, and what was accepted is with a majority (it was to stop for this: %v)",
			errHung, long, context.Cause(ctx)) //nolint:errorlint // the cause is what others act on, and nobody is to
	}
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

// bootstrap makes a new cluster when decide says so, and says what it waits for meanwhile.
func (s *server) bootstrap(ctx context.Context) error {
	select {
	case <-s.node.Ready():
	case <-ctx.Done():
		return ctx.Err()
	}
	said := text.Lately{For: sayAgain}
	for {
		if seen, ok := s.dir.known(); ok {
			own := s.own()
			own.seek = s.dir.seeking()
			d := decide(own, seen)
			switch d.move {
			case moveRun:
				return nil
			case moveBootstrap:
				return s.makeCluster(d.servers)
			case moveWait:
			}
			if said.News(d.why, time.Now()) {
				level := slog.LevelInfo
				if d.wrong {
					level = slog.LevelWarn
				}
				s.log.Log(ctx, level, "this server is in no cluster", "reason", d.why)
			}
		}
		select {
		case <-time.After(askSoon):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *server) makeCluster(servers []raftnode.Server) error {
	s.log.Info("bootstrapping a new cluster", "servers", len(servers), "cluster_id", raftnode.ClusterIDOf(servers))
	if err := s.node.Bootstrap(servers); err != nil && !errors.Is(err, raftnode.ErrHasState) {
		return err
	}
	return s.tellCluster(s.node.ClusterID())
}

// tellCluster tells gossip which cluster this server is of.
func (s *server) tellCluster(id string) error {
	s.meta.Lock()
	defer s.meta.Unlock()
	m := s.gossip.Meta()
	m.ClusterID, m.Names, m.Seeks = id, false, ""
	return s.gossip.SetMeta(m)
}

// joinGossip joins gossip wherever a server was found, whenever that changes.
func (s *server) joinGossip(ctx context.Context) error {
	var joined []string
	for {
		if err := s.tellSeeking(); err != nil {
			return err
		}
		if now := s.dir.gossipAddrs(); !slices.Equal(now, joined) {
			joined = now
			jctx, cancel := context.WithTimeout(ctx, seedSlow)
			_, _ = s.gossip.Join(jctx, now) // Gossip tries its seeds again by itself
			cancel()
		}
		select {
		case <-time.After(seedFast):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// learnCluster stores the cluster's id on disk once the log has named it, and tells gossip.
func (s *server) learnCluster(ctx context.Context) error {
	changed := s.machine.Feed().Subscribe(fsm.TheCluster)
	defer changed.Close()
	fresh := s.node.ClusterID() == ""
	for {
		v := s.machine.View()
		if id := v.ClusterID(); id != "" {
			err := s.node.SetClusterID(id)
			if errors.Is(err, raftnode.ErrForeignCluster) && slices.Contains(v.FormerClusterIDs(), s.node.ClusterID()) {
				return fmt.Errorf("%w: a `godwit server recover` of this directory was interrupted: run it again", err)
			}
			if err != nil {
				return err
			}
			if fresh {
				s.tellTaken(id)
			}
			return s.tellCluster(id)
		}
		select {
		case <-changed.C():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
