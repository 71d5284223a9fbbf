package raftnode

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/raft"
)

// barrierRetry is the pause before a new leader tries its first barrier again.
const barrierRetry = 50 * time.Millisecond

// RunLeader calls f in each term that this server leads, after a barrier: the state machine then holds all that earlier
// terms committed. f's context ends with the term, or when the disk stalls: if the term outlives the stall, f is called again. f of one term has returned before f of the next is called. RunLeader blocks
// until ctx is over or Run ends, and then returns nil, or until f fails while its term lasts, and then returns f's error.
// When f returns nil early, nothing more happens in that term. One RunLeader may run at a time.
func (n *Node) RunLeader(ctx context.Context, f func(ctx context.Context, term uint64) error) error {
	if !n.leading.CompareAndSwap(false, true) {
		panic("raftnode: RunLeader runs already")
	}
	defer n.leading.Store(false)
	select {
	case <-n.ready:
	case <-n.done:
		return nil
	case <-ctx.Done():
		return nil
	}
	r := n.raft.Load()
	for {
		stall := n.stall.changed()
		if term, ok := n.leadership(r); ok {
			if err := n.runTerm(ctx, r, term, stall, f); err != nil {
				return err
			}
			select {
			case <-n.done:
				return nil
			case <-ctx.Done():
				return nil
			default:
				continue
			}
		}
		select {
		case <-r.LeaderCh():
		case <-stall:
		case <-n.done:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// runTerm runs f for one term and returns when the term is over and f has returned. LeaderCh keeps only its latest value, so
// that a loss and a new election may look like nothing new: the term decides, not the value.
// stall was taken before the term was read.
func (n *Node) runTerm(ctx context.Context, r *raft.Raft, term uint64, stall <-chan struct{}, f func(context.Context, uint64) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n.log.Info("this server leads", "term", term)
	ended := make(chan error, 1)
	go func() {
		if !n.catchUp(ctx, r, term) {
			ended <- nil
			return
		}
		ended <- f(ctx, term)
	}()
	running := true
	for {
		select {
		case <-r.LeaderCh():
		case <-stall:
			stall = n.stall.changed()
		case err := <-ended:
			running, ended = false, nil
			if err != nil && ctx.Err() == nil {
				return err
			}
			continue
		case <-n.done:
			cancel()
		case <-ctx.Done():
		}
		if now, ok := n.leadership(r); ok && now == term && ctx.Err() == nil {
			continue
		}
		cancel()
		if running {
			if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
				n.log.Warn("leader work ended badly after its term", "term", term, "error", err)
			}
		}
		n.log.Info("this server leads no more", "term", term)
		return nil
	}
}

// catchUp waits for a barrier in the term and reports whether the term still lasts.
func (n *Node) catchUp(ctx context.Context, r *raft.Raft, term uint64) bool {
	for {
		if _, err := n.Barrier(ctx); err == nil {
			now, ok := n.leadership(r)
			return ok && now == term && ctx.Err() == nil
		}
		if now, ok := n.leadership(r); !ok || now != term || n.fsm.err() != nil {
			return false
		}
		again := time.NewTimer(barrierRetry)
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return false
		}
	}
}

// leadership returns the term and whether this server leads it, and its disk does not stall, read together.
func (n *Node) leadership(r *raft.Raft) (uint64, bool) {
	for {
		before, state, after := r.CurrentTerm(), r.State(), r.CurrentTerm()
		if before == after {
			return before, state == raft.Leader && !n.stall.on()
		}
	}
}
