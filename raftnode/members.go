package raftnode

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"
)

// Server is a member of the Raft group.
type Server struct {
	ID   string
	Addr string
	// Voter is false for a server that only receives the log.
	Voter bool
}

// Servers returns the members by the newest configuration this server knows, committed or not: before Run that of the disk. It is nil on
// a server that no leader has contacted yet.
func (n *Node) Servers() []Server {
	if r := n.raft.Load(); r != nil {
		return members(r.GetConfiguration().Configuration())
	}
	groups, err := n.groups()
	if err != nil || len(groups) == 0 {
		return nil // Run finds what cannot be read
	}
	return slices.Clone(groups[len(groups)-1])
}

func members(c raft.Configuration) []Server {
	var out []Server
	for _, s := range c.Servers {
		out = append(out, Server{ID: string(s.ID), Addr: string(s.Address), Voter: s.Suffrage == raft.Voter})
	}
	return out
}

// Bootstrap makes the given servers the first configuration of a new cluster, whose id, that of ClusterIDOf, is on disk before
// it. Every server that bootstraps must be given the same ones. It returns ErrHasState, and changes nothing, if this server
// has any state, ErrForeignCluster if its directory is of another cluster, and ErrStore if the disk takes no more. It may be called before or during Run.
func (n *Node) Bootstrap(servers []Server) error {
	var c raft.Configuration
	for _, s := range servers {
		suffrage := raft.Voter
		if !s.Voter {
			suffrage = raft.Nonvoter
		}
		c.Servers = append(c.Servers, raft.Server{ID: raft.ServerID(s.ID), Address: raft.ServerAddress(s.Addr), Suffrage: suffrage})
	}
	n.firstState.Lock()
	defer n.firstState.Unlock()
	has, err := n.HasState()
	switch {
	case err != nil:
		return err
	case has:
		return ErrHasState
	}
	if err := n.SetClusterID(ClusterIDOf(servers)); err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	if r := n.raft.Load(); r != nil {
		err = r.BootstrapCluster(c).Error()
	} else {
		err = raft.BootstrapCluster(n.raftConfig(), n.logs, n.stable, n.dir.snaps, nil, c)
	}
	switch {
	case errors.Is(err, raft.ErrCantBootstrap):
		return ErrHasState
	case err != nil:
		return fmt.Errorf("bootstrap: %w", cmp.Or(n.store.failure(), err))
	}
	return nil
}

// HasState reports whether this server has ever been part of a cluster: it holds a term, a log or a snapshot.
func (n *Node) HasState() (bool, error) {
	has, err := raft.HasExistingState(n.logs, n.stable, n.dir.snaps)
	if err != nil {
		return false, fmt.Errorf("look for raft state: %w", err)
	}
	return has, nil
}

// AddNonvoter adds a server that receives the log and has no vote, or changes the address of a known one. The caller has made
// sure that the server is at addr. A member that is in the log with that address under another id, and does not answer, is
// removed first: it lost its data and came back as somebody new. It blocks until the change is committed or ctx is over; then
// the change may still happen. It returns ErrNotLeader on a follower, ErrTaken when
// that member answers, and ErrUnsafe when its removal would cost the majority.
func (n *Node) AddNonvoter(ctx context.Context, id, addr string) error {
	return n.change(ctx, "add server", func(r *raft.Raft) error {
		for _, s := range n.Servers() {
			if s.Addr != addr || s.ID == id {
				continue
			}
			if n.Live(s.ID) {
				return fmt.Errorf("%w: server %s is in the log with the address %s of server %s, and answers", ErrTaken, s.ID, addr, id)
			}
			if err := n.safeWithout(ctx, s.ID); err != nil {
				return err
			}
			n.log.Warn("a server came back under a new id: the old one is removed", "addr", addr, "old_server_id", s.ID, "server_id", id)
			if err := r.RemoveServer(raft.ServerID(s.ID), 0, n.cfg.EnqueueTimeout).Error(); err != nil {
				return err
			}
		}
		return r.AddNonvoter(raft.ServerID(id), raft.ServerAddress(addr), 0, n.cfg.EnqueueTimeout).Error()
	})
}

// Promote gives a nonvoter its vote; a voter keeps it. The caller has made sure that the server caught up. It returns
// ErrNoServer for an unknown id, and ErrUnsafe if the server, or too many of the voters, do not answer; else blocking and
// errors are those of AddNonvoter.
func (n *Node) Promote(ctx context.Context, id string) error {
	return n.change(ctx, "promote server", func(r *raft.Raft) error {
		s, ok := n.server(id)
		if !ok {
			return fmt.Errorf("%w: %s", ErrNoServer, id)
		}
		after := n.Servers()
		for i := range after {
			after[i].Voter = after[i].Voter || after[i].ID == id
		}
		if err := n.confirm(ctx, after, id); err != nil {
			return err
		}
		return r.AddVoter(raft.ServerID(id), raft.ServerAddress(s.Addr), 0, n.cfg.EnqueueTimeout).Error()
	})
}

// RemoveServer takes a server out of the group. A leader may remove itself: its Run then returns ErrRemoved. It returns
// ErrNoServer for an unknown id, and ErrUnsafe if too few of the other voters answer; else blocking and errors are those of
// AddNonvoter.
func (n *Node) RemoveServer(ctx context.Context, id string) error {
	return n.change(ctx, "remove server", func(r *raft.Raft) error {
		if _, ok := n.server(id); !ok {
			return fmt.Errorf("%w: %s", ErrNoServer, id)
		}
		if err := n.safeWithout(ctx, id); err != nil {
			return err
		}
		return r.RemoveServer(raft.ServerID(id), 0, n.cfg.EnqueueTimeout).Error()
	})
}

// safeWithout says why the group cannot do without the server, or nil.
func (n *Node) safeWithout(ctx context.Context, id string) error {
	return n.confirm(ctx, slices.DeleteFunc(n.Servers(), func(s Server) bool { return s.ID == id }), "")
}

// confirmTick is how often confirm looks.
const confirmTick = 10 * time.Millisecond

// confirm waits until a majority of the group's voters, and the server must unless it is "", were heard from after the call: what
// was heard before says nothing about who has died since. A leader hears from everybody several times in a heartbeat timeout. It
// returns ErrUnsafe if that does not come to pass for a while.
func (n *Node) confirm(ctx context.Context, group []Server, must string) error {
	limit := n.liveWithin()
	tick := time.NewTicker(confirmTick)
	defer tick.Stop()
	for start := time.Now(); ; {
		heard := func(id string) bool {
			ago, ok := n.LastContact(id)
			return id == n.ID() || ok && ago < time.Since(start)
		}
		err := safe(group, heard)
		if err == nil && must != "" && !heard(must) {
			err = fmt.Errorf("%w: server %s does not answer", ErrUnsafe, must)
		}
		if err == nil || time.Since(start) > limit {
			return err
		}
		select {
		case <-tick.C:
		case <-n.done:
			return ErrNotLeader
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// safe returns ErrUnsafe for a group of which fewer voters than a majority are live.
func safe(group []Server, live func(id string) bool) error {
	voters, up := 0, 0
	for _, s := range group {
		if s.Voter {
			voters++
			if live(s.ID) {
				up++
			}
		}
	}
	switch {
	case voters == 0:
		return fmt.Errorf("%w: no voter would be left", ErrUnsafe)
	case up <= voters/2:
		return fmt.Errorf("%w: of %d voters %d would answer, and %d are needed", ErrUnsafe, voters, up, voters/2+1)
	}
	return nil
}

func (n *Node) server(id string) (Server, bool) {
	for _, s := range n.Servers() {
		if s.ID == id {
			return s, true
		}
	}
	return Server{}, false
}

// change runs one membership change at a time. When ctx ends first the change goes on and keeps its turn until Raft answers.
func (n *Node) change(ctx context.Context, what string, f func(*raft.Raft) error) error {
	r := n.raft.Load()
	if r == nil || !n.IsLeader() {
		return ErrNotLeader
	}
	select {
	case n.changing <- struct{}{}:
	case <-n.done:
		return ErrNotLeader
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", what, ctx.Err())
	}
	err := n.awaitFunc(ctx, func() error {
		defer func() { <-n.changing }()
		return f(r)
	})
	return changeError(what, err)
}

// awaitFunc runs f, which ends at the latest when Raft shuts down. Run waits for it.
func (n *Node) awaitFunc(ctx context.Context, f func() error) error {
	select {
	case err := <-n.begin(f):
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin runs f, which ends at the latest when Raft shuts down, on a goroutine that Run waits for. Its error comes once.
func (n *Node) begin(f func() error) <-chan error {
	ended := make(chan error, 1)
	n.waitsMu.Lock()
	defer n.waitsMu.Unlock()
	if n.waitsOver {
		ended <- raft.ErrRaftShutdown
	} else {
		n.waits.Go(func() { ended <- f() })
	}
	return ended
}

func changeError(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipLost), errors.Is(err, raft.ErrRaftShutdown),
		errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return fmt.Errorf("%w: %s: %w", ErrNotLeader, what, err)
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
}
