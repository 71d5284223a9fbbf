package raftnode

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/godwit-run/godwit/internal/notify"
)

// barriers turns many linearizable reads into few log entries. A read joins the barrier that starts next, never the one under
// way: that one may have been ordered before a write which the read must see.
type barriers struct {
	// kick has room for one: it says that next is not nil.
	kick notify.Signal

	// mu guards what stands below.
	mu     sync.Mutex
	next   *barrier
	closed bool
}

type barrier struct {
	done  chan struct{} // closed once index and err are final.
	index uint64
	err   error
}

// join returns the barrier that will start next.
func (b *barriers) join() *barrier {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		done := make(chan struct{})
		close(done)
		return &barrier{done: done, err: fmt.Errorf("%w: the server is stopping", ErrNotLeader)}
	}
	if b.next == nil {
		b.next = &barrier{done: make(chan struct{})}
		b.kick.Set()
	}
	return b.next
}

// begin returns the barrier whose turn it is, which nobody joins any more.
func (b *barriers) begin() *barrier {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := b.next
	b.next = nil
	return next
}

// shut makes every further join fail and returns the barrier that will not run, or nil.
func (b *barriers) shut() *barrier {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	return b.begin()
}

// Barrier returns once every entry that was committed anywhere before the call is applied here, with an index up to
// which all is applied: a read of the local state after it is linearizable. It blocks for about one log write, or until ctx is over. The error is
// ErrNotLeader, ErrFatal, ErrOverloaded or that of ctx; each may be tried again elsewhere, since a barrier changes nothing.
func (n *Node) Barrier(ctx context.Context) (uint64, error) {
	if !n.IsLeader() {
		return 0, ErrNotLeader
	}
	b := n.reads.join()
	stall := n.stall.changed()
	for !n.stall.on() {
		select {
		case <-b.done:
			return b.index, b.err
		case <-stall:
			stall = n.stall.changed()
		case <-ctx.Done():
			return 0, fmt.Errorf("read barrier: %w", ctx.Err())
		}
	}
	return 0, fmt.Errorf("%w: the disk does not answer", ErrNotLeader)
}

// barrierer runs one barrier at a time until stop is closed. Raft must be shut down then, for the last one to end.
func (n *Node) barrierer(r *raft.Raft, stop <-chan struct{}) {
	for {
		select {
		case <-n.reads.kick:
		case <-stop:
			if b := n.reads.shut(); b != nil {
				b.err = fmt.Errorf("%w: the server is stopping", ErrNotLeader)
				close(b.done)
			}
			return
		}
		b := n.reads.begin()
		b.index, b.err = n.runBarrier(r)
		close(b.done)
	}
}

func (n *Node) runBarrier(r *raft.Raft) (uint64, error) {
	future := r.Barrier(n.cfg.EnqueueTimeout)
	if err := future.Error(); err != nil {
		if c := classify(err); !errors.Is(c, ErrUnknownOutcome) {
			return 0, c
		}
		return 0, fmt.Errorf("%w: %w", ErrNotLeader, err)
	}
	if err := n.fsm.err(); err != nil {
		return 0, err
	}
	indexed, ok := future.(raft.IndexFuture)
	if !ok {
		panic(fmt.Sprintf("raftnode: a barrier's future is a %T without index", future))
	}
	return indexed.Index(), nil
}
