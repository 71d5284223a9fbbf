package executor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/pipe"
	"github.com/godwit-run/godwit/worker/stand"
)

const (
	restHeap   = 32 << 20 // with more on the heap than this between apps it is collected
	restLooks  = 2000     // at what is left of an app, and
	restEach   = time.Millisecond
	ownDescDir = "/proc/self/fd"
)

// errRest is returned when the app is over, and the executor is to be one of another app.
var errRest = errors.New("executor: the app is over")

// footprint is what a process has beside its memory.
type footprint struct{ goroutines, descriptors int }

// footprintNow is that of this process.
func footprintNow() (footprint, error) {
	open, err := os.ReadDir(ownDescDir)
	return footprint{runtime.NumGoroutine(), len(open)}, err
}

// serveApps runs one app after the other, until the link ends. Between them there is nothing to lose: who has no worker then ends.
func (e *Executor) serveApps(ctx context.Context) error {
	log := e.log
	over := e.idle.begin(log)
	control, start, err := e.firstWorker(ctx)
	over(start != nil)
	if err != nil || start == nil {
		return err
	}
	if e.empty, err = footprintNow(); err != nil {
		return err
	}
	for {
		e.log = log.With("app", start.App)
		if control, err = e.serve(ctx, control, start); errors.Is(err, errRest) {
			err = e.rest(ctx, log)
		} else if err == nil {
			return nil
		}
		if errors.Is(err, errLeftOver) {
			log.Warn("this process is no executor of another app", "app", start.App, "why", err)
			return nil
		}
		if errors.Is(err, errNotEmpty) {
			return nil
		}
		if err != nil {
			return err
		}
		over := e.idle.begin(log)
		err = control.Send(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Rested{Rested: &apiv1.ExecRested{}}})
		if start = nil; err == nil {
			start = nextStart(control)
		}
		if over(start != nil); start == nil { // the worker's process has ended
			return nil
		}
	}
}

// nextStart waits for the next app. What is said before is of the last one. nil: the worker's process has ended.
func nextStart(control *pipe.Conn) *apiv1.ExecStart {
	for {
		var c apiv1.ExecCommand
		if control.Receive(&c) != nil {
			return nil
		}
		if s := c.GetStart(); s != nil {
			return s
		}
	}
}

// mayRest is errRest, or why this process can be no executor of another app. It is of use only if the app has run here and nowhere else, and ended well: what may have left
// something, or was not foreseen, ends with its process.
func (e *Executor) mayRest() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.ending != nil, e.cancelled != nil, e.saving != "", len(e.mounts) > 0, e.home.wanted(), e.start.Stdin != "", len(e.ranks) != int(e.start.Size), e.net.hadPeers():
		return errNotEmpty
	}
	for _, r := range e.ranks {
		if r.State != stand.Ended || r.end == nil || r.end.ExitCode != 0 || r.end.Reason != "" || r.precopy != nil || r.series != nil || r.coming != nil {
			return errNotEmpty
		}
	}
	return errRest
}

// errNotEmpty is returned when something of an app may be left.
var errNotEmpty = errors.New("executor: the app is over, and this process with it")

// errLeftOver is returned when something of an app is left that should not be.
var errLeftOver = errors.New("executor: something of the app is left")

// rest takes leave of the app. Nothing of it is there but what is compiled: a process that has more goroutines or descriptors than it began with is no executor of another.
func (e *Executor) rest(ctx context.Context, log *slog.Logger) error {
	select {
	case c := <-e.workers.handovers: // of the app that is over
		_ = c.Conn.Close()
	default:
	}
	if e.code.left != nil {
		return fmt.Errorf("%w: %w", errLeftOver, e.code.left)
	}
	if e.endFiles(errRest); e.engine.InUse() != 0 {
		return fmt.Errorf("%w: %d bytes of memory of guests", errLeftOver, e.engine.InUse())
	}
	e.life = newLife(log)
	e.title.clear()
	if heapBytes() > restHeap {
		runtime.GC() // no guest is there to be waited for
	}
	e.settle()
	now, err := footprintNow()
	if err != nil {
		return err
	}
	if now.goroutines <= e.empty.goroutines && now.descriptors <= e.empty.descriptors {
		return ctx.Err()
	}
	return fmt.Errorf("%w: it has %d goroutines and %d descriptors, of %d and %d at first", errLeftOver, now.goroutines, now.descriptors, e.empty.goroutines, e.empty.descriptors)
}

// settle waits until goroutines that have been waited for are gone, which nobody tells: on a busy machine they may have said that they end, and not have come to it.
func (e *Executor) settle() {
	t := time.NewTicker(restEach)
	defer t.Stop()
	for range restLooks {
		if runtime.NumGoroutine() <= e.empty.goroutines {
			return
		}
		<-t.C
	}
}
