package raftnode

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/hashicorp/raft"
)

// Former returns the servers that were members, by what is left of the log and by the snapshots, and are none by a committed entry; who
// was a member last comes last. A server that was removed long ago may be missing. It costs as much as the membership entries that
// the log has; blocking and errors are those of AddNonvoter.
func (n *Node) Former(ctx context.Context) ([]Server, error) {
	var former []Server
	err := n.change(ctx, "look for former servers", func(r *raft.Raft) error { // with the turn: no change is under way.
		now := n.Servers()
		groups, err := n.groups()
		if err != nil {
			return err
		}
		// What a leader before this one has appended may not be committed: with the barrier it is.
		if err := r.Barrier(n.cfg.EnqueueTimeout).Error(); err != nil {
			return err
		}
		former = without(groups, now)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return former, nil
}

// without returns the members of the groups that are not in now, each as it was last.
func without(groups [][]Server, now []Server) []Server {
	var former []Server
	for _, group := range groups {
		for _, s := range group {
			is := func(o Server) bool { return o.ID == s.ID }
			if !slices.ContainsFunc(now, is) {
				former = append(slices.DeleteFunc(former, is), s)
			}
		}
	}
	return former
}

// groups are the groups that the snapshots and the entries of the log name, oldest first.
func (n *Node) groups() ([][]Server, error) {
	logged := n.dir.groups.all() // before the snapshots: one may take entries' place now.
	snaps, err := n.dir.snaps.List()
	if err != nil {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	var groups [][]Server
	for _, s := range slices.Backward(snaps) { // newest first
		groups = append(groups, members(s.Configuration))
	}
	return append(groups, logged...), nil
}

// loggedGroups are the groups that the entries of the log name. They are read when the log is opened, and follow it: so nobody has to
// read the commands between them.
type loggedGroups struct {
	// mu guards what stands below.
	mu sync.Mutex
	at []loggedGroup // in the log's order
}

type loggedGroup struct {
	index   uint64
	servers []Server
}

// note is told each entry that the log has, in its order.
func (g *loggedGroups) note(entry *raft.Log) {
	if entry.Type != raft.LogConfiguration {
		return
	}
	servers := members(raft.DecodeConfiguration(entry.Data))
	g.mu.Lock()
	defer g.mu.Unlock()
	g.at = append(g.at, loggedGroup{entry.Index, servers})
}

// cut is told of entries that the log has no more.
func (g *loggedGroups) cut(first, last uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.at = slices.DeleteFunc(g.at, func(e loggedGroup) bool { return first <= e.index && e.index <= last })
}

// all returns the groups, oldest first.
func (g *loggedGroups) all() [][]Server {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out [][]Server
	for _, e := range g.at {
		out = append(out, e.servers)
	}
	return out
}
