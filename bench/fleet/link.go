package fleet

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// linkRoom is how many messages wait in a link, each way, before who sends more waits.
const linkRoom = 16

// errGone is returned for what is sent to an executor that was ended.
var errGone = errors.New("fleet: the executor is gone")

// link is what a worker has of a played executor, in memory.
type link struct {
	commands chan *apiv1.ExecCommand
	events   chan *apiv1.ExecEvent
	closed   chan struct{}
	once     sync.Once
}

func newLink() *link {
	return &link{commands: make(chan *apiv1.ExecCommand, linkRoom), events: make(chan *apiv1.ExecEvent, linkRoom), closed: make(chan struct{})}
}

// Send implements worker.Link.
func (l *link) Send(m proto.Message) error {
	c, ok := m.(*apiv1.ExecCommand)
	if !ok {
		return fmt.Errorf("fleet: a worker sent an executor %T", m)
	}
	select {
	case <-l.closed: // first, though there be room
		return errGone
	default:
	}
	select {
	case l.commands <- c:
		return nil
	case <-l.closed:
		return errGone
	}
}

// Receive implements worker.Link.
func (l *link) Receive(m proto.Message) error {
	select {
	case ev := <-l.events:
		proto.Merge(m, ev)
		return nil
	case <-l.closed:
		return io.EOF
	}
}

// SendUntil implements worker.Link: the executor always reads.
func (l *link) SendUntil(time.Time) error { return nil }

// Close implements worker.Link.
func (l *link) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// emit gives the worker an event, unless the link is closed.
func (l *link) emit(ev *apiv1.ExecEvent) {
	select {
	case l.events <- ev:
	case <-l.closed:
	}
}
