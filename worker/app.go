package worker

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"os"
	"sync"
	"sync/atomic"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/notify"
)

// Exit codes a worker gives to ranks that did not end by themselves.
const (
	codeGodwitFailed = 125
	codeNotRunnable  = 126
	codeKilled       = 137
)

// State of an app's executor on this host.
type execState uint8

const (
	execNone execState = iota
	execStarting
	execRunning
	execGone
)

// inboxSize bounds what waits for an app's goroutine: executor events and the ends of its own tasks.
const inboxSize = 256

// app follows the committed record of one app and makes this host agree with it. One goroutine owns it; everything else
// posts to its inbox. It decides nothing by itself: what was frozen waits until the record says commit or abort.
type app struct {
	id   string
	host *Worker
	log  *slog.Logger

	inbox chan func()
	done  chan struct{} // closed when the goroutine has ended
	fresh notify.Signal // a newer record is in host.records

	// Owned by the goroutine.
	rec      *apiv1.AppRecord
	exec     execState
	child    *child
	start    *start // of the executor, while it starts; nil: there is none
	execErr  string
	execLost bool // the executor ended while there was no worker, or with its lease
	output   *appLog
	ranks    map[int32]*rankInfo
	acked    string  // migration that this host is ready for
	move     *moving // this host's part of the migration under way; nil: none
	failed   string  // migration that failed here, and why
	failure  string
	attempt  uint32  // of the app's, that all of it here is of
	saving   *saving // this host's part of the checkpoint under way; nil: none
	chains   map[int32]*savedChain
	life     *life // of the executor that there was last; nil: none
	stopping bool
	entry    *entry    // of the executor that there is or was, which was told to start; nil: there was none
	adoption *adoption // of an executor that an earlier process of the worker has left; nil: there is none, or it is done
	severed  [2]string // the migration, and the checkpoint, that were under way when that process ended

	restored   *restoring     // what ranks here begin from; nil: they have, or begin from the beginning
	restoring  map[int32]bool // ranks that the executor makes of it
	late       []func()       // posted while the executor was being stopped
	home       *home          // of the app's directory, if it is here
	filled     bool           // the home has what the app begins with
	toldHome   string         // what the executor was told of the home
	coming     *coming        // the directory on its way here
	wantsFiles bool           // a rank here has asked for the directory
	routed     uint64         // index of the record whose routes the executor has
	silent     time.Duration  // for which the executor has not answered; 0: it answers

	serving serving     // for other hosts
	shared  atomic.Bool // the server of files has known something that is in no file

	sharing   sync.Mutex // guards the next, and that shared becomes true
	homeSaved bool       // what the server knows is noted: it learns nothing more

	losing bool // owned by the goroutine that takes the executor's events: the last lines could not be stored
}

// rankInfo is one rank on this host.
type rankInfo struct {
	epoch     uint64
	state     rankState
	code      int32
	reason    string
	byReason  bool   // the reason says how it ended
	hostLost  bool   // it ended with this host's lease
	migration string // that brought it, or takes it away
	pauseMs   float64
	unsure    bool // it had come, staged, before this process began, and the leader is not told so by this one

	// Of an arrived rank.
	stopped    time.Time // when it stopped at its source
	bytes      int64     // that have come, and of these while it stood still
	pauseBytes int64
	rounds     int32
	digest     string
}

// rankState is one of the Rank... words of a status.
type rankState string

func newApp(id string, host *Worker) *app {
	return &app{
		id: id, host: host, log: host.log.With("app", id),
		inbox: make(chan func(), inboxSize), done: make(chan struct{}), fresh: notify.NewSignal(),
		ranks: map[int32]*rankInfo{}, chains: map[int32]*savedChain{}, restoring: map[int32]bool{},
	}
}

// run is the app's goroutine. It returns when the app is over for this host, or ctx ends.
func (a *app) run(ctx context.Context) {
	defer close(a.done)
	defer a.endRun()
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
			if rec := a.host.record(a.id); rec != nil {
				a.rec = rec // follow has put no older one in its place
			}
		case <-ctx.Done():
			if a.host.keeps(ctx) {
				a.letGo()
			} else {
				a.stopChild()
			}
			return
		}
		if a.rec == nil {
			continue
		}
		if attempt := a.rec.App.Attempt; attempt != a.attempt && !a.rec.Gone && !apiv1.AppOver(a.rec.App.Phase) {
			if a.attempt != 0 {
				a.newAttempt()
			}
			a.attempt = attempt
		}
		if !a.adopted(ctx) {
			continue
		}
		if a.rec.Gone || apiv1.AppOver(a.rec.App.Phase) {
			a.finish()
			return
		}
		a.reconcile(ctx)
		a.host.publish(a.status())
	}
}

// endRun ends what the goroutine has begun.
func (a *app) endRun() {
	if a.move != nil {
		a.move.end()
	}
	if a.saving != nil {
		a.endSaving()
	}
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
	a.stopChild()
	a.host.logs.close(a.id)
	a.host.removeArrivals(a.id)
	a.dropComing()
	if a.home != nil {
		a.leaveHome()
	}
	_ = os.Remove(a.host.homeDir(a.id)) // where directories that have moved here were
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
		a.child, a.life, a.exec = nil, nil, execNone
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

// reconcile does the next steps towards the record.
func (a *app) reconcile(ctx context.Context) {
	for id, epoch := range a.mine() {
		if r := a.ranks[id]; r != nil && r.state == apiv1.RankEnded {
			r.epoch = epoch // it may have ended here, staged, before the migration that has brought it was committed
		}
	}
	if a.pending() == nil {
		maps.DeleteFunc(a.ranks, func(id int32, r *rankInfo) bool {
			return r.state == apiv1.RankEnded && !a.isMine(id) // lost, staged, before its migration was aborted: it may come again
		})
	}
	a.followFiles(ctx)
	if a.rec.App.Verdict != "" {
		a.stop(ctx)
		return
	}
	if a.wantsExecutor() && a.exec == execNone {
		a.startChild(ctx)
	}
	if a.exec == execGone { // also one that could not even be started
		a.endAll(codeGodwitFailed, a.execErr)
	}
	if a.exec == execRunning {
		a.follow()
	}
	a.migrate(ctx)
	a.save(ctx)
	if a.idle() {
		a.leaveFiles(ctx, a.child)
		a.stopChild()
		a.exec, a.execErr, a.execLost = execNone, "", false
	}
}

// idle says whether the executor, starting, running or gone, has nothing left to do here: no live rank, none that has come, no migration
// under way.
func (a *app) idle() bool {
	if a.exec == execNone || a.pending() != nil {
		return false
	}
	for range a.mine() {
		return false
	}
	for _, r := range a.ranks {
		if r.state != apiv1.RankEnded {
			return false
		}
	}
	return true
}

// wantsExecutor says whether ranks of the app are, or are about to be, on this host.
func (a *app) wantsExecutor() bool {
	if m := a.pending(); m != nil {
		for _, mv := range m.Moves {
			if mv.To == a.host.cfg.Name {
				return true
			}
		}
	}
	for r := range a.mine() {
		if a.ranks[r] == nil {
			return true
		}
	}
	return false
}

// mine yields the live ranks that the record puts on this host.
func (a *app) mine() iter.Seq2[int32, uint64] {
	return func(yield func(int32, uint64) bool) {
		epoch := a.rec.App.RankEpochs()
		for r, h := range a.rec.App.Placement {
			if h != a.host.cfg.Name || a.rec.App.HasEnded(int32(r)) {
				continue
			}
			if !yield(int32(r), epoch(int32(r))) {
				return
			}
		}
	}
}

// pending is the migration under way, or nil.
func (a *app) pending() *apiv1.Migration {
	m := a.rec.Migration
	if m == nil || apiv1.MigrationOver(m.Phase) {
		return nil
	}
	return m
}

// follow brings the executor's ranks in line with the placement.
func (a *app) follow() {
	routed := false
	var drop []int32
	for id, r := range a.ranks {
		standsStill := r.state == apiv1.RankFrozen || r.state == apiv1.RankStaged
		if a.isMine(id) || !standsStill {
			continue
		}
		if m := a.pending(); m != nil && m.Id == r.migration {
			continue // not decided yet
		}
		drop = append(drop, id)
		delete(a.ranks, id)
	}
	if len(drop) > 0 {
		a.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Drop{Drop: &apiv1.ExecDrop{Ranks: drop}}})
		for _, id := range drop {
			a.logMoved(id)
		}
		a.route()
		routed = true
	}
	for id, epoch := range a.mine() {
		r := a.ranks[id]
		switch {
		case r == nil:
			a.ranks[id] = &rankInfo{
				epoch: epoch, state: apiv1.RankEnded, code: codeGodwitFailed,
				reason: fmt.Sprintf("rank %d is not on %s, though it should be", id, a.host.cfg.Name),
			}
		case r.state == apiv1.RankStaged && epoch > r.epoch:
			if !routed {
				a.route()
				routed = true
			}
			r.state, r.epoch, r.unsure = apiv1.RankRunning, epoch, false
			a.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Thaw{Thaw: &apiv1.ExecThaw{Rank: id, Epoch: epoch}}})
		}
	}
	if !routed && a.routed != a.rec.Index {
		a.route()
	}
}

func (a *app) isMine(rank int32) bool {
	return int(rank) < len(a.rec.App.Placement) && a.rec.App.Placement[rank] == a.host.cfg.Name
}

func (a *app) say(c *apiv1.ExecCommand) {
	if a.child != nil {
		a.child.say(c)
	}
}

// route tells the executor where all ranks are.
func (a *app) route() {
	a.routed = a.rec.Index
	a.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Routes{Routes: a.routes()}})
}

func (a *app) routes() *apiv1.ExecRoutes {
	app := a.rec.App
	n, epoch := app.GetSize(), app.RankEpochs()
	r := &apiv1.ExecRoutes{
		Epoch: app.Epoch, Placement: app.Placement, Addrs: a.rec.Addrs, RankEpochs: make([]uint64, n), Ended: make([]bool, n),
	}
	for rank := range n {
		r.RankEpochs[rank], r.Ended[rank] = epoch(rank), app.HasEnded(rank)
	}
	return r
}

// stop cancels the ranks, and kills them after the grace.
func (a *app) stop(ctx context.Context) {
	if a.exec == execNone || a.exec == execGone {
		a.endAll(codeKilled, "stopped before it ran")
		return
	}
	if a.exec == execStarting && a.child == nil { // whatever holds the start up does not hold up its end
		a.endStart()
		a.exec, a.execErr = execGone, "stopped before it ran"
		a.endAll(codeKilled, a.execErr)
		return
	}
	if a.stopping {
		return
	}
	a.stopping = true
	if a.rec.App.Verdict == apiv1.AppQueued || a.rec.App.Verdict == apiv1.AppFrozen { // it runs again from elsewhere: what its ranks do until they stop is nobody's
		a.child.kill("the app runs again from a checkpoint")
		return
	}
	a.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Cancel{Cancel: &apiv1.ExecCancel{Reason: clean(a.rec.App.Reason)}}})
	child := a.child
	a.host.tasks.Go(func() error {
		t := time.NewTimer(a.host.cfg.CancelGrace)
		defer t.Stop()
		select {
		case <-t.C:
			child.kill("it was still computing after the grace")
		case <-child.exited:
		case <-ctx.Done():
		}
		return nil
	})
}

// endAll ends every live rank of this host: there is no executor, or none any more.
func (a *app) endAll(code int32, reason string) {
	reason = clean(reason)
	for id, epoch := range a.mine() {
		if r := a.ranks[id]; r == nil || r.state != apiv1.RankEnded {
			a.ranks[id] = &rankInfo{epoch: epoch, state: apiv1.RankEnded, code: code, reason: reason, hostLost: a.execLost}
		}
	}
}

// status is what the leader is told.
func (a *app) status() *apiv1.AppStatus {
	s := &apiv1.AppStatus{
		App: a.id, Index: a.rec.Index, Epoch: a.rec.App.Epoch, AckedMigration: a.acked,
		FailedMigration: a.failed, FailedReason: clean(a.failure), Reason: clean(a.execErr),
		SilentMs: a.silent.Milliseconds(), StartSteps: a.startSteps(), StartInLine: a.startInLine(), StartTrouble: a.startTrouble(),
	}
	s.Files = a.filesStatus()
	s.Checkpoint = a.savingStatus()
	s.Executor = [...]string{execNone: "", execStarting: apiv1.ExecutorStarting, execRunning: apiv1.ExecutorRunning, execGone: apiv1.ExecutorEnded}[a.exec]
	if a.exec == execRunning && len(a.restoring) > 0 {
		s.Executor = apiv1.ExecutorStarting
	}
	room := maxReasonsBytes
	for id := range a.rec.App.Size {
		r := a.ranks[id]
		if r == nil || r.unsure || r.state == apiv1.RankEnded && r.pauseMs == 0 && a.rec.App.HasEnded(id) {
			continue // none here, or all is known of it
		}
		reason := r.reason
		if room -= len(reason); room < 0 {
			reason = ""
		}
		s.Ranks = append(s.Ranks, &apiv1.RankStatus{
			Rank: id, Epoch: r.epoch, State: string(r.state), ExitCode: r.code, Reason: reason, ToldByReason: r.byReason, HostLost: r.hostLost,
			ImageBytes: r.bytes, ImageDigest: r.digest, PauseMs: r.pauseMs, Migration: r.migration, PauseBytes: r.pauseBytes, Rounds: r.rounds,
		})
		if l := a.leaving(id); l != nil {
			last := s.Ranks[len(s.Ranks)-1]
			last.AheadBytes, last.Trouble = l.ahead.Bytes+l.logAhead(), l.ahead.Trouble
		}
	}
	return s
}
