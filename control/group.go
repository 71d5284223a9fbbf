package control

import (
	"context"
	"errors"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// Errors that Group returns, besides those of Log.
var (
	// ErrUnsafe is returned when a change would leave fewer reachable voters than a majority; nothing happened.
	ErrUnsafe = errors.New("control: the servers would lose their majority")
	// ErrBehind is returned when leadership cannot go to a server that has no vote, does not answer, or has not the whole log, or when there
	// is none; nothing happened.
	ErrBehind = errors.New("control: leadership stays where it is")
	// ErrNoServer is returned when a change names a server that is no member.
	ErrNoServer = errors.New("control: no such server")
)

// Roster says who is in the group of servers, and who was.
type Roster interface {
	// ID is this server's.
	ID() string
	// ClusterID is the cluster's id, which servers know before the log names it; "" while this server is in none.
	ClusterID() string
	Servers() []ServerInfo
	// Former are servers that were members, and surely are none; who was one long ago may be missing. Who was one last comes last.
	Former(ctx context.Context) ([]ServerInfo, error)
}

// Group is what control needs of the group of servers.
type Group interface {
	Roster
	// AddNonvoter adds a server without a vote, or gives a member another address.
	AddNonvoter(ctx context.Context, id, addr string) error
	Promote(ctx context.Context, id string) error
	RemoveServer(ctx context.Context, id string) error
	// TransferLeadership makes the server lead, or for "" the one that is furthest.
	TransferLeadership(ctx context.Context, id string) error
}

// ServerInfo is a member of the Raft group.
type ServerInfo struct {
	// Addr is where it was last found, LogAddr where the log says it is.
	ID, Addr, LogAddr string
	Voter             bool
	// Live says that the leader hears from it; LastContact how long ago it did, negative if it never did.
	Live        bool
	LastContact time.Duration
}

// Peers is what control needs of the servers that were found, by gossip or by name, and asked.
type Peers interface {
	// Servers are those of this cluster, or of none yet, that answer at their addresses under their ids.
	Servers() []Peer
	// Past are servers that answered of late as members of a cluster that this one was recovered from.
	Past() []Peer
	GossipAddr() string
	// Removed says why this server, which hears from no leader, is no member of its cluster; empty: it is, for all that is known.
	Removed() string
	// Introduce fills in what tells this process from others, and signs who it is with the caller's nonce.
	Introduce(nonce []byte, self *apiv1.DiscoverResponse)
	// Met is told that somebody asked, who may claim to be a server. It must not block.
	Met(req *apiv1.DiscoverRequest)
	// Ask asks at the address. It is an error if another server answers there, or nobody who proves to be the one with the id.
	Ask(ctx context.Context, id, addr string) (*apiv1.DiscoverResponse, error)
}

// Peer is a server that was asked.
type Peer struct {
	ID, Addr string
	// New says that it has no state of a cluster.
	New bool
	// Starts says that its log is not open yet: what it says of how far it is, and of modules, is not known to it.
	Starts bool
	// ClusterID is "" while it does not know its cluster.
	ClusterID string
	Index     uint64
	// ModulesMissing is how many modules that its state names it does not hold.
	ModulesMissing int64
	// Knows is the highest feature level of its build; 0: it names none.
	Knows uint32
	// Seeks is the cluster that a new server seeks; SeeksAny: it names no other server, and goes with whoever takes it.
	Seeks    string
	SeeksAny bool
	// Apart says of one of Past that its cluster was recovered from the same one as this server's, and is not that one.
	Apart bool
}
