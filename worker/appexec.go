package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/pipe"
	"github.com/godwit-run/godwit/worker/part"
)

// startChild starts the app's executor; childStarted follows.
func (a *app) startChild(ctx context.Context) {
	out, err := a.host.logs.app(a.id)
	if err != nil {
		a.host.suspectDisk()
		a.part.StartFailed(err.Error())
		return
	}
	rec := a.part.Record()
	out.audience.owned.Store(rec.App.Spec.OwnerLeaseMs > 0)
	a.output, a.start, a.life = out, newStart(a.host.modules), &life{output: out}
	start, life := a.start, a.life
	digests := rec.App.Spec.Modules()
	code := a.wishCode()
	start.code = code
	wanted, giveUp := context.WithCancel(ctx)
	start.digests, start.giveUp = digests, giveUp
	a.dropRestored()
	var placed []int32
	if a.part.Begins() {
		a.restored, placed = a.newRestoring(), a.placedHere()
		start.restored = a.restored
	}
	restored := a.restored
	what := begins{app: a.id, attempt: a.part.Attempt(), tenant: rec.App.Spec.Tenant, modules: digests, ranks: min(int(rec.App.Size), max(a.host.cfg.Slots, len(a.part.Fresh())))}
	start.processors = what.processors()
	a.host.tasks.Go(func() error { a.watchStart(ctx, start); return nil })
	a.host.tasks.Go(func() error {
		paths, release, err := a.takeModules(wanted, digests, code)
		if err != nil {
			a.post(func() { a.startFailed(start, err) })
			return nil
		}
		if restored != nil {
			if start.images, err = restored.fetch(wanted, placed, out); err != nil {
				release()
				a.post(func() { a.startFailed(start, err) })
				return nil
			}
		}
		c, err := a.host.spawner.launch(wanted, what, func(ev *apiv1.ExecEvent) { a.event(ctx, life, ev) }, func(c *child) {
			release()
			if !c.compiled {
				start.grown() // it has written code
			}
			a.childExited(c)
		})
		if err != nil {
			release()
			a.post(func() { a.startFailed(start, err) })
			return nil
		}
		a.host.addChild(c)
		select {
		case <-c.exited:
			a.host.removeChild(c) // it may have been gone before it was there
		default:
		}
		taken := make(chan struct{})
		a.post(func() { a.childStarted(start, c, paths); close(taken) })
		select {
		case <-taken:
		case <-a.done:
			c.kill("the app was over before it ran") // nobody else knows of it, or it is dead already
		}
		return nil
	})
}

func (a *app) childStarted(start *start, c *child, paths map[string]string) {
	if a.start != start {
		c.kill("its start was given up") // and it was told to run nothing
		return
	}
	start.child.Store(c)
	a.child, a.silent = c, 0
	if c.gone {
		a.childGone(c)
		return
	}
	a.host.tasks.Go(func() error { a.watchPulse(c); return nil })
	if a.part.Unwanted() {
		c.kill("stopped before it ran")
		return
	}
	rec, fresh := a.part.Record(), a.part.Begun()
	begin := fresh
	if rec.Restore != nil {
		begin = nil
	}
	spec := rec.App.Spec
	pages, declared := rankPages(a.host.cfg.MemoryLimitPages, spec.MemoryBytes)
	mounts, err := a.host.mounts(spec)
	if err == nil {
		a.entry = c.entry
		err = c.begun()
	}
	if err != nil {
		c.kill(err.Error())
		return
	}
	start.code.follow(c.sayCode)
	c.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Start{Start: &apiv1.ExecStart{
		App: a.id, Programs: a.programs(paths, start.code), Size: rec.App.Size,
		Processors: int32(start.processors), Ranks: begin, Routes: a.part.Routes(), Host: a.host.cfg.Name, MemoryLimitPages: pages, MemoryDeclared: declared,
		Authority: a.host.authority(), StreamsOnly: a.host.cfg.StreamsOnly || len(rec.LinkKey) > 0, ExactNans: a.host.cfg.ExactNaNs, Engine: a.host.cfg.Engine, MemoryBytes: executorMemory(a.host.cfg.TotalMemory, int(a.part.Record().App.Size)),
		Mounts: mounts, Dir: spec.Dir, Scratch: a.host.cfg.DataDir, Stdin: spec.Stdin, FilesClient: c.filesClient,
	}}})
	if rec.Restore != nil {
		a.restoreRanks(start.images, fresh)
	}
}

// programs is what the app's ranks run, of modules at these paths by digest.
func (a *app) programs(paths map[string]string, code *codeWish) []*apiv1.ExecProgram {
	var out []*apiv1.ExecProgram
	app := a.part.Record().App
	for _, p := range app.Spec.Programs() {
		out = append(out, &apiv1.ExecProgram{
			ModulePath: paths[p.ModuleDigest], CacheDir: a.host.modules.codeDir(p.ModuleDigest),
			Args: append([]string{cmp.Or(p.Program, p.Name, app.Name)}, p.Args...), Env: p.Env, Ranks: p.Ranks, Code: code.standing(p.ModuleDigest),
		})
	}
	return out
}

// childExited is called when the executor is gone.
func (a *app) childExited(c *child) {
	a.host.removeChild(c)
	a.post(func() {
		if c.gone = true; a.child != c {
			return // stopped on purpose, or nothing has been heard of its start yet
		}
		a.childGone(c)
	})
}

// takeModules waits for the app's modules, and for their machine code where nothing else is to run. release gives them back.
func (a *app) takeModules(ctx context.Context, digests []string, code *codeWish) (paths map[string]string, release func(), err error) {
	paths, releaseModules, err := a.host.modules.useAll(ctx, digests)
	if err == nil && a.host.cfg.Engine == engineNative {
		if err = code.await(ctx); err != nil {
			releaseModules()
		}
	}
	if err != nil {
		code.end()
		if errors.Is(err, errOwnDisk) {
			a.host.suspectDisk()
		}
		return nil, nil, err
	}
	return paths, func() { releaseModules(); code.end() }, nil
}

// childGone notes that the executor is gone, and how.
func (a *app) childGone(c *child) {
	a.child, a.silent = nil, 0
	if a.adoption != nil {
		a.adoption.gone = true
	}
	a.endStart()
	code, reason := exitReason(c)
	a.part.ExecutorGone(code, reason, withLease(c) || a.adoption != nil)
}

// withLease says whether the executor has ended with the host's lease: what it ran is lost as with the host.
func withLease(c *child) bool {
	ws, ok := waitStatus(c.state)
	return c.leaseOver.Load() || c.why.Load() == nil && ok && ws.ExitStatus() == pipe.ExitLeaseOver
}

func exitReason(c *child) (int32, string) {
	ws, ok := waitStatus(c.state)
	if ok && ws.ExitStatus() == pipe.ExitLeaseOver { // its link breaks by that, and the worker may have been told to kill it then
		return part.CodeKilled, "executor ended itself: the host's lease was over"
	}
	if why := c.why.Load(); why != nil {
		if c.leaseOver.Load() && strings.HasPrefix(*why, brokenLink) { // as that breaks the link
			return part.CodeKilled, "executor killed by the worker: the host's lease was over"
		}
		return part.CodeKilled, "executor killed by the worker: " + *why
	}
	switch {
	case c.starved > 0:
		return part.CodeKilled, fmt.Sprintf("executor killed by the kernel, for want of memory: all executors of this host may take %d MiB together (--total-memory of its worker), if the machine has so much left", c.starved>>20)
	case ok && ws.Signaled():
		return 128 + int32(ws.Signal()), fmt.Sprintf("executor killed by signal %d (%s)", ws.Signal(), ws.Signal())
	case c.adopted:
		return part.CodeGodwitFailed, "executor ended; how is not known, for an earlier process of the worker had started it"
	}
	return part.CodeGodwitFailed, fmt.Sprintf("executor ended: %s", c.state)
}

// life is an executor's, from its start on: what it says of its ranks, but for their output, counts until another one starts or it is
// stopped on purpose.
type life struct {
	output *appLog
	deaf   bool // until the executor has said how its ranks stand only its output counts; of the goroutine that takes its events
}

// event takes an executor's event. Output is stored at once, before any later event is looked at.
func (a *app) event(ctx context.Context, of *life, ev *apiv1.ExecEvent) {
	post := func(f func()) {
		a.post(func() {
			switch {
			case a.life != of:
			case a.adoption != nil && a.adoption.standing != nil: // it comes behind how the ranks stood, which the app has not taken up yet
				a.adoption.later = append(a.adoption.later, f)
			default:
				f()
			}
		})
	}
	if of.deaf && ev.GetOutput() == nil && ev.GetStanding() == nil && ev.GetFailed() == nil {
		return // of before
	}
	switch m := ev.Msg.(type) {
	case *apiv1.ExecEvent_Output:
		a.store(of.output, m.Output.Lines)
	case *apiv1.ExecEvent_Standing:
		of.deaf = false
		post(func() {
			if a.adoption != nil {
				a.adoption.standing = m.Standing
			}
		})
	case *apiv1.ExecEvent_Ready:
		post(func() {
			if a.part.Ready(); !a.part.Restoring() {
				a.endStart()
			}
		})
	case *apiv1.ExecEvent_Restoring:
		post(func() {
			if a.start != nil {
				a.start.read.Store(m.Restoring.Bytes)
			}
		})
	case *apiv1.ExecEvent_Ended:
		of.output.finish(m.Ended.Rank)
		post(func() { a.rankEnded(m.Ended) })
	case *apiv1.ExecEvent_CodeRefused:
		a.codeRefused(m.CodeRefused)
	case *apiv1.ExecEvent_WantsFiles:
		post(func() { a.wantsFiles = true })
	case *apiv1.ExecEvent_Expecting:
		post(func() { a.part.Expecting(a.with(ctx), m.Expecting) })
	case *apiv1.ExecEvent_Ahead:
		post(func() { a.part.Ahead(a.with(ctx), m.Ahead) })
	case *apiv1.ExecEvent_Frozen:
		post(func() { a.part.Frozen(a.with(ctx), m.Frozen) })
	case *apiv1.ExecEvent_Saved:
		post(func() { a.part.Saved(m.Saved) })
	case *apiv1.ExecEvent_Staged:
		post(func() { a.rankStaged(ctx, m.Staged) })
	case *apiv1.ExecEvent_Thawed:
		post(func() { a.part.Thawed(a.with(ctx), m.Thawed) })
	case *apiv1.ExecEvent_Failed:
		post(func() { a.execFailed(m.Failed.Reason) })
	default:
		a.log.Error("unknown event of an executor", "type", fmt.Sprintf("%T", ev.Msg))
	}
}

// execFailed notes why the executor cannot go on, and ends it.
func (a *app) execFailed(reason string) {
	a.part.ExecutorFailed(reason)
	if a.child != nil {
		a.child.kill(clean(reason))
	}
}

// store keeps lines of output. What cannot be stored is told of in its place, and in the rank's end.
func (a *app) store(output *appLog, lines []*apiv1.LogLine) {
	err := output.append(lines)
	if err != nil && !a.losing {
		a.log.Error("output is lost", "err", err)
		if !errors.Is(err, errUnread) {
			a.host.suspectDisk()
		}
	}
	a.losing = err != nil
	a.host.logs.trim()
}

func (a *app) rankEnded(e *apiv1.ExecEnded) {
	r, news := a.part.Ended(e)
	if !news {
		return
	}
	n, why := a.output.lost(e.Rank)
	if n == 0 {
		return
	}
	// A run of which a part of the output is missing has not succeeded.
	gap := fmt.Sprintf("%d lines of its output are lost: the host could not store them (%s)", n, why)
	if why == "" { // the notice is in the log that came with the rank, and says it
		gap = fmt.Sprintf("%d lines of its output are lost: a host that it ran on could not store them", n)
	}
	if r.Code == 0 {
		r.Code = part.CodeGodwitFailed
	}
	if r.Reason != "" {
		gap = r.Reason + "; " + gap
	}
	r.Reason = clean(gap)
}
