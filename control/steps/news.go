package steps

import (
	"fmt"
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/text"
)

// minReasonBytes is how much each of an app's ranks may say at least, however many they are.
const minReasonBytes = 96

// News are what follows from what a host reports of an app, and the log does not have: executors that run, ranks that have ended, files, pauses. Nothing in the
// report is trusted: what does not fit the state is passed over. They are proposed in this order, one after the other whatever becomes of each: an app has
// started before it ends. Of an app that is over there are none.
func News(v *fsm.View, app *apiv1.App, host fsm.HostID, st *apiv1.AppStatus) []*Step {
	if fsm.PhaseOf(app).Terminal() {
		return nil
	}
	var out []*Step
	ended := &apiv1.RanksEnded{App: app.Id, Host: string(host), Ranks: newlyEnded(v, app, host, st)}
	switch began := started(app, host, st); {
	case began && len(ended.Ranks) > 0 && v.StartsAndEnds(): // one command says both: most programs that are short are told of once
		ended.StartedEpoch = app.Epoch
	case began:
		out = append(out, &Step{What: "started " + app.Id + " on " + string(host), Command: &apiv1.Command{
			Op: &apiv1.Command_HostStarted{HostStarted: &apiv1.HostStarted{App: app.Id, Host: string(host), Epoch: app.Epoch}},
		}})
	}
	for i, part := range fsm.SplitRanksEnded(ended) {
		out = append(out, &Step{
			What:    fmt.Sprintf("ranks ended %s on %s from %d (%d)", app.Id, host, part.Ranks[0].Rank, i),
			Command: &apiv1.Command{Op: &apiv1.Command_RanksEnded{RanksEnded: part}},
		})
	}
	if s := refused(v, app, host, st); s != nil {
		return append(out, s)
	}
	if v.Mounts() {
		if op := filesNews(app, host, st.GetFiles()); op != nil {
			out = append(out, &Step{
				What: "files of " + app.Id + " on " + string(host), Command: &apiv1.Command{Op: &apiv1.Command_ChangeFiles{ChangeFiles: op}},
			})
		}
	}
	return append(out, newPauses(v, app, host, st)...)
}

// refused has an app run again from its checkpoint, or from another one, of which a host cannot have begun what it was to, though others may; nil: the host can.
func refused(v *fsm.View, app *apiv1.App, host fsm.HostID, st *apiv1.AppStatus) *Step {
	if app.Restore == "" || app.Verdict != "" || !v.MakesCheckpoints() {
		return nil
	}
	why, lost := refusedStart(app, host, st)
	if why == "" {
		why, lost = refusedFiles(v, app, host, st.GetFiles())
	}
	if why == "" {
		return nil
	}
	op := &apiv1.RestartApp{App: app.Id, Attempt: app.Attempt, FromCheckpoint: true, Reason: text.Clean(fmt.Sprintf("host %s: %s", host, why), fsm.MaxReasonBytes)}
	if lost {
		op.Lost, op.LostBy = app.Restore, string(host)
	}
	return &Step{What: "begin " + app.Id + " elsewhere than on " + string(host), Command: &apiv1.Command{Op: &apiv1.Command_RestartApp{RestartApp: op}}}
}

// refusedStart is why a host does not begin the app's ranks, and whether that is because nobody has their checkpoint whole.
func refusedStart(app *apiv1.App, host fsm.HostID, st *apiv1.AppStatus) (why string, lost bool) {
	if fsm.PhaseOf(app) != fsm.Starting || st.Epoch != app.Epoch || !slices.Contains(app.Placement, string(host)) {
		return "", false
	}
	return st.StartRefused, st.StartLost
}

// refusedFiles is the same of the app's directory, which may come when its ranks run already: also where those that were to give it will not be back.
func refusedFiles(v *fsm.View, app *apiv1.App, host fsm.HostID, st *apiv1.FilesStatus) (why string, lost bool) {
	home := app.GetFiles()
	if home.GetHost() != string(host) || home.GetStored() {
		return "", false
	}
	if ck, ok := v.Checkpoint(fsm.CheckpointID(app.Restore)); ok && st.GetProgress() != "" && st.GetTrouble() != "" {
		if gone := v.WhyGone(ck); gone != "" {
			return "the app's files: " + gone, false
		}
	}
	if st.GetLost() == "" || st.GetMove() != home.GetMove() || st.GetAttempt() != app.Attempt || !st.GetRefused() && !st.GetNowhere() {
		return "", false
	}
	return "the app's files: " + st.GetLost(), st.GetNowhere()
}

// started says whether a report is news of an executor that runs: for this placement, for one that was there for an earlier one may be told of still.
func started(app *apiv1.App, host fsm.HostID, st *apiv1.AppStatus) bool {
	return fsm.PhaseOf(app) == fsm.Starting && st.Epoch == app.Epoch && st.Executor == apiv1.ExecutorRunning &&
		slices.Contains(app.Placement, string(host)) && !slices.Contains(app.StartedHosts, string(host))
}

// newlyEnded are the ranks that a report says have ended, and the log does not, each once.
func newlyEnded(v *fsm.View, app *apiv1.App, host fsm.HostID, st *apiv1.AppStatus) []*apiv1.EndedRank {
	var out []*apiv1.EndedRank
	seen, epoch := map[int32]bool{}, app.RankEpochs()
	for _, r := range st.Ranks {
		if r.State != apiv1.RankEnded || !onHost(app, r.Rank, host) || app.HasEnded(r.Rank) || epoch(r.Rank) != r.Epoch ||
			seen[r.Rank] {
			continue
		}
		seen[r.Rank] = true
		out = append(out, &apiv1.EndedRank{
			Rank: r.Rank, Epoch: r.Epoch, ExitCode: r.ExitCode, Reason: text.Clean(r.Reason, reasonBytes(int(app.Size))),
			ToldByReason: r.ToldByReason && v.TellsByReason(), HostLost: r.HostLost && v.MakesCheckpoints(),
		})
	}
	return out
}

// reasonBytes is how long the reason of one of an app's ranks may be.
func reasonBytes(ranks int) int {
	return max(minReasonBytes, min(fsm.MaxReasonBytes, fsm.MaxReasonsBytes/max(1, ranks)))
}

// onHost says whether the app has such a rank, and has it placed on the host.
func onHost(app *apiv1.App, rank int32, host fsm.HostID) bool {
	return rank >= 0 && int(rank) < len(app.Placement) && app.Placement[rank] == string(host)
}

// filesNews is what follows from what a host says of an app's directory, and the log does not have; nil: nothing.
func filesNews(app *apiv1.App, host fsm.HostID, st *apiv1.FilesStatus) *apiv1.ChangeFiles {
	if st == nil {
		return nil
	}
	files, here := app.Files, string(host)
	op := &apiv1.ChangeFiles{App: app.Id, Host: here}
	switch {
	case files == nil && st.Wanted:
		op.What = apiv1.ChangeFiles_WHAT_OPENED
	case files == nil || files.Stored:
		return nil
	case files.To == here && st.Held && st.Move == files.Move && st.Move != 0: // what is held of an earlier move is not what there is now
		op.What, op.Move = apiv1.ChangeFiles_WHAT_MOVED, st.Move
	case files.Host == here && fsm.Storing(app) && (st.Stored != nil || st.Fault != ""):
		op.What, op.Tree, op.Reason = apiv1.ChangeFiles_WHAT_STORED, st.Stored, text.Clean(st.Fault, fsm.MaxReasonBytes)
	case files.Host == here && st.Lost != "" && st.Move == files.Move && st.Attempt == app.Attempt:
		op.What, op.Move, op.Attempt, op.Reason = apiv1.ChangeFiles_WHAT_LOST, st.Move, st.Attempt, text.Clean(st.Lost, fsm.MaxReasonBytes)
	default:
		return nil
	}
	return op
}

// newPauses note how long moved ranks did not run, as their targets report it.
func newPauses(v *fsm.View, app *apiv1.App, host fsm.HostID, st *apiv1.AppStatus) []*Step {
	var out []*Step
	for _, r := range st.Ranks {
		if r.Migration == "" || !(r.PauseMs > 0) {
			continue
		}
		mig, ok := v.Migration(fsm.MigrationID(r.Migration))
		if !ok || mig.App != app.Id || fsm.MigrationPhaseOf(mig) != fsm.Committed {
			continue
		}
		i := slices.IndexFunc(mig.Moves, func(m *apiv1.Move) bool { return m.Rank == r.Rank && m.To == string(host) })
		if i < 0 || mig.Moves[i].PauseMs > 0 {
			continue
		}
		out = append(out, &Step{What: fmt.Sprintf("pause %s/%d", mig.Id, r.Rank), Command: &apiv1.Command{
			Op: &apiv1.Command_RecordPause{RecordPause: &apiv1.RecordPause{Id: mig.Id, Rank: r.Rank, PauseMs: r.PauseMs}},
		}})
	}
	return out
}
