package fsm

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
	"strings"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// An app that has lost a host runs again from its last checkpoint, where it may and
// somebody has it: its verdict is queued, and its next attempt begins from there.

// restoring is which live app begins from a checkpoint, or may come to. It costs a look
// at all live apps.
func (v *View) restoring() map[CheckpointID]AppID {
	apps := make(map[CheckpointID]AppID)
	for app := range v.appsOf(v.live) {
		for _, id := range []string{app.GetSpec().GetRestore(), app.GetRestore()} {
			if id != "" {
				apps[CheckpointID(id)] = AppID(app.GetId())
			}
		}
	}
	return apps
}

// RestoringFrom returns the live app that begins from the checkpoint, or may come to:
// for as long it cannot be removed.
func (v *View) RestoringFrom(id CheckpointID) (AppID, bool) {
	app, ok := v.restoring()[id]
	return app, ok
}

// AsksForCheckpoints tells whether a spec has to do with checkpoints.
func AsksForCheckpoints(spec *apiv1.AppSpec) bool {
	return spec.GetCheckpointPeriod() != 0 || spec.GetCheckpointKeep() != 0 || spec.GetOnHostLoss() != "" || spec.GetHostLossRestarts() != 0 ||
		spec.GetRestore() != "" || spec.GetCheckpointTo() != ""
}

// checkRestore refuses a spec whose checkpoint is not there, or is of other programs.
func (t *tx) checkRestore(spec *apiv1.AppSpec) outcome {
	if spec.GetRestore() == "" {
		return applied("")
	}
	ck, ok := t.Checkpoint(CheckpointID(spec.GetRestore()))
	switch {
	case !ok:
		return refuse(CodeNotFound, "no checkpoint %s", spec.GetRestore())
	case CheckpointPhaseOf(ck) != CheckpointComplete:
		return refuse(CodeWrongPhase, "checkpoint %s is %s, not complete", spec.GetRestore(), ck.GetPhase())
	case ck.GetSpec().GetSize() != spec.GetSize():
		return refuse(CodeInvalid, "checkpoint %s is of %d ranks, the app has %d", spec.GetRestore(), ck.GetSpec().GetSize(), spec.GetSize())
	case t.WhyGone(ck) != "":
		return refuse(CodeInvalid, "%s", t.WhyGone(ck))
	case !slices.Equal(modulesByRank(ck.GetSpec()), modulesByRank(spec)):
		return refuse(CodeInvalid, "checkpoint %s is of ranks of other modules", spec.GetRestore())
	}
	return applied("")
}

// modulesByRank is the digest of each rank's module.
func modulesByRank(spec *apiv1.AppSpec) []string {
	var digests []string
	for _, p := range spec.Programs() {
		digests = append(digests, slices.Repeat([]string{p.GetModuleDigest()}, int(p.GetRanks()))...)
	}
	return digests
}

// hostLossRestarts is how often the app runs again from checkpoints without a new one.
func hostLossRestarts(spec *apiv1.AppSpec) int32 {
	if n := spec.GetHostLossRestarts(); n != 0 {
		return n
	}
	return DefaultHostLossRestarts
}

// survive notes in the draft of an app that is about to lose ranks, or its files, to a
// host whether it runs again from a checkpoint: then that is its verdict. Else it fails,
// and the answer is why, with why there is no way on. That the host is gone is known
// already; one that has restarted is not.
func (t *tx) survive(app *apiv1.App, why string) string { return t.goOn(app, why, true) }

// goOn is survive, of an app that may not do so in vain more often than it may; or of one
// of which that does not count.
func (t *tx) goOn(app *apiv1.App, why string, inVain bool) string {
	if app.GetVerdict() != "" {
		return why
	}
	ck, not := t.mayRestore(app, inVain)
	if not != "" {
		return cleanReason(why + "; " + not)
	}
	if ck != nil {
		app.Verdict, app.Reason, app.Restore, app.Restoring = string(Queued), cleanReason(why), ck.GetId(), true
		if inVain {
			app.RestoredInVain++ // until there is a new one
		}
	}
	return why
}

// mayRestore returns the checkpoint that the app runs again from after it has lost a
// host; or why it does not, where people would expect that it does.
func (v *View) mayRestore(app *apiv1.App, inVain bool) (*apiv1.Checkpoint, string) {
	spec, id := app.GetSpec(), app.GetLastCheckpoint()
	if id == "" {
		id = app.GetRestore()
	}
	ck, ok := v.Checkpoint(CheckpointID(id))
	switch {
	case id == "" && (spec.GetCheckpointPeriod() > 0 || spec.GetOnHostLoss() == apiv1.OnHostLossRestart):
		return nil, "it does not run again from a checkpoint, for it has none yet"
	case id == "":
		return nil, ""
	case inVain && spec.GetOnHostLoss() == apiv1.OnHostLossFail:
		return nil, fmt.Sprintf("it does not run again from checkpoint %s, for it is to fail when a host is lost", id)
	case !ok || CheckpointPhaseOf(ck) != CheckpointComplete:
		return nil, fmt.Sprintf("it does not run again from checkpoint %s, which is not there", id)
	case inVain && app.GetRestoredInVain() >= hostLossRestarts(spec):
		return nil, fmt.Sprintf("it does not run again from checkpoint %s, for it did %s without a new one", id, times(app.GetRestoredInVain()))
	}
	if best := v.best(app, ck); best != nil {
		return best, ""
	}
	return nil, fmt.Sprintf("it does not run again from checkpoint %s: %s", id, v.WhyGone(ck))
}

// best returns the checkpoint that an app goes on from: ck, if it can be had now, or, where
// its machines may be back, unless an object store has one. Else, or where they were given
// notice before they were lost, the last that can be had now; else ck, for a machine that
// has another's name now may be back for all that is known; or, where that is lost, the last
// that is not. nil: there is none.
func (v *View) best(app *apiv1.App, ck *apiv1.Checkpoint) *apiv1.Checkpoint {
	if _, lost := v.LostPart(ck); !lost {
		return ck
	}
	if v.WhyGone(ck) == "" && !v.wentAway(ck) {
		if stored, ok := v.lastStored(app); ok {
			return stored
		}
		return ck
	}
	var now, some *apiv1.Checkpoint
	for other := range v.ownCheckpoints(app) {
		if _, lost := v.LostPart(other); !lost {
			now = other
		}
		if !other.GetLost() {
			some = other
		}
	}
	switch {
	case now != nil:
		return now
	case !ck.GetLost():
		return ck
	}
	return some
}

// ownCheckpoints iterates over the complete checkpoints that this app has made, the oldest first.
func (v *View) ownCheckpoints(app *apiv1.App) iter.Seq[*apiv1.Checkpoint] {
	return func(yield func(*apiv1.Checkpoint) bool) {
		for ck := range v.CheckpointsOf(AppID(app.GetId())) {
			own := CheckpointPhaseOf(ck) == CheckpointComplete && !ck.GetImported() && ck.GetBeginIndex() >= app.GetSubmitIndex()
			if own && !yield(ck) {
				return
			}
		}
	}
}

// WhyGone says why nobody who is known has a checkpoint, or will have it again; empty:
// somebody may.
func (v *View) WhyGone(ck *apiv1.Checkpoint) string {
	if ck.GetLost() {
		return fmt.Sprintf("nobody has checkpoint %s whole any more", ck.GetId())
	}
	if ck.GetStoredAt() != nil {
		return ""
	}
	for _, part := range ck.GetParts() {
		if !v.known(part) {
			return fmt.Sprintf("no host that is known holds what host %s made of checkpoint %s", part.GetHost(), ck.GetId())
		}
	}
	return ""
}

// wentAway tells whether a part of the checkpoint was held only by machines that are gone and
// had been given notice: that one of them is back is no more likely than that it is not.
func (v *View) wentAway(ck *apiv1.Checkpoint) bool {
	went := func(id string, node uint64) bool {
		host, ok := v.Host(HostID(id))
		return !ok || !v.MayBeBack(id, node) || HostStateOf(host).Gone() && WishOf(host) == Evicting
	}
	return slices.ContainsFunc(ck.GetParts(), func(p *apiv1.CheckpointPart) bool {
		return !slices.ContainsFunc(p.Holders(), func(h apiv1.Holder) bool { return !went(h.Host, h.Node) })
	})
}

// known tells whether a machine that was to hold the part may be back.
func (v *View) known(part *apiv1.CheckpointPart) bool {
	return slices.ContainsFunc(part.Holders(), func(h apiv1.Holder) bool { return v.MayBeBack(h.Host, h.Node) })
}

// MayBeBack tells whether a machine, if it is known which, is there under its name, or may
// be again: one that is forgotten, or whose name is another's now, is not.
func (v *View) MayBeBack(id string, node uint64) bool {
	now := v.nodeOf(id)
	return now != 0 && (node == 0 || node == now)
}

// WhyAway says why an app cannot begin now from the checkpoint that it is to begin from, for
// people to read: the hosts that hold a part of it are away. Empty: it can, as far as is known.
func (v *View) WhyAway(app *apiv1.App) string {
	if app.GetRestore() == "" {
		return ""
	}
	ck, ok := v.Checkpoint(CheckpointID(app.GetRestore()))
	if !ok {
		return ""
	}
	part, lost := v.LostPart(ck)
	if !lost {
		return ""
	}
	if gone := v.WhyGone(ck); gone != "" {
		return gone + "; it goes on when a machine that did is back under its name, with its data directory"
	}
	var who []string
	for _, h := range part.Holders() {
		if v.MayBeBack(h.Host, h.Node) {
			who = append(who, h.Host)
		}
	}
	return fmt.Sprintf("waits for host %s to be back, with its data directory: nobody else holds what host %s has made of checkpoint %s", strings.Join(who, " or "), part.GetHost(), ck.GetId())
}

// lastStored returns the last checkpoint of the app that is in an object store.
func (v *View) lastStored(app *apiv1.App) (last *apiv1.Checkpoint, ok bool) {
	for ck := range v.ownCheckpoints(app) {
		if ck.GetStoredAt() != nil && !ck.GetLost() {
			last, ok = ck, true
		}
	}
	return last, ok
}

// restoreElse has apps that are about to begin from a checkpoint which cannot be had now
// begin from another one, where there is a better one, or fail, where nobody will ever have
// one. What an app was submitted to begin from has no other in its place. It costs a look at
// all live apps.
func (t *tx) restoreElse() error { return t.restoreElseOf(t.appsOf(t.live)) }

// restoreElseOf is restoreElse of some apps.
func (t *tx) restoreElseOf(apps iter.Seq[*apiv1.App]) error {
	var away []AppID
	for app := range apps {
		if app.GetRestore() == "" || PhaseOf(app) != Queued && (!app.GetRestoring() || Phase(app.GetVerdict()) != Queued) {
			continue
		}
		if ck, ok := t.Checkpoint(CheckpointID(app.GetRestore())); ok {
			if _, lost := t.LostPart(ck); lost {
				away = append(away, AppID(app.GetId()))
			}
		}
	}
	for _, id := range away {
		old, _ := t.App(id) // one of those before may have been what it waited for, or depended on: then it has failed with that
		if PhaseOf(old).Terminal() {
			continue
		}
		ck, _ := t.Checkpoint(CheckpointID(old.GetRestore()))
		next := t.best(old, ck)
		if old.GetRestore() == old.GetSpec().GetRestore() && !ck.GetLost() {
			next = ck
		}
		if next == ck {
			continue
		}
		app := draftApp(old)
		if next != nil {
			app.Restore = next.GetId()
			t.putApp(app)
			continue
		}
		app.Verdict, app.Reason, app.ExitCode, app.Restoring = string(Failed), cleanReason(t.WhyGone(ck)), ExitFailed, false
		if err := t.settle(app); err != nil {
			return err
		}
	}
	return nil
}

// LostPart returns a part of the checkpoint that no host which is there could have kept,
// if there is one, and no object store has it. A host that has restarted may have kept
// what it had, with its data directory; another machine of its name has nothing.
func (v *View) LostPart(ck *apiv1.Checkpoint) (part *apiv1.CheckpointPart, lost bool) {
	if ck.GetStoredAt() != nil && !ck.GetLost() {
		return nil, false
	}
	for _, part := range ck.GetParts() {
		if ck.GetLost() || !slices.ContainsFunc(part.Holders(), func(h apiv1.Holder) bool { return v.holds(h.Host, h.Node) }) {
			return part, true
		}
	}
	return nil, false
}

func times(n int32) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// holds tells whether a host is there that could have kept a part of a checkpoint: of a
// machine, if it is known which.
func (v *View) holds(id string, node uint64) bool {
	host, ok := v.Host(HostID(id))
	return ok && !HostStateOf(host).Gone() && isHolder(apiv1.Holder{Host: id, Node: node}, host)
}

// HeldBy tells whether a host is one of those that hold a part of a checkpoint. A machine that has taken the name of one of them is not.
func HeldBy(part *apiv1.CheckpointPart, host *apiv1.Host) bool {
	return slices.ContainsFunc(part.Holders(), func(by apiv1.Holder) bool { return isHolder(by, host) })
}

func isHolder(by apiv1.Holder, host *apiv1.Host) bool {
	return by.Host == host.GetId() && (by.Node == 0 || by.Node == nodeSum(host.GetNodeId()))
}

// nodeOf is the sum of a host's node id; 0: there is no such host.
func (v *View) nodeOf(id string) uint64 {
	host, ok := v.Host(HostID(id))
	if !ok {
		return 0
	}
	return nodeSum(host.GetNodeId())
}

// nodeSum is a node id in 8 bytes, and never 0.
func nodeSum(id string) uint64 {
	sum := sha256.Sum256([]byte(id))
	return max(1, binary.BigEndian.Uint64(sum[:]))
}

// abortOn aborts the checkpoints under way of which the host makes a part, or is to hold
// one. One that it was only to hold has another in its place, which others hold.
func (t *tx) abortOn(id HostID, why string) error {
	for ck := range t.PendingCheckpointsOn(id) {
		if err := t.giveUp(ck, why); err != nil {
			return err
		}
		makes := slices.ContainsFunc(ck.GetParts(), func(p *apiv1.CheckpointPart) bool { return p.GetHost() == string(id) })
		if !makes && t.mayBeginInPlaceOf(ck) {
			t.beginInPlaceOf(ck.GetId(), t.heldByOthers(ck, id))
		}
	}
	return nil
}

// heldByOthers is a checkpoint in the place of one that a host that goes was to hold parts of: hosts of the app do, if there are two, or else any others.
func (t *tx) heldByOthers(ck *apiv1.Checkpoint, gone HostID) *apiv1.BeginCheckpoint {
	op := inPlaceOf(ck)
	var may []string
	add := func(id string) {
		if host, ok := t.Host(HostID(id)); ok && HostID(id) != gone && HostStateOf(host) == Ready && WhyUnfit(host) == "" {
			may = append(may, id)
		}
	}
	for _, p := range ck.GetParts() {
		add(p.GetHost())
	}
	for host := range t.Hosts() {
		if len(may) > 1 {
			break
		}
		if !slices.Contains(may, host.GetId()) {
			add(host.GetId())
		}
	}
	for i, p := range op.GetParts() {
		if p.GetSecond() != string(gone) {
			continue
		}
		p.Second = ""
		for k := range may { // behind this one, in turn
			if other := may[(i+k)%len(may)]; other != p.GetHost() {
				p.Second = other
			}
		}
	}
	return op
}
