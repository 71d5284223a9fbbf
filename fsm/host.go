package fsm

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// registerHost makes a host known, refreshes it, or starts its next incarnation.
// Whatever ran on an earlier incarnation is gone with that process.
// Two that would both replace the same incarnation do not both: a registration
// names the one that it replaces.
func (t *tx) registerHost(op *apiv1.RegisterHost) outcome {
	in := op.GetHost()
	if bad := t.checkRegistration(in); bad.code != CodeApplied {
		return bad
	}
	id := in.GetId()
	old, known := t.Host(HostID(id))
	other := op.InsteadOf != nil && op.GetInsteadOf() != old.GetIncarnation()
	if !known {
		if other {
			return refuse(CodeStaleIncarnation, "host %s has been forgotten since", id)
		}
		full := t.hosts.Len() >= MaxHosts
		if full && !t.forgetGoneHost() {
			return refuse(CodeTooMany, "%d hosts are known already", MaxHosts)
		}
		t.putHost(t.newHost(in, Ready))
		if full { // a host is forgotten, which may have had what others begin from
			return appliedUnless(t.restoreElse(), id)
		}
		return applied(id)
	}
	state := HostStateOf(old)
	switch {
	case old.GetNodeId() != in.GetNodeId() && !state.Gone():
		return refuse(CodeNameTaken, "host %s is another machine, at %s, and %s; choose another name", id, old.GetAddr(), state)
	case !state.Gone() && len(old.GetSecretHash()) > 0 && !bytes.Equal(old.GetSecretHash(), in.GetSecretHash()):
		return refuse(CodeForbidden, "host %s is registered by a worker with another secret; choose another name, or wait until it is lost", id)
	case old.GetNodeId() == in.GetNodeId() && old.GetIncarnation() == in.GetIncarnation():
		if state.Gone() {
			return refuse(CodeIncarnationOver, "%s", goneReason(old))
		}
		host := draftHost(old)
		host.Addr, host.Slots, host.Labels, host.SecretHash = in.GetAddr(), in.GetSlots(), clone(in).GetLabels(), in.GetSecretHash()
		host.Volumes = clone(in).GetVolumes()
		host.MemoryBytes, host.RankMemoryBytes, host.Speed = in.GetMemoryBytes(), in.GetRankMemoryBytes(), in.GetSpeed()
		host.Unreached = cleanReason(in.GetUnreached()) // at the address of now; whether it is unfit its worker has said
		t.putHost(host)
		return applied(id)
	case other:
		return refuse(CodeStaleIncarnation, "host %s has been registered by another process since, at %s", id, old.GetAddr())
	}
	if err := t.vacate(HostID(id), fmt.Sprintf("host %s restarted", id), false); err != nil {
		return outcome{fault: err}
	}
	host := t.newHost(in, Ready)
	keepWishes(host, old)
	t.putHost(host)
	if old.GetNodeId() != in.GetNodeId() { // who had that name will not be back
		return appliedUnless(t.restoreElse(), id)
	}
	return applied(id)
}

func (t *tx) checkRegistration(in *apiv1.Host) outcome {
	switch {
	case (in.GetMemoryBytes() != 0 || in.GetRankMemoryBytes() != 0 || in.GetSpeed() != 0) && !t.Schedules():
		return refuse(CodeInvalid, "hosts declare no memory and no speed at feature level %d; they need level %d", t.feature, levelSchedules)
	case in.GetName() != "" && in.GetName() != in.GetId():
		return refuse(CodeInvalid, "a host's id is its name: id %q, name %q", in.GetId(), in.GetName())
	case len(in.GetSecretHash()) != 0 && len(in.GetSecretHash()) != sha256.Size:
		return refuse(CodeInvalid, "host %s has a secret's hash of %d bytes; a SHA-256 has %d", in.GetId(), len(in.GetSecretHash()), sha256.Size)
	case in.GetSlots() < 0 || in.GetSlots() > MaxSlots:
		return refuse(CodeInvalid, "host %s has %d slots; 0 to %d are possible", in.GetId(), in.GetSlots(), MaxSlots)
	}
	return applied(in.GetId())
}

func (t *tx) newHost(in *apiv1.Host, state HostState) *apiv1.Host {
	return &apiv1.Host{
		Id: in.GetId(), Name: in.GetId(), Addr: in.GetAddr(), Slots: in.GetSlots(), Labels: clone(in).GetLabels(),
		NodeId: in.GetNodeId(), Incarnation: in.GetIncarnation(), SecretHash: in.GetSecretHash(), State: string(state), ChangedAt: t.at,
		Unfit: cleanReason(in.GetUnfit()), Unreached: cleanReason(in.GetUnreached()),
		Volumes: clone(in).GetVolumes(), MemoryBytes: in.GetMemoryBytes(), RankMemoryBytes: in.GetRankMemoryBytes(), Speed: in.GetSpeed(),
	}
}

// forgetGoneHost drops the host that has been gone for longest and holds
// nothing, the first by id among equals. It tells whether there was one.
func (t *tx) forgetGoneHost() bool {
	var found *apiv1.Host
	for host := range t.Hosts() {
		if !HostStateOf(host).Gone() || host.GetUsed() != 0 {
			continue
		}
		if found == nil || string(timeKey(host.GetChangedAt())) < string(timeKey(found.GetChangedAt())) {
			found = host
		}
	}
	if found != nil {
		t.hosts, _, _ = t.hosts.Delete([]byte(found.GetId()))
		t.countSpeeds(found, nil)
		t.touched.hosts = append(t.touched.hosts, HostID(found.GetId()))
	}
	return found != nil
}

func (t *tx) setHostState(op *apiv1.SetHostState) outcome {
	id, next := HostID(op.GetHost()), HostState(op.GetState())
	old, ok := t.Host(id)
	switch {
	case !next.known():
		return refuse(CodeInvalid, "%q is not a state of a host; states are ready, lost and left", op.GetState())
	case !ok:
		return refuse(CodeNotFound, "no host %s", id)
	case old.GetIncarnation() != op.GetIncarnation():
		return refuse(CodeStaleIncarnation, "host %s has restarted since", id)
	case HostStateOf(old) == next:
		return applied(string(id))
	case HostStateOf(old).Gone():
		return refuse(CodeIncarnationOver, "%s", goneReason(old))
	}
	host := draftHost(old)
	host.State, host.Reason, host.ChangedAt = string(next), cleanReason(op.GetReason()), t.at
	t.putHost(host)
	if next.Gone() {
		if err := t.vacate(id, goneReason(host), true); err != nil {
			return outcome{fault: err}
		}
	}
	return applied(string(id))
}

// setHostUnfit notes whether the host can take new ranks, and whether others reach it. The ranks it has stay.
func (t *tx) setHostUnfit(op *apiv1.SetHostUnfit) outcome {
	id, why, unreached := HostID(op.GetHost()), cleanReason(op.GetReason()), cleanReason(op.GetUnreached())
	old, ok := t.Host(id)
	switch {
	case !ok:
		return refuse(CodeNotFound, "no host %s", id)
	case old.GetIncarnation() != op.GetIncarnation():
		return refuse(CodeStaleIncarnation, "host %s has restarted since", id)
	case HostStateOf(old).Gone():
		return refuse(CodeIncarnationOver, "%s", goneReason(old))
	case old.GetUnfit() == why && old.GetUnreached() == unreached:
		return applied(string(id))
	}
	host := draftHost(old)
	host.Unfit, host.Unreached = why, unreached
	t.putHost(host)
	return applied(string(id))
}

// words lists names for people.
func words[T ~string](names []T) string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = string(name)
	}
	return strings.Join(out, ", ")
}

// goneReason is why ranks on a gone host have ended.
func goneReason(host *apiv1.Host) string {
	why := fmt.Sprintf("host %s %s", host.GetId(), host.GetState())
	if host.GetReason() != "" {
		why += ": " + host.GetReason()
	}
	return why
}

// vacate ends every rank on the host and aborts every migration that touches it.
// Where keepFrozen, a migration whose images have all left the host already is
// spared, for committing it saves the app. An app that loses ranks, or its files, runs
// again from a checkpoint where it may.
func (t *tx) vacate(id HostID, why string, keepFrozen bool) error {
	if err := t.abortOn(id, why); err != nil {
		return err
	}
	for old := range t.AppsOn(id) { // the index as it is now, whatever ends below
		mig, moving := t.PendingMigrationOf(AppID(old.GetId()))
		touches := moving && touchesHost(mig, id)
		if touches && keepFrozen && t.leavesWhole(mig, id) {
			continue
		}
		app, lost, appWhy := draftApp(old), liveRanksOn(old, id), why
		if len(lost) > 0 {
			appWhy = t.survive(app, why)
		}
		for _, r := range lost {
			if err := t.endRank(app, r, ExitFailed, why, appWhy); err != nil {
				return err
			}
		}
		if touches {
			if err := t.abort(app, mig, why); err != nil {
				return err
			}
		}
		if err := t.loseFiles(app, id, why); err != nil {
			return err
		}
		if err := t.settle(app); err != nil {
			return err
		}
	}
	return t.restoreElse()
}

func touchesHost(mig *apiv1.Migration, id HostID) bool {
	for _, m := range mig.GetMoves() {
		if m.GetFrom() == string(id) || m.GetTo() == string(id) {
			return true
		}
	}
	return false
}

// leavesWhole tells whether the app could go on without the host once the
// migration is committed, and needs nothing from it for that.
func (t *tx) leavesWhole(mig *apiv1.Migration, id HostID) bool {
	if MigrationPhaseOf(mig) != FrozenMigration || t.ShareOf(id, AppID(mig.GetApp())).Files > 0 {
		return false
	}
	leaving := 0
	for _, m := range mig.GetMoves() {
		if m.GetTo() == string(id) {
			return false
		}
		if m.GetFrom() == string(id) {
			leaving++
		}
	}
	return leaving == t.ShareOf(id, AppID(mig.GetApp())).Ranks
}
