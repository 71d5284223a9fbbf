package control

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/control/steps"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/text"
	"github.com/godwit-run/godwit/planner"
)

// freezesInVain is how many times in a row an app was to be frozen until it counts as one that cannot be, by force only.
const freezesInVain = 3

// leaveWatch is what this leader has tried to have an app leave hosts. It begins anew when less is left of it there, and when it is to be frozen sooner than was known: what was tried before was
// for another wish.
type leaveWatch struct {
	left  int        // ranks and directories that were to leave at the last look
	due   *time.Time // from when on it is to be frozen; nil: never
	idle  int        // tries in a row that began nothing
	tries int        // migrations in a row that came to nothing
	vain  int        // freezes in a row that came to nothing
	froze bool       // of these, the last was a freeze
	alone bool       // it is not frozen: nobody who stays could hold its images
	full  bool       // the last try found no room
	last  time.Time  // when it was
	next  time.Time  // not before then, unless there is room that was not
	rest  time.Time  // no freeze before then, whatever there is
	job   string     // the migration or checkpoint that was begun, and is not known to have ended

	stays string // why not all of it can move
	fault string // why the last of what was begun came to nothing
}

// sooner is by how much an app must have to be frozen sooner for its watch to begin anew: who says again when a host goes does not say it to the millisecond.
const sooner = time.Second

// watch is what is known of an app that is to leave.
func (x *leaving) watch(v *fsm.View, a *leaver, now time.Time) *leaveWatch {
	id := fsm.AppID(a.Id)
	due := a.freezeAt()
	w := x.apps[id]
	switch {
	case w == nil, due != nil && (w.due == nil || due.Before(w.due.Add(-sooner))):
		w = &leaveWatch{left: a.parts}
	case a.parts != w.left && w.vain > 0: // ranks that have left do not have the others stop
		w = &leaveWatch{left: a.parts, job: w.job, vain: w.vain, froze: true, fault: w.fault, full: w.full, last: w.last, next: w.next, rest: w.rest}
	case a.parts != w.left && w.job != "": // what is under way goes on, and counts
		w = &leaveWatch{left: a.parts, job: w.job, froze: w.froze, tries: w.tries}
	case a.parts != w.left:
		w = &leaveWatch{left: a.parts}
	}
	x.apps[id], w.due = w, due
	if w.job != "" {
		w.settle(v, a, now)
	}
	return w
}

// ready says whether the app may be tried again: its pause is over; or only now is it time to freeze it; or it found no room, and there may be some.
func (w *leaveWatch) ready(now, gained time.Time) bool {
	switch {
	case w.job != "":
		return false
	case w.due != nil && !now.Before(*w.due) && w.last.Before(*w.due):
		return true
	case w.full && gained.After(w.last) && now.Sub(w.last) >= leaveAgain<<min(max(0, w.idle-1), 2): // hosts that gain room may do so all the time, and others take it
		return true
	}
	return !now.Before(w.next)
}

// why the app is there still; empty: nothing is known that keeps it.
func (w *leaveWatch) why() string {
	if w.fault == "" || w.stays == "" {
		return cmp.Or(w.fault, w.stays)
	}
	return w.stays + ", and " + w.fault
}

// settle looks how what was begun has ended. What came to nothing is tried again after a pause from its end: ranks stood still for it.
func (w *leaveWatch) settle(v *fsm.View, a *leaver, now time.Time) {
	ended := func(at *timestamppb.Timestamp) time.Time {
		if t := at.AsTime(); at != nil && t.Before(now) {
			return t
		}
		return now
	}
	mig, isMig := v.Migration(fsm.MigrationID(w.job))
	ck, isCheckpoint := v.Checkpoint(fsm.CheckpointID(w.job))
	for isCheckpoint && ck.Next != "" { // that is made in its place
		w.job = ck.Next
		ck, isCheckpoint = v.Checkpoint(fsm.CheckpointID(w.job))
	}
	switch {
	case isMig && !fsm.MigrationPhaseOf(mig).Ended(), isCheckpoint && !apiv1.CheckpointOver(ck.Phase):
		return
	case isMig && fsm.MigrationPhaseOf(mig) == fsm.Committed, isCheckpoint && ck.Phase == apiv1.CheckpointComplete:
	case w.froze:
		w.vainly(a, ended(ck.GetEndedAt()), cmp.Or(ck.GetReason(), "its checkpoint is not known any more"))
	default:
		w.fault = fmt.Sprintf("app %s did not move at %d tries, the last time: %s", a.Id, w.tries, cmp.Or(mig.GetReason(), "its migration is not known any more"))
		w.wait(ended(mig.GetEndedAt()), w.tries)
	}
	w.job = ""
}

// wait has the app tried again some time after a moment.
func (w *leaveWatch) wait(from time.Time, times int) {
	if next := from.Add(min(leaveAgain<<min(max(0, times-1), 10), leaveAgainMost)); next.After(w.next) {
		w.next = next
	}
}

// vainly notes that the app could not be frozen. It can compute meanwhile, so it is tried again the later the more often that was, but for the end of the time that is left.
func (w *leaveWatch) vainly(a *leaver, at time.Time, why string) {
	w.vain++
	w.fault = fmt.Sprintf("app %s could not be frozen at %d tries, the last time: %s", a.Id, w.vain, why)
	pause := steps.VainPause(w.vain)
	for _, h := range a.hosts {
		if h.by != nil && h.by.After(at) && fsm.WishOf(h.Host) == fsm.Evicting {
			pause = min(pause, max(leaveAgain, h.by.Sub(at)/4))
		}
	}
	if w.vain >= freezesInVain && a.forced(at) != nil { // it is ended
		pause = 0
	}
	w.next, w.rest = at.Add(min(pause, leaveAgainMost)), at.Add(pause)
}

// try has an app leave, and says whether something is under way now. When it is time to freeze it, that and migrations take turns, if there is room, whatever either comes to.
func (x *leaving) try(ctx context.Context, v *fsm.View, a *leaver, d planner.Departure, w *leaveWatch, now time.Time) bool {
	over := w.due != nil && !now.Before(*w.due)
	room := len(d.Proposal.Moves) > 0
	if over && w.last.Before(*w.due) { // what had it wait was that there is no room
		w.idle = 0
	}
	begins := fsm.PhaseOf(a.App) == fsm.Starting && a.Restore != ""
	w.stays, w.last, w.full = d.Why, now, !room && d.Short || begins && !d.Fits
	if d.Left == 0 && !room { // its directory alone
		w.stays = filesStay(v, a.App)
	}
	begun := false
	switch turn := w.movesNext(a, over, now); {
	case begins:
		begun = x.beginElsewhere(ctx, a, d.Fits, over, w)
	case room && turn:
		begun = x.move(ctx, a, d, w, now)
	case over && (!now.Before(w.rest) || w.spent(a, now)):
		was := w.froze
		begun = x.freeze(ctx, v, a, w, now)
		if !begun && room && w.froze == was { // what keeps it from being frozen does not keep it from moving
			begun = x.move(ctx, a, d, w, now)
		}
	}
	if !begun && !w.next.After(now) {
		w.idle++
		w.wait(now, w.idle)
	}
	return begun
}

// movesNext says whether it is a migration's turn, where there is room: for as long as it is not time for a freeze, or none may be tried again yet. By force one more is tried,
// and nothing else delays the end of what could not be frozen.
func (w *leaveWatch) movesNext(a *leaver, over bool, now time.Time) bool {
	switch {
	case !over, w.tries == 0:
		return true
	case w.spent(a, now):
		return w.froze
	}
	return w.froze || now.Before(w.rest)
}

// spent says whether the app is to be ended by force, for it could not be frozen.
func (w *leaveWatch) spent(a *leaver, now time.Time) bool {
	return w.vain >= freezesInVain && a.forced(now) != nil
}

// filesStay is why the directory of an app that has nothing else there does not leave.
func filesStay(v *fsm.View, app *apiv1.App) string {
	if waits := planner.MoveHome(v, app, 0).Waits; waits != "" {
		return fmt.Sprintf("the files of app %s wait: %s", app.Id, waits)
	}
	return ""
}

// move has ranks move to other hosts.
func (x *leaving) move(ctx context.Context, a *leaver, d planner.Departure, w *leaveWatch, now time.Time) bool {
	w.tries, w.idle, w.froze = w.tries+1, 0, false
	w.next = now
	w.wait(now, w.tries)
	id := ""
	refusal, err := x.l.ask(ctx, "leave "+a.Id, func(c *apiv1.Command) { id = migrationCommand(c, d.Proposal).GetProposeMigration().Id })
	if err != nil {
		return false
	}
	if refusal != "" {
		w.fault = fmt.Sprintf("app %s does not move: %s", a.Id, refusal)
		return false
	}
	w.job = id
	x.l.log.Info("ranks leave a host", "app", a.Id, "host", a.hosts[0].Id, "cause", d.Proposal.Cause, "moves", len(d.Proposal.Moves), "stay", d.Left)
	return true
}

// freezeAt is from when on what does not leave the app's hosts is to be frozen: nil is never.
func (a *leaver) freezeAt() (first *time.Time) {
	for _, h := range a.hosts {
		for _, wish := range h.wishes {
			if at := freezeBy(wish, a.App); at != nil && (first == nil || at.Before(*first)) {
				first = at
			}
		}
	}
	return first
}

// freezeBy is from when on an app is to be frozen by one wish about a host, and, by force, ended if it cannot be: nil is never.
func freezeBy(wish *apiv1.HostWish, app *apiv1.App) *time.Time {
	at := wish.WishedAt.AsTime()
	switch {
	case fsm.Wish(wish.Wish) == fsm.Evicting && app.Spec.Policy == planner.Spot: // which asks for that at once
	case fsm.Wish(wish.Wish) == fsm.Evicting && wish.Deadline != nil: // half of the time is for finding it room, and half for its images
		at = at.Add(wish.Deadline.AsTime().Sub(at) / 2)
	case !wish.Force:
		return nil
	case wish.Deadline != nil:
		at = wish.Deadline.AsTime()
	}
	return &at
}

// forced is a host that is drained by force, and is to be empty by now; nil: there is none.
func (a *leaver) forced(now time.Time) *leftHost {
	for _, h := range a.hosts {
		for _, wish := range h.wishes {
			if at := freezeBy(wish, a.App); wish.Force && at != nil && !now.Before(*at) {
				return h
			}
		}
	}
	return nil
}

// freeze freezes an app that does not leave its hosts, to wait in the queue; if it cannot be, it is ended by force. It says whether something is under way now.
func (x *leaving) freeze(ctx context.Context, v *fsm.View, a *leaver, w *leaveWatch, now time.Time) bool {
	host := a.forced(now)
	switch {
	case fsm.PhaseOf(a.App) != fsm.Running || a.Verdict != "":
		return false
	case !a.Migratable || host != nil && w.vain >= freezesInVain:
		return host != nil && x.end(ctx, a, host, w)
	case a.CheckpointId != "":
		w.fault = fmt.Sprintf("app %s is not frozen yet: the images of checkpoint %s are on their way", a.Id, a.CheckpointId)
		w.idle = 0 // it may be now
		return false
	case !steps.MayCheckpoint(v, a.App):
		w.fault = fmt.Sprintf("app %s cannot be frozen yet: some server has an older godwit (see godwit servers)", a.Id)
		return false
	}
	id := newCheckpointID()
	begin := steps.BeginCheckpoint(v, a.App, id, steps.CauseFreeze, apiv1.AfterCheckpoint_AFTER_CHECKPOINT_QUEUE)
	alone := steps.Alone(v, begin)
	if w.alone = alone != ""; w.alone { // it would wait for a machine that is gone
		w.fault = fmt.Sprintf("app %s is not frozen, for no host that stays can hold the images of host %s: see godwit hosts", a.Id, alone)
		return host != nil && x.end(ctx, a, host, w)
	}
	w.froze = true
	refusal, err := x.l.ask(ctx, "freeze of "+a.Id, func(c *apiv1.Command) { c.Op = begin.Command.Op })
	if err != nil {
		return false
	}
	if refusal != "" {
		w.vainly(a, now, refusal)
		return false
	}
	w.job = string(id)
	x.l.log.Info("an app is to be frozen, for it did not move elsewhere", "app", a.Id, "host", a.hosts[0].Id, "checkpoint", id, "tries", w.vain+1)
	return true
}

// end ends an app that is on a host which is drained by force, and can neither move nor be frozen.
func (x *leaving) end(ctx context.Context, a *leaver, host *leftHost, w *leaveWatch) bool {
	reason := text.Clean(fmt.Sprintf("host %s is drained by force: %s", host.Id, w.why()), maxReasonBytes)
	refusal, err := x.l.ask(ctx, "end "+a.Id, func(c *apiv1.Command) {
		c.Op = &apiv1.Command_StopApp{StopApp: &apiv1.StopApp{App: a.Id, Phase: string(fsm.Failed), Reason: reason}}
	})
	return err == nil && refusal == ""
}

// beginElsewhere has an app that begins from a checkpoint, and does not come to run on a host that is to be left, begin on other hosts: nothing of it has run yet. It does so where something
// keeps it from beginning and there is room, or where it is time to freeze it.
func (x *leaving) beginElsewhere(ctx context.Context, a *leaver, fits, over bool, w *leaveWatch) bool {
	trouble := ""
	for _, h := range a.hosts {
		if st := x.l.inbox.report(fsm.HostID(h.Id), fsm.AppID(a.Id)); st.GetEpoch() == a.Epoch {
			trouble = cmp.Or(trouble, st.GetStartTrouble())
		}
	}
	if trouble != "" {
		w.fault = fmt.Sprintf("app %s does not begin: %s", a.Id, text.Line(trouble, maxWhyShown))
	}
	if a.Verdict != "" || !over && (trouble == "" || !fits) {
		return false
	}
	reason := text.Clean(fmt.Sprintf("host %s is to be left: it begins elsewhere", a.hosts[0].Id), maxReasonBytes)
	refusal, err := x.l.ask(ctx, "begin "+a.Id+" elsewhere", func(c *apiv1.Command) {
		c.Op = &apiv1.Command_RestartApp{RestartApp: &apiv1.RestartApp{App: a.Id, Attempt: a.Attempt, Reason: reason, FromCheckpoint: true}}
	})
	return err == nil && refusal == ""
}
