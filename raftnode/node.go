package raftnode

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/godwit-run/godwit/internal/listen"
	"github.com/godwit-run/godwit/internal/notify"
)

const (
	// logCacheEntries is how many recent entries followers are served from memory.
	logCacheEntries = 512
	// maxAppendEntries bounds the entries of one append: 16 of them are at most 8 MiB, written in well under StoreHangTimeout.
	maxAppendEntries = 16
	// peerConns is how many idle connections are kept to a peer.
	peerConns = 3
	// transferTime bounds the leadership transfer when Run ends.
	transferTime = 2 * time.Second
)

// Node is one server of the Raft group. Its methods may be called from any goroutine; before Run has started Raft they
// answer as a server that knows no leader.
type Node struct {
	cfg    Config
	log    *slog.Logger
	dir    *dataDir
	store  *watchedStore
	logs   raft.LogStore
	stable raft.StableStore
	fsm    *guardFSM
	stream *stream

	raft  atomic.Pointer[raft.Raft] // nil before Run.
	ready chan struct{}             // closed when raft is set.
	done  chan struct{}             // closed when Run begins to stop.
	fatal chan error                // the first error that must end Run; room for one.

	queue       chan *proposal
	queueMu     sync.RWMutex // guards queueClosed.
	queueClosed bool
	entries     atomic.Uint64
	commands    atomic.Uint64

	trans     *transport    // set before raft is.
	transfers notify.Signal // a transfer has begun and has an answer: guardTransfers looks what became of it.

	stall    stall
	reads    barriers
	leading  atomic.Bool
	changing chan struct{} // holds one token while a membership change is under way.

	firstState sync.Mutex // held while Raft starts or bootstraps: both write its first state.
	waitsMu    sync.Mutex // guards waitsOver, and waits.Go against waits.Wait.
	waitsOver  bool
	waits      sync.WaitGroup
	ran        atomic.Bool
}

// Open locks and opens the data directory and returns a Node that is not running yet. It blocks a few seconds at most, when
// another process has the directory; its error is then ErrLocked. acceptor must hand out connections of Protocol; the Node
// closes it. If Run is not called, Close must be.
func Open(cfg Config, fsm raft.FSM, acceptor *listen.Acceptor, log *slog.Logger) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	dir, err := openDataDir(cfg.DataDir, log)
	if err != nil {
		return nil, err
	}
	n := &Node{
		cfg:       cfg,
		log:       log,
		dir:       dir,
		ready:     make(chan struct{}),
		done:      make(chan struct{}),
		fatal:     make(chan error, 1),
		queue:     make(chan *proposal, cfg.QueueLength),
		stall:     newStall(),
		reads:     barriers{kick: notify.NewSignal()},
		changing:  make(chan struct{}, 1),
		transfers: notify.NewSignal(),
	}
	n.store = newWatchedStore(dir, n.fail)
	n.store.raftRuns = true
	cache, err := raft.NewLogCache(logCacheEntries, n.store)
	if err != nil {
		panic(err) // only for a capacity of 0.
	}
	n.logs, n.stable = cache, n.store
	n.fsm = &guardFSM{FSM: fsm, where: cfg.DataDir, onFatal: n.failFSM}
	n.stream = newStream(acceptor, cfg.Addr, log)
	n.stream.self = n.ID
	n.stream.cluster = n.ClusterID
	n.stream.peer = n.idAt
	n.stream.members = n.Servers
	n.stream.vouched = func(id string) bool { return cfg.Vouch != nil && cfg.Vouch(id) }
	return n, nil
}

// Close frees the data directory of a Node that was never run.
func (n *Node) Close() error {
	if !n.ran.CompareAndSwap(false, true) {
		panic("raftnode: Close after Run")
	}
	close(n.done)
	return errors.Join(n.stream.Close(), n.dir.close())
}

// ID returns this server's id, minted together with its raft.db.
func (n *Node) ID() string { return string(n.dir.serverID()) }

// Addr returns the advertised address.
func (n *Node) Addr() string { return n.cfg.Addr }

// ClusterID returns the cluster this server belongs to, "" while it is unknown.
func (n *Node) ClusterID() string { return n.dir.clusterID() }

// SetClusterID stores the cluster id on disk; from then on peers of another cluster, or of none, are refused. The same id again changes
// nothing; another one returns ErrForeignCluster.
func (n *Node) SetClusterID(id string) error {
	if id == "" || id == unknown {
		return fmt.Errorf("bad cluster id %q", id)
	}
	return n.dir.setClusterID(id)
}

// Ready is closed once Raft runs.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// fail makes Run return err; only the first counts. It never blocks.
func (n *Node) fail(err error) {
	select {
	case n.fatal <- err:
	default:
	}
}

func (n *Node) failFSM(err error) {
	n.log.Error("the state machine failed: this server stops", "error", err)
	n.fail(err)
	if n.cfg.OnFatal != nil {
		n.cfg.OnFatal(err)
	}
}

// idAt returns the id of the member at addr, or "".
func (n *Node) idAt(addr string) string {
	for _, s := range n.Servers() {
		if s.Addr == addr {
			return s.ID
		}
	}
	return ""
}

func (n *Node) raftConfig() *raft.Config {
	c := n.cfg.raft(n.dir.serverID())
	c.Logger = newHCLog(n.log)
	return c
}
