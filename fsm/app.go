package fsm

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// submitApp queues an app. The id is the proposer's; a second submission with
// the same id and key is the first one's retry.
func (t *tx) submitApp(key, principal string, op *apiv1.SubmitApp) outcome {
	id, spec := op.GetId(), op.GetSpec()
	if old, ok := t.App(AppID(id)); ok {
		switch {
		case sameRequest(old, key, spec):
			return applied(id)
		case key != "" && old.GetIdempotencyKey() == key:
			return refuse(CodeKeyReused, "the idempotency key was used for another submission, app %s; use a new key for a new app", id)
		}
		return refuse(CodeAlreadyExists, "there is an app %s already", id)
	}
	if (len(spec.GetParts()) > 0 || spec.GetOwnerLeaseMs() != 0) && !t.RunsParts() {
		return refuse(CodeInvalid, "an app has one program, and no owner's lease, at feature level %d; they need level %d", t.feature, levelRunsParts)
	}
	if AsksForCheckpoints(spec) && !t.MakesCheckpoints() {
		return refuse(CodeInvalid, "there are no checkpoints at feature level %d; they need level %d", t.feature, levelCheckpoints)
	}
	if AsksForScheduling(spec) && !t.Schedules() {
		return refuse(CodeInvalid, "there are no priorities, dependencies, time limits, arrays and declared memory at feature level %d; they need level %d", t.feature, levelSchedules)
	}
	if bad := t.checkRestore(spec); bad.code != CodeApplied {
		return bad
	}
	mods, bad := t.modulesOf(spec)
	if bad.code != CodeApplied {
		return bad
	}
	if t.live.Len() >= MaxLiveApps {
		return refuse(CodeTooMany, "%d apps are queued or running; wait for some to end", MaxLiveApps)
	}
	app := &apiv1.App{
		Id:             id,
		Name:           spec.GetName(),
		Spec:           clone(spec),
		Phase:          string(Queued),
		Size:           spec.GetSize(),
		Migratable:     !slices.ContainsFunc(mods, func(mod *apiv1.Module) bool { return !mod.GetMigratable() }),
		SubmittedAt:    t.at,
		SubmitIndex:    t.entryIndex,
		IdempotencyKey: key,
		Attempt:        1,
		Principal:      principal,
		Restore:        spec.GetRestore(),
	}
	t.declareDefault(app)
	if bad := t.checkDependencies(app); bad.code != CodeApplied {
		return bad
	}
	t.holdForArray(app)
	for _, mod := range mods {
		t.useModule(mod)
	}
	t.touchTree(spec.GetInputs())
	t.putApp(app)
	if now, most := t.weighed(); now.live > most.live {
		return refuse(CodeTooMany, "with it the apps that are queued or running would have %d bytes of arguments, environment and placement rules, and at most %d are possible; wait for some to end",
			now.live, most.live)
	}
	return applied(id)
}

// modulesOf are the modules that an app of this spec runs, each once.
func (t *tx) modulesOf(spec *apiv1.AppSpec) ([]*apiv1.Module, outcome) {
	var mods []*apiv1.Module
	for _, digest := range spec.Modules() {
		mod, ok := t.Module(Digest(digest))
		if !ok {
			return nil, refuse(CodeNotFound, "no module %s", digest)
		}
		mods = append(mods, mod)
	}
	return mods, applied("")
}

// placeApp gives a queued app all its hosts at once. What had ended in the checkpoint
// that it begins from has ended, and takes no slot.
func (t *tx) placeApp(op *apiv1.PlaceApp) outcome {
	old, ok := t.App(AppID(op.GetApp()))
	placement := placementOf(op)
	switch {
	case !ok:
		return refuse(CodeNotFound, "no app %s", op.GetApp())
	case PhaseOf(old).Terminal():
		return refuse(CodeTerminal, "app %s %s", op.GetApp(), apiv1.AppStands(old.GetPhase(), false))
	case PhaseOf(old) != Queued:
		return refuse(CodeWrongPhase, "app %s %s, not queued", op.GetApp(), apiv1.AppStands(old.GetPhase(), false))
	case !MayPlace(old):
		return refuse(CodeWrongPhase, "app %s waits for other apps to end", op.GetApp())
	case len(placement) != int(old.GetSize()):
		return refuse(CodeInvalid, "%d hosts for %d ranks", len(placement), old.GetSize())
	}
	if room := t.PlacingRoom(); !room.Take(old) {
		return refuse(CodeTooMany, "the ranks of the apps that hold hosts may take %d bytes of the servers' memory, and at most %d are possible; it waits for some to end",
			t.placedBytes, MaxPlacedBytes)
	}
	app := draftApp(old)
	if old.GetRestore() != "" {
		ck, ok := t.Checkpoint(CheckpointID(old.GetRestore()))
		if !ok {
			return refuse(CodeNotFound, "no checkpoint %s, from which app %s begins", old.GetRestore(), op.GetApp())
		}
		app.Ended, app.Ends = ck.GetEnded(), ck.GetEnds()
		placement = withEnded(placement, app, ck)
	}
	live := hostsOfLive(app, placement)
	if most, has, over := t.overQuota(old.GetSpec().GetTenant(), len(live)); over {
		return refuse(CodeNotEnoughSlots, "tenant %s has %d slots, and may have %d; %d more are needed", old.GetSpec().GetTenant(), has, most, len(live))
	}
	for _, need := range countHosts(live) {
		if bad := t.checkTarget(old, need, old.GetSpec().GetOversubscribe()); bad.code != CodeApplied {
			return bad
		}
		if err := t.use(need.host, AppID(app.GetId()), Share{Ranks: need.ranks}); err != nil {
			return outcome{fault: err}
		}
	}
	t.touched.mayExceed = old.GetSpec().GetOversubscribe()
	app.Epoch++
	app.Left = nil
	app.Placement, app.Epochs = placement, []*apiv1.EpochRun{{Count: app.GetSize(), Epoch: app.GetEpoch()}}
	if t.MakesCheckpoints() {
		app.FirstEpoch = app.GetEpoch()
	}
	if err := setPhase(app, Starting); err != nil {
		return outcome{fault: err}
	}
	t.putApp(app)
	return applied(app.GetId())
}

// withEnded is a placement where ranks that had ended in a checkpoint are with ranks that go on, whose host
// has their output come as well; those of whose output it has nothing, for their host was gone, stay with that host.
func withEnded(placement []string, app *apiv1.App, ck *apiv1.Checkpoint) []string {
	if app.CountEnded() == 0 {
		return placement
	}
	out, live := slices.Clone(placement), hostsOfLive(app, placement)
	has := make(map[string]bool)
	for _, host := range live {
		has[host] = true
	}
	for r := range out {
		if !app.HasEnded(int32(r)) {
			continue
		}
		host := apiv1.HostAt(ck.GetRuns(), int32(r))
		switch held := slices.ContainsFunc(ck.GetParts(), func(p *apiv1.CheckpointPart) bool { return p.GetHost() == host }); {
		case !held:
			out[r] = host
		case !has[out[r]] && len(live) > 0:
			out[r] = live[0]
		}
	}
	return shareNames(out)
}

// hostsOfLive are the hosts of those ranks that have not ended.
func hostsOfLive(app *apiv1.App, placement []string) []string {
	if app.CountEnded() == 0 {
		return placement
	}
	var live []string
	for r, host := range placement {
		if !app.HasEnded(int32(r)) {
			live = append(live, host)
		}
	}
	return live
}

// shareNames gives equal names the same memory: a placement repeats few names.
func shareNames(names []string) []string {
	known := make(map[string]string)
	out := make([]string, len(names))
	for i, name := range names {
		if i > 0 && name == out[i-1] {
			out[i] = out[i-1]
			continue
		}
		if _, ok := known[name]; !ok {
			known[name] = name
		}
		out[i] = known[name]
	}
	return out
}

// hostNeed is a number of ranks wanted on a host.
type hostNeed struct {
	host  HostID
	ranks int
}

// countHosts counts the ranks on each host, in order of host.
func countHosts(placement []string) []hostNeed {
	count := make(map[string]int)
	for _, host := range placement {
		count[host]++
	}
	out := make([]hostNeed, 0, len(count))
	for _, host := range slices.Sorted(maps.Keys(count)) {
		out = append(out, hostNeed{HostID(host), count[host]})
	}
	return out
}

// checkTarget refuses a host that cannot take the ranks.
func (t *tx) checkTarget(app *apiv1.App, need hostNeed, oversubscribe bool) outcome {
	host, ok := t.Host(need.host)
	switch {
	case !ok:
		return refuse(CodeNotFound, "no host %s", need.host)
	case !TakesRanks(host):
		return refuse(CodeHostNotReady, "host %s is %s", need.host, Condition(host))
	case LacksVolume(host, app.GetSpec()) != "":
		return refuse(CodeHostNotReady, "host %s has no volume %s, which the app mounts", need.host, VolumeText(LacksVolume(host, app.GetSpec())))
	case LacksLabel(host.GetLabels(), app.GetSpec()) != "":
		return refuse(CodeHostNotReady, "host %s is without %s, for which the app asks", need.host, LacksLabel(host.GetLabels(), app.GetSpec()))
	case !oversubscribe && need.ranks > Free(host):
		return refuse(CodeNotEnoughSlots, "host %s has %d free of %d slots; %d are needed",
			need.host, Free(host), host.GetSlots(), need.ranks)
	case lacksMemory(host, app, need.ranks) != "":
		return refuse(CodeNotEnoughMemory, "%s", lacksMemory(host, app, need.ranks))
	}
	return applied("")
}

// hostStarted notes that a host's executor runs the app's ranks; the last one
// makes the app running.
func (t *tx) hostStarted(op *apiv1.HostStarted) outcome {
	old, ok := t.App(AppID(op.GetApp()))
	switch {
	case !ok:
		return refuse(CodeNotFound, "no app %s", op.GetApp())
	case PhaseOf(old).Terminal():
		return refuse(CodeTerminal, "app %s %s", op.GetApp(), apiv1.AppStands(old.GetPhase(), false))
	case !PhaseOf(old).Placed():
		return refuse(CodeWrongPhase, "app %s %s", op.GetApp(), apiv1.AppStands(old.GetPhase(), false))
	case old.GetEpoch() != op.GetEpoch():
		return refuse(CodeStaleEpoch, "app %s is at epoch %d, not %d", op.GetApp(), old.GetEpoch(), op.GetEpoch())
	case t.ShareOf(HostID(op.GetHost()), AppID(op.GetApp())).Ranks == 0:
		return refuse(CodeNotPlaced, "app %s has no live rank on host %s", op.GetApp(), op.GetHost())
	}
	app := draftApp(old)
	if !noteStarted(app, op.GetHost()) {
		return applied(op.GetApp())
	}
	return appliedUnless(t.settle(app), op.GetApp())
}

// noteStarted adds a host to those of the draft that have started; false: it was one.
func noteStarted(app *apiv1.App, host string) bool {
	at, was := slices.BinarySearch(app.GetStartedHosts(), host)
	if !was {
		app.StartedHosts = slices.Insert(slices.Clone(app.GetStartedHosts()), at, host)
	}
	return !was
}

// begins has the draft of an app run, if all its hosts have started.
func (t *tx) begins(app *apiv1.App) error {
	if PhaseOf(app) != Starting || !t.allStarted(app) {
		return nil
	}
	if err := setPhase(app, Running); err != nil {
		return err
	}
	app.StartedAt = t.at
	t.trusts(app)
	return nil
}

// stopApp decides an app's end. The first verdict stands; the least grace does.
func (t *tx) stopApp(op *apiv1.StopApp) outcome {
	old, ok := t.App(AppID(op.GetApp()))
	verdict, grace := Phase(op.GetPhase()), op.GetGraceMs()
	switch {
	case verdict != Cancelled && verdict != Failed:
		return refuse(CodeInvalid, "an app is stopped as cancelled or failed, not %q", op.GetPhase())
	case grace < 0 || grace > MaxGraceMs:
		return refuse(CodeInvalid, "a grace of %d ms; 0 (none) to %d are possible", grace, MaxGraceMs)
	case grace > 0 && t.feature < levelSchedules:
		return refuse(CodeInvalid, "ranks are not told that they are to end at feature level %d; that needs level %d", t.feature, levelSchedules)
	case !ok:
		return refuse(CodeNotFound, "no app %s", op.GetApp())
	case PhaseOf(old).Terminal():
		return refuse(CodeTerminal, "app %s %s (exit code %d)", op.GetApp(), apiv1.AppStands(old.GetPhase(), true), old.GetExitCode())
	case storing(old): // nobody waits for that any more
		app := draftApp(old)
		if err := t.dropFiles(app, cmp.Or(cleanReason(op.GetReason()), "stopped while they were being stored")); err != nil {
			return outcome{fault: err}
		}
		if Phase(app.GetVerdict()) == Succeeded {
			app.Verdict, app.ExitCode = string(verdict), ExitCancelled
			app.Reason = cleanReason("its files were not kept: " + app.GetFiles().GetFault())
		}
		return appliedUnless(t.settle(app), op.GetApp())
	case old.GetVerdict() != "" && Phase(old.GetVerdict()) != Queued && Phase(old.GetVerdict()) != Frozen:
		if grace >= old.GetGraceMs() {
			return applied(op.GetApp())
		}
		app := draftApp(old)
		app.GraceMs = grace
		return appliedUnless(t.settle(app), op.GetApp())
	}
	app := draftApp(old)
	app.GraceMs = grace
	app.Verdict, app.Reason, app.ExitCode, app.Restoring = string(verdict), cleanReason(op.GetReason()), ExitCancelled, false
	app.LastAttempt = old.GetLastAttempt() || op.GetFinal()
	if verdict == Failed {
		app.ExitCode = exitCode(op.GetExitCode())
		if op.GetExitCode() == 0 {
			app.ExitCode = ExitFailed
		}
	}
	return appliedUnless(t.settle(app), op.GetApp())
}

// exitCode is what a process can exit with for a rank's code: its low 8 bits,
// but never 0 for a failure.
func exitCode(code int32) int32 {
	if low := code & 0xff; low != 0 || code == 0 {
		return low
	}
	return 1
}

// setPhase moves the app, which the caller may change, to its next phase.
func setPhase(app *apiv1.App, next Phase) error {
	if !PhaseOf(app).mayBecome(next) {
		return broken("app %s goes from %s to %s", app.GetId(), app.GetPhase(), next)
	}
	app.Phase = string(next)
	return nil
}

// settle draws the conclusions of a change to the app, which the caller may
// change, and stores it: a verdict ends its migration and its checkpoint; no rank
// alive ends the app, or its attempt; every live host started makes it running. Those
// that waited for its end go on.
func (t *tx) settle(app *apiv1.App) error {
	if err := t.settleAlone(app); err != nil {
		return err
	}
	if PhaseOf(app) == Frozen {
		t.releaseHeld(app.GetSpec().GetArray())
	}
	if PhaseOf(app).Terminal() {
		return t.release(app)
	}
	return nil
}

// settleAlone is settle for nobody but the app.
func (t *tx) settleAlone(app *apiv1.App) error {
	if app.GetVerdict() != "" && app.GetMigrationId() != "" {
		mig, _ := t.Migration(MigrationID(app.GetMigrationId()))
		if err := t.abort(app, mig, "the app is stopping: "+app.GetReason()); err != nil {
			return err
		}
	}
	if app.GetVerdict() != "" || LiveRanks(app) == 0 {
		if err := t.endCheckpoint(app, strings.TrimSuffix("the app is stopping: "+app.GetReason(), ": ")); err != nil {
			return err
		}
	}
	switch {
	case LiveRanks(app) == 0 && t.keepsFiles(app):
		if app.GetVerdict() == "" {
			app.Verdict = string(Succeeded)
		}
	case LiveRanks(app) == 0:
		if err := t.leaveFiles(app); err != nil {
			return err
		}
		if err := t.end(app); err != nil {
			return err
		}
	default:
		if err := t.begins(app); err != nil {
			return err
		}
	}
	t.putApp(app)
	return nil
}

// allStarted tells whether every host with live ranks of the app has started. It
// counts before it looks: the last of many hosts is the one that decides.
func (t *tx) allStarted(app *apiv1.App) bool {
	if len(app.GetStartedHosts()) < t.TotalOf(AppID(app.GetId())).Hosts {
		return false
	}
	for host, share := range t.HostsOf(AppID(app.GetId())) {
		if _, ok := slices.BinarySearch(app.GetStartedHosts(), string(host)); !ok && share.Ranks > 0 {
			return false
		}
	}
	return true
}
