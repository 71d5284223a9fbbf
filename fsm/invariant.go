package fsm

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	iradix "github.com/hashicorp/go-immutable-radix/v2"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// ErrOrder is returned when an entry is applied that is not after the last one.
var ErrOrder = errors.New("log index does not grow")

// InvariantError is returned when the state would break a promise that it must
// keep at every index: a defect of Godwit. Apply refuses the command that would.
type InvariantError struct {
	What string
}

func (e *InvariantError) Error() string { return "invariant broken: " + e.What }

func broken(format string, args ...any) error {
	return &InvariantError{What: fmt.Sprintf(format, args...)}
}

func applyError(index uint64, err error) error {
	return fmt.Errorf("apply entry %d: %w", index, err)
}

// CheckInvariants checks the whole state and returns an *InvariantError at the
// first promise broken. It is meant for tests and for tools that replay logs:
// its cost grows with the state. That used slots stay within slots is checked
// at each command instead, for a host may lower its slots below its use.
func CheckInvariants(v *View) error {
	for app := range v.Apps() {
		if err := errors.Join(v.checkApp(app), v.checkRanks(app)); err != nil {
			return err
		}
	}
	for mig := range v.Migrations() {
		if err := v.checkMigration(mig); err != nil {
			return err
		}
	}
	for ck := range v.Checkpoints() {
		if err := v.checkCheckpoint(ck); err != nil {
			return err
		}
	}
	if err := v.checkSlots(); err != nil {
		return err
	}
	return v.checkIndexes()
}

// checkTouched checks what the command has changed since before.
func (t *tx) checkTouched(before *View) error {
	for _, id := range t.touched.apps {
		now, ok := t.App(id)
		if !ok {
			continue // forgotten
		}
		if was, had := before.App(id); had && PhaseOf(was).Terminal() && was != now {
			return broken("app %s changes after it was %s", id, was.GetPhase())
		}
		if err := t.checkApp(now); err != nil {
			return err
		}
		if now.GetSize() > closelyChecked {
			continue
		}
		if err := t.checkRanks(now); err != nil {
			return err
		}
	}
	for _, id := range t.touched.migrations {
		now, ok := t.Migration(id)
		if !ok {
			continue
		}
		if was, had := before.Migration(id); had && MigrationPhaseOf(was).Ended() && was.GetPhase() != now.GetPhase() {
			return broken("migration %s changes after it was %s", id, was.GetPhase())
		}
		if err := t.checkMigration(now); err != nil {
			return err
		}
	}
	if err := t.checkTouchedCheckpoints(before); err != nil {
		return err
	}
	for _, id := range t.touched.hosts {
		now, ok := t.Host(id)
		was, _ := before.Host(id)
		if ok && now.GetUsed() > was.GetUsed() && now.GetUsed() > now.GetSlots() && !t.touched.mayExceed {
			return broken("host %s uses %d of %d slots", id, now.GetUsed(), now.GetSlots())
		}
		if memory := now.GetMemoryBytes(); ok && memory > 0 && now.GetMemoryUsed() > was.GetMemoryUsed() && now.GetMemoryUsed() > memory {
			return broken("ranks on host %s have declared %d of %d bytes of memory", id, now.GetMemoryUsed(), memory)
		}
		if err := t.checkGone(now); err != nil {
			return err
		}
	}
	return t.checkBalance(before)
}

// checkGone checks that a gone host has only ranks whose images are elsewhere.
func (v *View) checkGone(host *apiv1.Host) error {
	if !HostStateOf(host).Gone() {
		return nil
	}
	for app, share := range v.AppsOn(HostID(host.GetId())) {
		mig, _ := v.PendingMigrationOf(AppID(app.GetId()))
		if share.Reserved > 0 || MigrationPhaseOf(mig) != FrozenMigration {
			return broken("app %s has slots on host %s, which is %s", app.GetId(), host.GetId(), host.GetState())
		}
	}
	return nil
}

// checkBalance checks that hosts use as many slots more as apps have ranks and
// reservations more: two books, one kept by host, one by app.
func (t *tx) checkBalance(before *View) error {
	used, had, memory := 0, 0, int64(0)
	for _, id := range distinct(slices.Clone(t.touched.hosts)) {
		was, _ := before.Host(id)
		now, _ := t.Host(id)
		used += int(now.GetUsed()) - int(was.GetUsed())
		memory += now.GetMemoryUsed() - was.GetMemoryUsed()
	}
	for _, id := range distinct(slices.Clone(t.touched.apps)) {
		slots := t.slotsOf(id) - before.slotsOf(id)
		app, _ := t.App(id)
		had, memory = had+slots, memory-int64(slots)*RankMemory(app)
	}
	if used != had {
		return broken("hosts %v have %d used slots more, their apps have %d", t.touched.hosts, used, had)
	}
	if memory != 0 {
		return broken("hosts %v have %d bytes of declared memory more than the apps on them", t.touched.hosts, memory)
	}
	return nil
}

// slotsOf is how many slots the app has, by its own account.
func (v *View) slotsOf(id AppID) int {
	app, _ := v.App(id)
	mig, _ := v.PendingMigrationOf(id)
	return LiveRanks(app) + len(mig.GetMoves())
}

// checkSlots counts the used slots of all hosts anew. It trusts the shape of
// apps, which checkApp has looked at.
func (v *View) checkSlots() error {
	fresh := *v
	fresh.shares, fresh.tenantSlots = newShares(), iradix.New[int]()
	for app := range v.Placed() {
		if err := fresh.indexShares(app); err != nil {
			return err
		}
	}
	for host := range v.Hosts() {
		count, memory := 0, int64(0)
		for app, share := range fresh.AppsOn(HostID(host.GetId())) {
			count += share.Ranks + share.Reserved
			memory += int64(share.Ranks+share.Reserved) * RankMemory(app)
		}
		if int(host.GetUsed()) != count {
			return broken("host %s has %d used slots, its ranks and reservations are %d", host.GetId(), host.GetUsed(), count)
		}
		if host.GetMemoryUsed() != memory {
			return broken("host %s has %d bytes of used memory, its ranks and reservations have declared %d", host.GetId(), host.GetMemoryUsed(), memory)
		}
	}
	if !sameTree(v.tenantSlots, fresh.tenantSlots) {
		return broken("the index of tenants differs from what it is made of")
	}
	if !sameTree(v.shares.byHost, fresh.shares.byHost) || !sameTree(v.shares.byApp, fresh.shares.byApp) ||
		!sameTree(v.shares.totals, fresh.shares.totals) {
		return broken("the index of shares differs from what it is made of")
	}
	return nil
}

// sameTree tells whether two trees have the same keys and values.
func sameTree[T comparable](a, b *iradix.Tree[T]) bool {
	if a.Len() != b.Len() {
		return false
	}
	x, y := a.Root().Iterator(), b.Root().Iterator()
	for {
		k, v, ok := x.Next()
		l, w, also := y.Next()
		if ok != also || !bytes.Equal(k, l) || v != w {
			return false
		}
		if !ok {
			return true
		}
	}
}

func (v *View) checkApp(app *apiv1.App) error {
	phase, size := PhaseOf(app), int(app.GetSize())
	var wrong string
	switch {
	case len(app.GetRanks()) != 0:
		wrong = "has ranks that are not packed"
	case len(app.GetEnded()) > 0 && (len(app.GetEnded()) > (size+7)/8 || app.GetEnded()[len(app.GetEnded())-1] == 0 || app.CountEnded() > size):
		wrong = fmt.Sprintf("has %d ranks, and others have ended", size)
	case app.GetAttempt() < 1 || int64(app.GetAttempt())-int64(app.GetRestored()) > int64(app.GetSpec().GetRestarts())+1:
		wrong = fmt.Sprintf("is at attempt %d, %d of them from checkpoints, and may run again %d times", app.GetAttempt(), app.GetRestored(), app.GetSpec().GetRestarts())
	case (phase == Queued || phase == Frozen) && (len(app.GetPlacement()) != 0 || len(app.GetEnded()) != 0 || app.GetVerdict() != ""):
		wrong = fmt.Sprintf("is %s and has a placement or a verdict", phase)
	case phase != Queued && !MayPlace(app):
		wrong = fmt.Sprintf("is %s and waits for other apps to end", phase)
	case phase.Placed() && (len(app.GetPlacement()) != size || app.GetEpoch() == 0):
		wrong = fmt.Sprintf("is %s with %d of %d ranks placed", phase, len(app.GetPlacement()), size)
	case phase.Placed() && LiveRanks(app) == 0 && !storing(app):
		wrong = fmt.Sprintf("is %s with no rank alive", phase)
	case phase.Terminal() && app.GetVerdict() != "":
		wrong = fmt.Sprintf("is %s and has a verdict", phase)
	case (phase == Migrating) != (app.GetMigrationId() != ""):
		wrong = fmt.Sprintf("is %s with migration %q", phase, app.GetMigrationId())
	case app.GetVerdict() != "" && app.GetMigrationId() != "":
		wrong = "is being stopped and migrates"
	}
	if wrong == "" {
		wrong = v.wrongWithCheckpoints(app)
	}
	if wrong != "" {
		return broken("app %s %s", app.GetId(), wrong)
	}
	if !phase.Placed() {
		if phase.Terminal() && len(app.GetPlacement()) > 0 && app.CountEnded() != size {
			return broken("app %s is %s with a rank alive", app.GetId(), phase)
		}
		return nil
	}
	if total := v.TotalOf(AppID(app.GetId())); total.Ranks != LiveRanks(app) {
		return broken("app %s has %d live ranks, and %d used slots", app.GetId(), LiveRanks(app), total.Ranks)
	}
	return nil
}

// closelyChecked is the size of the largest app of which each command checks rank
// after rank. Larger ones are checked so by CheckInvariants only.
const closelyChecked = 64

// checkRanks checks where the live ranks of a placed app are.
func (v *View) checkRanks(app *apiv1.App) error {
	mig, _ := v.PendingMigrationOf(AppID(app.GetId()))
	if !PhaseOf(app).Placed() {
		return nil
	}
	epochs := unpackEpochs(app.GetEpochs())
	if len(epochs) != int(app.GetSize()) {
		return broken("app %s has epochs of %d of %d ranks", app.GetId(), len(epochs), app.GetSize())
	}
	moving := make(map[int32]bool, len(mig.GetMoves()))
	for _, m := range mig.GetMoves() {
		moving[m.GetRank()] = true
	}
	for r, id := range app.GetPlacement() {
		if epochs[r] == 0 || epochs[r] > app.GetEpoch() {
			return broken("rank %d of app %s has epoch %d, the app %d", r, app.GetId(), epochs[r], app.GetEpoch())
		}
		if app.HasEnded(int32(r)) {
			continue
		}
		host, ok := v.Host(HostID(id))
		if !ok {
			return broken("rank %d of app %s is on host %s, which is not known", r, app.GetId(), id)
		}
		if HostStateOf(host).Gone() && (MigrationPhaseOf(mig) != FrozenMigration || !moving[int32(r)]) {
			return broken("rank %d of app %s is on host %s, which is %s", r, app.GetId(), id, host.GetState())
		}
		if _, started := slices.BinarySearch(app.GetStartedHosts(), id); PhaseOf(app) != Starting && !started {
			return broken("app %s is %s and host %s has not started", app.GetId(), app.GetPhase(), id)
		}
	}
	return nil
}

// checkMigration checks that a migration under way and its app know each other.
func (v *View) checkMigration(mig *apiv1.Migration) error {
	app, ok := v.App(AppID(mig.GetApp()))
	if !ok {
		return broken("migration %s is of app %s, which is not known", mig.GetId(), mig.GetApp())
	}
	under := app.GetMigrationId() == mig.GetId()
	if under == MigrationPhaseOf(mig).Ended() {
		return broken("migration %s is %s, its app has migration %q", mig.GetId(), mig.GetPhase(), app.GetMigrationId())
	}
	if !under {
		return nil
	}
	for _, m := range mig.GetMoves() {
		host, ok := v.Host(HostID(m.GetTo()))
		if !ok || HostStateOf(host).Gone() {
			return broken("migration %s moves rank %d to host %s, which is gone", mig.GetId(), m.GetRank(), m.GetTo())
		}
		r := int(m.GetRank())
		if r < 0 || r >= len(app.GetPlacement()) || app.GetPlacement()[r] != m.GetFrom() || app.HasEnded(m.GetRank()) {
			return broken("migration %s moves rank %d, which is not alive on host %s", mig.GetId(), m.GetRank(), m.GetFrom())
		}
	}
	return nil
}

// checkIndexes compares the derived indexes with ones made anew.
func (v *View) checkIndexes() error {
	fresh := newView()
	for app := range v.Apps() {
		fresh.indexWaiting(nil, app)
		fresh.indexApp(app)
	}
	for host := range v.Hosts() {
		fresh.countSpeeds(nil, host)
	}
	for mig := range v.Migrations() {
		fresh.indexMigration(mig)
	}
	for ck := range v.Checkpoints() {
		fresh.indexCheckpoint(ck)
	}
	for mod := range v.Modules() {
		fresh.indexModule(mod)
	}
	same := sameTree(v.speeds, fresh.speeds) && sameTree(v.moduleUse.apps, fresh.moduleUse.apps) && sameTree(v.moduleUse.users, fresh.moduleUse.users) &&
		sameTree(v.moduleUse.byUse, fresh.moduleUse.byUse) &&
		v.moduleUse.bytes == fresh.moduleUse.bytes && v.moduleUse.memory == fresh.moduleUse.memory &&
		sameTree(v.submitted, fresh.submitted) && sameTree(v.proposed, fresh.proposed) &&
		slices.Equal(slices.Collect(values(v.live)), slices.Collect(values(fresh.live))) &&
		slices.Equal(slices.Collect(values(v.placed)), slices.Collect(values(fresh.placed))) &&
		sameTree(v.queued, fresh.queued) && sameTree(v.named, fresh.named) &&
		sameTree(v.waiters, fresh.waiters) && sameTree(v.held, fresh.held) && sameTree(v.ofArray, fresh.ofArray) && sameTree(v.arrays, fresh.arrays) &&
		slices.Equal(slices.Collect(values(v.ended)), slices.Collect(values(fresh.ended))) &&
		slices.Equal(slices.Collect(values(v.pending)), slices.Collect(values(fresh.pending))) &&
		slices.Equal(slices.Collect(values(v.endedMigs)), slices.Collect(values(fresh.endedMigs))) &&
		slices.Equal(slices.Collect(values(v.trees)), slices.Collect(values(fresh.trees))) && sameTree(v.endMinutes, fresh.endMinutes) && sameTree(v.migsOf, fresh.migsOf) &&
		v.liveLoad == fresh.liveLoad && v.endedLoad == fresh.endedLoad && v.migrationLoad == fresh.migrationLoad &&
		v.placedBytes == fresh.placedBytes && v.checkpointBytes == fresh.checkpointBytes &&
		sameTree(v.begun, fresh.begun) && sameTree(v.underWay, fresh.underWay) && sameTree(v.partsOn, fresh.partsOn) && sameTree(v.ckptsOf, fresh.ckptsOf)
	if !same {
		return broken("an index differs from what it is made of")
	}
	return nil
}

// wrongWithCheckpoints says what is wrong with the checkpoints that the app names, of
// which it has one under way at most; empty: nothing.
func (v *View) wrongWithCheckpoints(app *apiv1.App) string {
	phase, id := PhaseOf(app), app.GetCheckpointId()
	if ck, _ := v.Checkpoint(CheckpointID(id)); id != "" &&
		(ck.GetApp() != app.GetId() || CheckpointPhaseOf(ck).Ended() || !phase.Placed() || LiveRanks(app) == 0 || app.GetVerdict() != "") {
		return fmt.Sprintf("is %s, with verdict %q, and has checkpoint %s under way, which is %q", phase, app.GetVerdict(), id, ck.GetPhase())
	}
	if phase.Terminal() {
		return "" // what it names may have been removed
	}
	id = app.GetLastCheckpoint()
	if ck, _ := v.Checkpoint(CheckpointID(id)); id != "" && (ck.GetApp() != app.GetId() || CheckpointPhaseOf(ck) != CheckpointComplete) {
		return fmt.Sprintf("has last checkpoint %s, which is of app %q and %q", id, ck.GetApp(), ck.GetPhase())
	}
	for _, id := range []string{app.GetRestore(), app.GetSpec().GetRestore()} {
		if ck, _ := v.Checkpoint(CheckpointID(id)); id != "" && CheckpointPhaseOf(ck) != CheckpointComplete {
			return fmt.Sprintf("begins from checkpoint %s, which is %q", id, ck.GetPhase())
		}
	}
	if stays := Phase(app.GetVerdict()); app.GetRestoring() && (stays != Queued && stays != Frozen || app.GetRestore() == "") {
		return fmt.Sprintf("is to begin from checkpoint %q, with verdict %q", app.GetRestore(), app.GetVerdict())
	}
	return ""
}

// checkTouchedCheckpoints checks what the command has changed of checkpoints, and that
// no app has lost sight of its own.
func (t *tx) checkTouchedCheckpoints(before *View) error {
	for _, id := range t.touched.apps {
		was, _ := before.CheckpointUnderWay(id)
		ck, ok := t.Checkpoint(CheckpointID(was.GetId()))
		if !ok {
			continue
		}
		if err := t.checkCheckpoint(ck); err != nil {
			return err
		}
	}
	for _, id := range t.touched.checkpoints {
		now, ok := t.Checkpoint(id)
		if !ok {
			continue
		}
		if was, had := before.Checkpoint(id); had && CheckpointPhaseOf(was).Ended() && was != now && !onlyLearned(was, now) {
			return broken("checkpoint %s changes after it was %s", id, was.GetPhase())
		}
		if err := t.checkCheckpoint(now); err != nil {
			return err
		}
	}
	return nil
}

// onlyLearned tells whether a complete checkpoint has changed only in what is learned of it
// later: that it is in its object store, or that nobody has it whole, until it is found there.
func onlyLearned(was, now *apiv1.Checkpoint) bool {
	same := draftCheckpoint(now)
	same.StoredAt, same.Lost, same.DoubtedBy, same.DoubtedApp = was.GetStoredAt(), was.GetLost(), was.GetDoubtedBy(), was.GetDoubtedApp()
	stored := now.GetStoredAt() == was.GetStoredAt() || was.GetTo() != "" && now.GetStoredAt() != nil
	if len(same.Parts) == len(was.GetParts()) { // another host may hold a part
		same.Parts = slices.Clone(same.Parts)
		for i, p := range was.GetParts() {
			part := draftPart(same.Parts[i])
			part.Second, part.SecondNode, part.Third, part.ThirdNode = p.GetSecond(), p.GetSecondNode(), p.GetThird(), p.GetThirdNode()
			same.Parts[i] = part
		}
	}
	return CheckpointPhaseOf(was) == CheckpointComplete && stored && (now.GetLost() || !was.GetLost() || now.GetStoredAt() != nil) && proto.Equal(was, same)
}

// checkCheckpoint checks that a checkpoint under way and its app know each other, and
// that nothing of the app moves until it is taken.
func (v *View) checkCheckpoint(ck *apiv1.Checkpoint) error {
	app, ok := v.App(AppID(ck.GetApp()))
	phase := CheckpointPhaseOf(ck)
	switch {
	case phase.Ended() && app.GetCheckpointId() == ck.GetId(), !phase.Ended() && (!ok || app.GetCheckpointId() != ck.GetId()):
		return broken("checkpoint %s is %s, its app has checkpoint %q", ck.GetId(), phase, app.GetCheckpointId())
	case phase.Ended():
		return nil
	case app.GetAttempt() != ck.GetAttempt():
		return broken("checkpoint %s is of attempt %d, app %s at %d", ck.GetId(), ck.GetAttempt(), app.GetId(), app.GetAttempt())
	case phase.HoldsRanks() && (app.GetEpoch() != ck.GetEpoch() || app.GetMigrationId() != "" || app.GetFiles().GetTo() != ""):
		return broken("checkpoint %s is %s, of epoch %d, and app %s moves, at %d", ck.GetId(), phase, ck.GetEpoch(), app.GetId(), app.GetEpoch())
	}
	for _, p := range ck.GetParts() {
		if !v.holds(p.GetHost(), 0) || p.GetSecond() != "" && !v.holds(p.GetSecond(), 0) {
			return broken("checkpoint %s is %s, and host %s or %s is gone", ck.GetId(), phase, p.GetHost(), p.GetSecond())
		}
	}
	return nil
}
