package worker

import (
	"context"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// Link carries what a worker and an executor say to each other: commands one way, events the other. One goroutine receives; any may send.
type Link interface {
	// Send gives one message. It blocks while the other side does not take it.
	Send(m proto.Message) error
	// Receive reads the next message into m. At the end of the link it returns an error that wraps io.EOF.
	Receive(m proto.Message) error
	// SendUntil has every Send fail that has not ended by then.
	SendUntil(t time.Time) error
	// Close ends the link. Pending calls fail, on both sides.
	Close() error
}

// played is the end of an executor that is no process (Config.Play): nothing but its link.
type played struct {
	link Link
	once sync.Once
}

// end ends it, as a kill does a process.
func (p *played) end(c *child) {
	p.once.Do(func() {
		_ = p.link.Close() // nobody needs what was not read
		close(c.exited)
	})
}

// play has an executor played in place of a process's. No file tells of it: it ends with this process.
func (s *spawner) play(app string, onEvent func(*apiv1.ExecEvent), onExit func(*child)) *child {
	c := s.newChild(&entry{App: app}, nil)
	c.entry = nil
	c.played = &played{link: s.player(app)}
	c.control, c.unbegun = c.played.link, true
	go c.events(onEvent, onExit)
	go c.send() // until it is gone
	return c
}

// launch starts an executor, or has it played.
func (s *spawner) launch(ctx context.Context, what begins, onEvent func(*apiv1.ExecEvent), onExit func(*child)) (*child, error) {
	if s.player != nil {
		return s.play(what.app, onEvent, onExit), nil
	}
	return s.start(ctx, what, onEvent, onExit)
}

// pid is the process's number; 0: it is none.
func (c *child) pid() int {
	if c.process == nil {
		return 0
	}
	return c.process.Pid
}
