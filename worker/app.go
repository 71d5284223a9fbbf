package worker

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/notify"
	"github.com/godwit-run/godwit/worker/part"
)

// inboxSize bounds what waits for an app's goroutine: executor events and the ends of its own tasks.
const inboxSize = 256

// app follows the committed record of one app and makes this host agree with it: what is done its part decides (package part), and
// hands.go does. One goroutine owns it; everything else posts to its inbox.
type app struct {
	id   string
	host *Worker
	log  *slog.Logger

	inbox chan func()
	done  chan struct{} // closed when the goroutine has ended
	fresh notify.Signal // a newer record is in host.records

	// Owned by the goroutine.
	part     *part.Part
	child    *child
	start    *start // of the executor, while it starts; nil: there is none
	output   *appLog
	sending  *sendings // logs of ranks that are about to leave; nil: none
	saving   *saving   // what is done for the checkpoint under way; nil: there is none
	chains   map[int32]*savedChain
	life     *life     // of the executor that there was last; nil: none
	entry    *entry    // of the executor that there is or was, which was told to start; nil: there was none
	adoption *adoption // of an executor that an earlier process of the worker has left; nil: there is none, or it is done

	restored   *restoring    // what ranks here begin from; nil: they have, or begin from the beginning
	late       []func()      // posted while the executor was being stopped
	home       *home         // of the app's directory, if it is here
	filled     bool          // the home has what the app begins with
	toldHome   string        // what the executor was told of the home
	coming     *coming       // the directory on its way here
	wantsFiles bool          // a rank here has asked for the directory
	silent     time.Duration // for which the executor has not answered; 0: it answers

	serving serving     // for other hosts
	shared  atomic.Bool // the server of files has known something that is in no file

	sharing   sync.Mutex // guards the next, and that shared becomes true
	homeSaved bool       // what the server knows is noted: it learns nothing more

	losing bool // owned by the goroutine that takes the executor's events: the last lines could not be stored
}

func newApp(id string, host *Worker) *app {
	return &app{
		id: id, host: host, log: host.log.With("app", id),
		inbox: make(chan func(), inboxSize), done: make(chan struct{}), fresh: notify.NewSignal(),
		part: part.New(id, host.cfg.Name), chains: map[int32]*savedChain{},
	}
}

// run is the app's goroutine. It returns when the app is over for this host, or ctx ends.
func (a *app) run(ctx context.Context) {
	defer close(a.done)
	defer a.endRun(ctx)
	for {
		for len(a.late) > 0 {
			f := a.late[0]
			a.late = a.late[1:]
			f()
		}
		select {
		case f := <-a.inbox:
			f()
			a.drain()
		case <-a.fresh:
			if rec := a.host.record(a.id); rec != nil && a.part.Follow(rec) { // no older one is put in its place
				a.newAttempt(ctx)
			}
		case <-ctx.Done():
			if a.host.keeps(ctx) {
				a.letGo()
			} else {
				a.stopChild()
			}
			return
		}
		if a.part.Record() == nil {
			continue
		}
		if !a.adopted(ctx) {
			continue
		}
		if a.over() {
			a.finish()
			return
		}
		a.part.Step(a.with(ctx))
		a.host.publish(a.status(ctx))
	}
}

// over says whether the app is, for this host.
func (a *app) over() bool {
	rec := a.part.Record()
	return rec.Gone || apiv1.AppOver(rec.App.Phase)
}

// runs says whether the executor does.
func (a *app) runs() bool {
	state, _ := a.part.Executor()
	return state == part.Running
}

// endRun ends what the goroutine has begun.
func (a *app) endRun(ctx context.Context) {
	a.part.End(a.with(ctx))
	a.dropRestored()
	a.host.checkpoints.pin(a.id, nil)
	a.endStart()
}

// post gives f to the app's goroutine; it is dropped when that has ended.
func (a *app) post(f func()) {
	select {
	case a.inbox <- f:
	case <-a.done:
	}
}

// drain takes what else is posted already: looking at the record, and the status, cost what the app has of ranks, so they follow
// all of it once.
func (a *app) drain() {
	for range inboxSize {
		select {
		case f := <-a.inbox:
			f()
		default:
			return
		}
	}
}

// finish ends what is left on this host.
func (a *app) finish() {
	a.restChild()
	a.stopChild()
	a.host.logs.close(a.id)
	a.host.removeArrivals(a.id)
	a.dropComing()
	if a.home != nil {
		a.leaveHome()
	}
	_ = os.Remove(a.host.homeDir(a.id)) // where directories that have moved here were
}

// restChild has the executor of an app that has succeeded, and had no other host, no files and no checkpoint to begin from, wait for its next app.
func (a *app) restChild() {
	rec, c := a.part.Record(), a.child
	if rec.Gone || rec.App.Phase != "succeeded" || c == nil || a.entry == nil || !a.runs() || a.home != nil || a.wantsFiles || rec.Restore != nil || a.adoption != nil {
		return
	}
	if c.rest(a.host.spawner.warm) {
		a.child, a.life, a.entry = nil, nil, nil
	}
}

// stopChild ends the executor, or its start.
func (a *app) stopChild() {
	a.endStart()
	if ad := a.adoption; ad != nil && ad.home != nil { // it is of what is over
		a.host.spawner.runs.removeHome(a.id)
		a.host.dropHome(&home{dir: ad.home.Dir})
	}
	a.adoption = nil
	if a.child != nil {
		a.child.kill("not needed any more")
		a.waitChild()
		a.child, a.life = nil, nil
	}
	if a.entry != nil {
		a.entry.kill()
		a.host.spawner.runs.remove(a.entry)
		a.entry = nil
	}
}

// waitChild waits until the executor, which was killed, is gone: the kernel bounds that. What is posted meanwhile comes after it:
// the reader of the executor's last events must not wait for us while we wait for it.
func (a *app) waitChild() {
	var later []func()
	for {
		select {
		case f := <-a.inbox:
			later = append(later, f)
			continue
		case <-a.child.exited:
		}
		break
	}
	a.late = append(a.late, later...)
}

func (a *app) say(c *apiv1.ExecCommand) {
	if a.child != nil {
		a.child.say(c)
	}
}

// status is what the leader is told.
func (a *app) status(ctx context.Context) *apiv1.AppStatus {
	s := a.part.Status(a.with(ctx))
	s.SilentMs, s.StartSteps, s.StartInLine, s.StartTrouble = a.silent.Milliseconds(), a.startSteps(), a.startInLine(), a.startTrouble()
	s.StartRefused, s.StartLost = a.startRefused()
	s.Files = a.filesStatus()
	return s
}
