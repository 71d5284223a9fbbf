package fsm

import (
	"encoding/binary"

	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// touched lists what a command has stored or forgotten, for checkTouched and the feed.
type touched struct {
	hosts      []HostID
	apps       []AppID
	migrations []MigrationID
	modules    []Digest
	keys       []string
	cluster    bool
	// drafts are the hosts among them that the command may go on changing.
	drafts map[HostID]*apiv1.Host
	// mayExceed: the command was allowed to use more slots than there are.
	mayExceed bool
}

// putHost stores a host that the command has made.
func (t *tx) putHost(host *apiv1.Host) {
	id := HostID(host.GetId())
	t.hosts, _, _ = t.hosts.Insert([]byte(id), host)
	t.touched.hosts = append(t.touched.hosts, id)
	if t.touched.drafts == nil {
		t.touched.drafts = make(map[HostID]*apiv1.Host)
	}
	t.touched.drafts[id] = host
}

func (t *tx) putApp(app *apiv1.App) {
	t.apps, _, _ = t.apps.Insert([]byte(app.GetId()), app)
	t.touched.apps = append(t.touched.apps, AppID(app.GetId()))
	t.indexApp(app)
}

func (t *tx) putModule(mod *apiv1.Module) {
	t.modules, _, _ = t.modules.Insert([]byte(mod.GetDigest()), mod)
	t.touched.modules = append(t.touched.modules, Digest(mod.GetDigest()))
}

// indexApp keeps the derived indexes in step with the app. The caller stores it.
func (v *View) indexApp(app *apiv1.App) {
	key, id, phase := submissionKey(app), AppID(app.GetId()), PhaseOf(app)
	if phase.Placed() {
		v.placed, _, _ = v.placed.Insert(key, id)
	} else {
		v.placed, _, _ = v.placed.Delete(key)
	}
	if phase.Terminal() {
		v.live, _, _ = v.live.Delete(key)
		v.ended, _, _ = v.ended.Insert(endKey(app.GetEndedAt(), app.GetSubmitIndex(), app.GetId()), id)
	} else {
		v.live, _, _ = v.live.Insert(key, id)
	}
}

func (t *tx) putMigration(mig *apiv1.Migration) {
	t.migrations, _, _ = t.migrations.Insert([]byte(mig.GetId()), mig)
	t.touched.migrations = append(t.touched.migrations, MigrationID(mig.GetId()))
	t.indexMigration(mig)
}

// indexMigration keeps the derived indexes in step with the migration.
func (v *View) indexMigration(mig *apiv1.Migration) {
	key, id := append(orderKey(mig.GetProposeIndex()), mig.GetId()...), MigrationID(mig.GetId())
	if MigrationPhaseOf(mig).Ended() {
		v.pending, _, _ = v.pending.Delete(key)
		v.endedMigs, _, _ = v.endedMigs.Insert(endKey(mig.GetEndedAt(), mig.GetProposeIndex(), mig.GetId()), id)
	} else {
		v.pending, _, _ = v.pending.Insert(key, id)
	}
}

// forgetOldest drops what ended first where there is more history than is kept.
// An app takes its migrations with it.
func (t *tx) forgetOldest() {
	for t.ended.Len() > MaxEndedApps {
		key, id, _ := t.ended.Root().Minimum()
		t.ended, _, _ = t.ended.Delete(key)
		t.apps, _, _ = t.apps.Delete([]byte(id))
		t.touched.apps = append(t.touched.apps, id)
		for mig := range t.Migrations() { // over the tree as it was when the loop began
			if mig.GetApp() == string(id) {
				t.forgetMigration(mig)
			}
		}
	}
	for t.endedMigs.Len() > MaxEndedMigrations {
		_, id, _ := t.endedMigs.Root().Minimum()
		mig, _ := t.Migration(id)
		t.forgetMigration(mig)
	}
}

func (t *tx) forgetMigration(mig *apiv1.Migration) {
	t.endedMigs, _, _ = t.endedMigs.Delete(endKey(mig.GetEndedAt(), mig.GetProposeIndex(), mig.GetId()))
	t.migrations, _, _ = t.migrations.Delete([]byte(mig.GetId()))
	t.touched.migrations = append(t.touched.migrations, MigrationID(mig.GetId()))
}

// submissionKey sorts apps in submission order: by log index, then, for those
// that were waiting to be proposed together, by the time of the request.
func submissionKey(app *apiv1.App) []byte {
	return append(orderKey(app.GetSubmitIndex()), endKey(app.GetSubmittedAt(), 0, app.GetId())...)
}

// endKey sorts ended things by the time of their end, then as they came. It
// needs nothing but what a snapshot keeps.
func endKey(at *timestamppb.Timestamp, index uint64, id string) []byte {
	const sign = 1 << 63 // makes negative seconds sort first
	key := binary.BigEndian.AppendUint64(nil, uint64(at.GetSeconds())^sign)
	key = binary.BigEndian.AppendUint32(key, uint32(at.GetNanos()))
	key = binary.BigEndian.AppendUint64(key, index)
	return append(key, id...)
}
