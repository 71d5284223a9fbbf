package fsm

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"math"
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// proposeMigration reserves a slot on its target for every rank to be moved.
// Sources keep theirs until the commit, so that either end is possible.
func (t *tx) proposeMigration(op *apiv1.ProposeMigration) outcome {
	old, ok := t.App(AppID(op.GetApp()))
	if !ok {
		return refuse(CodeNotFound, "no app %s", op.GetApp())
	}
	if bad := checkMovable(old, op); bad.code != CodeApplied {
		return bad
	}
	if bad := t.checkFree(old); bad.code != CodeApplied {
		return bad
	}
	if _, ok := t.Migration(MigrationID(op.GetId())); ok {
		return refuse(CodeAlreadyExists, "there is a migration %s already", op.GetId())
	}
	var moves []*apiv1.Move
	var targets []string
	for _, m := range op.GetMoves() {
		if bad := checkMove(old, m); bad.code != CodeApplied {
			return bad
		}
		moves = append(moves, &apiv1.Move{Rank: m.GetRank(), From: old.GetPlacement()[m.GetRank()], To: m.GetTo()})
		targets = append(targets, m.GetTo())
	}
	shareMoves(moves)
	slices.SortFunc(moves, func(a, b *apiv1.Move) int { return cmp.Compare(a.GetRank(), b.GetRank()) })
	for i := 1; i < len(moves); i++ {
		if moves[i].GetRank() == moves[i-1].GetRank() {
			return refuse(CodeInvalid, "rank %d is moved twice", moves[i].GetRank())
		}
	}
	for _, need := range countHosts(targets) {
		if bad := t.checkTarget(old, need, false); bad.code != CodeApplied {
			return bad
		}
		if err := t.use(need.host, AppID(op.GetApp()), Share{Reserved: need.ranks}); err != nil {
			return outcome{fault: err}
		}
	}
	t.putMigration(&apiv1.Migration{
		Id:           op.GetId(),
		App:          op.GetApp(),
		FromEpoch:    op.GetFromEpoch(),
		Phase:        string(Pending),
		Moves:        moves,
		Cause:        op.GetCause(),
		ProposedAt:   t.at,
		ProposeIndex: t.entryIndex,
	})
	app := draftApp(old)
	app.MigrationId = op.GetId()
	if err := setPhase(app, Migrating); err != nil {
		return outcome{fault: err}
	}
	t.putApp(app)
	return applied(op.GetId())
}

// shareMoves gives equal names of targets, and of sources, the same memory.
func shareMoves(moves []*apiv1.Move) {
	ends := make([]string, 0, 2*len(moves))
	for _, m := range moves {
		ends = append(ends, m.GetFrom())
	}
	for _, m := range moves {
		ends = append(ends, m.GetTo())
	}
	ends = shareNames(ends)
	for i, m := range moves {
		m.From, m.To = ends[i], ends[len(moves)+i]
	}
}

// checkMovable refuses apps that no rank may be moved of now.
func checkMovable(app *apiv1.App, op *apiv1.ProposeMigration) outcome {
	switch phase := PhaseOf(app); {
	case phase.Terminal():
		return refuse(CodeTerminal, "app %s %s", op.GetApp(), apiv1.AppStands(string(phase), false))
	case app.GetMigrationId() != "":
		return refuse(CodeMigrationPending, "app %s has migration %s under way", op.GetApp(), app.GetMigrationId())
	case app.GetFiles().GetTo() != "":
		return refuse(CodeMigrationPending, "the files of app %s move to host %s", op.GetApp(), app.GetFiles().GetTo())
	case app.GetVerdict() != "":
		return refuse(CodeStopping, "app %s is being stopped as %s", op.GetApp(), app.GetVerdict())
	case phase != Running:
		return refuse(CodeWrongPhase, "app %s %s, not running", op.GetApp(), apiv1.AppStands(string(phase), false))
	case app.GetEpoch() != op.GetFromEpoch():
		return refuse(CodeStaleEpoch, "app %s is at epoch %d, not %d", op.GetApp(), app.GetEpoch(), op.GetFromEpoch())
	case !app.GetMigratable():
		return refuse(CodeNotMigratable, "the module of app %s cannot be frozen; build it with godwit cc", op.GetApp())
	case len(op.GetMoves()) == 0:
		return refuse(CodeInvalid, "a migration moves at least one rank")
	}
	return applied("")
}

// checkMove refuses a move that does not start where the rank is, if it says so.
func checkMove(app *apiv1.App, m *apiv1.Move) outcome {
	r := m.GetRank()
	switch {
	case r < 0 || r >= app.GetSize():
		return refuse(CodeInvalid, "app %s has ranks 0 to %d, not %d", app.GetId(), app.GetSize()-1, r)
	case app.HasEnded(r):
		return refuse(CodeRankEnded, "rank %d of app %s has ended", r, app.GetId())
	case m.GetFrom() != "" && app.GetPlacement()[r] != m.GetFrom():
		return refuse(CodeNotPlaced, "rank %d of app %s is on host %s, not %s", r, app.GetId(), app.GetPlacement()[r], m.GetFrom())
	case app.GetPlacement()[r] == m.GetTo():
		return refuse(CodeInvalid, "rank %d of app %s is on host %s already", r, app.GetId(), m.GetTo())
	}
	return applied("")
}

// pendingMigration returns a copy of the migration that may be changed, if it is
// in the phase wanted.
func (t *tx) pendingMigration(id string, want MigrationPhase) (*apiv1.Migration, outcome) {
	mig, ok := t.Migration(MigrationID(id))
	switch {
	case !ok:
		return nil, refuse(CodeNotFound, "no migration %s", id)
	case MigrationPhaseOf(mig).Ended():
		return nil, refuse(CodeMigrationEnded, "migration %s is %s", id, mig.GetPhase())
	case MigrationPhaseOf(mig) != want:
		return nil, refuse(CodeWrongPhase, "migration %s is %s, not %s", id, mig.GetPhase(), want)
	}
	return draftMigration(mig), applied(id)
}

func setMigrationPhase(mig *apiv1.Migration, next MigrationPhase) error {
	if !MigrationPhaseOf(mig).mayBecome(next) {
		return broken("migration %s goes from %s to %s", mig.GetId(), mig.GetPhase(), next)
	}
	mig.Phase = string(next)
	return nil
}

func (t *tx) announceMigration(op *apiv1.AnnounceMigration) outcome {
	mig, out := t.pendingMigration(op.GetId(), Pending)
	if out.code != CodeApplied {
		return out
	}
	if err := setMigrationPhase(mig, Announced); err != nil {
		return outcome{fault: err}
	}
	mig.Acks = slices.Compact(slices.Sorted(slices.Values(op.GetAcks())))
	t.putMigration(mig)
	return out
}

// freezeMigration notes what each image is, and may commit at once. The command's ranks are those of the
// proposal, in any order.
func (t *tx) freezeMigration(op *apiv1.FreezeMigration) outcome {
	mig, out := t.pendingMigration(op.GetId(), Announced)
	if out.code != CodeApplied {
		return out
	}
	frozen := slices.SortedFunc(slices.Values(op.GetRanks()), func(a, b *apiv1.FrozenRank) int {
		return cmp.Compare(a.GetRank(), b.GetRank())
	})
	if len(frozen) != len(mig.GetMoves()) {
		return refuse(CodeInvalid, "%d ranks are frozen, migration %s moves %d", len(frozen), op.GetId(), len(mig.GetMoves()))
	}
	moves := make([]*apiv1.Move, len(frozen))
	for i, m := range mig.GetMoves() {
		f := frozen[i]
		if f.GetRank() != m.GetRank() {
			return refuse(CodeInvalid, "migration %s does not move rank %d, or it is named twice", op.GetId(), f.GetRank())
		}
		moves[i] = draftMove(m)
		moves[i].ImageBytes, moves[i].ImageDigest = f.GetImageBytes(), hex.EncodeToString(f.GetImageDigest())
		moves[i].PauseBytes, moves[i].Rounds = f.GetPauseBytes(), f.GetRounds()
	}
	mig.Moves = moves
	if err := setMigrationPhase(mig, FrozenMigration); err != nil {
		return outcome{fault: err}
	}
	if op.GetCommit() {
		return t.commit(mig)
	}
	t.putMigration(mig)
	return out
}

func (t *tx) commitMigration(op *apiv1.CommitMigration) outcome {
	mig, out := t.pendingMigration(op.GetId(), FrozenMigration)
	if out.code != CodeApplied {
		return out
	}
	return t.commit(mig)
}

// commit flips the placement for a frozen migration, a draft: reservations become use, sources are freed.
func (t *tx) commit(mig *apiv1.Migration) outcome {
	old, ok := t.App(AppID(mig.GetApp()))
	if !ok {
		return outcome{fault: broken("migration %s is of app %s, which is not known", mig.GetId(), mig.GetApp())}
	}
	app := draftApp(old)
	app.Epoch++
	app.Placement = slices.Clone(app.GetPlacement())
	epochs := unpackEpochs(app.GetEpochs())
	for _, m := range mig.GetMoves() {
		r := m.GetRank()
		app.Placement[r], epochs[r] = m.GetTo(), app.GetEpoch()
		if err := t.use(HostID(m.GetFrom()), AppID(app.GetId()), Share{Ranks: -1}); err != nil {
			return outcome{fault: err}
		}
		if err := t.use(HostID(m.GetTo()), AppID(app.GetId()), Share{Ranks: 1, Reserved: -1}); err != nil {
			return outcome{fault: err}
		}
	}
	app.Placement, app.Epochs = shareNames(app.GetPlacement()), packEpochs(epochs)
	app.Migrations++
	app.MigrationId = ""
	app.StartedHosts = nil // a target that thaws ranks has an executor that runs
	for host, share := range t.HostsOf(AppID(app.GetId())) {
		if share.Ranks > 0 {
			app.StartedHosts = append(app.StartedHosts, string(host))
		}
	}
	if err := setPhase(app, Running); err != nil {
		return outcome{fault: err}
	}
	if err := setMigrationPhase(mig, Committed); err != nil {
		return outcome{fault: err}
	}
	mig.EndedAt, mig.EndedIndex = t.at, t.entryIndex
	t.putMigration(mig)
	t.putApp(app)
	return applied(mig.GetId())
}

func (t *tx) abortMigration(op *apiv1.AbortMigration) outcome {
	mig, ok := t.Migration(MigrationID(op.GetId()))
	switch {
	case !ok:
		return refuse(CodeNotFound, "no migration %s", op.GetId())
	case MigrationPhaseOf(mig).Ended():
		return refuse(CodeMigrationEnded, "migration %s is %s", op.GetId(), mig.GetPhase())
	}
	old, ok := t.App(AppID(mig.GetApp()))
	if !ok {
		return outcome{fault: broken("migration %s is of app %s, which is not known", mig.GetId(), mig.GetApp())}
	}
	app := draftApp(old)
	if err := t.abort(app, mig, cleanReason(op.GetReason())); err != nil {
		return outcome{fault: err}
	}
	return appliedUnless(t.settle(app), op.GetId())
}

// abort ends the migration with nothing changed: the targets are free again and
// the app, which the caller may change and will settle, is running where it was.
// Ranks whose source was lost meanwhile have nowhere to go back to: they end.
func (t *tx) abort(app *apiv1.App, old *apiv1.Migration, reason string) error {
	mig := draftMigration(old)
	if err := setMigrationPhase(mig, Aborted); err != nil {
		return err
	}
	mig.Reason, mig.EndedAt, mig.EndedIndex = reason, t.at, t.entryIndex
	t.putMigration(mig)
	app.MigrationId = ""
	if err := setPhase(app, Running); err != nil {
		return err
	}
	for _, m := range mig.GetMoves() {
		if err := t.use(HostID(m.GetTo()), AppID(app.GetId()), Share{Reserved: -1}); err != nil {
			return err
		}
	}
	for _, m := range mig.GetMoves() {
		host, ok := t.Host(HostID(m.GetFrom()))
		if !ok || app.HasEnded(m.GetRank()) || !HostStateOf(host).Gone() {
			continue
		}
		why := fmt.Sprintf("%s, and its migration was aborted: %s", goneReason(host), reason)
		if err := t.endRank(app, m.GetRank(), ExitFailed, why, t.survive(app, why)); err != nil {
			return err
		}
	}
	return nil
}

// recordPause notes how long moved ranks did not run. The first report of each
// stands.
func (t *tx) recordPause(op *apiv1.RecordPause) outcome {
	old, ok := t.Migration(MigrationID(op.GetId()))
	switch {
	case !ok:
		return refuse(CodeNotFound, "no migration %s", op.GetId())
	case MigrationPhaseOf(old) != Committed:
		return refuse(CodeWrongPhase, "migration %s is %s, not committed", op.GetId(), old.GetPhase())
	}
	mig := draftMigration(old)
	mig.Moves = slices.Clone(old.GetMoves())
	changed := false
	for _, p := range append([]*apiv1.RankPause{{Rank: op.GetRank(), PauseMs: op.GetPauseMs()}}, op.GetMore()...) {
		if pause := p.GetPauseMs(); math.IsNaN(pause) || math.IsInf(pause, 0) || pause <= 0 {
			return refuse(CodeInvalid, "a pause of %v ms", pause)
		}
		i, ok := slices.BinarySearchFunc(mig.GetMoves(), p.GetRank(), func(m *apiv1.Move, r int32) int { return cmp.Compare(m.GetRank(), r) })
		if !ok {
			return refuse(CodeInvalid, "migration %s does not move rank %d", op.GetId(), p.GetRank())
		}
		if mig.GetMoves()[i].GetPauseMs() == 0 {
			mig.Moves[i], changed = draftMove(mig.GetMoves()[i]), true
			mig.Moves[i].PauseMs = p.GetPauseMs()
		}
	}
	if changed {
		t.putMigration(mig)
	}
	return applied(op.GetId())
}
