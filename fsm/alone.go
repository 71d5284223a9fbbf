package fsm

import (
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// HeldAlone is a part of the checkpoint that a live app goes on from, if it loses a host or is
// thawed, of which no host has a copy that stays.
type HeldAlone struct {
	App        *apiv1.App
	Checkpoint *apiv1.Checkpoint
	Part       *apiv1.CheckpointPart
}

// HeldAlone is for each host that is to be left, or is gone, what it or others of these alone
// hold: the first of each app, in order of submission. It costs a look at all live apps.
func (v *View) HeldAlone() map[HostID][]HeldAlone { return v.heldAlone("") }

// HeldAloneBy is HeldAlone for one host: it looks at no more than what that has made or holds.
func (v *View) HeldAloneBy(host HostID) []HeldAlone { return v.heldAlone(host)[host] }

// heldAlone is HeldAlone of those parts that a host has made or holds; empty: of all.
func (v *View) heldAlone(only HostID) map[HostID][]HeldAlone {
	out := map[HostID][]HeldAlone{}
	for app := range v.appsOf(v.live) {
		ck := v.goesOnFrom(app)
		if ck == nil || CheckpointPhaseOf(ck) != CheckpointComplete || ck.GetStoredAt() != nil {
			continue
		}
		told := map[HostID]bool{}
		for _, part := range ck.GetParts() {
			if only != "" && !slices.ContainsFunc(part.Holders(), func(h apiv1.Holder) bool { return h.Host == string(only) }) {
				continue
			}
			holders := v.holders(part)
			if slices.ContainsFunc(holders, stays) {
				continue
			}
			for _, h := range holders {
				if host := HostID(h.GetId()); !told[host] {
					told[host] = true
					out[host] = append(out[host], HeldAlone{app, ck, part})
				}
			}
		}
	}
	for _, all := range out {
		slices.SortFunc(all, func(a, b HeldAlone) int { return BySubmission(a.App, b.App) })
	}
	return out
}

// goesOnFrom is the checkpoint that a live app begins from, or would if it lost a host now; nil: none.
func (v *View) goesOnFrom(app *apiv1.App) *apiv1.Checkpoint {
	id := app.GetLastCheckpoint()
	if phase := PhaseOf(app); id == "" || phase == Queued || phase == Frozen || phase == Starting && app.GetRestore() != "" {
		id = app.GetRestore()
	}
	ck, ok := v.Checkpoint(CheckpointID(id))
	switch {
	case !ok:
		return nil
	case ck.GetLost():
		return v.best(app, ck)
	}
	return ck
}

// holders are the hosts that could have kept a part, also those that are gone: they may be back, with their disks.
func (v *View) holders(part *apiv1.CheckpointPart) (out []*apiv1.Host) {
	for _, by := range part.Holders() {
		if host, ok := v.Host(HostID(by.Host)); ok && isHolder(by, host) {
			out = append(out, host)
		}
	}
	return out
}

// stays tells whether a host is there, and not to be left.
func stays(h *apiv1.Host) bool { return !ToBeLeft(h) && !HostStateOf(h).Gone() }

// staysWith tells whether a holder of a part stays, with what it holds.
func (v *View) staysWith(by apiv1.Holder) bool {
	host, ok := v.Host(HostID(by.Host))
	return ok && v.holds(by.Host, by.Node) && stays(host)
}
