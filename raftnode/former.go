package raftnode

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/raft"
)

// Former returns the servers that were members, by what is left of the log and by the snapshots, and are none by a committed entry; who
// was a member last comes last. A server that was removed long ago may be missing. It reads the log from end to end; blocking
// and errors are those of AddNonvoter.
func (n *Node) Former(ctx context.Context) ([]Server, error) {
	var former []Server
	err := n.change(ctx, "look for former servers", func(r *raft.Raft) error { // with the turn: no change is under way.
		now := n.Servers()
		groups, err := n.groups(ctx)
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
func (n *Node) groups(ctx context.Context) ([][]Server, error) {
	snaps, err := n.dir.snaps.List()
	if err != nil {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	var groups [][]Server
	for _, s := range slices.Backward(snaps) { // newest first
		groups = append(groups, members(s.Configuration))
	}
	first, err := n.logs.FirstIndex()
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	last, err := n.logs.LastIndex()
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	for i := first; i > 0 && i <= last; i++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var entry raft.Log
		switch err := n.logs.GetLog(i, &entry); {
		case errors.Is(err, raft.ErrLogNotFound): // a snapshot has taken its place meanwhile.
		case err != nil:
			return nil, fmt.Errorf("read entry %d: %w", i, err)
		case entry.Type == raft.LogConfiguration:
			groups = append(groups, members(raft.DecodeConfiguration(entry.Data)))
		}
	}
	return groups, nil
}
