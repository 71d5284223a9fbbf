package raftnode

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// stuckTick is how often the guard of transfers looks.
	stuckTick = 250 * time.Millisecond
	// severTime is how long the guard waits for Raft to go on after it has severed the connections: Raft may sit in a pause of 10 s
	// between two tries.
	severTime = 20 * time.Second
)

// TransferLeadership makes another voter leader, the one named or, for "", of those that have the whole log the one whose log is
// furthest. It blocks until Raft says so, ctx is over, or it has failed. Writes are refused once Raft has begun. It returns
// ErrNotLeader on a follower, ErrNoServer for an unknown id, and ErrBehind for one that has no vote, does not answer, or has not all
// entries that the leader had at the call and does not get them within a moment; also when there is no other voter.
func (n *Node) TransferLeadership(ctx context.Context, id string) error {
	r := n.raft.Load()
	if r == nil || !n.IsLeader() {
		return ErrNotLeader
	}
	var candidates []Server
	if id == "" {
		for _, s := range n.Servers() {
			if s.Voter && s.ID != n.ID() {
				candidates = append(candidates, s)
			}
		}
	} else {
		s, ok := n.server(id)
		switch {
		case !ok:
			return fmt.Errorf("%w: %s", ErrNoServer, id)
		case !s.Voter:
			return fmt.Errorf("%w: server %s has no vote yet", ErrBehind, id)
		case id == n.ID():
			return nil
		case !n.Live(id):
			return fmt.Errorf("%w: server %s does not answer", ErrBehind, id)
		}
		candidates = []Server{s}
	}
	const tries = 3
	var err error
	for range tries {
		if err = n.transfer(ctx, r, candidates); err == nil || errors.Is(err, ErrBehind) || ctx.Err() != nil || r.State() != raft.Leader {
			break
		}
	}
	return err
}

// transfer tries once. Raft gives up a transfer that lasts, but leaves its question to the goroutine that feeds the target, and the
// next one to ask there waits behind it without end: so the target must have the whole log before each try.
func (n *Node) transfer(ctx context.Context, r *raft.Raft, candidates []Server) error {
	target, err := n.caughtUp(ctx, r, candidates)
	if err != nil {
		return err
	}
	addr, err := addresses{n}.ServerAddr(raft.ServerID(target))
	if err != nil {
		return err
	}
	future := r.LeadershipTransferToServer(raft.ServerID(target), addr)
	return changeError("transfer leadership", n.awaitFunc(ctx, func() error {
		err := future.Error()
		n.transfers.Set() // now, not before: what Raft has not begun looks as if it had ended; and whether the caller still waits or not
		return err
	}))
}

// caughtUp waits until one of the servers has, by an answer given after the call, all entries that this server had at the call.
// One that is fed at all has them within a moment, whatever the load.
func (n *Node) caughtUp(ctx context.Context, r *raft.Raft, candidates []Server) (string, error) {
	want, start, limit := r.LastIndex(), time.Now(), n.liveWithin()
	tick := time.NewTicker(confirmTick)
	defer tick.Stop()
	for {
		target, why := furthest(candidates, n.trans.report, start, want)
		if why == nil {
			return target, nil
		}
		if len(candidates) == 0 || time.Since(start) > limit {
			return "", why
		}
		select {
		case <-tick.C:
		case <-n.done:
			return "", ErrNotLeader
		case <-ctx.Done():
			return "", errors.Join(ctx.Err(), why)
		}
	}
}

// furthest is the server whose log goes furthest of those that have the entry want, by an answer to what was asked after the
// start, or else why there is none.
func furthest(candidates []Server, reportOf func(id string) report, start time.Time, want uint64) (id string, why error) {
	why = fmt.Errorf("%w: there is no other voter", ErrBehind)
	end := uint64(0)
	for _, s := range candidates {
		switch got := reportOf(s.ID); {
		case !got.asked.After(start):
			why = fmt.Errorf("%w: server %s does not answer", ErrBehind, s.ID)
		case got.rejected:
			why = fmt.Errorf("%w: the log of server %s does not fit the leader's: wait until it has caught up", ErrBehind, s.ID)
		case got.lastLog < want:
			why = fmt.Errorf("%w: server %s is %d entries behind: wait until it has caught up", ErrBehind, s.ID, want-got.lastLog)
		case id == "" || got.lastLog > end:
			id, end = s.ID, got.lastLog
		}
	}
	if id != "" {
		return id, nil
	}
	return "", why
}

// guardTransfers sees to it that no transfer makes this server a leader that refuses every write. Raft may wait without end for the
// goroutine that feeds the target, which may itself try without end to send what the target refuses. An error of
// the connection is what ends those tries; if that does not help, the process has to end, so that the others elect.
func (n *Node) guardTransfers(r *raft.Raft, stop <-chan struct{}) {
	tick := time.NewTicker(stuckTick)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-n.transfers:
		}
		if err := n.guardTransfer(r, tick.C, stop); err != nil {
			n.log.Error("this server leads and refuses every write: it stops, so that others lead", "error", err)
			n.fail(err)
			return
		}
	}
}

// guardTransfer returns once this server leads and takes entries, or stops: a transfer may be stuck over several terms.
func (n *Node) guardTransfer(r *raft.Raft, tick <-chan time.Time, stop <-chan struct{}) error {
	g := &transferGuard{bound: 4 * n.raftConfig().ElectionTimeout, sever: n.sever} // Raft's own is twice that timeout.
	defer n.sever(false)
	var asked <-chan error // a barrier that has no answer yet
	for {
		select {
		case <-stop:
			return nil
		case <-tick:
		}
		if asked == nil {
			if r.State() != raft.Leader {
				g.restart()
				continue
			}
			asked = n.begin(r.Barrier(n.cfg.EnqueueTimeout).Error)
		}
		select {
		case answer := <-asked:
			asked = nil
			if over, err := g.answered(answer); over || err != nil {
				return err
			}
		case <-tick:
			g.taken()
		}
	}
}

// sever makes whatever is sent to other servers fail, or no more.
func (n *Node) sever(on bool) {
	n.trans.sever(on)
	if on {
		n.log.Warn("a transfer of leadership is stuck: the connections to the other servers are made anew")
		n.stream.cut()
	}
}

// transferGuard decides what is to be done about a transfer, by what became of the barriers that were asked for, one a look.
type transferGuard struct {
	bound time.Duration // how long Raft may refuse entries for a transfer
	sever func(on bool)
	lasts time.Duration // how long it has, counted in looks: a pause of the whole process is not Raft's.
	cut   bool
}

// answered is a look at which a barrier has ended. over: this server leads and takes entries.
func (g *transferGuard) answered(err error) (over bool, stuck error) {
	if !errors.Is(err, raft.ErrLeadershipTransferInProgress) {
		g.restart()
		return err == nil, nil
	}
	switch g.lasts += stuckTick; {
	case g.lasts > g.bound+severTime:
		return false, fmt.Errorf("%w: for %v every write was refused; start this server again", ErrStuck, g.lasts)
	case g.lasts > g.bound && !g.cut:
		g.cut = true
		g.sever(true)
	}
	return false, nil
}

// taken is a look at which Raft has taken a barrier and not answered yet: so there is no transfer any more. Nothing is committed,
// and the barrier not answered, as long as the connections are severed.
func (g *transferGuard) taken() { g.restart() }

// restart forgets a transfer that is over.
func (g *transferGuard) restart() {
	g.lasts, g.cut = 0, false
	g.sever(false)
}
