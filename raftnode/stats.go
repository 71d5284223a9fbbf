package raftnode

import (
	"time"

	"github.com/hashicorp/raft"
)

// Stats is one server's health, read without blocking and without a common instant.
type Stats struct {
	ID, Addr, ClusterID  string
	State                string // Follower, Candidate, Leader, Shutdown; "" before Run.
	LeaderID, LeaderAddr string // "" while unknown.
	Term                 uint64
	LastIndex            uint64
	CommitIndex          uint64
	AppliedIndex         uint64
	// LastContact is when a follower last heard of its leader; zero if never, or if this server leads.
	LastContact time.Time
	// Queued proposals wait for a log entry. Entries and Commands count what this process put into the log.
	Queued            int
	Entries, Commands uint64
}

// Stats returns the health of this server.
func (n *Node) Stats() Stats {
	s := Stats{
		ID: n.ID(), Addr: n.cfg.Addr, ClusterID: n.ClusterID(),
		Queued: len(n.queue), Entries: n.entries.Load(), Commands: n.commands.Load(),
	}
	r := n.raft.Load()
	if r == nil {
		return s
	}
	addr, id := r.LeaderWithID()
	s.LeaderID, s.LeaderAddr = string(id), string(addr)
	s.State, s.Term = r.State().String(), r.CurrentTerm()
	s.LastIndex, s.CommitIndex, s.AppliedIndex = r.LastIndex(), r.CommitIndex(), r.AppliedIndex()
	if r.State() != raft.Leader {
		s.LastContact = r.LastContact()
	}
	return s
}

// Leader returns the advertised address and the id of the leader as far as this server knows, or "". A leader whose disk stalls
// does not name itself.
func (n *Node) Leader() (addr, id string) {
	r := n.raft.Load()
	if r == nil || n.stall.on() && r.State() == raft.Leader {
		return "", ""
	}
	a, i := r.LeaderWithID()
	return string(a), string(i)
}

// IsLeader reports whether this server believes to lead. The belief may be out of date, and the state machine may lack entries
// of earlier terms: Barrier tells. A leader whose disk stalls says no.
func (n *Node) IsLeader() bool {
	r := n.raft.Load()
	return r != nil && r.State() == raft.Leader && !n.stall.on()
}

// Term returns the current term, 0 before Run.
func (n *Node) Term() uint64 {
	r := n.raft.Load()
	if r == nil {
		return 0
	}
	return r.CurrentTerm()
}
