package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/gossip"
	"github.com/godwit-run/godwit/internal/client"
	"github.com/godwit-run/godwit/internal/durable"
	"github.com/godwit-run/godwit/internal/listen"
	"github.com/godwit-run/godwit/internal/name"
	"github.com/godwit-run/godwit/internal/pipe"
	"github.com/godwit-run/godwit/internal/proc"
	"github.com/godwit-run/godwit/internal/trust"
	"github.com/godwit-run/godwit/worker"
	"github.com/godwit-run/godwit/worker/executor"
	"github.com/godwit-run/godwit/worker/native"
	"github.com/godwit-run/godwit/worker/wasm"
)

// workerFlags are the flags of godwit worker.
type workerFlags struct {
	name, dataDir, listen, gossip, join, level, direct, onStop, notice, memory, engine string
	joinToken                                                                          string
	slots, warm, memoryMiB, totalMiB, logMiB, unreadMiB, moduleMiB, filesMiB           int
	labels, volumes                                                                    []string
	ownUser, exactNaNs                                                                 bool
	drainFor, scrub                                                                    time.Duration
	speed                                                                              float64
	drains                                                                             atomic.Pointer[drainer] // once the worker runs
}

// unset is what --slots is if it is not given.
const unset = math.MinInt

const workerLong = `Run a worker: it serves this host's slots.

  godwit worker --join 10.0.0.1,10.0.0.2,10.0.0.3 --slots 8 --data-dir /var/lib/godwit-worker --listen 10.0.0.4:7403

A worker that gets SIGTERM, or crashes, leaves the ranks of this host running for as long as its lease lasts: start it again within that time, of this version
or another, and it goes on with them. SIGINT (Ctrl-C) has it take leave of the cluster and end them, and so does SIGTERM with --on-stop leave. With --on-stop drain it
has the ranks move to other hosts first, within --drain-for, and takes leave when none is left; what could not be moved goes on as with keep. When it starts again it
takes ranks again. As a service of systemd it needs KillMode=process, or systemd ends the ranks itself, and a TimeoutStopSec longer than --drain-for.

Checkpoints that are to be in S3 as well (--checkpoint-to of run and submit) it stores and fetches with the credentials, region and endpoint that Amazon's own tools would
find here: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_PROFILE and the like, ~/.aws/config and ~/.aws/credentials, the machine's role; AWS_ENDPOINT_URL is
that of another server than Amazon's.`

// What a worker does with its ranks when it is told to stop.
const (
	onStopKeep  = "keep"
	onStopLeave = "leave"
	onStopDrain = "drain"
)

func newWorker() *cobra.Command {
	f := &workerFlags{}
	c := &cobra.Command{
		Use: "worker --join A,B,C --slots N --data-dir DIR", Short: "Run a worker: serve this host's slots", Long: workerLong, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := untilStopped(c.Context(), f)
			defer stop()
			return runWorker(ctx, f)
		},
	}
	c.Flags().StringVar(&f.name, "name", "", "the host's name, unique in the cluster (default: the machine's, with a suffix if another worker has it)")
	c.Flags().StringVar(&f.dataDir, "data-dir", "", "directory of modules, files, logs and compiled code (required)")
	c.Flags().StringVar(&f.listen, "listen", "", fmt.Sprintf("host:port for other hosts; also what they are told (default: the address on the way to the servers, port %d or, if that is taken, any free one)", standardDataPort))
	c.Flags().StringVar(&f.gossip, "gossip-listen", "", gossipListenHelp(workerGossipPort, strconv.Itoa(standardDataPort)))
	c.Flags().StringVar(&f.join, "join", "", "API addresses of servers, with commas between (required); beside a cluster that was recovered from it the older one is joined while most of its servers answer")
	c.Flags().IntVar(&f.slots, "slots", unset, "how many ranks this host takes (required)")
	c.Flags().Lookup("slots").DefValue = "0" // not shown then
	c.Flags().IntVar(&f.memoryMiB, "memory-limit", 4096, "most memory of one rank, in MiB")
	c.Flags().IntVar(&f.warm, "warm", 1, "executors started before there is an app for them, so that a tenant's first app need not wait for a process")
	c.Flags().IntVar(&f.totalMiB, "total-memory", 0, "most memory of all executors together, in MiB; an app's ranks may grow to a little less (default: the machine's but for an eighth)")
	c.Flags().StringVar(&f.memory, "memory", "", "what apps that declare memory (--mem) may have of this host's together, such as 64G (default: what --total-memory leaves for ranks, which is a sixteenth less, or 128M)")
	c.Flags().Float64Var(&f.speed, "speed", 1, "how fast this host is beside others, 0.01 to 100: of placements that are as good otherwise apps get that whose slowest host is the fastest")
	c.Flags().IntVar(&f.logMiB, "keep-logs", int(worker.DefaultConfig().LogBytes>>20), "most output kept on this host, in MiB; that of apps that ended first goes first, and as well while the disk is full")
	c.Flags().IntVar(&f.unreadMiB, "log-limit", int(worker.DefaultConfig().LogLimit>>20), "most output of one app on this host, in MiB, that nobody reads as it comes (godwit run, logs -f): what is printed beyond is lost, and the app fails")
	c.Flags().IntVar(&f.filesMiB, "files-limit", int(worker.DefaultConfig().FilesLimit>>20), "most that the directory of one app has which has its home here, in MiB: programs get EDQUOT beyond; it is looked at each second, and less often where there are very many files")
	c.Flags().IntVar(&f.moduleMiB, "keep-modules", int(worker.DefaultConfig().ModuleBytes>>20), "most modules and compiled code kept on this host, in MiB")
	c.Flags().DurationVar(&f.scrub, "scrub-period", worker.DefaultConfig().ScrubPeriod, "how often all that this host holds of checkpoints is read, slowly, to find what its disk has damaged, which is then brought anew from another holder; 0: never")
	c.Flags().StringArrayVar(&f.labels, "label", nil, "`KEY=VALUE` by which apps choose hosts (--on, --spread); rack=NAME says which hosts are near each other; may be repeated")
	c.Flags().StringArrayVar(&f.volumes, "volume", nil, "`NAME=DIR[:ro]`: a directory that the hosts share, for apps that mount NAME; may be repeated")
	c.Flags().StringVar(&f.direct, "direct", "on", "on or off: whether messages between hosts go over direct connections, beside gRPC, or over gRPC alone; both of two hosts must have it on")
	c.Flags().BoolVar(&f.exactNaNs, "exact-nans", false, "results that are not a number have the bits that amd64 gives them: for hosts of other processors that share apps with hosts of amd64; float arithmetic takes 1.1 to 2.2 times as long there, and on amd64 the flag does nothing")
	c.Flags().StringVar(&f.engine, "engine", worker.DefaultConfig().Engine, "wazero, native or auto: what runs ranks. with native a module is compiled by clang-19 at -O1 before its first rank begins here, which takes a second to a minute once a cluster, and then at -O3, with which ranks go on: at the speed of native programs; with auto ranks begin at once, and go on natively when that is done. A worker without clang has it from one that has it. What cannot be compiled runs in wazero: godwit show --ranks says why")
	c.Flags().StringVar(&f.onStop, "on-stop", onStopKeep, "keep, drain or leave: whether ranks go on when this worker gets SIGTERM or crashes, to be adopted when it runs again within its lease; the same, but that at SIGTERM they move to other hosts first; or end with it")
	c.Flags().DurationVar(&f.drainFor, "drain-for", time.Minute, "with --on-stop drain: how long they have for that")
	c.Flags().StringVar(&f.notice, "notice", "", "who says that this machine will go, as a spot machine does: `file:PATH`, which is there then, command:COMMAND, which exits with 0 then, aws, gcp or azure (or aws:URL and so on: their service of metadata elsewhere); a file's, or a command's, text may begin with the time that is left (90, or 90s), or when it goes (RFC 3339). The host is evicted while there is a notice: godwit evict")
	ownUserFlag(c, &f.ownUser)
	secureFlags(c, &f.joinToken)
	c.Flags().StringVar(&f.level, "log-level", "info", "debug, info, warn or error")
	return c
}

// untilStopped ends when the worker is told to stop: with the cause worker.ErrKeep where ranks are to go on, at the first SIGTERM.
func untilStopped(ctx context.Context, f *workerFlags) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx)) // it ends with SIGTERM, too, and does not say so
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	over := make(chan struct{})
	go func() { // until over
		select {
		case s := <-signals:
			switch {
			case s != syscall.SIGTERM || f.onStop == onStopLeave:
				cancel(nil)
			case f.onStop == onStopDrain && f.drained(ctx, signals):
				cancel(nil)
			default:
				cancel(worker.ErrKeep)
			}
		case <-over:
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(over)
		cancel(nil)
	}
}

// ownUserFlag is of the daemons of a cluster for one run, which serve who runs it.
func ownUserFlag(c *cobra.Command, own *bool) {
	c.Flags().BoolVar(own, "own-user-only", false, "serve processes of this user on this machine, and no others")
	_ = c.Flags().MarkHidden("own-user-only") // it is there
}

// checkBounds checks what needs no look at the machine.
func (f *workerFlags) checkBounds() error {
	if f.memoryMiB < 1 || f.memoryMiB > 4096 {
		return usagef("--memory-limit %d: give 1 to 4096 MiB", f.memoryMiB)
	}
	if f.totalMiB < 0 || f.totalMiB > 1<<33 {
		return usagef("--total-memory %d: give MiB", f.totalMiB)
	}
	if f.direct != "on" && f.direct != "off" {
		return usagef("--direct %s: give on or off", f.direct)
	}
	if !slices.Contains([]string{onStopKeep, onStopDrain, onStopLeave}, f.onStop) {
		return usagef("--on-stop %s: give keep, drain or leave", f.onStop)
	}
	if _, err := noticeFrom(f.notice); f.notice != "" && err != nil {
		return err
	}
	if f.drainFor <= 0 {
		return usagef("--drain-for %s: give a time", f.drainFor)
	}
	if f.unreadMiB < 1 || f.unreadMiB > 1<<33 {
		return usagef("--log-limit %d: give MiB, at least 1", f.unreadMiB)
	}
	if f.filesMiB < 1 || f.filesMiB > 1<<33 {
		return usagef("--files-limit %d: give MiB, at least 1", f.filesMiB)
	}
	if f.logMiB < 0 || f.moduleMiB < 0 {
		return usagef("--keep-logs %d and --keep-modules %d: give MiB, 0 to keep none", f.logMiB, f.moduleMiB)
	}
	return nil
}

// required says which flags are missing.
func (f *workerFlags) required() error {
	var missing []string
	if f.dataDir == "" {
		missing = append(missing, "--data-dir DIR, for what this worker keeps")
	}
	if len(client.SplitAddrs(f.join)) == 0 {
		missing = append(missing, "--join A,B,C, the servers")
	}
	if f.slots == unset {
		missing = append(missing, "--slots N, how many ranks this host takes")
	}
	switch {
	case len(missing) > 0:
		return usagef("missing: %s", strings.Join(missing, "; "))
	case client.CheckAddrs(f.join) != nil:
		return usagef("--join: %w", client.CheckAddrs(f.join))
	case f.slots < 1 || f.slots > worker.MaxSlots:
		return usagef("--slots %d: give 1 to %d", f.slots, worker.MaxSlots)
	}
	return nil
}

func (f *workerFlags) config(ctx context.Context) (worker.Config, string, error) {
	cfg := worker.DefaultConfig()
	if err := f.required(); err != nil {
		return cfg, "", err
	}
	if err := checkDataOf(f.dataDir, "server", ofServers); err != nil {
		return cfg, "", err
	}
	if f.name == "" {
		name, err := worker.NameIn(f.dataDir)
		if err != nil {
			return cfg, "", fmt.Errorf("no --name given, and that of before cannot be read: %w", err)
		}
		f.name = name
	}
	if f.name == "" {
		h, err := os.Hostname()
		if err != nil {
			return cfg, "", fmt.Errorf("no --name given, and the machine has none: %w", err)
		}
		f.name, cfg.NameMayChange = strings.ToLower(h), true
	}
	if err := f.checkBounds(); err != nil {
		return cfg, "", err
	}
	if f.listen == "" {
		addr, err := routeTo(ctx, client.SplitAddrs(f.join), standardDataPort)
		if err != nil {
			return cfg, "", err
		}
		f.listen = addr
	}
	host, port, err := checkListen(ctx, "listen", f.listen, standardDataPort)
	if err != nil {
		return cfg, "", err
	}
	if err := checkReach(host, "join", client.SplitAddrs(f.join), isOwnIP); err != nil {
		return cfg, "", err
	}
	bind, err := gossipBind(ctx, f.gossip, f.dataDir, host, port)
	if err != nil {
		return cfg, "", err
	}
	self, err := os.Executable()
	if err != nil {
		return cfg, "", fmt.Errorf("find the godwit binary: %w", err)
	}
	cfg.Name, cfg.DataDir, cfg.Listen, cfg.Slots = f.name, f.dataDir, net.JoinHostPort(host, strconv.Itoa(port)), f.slots
	cfg.Executor, cfg.Maker = []string{self, "exec"}, []string{self, "compile-module"}
	if err := f.offers(&cfg); err != nil {
		return cfg, "", err
	}
	if err := cfg.Validate(); err != nil {
		return cfg, "", usageError{err}
	}
	return cfg, bind, nil
}

// offers puts what apps may have of the host into its configuration.
func (f *workerFlags) offers(cfg *worker.Config) (err error) {
	cfg.MemoryLimitPages = uint32(f.memoryMiB * 16)
	cfg.Ahead = f.warm
	cfg.TotalMemory = int64(f.totalMiB) << 20
	cfg.OwnUserOnly, cfg.Speed = f.ownUser, f.speed
	cfg.Engine = f.engine
	cfg.ExecutorsEnd, cfg.StreamsOnly, cfg.ExactNaNs = f.onStop == onStopLeave, f.direct == "off", f.exactNaNs
	cfg.LogLimit = int64(f.unreadMiB) << 20
	cfg.FilesLimit = int64(f.filesMiB) << 20
	cfg.ScrubPeriod = f.scrub
	cfg.LogBytes, cfg.ModuleBytes = int64(f.logMiB)<<20, int64(f.moduleMiB)<<20
	if f.memory != "" {
		if cfg.Memory, err = parseMemory("--memory", f.memory, apiv1.MaxHostMemory); err != nil {
			return err
		}
	}
	if cfg.Labels, err = parseLabels(f.labels); err != nil {
		return err
	}
	cfg.Volumes, err = parseVolumes(f.volumes)
	return err
}

// parseVolumes reads NAME=DIR[:ro].
func parseVolumes(texts []string) (map[string]worker.Volume, error) {
	out := map[string]worker.Volume{}
	for _, t := range texts {
		key, dir, ok := strings.Cut(t, "=")
		if !ok || dir == "" {
			return nil, usagef("--volume %s: use NAME=DIR, or NAME=DIR:ro", t)
		}
		if !name.Valid(key) {
			return nil, usagef("--volume %s: %q is no name: %s", t, key, name.Rule)
		}
		if _, twice := out[key]; twice {
			return nil, usagef("--volume %s: there is a volume of that name already", t)
		}
		dir, readOnly := strings.CutSuffix(dir, ":ro")
		dir, err := filepath.Abs(dir)
		if err != nil {
			return nil, err
		}
		if st, err := os.Stat(dir); err != nil || !st.IsDir() {
			return nil, usagef("--volume %s: %s is no directory", t, dir)
		}
		out[key] = worker.Volume{Dir: dir, ReadOnly: readOnly}
	}
	return out, nil
}

// tellJail says what confines clang on this machine, where it is to run.
func tellJail(log *slog.Logger, engine string) {
	if engine == wasm.EngineWazero {
		return
	}
	if _, err := (native.Compiler{}).Recipe(context.Background()); err != nil {
		log.Info("no modules are compiled on this host: ranks run natively in what others have compiled", "why", err)
		return
	}
	if lacking := native.Lacking(); lacking != "" {
		log.Warn("clang's jail is not whole on this machine: it compiles modules without what is lacking", "lacking", lacking)
		return
	}
	log.Info("clang compiles modules in a jail: no network, no new privileges, no files but its own")
}

func runWorker(ctx context.Context, f *workerFlags) error {
	outlivePipes()
	log, err := newLogger(f.level)
	if err != nil {
		return err
	}
	cfg, bind, err := f.config(ctx)
	if err != nil {
		return err
	}
	log, cfg.Renamed = nameLogger(log, cfg.Name)
	slog.SetDefault(log)
	tellJail(log, cfg.Engine)
	join := client.SplitAddrs(f.join)
	var servers func() []string
	m := &badge{dataDir: cfg.DataDir, log: log, servers: func() []string { return servers() }}
	if err := f.enroll(ctx, m, join, &cfg); err != nil {
		return err
	}
	toServers := listen.To(m.holder, trust.Server)
	s := newSeeds(join, toServers) // the session checks the cluster
	gc := gossip.DefaultConfig()
	if m.holder != nil {
		gc.Keys = m.kept.Gossip
	}
	gc.ID, gc.Bind, gc.Seeds = cfg.Name+"/"+uuid.NewString()[:8], bind, s.list
	gc.Meta = gossip.Meta{Role: gossip.RoleWorker}
	g, err := gossip.New(gc, log)
	if err != nil {
		return err
	}
	servers = func() []string { return serversSeen(g, join) }
	w, err := worker.New(cfg, servers, log)
	if err != nil {
		return err
	}
	rememberGossip(cfg.DataDir, bind)
	grp, ctx := errgroup.WithContext(ctx)
	d := &drainer{name: w.Name, servers: servers, dialer: toServers, log: log}
	if m.holder != nil {
		grp.Go(func() error { return m.renew(ctx) })
	}
	if f.onStop == onStopDrain {
		f.drains.Store(d)
	}
	earlier := "" // of an earlier start, whatever its --on-stop was
	if f.notice != "" {
		earlier = drainReason // what comes of notices is for who reads them
		look, err := noticeFrom(f.notice)
		if err != nil {
			return err
		}
		grp.Go(func() error { d.watchNotices(ctx, look); return nil })
	}
	grp.Go(func() error { d.takeBack(ctx, earlier); return nil })
	grp.Go(func() error { return ended("gossip", g.Run(ctx), ctx) })
	grp.Go(func() error { return s.run(ctx, g) })
	grp.Go(func() error { return ended("worker", w.Run(ctx), ctx) })
	grp.Go(func() error { return gossipAddr(ctx, g, w) })
	log.Info("worker started", "addr", w.Addr(), "slots", cfg.Slots, "data_dir", cfg.DataDir, "version", version)
	err = grp.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// enroll finds out what the worker is known by: it has been so before, or joins by a token. Without either its cluster is not secured.
func (f *workerFlags) enroll(ctx context.Context, m *badge, join []string, cfg *worker.Config) error {
	token, err := joinToken(f.joinToken)
	if err != nil {
		return err
	}
	m.token = token
	known, err := m.load()
	if err == nil && !known && m.token != "" {
		if err = durable.MkdirAll(cfg.DataDir, 0o700); err == nil {
			err = m.join(ctx, join, cfg.Name)
		}
	}
	if err != nil || m.holder == nil {
		return err
	}
	switch id := m.holder.Identity(); {
	case id.Role != trust.Worker:
		return fmt.Errorf("the data directory's certificate is of %s, which is no worker", id)
	case id.Name != cfg.Name && !cfg.NameMayChange:
		return usagef("--name %s: the data directory's certificate is of %s; a worker of another name has another --data-dir, and joins by a token", cfg.Name, id)
	default:
		cfg.Name = id.Name
	}
	cfg.Holder, cfg.NameMayChange = m.holder, false // the certificate has the name
	return nil
}

// serversSeen are the addresses of servers: those that gossip says are alive, then others that a worker was told of.
func serversSeen(g *gossip.Gossip, told []string) (addrs []string) {
	seen := map[string]bool{}
	for _, m := range aliveServers(g) {
		addrs, seen[m.Addr] = append(addrs, m.Addr), true
	}
	for _, a := range told {
		if !seen[a] {
			addrs = append(addrs, a)
		}
	}
	return addrs
}

// gossipAddr tells others the worker's address, as soon as gossip is there.
func gossipAddr(ctx context.Context, g *gossip.Gossip, w *worker.Worker) error {
	select {
	case <-g.Ready():
	case <-ctx.Done():
		return ctx.Err()
	}
	m := g.Meta()
	m.Addr = w.Addr()
	return g.SetMeta(m)
}

func newExec() *cobra.Command {
	c := &cobra.Command{
		Use: "exec", Short: "Run the ranks of one app (started by the worker)", Hidden: true, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			log, err := newLogger("warn")
			if err != nil {
				return err
			}
			go func() { // ends with the process
				if err := proc.BeNice(c.Context()); err != nil && c.Context().Err() == nil {
					log.Warn("ranks may keep the processes of other sessions from their processors: their session stays as it is", "error", err)
				}
			}()
			outlivePipes() // that of its log may end before it
			listener, err := pipe.InheritedListener(pipe.ListenFD)
			if err != nil {
				return err
			}
			e := executor.New(listener, log)
			e.KillIdle(executor.IdleLimit)
			done := make(chan error, 1)
			go func() { done <- e.Run(c.Context()) }() // the process ends below, whatever the guests do
			select {
			case err := <-done:
				if errors.Is(err, executor.ErrLeaseOver) {
					return &exitError{code: pipe.ExitLeaseOver} // it is in the log
				}
				return err
			case <-c.Context().Done():
				time.AfterFunc(time.Second, func() { os.Exit(exitInterrupted) })
				return c.Context().Err()
			}
		},
	}
	c.Flags().String("app", "", "the app's id, to be seen in ps")
	c.Flags().String("host", "", "the host's name, to be seen in ps")
	return c
}

// inspectModule describes a module for the servers.
func inspectModule(code []byte) (*apiv1.Module, error) {
	info, err := wasm.Inspect(code)
	if err != nil {
		return nil, err
	}
	return &apiv1.Module{Migratable: info.Migratable, Reason: info.Reason, Imports: info.Imports}, nil
}
