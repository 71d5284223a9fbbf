package raftnode

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// entriesInFlight bounds the log entries proposed and not yet applied: while one is written the next gathers commands.
const entriesInFlight = 2

const (
	// commandFrame bounds what frames a command within its entry: a tag and the length, two varints.
	commandFrame = 8
	// entryRoom is what the framed commands of one entry may take: Encode's envelope must fit in as well.
	entryRoom = MaxEntryBytes - 64
)

// The life of a proposal: its caller may withdraw it only while it is queued.
const (
	queued int32 = iota
	taken
	withdrawn
)

type proposal struct {
	command *apiv1.Command
	size    int // as it lies in an entry.
	state   atomic.Int32
	// done has room for the one outcome, so that nobody waits for a caller that went away.
	done chan outcome
}

type outcome struct {
	result *apiv1.Result
	err    error
}

// Propose puts the command into the log and returns what the state machine said to it, a refusal included. It blocks until
// the command is applied here, or ctx is over. ErrNotLeader, ErrOverloaded, ErrTooLarge, and the bare error of ctx mean that
// the command was not and will not be applied; with ErrUnknownOutcome nobody knows. The command must not be changed until
// Propose returns, nor after an error.
func (n *Node) Propose(ctx context.Context, c *apiv1.Command) (*apiv1.Result, error) {
	if !n.IsLeader() {
		return nil, ErrNotLeader
	}
	p := &proposal{command: c, size: proto.Size(c) + commandFrame, done: make(chan outcome, 1)}
	if p.size > entryRoom {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, p.size-commandFrame, entryRoom-commandFrame)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := n.enqueue(p); err != nil {
		return nil, err
	}
	stall := n.stall.changed()
	for !n.stall.on() {
		select {
		case o := <-p.done:
			return o.result, o.err
		case <-stall:
			stall = n.stall.changed()
		case <-ctx.Done():
			if p.state.CompareAndSwap(queued, withdrawn) {
				return nil, fmt.Errorf("proposal withdrawn: %w", ctx.Err())
			}
			return nil, fmt.Errorf("%w: %w", ErrUnknownOutcome, ctx.Err())
		}
	}
	if p.state.CompareAndSwap(queued, withdrawn) {
		return nil, fmt.Errorf("%w: the disk does not answer", ErrNotLeader)
	}
	return nil, fmt.Errorf("%w: the disk does not answer", ErrUnknownOutcome)
}

// enqueue never blocks.
func (n *Node) enqueue(p *proposal) error {
	n.queueMu.RLock() // the batcher takes the other side once, to close the queue.
	defer n.queueMu.RUnlock()
	if n.queueClosed {
		return fmt.Errorf("%w: the server is stopping", ErrNotLeader)
	}
	select {
	case n.queue <- p:
		return nil
	default:
		return ErrOverloaded
	}
}

// batcher gathers proposals into log entries until stop is closed, and then answers all that still wait. It returns when
// every entry it proposed has its outcome; Raft must be shut down for that.
func (n *Node) batcher(r *raft.Raft, stop <-chan struct{}) {
	var flying sync.WaitGroup
	slots := make(chan struct{}, entriesInFlight)
	var next *proposal // taken from the queue, but too large for the entry before.
	for {
		select {
		case slots <- struct{}{}: // first, so that commands gather while two entries are in flight.
		case <-stop:
			n.closeQueue(next)
			flying.Wait()
			return
		}
		if next == nil {
			select {
			case next = <-n.queue:
			case <-stop:
				<-slots
				continue
			}
		}
		var batch []*proposal
		batch, next = n.gather(next)
		if len(batch) == 0 {
			<-slots
			continue
		}
		future, batch := n.proposeEntry(r, batch)
		if len(batch) == 0 {
			<-slots
			continue
		}
		flying.Go(func() {
			n.finish(future, batch)
			<-slots
		})
	}
}

// gather takes what is queued behind first, up to the bounds of an entry, without waiting.
func (n *Node) gather(first *proposal) (batch []*proposal, next *proposal) {
	size := 0
	for p := first; p != nil; {
		if size+p.size > entryRoom || len(batch) == MaxEntryCommands {
			return batch, p
		}
		if p.state.CompareAndSwap(queued, taken) {
			batch = append(batch, p)
			size += p.size
		}
		select {
		case p = <-n.queue:
		default:
			p = nil
		}
	}
	return batch, nil
}

// proposeEntry puts the batch into one entry, and returns those of it that are in: a command that cannot be encoded gets its
// error and costs the others nothing.
func (n *Node) proposeEntry(r *raft.Raft, batch []*proposal) (raft.ApplyFuture, []*proposal) {
	data, err := n.encode(batch)
	if err != nil {
		if batch = n.encodable(batch, err); len(batch) == 0 {
			return nil, nil
		}
		if data, err = n.encode(batch); err != nil {
			settle(batch, err)
			return nil, nil
		}
	}
	n.entries.Add(1)
	n.commands.Add(uint64(len(batch)))
	return r.Apply(data, n.cfg.EnqueueTimeout), batch
}

func (n *Node) encode(batch []*proposal) ([]byte, error) {
	entry := &apiv1.Entry{Commands: make([]*apiv1.Command, len(batch))}
	for i, p := range batch {
		entry.Commands[i] = p.command
	}
	data, err := n.cfg.Encode(entry)
	if err != nil {
		return nil, fmt.Errorf("encode log entry: %w", err)
	}
	return data, nil
}

// encodable answers those of a batch, which as a whole failed with err, that fail alone, and returns the others.
func (n *Node) encodable(batch []*proposal, err error) []*proposal {
	if len(batch) == 1 {
		settle(batch, err)
		return nil
	}
	var good []*proposal
	for i, p := range batch {
		if _, err := n.encode(batch[i : i+1]); err != nil {
			settle(batch[i:i+1], err)
			continue
		}
		good = append(good, p)
	}
	return good
}

// finish waits for the entry's outcome and hands each proposal its own.
func (n *Node) finish(future raft.ApplyFuture, batch []*proposal) {
	if err := future.Error(); err != nil {
		settle(batch, classify(err))
		return
	}
	switch response := future.Response().(type) {
	case []*apiv1.Result:
		if len(response) != len(batch) {
			panic(fmt.Sprintf("raftnode: %d results for %d commands", len(response), len(batch)))
		}
		for i, p := range batch {
			p.done <- outcome{result: response[i]}
		}
	case error:
		settle(batch, fmt.Errorf("%w: %w", ErrUnknownOutcome, response))
	default:
		panic(fmt.Sprintf("raftnode: the state machine answered with a %T", response))
	}
}

func settle(batch []*proposal, err error) {
	for _, p := range batch {
		p.done <- outcome{err: err}
	}
}

// closeQueue refuses what is queued; nothing of it went to the log.
func (n *Node) closeQueue(next *proposal) {
	n.queueMu.Lock()
	n.queueClosed = true
	n.queueMu.Unlock()
	for p := next; ; {
		if p != nil && p.state.CompareAndSwap(queued, taken) {
			p.done <- outcome{err: fmt.Errorf("%w: the server is stopping", ErrNotLeader)}
		}
		select {
		case p = <-n.queue:
		default:
			return
		}
	}
}
