package fsm

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// A checkpoint is what an app can go on from. It is made while the app runs, as a
// migration to nowhere, and outlives the app.

// checkFree refuses to move what a checkpoint under way is being made of.
func (t *tx) checkFree(app *apiv1.App) outcome {
	if ck, held := t.HoldingCheckpoint(AppID(app.GetId())); held {
		return refuse(CodeCheckpointPending, "app %s has checkpoint %s under way, which is %s", app.GetId(), ck.GetId(), ck.GetPhase())
	}
	return applied("")
}

func (t *tx) putCheckpoint(ck *apiv1.Checkpoint) {
	t.indexCheckpoint(ck)
	t.touched.checkpoints = append(t.touched.checkpoints, CheckpointID(ck.GetId()))
}

// indexCheckpoint stores the checkpoint, and keeps the derived indexes in step.
func (v *View) indexCheckpoint(ck *apiv1.Checkpoint) {
	id, pending := CheckpointID(ck.GetId()), !CheckpointPhaseOf(ck).Ended()
	old, known := v.Checkpoint(id)
	if known {
		v.checkpointBytes -= checkpointWeight(old)
	}
	v.checkpoints, _, _ = v.checkpoints.Insert([]byte(id), ck)
	v.checkpointBytes += checkpointWeight(ck)
	key := BeginningOf(ck).key()
	v.begun = add(v.begun, key, id)
	v.ckptsOf = add(v.ckptsOf, pairKey(ck.GetApp(), string(key)), id)
	v.underWay = keep(v.underWay, pending, key, id)
	if known && pending || !known && !pending { // its hosts stay the same
		return
	}
	for _, p := range ck.GetParts() {
		for _, host := range []string{p.GetHost(), p.GetSecond()} {
			if host != "" {
				v.partsOn = keep(v.partsOn, pending, pairKey(host, string(key)), id)
			}
		}
	}
}

// forgetCheckpoint drops a checkpoint that has ended.
func (t *tx) forgetCheckpoint(ck *apiv1.Checkpoint) {
	key, weight := BeginningOf(ck).key(), checkpointWeight(ck)
	t.begun, _, _ = t.begun.Delete(key)
	t.ckptsOf, _, _ = t.ckptsOf.Delete(pairKey(ck.GetApp(), string(key)))
	t.checkpoints, _, _ = t.checkpoints.Delete([]byte(ck.GetId()))
	t.checkpointBytes -= weight
	t.ledger.forgotten += weight
	t.touched.checkpoints = append(t.touched.checkpoints, CheckpointID(ck.GetId()))
}

// beginCheckpoint begins one of a running app: a part for each host that has something of
// it.
func (t *tx) beginCheckpoint(op *apiv1.BeginCheckpoint) outcome {
	old, ok := t.App(AppID(op.GetApp()))
	if !ok {
		return refuse(CodeNotFound, "no app %s", op.GetApp())
	}
	if _, known := apiv1.AfterCheckpoint_name[int32(op.GetThen())]; !known {
		return refuse(CodeInvalid, "what is to become of app %s then is not known: %d", op.GetApp(), op.GetThen())
	}
	if bad := t.checkCapturable(old, op); bad.code != CodeApplied {
		return bad
	}
	if _, ok := t.Checkpoint(CheckpointID(op.GetId())); ok {
		return refuse(CodeAlreadyExists, "there is a checkpoint %s already", op.GetId())
	}
	parts, bad := t.partsOf(old, op)
	if bad.code != CodeApplied {
		return bad
	}
	ck := &apiv1.Checkpoint{
		Id: op.GetId(), App: old.GetId(), Attempt: old.GetAttempt(), Epoch: old.GetEpoch(), Phase: string(CheckpointPending), Cause: op.GetCause(),
		BegunAt: t.at, BeginIndex: t.entryIndex, Parts: parts, Runs: runsOf(old.GetPlacement()), Name: old.GetName(), Spec: old.GetSpec(), Then: op.GetThen(),
		To: storeOf(op.GetTo()),
	}
	shareHosts(ck)
	if bad := t.makeRoomFor(ck); bad.code != CodeApplied {
		return bad
	}
	t.putCheckpoint(ck)
	app := draftApp(old)
	app.CheckpointId = op.GetId()
	t.putApp(app)
	return applied(op.GetId())
}

// checkCapturable refuses apps of which no checkpoint may be begun now.
func (t *tx) checkCapturable(app *apiv1.App, op *apiv1.BeginCheckpoint) outcome {
	switch phase := PhaseOf(app); {
	case !t.MakesCheckpoints():
		return refuse(CodeInvalid, "there are no checkpoints at feature level %d; they need level %d", t.feature, levelCheckpoints)
	case phase.Terminal():
		return refuse(CodeTerminal, "app %s %s", op.GetApp(), apiv1.AppStands(string(phase), false))
	case app.GetCheckpointId() != "":
		return refuse(CodeCheckpointPending, "app %s has checkpoint %s under way", op.GetApp(), app.GetCheckpointId())
	case app.GetMigrationId() != "":
		return refuse(CodeMigrationPending, "app %s has migration %s under way", op.GetApp(), app.GetMigrationId())
	case app.GetFiles().GetTo() != "":
		return refuse(CodeMigrationPending, "the files of app %s move to host %s", op.GetApp(), app.GetFiles().GetTo())
	case app.GetVerdict() != "":
		return refuse(CodeStopping, "app %s is being stopped as %s", op.GetApp(), app.GetVerdict())
	case phase != Running:
		return refuse(CodeWrongPhase, "app %s %s, not running", op.GetApp(), apiv1.AppStands(string(phase), false))
	case app.GetEpoch() != op.GetEpoch():
		return refuse(CodeStaleEpoch, "app %s is at epoch %d, not %d", op.GetApp(), app.GetEpoch(), op.GetEpoch())
	case !app.GetMigratable():
		return refuse(CodeNotMigratable, "the module of app %s cannot be frozen; build it with godwit cc", op.GetApp())
	}
	return applied("")
}

// partsOf is what the app's hosts are to make, in order of host: those with ranks, also
// with such as have ended, or with its files.
func (t *tx) partsOf(app *apiv1.App, op *apiv1.BeginCheckpoint) ([]*apiv1.CheckpointPart, outcome) {
	seconds := make(map[string]string, len(op.GetParts()))
	for _, p := range op.GetParts() {
		seconds[p.GetHost()] = p.GetSecond()
	}
	hosts := map[string]bool{}
	for _, name := range app.GetPlacement() { // where all ranks have ended there is their output
		if host, ok := t.Host(HostID(name)); ok && !HostStateOf(host).Gone() {
			hosts[name] = true
		}
	}
	for host := range t.HostsOf(AppID(app.GetId())) {
		hosts[string(host)] = true
	}
	var parts []*apiv1.CheckpointPart
	for _, name := range slices.Sorted(maps.Keys(hosts)) {
		p := &apiv1.CheckpointPart{Host: name, Second: seconds[name], Files: t.ShareOf(HostID(name), AppID(app.GetId())).Files > 0}
		if bad := t.checkSecond(p); bad.code != CodeApplied {
			return nil, bad
		}
		parts = append(parts, p)
	}
	return parts, applied("")
}

// checkSecond refuses a second host that cannot hold what the part's host has made.
func (t *tx) checkSecond(p *apiv1.CheckpointPart) outcome {
	host, ok := t.Host(HostID(p.GetSecond()))
	switch {
	case p.GetSecond() == "":
		return applied("")
	case p.GetSecond() == p.GetHost():
		return refuse(CodeInvalid, "host %s is not a second one for what it makes itself", p.GetHost())
	case !ok:
		return refuse(CodeNotFound, "no host %s", p.GetSecond())
	case HostStateOf(host) != Ready:
		return refuse(CodeHostNotReady, "host %s is %s", p.GetSecond(), host.GetState())
	}
	return applied("")
}

// shareHosts gives equal names of hosts in the checkpoint the same memory. It changes all of its parts and runs, so nobody else may have them.
func shareHosts(ck *apiv1.Checkpoint) {
	var names []string
	for _, run := range ck.GetRuns() {
		names = append(names, run.GetHost())
	}
	for _, p := range ck.GetParts() {
		names = append(names, p.GetHost(), p.GetSecond(), p.GetThird())
	}
	names = shareNames(names)
	for i, run := range ck.GetRuns() {
		run.Host = names[i]
	}
	names = names[len(ck.GetRuns()):]
	for i, p := range ck.GetParts() {
		p.Host, p.Second, p.Third = names[3*i], names[3*i+1], names[3*i+2]
	}
}

// shareCheckpoint gives a checkpoint out of a snapshot the spec of its app, if that is
// known, or of another of its checkpoints.
func (v *View) shareCheckpoint(ck *apiv1.Checkpoint) {
	shareHosts(ck)
	specs := []*apiv1.AppSpec{}
	if app, ok := v.App(AppID(ck.GetApp())); ok {
		specs = append(specs, app.GetSpec())
	}
	for other := range v.CheckpointsOf(AppID(ck.GetApp())) {
		specs = append(specs, other.GetSpec())
		break
	}
	for _, spec := range specs {
		if proto.Equal(spec, ck.GetSpec()) {
			ck.Spec = spec
			return
		}
	}
}

// makeRoomFor forgets aborted checkpoints, the oldest first, until there is room for
// another.
func (t *tx) makeRoomFor(ck *apiv1.Checkpoint) outcome {
	full := func() bool {
		return t.checkpoints.Len() >= MaxCheckpoints || t.checkpointBytes+checkpointWeight(ck) > MaxCheckpointBytes
	}
	for old := range t.CheckpointsAfter(Place{}) {
		if !full() {
			break
		}
		if CheckpointPhaseOf(old) == CheckpointAborted {
			t.forgetCheckpoint(old)
		}
	}
	if full() {
		return refuse(CodeTooMany, "with it there would be %d checkpoints, of which %d bytes are known, and at most %d, and %d bytes, are possible; remove some",
			t.checkpoints.Len()+1, t.checkpointBytes+checkpointWeight(ck), MaxCheckpoints, MaxCheckpointBytes)
	}
	return applied("")
}

// underWayIn returns a copy of the checkpoint that may be changed, if it is in the phase
// wanted.
func (t *tx) underWayIn(id string, want CheckpointPhase) (*apiv1.Checkpoint, outcome) {
	ck, ok := t.Checkpoint(CheckpointID(id))
	switch {
	case !ok:
		return nil, refuse(CodeNotFound, "no checkpoint %s", id)
	case CheckpointPhaseOf(ck).Ended():
		return nil, refuse(CodeCheckpointEnded, "checkpoint %s is %s", id, ck.GetPhase())
	case CheckpointPhaseOf(ck) != want:
		return nil, refuse(CodeWrongPhase, "checkpoint %s is %s, not %s", id, ck.GetPhase(), want)
	}
	return draftCheckpoint(ck), applied(id)
}

func setCheckpointPhase(ck *apiv1.Checkpoint, next CheckpointPhase) error {
	if !CheckpointPhaseOf(ck).mayBecome(next) {
		return broken("checkpoint %s goes from %s to %s", ck.GetId(), ck.GetPhase(), next)
	}
	ck.Phase = string(next)
	return nil
}

// announceCheckpoint has the ranks stop.
func (t *tx) announceCheckpoint(op *apiv1.AnnounceCheckpoint) outcome {
	if ck, _ := t.Checkpoint(CheckpointID(op.GetId())); CheckpointPhaseOf(ck) == CheckpointAnnounced {
		if op.GetStill() && !ck.GetStill() {
			ck = draftCheckpoint(ck)
			ck.Still = true
			t.putCheckpoint(ck)
		}
		return applied(op.GetId())
	}
	ck, out := t.underWayIn(op.GetId(), CheckpointPending)
	if out.code != CodeApplied {
		return out
	}
	if err := setCheckpointPhase(ck, CheckpointAnnounced); err != nil {
		return outcome{fault: err}
	}
	t.putCheckpoint(ck)
	return out
}

// takeCheckpoint has the ranks go on: all of them stood still, and all is written. What
// had ended by then is of the checkpoint.
func (t *tx) takeCheckpoint(op *apiv1.TakeCheckpoint) outcome {
	ck, out := t.underWayIn(op.GetId(), CheckpointAnnounced)
	if out.code != CodeApplied {
		return out
	}
	app, ok := t.App(AppID(ck.GetApp()))
	switch {
	case !ok:
		return outcome{fault: broken("checkpoint %s is of app %s, which is not known", ck.GetId(), ck.GetApp())}
	case app.GetAttempt() != ck.GetAttempt():
		return refuse(CodeStale, "app %s is at attempt %d, checkpoint %s is of attempt %d", app.GetId(), app.GetAttempt(), ck.GetId(), ck.GetAttempt())
	case app.GetEpoch() != ck.GetEpoch():
		return refuse(CodeStaleEpoch, "app %s is at epoch %d, checkpoint %s is of epoch %d", app.GetId(), app.GetEpoch(), ck.GetId(), ck.GetEpoch())
	}
	bad := changeParts(ck, op.GetParts(), func(part, said *apiv1.CheckpointPart) outcome {
		if ms := said.GetPauseMs(); math.IsNaN(ms) || math.IsInf(ms, 0) || ms < 0 {
			return refuse(CodeInvalid, "a pause of %v ms on host %s", ms, said.GetHost())
		}
		part.PauseMs, part.Files = said.GetPauseMs(), part.GetFiles() || said.GetFiles()
		return applied("")
	})
	if bad.code != CodeApplied {
		return bad
	}
	if err := setCheckpointPhase(ck, CheckpointTaken); err != nil {
		return outcome{fault: err}
	}
	ck.TakenAt, ck.Ended, ck.Ends = t.at, app.GetEnded(), app.GetEnds()
	t.putCheckpoint(ck)
	return out
}

// changeParts changes parts of the draft of a checkpoint by what is said of each.
func changeParts(ck *apiv1.Checkpoint, said []*apiv1.CheckpointPart, change func(part, said *apiv1.CheckpointPart) outcome) outcome {
	parts := slices.Clone(ck.GetParts())
	named := make([]bool, len(parts))
	for _, s := range said {
		i, ok := slices.BinarySearchFunc(parts, s.GetHost(), func(p *apiv1.CheckpointPart, host string) int {
			return strings.Compare(p.GetHost(), host)
		})
		switch {
		case !ok:
			return refuse(CodeInvalid, "checkpoint %s has no part of host %s", ck.GetId(), s.GetHost())
		case named[i]:
			return refuse(CodeInvalid, "host %s is named twice", s.GetHost())
		}
		named[i], parts[i] = true, draftPart(parts[i])
		if bad := change(parts[i], s); bad.code != CodeApplied {
			return bad
		}
	}
	ck.Parts = parts
	return applied("")
}

// completeCheckpoint notes that every part is where it is to be: the app can go on from
// it.
func (t *tx) completeCheckpoint(op *apiv1.CompleteCheckpoint) outcome {
	ck, out := t.underWayIn(op.GetId(), CheckpointTaken)
	if out.code != CodeApplied {
		return out
	}
	bad := changeParts(ck, op.GetParts(), func(part, said *apiv1.CheckpointPart) outcome {
		if n := len(said.GetDigest()); n != sha256.Size || said.GetNewBytes() < 0 || said.GetBytes() < said.GetNewBytes() {
			return refuse(CodeInvalid, "what host %s has made has a digest of %d bytes, and %d bytes, %d of them new", said.GetHost(), n, said.GetBytes(), said.GetNewBytes())
		}
		if ms := said.GetPauseMs(); math.IsNaN(ms) || math.IsInf(ms, 0) || ms < 0 {
			return refuse(CodeInvalid, "a pause of %v ms on host %s", ms, said.GetHost())
		}
		part.Digest, part.Bytes, part.NewBytes, part.PauseMs = said.GetDigest(), said.GetBytes(), said.GetNewBytes(), max(part.GetPauseMs(), said.GetPauseMs())
		part.HostNode, part.SecondNode = t.nodeOf(part.GetHost()), t.nodeOf(part.GetSecond())
		return applied("")
	})
	switch {
	case bad.code != CodeApplied:
		return bad
	case len(op.GetParts()) != len(ck.GetParts()):
		return refuse(CodeInvalid, "%d hosts have made their part, checkpoint %s is of %d", len(op.GetParts()), ck.GetId(), len(ck.GetParts()))
	}
	old, ok := t.App(AppID(ck.GetApp()))
	if !ok {
		return outcome{fault: broken("checkpoint %s is of app %s, which is not known", ck.GetId(), ck.GetApp())}
	}
	if err := setCheckpointPhase(ck, CheckpointComplete); err != nil {
		return outcome{fault: err}
	}
	ck.EndedAt = t.at
	t.putCheckpoint(ck)
	app := draftApp(old)
	app.CheckpointId, app.LastCheckpoint, app.RestoredInVain = "", ck.GetId(), 0
	if ck.GetThen() == apiv1.AfterCheckpoint_AFTER_CHECKPOINT_UNSPECIFIED {
		t.putApp(app)
		return out
	}
	app.Verdict, app.Reason, app.Restore, app.Restoring = string(Frozen), "frozen by checkpoint "+ck.GetId(), ck.GetId(), true
	if ck.GetThen() == apiv1.AfterCheckpoint_AFTER_CHECKPOINT_QUEUE {
		app.Verdict, app.Reason = string(Queued), "queued again with checkpoint "+ck.GetId()
	}
	return appliedUnless(t.settle(app), out.id)
}

func (t *tx) abortCheckpoint(op *apiv1.AbortCheckpoint) outcome {
	ck, ok := t.Checkpoint(CheckpointID(op.GetId()))
	switch {
	case !ok:
		return refuse(CodeNotFound, "no checkpoint %s", op.GetId())
	case CheckpointPhaseOf(ck).Ended():
		return refuse(CodeCheckpointEnded, "checkpoint %s is %s", op.GetId(), ck.GetPhase())
	}
	if err := t.giveUp(ck, op.GetReason()); err != nil {
		return outcome{fault: err}
	}
	if op.GetNext() != nil && t.BeginsAnew() {
		t.beginInPlaceOf(op.GetId(), op.GetNext())
	}
	return applied(op.GetId())
}

// MostInPlace is how many checkpoints are begun, one in the place of the other, until the next is left to who asks for it: each has ranks stop.
const MostInPlace = 2

// NextInPlace is the id of a checkpoint in the place of another one: the same whoever makes it.
func NextInPlace(ck *apiv1.Checkpoint) CheckpointID {
	first := strings.TrimSuffix(ck.GetId(), fmt.Sprintf("-%d", ck.GetTries()+1))
	return CheckpointID(fmt.Sprintf("%s-%d", first, ck.GetTries()+2))
}

// mayBeginInPlaceOf says whether the state machine itself begins another in the place of one that it aborts.
func (t *tx) mayBeginInPlaceOf(ck *apiv1.Checkpoint) bool {
	return t.BeginsAnew() && ck.GetTries() < MostInPlace
}

// inPlaceOf is a checkpoint as the one in whose place it is begun.
func inPlaceOf(ck *apiv1.Checkpoint) *apiv1.BeginCheckpoint {
	op := &apiv1.BeginCheckpoint{Id: string(NextInPlace(ck)), App: ck.GetApp(), Epoch: ck.GetEpoch(), Cause: ck.GetCause(), Then: ck.GetThen(), To: ck.GetTo()}
	for _, p := range ck.GetParts() {
		op.Parts = append(op.Parts, &apiv1.CheckpointPart{Host: p.GetHost(), Second: p.GetSecond()})
	}
	return op
}

// beginInPlaceOf begins a checkpoint in the place of an aborted one. It may be that there can be none any more: the other is aborted all the same.
func (t *tx) beginInPlaceOf(id string, op *apiv1.BeginCheckpoint) {
	was, ok := t.Checkpoint(CheckpointID(id))
	if !ok || op.GetApp() != was.GetApp() || t.beginCheckpoint(op).code != CodeApplied {
		return
	}
	begun, _ := t.Checkpoint(CheckpointID(op.GetId()))
	ck := draftCheckpoint(begun)
	ck.Tries = was.GetTries() + 1
	t.putCheckpoint(ck)
	if was, ok = t.Checkpoint(CheckpointID(id)); ok { // else it made room
		ck = draftCheckpoint(was)
		ck.Next = op.GetId()
		t.putCheckpoint(ck)
	}
}

// giveUp aborts a checkpoint of an app that is not being changed otherwise.
func (t *tx) giveUp(ck *apiv1.Checkpoint, reason string) error {
	old, ok := t.App(AppID(ck.GetApp()))
	if !ok {
		return broken("checkpoint %s is of app %s, which is not known", ck.GetId(), ck.GetApp())
	}
	app := draftApp(old)
	if err := t.endCheckpoint(app, reason); err != nil {
		return err
	}
	t.putApp(app)
	return nil
}

// endCheckpoint aborts the checkpoint that the draft of an app has under way, if it has
// one. Of its aborted ones the last few are kept.
func (t *tx) endCheckpoint(app *apiv1.App, reason string) error {
	old, ok := t.Checkpoint(CheckpointID(app.GetCheckpointId()))
	if !ok {
		return nil
	}
	ck := draftCheckpoint(old)
	if err := setCheckpointPhase(ck, CheckpointAborted); err != nil {
		return err
	}
	ck.Reason, ck.EndedAt = cleanReason(reason), t.at
	t.putCheckpoint(ck)
	app.CheckpointId = ""
	var aborted []*apiv1.Checkpoint
	for ck := range t.CheckpointsOf(AppID(app.GetId())) {
		if CheckpointPhaseOf(ck) == CheckpointAborted {
			aborted = append(aborted, ck)
		}
	}
	for _, ck := range aborted[:max(0, len(aborted)-KeepAborted)] {
		t.forgetCheckpoint(ck)
	}
	return nil
}

// removeCheckpoints forgets checkpoints that have ended. Unknown ones are passed over.
func (t *tx) removeCheckpoints(op *apiv1.RemoveCheckpoint) outcome {
	needed := t.restoring()
	for _, id := range op.GetIds() {
		ck, ok := t.Checkpoint(CheckpointID(id))
		if !ok {
			continue
		}
		if !CheckpointPhaseOf(ck).Ended() {
			return refuse(CodeWrongPhase, "checkpoint %s is %s; abort it", id, ck.GetPhase())
		}
		if app, ok := needed[CheckpointID(id)]; ok {
			return refuse(CodeInUse, "app %s begins from checkpoint %s", app, id)
		}
		t.forgetCheckpoint(ck)
		old, ok := t.App(AppID(ck.GetApp()))
		if !ok || PhaseOf(old).Terminal() || old.GetLastCheckpoint() != id {
			continue
		}
		app := draftApp(old)
		app.LastCheckpoint = t.lastComplete(app)
		t.putApp(app)
	}
	return applied("")
}

// lastComplete is the id of the app's last complete checkpoint; empty: it has none. An
// earlier app of the same id, which is forgotten, may have left some.
func (v *View) lastComplete(app *apiv1.App) string {
	last := ""
	for ck := range v.CheckpointsOf(AppID(app.GetId())) {
		if CheckpointPhaseOf(ck) == CheckpointComplete && ck.GetBeginIndex() >= app.GetSubmitIndex() && !ck.GetImported() {
			last = ck.GetId()
		}
	}
	return last
}
