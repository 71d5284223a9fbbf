package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/pipe"
)

// startChild starts the app's executor; childStarted follows.
func (a *app) startChild(ctx context.Context) {
	a.exec = execStarting
	out, err := a.host.logs.app(a.id)
	if err != nil {
		a.host.suspectDisk()
		a.exec, a.execErr = execGone, err.Error()
		return
	}
	out.audience.owned.Store(a.rec.App.Spec.OwnerLeaseMs > 0)
	a.output, a.start, a.life = out, newStart(a.host.modules), &life{out}
	start, life := a.start, a.life
	digests := a.rec.App.Spec.Modules()
	wanted, giveUp := context.WithCancel(ctx)
	start.digests, start.giveUp = digests, giveUp
	a.dropRestored()
	var placed []int32
	if a.begins() {
		a.restored, placed = a.newRestoring(), a.placedHere()
		start.restored = a.restored
	}
	restored := a.restored
	ranks := min(int(a.rec.App.Size), max(a.host.cfg.Slots, len(a.freshRanks())))
	a.host.tasks.Go(func() error { a.watchStart(ctx, start); return nil })
	a.host.tasks.Go(func() error {
		paths, release, err := a.host.modules.useAll(wanted, digests)
		if err != nil {
			if errors.Is(err, errOwnDisk) {
				a.host.suspectDisk()
			}
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
		c, err := a.host.spawner.start(ctx, a.id, ranks, func(ev *apiv1.ExecEvent) { a.event(life, ev) }, func(c *child) { release(); a.childExited(c) })
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

// freshRanks are the ranks to start here, from their beginning or from a checkpoint.
func (a *app) freshRanks() []int32 {
	var ids []int32
	for id, epoch := range a.mine() {
		if a.ranks[id] == nil && epoch == max(1, a.rec.App.FirstEpoch) {
			ids = append(ids, id)
		}
	}
	return ids
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
	if a.stopping || a.rec.App.Verdict != "" {
		c.kill("stopped before it ran")
		return
	}
	fresh := a.freshRanks()
	for _, id := range fresh {
		a.ranks[id] = &rankInfo{epoch: max(1, a.rec.App.FirstEpoch), state: apiv1.RankRunning}
	}
	begin := fresh
	if a.rec.Restore != nil {
		begin = nil
	}
	spec := a.rec.App.Spec
	mounts, err := a.host.mounts(spec)
	if err != nil {
		c.kill(err.Error())
		return
	}
	c.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Start{Start: &apiv1.ExecStart{
		App: a.id, Programs: a.programs(paths), Size: a.rec.App.Size,
		Ranks: begin, Routes: a.routes(), Host: a.host.cfg.Name, MemoryLimitPages: a.host.cfg.MemoryLimitPages,
		StreamsOnly: a.host.cfg.StreamsOnly, MemoryBytes: ranksMemory(a.host.cfg.TotalMemory),
		Mounts: mounts, Dir: spec.Dir, Scratch: a.host.cfg.DataDir, Stdin: spec.Stdin, FilesClient: c.filesClient,
	}}})
	if a.rec.Restore != nil {
		a.restoreRanks(start.images, fresh)
	}
}

// programs is what the app's ranks run, of modules at these paths by digest.
func (a *app) programs(paths map[string]string) []*apiv1.ExecProgram {
	var out []*apiv1.ExecProgram
	for _, p := range a.rec.App.Spec.Programs() {
		out = append(out, &apiv1.ExecProgram{
			ModulePath: paths[p.ModuleDigest], CacheDir: a.host.modules.codeDir(p.ModuleDigest),
			Args: append([]string{cmp.Or(p.Name, a.rec.App.Name)}, p.Args...), Env: p.Env, Ranks: p.Ranks,
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

// childGone notes that the executor is gone, and how.
func (a *app) childGone(c *child) {
	a.exec, a.child, a.silent = execGone, nil, 0
	a.endStart()
	code, reason := exitReason(c)
	if a.stopping {
		code, reason = codeKilled, "stopped"
	}
	if a.execErr == "" {
		a.execErr = clean(reason)
	}
	for id, r := range a.ranks {
		if r.state != apiv1.RankEnded {
			a.ranks[id] = &rankInfo{epoch: r.epoch, state: apiv1.RankEnded, code: code, reason: a.execErr, hostLost: withLease(c)}
		}
	}
	a.endAll(code, a.execErr)
	if m := a.pending(); m != nil {
		a.failed, a.failure = m.Id, fmt.Sprintf("executor on %s: %s", a.host.cfg.Name, a.execErr)
	}
}

// withLease says whether the executor has ended with the host's lease: what it ran is lost as with the host.
func withLease(c *child) bool {
	ws, ok := waitStatus(c.state)
	return c.leaseOver.Load() || c.why.Load() == nil && ok && ws.ExitStatus() == pipe.ExitLeaseOver
}

func exitReason(c *child) (int32, string) {
	if why := c.why.Load(); why != nil {
		return codeKilled, "executor killed by the worker: " + *why
	}
	ws, ok := waitStatus(c.state)
	switch {
	case c.starved > 0:
		return codeKilled, fmt.Sprintf("executor killed by the kernel, for want of memory: all executors of this host may take %d MiB together (--total-memory of its worker), if the machine has so much left", c.starved>>20)
	case ok && ws.Signaled():
		return 128 + int32(ws.Signal()), fmt.Sprintf("executor killed by signal %d (%s)", ws.Signal(), ws.Signal())
	case ok && ws.ExitStatus() == pipe.ExitLeaseOver:
		return codeKilled, "executor ended itself: the host's lease was over"
	}
	return codeGodwitFailed, fmt.Sprintf("executor ended: %s", c.state)
}

// life is an executor's, from its start on: what it says of its ranks, but for their output, counts until another one starts or it is
// stopped on purpose.
type life struct{ output *appLog }

// event takes an executor's event. Output is stored at once, before any later event is looked at.
func (a *app) event(of *life, ev *apiv1.ExecEvent) {
	post := func(f func()) {
		a.post(func() {
			if a.life == of {
				f()
			}
		})
	}
	switch m := ev.Msg.(type) {
	case *apiv1.ExecEvent_Output:
		a.store(of.output, m.Output.Lines)
	case *apiv1.ExecEvent_Ready:
		post(func() {
			a.exec = execRunning
			a.endStart()
		})
	case *apiv1.ExecEvent_Ended:
		of.output.finish(m.Ended.Rank)
		post(func() { a.rankEnded(m.Ended) })
	case *apiv1.ExecEvent_WantsFiles:
		post(func() { a.wantsFiles = true })
	case *apiv1.ExecEvent_Expecting:
		post(func() { a.expecting(m.Expecting) })
	case *apiv1.ExecEvent_Ahead:
		post(func() {
			if !a.savedAhead(m.Ahead) {
				a.rankAhead(m.Ahead)
			}
		})
	case *apiv1.ExecEvent_Frozen:
		post(func() {
			if !a.savedFrozen(m.Frozen) {
				a.rankFrozen(m.Frozen)
			}
		})
	case *apiv1.ExecEvent_Saved:
		post(func() { a.rankSaved(m.Saved) })
	case *apiv1.ExecEvent_Staged:
		post(func() {
			if !a.rankRestored(m.Staged) {
				a.rankStaged(m.Staged)
			}
		})
	case *apiv1.ExecEvent_Thawed:
		post(func() {
			if r := a.ranks[m.Thawed.Rank]; r != nil {
				r.pauseMs = milliseconds(time.Since(r.stopped))
			}
		})
	case *apiv1.ExecEvent_Failed:
		post(func() {
			a.execErr = clean(m.Failed.Reason)
			code := int32(codeNotRunnable)
			if a.exec == execRunning { // a part of it has failed, and it ends whole
				code = codeGodwitFailed
			}
			for id, r := range a.ranks {
				if r.state != apiv1.RankEnded {
					a.ranks[id] = &rankInfo{epoch: r.epoch, state: apiv1.RankEnded, code: code, reason: a.execErr}
				}
			}
			if a.child != nil {
				a.child.kill(a.execErr)
			}
		})
	default:
		a.log.Error("unknown event of an executor", "type", fmt.Sprintf("%T", ev.Msg))
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
	r := a.ranks[e.Rank]
	if r == nil || r.state == apiv1.RankEnded {
		return
	}
	r.state, r.code, r.reason, r.byReason = apiv1.RankEnded, e.ExitCode, clean(e.Reason), e.ToldByReason
	n, why := a.output.lost(e.Rank)
	if n == 0 {
		return
	}
	// A run of which a part of the output is missing has not succeeded.
	gap := fmt.Sprintf("%d lines of its output are lost: the host could not store them (%s)", n, why)
	if why == "" { // the notice is in the log that came with the rank, and says it
		gap = fmt.Sprintf("%d lines of its output are lost: a host that it ran on could not store them", n)
	}
	if r.code == 0 {
		r.code = codeGodwitFailed
	}
	if r.reason != "" {
		gap = r.reason + "; " + gap
	}
	r.reason = clean(gap)
}
