package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/pipe"
	"github.com/godwit-run/godwit/worker/part"
)

// ErrKeep is the cause with which Run's context ends where executors are to go on: another process of the worker is about to take them over.
var ErrKeep = errors.New("worker: its executors go on")

// openRegistry finds what an earlier process of the worker has left. If executors of it live this one is the same incarnation of the host: the leader has not missed it
// for longer than its lease, or says so. Otherwise nothing of it is here any more.
func (w *Worker) openRegistry() error {
	var err error
	if w.spawner.runs, err = newRegistry(w.cfg.dir("run")); err != nil {
		return err
	}
	left, err := w.spawner.runs.left()
	if err != nil {
		return err
	}
	last, err := readWord(w.incarnationFile())
	if err != nil {
		return err
	}
	homes := w.spawner.runs.homes()
	lives := len(homes) > 0
	for _, e := range left {
		if !e.Begun { // none of its ranks has run
			e.kill()
		}
		lives = lives || e.Begun && e.living()
	}
	if last == "" || !lives {
		for _, e := range left {
			e.kill()
			w.spawner.runs.remove(e)
		}
		for _, n := range homes {
			w.spawner.runs.removeHome(n.App)
		}
		if err := w.setIncarnation(uuid.NewString()); err != nil { // a full disk, say: the host is unfit, and may have room again
			w.log.Warn("the next process of this worker will adopt no executors", "err", err)
		}
		return w.clearFiles(nil)
	}
	w.incarnation, w.homes = last, homes
	if err := w.clearFiles(homes); err != nil {
		return err
	}
	for i, e := range left {
		switch {
		case !e.Begun, i+1 < len(left) && left[i+1].App == e.App && left[i+1].Begun: // it was stopped on purpose, or is just being
			e.kill()
			w.spawner.runs.remove(e)
		default:
			w.left = append(w.left, e)
		}
	}
	return nil
}

func (w *Worker) incarnationFile() string { return filepath.Join(w.cfg.dir("run"), "incarnation") }

// setIncarnation makes this process another incarnation of the host than any before.
func (w *Worker) setIncarnation(id string) error {
	w.mu.Lock()
	w.incarnation = id
	w.mu.Unlock()
	path := w.incarnationFile()
	err := os.WriteFile(path+"~", []byte(id+"\n"), 0o600) // no crash of the machine leaves an executor for which it counts
	if err == nil {
		err = os.Rename(path+"~", path)
	}
	if err != nil {
		return fmt.Errorf("worker: incarnation: %w", errors.Join(err, os.RemoveAll(path))) // none is adopted then
	}
	return nil
}

// adoption is the taking over of an app's executor. The app's goroutine owns it.
type adoption struct {
	entry    *entry              // nil: there is no executor
	home     *homeNote           // nil: there is none
	standing *apiv1.ExecStanding // what is here, once it is known
	later    []func()            // what the executor has said since; it is taken up, or ends, within the lease
	gone     bool                // the executor
}

// adoptAll begins to take over the executors and homes that are left.
func (w *Worker) adoptAll(ctx context.Context) {
	apps := map[string]*adoption{}
	for _, e := range w.left {
		apps[e.App] = &adoption{entry: e}
	}
	for _, n := range w.homes {
		if apps[n.App] == nil {
			apps[n.App] = &adoption{}
		}
		apps[n.App].home = n
	}
	for id, ad := range apps {
		a := newApp(id, w)
		var attempt uint32
		if a.adoption = ad; ad.entry != nil {
			attempt, a.entry = ad.entry.Attempt, ad.entry
			a.part.Adopting()
		} else {
			attempt = ad.home.Attempt
		}
		a.part.Follow(&apiv1.AppRecord{App: &apiv1.App{Id: id, Attempt: attempt, Spec: &apiv1.AppSpec{}}}) // until the leader says
		w.mu.Lock()
		w.apps[id] = a
		w.statuses[id] = &apiv1.AppStatus{App: id} // so that the leader says what has become of it
		w.mu.Unlock()
		w.tasks.Go(func() error { a.run(ctx); w.forget(a); return nil })
		if ad.entry != nil {
			w.tasks.Go(func() error { a.adoptChild(ctx, ad); return nil })
		}
	}
}

// adoptChild calls the executor that is left, if it is there, and has it say how its ranks stand.
func (a *app) adoptChild(ctx context.Context, ad *adoption) {
	lost := func(why string) {
		ad.entry.kill()
		a.post(func() {
			if a.adoption == ad {
				ad.gone = true
				a.part.AdoptFailed(clean(why))
			}
		})
	}
	switch {
	case !ad.entry.living():
		lost("executor ended while its worker was away")
		return
	case ad.entry.Link != pipe.LinkVersion:
		lost(fmt.Sprintf("executor killed by the worker, which is of another version: they speak versions %d and %d", ad.entry.Link, pipe.LinkVersion))
		return
	}
	out, err := a.host.logs.app(a.id)
	if err != nil {
		a.host.suspectDisk()
		lost(err.Error())
		return
	}
	life, known := &life{output: out, deaf: true}, make(chan struct{})
	c, err := a.host.spawner.adopt(ad.entry, func(ev *apiv1.ExecEvent) { <-known; a.event(ctx, life, ev) }, func(c *child) { <-known; c.code.Load().end(); a.childExited(c) })
	if err != nil {
		lost(err.Error())
		close(known)
		return
	}
	a.host.addChild(c)
	select {
	case <-c.exited:
		a.host.removeChild(c) // it may have been gone before it was there
	default:
	}
	taken := false
	_ = a.ask(func() error {
		if a.adoption != ad {
			return nil
		}
		taken = true
		a.output, a.life, a.child = out, life, c
		a.host.tasks.Go(func() error { a.watchPulse(c); return nil })
		return nil
	})
	close(known)
	switch {
	case taken:
	case ctx.Err() != nil && a.host.keeps(ctx):
		c.release() // the next process may have more time
	default:
		c.kill("its app is over, or runs again elsewhere")
	}
}

// adopted says whether the app goes on as others: what is here is known, and what the leader says of it, or it is over.
func (a *app) adopted(ctx context.Context) bool {
	ad := a.adoption
	switch {
	case ad == nil:
		return true
	case a.over():
		a.takeUpHome(ctx, ad.home) // which is none any more
		ad.home = nil
		return true
	case a.part.Record().Index == 0:
		return false
	case ad.entry == nil || ad.gone:
		a.adoption = nil
		a.takeUpHome(ctx, ad.home)
		return true
	case ad.standing == nil:
		if a.child != nil {
			a.part.Stop(a.with(ctx))
		}
		return false
	}
	a.adoption = nil
	a.takeUpHome(ctx, ad.home)
	a.takeUp(ctx, ad.standing)
	for _, f := range ad.later {
		f()
	}
	return true
}

// takeUp makes what an executor says of its ranks what is here.
func (a *app) takeUp(ctx context.Context, s *apiv1.ExecStanding) {
	a.log.Info("an executor was adopted", "ranks", len(s.Ranks))
	a.wantsFiles = s.WantsFiles
	a.followCode()
	ended, why := a.part.Adopt(a.with(ctx), s)
	for _, e := range ended {
		a.output.finish(e.Rank)
		a.rankEnded(e)
	}
	if why != "" {
		a.child.leaseOver.Store(true) // lost, as with the host
		a.child.kill(why)
	}
}

// letGo ends the app here as its worker's process ends: the executor, if its ranks run, goes on.
func (a *app) letGo() {
	a.saveHome()
	state, _ := a.part.Executor()
	told := state == part.Starting && a.child != nil && a.entry != nil && a.entry.Begun // its ranks may run by now
	if state != part.Running && !told && a.adoption == nil {
		a.stopChild()
		return
	}
	a.endStart()
	if a.child != nil {
		a.child.release()
	}
}

// keeps says whether this process leaves its executors to the next when ctx has ended. It is decided once.
func (w *Worker) keeps(ctx context.Context) bool {
	w.decide.Do(func() {
		until := w.spawner.lease.Until() // 0: this process has had none yet; its executors have that of the one before
		w.keeping = errors.Is(context.Cause(ctx), ErrKeep) && w.spawner.starter == nil && w.spawner.runs.any() && (until == 0 || time.Duration(sinceBoot()) < until)
	})
	return w.keeping
}
