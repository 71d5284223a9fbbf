package fsm

import (
	"fmt"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// liveRanksOn lists the app's ranks that are placed on the host and have not ended.
func liveRanksOn(app *apiv1.App, id HostID) []int32 {
	if !PhaseOf(app).Placed() {
		return nil
	}
	var out []int32
	for r, host := range app.GetPlacement() {
		if host == string(id) && !app.GetRanks()[r].GetEnded() {
			out = append(out, int32(r))
		}
	}
	return out
}

// ranksEnded frees the slots of ranks that a host reports ended. Reports of
// ranks that are elsewhere by now, or have ended before, are passed over.
func (t *tx) ranksEnded(op *apiv1.RanksEnded) outcome {
	old, ok := t.App(AppID(op.GetApp()))
	switch {
	case !ok:
		return refuse(CodeNotFound, "no app %s", op.GetApp())
	case PhaseOf(old).Terminal():
		return refuse(CodeTerminal, "app %s is %s", op.GetApp(), old.GetPhase())
	case !PhaseOf(old).Placed():
		return refuse(CodeWrongPhase, "app %s is %s", op.GetApp(), old.GetPhase())
	}
	if host, ok := t.Host(HostID(op.GetHost())); !ok || HostStateOf(host).Gone() {
		// Its ranks have ended already, or live on in images that have left it.
		return refuse(CodeStale, "host %s is gone", op.GetHost())
	}
	app := clone(old)
	accepted := 0
	for _, e := range op.GetRanks() {
		if !stillThere(app, op.GetHost(), e) {
			continue
		}
		accepted++
		if err := t.endRank(app, e.GetRank(), e.GetExitCode(), e.GetReason(), exitReason(op.GetHost(), e)); err != nil {
			return outcome{fault: err}
		}
	}
	if accepted == 0 {
		return refuse(CodeStale, "none of the %d ranks is on host %s, alive, at the epoch given", len(op.GetRanks()), op.GetHost())
	}
	if mig, ok := t.PendingMigrationOf(AppID(op.GetApp())); ok {
		if r, ended := endedMove(app, mig); ended {
			if err := t.abort(app, mig, fmt.Sprintf("rank %d ended", r)); err != nil {
				return outcome{fault: err}
			}
		}
	}
	return appliedUnless(t.settle(app), op.GetApp())
}

func stillThere(app *apiv1.App, host string, e *apiv1.EndedRank) bool {
	r := e.GetRank()
	return r >= 0 && r < app.GetSize() &&
		app.GetPlacement()[r] == host &&
		!app.GetRanks()[r].GetEnded() &&
		app.GetRanks()[r].GetEpoch() == e.GetEpoch()
}

func exitReason(host string, e *apiv1.EndedRank) string {
	why := fmt.Sprintf("rank %d on %s exited %d", e.GetRank(), host, e.GetExitCode())
	if e.GetReason() != "" {
		why += " (" + e.GetReason() + ")"
	}
	return why
}

// endedMove finds a rank that the migration moves and that has ended.
func endedMove(app *apiv1.App, mig *apiv1.Migration) (int32, bool) {
	for _, m := range mig.GetMoves() {
		if app.GetRanks()[m.GetRank()].GetEnded() {
			return m.GetRank(), true
		}
	}
	return 0, false
}

// endRank ends a live rank of the app, which the caller may change and will
// store, and frees its slot. The first rank that fails decides the app's fate:
// appReason says so.
func (t *tx) endRank(app *apiv1.App, r, code int32, reason, appReason string) error {
	rank := app.GetRanks()[r]
	if rank.GetEnded() {
		return broken("rank %d of app %s ends twice", r, app.GetId())
	}
	rank.Ended, rank.ExitCode, rank.Reason = true, code, reason
	if code != 0 && app.GetVerdict() == "" {
		app.Verdict, app.ExitCode, app.Reason = string(Failed), exitCode(code), appReason
	}
	return t.addUsed(HostID(app.GetPlacement()[r]), -1)
}
