package fsm

import (
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// forgetOldest drops what ended first where more history is kept than must be:
// beyond the least number, what is older than KeepSeconds; beyond the most bytes,
// anything but what ends in this very entry: a View has it, so that the feed can
// hand it to who waits for it. An app takes its migrations with it.
func (t *tx) forgetOldest() {
	for t.ended.Len() > MinEndedApps || t.endedBytes > MaxEndedBytes {
		_, id, ok := t.ended.Root().Minimum()
		app, _ := t.App(id)
		old := t.endedBytes > MaxEndedBytes || olderThan(app.GetEndedAt(), t.at, KeepSeconds)
		if !ok || !old || app.GetEndedIndex() == t.entryIndex {
			break
		}
		t.forgetApp(app)
	}
	for t.endedMigs.Len() > MinEndedMigrations || t.migrationBytes > MaxMigrationBytes {
		_, id, ok := t.endedMigs.Root().Minimum()
		mig, _ := t.Migration(id)
		old := t.migrationBytes > MaxMigrationBytes || olderThan(mig.GetEndedAt(), t.at, KeepSeconds)
		if !ok || !old || mig.GetEndedIndex() == t.entryIndex {
			break
		}
		t.forgetMigration(mig)
	}
}

// weight is what an ended object counts against the bounds of history.
func weight(m proto.Message) int { return proto.Size(m) + HistoryOverhead }

// forgetApp drops an ended app and its migrations.
func (t *tx) forgetApp(app *apiv1.App) {
	for mig := range t.MigrationsOf(AppID(app.GetId())) {
		t.forgetMigration(mig)
	}
	t.ended, _, _ = t.ended.Delete(endKey(app.GetEndedIndex(), app.GetId()))
	t.endMinutes, _, _ = t.endMinutes.Delete(endMinuteKey(app))
	t.endedBytes -= weight(app)
	t.submitted, _, _ = t.submitted.Delete(SubmissionOf(app).key())
	t.named, _, _ = t.named.Delete(pairKey(app.GetName(), app.GetId()))
	t.apps, _, _ = t.apps.Delete([]byte(app.GetId()))
	t.touched.apps = append(t.touched.apps, AppID(app.GetId()))
}

// forgetMigration drops an ended migration.
func (t *tx) forgetMigration(mig *apiv1.Migration) {
	key := ProposalOf(mig).key()
	t.proposed, _, _ = t.proposed.Delete(key)
	t.migsOf, _, _ = t.migsOf.Delete(pairKey(mig.GetApp(), string(key)))
	t.endedMigs, _, _ = t.endedMigs.Delete(endKey(mig.GetEndedIndex(), mig.GetId()))
	t.migrationBytes -= weight(mig)
	t.migrations, _, _ = t.migrations.Delete([]byte(mig.GetId()))
	t.touched.migrations = append(t.touched.migrations, MigrationID(mig.GetId()))
}
