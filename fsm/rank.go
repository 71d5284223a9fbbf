package fsm

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// liveRanksOn lists the app's ranks that are placed on the host and have not ended.
func liveRanksOn(app *apiv1.App, id HostID) []int32 {
	if !PhaseOf(app).Placed() {
		return nil
	}
	var out []int32
	for r, host := range app.GetPlacement() {
		if host == string(id) && !app.HasEnded(int32(r)) {
			out = append(out, int32(r))
		}
	}
	return out
}

// LiveRanks is the number of the app's ranks that are placed and have not ended.
func LiveRanks(app *apiv1.App) int {
	if !PhaseOf(app).Placed() {
		return 0
	}
	return int(app.GetSize()) - app.CountEnded()
}

// ranksEnded frees the slots of ranks that a host reports ended. Reports of
// ranks that are elsewhere by now, or have ended before, are passed over. It may say
// that the host has started, too: that counts first, if one of the ranks does.
func (t *tx) ranksEnded(op *apiv1.RanksEnded) outcome {
	old, ok := t.App(AppID(op.GetApp()))
	switch {
	case !ok:
		return refuse(CodeNotFound, "no app %s", op.GetApp())
	case PhaseOf(old).Terminal():
		return refuse(CodeTerminal, "app %s %s", op.GetApp(), apiv1.AppStands(old.GetPhase(), false))
	case !PhaseOf(old).Placed():
		return refuse(CodeWrongPhase, "app %s %s", op.GetApp(), apiv1.AppStands(old.GetPhase(), false))
	}
	if host, ok := t.Host(HostID(op.GetHost())); !ok || HostStateOf(host).Gone() {
		// Its ranks have ended already, or live on in images that have left it.
		return refuse(CodeStale, "host %s is gone", op.GetHost())
	}
	app := draftApp(old)
	if e := op.GetStartedEpoch(); t.StartsAndEnds() && e != 0 && e == app.GetEpoch() && t.ShareOf(HostID(op.GetHost()), AppID(op.GetApp())).Ranks > 0 {
		noteStarted(app, op.GetHost())
		if err := t.begins(app); err != nil {
			return outcome{fault: err}
		}
	}
	epoch := app.RankEpochs()
	accepted := 0
	for _, e := range op.GetRanks() {
		r := e.GetRank()
		if r < 0 || r >= app.GetSize() || app.GetPlacement()[r] != op.GetHost() || app.HasEnded(r) || epoch(r) != e.GetEpoch() {
			continue
		}
		accepted++
		reason := cleanReason(e.GetReason())
		why := t.exitReason(op.GetHost(), e, reason)
		if e.GetHostLost() && t.MakesCheckpoints() {
			why = t.survive(app, why)
		}
		if err := t.endRank(app, r, e.GetExitCode(), reason, why); err != nil {
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

// exitReason says how a rank ended. Where the reason says that itself, it tells more than the code, which was given for it.
func (t *tx) exitReason(host string, e *apiv1.EndedRank, reason string) string {
	told := e.GetToldByReason() && reason != ""
	if t.feature < levelToldByReason {
		told = strings.HasPrefix(reason, "ended ")
	}
	if told {
		return fmt.Sprintf("rank %d on %s %s", e.GetRank(), host, reason)
	}
	why := fmt.Sprintf("rank %d on %s exited %d", e.GetRank(), host, e.GetExitCode())
	if reason != "" {
		why += " (" + reason + ")"
	}
	return why
}

// endedMove finds a rank that the migration moves and that has ended.
func endedMove(app *apiv1.App, mig *apiv1.Migration) (int32, bool) {
	for _, m := range mig.GetMoves() {
		if app.HasEnded(m.GetRank()) {
			return m.GetRank(), true
		}
	}
	return 0, false
}

// endRank ends a live rank of the draft, which the caller will store, and frees
// its slot. The first rank that fails decides the app's fate: appReason says so.
func (t *tx) endRank(app *apiv1.App, r, code int32, reason, appReason string) error {
	if app.HasEnded(r) {
		return broken("rank %d of app %s ends twice", r, app.GetId())
	}
	markEnded(app, r)
	if code != 0 || reason != "" {
		noteEnd(app, r, code, reason)
	}
	if code != 0 && app.GetVerdict() == "" {
		app.Verdict, app.ExitCode, app.Reason = string(Failed), exitCode(code), appReason
	}
	return t.use(HostID(app.GetPlacement()[r]), AppID(app.GetId()), Share{Ranks: -1})
}

// markEnded sets the rank's bit in the draft.
func markEnded(app *apiv1.App, r int32) {
	i := int(r / 8)
	if i >= len(app.GetEnded()) {
		app.Ended = append(app.GetEnded(), make([]byte, i+1-len(app.GetEnded()))...)
	}
	app.Ended[i] |= 1 << (r % 8)
}

// noteEnd notes how the rank ended in the draft: as one more of a run of ranks
// that ended alike, or as a run of its own. When the reasons of an app's ranks
// have become too many, the rest of them is known by code only.
func noteEnd(app *apiv1.App, r, code int32, reason string) {
	ends := app.GetEnds()
	i := sort.Search(len(ends), func(i int) bool { return ends[i].GetFirst() > r })
	after := func(j int) bool { // run j ends where rank r begins, and alike
		return j >= 0 && ends[j].GetFirst()+ends[j].GetCount() == r && ends[j].GetExitCode() == code && ends[j].GetReason() == reason
	}
	before := func(j int) bool {
		return j < len(ends) && ends[j].GetFirst() == r+1 && ends[j].GetExitCode() == code && ends[j].GetReason() == reason
	}
	run := &apiv1.RankEnds{First: r, Count: 1, ExitCode: code, Reason: reason}
	from, to := i, i
	if after(i - 1) {
		from--
		run.First = ends[from].GetFirst()
		run.Count += ends[from].GetCount()
	}
	if before(i) {
		run.Count += ends[to].GetCount()
		to++
	}
	if from == to && reason != "" && reasonBytes(ends)+len(reason) > MaxReasonsBytes {
		noteEnd(app, r, code, "")
		return
	}
	app.Ends = slices.Replace(ends, from, to, run)
}

func reasonBytes(ends []*apiv1.RankEnds) int {
	n := 0
	for _, end := range ends {
		n += len(end.GetReason())
	}
	return n
}

func unpackEpochs(runs []*apiv1.EpochRun) []uint64 {
	var out []uint64
	for _, run := range runs {
		out = append(out, slices.Repeat([]uint64{run.GetEpoch()}, int(run.GetCount()))...)
	}
	return out
}

func packEpochs(epochs []uint64) []*apiv1.EpochRun {
	var runs []*apiv1.EpochRun
	for _, epoch := range epochs {
		if n := len(runs); n > 0 && runs[n-1].GetEpoch() == epoch {
			runs[n-1].Count++
			continue
		}
		runs = append(runs, &apiv1.EpochRun{Count: 1, Epoch: epoch})
	}
	return runs
}
