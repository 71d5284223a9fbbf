package steps

import (
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// Record is the committed truth about an app at a view, as a leader of a term tells it to hosts.
func Record(v *fsm.View, app *apiv1.App, term uint64) *apiv1.AppRecord {
	rec := &apiv1.AppRecord{Index: v.Index(), Term: term, App: app, Migration: migrationOf(v, app), Addrs: map[string]string{}}
	if fsm.PhaseOf(app).Placed() {
		rec.Checkpoint, rec.Restore = checkpointOf(v, app), restoreOf(v, app)
	}
	name := func(host string) {
		if _, has := rec.Addrs[host]; has {
			return
		}
		if h, ok := v.Host(fsm.HostID(host)); ok && !fsm.HostStateOf(h).Gone() { // nobody answers there, and who waits for that waits long
			rec.Addrs[host] = h.Addr
		}
	}
	for _, h := range app.Placement {
		name(h)
	}
	for _, h := range app.FilesHosts() {
		name(h)
	}
	for _, m := range rec.Migration.GetMoves() {
		name(m.To)
	}
	for _, p := range rec.Checkpoint.GetParts() {
		name(p.Second)
	}
	for _, p := range rec.Restore.GetParts() {
		for _, h := range p.Holders() {
			name(h.Host)
		}
	}
	return rec
}

// RecordOf is the record of an app that may be unknown: then it says that the app is gone.
func RecordOf(v *fsm.View, id fsm.AppID, term uint64) *apiv1.AppRecord {
	if app, ok := v.App(id); ok {
		return Record(v, app, term)
	}
	return &apiv1.AppRecord{Index: v.Index(), Term: term, App: &apiv1.App{Id: string(id)}, Gone: true}
}

// SameRecord says whether two records tell the same. Stored values are immutable, so what has changed is another pointer.
func SameRecord(a, b *apiv1.AppRecord) bool {
	return a.App == b.App && a.Migration == b.Migration && samePoint(a.Checkpoint, b.Checkpoint) && maps.Equal(a.Addrs, b.Addrs)
}

// Concerns says whether a host has to know of an app: it is in its placement, in its migration or its checkpoint, or has its files.
func Concerns(v *fsm.View, app *apiv1.App, host fsm.HostID) bool {
	if slices.ContainsFunc(checkpointOf(v, app).GetParts(), func(p *apiv1.CheckpointPart) bool { return p.Host == string(host) }) {
		return true
	}
	if slices.Contains(app.Placement, string(host)) || slices.Contains(app.FilesHosts(), string(host)) {
		return true
	}
	return slices.ContainsFunc(migrationOf(v, app).GetMoves(), func(m *apiv1.Move) bool {
		return m.From == string(host) || m.To == string(host)
	})
}

// migrationOf is the app's migration under way; nil: there is none.
func migrationOf(v *fsm.View, app *apiv1.App) *apiv1.Migration {
	mig, _ := v.PendingMigrationOf(fsm.AppID(app.Id))
	return mig
}

// checkpointOf is the app's checkpoint under way, as hosts hear of it; nil: there is none.
func checkpointOf(v *fsm.View, app *apiv1.App) *apiv1.Checkpoint {
	if app.CheckpointId == "" {
		return nil
	}
	c, ok := v.Checkpoint(fsm.CheckpointID(app.CheckpointId))
	if !ok {
		return nil
	}
	return &apiv1.Checkpoint{Id: c.Id, App: c.App, Attempt: c.Attempt, Epoch: c.Epoch, Phase: c.Phase, Still: c.Still, Then: c.Then, Parts: c.Parts, Runs: c.Runs}
}

// restoreOf is the checkpoint that the app's ranks begin from, as hosts hear of it; nil: there is none.
func restoreOf(v *fsm.View, app *apiv1.App) *apiv1.Checkpoint {
	if app.Restore == "" {
		return nil
	}
	c, ok := v.Checkpoint(fsm.CheckpointID(app.Restore))
	if !ok {
		return nil
	}
	// Where it is to be stored it may be by the time that no host has it any more.
	return &apiv1.Checkpoint{Id: c.Id, App: c.App, Parts: hopeful(v, c.Parts), Runs: c.Runs, To: c.To}
}

// hopeful are the parts with the hosts that may be asked for them: those that will not be back with what they had are none.
func hopeful(v *fsm.View, parts []*apiv1.CheckpointPart) []*apiv1.CheckpointPart {
	for i, p := range parts {
		host, second := v.MayBeBack(p.Host, p.HostNode), p.Second == "" || v.MayBeBack(p.Second, p.SecondNode)
		third := p.Third == "" || v.MayBeBack(p.Third, p.ThirdNode)
		if host && second && third {
			continue
		}
		parts = slices.Clone(parts)
		parts[i] = proto.CloneOf(p)
		parts[i].HostGone = !host
		if !second {
			parts[i].Second = ""
		}
		if !third {
			parts[i].Third = ""
		}
	}
	return parts
}

// Opening is what a host hears when it has a new session: of all apps that it has to do with, and of those that it has reported, of which only ranks that have ended may be left there, or nothing is known.
func Opening(v *fsm.View, host fsm.HostID, reported []string, term uint64) (out []*apiv1.AppRecord) {
	known := map[string]bool{}
	add := func(rec *apiv1.AppRecord) {
		if !known[rec.App.Id] {
			known[rec.App.Id] = true
			out = append(out, rec)
		}
	}
	for app := range v.AppsOn(host) {
		add(Record(v, app, term))
	}
	for c := range v.PendingCheckpointsOn(host) { // of which it has a part, though its ranks may have ended
		if slices.ContainsFunc(c.Parts, func(p *apiv1.CheckpointPart) bool { return p.Host == string(host) }) {
			add(RecordOf(v, fsm.AppID(c.App), term))
		}
	}
	for _, id := range reported {
		add(RecordOf(v, fsm.AppID(id), term))
	}
	return out
}
