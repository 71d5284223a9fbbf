package gossip

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// keyBytes is how long a key is: of AES-256.
const keyBytes = 32

// Config says how one process takes part. DefaultConfig fills all but ID, Bind and Meta.
type Config struct {
	// ID is this process's name, unique in the cluster.
	ID string
	// Bind is the one address, "ip:port", that is bound (TCP and UDP) and advertised. Port 0 takes a free one.
	Bind string
	// Meta is what the others learn about this process. SetMeta changes it later.
	Meta Meta
	// Keys, if there are any, are what all is encrypted with, of 32 bytes each: with the first, and what comes with any of them. Who has none of them is
	// not heard, and learns nothing.
	Keys [][]byte

	// Seeds, if set, gives the gossip addresses to join, now and every RejoinInterval, so that the halves of a cluster find
	// each other again after a long partition. It must be quick and safe for concurrent use. Its own address may be among them.
	Seeds func() []string
	// RejoinInterval is the pause between two joins of Seeds. Default 15 s.
	RejoinInterval time.Duration

	// ProbeInterval is how often some member is probed. Default 1 s.
	ProbeInterval time.Duration
	// ProbeTimeout is how long a probe's answer may take. Default 500 ms.
	ProbeTimeout time.Duration
	// GossipInterval is how often news are sent on. Default 200 ms.
	GossipInterval time.Duration
	// SuspicionMult scales the time from suspect to dead: SuspicionMult * log10(members+1) * ProbeInterval, at least
	// SuspicionMult * ProbeInterval. Default 4.
	SuspicionMult int
	// ReclaimAfter is when a dead member's ID may come back with another address. Default 30 s.
	ReclaimAfter time.Duration
	// LeaveTimeout bounds telling the others goodbye when Run ends. Default 3 s.
	LeaveTimeout time.Duration
	// JoinTimeout bounds one TCP exchange with a seed. Default 3 s.
	JoinTimeout time.Duration
}

// DefaultConfig returns the defaults named at each field.
func DefaultConfig() Config {
	return Config{
		RejoinInterval: 15 * time.Second,
		ProbeInterval:  time.Second,
		ProbeTimeout:   500 * time.Millisecond,
		GossipInterval: 200 * time.Millisecond,
		SuspicionMult:  4,
		ReclaimAfter:   30 * time.Second,
		LeaveTimeout:   3 * time.Second,
		JoinTimeout:    3 * time.Second,
	}
}

// Validate reports the first field that cannot work.
func (c Config) Validate() error {
	if c.ID == "" {
		return errors.New("gossip: an id is required")
	}
	host, _, err := net.SplitHostPort(c.Bind)
	if err != nil {
		return fmt.Errorf("gossip: bind address: %w", err)
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		return fmt.Errorf("gossip: bind address %q must name one IP address of this machine", c.Bind)
	}
	for _, d := range []time.Duration{
		c.RejoinInterval, c.ProbeInterval, c.ProbeTimeout, c.GossipInterval, c.ReclaimAfter, c.LeaveTimeout, c.JoinTimeout,
	} {
		if d < time.Millisecond {
			return fmt.Errorf("gossip: an interval of %v is too short", d)
		}
	}
	if c.SuspicionMult < 1 {
		return errors.New("gossip: suspicion multiplier must be at least 1")
	}
	for _, k := range c.Keys {
		if len(k) != keyBytes {
			return fmt.Errorf("gossip: a key of %d bytes: it has to have %d", len(k), keyBytes)
		}
	}
	_, err = c.Meta.encode()
	return err
}
