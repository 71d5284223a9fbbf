package raftnode

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/raft"
)

// idSpace makes cluster ids from server ids.
const idSpace = "a1d8f6a4-6f0c-5f0e-9c6b-3a6f1d0b7e55"

// ClusterIDOf returns the id of the cluster that the given servers bootstrap together: each of them finds the same one, and
// knows it before there is a log that could tell.
func ClusterIDOf(servers []Server) string {
	ids := make([]string, 0, len(servers))
	for _, s := range servers {
		ids = append(ids, s.ID)
	}
	slices.Sort(ids)
	return uuid.NewSHA1(uuid.MustParse(idSpace), []byte(strings.Join(ids, " "))).String()
}

// addresses tells Raft's transport where a server is to be dialed. What it gives holds the id too, "id@host:port", so that the
// connection's preface says whom it is meant for.
type addresses struct{ node *Node }

// ServerAddr implements raft.ServerAddressProvider. On an error Raft takes the address in its log.
func (a addresses) ServerAddr(id raft.ServerID) (raft.ServerAddress, error) {
	n := a.node
	if string(id) == n.ID() {
		return raft.ServerAddress(n.cfg.Addr), nil // also what is told to others.
	}
	addr := ""
	if n.cfg.Locate != nil {
		addr = n.cfg.Locate(string(id))
	}
	c := n.stream.contact(string(id))
	if addr == "" {
		s, ok := n.server(string(id))
		switch {
		case ok:
			addr = s.Addr
		case c.addr.Load() != nil:
			addr = *c.addr.Load() // it was removed, and has that told to it last of all.
		default:
			return "", fmt.Errorf("%w: %s", ErrNoServer, id)
		}
	}
	c.addr.Store(&addr)
	return raft.ServerAddress(string(id) + "@" + addr), nil
}

// splitTarget undoes what ServerAddr has joined; id is "" for an address alone.
func splitTarget(target string) (id, addr string) {
	if id, addr, ok := strings.Cut(target, "@"); ok {
		return id, addr
	}
	return "", target
}

// contact is when something was last read from a server, and where it was last dialed.
type contact struct {
	at   atomic.Int64 // nanoseconds since started; 0: never.
	addr atomic.Pointer[string]
}

// maxContacts bounds the servers whose contact is remembered.
const maxContacts = 64

// contact returns where the server's contact is kept. If there are too many, the one who was silent for longest is forgotten.
func (s *stream) contact(id string) *contact {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.contacts[id]
	if c == nil {
		if len(s.contacts) >= maxContacts {
			s.forgetOne()
		}
		c = &contact{}
		s.contacts[id] = c
	}
	return c
}

// forgetOne is called with mu held.
func (s *stream) forgetOne() {
	silent, since := "", int64(0)
	for id, c := range s.contacts {
		if at := c.at.Load(); silent == "" || at < since {
			silent, since = id, at
		}
	}
	delete(s.contacts, silent)
}

// heard returns how long ago something was read from the server.
func (s *stream) heard(id string) (ago time.Duration, ok bool) {
	s.mu.Lock()
	c := s.contacts[id]
	s.mu.Unlock()
	if c == nil || c.at.Load() == 0 {
		return 0, false
	}
	return time.Since(s.started) - time.Duration(c.at.Load()), true
}

// LastContact returns how long ago this server last read something from the member id over Raft's connections; ok is false if
// it never did. A leader hears from every member that is up several times a second.
func (n *Node) LastContact(id string) (ago time.Duration, ok bool) {
	if id == n.ID() {
		return 0, true
	}
	return n.stream.heard(id)
}

// liveWithin is how fresh contact must be for a member to count as reachable when the group is about to change.
func (n *Node) liveWithin() time.Duration {
	return 3 * time.Duration(n.cfg.Multiplier) * n.cfg.HeartbeatTimeout
}

// Live reports whether the member was heard from a moment ago.
func (n *Node) Live(id string) bool {
	ago, ok := n.LastContact(id)
	return ok && ago <= n.liveWithin()
}
