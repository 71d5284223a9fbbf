package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/control"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/gossip"
	"github.com/godwit-run/godwit/raftnode"
)

// machine adapts the state machine to the Raft node.
type machine struct{ *fsm.Machine }

// Snapshot implements raftnode.Machine.
func (m machine) Snapshot() (io.WriterTo, error) { return m.View(), nil }

// Apply implements raftnode.Machine.
func (m machine) Apply(index, term uint64, data []byte) ([]*apiv1.Result, error) {
	results, err := m.Machine.Apply(index, term, data)
	return results, orNewer(err)
}

// Restore implements raftnode.Machine.
func (m machine) Restore(r io.Reader) error { return orNewer(m.Machine.Restore(r)) }

// orNewer says in raftnode's words that this build is too old.
func orNewer(err error) error {
	if errors.Is(err, fsm.ErrVersion) {
		return fmt.Errorf("%w: %w", raftnode.ErrNewer, err)
	}
	return err
}

// raftLog adapts the Raft node to control.Log.
type raftLog struct{ node *raftnode.Node }

// Propose implements control.Log.
func (l raftLog) Propose(ctx context.Context, c *apiv1.Command) (*apiv1.Result, error) {
	res, err := l.node.Propose(ctx, c)
	return res, logError(err)
}

// Barrier implements control.Log.
func (l raftLog) Barrier(ctx context.Context) (uint64, error) {
	i, err := l.node.Barrier(ctx)
	return i, logError(err)
}

// Leader implements control.Log.
func (l raftLog) Leader() (string, bool) {
	addr, _ := l.node.Leader()
	return addr, l.node.IsLeader()
}

// Term implements control.Log.
func (l raftLog) Term() uint64 { return l.node.Term() }

func logError(err error) error {
	switch {
	case errors.Is(err, raftnode.ErrNotLeader):
		return worded{control.ErrNotLeader, err}
	case errors.Is(err, raftnode.ErrUnknownOutcome):
		return worded{control.ErrUnknownOutcome, err}
	case errors.Is(err, raftnode.ErrTooLarge):
		return worded{control.ErrTooLarge, err}
	case errors.Is(err, raftnode.ErrOverloaded):
		return worded{control.ErrOverloaded, err}
	default:
		return err
	}
}

// raftGroup adapts the Raft node to control.Group.
type raftGroup struct {
	node *raftnode.Node
	dir  *directory
}

// ID implements control.Group.
func (g raftGroup) ID() string { return g.node.ID() }

// ClusterID implements control.Group. A server that others bootstrapped with, and that leads before it learned more, makes the
// id from the group as it was made.
func (g raftGroup) ClusterID() string {
	if id := g.node.ClusterID(); id != "" {
		return id
	}
	if g.node.IsLeader() {
		return raftnode.ClusterIDOf(g.node.Servers())
	}
	return ""
}

// Servers implements control.Group.
func (g raftGroup) Servers() []control.ServerInfo {
	var out []control.ServerInfo
	for _, s := range g.node.Servers() {
		info := control.ServerInfo{ID: s.ID, Addr: s.Addr, LogAddr: s.Addr, Voter: s.Voter, Live: g.node.Live(s.ID), LastContact: -1}
		if addr := g.dir.Locate(s.ID); addr != "" {
			info.Addr = addr
		}
		if s.ID == g.node.ID() {
			info.Addr = g.node.Addr()
		}
		if ago, ok := g.node.LastContact(s.ID); ok {
			info.LastContact = ago
		}
		out = append(out, info)
	}
	return out
}

// AddNonvoter implements control.Group.
func (g raftGroup) AddNonvoter(ctx context.Context, id, addr string) error {
	return groupError(g.node.AddNonvoter(ctx, id, addr))
}

// Promote implements control.Group.
func (g raftGroup) Promote(ctx context.Context, id string) error {
	return groupError(g.node.Promote(ctx, id))
}

// RemoveServer implements control.Group.
func (g raftGroup) RemoveServer(ctx context.Context, id string) error {
	return groupError(g.node.RemoveServer(ctx, id))
}

// Former implements control.Group.
func (g raftGroup) Former(ctx context.Context) ([]control.ServerInfo, error) {
	former, err := g.node.Former(ctx)
	if err != nil {
		return nil, groupError(err)
	}
	var out []control.ServerInfo
	for _, s := range former {
		out = append(out, control.ServerInfo{ID: s.ID, Addr: s.Addr, LogAddr: s.Addr, Voter: s.Voter, LastContact: -1})
	}
	return out, nil
}

// TransferLeadership implements control.Group.
func (g raftGroup) TransferLeadership(ctx context.Context, id string) error {
	return groupError(g.node.TransferLeadership(ctx, id))
}

func groupError(err error) error {
	switch {
	case errors.Is(err, raftnode.ErrUnsafe):
		return worded{control.ErrUnsafe, err}
	case errors.Is(err, raftnode.ErrBehind):
		return worded{control.ErrBehind, err}
	case errors.Is(err, raftnode.ErrNoServer):
		return worded{control.ErrNoServer, err}
	}
	return logError(err)
}

// worded is an error of a kind that says what another one does.
type worded struct{ kind, err error }

func (w worded) Error() string { return w.err.Error() }

func (w worded) Unwrap() []error { return []error{w.kind, w.err} }

// peers adapts gossip and the directory to control.Peers.
type peers struct {
	gossip  *gossip.Gossip
	dir     *directory
	removed func() string
}

// Removed implements control.Peers.
func (p peers) Removed() string { return p.removed() }

// Servers implements control.Peers.
func (p peers) Servers() []control.Peer {
	var out []control.Peer
	for _, a := range p.dir.found() {
		out = append(out, control.Peer{
			ID: a.ServerId, Addr: a.Addr, New: !a.Bootstrapped, Starts: starts(a.DiscoverResponse), ClusterID: a.ClusterId, Index: a.AppliedIndex, ModulesMissing: a.ModulesMissing,
			Knows: a.FeatureLevel, Seeks: a.SeeksCluster, SeeksAny: a.SeeksAny,
		})
	}
	return out
}

// Past implements control.Peers.
func (p peers) Past() []control.Peer {
	var out []control.Peer
	for _, o := range p.dir.pastServers() {
		out = append(out, control.Peer{ID: o.id, Addr: o.addr, ClusterID: o.cluster, Apart: o.apart})
	}
	return out
}

// GossipAddr implements control.Peers.
func (p peers) GossipAddr() string { return p.gossip.Addr() }

// Introduce implements control.Peers.
func (p peers) Introduce(nonce []byte, res *apiv1.DiscoverResponse) { p.dir.introduce(nonce, res) }

// Met implements control.Peers.
func (p peers) Met(req *apiv1.DiscoverRequest) { p.dir.Met(req) }

// Ask implements control.Peers.
func (p peers) Ask(ctx context.Context, id, addr string) (*apiv1.DiscoverResponse, error) {
	return p.dir.Ask(ctx, id, addr)
}
