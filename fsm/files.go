package fsm

import (
	"fmt"
	"iter"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// An app's directory is on one host, its home: the first on which a rank asked for
// files. It takes no slot, but the host is one of the app's all the same: the app
// does not outlive it, unless the directory has moved, or has been stored.

// filesOn lists the hosts that have the app's directory, or get it.
func filesOn(app *apiv1.App) []HostID {
	files := app.GetFiles()
	if files == nil || files.GetStored() || !PhaseOf(app).Placed() {
		return nil
	}
	hosts := []HostID{HostID(files.GetHost())}
	if files.GetTo() != "" {
		hosts = append(hosts, HostID(files.GetTo()))
	}
	return hosts
}

// storing tells whether the app has ended but for its directory, which its home
// gives to the servers.
func storing(app *apiv1.App) bool {
	return PhaseOf(app).Placed() && LiveRanks(app) == 0 && app.GetVerdict() != "" && app.GetFiles() != nil && !app.GetFiles().GetStored()
}

// Storing tells whether all that an app waits for is its directory.
func Storing(app *apiv1.App) bool { return storing(app) }

// keepsFiles tells whether a draft without a live rank has a directory that is not
// stored yet, and is to be.
func (t *tx) keepsFiles(app *apiv1.App) bool {
	return PhaseOf(app).Placed() && app.GetFiles() != nil && !app.GetFiles().GetStored() &&
		!again(app, Phase(app.GetVerdict())) && Phase(app.GetVerdict()) != Frozen
}

// draftFiles is a copy of the app's files that the command may change, which it
// puts into the draft.
func draftFiles(app *apiv1.App) *apiv1.AppFiles {
	f := app.GetFiles()
	app.Files = &apiv1.AppFiles{Host: f.GetHost(), To: f.GetTo(), Stored: f.GetStored(), Tree: f.GetTree(), Fault: f.GetFault(), Move: f.GetMove()}
	return app.Files
}

// leaveFiles takes the app's directory from the hosts that have it, in the draft's
// shares: what is there is nobody's any more.
func (t *tx) leaveFiles(app *apiv1.App) error {
	for _, host := range filesOn(app) {
		if err := t.use(host, AppID(app.GetId()), Share{Files: -1}); err != nil {
			return err
		}
	}
	if app.GetFiles() != nil && !app.GetFiles().GetStored() {
		app.Files = nil
	}
	return nil
}

// loseFiles notes in the draft that a host is gone: an app whose directory was
// there fails, or runs again from a checkpoint, and one whose directory was on its way there keeps it.
func (t *tx) loseFiles(app *apiv1.App, id HostID, why string) error {
	files := app.GetFiles()
	switch {
	case files == nil || files.GetStored() || !PhaseOf(app).Placed():
		return nil
	case files.GetTo() == string(id):
		draftFiles(app).To = ""
		return t.use(id, AppID(app.GetId()), Share{Files: -1})
	case files.GetHost() != string(id):
		return nil
	}
	return t.failWithout(app, "they were lost with their host: "+why, t.survive(app, "the app's files were on it: "+why))
}

// failWithout notes in the draft that the app's directory is nowhere any more, and
// that the app fails for that, unless its fate is decided.
func (t *tx) failWithout(app *apiv1.App, fault, reason string) error {
	if err := t.dropFiles(app, fault); err != nil {
		return err
	}
	if app.GetVerdict() == "" || Phase(app.GetVerdict()) == Succeeded {
		app.Verdict, app.ExitCode, app.Reason = string(Failed), ExitFailed, cleanReason(reason)
	}
	return nil
}

// dropFiles notes in the draft that the servers will never have the directory.
func (t *tx) dropFiles(app *apiv1.App, why string) error {
	for _, host := range filesOn(app) {
		if err := t.use(host, AppID(app.GetId()), Share{Files: -1}); err != nil {
			return err
		}
	}
	files := draftFiles(app)
	files.Stored, files.To, files.Fault = true, "", cleanReason(why)
	return nil
}

// changeFiles notes what has become of an app's directory.
func (t *tx) changeFiles(op *apiv1.ChangeFiles) outcome {
	old, ok := t.App(AppID(op.GetApp()))
	host, known := t.Host(HostID(op.GetHost()))
	files := old.GetFiles()
	switch {
	case !ok:
		return refuse(CodeNotFound, "no app %s", op.GetApp())
	case PhaseOf(old).Terminal():
		return refuse(CodeTerminal, "app %s is %s", op.GetApp(), old.GetPhase())
	case !PhaseOf(old).Placed():
		return refuse(CodeWrongPhase, "app %s is %s", op.GetApp(), old.GetPhase())
	case !known || HostStateOf(host).Gone():
		return refuse(CodeHostNotReady, "host %s is gone", op.GetHost())
	case files.GetStored():
		return refuse(CodeTerminal, "the files of app %s are stored", op.GetApp())
	}
	app := draftApp(old)
	var bad outcome
	var err error
	switch op.GetWhat() {
	case apiv1.ChangeFiles_WHAT_OPENED:
		bad, err = t.openFiles(app, HostID(op.GetHost()))
	case apiv1.ChangeFiles_WHAT_MOVES:
		bad, err = t.moveFiles(app, host, op.GetMove())
	case apiv1.ChangeFiles_WHAT_MOVED, apiv1.ChangeFiles_WHAT_STAYS:
		bad, err = t.settleFiles(app, op)
	case apiv1.ChangeFiles_WHAT_STORED:
		bad, err = t.storeFiles(app, op)
	case apiv1.ChangeFiles_WHAT_LOST:
		bad, err = t.missFiles(app, op)
	default:
		return refuse(CodeInvalid, "nothing is said of the files of app %s", op.GetApp())
	}
	if err != nil {
		return outcome{fault: err}
	}
	if bad.code != CodeApplied {
		return bad
	}
	if err := t.settle(app); err != nil {
		return outcome{fault: err}
	}
	if ck, ok := t.Checkpoint(CheckpointID(old.GetCheckpointId())); ok && op.GetWhat() == apiv1.ChangeFiles_WHAT_OPENED && CheckpointPhaseOf(ck) == CheckpointAborted && t.mayBeginInPlaceOf(ck) {
		t.beginInPlaceOf(ck.GetId(), inPlaceOf(ck))
	}
	return applied(op.GetApp())
}

// openFiles makes a host the home, unless there is one.
func (t *tx) openFiles(app *apiv1.App, host HostID) (outcome, error) {
	switch {
	case app.GetFiles() != nil:
		return refuse(CodeAlreadyExists, "the files of app %s are on host %s", app.GetId(), app.GetFiles().GetHost()), nil
	case t.ShareOf(host, AppID(app.GetId())).Ranks == 0:
		return refuse(CodeNotPlaced, "app %s has no live rank on host %s", app.GetId(), host), nil
	}
	app.Files = &apiv1.AppFiles{Host: string(host)}
	if err := t.saveFiles(app, string(host)); err != nil {
		return outcome{}, err
	}
	return applied(""), t.use(host, AppID(app.GetId()), Share{Files: 1})
}

// saveFiles has the checkpoint that the draft of an app has under way take the files,
// which are opened only now. Ranks that were told to stop already may have some of them
// open that it would not have: it is aborted then.
func (t *tx) saveFiles(app *apiv1.App, host string) error {
	held, ok := t.HoldingCheckpoint(AppID(app.GetId()))
	if !ok || !CheckpointPhaseOf(held).HoldsRanks() {
		return nil
	}
	ck := draftCheckpoint(held)
	bad := changeParts(ck, []*apiv1.CheckpointPart{{Host: host}}, func(part, _ *apiv1.CheckpointPart) outcome {
		part.Files = true
		return applied("")
	})
	if bad.code != CodeApplied || CheckpointPhaseOf(held) != CheckpointPending {
		return t.endCheckpoint(app, "the app has begun to use files meanwhile: the next one has them")
	}
	t.putCheckpoint(ck)
	return nil
}

// moveFiles begins a move to another host. Ranks that are where the directory is
// reach it without its home's help: it moves from hosts without any.
func (t *tx) moveFiles(app *apiv1.App, to *apiv1.Host, move uint64) (outcome, error) {
	files := app.GetFiles()
	if bad := t.checkFree(app); bad.code != CodeApplied {
		return bad, nil
	}
	switch id := AppID(app.GetId()); {
	case files == nil:
		return refuse(CodeWrongPhase, "app %s has no files", id), nil
	case files.GetTo() != "":
		return refuse(CodeMigrationPending, "the files of app %s move to host %s already", id, files.GetTo()), nil
	case files.GetHost() == to.GetId():
		return refuse(CodeInvalid, "the files of app %s are on host %s already", id, to.GetId()), nil
	case app.GetMigrationId() != "":
		return refuse(CodeMigrationPending, "app %s has migration %s under way", id, app.GetMigrationId()), nil
	case t.ShareOf(HostID(files.GetHost()), id).Ranks > 0:
		return refuse(CodeWrongPhase, "app %s has ranks on host %s, where its files are", id, files.GetHost()), nil
	case !TakesRanks(to):
		return refuse(CodeHostNotReady, "host %s is %s", to.GetId(), Condition(to)), nil
	}
	draft := draftFiles(app)
	draft.To, draft.Move = to.GetId(), move
	return applied(""), t.use(HostID(to.GetId()), AppID(app.GetId()), Share{Files: 1})
}

// settleFiles ends a move, if it is the one that is meant: what a host has of an earlier one is not what the home has by now.
func (t *tx) settleFiles(app *apiv1.App, op *apiv1.ChangeFiles) (outcome, error) {
	switch to := op.GetHost(); {
	case app.GetFiles().GetTo() != to || to == "":
		return refuse(CodeStale, "the files of app %s do not move to host %s", app.GetId(), to), nil
	case op.GetMove() != app.GetFiles().GetMove() && op.GetMove() != 0:
		return refuse(CodeStale, "the files of app %s move to host %s anew", app.GetId(), to), nil
	}
	files, left := draftFiles(app), HostID(op.GetHost())
	if op.GetWhat() == apiv1.ChangeFiles_WHAT_MOVED {
		files.Host, left = op.GetHost(), HostID(files.GetHost())
	}
	files.To = ""
	return applied(""), t.use(left, AppID(app.GetId()), Share{Files: -1})
}

// storeFiles notes that the servers have the directory, or never will.
func (t *tx) storeFiles(app *apiv1.App, op *apiv1.ChangeFiles) (outcome, error) {
	switch {
	case !storing(app):
		return refuse(CodeWrongPhase, "app %s has live ranks, or no files", app.GetId()), nil
	case app.GetFiles().GetHost() != op.GetHost():
		return refuse(CodeStale, "the files of app %s are on host %s, not %s", app.GetId(), app.GetFiles().GetHost(), op.GetHost()), nil
	case op.GetTree() == nil && op.GetReason() == "":
		return refuse(CodeInvalid, "neither files nor why there are none"), nil
	}
	if err := t.dropFiles(app, op.GetReason()); err != nil {
		return outcome{}, err
	}
	files := app.GetFiles()
	files.Tree = op.GetTree()
	t.touchTree(files.GetTree())
	if files.GetFault() != "" && Phase(app.GetVerdict()) == Succeeded {
		app.Verdict, app.ExitCode = string(Failed), ExitFailed
		app.Reason = cleanReason("its files were not kept: " + files.GetFault())
	}
	return applied(""), nil
}

// missFiles notes that the home does not have the directory. What it has said of
// another attempt's, or of one before it moved, is not of this one.
func (t *tx) missFiles(app *apiv1.App, op *apiv1.ChangeFiles) (outcome, error) {
	files := app.GetFiles()
	switch {
	case files.GetHost() != op.GetHost():
		return refuse(CodeStale, "the files of app %s are on host %q, not %s", app.GetId(), files.GetHost(), op.GetHost()), nil
	case files.GetMove() != op.GetMove() || app.GetAttempt() != op.GetAttempt():
		return refuse(CodeStale, "the files of app %s on host %s are not those that are lost", app.GetId(), op.GetHost()), nil
	}
	why := fmt.Sprintf("the app's files on %s: %s", op.GetHost(), op.GetReason())
	if t.MakesCheckpoints() {
		why = t.survive(app, why)
	}
	return applied(""), t.failWithout(app, op.GetReason(), why)
}

// Blobs iterates over the digests of all blobs that apps' files are made of, as
// often as they are named.
func (v *View) Blobs() iter.Seq[string] {
	return func(yield func(string) bool) {
		for app := range v.appsOf(v.trees) {
			for _, tree := range []*apiv1.Tree{app.GetSpec().GetInputs(), app.GetFiles().GetTree()} {
				if tree == nil {
					continue
				}
				for _, digest := range append([]string{tree.GetList()}, tree.GetPacks()...) {
					if !yield(digest) {
						return
					}
				}
			}
		}
	}
}

// touchTree has those who wait for modules look again: the servers hold a tree's
// blobs as they hold those.
func (t *tx) touchTree(tree *apiv1.Tree) {
	if tree != nil {
		t.touched.modules = append(t.touched.modules, Digest(tree.GetList()))
	}
}
