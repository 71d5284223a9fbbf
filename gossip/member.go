package gossip

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hashicorp/memberlist"
)

// Role says which process a member is.
type Role string

// The roles of members.
const (
	RoleServer Role = "server"
	RoleWorker Role = "worker"
)

// State is gossip's view of a member.
type State string

// The states of members. memberlist does not show who is suspect: a suspect member counts as alive until it is refuted or dead.
const (
	StateAlive State = "alive"
	StateDead  State = "dead" // did not answer any more.
	StateLeft  State = "left" // said goodbye.
)

// Member is one process as gossip sees it.
type Member struct {
	ID string
	Meta
	// GossipAddr is where the process gossips; joining it joins the cluster.
	GossipAddr string
	State      State
}

// Meta is what a process tells the others about itself. It travels in every push-pull: at most 512 bytes as JSON.
type Meta struct {
	Role Role `json:"r,omitempty"`
	// Addr is the process's API or data address, host:port.
	Addr string `json:"a,omitempty"`
	// ClusterID is empty while the process does not know its cluster.
	ClusterID string `json:"c,omitempty"`
	// Names says that the process has no cluster yet, and seeks none but the one that servers lead to which it was told of.
	Names bool `json:"n,omitempty"`
	// Seeks is that cluster; empty while it is not known.
	Seeks string `json:"s,omitempty"`
	// Leaving tells a goodbye from a death: memberlist shows both in the same way.
	Leaving bool `json:"l,omitempty"`
}

// ErrMetaTooLarge is returned when a Meta takes more bytes than a gossip packet has for it.
var ErrMetaTooLarge = errors.New("gossip meta too large")

func (m Meta) encode() ([]byte, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode gossip meta: %w", err)
	}
	room := memberlist.MetaMaxSize
	if !m.Leaving {
		room -= len(`,"l":true`) // kept for the goodbye.
	}
	if len(b) > room {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrMetaTooLarge, len(b), room)
	}
	return b, nil
}

// decodeMeta takes what a stranger sent; a member that speaks otherwise is shown without meta.
func decodeMeta(b []byte) Meta {
	var m Meta
	if err := json.Unmarshal(b, &m); err != nil {
		return Meta{}
	}
	return m
}

// foreign reports whether two processes are known to be of different clusters, or one of a cluster that the other does not seek. Two
// that have none may come to be of one.
func foreign(a, b Meta) bool {
	switch {
	case a.ClusterID != "" && b.ClusterID != "":
		return a.ClusterID != b.ClusterID
	case a.ClusterID != "":
		return b.Names && b.Seeks != a.ClusterID
	case b.ClusterID != "":
		return a.Names && a.Seeks != b.ClusterID
	default:
		return false
	}
}
