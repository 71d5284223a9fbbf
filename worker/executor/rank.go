package executor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/mpi"
	"github.com/godwit-run/godwit/worker/stand"
	"github.com/godwit-run/godwit/worker/wasm"
)

// rank is one rank on this host. Its fields are guarded by the executor's mutex; its guest is used by one goroutine at a
// time: the one that runs it, or, as long as that waits, the one that sends it, or, once it is frozen or staged, whoever holds the mutex.
type rank struct {
	id    mpi.Rank
	guest *wasm.Guest
	proc  *mpi.Proc // of a staged rank, in no world yet
	out   *output

	stand.Rank

	epoch uint64           // at which it was put here; 0: that is not said yet
	end   *apiv1.ExecEnded // as it was told; nil: it was not
	fresh bool             // its program has not begun

	telling bool // it is to stop and go on, since it is to be told that it is to end

	precopy *precopy      // the last way its memory went; nil: none
	series  *series       // what checkpoints have of its memory; nil: nothing that counts
	coming  *coming       // how it comes, or has come; nil: it was started here
	next    way           // that of Next
	dropped chan struct{} // closed when it is gone; nil: it was not dropped while its image was still being sent
}

// stands is how a rank stands; nil: it is not here.
func (r *rank) stands() *stand.Rank {
	if r == nil {
		return nil
	}
	return &r.Rank
}

// guestConfig is what a rank of a program is started with.
func (e *Executor) guestConfig(p *program, id mpi.Rank, o *output) wasm.GuestConfig {
	return wasm.GuestConfig{
		Args: p.args, Env: p.env, Stdout: writer{o, stdoutStream}, Stderr: writer{o, stderrStream},
		Stdin: e.stdin(id, o.flush), Locks: homeLocks{e.home.laneOf(e.filing, id)}, Mounts: e.rankMounts(e.filing, id), Dir: cmp.Or(e.start.Dir, workPath), Scratch: e.start.Scratch,
	}
}

// startRank makes a fresh rank. Holds mu.
func (e *Executor) startRank(ctx context.Context, id mpi.Rank) error {
	out := e.newOutput(id)
	p, err := e.programOf(id)
	if err != nil {
		return err
	}
	guest, err := p.module.New(ctx, e.guestConfig(p, id, out))
	if err != nil {
		return fmt.Errorf("executor: rank %d: %w", id, err)
	}
	epoch := e.start.Routes.RankEpochs[id]
	proc, err := e.world.AddRank(id, epoch, guest.Memory())
	if err != nil {
		return errors.Join(fmt.Errorf("executor: rank %d: %w", id, err), guest.Close(ctx))
	}
	guest.Bind(proc)
	e.ranks[id] = &rank{id: id, guest: guest, proc: proc, out: out, Rank: stand.Rank{State: stand.Ready}, epoch: epoch, fresh: true}
	return nil
}

// launch runs the rank on a goroutine of its own: its guest, then the delivery of what that has sent. Holds mu.
func (e *Executor) launch(ctx context.Context, r *rank) {
	r.State = stand.Running
	if e.ending != nil && !r.guest.Terminate(e.ending) { // as it goes on
		r.fail(e.ending)
	}
	e.runGroup.Go(func() error {
		var exit wasm.Exit
		if !r.guest.Ended() { // or it had before it was frozen, with 0
			exit = e.runGuest(ctx, r)
		}
		if exit.Frozen {
			e.stopped(ctx, r)
			return nil
		}
		end := verdict(r, exit, e.start.MemoryDeclared)
		if end.ExitCode == 0 {
			r.out.flush()
			if errors.Is(r.proc.Drain(), mpi.ErrFrozen) { // another error is Cancel's: nobody wants it any more
				e.stopped(ctx, r)
				return nil
			}
		}
		e.ended(ctx, r, end)
		return nil
	})
}

// runGuest runs a rank's guest, and no program that is to begin in a directory that is not there. What is not known the program finds out.
func (e *Executor) runGuest(ctx context.Context, r *rank) wasm.Exit {
	if r.fresh && e.start.Dir != "" {
		r.fresh = false
		switch err := r.guest.CheckDir(); {
		case errors.Is(err, syscall.ENOENT):
			return wasm.Exit{Code: 1, Reason: fmt.Sprintf("--wdir %s: there is no such directory on host %s", e.start.Dir, e.start.Host)}
		case errors.Is(err, syscall.ENOTDIR):
			return wasm.Exit{Code: 1, Reason: fmt.Sprintf("--wdir %s: it is no directory on host %s", e.start.Dir, e.start.Host)}
		}
	}
	return r.guest.Run(ctx)
}

// ended reports a rank's end, after its output and, for a good end, when nobody can want anything of it any more.
func (e *Executor) ended(ctx context.Context, r *rank, end *apiv1.ExecEnded) {
	r.out.flush()
	e.mu.Lock()
	r.State = stand.Ended
	if p := r.precopy; p != nil { // it reads the guest's memory
		e.mu.Unlock()
		p.end()
		e.mu.Lock()
	}
	if end.ExitCode == 0 {
		e.world.PeerEnded(r.id)
	} // else the app fails, for this rank's reason and no other's
	e.world.Remove(r.id)
	e.discard(ctx, r)
	e.tellEnd(r, end)
	e.mu.Unlock()
}

// verdict is a rank's exit code and, unless all is well, why: also that its memory could not grow, which may have been the reason.
func verdict(r *rank, exit wasm.Exit, declared bool) *apiv1.ExecEnded {
	end := ending(r, exit)
	if full := r.guest.Memory().Refused(); full != "" && end.ExitCode != 0 {
		if end.Reason != "" {
			end.Reason += "; "
		}
		if end.Reason += full; declared && r.guest.Memory().AtLimit() {
			end.Reason += " (--mem of its app, or --default-mem of the cluster)"
		}
	}
	return end
}

// ending is a rank's exit code and, unless all is well, why.
func ending(r *rank, exit wasm.Exit) *apiv1.ExecEnded {
	var abort *mpi.AbortError
	switch {
	case errors.As(exit.Err, &abort):
		code := int32(abort.Code & 0xff)
		if code == 0 {
			code = 1
		}
		return &apiv1.ExecEnded{ExitCode: code, Reason: abort.Message}
	case exit.Code == 0 && exit.Err == nil && r.proc.Initialized() && !r.proc.Finalized():
		return &apiv1.ExecEnded{ExitCode: 1, Reason: "ended without MPI_Finalize (exit code 0)", ToldByReason: true}
	case exit.Err != nil && exit.Reason == "":
		return &apiv1.ExecEnded{ExitCode: max(int32(exit.Code&0xff), 1), Reason: exit.Err.Error()}
	default:
		code := int32(exit.Code & 0xff)
		if exit.Code != 0 && code == 0 {
			code = 1
		}
		return &apiv1.ExecEnded{ExitCode: code, Reason: exit.Reason}
	}
}

// discard releases a guest that nobody runs and whose rank is not in the world. Holds mu.
func (e *Executor) discard(ctx context.Context, r *rank) {
	r.series.close()
	if err := r.guest.Close(ctx); err != nil {
		e.log.Warn("a guest's memory is not released", "rank", r.id, "err", err)
	}
}

// cancel makes every rank fail at its next call; if there is a grace, those that can be told of it not before that is over. One that stands still ends.
func (e *Executor) cancel(ctx context.Context, c *apiv1.ExecCancel) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if grace := time.Duration(c.GraceMs) * time.Millisecond; grace > 0 && e.cancelled == nil {
		e.endGently(ctx, c.Reason, grace)
		return
	}
	if e.cancelled == nil { // the first reason stays
		e.cancelled = fmt.Errorf("%w: %s", errCancelled, c.Reason)
		e.endFiles(e.cancelled)
	}
	for _, r := range e.ranks {
		switch r.Cancel() {
		case stand.EndNothing:
		case stand.EndComing:
			e.dropComing(ctx, r)
		case stand.EndStill:
			e.endStill(ctx, r)
		case stand.EndRuns:
			if r.precopy != nil {
				r.precopy.cancel()
			}
			r.fail(e.cancelled)
		}
	}
}

// fail has a rank that runs fail at its next call.
func (r *rank) fail(why error) {
	r.proc.Cancel(why)
	r.guest.Cancel(why)
	r.guest.Preempt(true)
}

// untoldGrace is how long ranks that cannot be told may take to make a call before this process is ended, if nobody else has more time here.
const untoldGrace = 2 * time.Second

// endGently tells every rank that it is to end, now or when it runs again: once; those that have not ended after the grace, which may be said again, are cancelled. Holds mu.
func (e *Executor) endGently(ctx context.Context, reason string, grace time.Duration) {
	told := e.ending != nil
	if e.ending == nil {
		e.ending = fmt.Errorf("%w: %s", errCancelled, reason)
		for _, r := range e.ranks {
			switch r.State {
			case stand.Running:
				told = e.terminate(r) || told
			case stand.Ended:
			default: // where it goes on
				told = true
			}
		}
	}
	over := func() { e.cancel(ctx, &apiv1.ExecCancel{Reason: reason}) }
	if !told && untoldGrace < grace { // they fail at their next call, if they make one
		grace, over = untoldGrace, func() { e.emit(failed(fmt.Errorf("%w; it was still computing after %s", errCancelled, untoldGrace))) }
	}
	e.runGroup.Go(func() error {
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case <-t.C:
			over()
		case <-ctx.Done():
		}
		return nil
	})
}

// terminate tells a rank that runs that it is to end, and returns true. One that cannot be told fails at its next call. Holds mu.
func (e *Executor) terminate(r *rank) bool {
	if !r.guest.Terminate(e.ending) {
		r.fail(e.ending)
		return false
	}
	if r.guest.Migratable() {
		r.telling = true
		r.proc.Freeze() // it hears of it where it goes on (stopped)
		r.guest.Preempt(true)
	}
	return true
}

// endStill ends a rank that stands still, since the app is cancelled. Holds mu.
func (e *Executor) endStill(ctx context.Context, r *rank) {
	if r.State == stand.Frozen {
		e.world.Remove(r.id)
	}
	r.State = stand.Ended
	e.discard(ctx, r)
	end := &apiv1.ExecEnded{ExitCode: 1, Reason: e.cancelled.Error()}
	e.runGroup.Go(func() error {
		r.out.flush() // it may wait for the worker
		e.mu.Lock()
		defer e.mu.Unlock()
		e.tellEnd(r, end)
		return nil
	})
}

var errCancelled = errors.New("cancelled")
