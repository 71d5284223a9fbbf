package executor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/pipe"
	"github.com/godwit-run/godwit/worker/stand"
)

const (
	// firstCall is how long the worker process that has started this one may take to call.
	firstCall = time.Minute
	// handoverGone is how long the other connection of a worker process may outlast the one for connections: both end with it.
	handoverGone = 2 * time.Second
)

// workers are the processes of the host's worker that this executor has had, one after the other. Each calls, and lends its word of the lease; the next one's call is
// taken when all that the last has said was read. No two are there at once: who has the data directory is alone.
type workers struct {
	listener  *pipe.Listener
	calls     chan workerCall // capacity 1: for control, the newest
	handovers chan workerCall // capacity 1: for connections of other hosts, the newest

	lease  atomic.Pointer[pipe.Lease] // of the newest; nil: none has called
	before atomic.Int64               // when the lease ended by the word of the process before it

	mu      sync.Mutex // guards the fields below
	control *pipe.Conn // nil: there is no worker at the moment
	number  int        // of its process
}

// workerCall is a call of a process. Those for control are numbered as they come, from 1 on.
type workerCall struct {
	*pipe.Caller
	number int
}

// until is when the lease ends, by the word of the newest process, or that of the one before it as long as that has said nothing.
func (w *workers) until() time.Duration {
	if l := w.lease.Load(); l != nil {
		if end := l.Until(); end != 0 {
			return end
		}
	}
	return time.Duration(w.before.Load())
}

// next waits for a process to call, and makes it the one that counts.
func (w *workers) next(ctx context.Context) (*pipe.Conn, error) {
	select {
	case c := <-w.calls:
		w.before.Store(int64(w.until()))
		w.lease.Store(c.Lease)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.control, w.number = pipe.NewConn(c.Conn), c.number
		return w.control, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// hangUp ends the connection, if there is one.
func (w *workers) hangUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.control != nil {
		_ = w.control.Close() // who reads it finds out
		w.control = nil
	}
}

// current is the connection of the worker's process, and the number of that; nil: there is none at the moment.
func (w *workers) current() (*pipe.Conn, int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.control, w.number
}

// accept takes the worker's calls until ctx ends.
func (w *workers) accept(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { _ = w.listener.Close() })() // which ends the call below
	for number := 0; ; {
		c, err := w.listener.Accept()
		calls := w.handovers
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("no worker can call any more: %w", err)
		case c.Kind == pipe.Control:
			calls = w.calls
			number++
		}
		select {
		case old := <-calls:
			_ = old.Conn.Close() // its process has ended: else there were no other; or its app has
		default:
		}
		calls <- workerCall{c, number} // a process calls for control first
	}
}

// takeHandovers takes connections of other hosts, of one process of the worker after the other. They are of this app: that has another process than one that was called for those of an earlier one.
func (e *Executor) takeHandovers(ctx context.Context) error {
	for {
		select {
		case c := <-e.workers.handovers:
			e.runGroup.Go(func() error { return e.takeConns(ctx, c.Conn, c.number) })
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// handoverEnded is called when a connection for connections has ended, of the worker's process with that number. It is an error where that goes on.
func (e *Executor) handoverEnded(ctx context.Context, of int, err error) error {
	t := time.NewTimer(handoverGone)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	if control, now := e.workers.current(); control != nil && now == of && ctx.Err() == nil {
		return fmt.Errorf("no connection of another host can be taken any more: %w", err)
	}
	return nil
}

// attach has what there is to tell told to a process of the worker that is not the first: all that was not acknowledged, and then how things stand.
func (e *Executor) attach(ctx context.Context, control *pipe.Conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.handedOn(ctx)
	e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Standing{Standing: e.standing()}})
	e.out.attach(control)
}

// handedOn gives up what only the process knew that has ended: what was written for checkpoints; and ranks that run were not to leave, or to be saved. Those that stand still do so until the worker says
// otherwise: they may have arrived, and a checkpoint that has them may have been taken. Holds mu.
func (e *Executor) handedOn(ctx context.Context) {
	for _, r := range e.ranks {
		if r.series != nil {
			r.series.files, r.series.saved = nil, nil
		}
		if r.HandOn() {
			e.resumeRank(ctx, r)
		}
	}
}

// standing is how the ranks stand. Holds mu.
func (e *Executor) standing() *apiv1.ExecStanding {
	s := &apiv1.ExecStanding{WantsFiles: e.home.wanted()}
	for _, id := range slices.Sorted(maps.Keys(e.ranks)) {
		r := e.ranks[id]
		out := &apiv1.StandingRank{Rank: int32(id), State: apiv1.StandingRank_STATE_RUNS, Epoch: r.epoch}
		switch is, way := r.Told(); is {
		case stand.Expected:
			out.State, out.Migration = apiv1.StandingRank_STATE_EXPECTED, r.coming.migration
		case stand.Staged:
			out.State, out.Migration, out.Staged = apiv1.StandingRank_STATE_STAGED, r.coming.migration, r.coming.staged
		case stand.Ended:
			if r.end != nil { // else an event of it follows
				out.State, out.Ended = apiv1.StandingRank_STATE_ENDED, r.end
			}
		case stand.Frozen:
			out.State, out.Migration = apiv1.StandingRank_STATE_FROZEN, way
		default:
		}
		s.Ranks = append(s.Ranks, out)
	}
	return s
}

// tellEnd tells that a rank has ended. Holds mu.
func (e *Executor) tellEnd(r *rank, end *apiv1.ExecEnded) {
	end.Rank = int32(r.id)
	r.end = end
	e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Ended{Ended: end}})
}
