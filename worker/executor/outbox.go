package executor

import (
	"context"
	"sync"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/notify"
)

// Bounds of what waits for the worker to read it. A message between the two may have 16 MiB (package pipe).
const (
	outputBytes   = 1 << 20 // of lines in one message, and one line
	outboxBytes   = 4 << 20 // of lines: a rank that prints more waits
	lineOverheads = 32      // what a line counts besides its text
)

// outbox is what the executor has to tell its worker, in order: lines of output, many of them in one message, and events.
// Lines wait for room; events never wait, so that whoever has one may hold a lock: there are no more of them than of ranks and
// of commands.
type outbox struct {
	mu    sync.Mutex // guards the fields below
	room  *sync.Cond
	queue []*apiv1.ExecEvent
	open  *apiv1.ExecOutput // the last of queue, if that takes more lines
	size  int               // of open
	lines int               // bytes of lines in queue
	wake  notify.Signal     // queue is not empty
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
	o.queue = append(o.queue, ev)
	o.wake.Set()
}

// take removes the first message, or returns nil.
func (o *outbox) take() *apiv1.ExecEvent {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) == 0 {
		return nil
	}
	ev := o.queue[0]
	o.queue[0] = nil
	if o.queue = o.queue[1:]; len(o.queue) == 0 {
		o.queue, o.open = nil, nil
	}
	for _, l := range ev.GetOutput().GetLines() {
		o.lines -= len(l.Text) + lineOverheads
	}
	o.room.Broadcast()
	return ev
}

// run sends what is queued until ctx ends.
func (o *outbox) run(ctx context.Context, send func(*apiv1.ExecEvent) error) error {
	for {
		for ev := o.take(); ev != nil; ev = o.take() {
			if err := send(ev); err != nil {
				return err
			}
		}
		select {
		case <-o.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
