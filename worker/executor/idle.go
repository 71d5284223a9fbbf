package executor

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/godwit-run/godwit/internal/proc"
)

// IdleLimit is for how long a process without an app may be stopped, or not run at all, before the kernel ends it. Its worker looks after it more often, if there is one.
const IdleLimit = time.Minute

// idleShare is the part of its limit after which it is put off.
const idleShare = 6

// unattended has the kernel end this process while it has no app, if it does not run for that long: it is in no list of its host's, ends with its link, and can do that only if it runs.
type unattended struct {
	limit time.Duration // 0: it is not ended
}

// KillIdle has the kernel end this process if it has no app, and has not run for so long: one that somebody has stopped, whose worker is gone, say. To be called before Run.
func (e *Executor) KillIdle(limit time.Duration) { e.idle.limit = limit }

// begin notes that there is no app, until over is called. If there is one then, nothing of this is left; else the process is about to end, and its last deadline stays: somebody may stop it before it has.
func (u unattended) begin(log *slog.Logger) (over func(app bool)) {
	if u.limit == 0 {
		return func(bool) {}
	}
	deadline, err := proc.NewDeadline()
	if err == nil {
		err = deadline.Set(u.limit)
	}
	if err != nil { // a kernel without it
		log.Debug("a process that waits for its app, and is stopped, does not end with its worker", "err", err)
		return func(bool) {}
	}
	ctx, stop := context.WithCancel(context.Background())
	var gone sync.WaitGroup
	gone.Go(func() { // until over is called
		t := time.NewTicker(u.limit / idleShare)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				_ = deadline.Set(u.limit) // the only error is that there is no such timer
			case <-ctx.Done():
				return
			}
		}
	})
	return func(app bool) {
		if app {
			_ = deadline.Close() // the only error is that there is none
		}
		stop()
		gone.Wait()
	}
}
