package executor

import (
	"context"
	"slices"
	"sync"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/notify"
	"github.com/godwit-run/godwit/internal/pipe"
)

// Bounds of what waits for the worker to read it. A message between the two may have 16 MiB (package pipe).
const (
	outputBytes   = 1 << 20 // of lines in one message, and one line
	outboxBytes   = 4 << 20 // of lines: a rank that prints more waits
	lineOverheads = 32      // what a line counts besides its text
)

// outbox is what the executor has to tell its worker, in order and numbered: lines of output, many of them in one message, and events. All is kept until the worker has
// acknowledged it, and what was not is told again to its next process. Lines wait for room; events never wait, so that whoever has one may hold a lock: there are no
// more of them than of ranks and of commands, and, while there is no worker, than come in the time of a lease.
type outbox struct {
	mu    sync.Mutex // guards the fields below
	room  *sync.Cond
	queue []*apiv1.ExecEvent
	sent  int               // of queue, to the worker's process of now
	last  uint64            // number of the newest event
	open  *apiv1.ExecOutput // the last of queue, if that takes more lines
	size  int               // of open
	lines int               // bytes of lines in queue
	to    *pipe.Conn        // nil: there is no worker at the moment
	wake  notify.Signal     // there is something to send, or somebody to send it to
}

func newOutbox() *outbox {
	o := &outbox{wake: notify.NewSignal()}
	o.room = sync.NewCond(&o.mu)
	return o
}

// event adds an event. It does not block.
func (o *outbox) event(ev *apiv1.ExecEvent) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.push(ev)
	o.open = nil
}

// line adds a line of output. It blocks while too much output waits.
func (o *outbox) line(l *apiv1.LogLine) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.lines >= outboxBytes {
		o.room.Wait()
	}
	n := len(l.Text) + lineOverheads
	if o.open == nil || o.size >= outputBytes {
		o.open, o.size = &apiv1.ExecOutput{}, 0
		o.push(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Output{Output: o.open}})
	}
	o.open.Lines = append(o.open.Lines, l)
	o.size += n
	o.lines += n
}

// push adds to the queue. Holds mu.
func (o *outbox) push(ev *apiv1.ExecEvent) {
	o.last++
	ev.Number = o.last
	o.queue = append(o.queue, ev)
	o.wake.Set()
}

// attach has all that was not acknowledged sent to a process of the worker. How the ranks stood for one before is no news of any.
func (o *outbox) attach(to *pipe.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	newest := true
	for i, ev := range slices.Backward(o.queue) {
		if ev.GetStanding() != nil {
			if !newest {
				o.queue[i] = &apiv1.ExecEvent{Number: ev.Number}
			}
			newest = false
		}
	}
	o.to, o.sent = to, 0
	o.wake.Set()
}

// detach has nothing more sent to it.
func (o *outbox) detach(from *pipe.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.to == from {
		o.to = nil
	}
}

// ack forgets what the worker has.
func (o *outbox) ack(number uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.sent > 0 && o.queue[0].Number <= number {
		for _, l := range o.queue[0].GetOutput().GetLines() {
			o.lines -= len(l.Text) + lineOverheads
		}
		o.queue[0] = nil
		o.queue, o.sent = o.queue[1:], o.sent-1
	}
	if len(o.queue) == 0 {
		o.queue = nil
	}
	o.room.Broadcast()
}

// empty says whether the worker has acknowledged all.
func (o *outbox) empty() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.queue) == 0
}

// take returns the next message to send, and to whom; nil: there is none, or nobody.
func (o *outbox) take() (*apiv1.ExecEvent, *pipe.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.to == nil || o.sent == len(o.queue) {
		return nil, nil
	}
	ev := o.queue[o.sent]
	if o.sent++; o.sent == len(o.queue) {
		o.open = nil
	}
	return ev, o.to
}

// run sends what is queued, while the host has its lease, until ctx ends. A link that is broken is found out by who reads it.
func (o *outbox) run(ctx context.Context, fence *fence) error {
	for {
		for ev, to := o.take(); ev != nil; ev, to = o.take() {
			if !fence.passes() {
				return ErrLeaseOver
			}
			if to.Send(ev) != nil {
				o.detach(to)
				_ = to.Close() // so that the reader finds out
			}
		}
		select {
		case <-o.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
