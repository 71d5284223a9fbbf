package executor

import (
	"context"
	"errors"
	"fmt"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/failpoint"
	"github.com/godwit-run/godwit/mpi"
	"github.com/godwit-run/godwit/worker/stand"
)

// freeze asks ranks to stop at their next control point.
func (e *Executor) freeze(f *apiv1.ExecFreeze) {
	failpoint.Here("executor.freeze")
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, id := range f.Ranks {
		r := e.ranks[mpi.Rank(id)]
		switch r.stands().Stop(f.Migration) {
		case stand.StopEnded:
			e.unfrozen(f.Migration, id, hasEnded(mpi.Rank(id)))
		case stand.StopStill:
			e.unfrozen(f.Migration, id, fmt.Errorf("rank %d does not run", id))
		case stand.StopNoWay:
			e.unfrozen(f.Migration, id, fmt.Errorf("it is not said where rank %d is to go", id))
		case stand.StopLater:
		case stand.StopNow:
			r.stop()
		}
	}
}

// stop has a rank that runs stop for its freeze.
func (r *rank) stop() {
	select {
	case r.precopy.hurry <- struct{}{}:
	default:
	}
	r.proc.Freeze()
	r.guest.Preempt(true) // after, for a loop looks once
}

// stopped is called by a rank's goroutine when its guest stands still.
func (e *Executor) stopped(ctx context.Context, r *rank) {
	since := time.Now()
	e.mu.Lock()
	f, p := r.Freeze, r.precopy
	if !r.Stopped() { // withdrawn meanwhile, or it goes on at once
		r.telling = false
		r.proc.Unfreeze()
		e.launch(ctx, r)
		e.mu.Unlock()
		return
	}
	e.mu.Unlock()
	h := &apiv1.ImageHeader{Version: imageVersion, App: e.start.App, Rank: int32(r.id)}
	r.out.state(h)
	e.frozen(f, int32(r.id), since, nil) // it stands still, and prints nothing more here
	failpoint.Here("executor.stopped")
	var err error
	if h.MpiState, err = e.world.Capture(r.id); err != nil {
		p.end()
		err = fmt.Errorf("executor: rank %d: %w", r.id, err)
	} else {
		err = p.finish(&stillImage{header: h, since: since})
	}
	switch {
	case !e.stays(ctx, r, f):
	case err != nil:
		p.way.failed(since, err)
	default:
		p.way.arrived(since)
	}
}

// stays has a rank stand still that way whose image was sent, or could not be, unless something else was decided meanwhile.
func (e *Executor) stays(ctx context.Context, r *rank, way string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch r.Sent(way, e.cancelled != nil) {
	case stand.SentGone:
		e.release(ctx, r)
		close(r.dropped)
		return false
	case stand.SentEnds:
		e.endStill(ctx, r)
		return false
	case stand.SentGoesOn:
		e.goOn(ctx, r)
		return false
	case stand.SentStays:
	}
	return true
}

// frozen tells that a rank stands still, or why it does not, or why it cannot be sent.
func (e *Executor) frozen(migration string, id int32, since time.Time, err error) {
	ev := &apiv1.ExecFrozen{Migration: migration, Rank: id, SinceMs: float64(time.Since(since)) / float64(time.Millisecond)}
	if err != nil {
		ev.Error = err.Error()
	}
	e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Frozen{Frozen: ev}})
}

// unfrozen tells that a rank cannot be frozen, and why.
func (e *Executor) unfrozen(id string, rank int32, err error) {
	if id == e.saving {
		e.saved(&apiv1.ExecSaved{Checkpoint: id, Rank: rank, Error: err.Error(), Ended: errors.Is(err, errEnded)})
		return
	}
	e.frozen(id, rank, time.Now(), err)
}

// resume runs frozen ranks again, or takes back a freeze that has not happened yet: the migration was aborted.
func (e *Executor) resume(ctx context.Context, c *apiv1.ExecResume) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, id := range c.Ranks {
		e.resumeRank(ctx, e.ranks[mpi.Rank(id)])
	}
}

// resumeRank runs a rank again that is frozen, or does not stop one that was about to be. Holds mu.
func (e *Executor) resumeRank(ctx context.Context, r *rank) {
	does := r.stands().Resume()
	if does == stand.ResumeNothing {
		return
	}
	r.next = nil
	if r.precopy != nil {
		r.precopy.cancel() // a rank whose image is being sent goes on when that has ended
	}
	if does == stand.ResumeGoesOn {
		e.goOn(ctx, r)
		return
	}
	r.withdraw()
}

// withdraw has a rank run on whose freeze was taken back, and that is not frozen yet. The caller holds the executor's mu.
func (r *rank) withdraw() {
	if r.telling {
		return // it goes on all the same
	}
	r.proc.Unfreeze()
	r.guest.Preempt(false)
}

// goOn runs a frozen rank again. Holds mu.
func (e *Executor) goOn(ctx context.Context, r *rank) {
	if err := e.world.Resume(r.id); err != nil {
		e.emit(failed(fmt.Errorf("executor: rank %d cannot go on: %w", r.id, err)))
		return
	}
	r.telling = false
	r.proc.Unfreeze()
	r.out.goOn()
	e.launch(ctx, r)
	way := r.next
	next, stops := r.GoOn()
	if r.next = nil; next == "" {
		return
	}
	e.sendAhead(ctx, r, way)
	if stops {
		r.stop()
	}
}

func failed(err error) *apiv1.ExecEvent {
	return &apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Failed{Failed: &apiv1.ExecFailed{Reason: err.Error()}}}
}

// thaw runs staged ranks: the migration is committed, and the routes are those of the new epoch.
func (e *Executor) thaw(ctx context.Context, t *apiv1.ExecThaw) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, id := range t.Ranks {
		e.thawRank(ctx, id, t.Epoch)
	}
}

// thawRank runs a staged rank. Holds mu.
func (e *Executor) thawRank(ctx context.Context, id int32, epoch uint64) {
	r := e.ranks[mpi.Rank(id)]
	if r == nil || r.State != stand.Staged {
		e.log.Warn("asked to thaw a rank that is not staged", "rank", id)
		return
	}
	if err := e.world.Join(r.proc, epoch); err != nil {
		e.emit(failed(fmt.Errorf("executor: thaw rank %d: %w", id, err)))
		return
	}
	r.epoch = epoch
	r.out.goOn()
	e.launch(ctx, r)
	e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Thawed{Thawed: &apiv1.ExecThawed{Rank: id}}})
}

// drop destroys ranks that moved away or were staged in vain.
func (e *Executor) drop(ctx context.Context, d *apiv1.ExecDrop) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, id := range d.Ranks {
		r := e.ranks[mpi.Rank(id)]
		switch r.stands().Drop() {
		case stand.DropNothing:
		case stand.DropComing:
			e.dropComing(ctx, r)
		case stand.DropLater: // its target has it, and has not been heard
			r.dropped = make(chan struct{})
			r.precopy.cancel()
		case stand.DropNow:
			e.release(ctx, r)
		}
	}
}

// release destroys a rank that has moved away. Holds mu.
func (e *Executor) release(ctx context.Context, r *rank) {
	e.world.Remove(r.id)
	e.discard(ctx, r)
	delete(e.ranks, r.id)
}
