package gossip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/hashicorp/memberlist"
)

// udpBytes is the size of a gossip packet: it passes tunnels and WANs without fragments.
const udpBytes = 1200

// ErrNotRunning is returned when Run has not started, or has ended.
var ErrNotRunning = errors.New("gossip is not running")

// Gossip is this process's part in gossip. Its methods may be called from any goroutine.
type Gossip struct {
	cfg    Config
	log    *slog.Logger
	roster *roster
	ready  chan struct{} // closed when list is set.
	done   chan struct{} // closed when Run begins to stop.
	list   *memberlist.Memberlist
	addr   string // as bound; set with list.
}

// New checks cfg; it does no I/O.
func New(cfg Config, log *slog.Logger) (*Gossip, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.Meta.Leaving = false
	g := &Gossip{cfg: cfg, log: log, roster: newRoster(cfg.ID, log), ready: make(chan struct{}), done: make(chan struct{})}
	return g, g.roster.setMeta(cfg.Meta)
}

// Run binds the address and takes part until ctx is over; then it says goodbye, for LeaveTimeout at most, stops all it started
// and returns nil. An error means that the address could not be bound. It may run once.
func (g *Gossip) Run(ctx context.Context) error {
	if err := g.start(); err != nil {
		close(g.done)
		return err
	}
	again := time.NewTicker(g.cfg.RejoinInterval)
	defer again.Stop()
	for {
		g.rejoin(ctx)
		select {
		case <-again.C:
		case <-ctx.Done():
			close(g.done)
			return g.leave()
		}
	}
}

// start binds the address and sets list.
func (g *Gossip) start() error {
	host, portText, err := net.SplitHostPort(g.cfg.Bind)
	if err != nil {
		return fmt.Errorf("gossip: bind address: %w", err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return fmt.Errorf("gossip: bind address: %w", err)
	}
	c := memberlist.DefaultLANConfig()
	if len(g.cfg.Keys) > 0 {
		if c.Keyring, err = memberlist.NewKeyring(g.cfg.Keys, g.cfg.Keys[0]); err != nil {
			return fmt.Errorf("gossip: keys: %w", err)
		}
	}
	door, err := newDoor(host, int(port), g.cfg.JoinTimeout, g.log, g.done, c.Keyring != nil)
	if err != nil {
		return err
	}
	c.Name = g.cfg.ID
	c.Transport, c.EnableCompression = door, false
	c.BindAddr, c.BindPort = host, door.GetAutoBindPort()
	c.AdvertiseAddr, c.AdvertisePort = host, c.BindPort
	c.UDPBufferSize = udpBytes
	c.TCPTimeout = g.cfg.JoinTimeout
	c.ProbeInterval, c.ProbeTimeout = g.cfg.ProbeInterval, g.cfg.ProbeTimeout
	c.GossipInterval = g.cfg.GossipInterval
	c.SuspicionMult = g.cfg.SuspicionMult
	c.DeadNodeReclaimTime = g.cfg.ReclaimAfter
	c.Delegate, c.Events, c.Alive, c.Merge, c.Conflict = g.roster, g.roster, g.roster, g.roster, g.roster
	c.Logger = newLogger(g.log, g.done)
	if g.list, err = memberlist.Create(c); err != nil {
		return errors.Join(fmt.Errorf("gossip on %s: %w", g.cfg.Bind, err), door.Shutdown())
	}
	g.addr = net.JoinHostPort(host, strconv.Itoa(c.BindPort))
	close(g.ready)
	return nil
}

// leave says goodbye: first by meta, which tells the others that this is no death, then by memberlist's own message.
func (g *Gossip) leave() error {
	m := g.roster.meta()
	m.Leaving = true
	if err := g.roster.setMeta(m); err != nil {
		panic(err) // encode kept room for it.
	}
	err := g.list.UpdateNode(g.cfg.LeaveTimeout / 2)
	if err == nil {
		err = g.list.Leave(g.cfg.LeaveTimeout / 2)
	}
	if err != nil {
		g.log.Warn("left gossip without a goodbye", "error", err)
	}
	if err := g.list.Shutdown(); err != nil {
		return fmt.Errorf("stop gossip: %w", err)
	}
	return nil
}

func (g *Gossip) rejoin(ctx context.Context) {
	if g.cfg.Seeds == nil {
		return
	}
	if _, err := g.Join(ctx, g.cfg.Seeds()); err != nil && ctx.Err() == nil {
		g.log.Warn("no gossip seed answered", "error", err)
	}
}

// Join exchanges members with each seed ("host:port") and returns how many answered; it waits for Run to have bound the
// address. Blocking is bounded by ctx, and JoinTimeout for each seed under way. The error is nil if any seed answered or none
// was to be asked: this process's own address is left out.
func (g *Gossip) Join(ctx context.Context, seeds []string) (int, error) {
	select {
	case <-g.ready:
	case <-g.done:
		return 0, ErrNotRunning
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	answered := 0
	var errs []error
	for _, seed := range seeds {
		for _, addr := range g.resolve(ctx, seed, &errs) {
			if err := ctx.Err(); err != nil {
				return answered, err
			}
			if addr == g.Addr() {
				continue
			}
			n, err := g.list.Join([]string{addr})
			answered += n
			if err != nil {
				errs = append(errs, fmt.Errorf("join %s: %w", seed, err))
			}
		}
	}
	if answered > 0 {
		return answered, nil
	}
	return 0, errors.Join(errs...)
}

// resolve turns a seed into addresses with IPs: memberlist's own way over DNS has no bound that fits here.
func (g *Gossip) resolve(ctx context.Context, seed string, errs *[]error) []string {
	host, port, err := net.SplitHostPort(seed)
	if err != nil {
		*errs = append(*errs, fmt.Errorf("seed %q: %w", seed, err))
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, g.cfg.JoinTimeout)
	defer cancel()
	hosts, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		*errs = append(*errs, fmt.Errorf("seed %q: %w", seed, err))
	}
	out := make([]string, 0, len(hosts))
	for _, h := range hosts {
		out = append(out, net.JoinHostPort(h, port))
	}
	return out
}

// Ready is closed once the address is bound.
func (g *Gossip) Ready() <-chan struct{} { return g.ready }

// Addr returns the bound gossip address; before Ready, the configured one.
func (g *Gossip) Addr() string {
	select {
	case <-g.ready:
		return g.addr
	default:
		return g.cfg.Bind
	}
}

// Members returns all members known, this process included, by ID; those of another cluster are left out. Dead and left ones
// stay in it until about a thousand others have gone after them.
func (g *Gossip) Members() []Member { return g.roster.list() }

// Strangers returns the members of another cluster that were kept out within the last half minute, at most 256, by ID.
func (g *Gossip) Strangers() []Member { return g.roster.kept() }

// Changed returns a channel that is closed at the next change of Members. Take it before reading Members, and anew after it
// was closed: then no change is missed.
func (g *Gossip) Changed() <-chan struct{} { return g.roster.watch() }

// Meta returns what this process tells the others.
func (g *Gossip) Meta() Meta { return g.roster.meta() }

// SetMeta changes what the others learn about this process, and waits for LeaveTimeout at most until the news are on their
// way; later exchanges carry them in any case. It returns ErrMetaTooLarge, and changes nothing, for a meta that does not fit.
func (g *Gossip) SetMeta(m Meta) error {
	m.Leaving = false
	if err := g.roster.setMeta(m); err != nil {
		return err
	}
	select {
	case <-g.done:
		return nil
	default:
	}
	select {
	case <-g.ready:
		if err := g.list.UpdateNode(g.cfg.LeaveTimeout); err != nil {
			g.log.Debug("news about this process are late", "error", err)
		}
	default: // Run will say it from the start.
	}
	return nil
}
