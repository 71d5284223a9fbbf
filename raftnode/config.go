package raftnode

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

const (
	// MaxEntryBytes bounds a log entry as encoded, without the envelope that Encode adds.
	MaxEntryBytes = 512 << 10
	// MaxEntryCommands bounds the commands of one log entry.
	MaxEntryCommands = 1024
)

// Config says how one server runs. DefaultConfig fills all but DataDir and Addr.
type Config struct {
	// DataDir holds everything this server keeps. It is made, mode 0700, if missing.
	DataDir string
	// Addr is the advertised host:port at which the other servers reach this one's listener.
	Addr string

	// HeartbeatTimeout is how long a follower waits for its leader before it asks for an election. Default 1 s.
	HeartbeatTimeout time.Duration
	// ElectionTimeout is how long a candidate waits before it tries again. Default 1 s.
	ElectionTimeout time.Duration
	// LeaderLease is how long a leader without contact to a majority stays leader: as long as the others wait before they look for another,
	// for a shorter one only costs the cluster a leader whom nobody misses. Nothing that is promised rests on it. Default 1 s.
	LeaderLease time.Duration
	// Multiplier stretches the three timeouts above, for slow or crowded machines. The same on all servers. Default 1.
	Multiplier int
	// CommitTimeout is how long the leader waits before it tells idle followers the commit index. Default 50 ms.
	CommitTimeout time.Duration
	// RPCTimeout bounds dialing a peer and one exchange with it. Default 10 s.
	RPCTimeout time.Duration

	// SnapshotThreshold is how many new entries make a snapshot worth it. Default 4096.
	SnapshotThreshold uint64
	// SnapshotInterval is how often that is checked, at least. Default 30 s.
	SnapshotInterval time.Duration
	// TrailingLogs is how many entries a snapshot leaves in the log for slow followers. Default 4096.
	TrailingLogs uint64

	// QueueLength bounds the proposals that wait for a log entry. Default 8192.
	QueueLength int
	// EnqueueTimeout bounds how long Raft may take to accept an entry. Default 5 s.
	EnqueueTimeout time.Duration
	// StoreHangTimeout is how long a write to the log store may take, at the most, before a leader makes room for another; twice and four
	// times as long when it happens again within a minute. Default 2 s.
	StoreHangTimeout time.Duration
	// ShutdownTimeout bounds the ordered close at the end of Run, a leadership transfer included. Default 10 s.
	ShutdownTimeout time.Duration

	// Encode makes a log entry's bytes. Required to propose; it must be safe for concurrent use.
	Encode func(*apiv1.Entry) ([]byte, error)
	// Locate, if set, gives the address at which the server id was last found by asking it, or "". It counts before the address
	// in the log, so that servers find each other at new places before any of them can write that down. It must not block.
	Locate func(id string) string
	// Vouch, if set, reports whether other members of the cluster said that the server id is one too: this server's log may
	// lag behind a change of the group. It must not block.
	Vouch func(id string) bool
	// OnFatal, if set, is called once when the state machine fails, and may end the process. Nothing is applied after it.
	OnFatal func(error)
}

// DefaultConfig returns the defaults named at each field.
func DefaultConfig() Config {
	return Config{
		HeartbeatTimeout:  time.Second,
		ElectionTimeout:   time.Second,
		LeaderLease:       time.Second,
		Multiplier:        1,
		CommitTimeout:     50 * time.Millisecond,
		RPCTimeout:        10 * time.Second,
		SnapshotThreshold: 4096,
		SnapshotInterval:  30 * time.Second,
		TrailingLogs:      4096,
		QueueLength:       8192,
		EnqueueTimeout:    5 * time.Second,
		StoreHangTimeout:  2 * time.Second,
		ShutdownTimeout:   10 * time.Second,
		Encode:            func(e *apiv1.Entry) ([]byte, error) { return proto.Marshal(e) },
	}
}

// Validate reports the first field that cannot work.
func (c Config) Validate() error {
	if c.DataDir == "" {
		return errors.New("raft: a data directory is required")
	}
	host, port, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return fmt.Errorf("raft: advertised address: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || port == "0" || port == "" || (ip != nil && ip.IsUnspecified()) {
		return fmt.Errorf("raft: other servers cannot reach %q; advertise one host and port", c.Addr)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"heartbeat timeout", c.HeartbeatTimeout},
		{"election timeout", c.ElectionTimeout},
		{"leader lease", c.LeaderLease},
		{"commit timeout", c.CommitTimeout},
		{"rpc timeout", c.RPCTimeout},
		{"snapshot interval", c.SnapshotInterval},
		{"enqueue timeout", c.EnqueueTimeout},
		{"store hang timeout", c.StoreHangTimeout},
		{"shutdown timeout", c.ShutdownTimeout},
	} {
		if d.value < time.Millisecond {
			return fmt.Errorf("raft: %s %v is too short", d.name, d.value)
		}
	}
	switch {
	case c.LeaderLease > c.HeartbeatTimeout, c.ElectionTimeout < c.HeartbeatTimeout:
		return errors.New("raft: need leader lease <= heartbeat timeout <= election timeout")
	case c.Multiplier < 1 || c.Multiplier > 100:
		return fmt.Errorf("raft: multiplier %d is not in 1..100", c.Multiplier)
	case c.QueueLength < 1:
		return errors.New("raft: queue length must be at least 1")
	case c.SnapshotThreshold == 0:
		return errors.New("raft: snapshot threshold must be at least 1")
	case c.Encode == nil:
		return errors.New("raft: Encode is required")
	}
	if err := raft.ValidateConfig(c.raft("any")); err != nil {
		return fmt.Errorf("raft: %w", err)
	}
	return nil
}

// raft is the library's configuration.
func (c Config) raft(id raft.ServerID) *raft.Config {
	stretch := time.Duration(c.Multiplier)
	out := raft.DefaultConfig()
	out.LocalID = id
	out.HeartbeatTimeout = stretch * c.HeartbeatTimeout
	out.ElectionTimeout = stretch * c.ElectionTimeout
	out.LeaderLeaseTimeout = stretch * c.LeaderLease
	out.CommitTimeout = c.CommitTimeout
	out.MaxAppendEntries = maxAppendEntries
	out.SnapshotThreshold = c.SnapshotThreshold
	out.SnapshotInterval = c.SnapshotInterval
	out.TrailingLogs = c.TrailingLogs
	out.NoLegacyTelemetry = true
	return out
}
