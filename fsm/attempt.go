package fsm

import (
	"cmp"
	"fmt"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// restartApp has an app run again as it was submitted, or from its checkpoint: its ranks
// are stopped, and when the last has ended it is queued, as its next attempt.
func (t *tx) restartApp(op *apiv1.RestartApp) outcome {
	old, ok := t.App(AppID(op.GetApp()))
	switch {
	case !ok:
		return refuse(CodeNotFound, "no app %s", op.GetApp())
	case PhaseOf(old).Terminal():
		return refuse(CodeTerminal, "app %s %s (exit code %d)", op.GetApp(), apiv1.AppStands(old.GetPhase(), true), old.GetExitCode())
	case old.GetAttempt() != op.GetAttempt():
		return refuse(CodeStale, "app %s is at attempt %d, not %d", op.GetApp(), old.GetAttempt(), op.GetAttempt())
	case PhaseOf(old) == Queued:
		return refuse(CodeWrongPhase, "app %s is queued, attempt %d has not begun", op.GetApp(), old.GetAttempt())
	case Phase(old.GetVerdict()) == Cancelled:
		return refuse(CodeStopping, "app %s is being stopped as %s", op.GetApp(), old.GetVerdict())
	case old.GetLastAttempt():
		return refuse(CodeStopping, "app %s is being stopped, and does not run again: %s", op.GetApp(), old.GetReason())
	case op.GetFromCheckpoint():
		return t.restartFromCheckpoint(old, op)
	case !mayRestart(old):
		return refuse(CodeTooMany, "app %s is at attempt %d, and may run again %d times", op.GetApp(), old.GetAttempt(), old.GetSpec().GetRestarts())
	case Phase(old.GetVerdict()) == Queued:
		return applied(op.GetApp())
	}
	app := draftApp(old)
	app.Verdict, app.Reason, app.Restoring = string(Queued), cleanReason(op.GetReason()), false
	return appliedUnless(t.settle(app), op.GetApp())
}

// restartFromCheckpoint has an app that cannot go on as it is run again from its checkpoint,
// or fail, as if a host of it were lost. The first verdict stands, and what another host
// says of the checkpoint counts nevertheless.
func (t *tx) restartFromCheckpoint(old *apiv1.App, op *apiv1.RestartApp) outcome {
	if old.GetVerdict() != "" {
		if ck, ok := t.Checkpoint(CheckpointID(op.GetLost())); ok && ck.GetDoubtedBy() == op.GetLostBy() { // it has said so of this attempt
			return applied(old.GetId())
		}
		return appliedUnless(t.foundLost(old, op), old.GetId())
	}
	if err := t.foundLost(old, op); err != nil {
		return outcome{fault: err}
	}
	app := draftApp(old)
	why := t.goOn(app, op.GetReason(), op.GetInVain())
	if app.GetVerdict() == "" {
		app.Verdict, app.Reason, app.ExitCode = string(Failed), cleanReason(why), ExitFailed
	}
	return appliedUnless(t.settle(app), old.GetId())
}

// foundLost notes that a host which was to begin an app has found nobody who has its checkpoint
// whole. Of one that an object store has it takes another host that says so, or the same one at a
// later try of that app, which had no other: what one host takes for the store may be something
// else, and all apps that wait for the checkpoint would fail for it.
func (t *tx) foundLost(app *apiv1.App, op *apiv1.RestartApp) error {
	old, ok := t.Checkpoint(CheckpointID(op.GetLost()))
	if !ok || op.GetLost() != app.GetRestore() || CheckpointPhaseOf(old) != CheckpointComplete || old.GetLost() {
		return nil
	}
	ck := draftCheckpoint(old)
	switch {
	case old.GetStoredAt() == nil || op.GetLostBy() == "":
	case old.GetDoubtedBy() == "", old.GetDoubtedBy() == op.GetLostBy() && !t.isLive(old.GetDoubtedApp()):
		ck.DoubtedBy, ck.DoubtedApp = op.GetLostBy(), app.GetId()
		t.putCheckpoint(ck)
		return nil
	case old.GetDoubtedBy() == op.GetLostBy() && old.GetDoubtedApp() != app.GetId():
		return nil
	}
	ck.Lost, ck.DoubtedBy, ck.DoubtedApp = true, "", ""
	t.putCheckpoint(ck)
	return t.restoreElse()
}

// isLive tells whether an app is there and has not ended.
func (t *tx) isLive(id string) bool {
	app, ok := t.App(AppID(id))
	return ok && !PhaseOf(app).Terminal()
}

// trusts takes back the doubt of a checkpoint from which an app has begun.
func (t *tx) trusts(app *apiv1.App) {
	if old, ok := t.Checkpoint(CheckpointID(app.GetRestore())); ok && old.GetDoubtedBy() != "" {
		ck := draftCheckpoint(old)
		ck.DoubtedBy, ck.DoubtedApp = "", ""
		t.putCheckpoint(ck)
	}
}

// mayRestart tells whether the app's policy allows another attempt. Those from
// checkpoints, after a host was lost, have a bound of their own.
func mayRestart(app *apiv1.App) bool {
	return int64(app.GetAttempt())-int64(app.GetRestored()) <= int64(app.GetSpec().GetRestarts())
}

// end gives a draft with no live rank its end: the verdict's phase, or success; or
// its next attempt, where that is the verdict, or it had begun, has failed and may
// run again.
func (t *tx) end(app *apiv1.App) error {
	verdict := Succeeded
	if app.GetVerdict() != "" {
		verdict = Phase(app.GetVerdict())
	}
	if again(app, verdict) || verdict == Frozen {
		if gone := t.goneNext(app, verdict); gone != "" {
			verdict, app.ExitCode, app.Reason = Failed, cmp.Or(app.GetExitCode(), ExitFailed), cleanReason(strings.TrimPrefix(app.GetReason()+"; it does not run again: "+gone, "; "))
		} else {
			return t.requeue(app, verdict)
		}
	}
	if err := setPhase(app, verdict); err != nil {
		return err
	}
	app.Verdict, app.GraceMs, app.EndedAt, app.EndedIndex, app.WaitsFor, app.Held = "", 0, t.at, t.entryIndex, nil, false
	return nil
}

// goneNext says why the next attempt of a draft cannot begin from the checkpoint from which
// it would, and never will; empty: it can, or begins from none.
func (t *tx) goneNext(app *apiv1.App, verdict Phase) string {
	from := app.GetSpec().GetRestore()
	if verdict == Frozen || app.GetRestoring() && verdict == Queued {
		from = app.GetRestore()
	}
	if ck, ok := t.Checkpoint(CheckpointID(from)); ok && ck.GetLost() {
		return t.WhyGone(ck)
	}
	return ""
}

// again tells whether a draft whose verdict that is has another attempt.
func again(app *apiv1.App, verdict Phase) bool {
	return verdict == Queued || (verdict == Failed && PhaseOf(app) != Queued && !app.GetLastAttempt() && mayRestart(app))
}

// maxLeft bounds the runs of ranks of which it is kept where they were: of an app with
// more, its output is found again when it has hosts again.
const maxLeft = 64

// leftBy is where the ranks of a draft are, which loses its hosts.
func leftBy(app *apiv1.App) []*apiv1.PlaceRule {
	runs := runsOf(app.GetPlacement())
	if len(runs) > maxLeft {
		return nil
	}
	return runs
}

// thawApp queues a frozen app. It goes on from its checkpoint; or, where nobody holds all of
// that any more, from the last one that an object store has. Only now: until then its hosts
// may come back.
func (t *tx) thawApp(op *apiv1.ThawApp) outcome {
	old, ok := t.App(AppID(op.GetApp()))
	switch {
	case !ok:
		return refuse(CodeNotFound, "no app %s", op.GetApp())
	case PhaseOf(old).Terminal():
		return refuse(CodeTerminal, "app %s %s", op.GetApp(), apiv1.AppStands(old.GetPhase(), true))
	case Phase(old.GetVerdict()) == Frozen:
		return refuse(CodeStopping, "app %s is just being frozen; thaw it when it is", op.GetApp())
	case PhaseOf(old) == Queued:
		return applied(op.GetApp())
	case PhaseOf(old) != Frozen:
		return refuse(CodeWrongPhase, "app %s %s, not frozen", op.GetApp(), apiv1.AppStands(old.GetPhase(), false))
	}
	app := draftApp(old)
	if err := setPhase(app, Queued); err != nil {
		return outcome{fault: err}
	}
	app.Reason = ""
	t.holdForArray(app)
	if ck, ok := t.Checkpoint(CheckpointID(old.GetRestore())); ok {
		part, lost := t.LostPart(ck)
		switch next := t.best(old, ck); {
		case !lost:
		case next == nil:
			return refuse(CodeNotFound, "%s, from which app %s goes on: cancel it", t.WhyGone(ck), op.GetApp())
		case next == ck:
			return refuse(CodeHostNotReady, "nobody holds what host %s has made of checkpoint %s, from which app %s goes on; thaw it when that host is back, with its data directory", part.GetHost(), old.GetRestore(), op.GetApp())
		default:
			app.Restore, app.Reason = next.GetId(), cleanReason(fmt.Sprintf("it goes on from checkpoint %s, for nobody holds what host %s has made of checkpoint %s", next.GetId(), part.GetHost(), old.GetRestore()))
		}
	}
	t.putApp(app)
	return applied(op.GetApp())
}

// requeue puts the draft back into the queue, at its old place, or leaves it frozen. Its epoch goes on
// from where it was, so that late reports of an earlier attempt are stale. It begins
// as it did, or, after a host was lost, from its checkpoint.
func (t *tx) requeue(app *apiv1.App, verdict Phase) error {
	next := Queued
	if verdict == Frozen {
		next = Frozen
	} else {
		app.Reason = fmt.Sprintf("attempt %d: %s", app.GetAttempt(), app.GetReason())
	}
	if err := setPhase(app, next); err != nil {
		return err
	}
	app.Attempt++
	if next == Frozen || app.GetRestoring() && Phase(app.GetVerdict()) == Queued {
		app.Restored++
		app.RanMs += ranMs(app, t.at)
	} else {
		app.Restore, app.RanMs = app.GetSpec().GetRestore(), 0
	}
	app.Restoring, app.Left = false, leftBy(app)
	app.Verdict, app.GraceMs, app.ExitCode, app.StartedAt = "", 0, 0, nil
	app.Placement, app.StartedHosts, app.Ended, app.Ends, app.Epochs, app.Files = nil, nil, nil, nil, nil, nil
	return nil
}

// ranMs is for how many milliseconds the present attempt of an app has run, by the times in the entries.
func ranMs(app *apiv1.App, now *timestamppb.Timestamp) int64 {
	if app.GetStartedAt() == nil {
		return 0
	}
	seconds, nanos := now.GetSeconds()-app.GetStartedAt().GetSeconds(), int64(now.GetNanos())-int64(app.GetStartedAt().GetNanos())
	return max(0, seconds*1000+nanos/1e6)
}
