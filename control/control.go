// Package control is what the servers do with the replicated state: the API,
// the leader's duties (hosts and their leases, the queue, the migration checker,
// the migration driver, the dispatch of records to workers), and the store of
// modules. Loops fetch a view, ask a pure function, propose. See DESIGN.md.
package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/singleflight"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/gate"
	"github.com/godwit-run/godwit/internal/listen"
	"github.com/godwit-run/godwit/internal/transport"
	"github.com/godwit-run/godwit/internal/trust"
	"github.com/godwit-run/godwit/planner"
)

// Errors that Log returns; its implementation maps what it knows to them.
var (
	// ErrNotLeader is returned when this server does not lead; nothing happened.
	ErrNotLeader = errors.New("control: this server is not the leader")
	// ErrUnknownOutcome is returned when a proposal may or may not be committed; repeat it with its key.
	ErrUnknownOutcome = errors.New("control: it is not known whether the command was committed")
	// ErrTooLarge is returned when a command does not fit an entry of the log; nothing happened, and trying again is no use.
	ErrTooLarge = errors.New("control: the command is too large for the log")
	// ErrOverloaded is returned when too many proposals wait; nothing happened.
	ErrOverloaded = errors.New("control: too many proposals wait")
)

// Log is what control needs of the replicated log.
type Log interface {
	// Propose commits a command and returns its result. It blocks for a commit.
	Propose(ctx context.Context, c *apiv1.Command) (*apiv1.Result, error)
	// Barrier returns when the local state is at least as new as everything committed before the call.
	Barrier(ctx context.Context) (uint64, error)
	// Leader is the API address of the leader as far as known, and whether this server is it.
	Leader() (addr string, self bool)
	Term() uint64
}

// patientLog is a Log that requests wait for without their turn: see transport.Wait.
type patientLog struct{ Log }

// Propose implements Log.
func (l patientLog) Propose(ctx context.Context, c *apiv1.Command) (res *apiv1.Result, err error) {
	err = transport.Wait(ctx, func() (err error) { res, err = l.Log.Propose(ctx, c); return err })
	return res, err
}

// Barrier implements Log.
func (l patientLog) Barrier(ctx context.Context) (index uint64, err error) {
	err = transport.Wait(ctx, func() (err error) { index, err = l.Log.Barrier(ctx); return err })
	return index, err
}

// Config holds the control plane's times. All servers of a cluster should agree on them.
type Config struct {
	// Addr is this server's advertised API address.
	Addr string
	// DataDir holds the module store.
	DataDir string
	// Lease is how long a host without contact keeps its ranks; default 10 s.
	Lease time.Duration
	// Heartbeat is how often workers renew their lease; default 500 ms.
	Heartbeat time.Duration
	// AnnounceDeadline bounds the time until all hosts have acknowledged a migration; default 30 s.
	AnnounceDeadline time.Duration
	// FreezeDeadline bounds the time until the moved ranks stand still; default 10 s.
	FreezeDeadline time.Duration
	// TransferDeadline bounds the time from the announcement until all images are on their targets; default 2 min.
	TransferDeadline time.Duration
	// CheckpointAge is for how long checkpoints are kept of an app that is over and has not succeeded; default 7 days.
	CheckpointAge time.Duration
	// StartDeadline bounds how long a host may make no progress in the start of an app's executor; default 2 min. A start that works,
	// however slowly, tells so every few seconds; so this is many times what a busy machine or disk lets a start stand still for.
	StartDeadline time.Duration
	// HashPeriod is how often the replicas compare their states; default 5 s.
	HashPeriod time.Duration
	// Version is shown to peers.
	Version string
	// Security is what a server of a secured cluster has; zero: the cluster is not secured.
	Security Security
	// Inspect describes a module's bytes, or says why they are no module.
	Inspect func(code []byte) (*apiv1.Module, error)
}

// DefaultConfig is a Config with the defaults filled in.
func DefaultConfig() Config {
	return Config{
		Lease: 10 * time.Second, Heartbeat: 500 * time.Millisecond, AnnounceDeadline: 30 * time.Second,
		CheckpointAge: 7 * 24 * time.Hour, FreezeDeadline: 10 * time.Second, TransferDeadline: 2 * time.Minute, StartDeadline: 2 * time.Minute,
		HashPeriod: 5 * time.Second,
	}
}

// Validate says what is wrong with c.
func (c Config) Validate() error {
	switch {
	case c.Addr == "" || c.DataDir == "" || c.Inspect == nil:
		return errors.New("control: Addr, DataDir and Inspect must be set")
	case c.Heartbeat <= 0 || c.Lease < 4*c.Heartbeat:
		return fmt.Errorf("control: Lease %v is not at least four heartbeats of %v", c.Lease, c.Heartbeat)
	}
	return nil
}

// Control is one server's control plane.
type Control struct {
	cfg     Config
	log     Log
	group   Group
	peers   Peers
	state   *fsm.Machine
	modules *moduleStore
	holding *holding
	slog    *slog.Logger
	http    *http.Client                                    // to hosts
	servers *http.Client                                    // to other servers
	bulk    *http.Client                                    // to those, for what modules come by
	reach   func(ctx context.Context, h *apiv1.Host) string // why a worker is not reached where it says that it is; "": it is
	dials   dials
	signs   authority
	joining joining

	lines planner.Lines // of who is queued

	incoming            *gate.Gate    // modules on their way, from clients
	pushed, offered     *gate.Gate    // from other servers, and from who does not prove to be one
	outgoing, strangers *gate.Gate    // to those and to workers, and to who does not prove to be one
	uploads             chan struct{} // has as many as come from clients, until they are modules of the cluster
	inspecting          chan struct{}
	pulls               singleflight.Group
	pulling             pulling
	errands             *errands
	moving              func(context.Context) (_ context.Context, moved, end func()) // how long a module may take between servers

	mu      sync.Mutex          // guards what stands below
	leader  *leader             // nil while this server does not lead
	follows map[string]progress // by server: how far it was at the last looks, while this server leads
	usual   []uint64            // this server's index at the last looks, the oldest first, while it leads
	differs map[string]uint64   // servers whose state differs from this one's, with the entry at which it was seen
}

// New makes the control plane of one server.
func New(cfg Config, state *fsm.Machine, log Log, group Group, peers Peers, lg *slog.Logger) (*Control, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	m, err := newModuleStore(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	c := &Control{
		cfg: cfg, log: patientLog{log}, group: group, peers: peers, state: state, modules: m, holding: newHolding(m), slog: lg,
		http:    transport.NewHTTPClientBy(listen.To(cfg.Security.Holder, trust.Worker)),
		servers: transport.NewHTTPClientBy(listen.To(cfg.Security.Holder, trust.Server)), bulk: transport.NewBulkHTTPClientBy(listen.To(cfg.Security.Holder, trust.Server)),
		incoming: newIncoming(maxIncoming / 2), pushed: newIncoming(0), offered: newIncoming(maxIncoming / 2), outgoing: newOutgoing(maxOutgoing, maxFetchers), strangers: newOutgoing(maxStrangers, maxStrangersWaiting),
		uploads: make(chan struct{}, maxUploads), inspecting: make(chan struct{}, 1), dials: newDials(), moving: moving, errands: newErrands(),
	}
	c.reach = c.askAtAddress
	m.damaged = func(digest string) {
		c.slog.Error("this server's copy of a module was damaged: look at its disk; the module comes anew from another server", "digest", digest)
		c.holding.forget(digest)
	}
	return c, nil
}

// command makes a client's command of this moment; an empty key gets a random one. The leader's own commands carry its
// term as well: the state machine remembers the keys of clients only.
func (c *Control) command(key string) *apiv1.Command {
	if key == "" {
		key = uuid.NewString()
	}
	return &apiv1.Command{Key: key, At: timestamppb.Now()}
}

// current is the leader of this moment, or nil.
func (c *Control) current() *leader {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leader
}

func (c *Control) setLeader(l *leader) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leader = l
}
