// Package executor is the child process that runs all ranks of one app on one
// host. It takes commands from its worker, which calls at an inherited socket, runs the
// guests, carries their MPI messages to the executors of other hosts, and
// freezes and thaws ranks. See DESIGN.md in this directory.
package executor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/files"
	"github.com/godwit-run/godwit/internal/pages"
	"github.com/godwit-run/godwit/internal/pipe"
	"github.com/godwit-run/godwit/internal/transport"
	"github.com/godwit-run/godwit/mpi"
	"github.com/godwit-run/godwit/worker/wasm"
)

// Executor runs the ranks of one app on one host; and when that is over, if nothing is left of it, those of a next one.
type Executor struct {
	workers workers
	fence   *fence
	tries   int       // stillTries, but for tests
	code    kept      // of apps before
	empty   footprint // of this process, without an app
	title   title     // what ps shows
	idle    unattended
	tuning  tuning // of this process's collector

	*life
}

// life is what there is of one app. All that it has begun ends with its runGroup.
type life struct {
	log *slog.Logger
	out *outbox

	// Set by the start command, before any other is taken.
	start    *apiv1.ExecStart
	engine   *wasm.Engine
	programs []program
	world    *mpi.World
	net      *network
	collect  *collector
	mounts   []wasm.Mount // the app's volumes
	home     *home
	filing   context.Context //nolint:containedctx // of requests for files; over when the app is cancelled
	endFiles context.CancelCauseFunc
	runGroup *errgroup.Group

	booted         chan struct{}                     // closed when all of the above is set
	expecting      chan func(context.Context)        // makes ranks that are to come, in the order in which they are asked for
	beginExpecting func()                            // has somebody take them
	newWatch       func(mapping []byte) *pages.Watch // of what is written for checkpoints
	links          *keys                             // nil: the cluster is not secured
	shaking        chan struct{}                     // of maxShaking
	hellos         greetings                         // of who brings a rank
	read           atomic.Int64                      // bytes of what ranks are made of

	mu        sync.Mutex // guards ranks and what is in them, and what follows
	ranks     map[mpi.Rank]*rank
	made      map[string]*apiv1.ExecCode // the best code of each module, by the module's file
	offers    map[string]*apiv1.ExecCode // what is to be taken of a module, by its file; nil: the last is just being
	saving    string                     // the last checkpoint that was begun
	ending    error                      // why the app is to end, which its ranks are told; nil: it is not, or they are not told
	cancelled error                      // why the app is; nil: it is not
}

// New makes an executor whose worker calls at the listener. Run does the work.
func New(listener *pipe.Listener, log *slog.Logger) *Executor {
	e := &Executor{tries: stillTries, title: ownTitle(), life: newLife(log)}
	e.workers.listener, e.workers.calls, e.workers.handovers = listener, make(chan workerCall, 1), make(chan workerCall, 1)
	e.fence = newFence(e.workers.until)
	return e
}

func newLife(log *slog.Logger) *life {
	return &life{
		log: log, shaking: make(chan struct{}, maxShaking), out: newOutbox(), ranks: map[mpi.Rank]*rank{}, made: map[string]*apiv1.ExecCode{}, offers: map[string]*apiv1.ExecCode{}, booted: make(chan struct{}),
		expecting: make(chan func(context.Context), 256), newWatch: pages.NewWatch,
	}
}

// Run takes commands until the host's lease is over, then it returns ErrLeaseOver. A worker that ends the link may be followed by its next process; before there
// is a lease, and between apps, none is waited for, and Run returns nil. The process is expected to exit then: guests that compute cannot be stopped otherwise. When a part of the executor
// fails, the worker is told why, the link is closed, and Run returns the reason: half an executor is of no use.
func (e *Executor) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Whichever ends first ends Run. The fence waits for no other part: a worker that stands still may hold up all of them.
	ended, log := make(chan error, 3), e.log
	go func() { ended <- e.fence.watch(ctx) }()    // until Run returns
	go func() { ended <- e.workers.accept(ctx) }() // likewise
	go func() { ended <- e.serveApps(ctx) }()      // until the link ends, or the process
	err := <-ended
	if errors.Is(err, ErrLeaseOver) {
		log.Error("the lease of this host is over: this executor ends itself")
	}
	return err
}

// serve runs one app: it takes commands of one process of the worker after the other. At errRest, where all that it has begun has ended, the connection is that of the last.
func (e *Executor) serve(ctx context.Context, control *pipe.Conn, start *apiv1.ExecStart) (_ *pipe.Conn, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	e.runGroup = g
	e.beginExpecting = sync.OnceFunc(func() { g.Go(func() error { return e.expectAll(ctx) }) })
	reporting := make(chan struct{})
	g.Go(func() error {
		defer close(reporting)
		return e.out.run(ctx, e.fence)
	})
	e.out.attach(control)
	if err := e.boot(ctx, start); err != nil {
		e.emit(failed(err))
		e.lastWords(ctx, control)
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() {
		<-reporting
		if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, ErrLeaseOver) && !errors.Is(err, errRest) { // its end says that itself: it is no fault
			if control, _ := e.workers.current(); control != nil {
				_ = control.Send(failed(fmt.Errorf("executor on %s: %w", start.Host, err))) // it may be the link that is broken
			}
		}
		e.workers.hangUp() // ends the loop below
	})
	defer stop()
	close(e.booted)
	g.Go(func() error { return e.net.Run(ctx) })
	g.Go(func() error { return e.collect.run(ctx) })
	g.Go(func() error { return e.takeHandovers(ctx) })
	for {
		err := e.commands(ctx, control)
		if errors.Is(err, errRest) && stop() {
			cancel()
			_ = g.Wait() // all have been told to end
			return control, errRest
		}
		if ctx.Err() != nil || !errors.Is(err, errLinkEnded) {
			return control, cmp.Or(context.Cause(ctx), err)
		}
		e.out.detach(control)
		e.workers.hangUp()
		if e.workers.until() == 0 {
			return nil, nil
		}
		if control, err = e.workers.next(ctx); err != nil {
			return nil, err
		}
		e.attach(ctx, control)
	}
}

// firstWorker waits for the process that has started this one, and its first command; no command: that process has ended, and there was no app.
func (e *Executor) firstWorker(ctx context.Context) (*pipe.Conn, *apiv1.ExecStart, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, firstCall, errors.New("executor: no worker has called"))
	defer cancel()
	control, err := e.workers.next(ctx)
	if err != nil {
		return nil, nil, err
	}
	var first apiv1.ExecCommand
	if err := control.Receive(&first); errors.Is(err, io.EOF) {
		return nil, nil, nil
	} else if err != nil {
		return nil, nil, err
	}
	if first.GetStart() == nil {
		return nil, nil, fmt.Errorf("executor: the first command is %T, not start", first.Msg)
	}
	return control, first.GetStart(), nil
}

// lastWords returns when a process of the worker has taken all that there is to tell, and ends the link; not the one of now, maybe, but one of its next, as long as
// the host has its lease.
func (e *Executor) lastWords(ctx context.Context, control *pipe.Conn) {
	for err := error(nil); err == nil; {
		for err == nil {
			c := &apiv1.ExecCommand{}
			if err = control.Receive(c); err == nil && c.GetAck() != nil {
				e.out.ack(c.GetAck().Number)
			}
		}
		if e.out.empty() || e.workers.until() == 0 {
			return
		}
		e.out.detach(control)
		e.workers.hangUp()
		if control, err = e.workers.next(ctx); err == nil {
			e.out.attach(control)
		}
	}
}

// errLinkEnded is returned when no more can be read from a process of the worker.
var errLinkEnded = errors.New("executor: the worker has ended the link")

// boot compiles the modules and starts the first ranks.
func (e *Executor) boot(ctx context.Context, s *apiv1.ExecStart) error {
	e.start = s
	e.title.set(s.App)
	if s.Processors > 0 && runtime.GOMAXPROCS(0) != int(s.Processors) { // it stops the world, in which no guest is yet
		runtime.GOMAXPROCS(int(s.Processors))
	}
	if len(s.Programs) == 0 {
		return errors.New("executor: there is no program to run; the worker is of another godwit than this")
	}
	cfg := wasm.DefaultConfig()
	cfg.CacheDir = s.Programs[0].CacheDir
	if s.MemoryLimitPages > 0 {
		cfg.MemoryLimitPages = s.MemoryLimitPages
	}
	cfg.MemoryBytes, cfg.ExactNaNs, cfg.Engine = s.MemoryBytes, s.ExactNans, s.Engine
	var err error
	if e.engine, err = e.code.engineOf(ctx, cfg); err != nil {
		return err
	}
	if err := e.compile(ctx, s.Programs); err != nil && s.MemoryDeclared && errors.Is(err, wasm.ErrMemoryLimit) {
		return fmt.Errorf("%w (--mem of its app, or --default-mem of the cluster)", err)
	} else if err != nil {
		return err
	}
	e.filing, e.endFiles = context.WithCancelCause(ctx)
	if e.links, err = keysOf(s); err != nil {
		return err
	}
	e.home = newHome(s.App, s.FilesClient, func() {
		e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_WantsFiles{WantsFiles: &apiv1.ExecWantsFiles{}}})
	}, e.log)
	e.home.http = sync.OnceValue(func() *http.Client { return transport.NewHTTPClientBy(e.links.toWorkers()) })
	e.home.begin = sync.OnceFunc(func() { e.runGroup.Go(func() error { return e.home.run(ctx) }) })
	for _, m := range s.Mounts {
		tree, err := files.OpenLocal(m.HostPath, m.ReadOnly)
		if err != nil {
			return fmt.Errorf("executor: volume %s: %w", m.Name, err)
		}
		e.mounts = append(e.mounts, wasm.Mount{Path: m.Path, Tree: tree})
	}
	mc := mpi.DefaultConfig(int(s.Size))
	mc.Host, mc.Programs = s.Host, started(s.Programs)
	if err := mc.Validate(); err != nil {
		return err
	}
	e.net = newNetwork(s.App, s.Host, e.fence, e.log)
	e.net.streamsOnly, e.net.dialer = s.StreamsOnly, e.links.dialer()
	e.world = mpi.NewWorld(mc, e.net)
	e.net.world = e.world
	e.tuning.set()
	e.collect = &collector{guests: e.engine.Activity()}
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
func (e *Executor) commands(ctx context.Context, control *pipe.Conn) error {
	for {
		var c apiv1.ExecCommand
		if err := control.Receive(&c); err != nil {
			return fmt.Errorf("%w: %w", errLinkEnded, err)
		}
		switch m := c.Msg.(type) {
		case *apiv1.ExecCommand_Routes:
			if err := e.links.learn(m.Routes); err != nil {
				return err
			}
			e.net.route(m.Routes)
		case *apiv1.ExecCommand_Freeze:
			e.freeze(m.Freeze)
		case *apiv1.ExecCommand_Expect:
			if err := e.later(func(ctx context.Context) { e.expect(ctx, m.Expect) }); err != nil {
				return err
			}
		case *apiv1.ExecCommand_Restore:
			if err := e.later(func(ctx context.Context) { e.restore(ctx, m.Restore) }); err != nil {
				return err
			}
		case *apiv1.ExecCommand_Checkpoint:
			e.checkpoint(ctx, m.Checkpoint)
		case *apiv1.ExecCommand_CheckpointEnd:
			e.checkpointEnd(m.CheckpointEnd)
		case *apiv1.ExecCommand_Precopy:
			e.precopyRanks(ctx, m.Precopy)
		case *apiv1.ExecCommand_Thaw:
			e.thaw(ctx, m.Thaw)
		case *apiv1.ExecCommand_Resume:
			e.resume(ctx, m.Resume)
		case *apiv1.ExecCommand_Drop:
			e.drop(ctx, m.Drop)
		case *apiv1.ExecCommand_Cancel:
			e.cancel(ctx, m.Cancel)
		case *apiv1.ExecCommand_Home:
			if err := e.home.set(m.Home); err != nil {
				return fmt.Errorf("executor: the app's directory: %w", err)
			}
		case *apiv1.ExecCommand_Code:
			e.takeCode(m.Code)
		case *apiv1.ExecCommand_Rest:
			return e.mayRest()
		case *apiv1.ExecCommand_Ack:
			e.out.ack(m.Ack.Number)
		case *apiv1.ExecCommand_Ping:
			e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Pong{Pong: &apiv1.ExecPong{}}})
		case *apiv1.ExecCommand_Inspect:
			e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Inspected{Inspected: e.inspect(m.Inspect.Traffic)}})
		default:
			return fmt.Errorf("executor: unknown command %T", c.Msg)
		}
	}
}

// takeConns passes connections from other executors, accepted by the worker's process with that number, to the network, or to the rank that comes over them.
func (e *Executor) takeConns(ctx context.Context, from *net.UnixConn, of int) error {
	defer context.AfterFunc(ctx, func() { _ = from.Close() })()
	defer from.Close() //nolint:errcheck // nothing more comes
	select {
	case <-e.booted:
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		conn, note, err := pipe.ReceiveConn(from)
		if errors.Is(err, pipe.ErrConnLost) {
			e.log.Warn("a connection of another host is lost, which calls again", "err", err)
			continue
		}
		if err != nil {
			return e.handoverEnded(ctx, of, err)
		}
		switch secured := note == pipe.SecureNote; {
		case secured != (e.links != nil):
			_ = conn.Close()
		case secured:
			e.shake(ctx, conn)
		default:
			e.dispatch(ctx, conn, note)
		}
	}
}

// emit queues an event for the worker, behind the lines that were printed before it. It does not block.
func (e *Executor) emit(ev *apiv1.ExecEvent) { e.out.event(ev) }

// newOutput is the output of a rank of this executor.
func (e *Executor) newOutput(id mpi.Rank) *output {
	return &output{rank: int32(id), emit: e.out.line, now: time.Now}
}
