package steps

import (
	"slices"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// A worker acts on a part of a record only. What is for people (phases, reasons, hosts that have started) goes to no host for its own
// sake, and of the rest each host is told what it acts on: otherwise the start of an app would cost its hosts times its hosts.
// A test holds the list of all fields. A difference is taken between records that follow each other, so what it is
// measured by must be such that a host passed over at one change needs nothing of it at a later one, but what that brings.

// Audience are the hosts that have to hear of rec, where before was the app's last record (nil: none): of those named in either.
func Audience(rec, before *apiv1.AppRecord) map[fsm.HostID]bool {
	hosts := map[fsm.HostID]bool{}
	if before == nil || !apiv1.SameLayout(rec, before) || !sameOrders(rec, before) {
		for _, r := range []*apiv1.AppRecord{rec, before} {
			for _, host := range r.GetApp().GetPlacement() {
				hosts[fsm.HostID(host)] = true
			}
			for _, host := range r.GetApp().FilesHosts() {
				hosts[fsm.HostID(host)] = true
			}
			addMovers(hosts, r.GetMigration())
			addParts(hosts, r.GetCheckpoint())
		}
		return hosts
	}
	if !samePoint(rec.Checkpoint, before.Checkpoint) {
		addParts(hosts, rec.Checkpoint)
		addParts(hosts, before.Checkpoint)
	}
	if rec.Migration.GetPhase() != before.Migration.GetPhase() {
		addMovers(hosts, rec.Migration) // the others have their part done with the acknowledgement, until it is over
	}
	addEnds(hosts, rec, before)
	return hosts
}

// Over says whether a record is of an app that is over, or unknown.
func Over(rec *apiv1.AppRecord) bool { return rec.Gone || fsm.PhaseOf(rec.App).Terminal() }

// Anew says whether rec, where before was the app's last record (nil: none), goes to all hosts that report something of the app, too: it is told anew, or is over.
func Anew(rec, before *apiv1.AppRecord) bool {
	return Over(rec) || before == nil || !apiv1.SameLayout(rec, before)
}

// OnlyEnds says whether nothing that a host acts on has changed but that ranks have ended.
func OnlyEnds(rec, before *apiv1.AppRecord) bool {
	return apiv1.SameLayout(rec, before) && sameOrders(rec, before) && rec.Migration.GetPhase() == before.Migration.GetPhase() &&
		samePoint(rec.Checkpoint, before.Checkpoint) && !slices.Equal(rec.App.Ended, before.App.Ended)
}

// addMovers adds the hosts that the migration (nil: none) takes ranks from or to.
func addMovers(hosts map[fsm.HostID]bool, mig *apiv1.Migration) {
	for _, m := range mig.GetMoves() {
		hosts[fsm.HostID(m.From)], hosts[fsm.HostID(m.To)] = true, true
	}
}

// addEnds adds the hosts that ranks which have ended since before concern: their own, those whose ranks may wait for them, the targets of a
// migration, whose ranks will, and after the last end the app's home, which gives the files away.
func addEnds(hosts map[fsm.HostID]bool, rec, before *apiv1.AppRecord) {
	if slices.Equal(rec.App.Ended, before.App.Ended) {
		return
	}
	addMovers(hosts, rec.Migration)
	if fsm.LiveRanks(rec.App) == 0 {
		for _, host := range rec.App.FilesHosts() {
			hosts[fsm.HostID(host)] = true
		}
	}
	for r, host := range rec.App.Placement {
		if !before.App.HasEnded(int32(r)) {
			hosts[fsm.HostID(host)] = true
		}
	}
}

// sameOrders says whether two records of an app want the same of all its hosts: that its ranks run, or stop, or that they
// are ready for a migration.
func sameOrders(a, b *apiv1.AppRecord) bool {
	return a.Gone == b.Gone && a.App.Verdict == b.App.Verdict && a.App.GraceMs == b.App.GraceMs && apiv1.AppOver(a.App.Phase) == apiv1.AppOver(b.App.Phase) &&
		sameMoves(a.Migration, b.Migration) && (a.App.Files == b.App.Files || proto.Equal(a.App.Files, b.App.Files))
}

func sameMoves(a, b *apiv1.Migration) bool {
	return a == b || a != nil && b != nil && a.Id == b.Id && a.FromEpoch == b.FromEpoch &&
		apiv1.MigrationOver(a.Phase) == apiv1.MigrationOver(b.Phase) &&
		slices.EqualFunc(a.Moves, b.Moves, func(m, n *apiv1.Move) bool { return m.Rank == n.Rank && m.From == n.From && m.To == n.To })
}

// samePoint says whether two records tell the same of a checkpoint under way.
func samePoint(a, b *apiv1.Checkpoint) bool {
	return a.GetId() == b.GetId() && a.GetPhase() == b.GetPhase() && a.GetStill() == b.GetStill()
}

// addParts adds the hosts that make a checkpoint.
func addParts(hosts map[fsm.HostID]bool, c *apiv1.Checkpoint) {
	for _, p := range c.GetParts() {
		hosts[fsm.HostID(p.Host)] = true
	}
}
