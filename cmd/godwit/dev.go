package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/control"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/client"
	"github.com/godwit-run/godwit/internal/durable"
	"github.com/godwit-run/godwit/internal/proc"
)

// devFlags are the flags of godwit dev.
type devFlags struct {
	servers, workers, slots int
	dataDir, level          string
	lease, freezeDeadline   time.Duration
	multiplier              int      // of Raft's timeouts
	volumes                 []string // of each worker: what its --volume takes
	ownVolume               string   // one more, which goes with the cluster's directory; empty: none
	memory                  string   // what apps that declare memory may have of each worker's; empty: its part of this machine's
	speeds                  []string // of the workers, or of all of them; empty: 1
	port                    int      // of the first server; 0: the standard one, if it is free
	private                 bool     // nobody else is to find it: no standard port
	secure                  bool
}

const (
	devReadyWait = 60 * time.Second
)

const devLong = `Run a whole cluster on this machine: every server and worker is a process of its own, on loopback.

It prints one line, "ready GODWIT_ADDR=...", writes dev.json into the data directory, and stops everything when it
ends. A process that ends before is named on stderr with the end of its log, and started again. With -- COMMAND it
runs the command with GODWIT_ADDR set, and exits with the command's code.`

func newDev() *cobra.Command {
	f := &devFlags{}
	c := &cobra.Command{
		Use: "dev [-- COMMAND ARGS...]", Short: "Run a cluster on this machine", Long: devLong, Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 && c.ArgsLenAtDash() != 0 {
				return usagef("dev: unexpected %q; put a command to run behind --", args[0])
			}
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt)
			defer stop()
			return runDev(ctx, f, args)
		},
	}
	c.Flags().IntVar(&f.servers, "servers", 1, "number of servers")
	c.Flags().IntVar(&f.workers, "workers", 3, "number of workers, named w1, w2, ...")
	c.Flags().IntVar(&f.slots, "slots", 4, "slots of each worker")
	c.Flags().StringVar(&f.dataDir, "data-dir", "", "directory for all of them (default: a temporary one, removed at the end)")
	c.Flags().DurationVar(&f.lease, "lease", control.DefaultConfig().Lease, "how long a silent host keeps its ranks")
	c.Flags().IntVar(&f.multiplier, "raft-multiplier", 1, "stretches Raft's timeouts of about 1 s on slow machines")
	c.Flags().DurationVar(&f.freezeDeadline, "freeze-deadline", control.DefaultConfig().FreezeDeadline, "how long a rank may compute without an MPI call before its migration is aborted")
	c.Flags().StringArrayVar(&f.volumes, "volume", nil, "`NAME=DIR[:ro]`: a directory that all workers offer to apps that mount NAME; may be repeated")
	c.Flags().StringVar(&f.memory, "memory", "", "what apps that declare memory (--mem) may have of each worker's, such as 4G (default: its part of what this machine has for ranks)")
	c.Flags().StringSliceVar(&f.speeds, "speed", nil, "how fast the workers are beside each other, for trying it out: one number for each, as in 1,1,2, or one for all")
	c.Flags().IntVar(&f.port, "port", 0, "the first server's port (default: 7400, or any free one if that is taken)")
	c.Flags().StringVar(&f.level, "log-level", "info", "of the servers' and workers' logs, in the data directory")
	c.Flags().BoolVar(&f.secure, "secure", false, "make a secured cluster")
	_ = c.Flags().MarkHidden("secure") // until a secured cluster is whole
	return c
}

// devProcess is one process of a dev cluster, as dev.json lists it.
type devProcess struct {
	Role       string   `json:"role"`
	Name       string   `json:"name"`
	PID        int      `json:"pid"`
	Addr       string   `json:"addr"`
	GossipAddr string   `json:"gossip_addr"`
	DataDir    string   `json:"data_dir"`
	Log        string   `json:"log"`
	Args       []string `json:"args"`
}

// dev is a cluster on this machine.
type dev struct {
	flags    *devFlags
	starter  *proc.Starter
	procs    []*devProcess
	children []*devChild // one for each of procs, once started
	servers  string      // their API addresses, comma separated
	token    string      // of an admin; empty: the cluster is not secured
	tmp      *temporary  // what to remove at the end; nil: the user's stays
	over     context.CancelFunc

	mu sync.Mutex // guards what of procs changes at a restart, and dev.json
}

func runDev(ctx context.Context, f *devFlags, command []string) (err error) {
	if f.servers < 1 || f.servers > 9 || f.workers < 0 || f.workers > 100 || f.slots < 1 {
		return usagef("dev: give 1 to 9 --servers, 0 to 100 --workers, and at least 1 of --slots")
	}
	if err := cmp.Or(checkMultiplier(f.multiplier), checkTimes(f.lease, f.freezeDeadline)); err != nil {
		return err
	}
	if _, err := logLevel(f.level); err != nil {
		return err
	}
	if err := f.checkOffers(); err != nil {
		return err
	}
	if _, err := parseVolumes(f.volumes); err != nil {
		return err
	}
	outlivePipes()
	d, err := openDev(ctx, f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	if len(command) > 0 {
		return d.runCommand(ctx, command)
	}
	err = printf("ready GODWIT_ADDR=%s servers=%d workers=%d slots=%d data_dir=%s%s\n", d.servers, f.servers, f.workers, f.slots, f.dataDir, d.tokenShown())
	if err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// openDev starts a cluster and waits until it is ready. It outlives ctx: close ends it.
func openDev(ctx context.Context, f *devFlags) (*dev, error) {
	d := &dev{flags: f, starter: proc.NewStarter()}
	var err error
	if f.dataDir == "" {
		if d.tmp, err = tempDir(); err != nil {
			return nil, err
		}
		f.dataDir = d.tmp.dir
	} else if f.dataDir, err = filepath.Abs(f.dataDir); err != nil {
		return nil, err
	}
	sctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	d.over = stop
	go func() { _ = d.starter.Run(sctx) }() // ends with sctx, after everything was stopped
	err = d.start(sctx)
	if err == nil {
		d.servers, err = d.waitReady(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	for _, c := range d.children {
		go c.keep(sctx) // ends when the child is stopped, at the latest with sctx
	}
	return d, nil
}

// close stops everything and removes what was temporary.
func (d *dev) close() error {
	d.stop()
	d.over()
	if d.tmp == nil {
		return nil
	}
	return d.tmp.remove()
}

// loopback is the host of a dev cluster.
const loopback = "127.0.0.1"

// addrs chooses a process's two addresses. The first server takes the one that commands try first, if it is free.
func (d *dev) addrs(ctx context.Context) (addr, gossip string, err error) {
	port := standardAPIPort()
	if asked := d.flags.port; asked > 0 && len(d.procs) == 0 {
		if port = asked; !claimPort(ctx, loopback, port) {
			return "", "", usagef("dev: --port %d: it is taken; give another, or none for any free one", port)
		}
	} else if d.flags.private || len(d.procs) > 0 || !claimPort(ctx, loopback, port) {
		if port, err = freePort(ctx, loopback); err != nil {
			return "", "", err
		}
	}
	other, err := freePort(ctx, loopback)
	if err != nil {
		return "", "", err
	}
	return net.JoinHostPort(loopback, strconv.Itoa(port)), net.JoinHostPort(loopback, strconv.Itoa(other)), nil
}

// earlier are the processes of an earlier run on the data directory, by name: they keep their addresses.
func (d *dev) earlier() (map[string]*devProcess, error) {
	b, err := os.ReadFile(filepath.Join(d.flags.dataDir, "dev.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var procs []*devProcess
	if err := json.Unmarshal(b, &procs); err != nil {
		return nil, fmt.Errorf("dev: %s/dev.json: %w", d.flags.dataDir, err)
	}
	byName, servers := map[string]*devProcess{}, 0
	for _, p := range procs {
		byName[p.Name] = p
		if p.Role == "server" {
			servers++
		}
	}
	if servers != d.flags.servers {
		return nil, usagef("dev: %s holds a cluster of %d servers: give --servers %d, or another --data-dir", d.flags.dataDir, servers, servers)
	}
	return byName, nil
}

// add plans one process.
func (d *dev) add(ctx context.Context, role, name string, before *devProcess) (*devProcess, error) {
	p := &devProcess{Role: role, Name: name, DataDir: filepath.Join(d.flags.dataDir, name)}
	if before != nil {
		p.Addr, p.GossipAddr = before.Addr, before.GossipAddr
		if _, port, _ := net.SplitHostPort(p.Addr); d.flags.port > 0 && len(d.procs) == 0 && port != strconv.Itoa(d.flags.port) {
			return nil, usagef("dev: --port %d: %s holds a cluster whose first server has port %s; give that, or another --data-dir", d.flags.port, d.flags.dataDir, port)
		}
	} else {
		var err error
		if p.Addr, p.GossipAddr, err = d.addrs(ctx); err != nil {
			return nil, err
		}
	}
	d.procs = append(d.procs, p)
	return p, nil
}

// start starts all processes and writes dev.json.
func (d *dev) start(ctx context.Context) error {
	before, err := d.earlier()
	if err != nil {
		return err
	}
	var join []string
	for i := range d.flags.servers {
		name := "s" + strconv.Itoa(i+1)
		p, err := d.add(ctx, "server", name, before[name])
		if err != nil {
			return err
		}
		join = append(join, p.Addr)
	}
	servers := strings.Join(join, ",")
	volumes := d.flags.volumes
	if name := d.flags.ownVolume; name != "" {
		dir := filepath.Join(d.flags.dataDir, "volume")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		volumes = append(slices.Clone(volumes), name+"="+dir)
	}
	for i := range d.flags.workers {
		name := "w" + strconv.Itoa(i+1)
		if _, err := d.add(ctx, "worker", name, before[name]); err != nil {
			return err
		}
	}
	for i, p := range d.procs {
		p.Args = d.args(p, servers, volumes)
		c, err := d.launch(ctx, p)
		if err != nil {
			return err
		}
		d.children = append(d.children, c)
		if d.flags.secure && i == 0 {
			if err := d.awaitTokens(ctx); err != nil {
				return err
			}
		}
	}
	return d.writeFile()
}

// args are the arguments of a process of the cluster.
func (d *dev) args(p *devProcess, servers string, volumes []string) []string {
	out := []string{p.Role, "--data-dir", p.DataDir, "--listen", p.Addr, "--gossip-listen", p.GossipAddr, "--log-level", d.flags.level}
	if d.flags.private { // it offers this user's files
		out = append(out, "--own-user-only")
	}
	if p.Role == "worker" {
		out = append(out, "--name", p.Name, "--join", servers, "--slots", strconv.Itoa(d.flags.slots), "--on-stop", onStopLeave)
		out = append(out, d.flags.offers(p.Name)...)
		for _, v := range volumes {
			out = append(out, "--volume", v)
		}
		return append(out, d.joins(p)...)
	}
	out = append(out, "--lease", d.flags.lease.String(), "--freeze-deadline", d.flags.freezeDeadline.String(), "--raft-multiplier", strconv.Itoa(d.flags.multiplier))
	if d.flags.private { // it has nobody to wait for
		out = append(out, "--heartbeat-timeout", "50ms")
	}
	if d.flags.secure {
		return append(out, d.joins(p)...)
	}
	return append(out, "--bootstrap-expect", strconv.Itoa(d.flags.servers), "--retry-join", servers)
}

// writeFile writes dev.json.
func (d *dev) writeFile() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	b, err := json.MarshalIndent(d.procs, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(d.flags.dataDir, "dev.json")
	return durable.WriteFile(path, append(b, '\n'), 0o600)
}

// waitReady waits until a leader answers and all workers are up. It does not wait for every server: those that follow are members from the
// bootstrap on, and may still be starting.
func (d *dev) waitReady(ctx context.Context) (string, error) {
	var addrs []string
	for _, p := range d.procs {
		if p.Role == "server" {
			addrs = append(addrs, p.Addr)
		}
	}
	all := strings.Join(addrs, ",")
	c, err := client.NewBy(client.Access{Addrs: all, Token: d.token}, time.Second)
	if err != nil {
		return "", err
	}
	deadline := time.Now().Add(devReadyWait)
	for {
		last := d.ready(ctx, c)
		if last == nil {
			return all, nil
		}
		for _, c := range d.children {
			if why := c.ended(); why != "" {
				return "", fmt.Errorf("dev: %s", why)
			}
		}
		if time.Now().After(deadline) {
			return "", fmt.Errorf("dev: not ready after %s: %w (logs: %s)", devReadyWait, last, filepath.Join(d.flags.dataDir, "*.log"))
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// ready is nil when a leader answers, for only it lists hosts, and as many workers as were started are up and reached: until then they take no ranks. For one that is
// unfit otherwise, as on a full disk, nothing waits here.
func (d *dev) ready(ctx context.Context, c *client.Client) error {
	return c.Do(ctx, func(ctx context.Context, control apiv1connect.ControlClient) error {
		hosts, err := control.ListHosts(ctx, &apiv1.ListHostsRequest{})
		if err != nil {
			return err
		}
		return enoughUp(hosts.Hosts, d.flags.workers)
	})
}

// enoughUp is nil if so many hosts are up, and are reached by the leader, as far as the log knows.
func enoughUp(hosts []*apiv1.Host, want int) error {
	up, why := 0, ""
	for _, h := range hosts {
		switch {
		case fsm.HostStateOf(h) != fsm.Ready:
		case h.Unreached != "":
			why = fmt.Sprintf("; %s: %s", h.Name, h.Unreached)
		default:
			up++
		}
	}
	if up < want {
		return fmt.Errorf("%d of %d workers are up%s", up, want, why)
	}
	return nil
}

// runCommand runs a command against the cluster, and passes its exit code on.
func (d *dev) runCommand(ctx context.Context, command []string) error {
	path, err := exec.LookPath(command[0])
	if err != nil {
		return &exitError{exitNotFound, fmt.Sprintf("dev: %s: %v", command[0], err)}
	}
	cmd := exec.CommandContext(ctx, path, command[1:]...) //nolint:gosec // the user's own command
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = devStopWait
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "GODWIT_ADDR="+d.servers, "GODWIT_DEV_DIR="+d.flags.dataDir, "GODWIT_TOKEN="+d.token)
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code := exit.ExitCode()
		if code < 0 {
			code = exitFailed
		}
		return &exitError{code: code}
	}
	return err
}

// stop ends all processes: workers first, that they can take leave. A cluster that nobody else knows of and whose data
// is of no use has no leave to take.
func (d *dev) stop() {
	if d.flags.private {
		for _, c := range d.children {
			c.stop(os.Kill)
		}
		return
	}
	for _, role := range []string{"worker", "server"} {
		var g errgroup.Group
		for _, c := range d.children {
			if c.p.Role == role {
				g.Go(func() error { c.stop(os.Interrupt); return nil })
			}
		}
		_ = g.Wait() // the functions return no errors
	}
}
