// Package executor is the child process that runs all ranks of one app on one
// host. It takes commands from its worker over an inherited socket, runs the
// guests, carries their MPI messages to the executors of other hosts, and
// freezes and thaws ranks. See DESIGN.md in this directory.
package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/pipe"
	"github.com/godwit-run/godwit/mpi"
	"github.com/godwit-run/godwit/worker/wasm"
)

// Executor runs the ranks of one app on one host.
type Executor struct {
	control *pipe.Conn
	conns   *net.UnixConn
	log     *slog.Logger

	// Set by the start command, before any other is taken.
	start    *apiv1.ExecStart
	engine   *wasm.Engine
	module   *wasm.Module
	world    *mpi.World
	net      *network
	collect  *collector
	events   chan *apiv1.ExecEvent
	lines    chan *apiv1.LogLine
	runGroup *errgroup.Group

	mu    sync.Mutex // guards ranks and what is in them
	ranks map[mpi.Rank]*rank
}

// Bounds of what waits for the worker to read it.
const (
	eventQueue = 256
	lineQueue  = 1024
)

// New makes an executor of the two sockets inherited from the worker. Run does the work.
func New(control, conns *net.UnixConn, log *slog.Logger) *Executor {
	return &Executor{
		control: pipe.NewConn(control), conns: conns, log: log,
		events: make(chan *apiv1.ExecEvent, eventQueue), lines: make(chan *apiv1.LogLine, lineQueue),
		ranks: map[mpi.Rank]*rank{},
	}
}

// Run takes commands until the worker ends the link, then returns nil. The process is expected to exit then:
// guests that compute cannot be stopped otherwise.
func (e *Executor) Run(ctx context.Context) error {
	var first apiv1.ExecCommand
	if err := e.control.Receive(&first); err != nil {
		return err
	}
	start := first.GetStart()
	if start == nil {
		return fmt.Errorf("executor: the first command is %T, not start", first.Msg)
	}
	g, ctx := errgroup.WithContext(ctx)
	e.runGroup = g
	g.Go(func() error { return e.report(ctx) })
	if err := e.boot(ctx, start); err != nil {
		e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Failed{Failed: &apiv1.ExecFailed{Reason: err.Error()}}})
		<-ctx.Done() // the worker reads the event and ends the link
		return err
	}
	g.Go(func() error { return e.net.Run(ctx) })
	g.Go(func() error { return e.takeConns() })
	g.Go(func() error { return e.collect.run(ctx) })
	err := e.commands(ctx)
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// boot compiles the module and starts the first ranks.
func (e *Executor) boot(ctx context.Context, s *apiv1.ExecStart) error {
	e.start = s
	code, err := os.ReadFile(s.ModulePath)
	if err != nil {
		return fmt.Errorf("executor: read the module: %w", err)
	}
	cfg := wasm.DefaultConfig()
	cfg.CacheDir = s.CacheDir
	if s.MemoryLimitPages > 0 {
		cfg.MemoryLimitPages = s.MemoryLimitPages
	}
	if e.engine, err = wasm.NewEngine(ctx, cfg); err != nil {
		return err
	}
	if e.module, err = e.engine.Compile(ctx, code); err != nil {
		return err
	}
	mc := mpi.DefaultConfig(int(s.Size))
	mc.Host = s.Host
	if err := mc.Validate(); err != nil {
		return err
	}
	e.net = newNetwork(s.App, s.Host, e.log)
	e.world = mpi.NewWorld(mc, e.net)
	e.net.world = e.world
	e.collect = newCollector(e.engine.Activity())
	e.net.route(s.Routes)
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, id := range s.Ranks {
		if err := e.startRank(ctx, mpi.Rank(id)); err != nil {
			return err
		}
	}
	e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Ready{Ready: &apiv1.ExecReady{}}})
	for _, r := range e.ranks {
		e.launch(ctx, r)
	}
	return nil
}

// commands does what the worker says until the link ends.
func (e *Executor) commands(ctx context.Context) error {
	for {
		var c apiv1.ExecCommand
		if err := e.control.Receive(&c); err != nil {
			return err
		}
		switch m := c.Msg.(type) {
		case *apiv1.ExecCommand_Routes:
			e.net.route(m.Routes)
		case *apiv1.ExecCommand_Freeze:
			e.freeze(m.Freeze)
		case *apiv1.ExecCommand_Stage:
			e.runGroup.Go(func() error { e.stage(ctx, m.Stage); return nil })
		case *apiv1.ExecCommand_Thaw:
			e.thaw(ctx, m.Thaw)
		case *apiv1.ExecCommand_Resume:
			e.resume(ctx, m.Resume)
		case *apiv1.ExecCommand_Drop:
			e.drop(ctx, m.Drop)
		case *apiv1.ExecCommand_Cancel:
			e.cancel(m.Cancel)
		case *apiv1.ExecCommand_Inspect:
			e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Inspected{Inspected: e.inspect()}})
		default:
			return fmt.Errorf("executor: unknown command %T", c.Msg)
		}
	}
}

// takeConns passes connections from other executors, accepted by the worker, to the network.
func (e *Executor) takeConns() error {
	for {
		conn, _, err := pipe.ReceiveConn(e.conns)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		e.net.incoming.offer(conn)
	}
}

// emit queues an event for the worker. It blocks while the worker does not read.
func (e *Executor) emit(ev *apiv1.ExecEvent) { e.events <- ev }

// report sends events and lines to the worker. A rank's lines are queued before the event that ends or freezes it, and
// all queued lines go out before an event does: the worker has them all when it hears of the event.
func (e *Executor) report(ctx context.Context) error {
	for {
		select {
		case l := <-e.lines:
			if err := e.sendLines(l); err != nil {
				return err
			}
		case ev := <-e.events:
			if err := e.sendQueuedLines(); err != nil {
				return err
			}
			if err := e.control.Send(ev); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (e *Executor) sendQueuedLines() error {
	select {
	case l := <-e.lines:
		return e.sendLines(l)
	default:
		return nil
	}
}

// sendLines sends first and every line queued behind it.
func (e *Executor) sendLines(first *apiv1.LogLine) error {
	out := &apiv1.ExecOutput{Lines: []*apiv1.LogLine{first}}
	for len(out.Lines) < lineQueue {
		select {
		case l := <-e.lines:
			out.Lines = append(out.Lines, l)
			continue
		default:
		}
		break
	}
	return e.control.Send(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Output{Output: out}})
}

// newOutput is the output of a rank of this executor.
func (e *Executor) newOutput(id mpi.Rank) *output {
	return &output{rank: int32(id), emit: func(l *apiv1.LogLine) { e.lines <- l }, now: time.Now}
}
