package fsm

import (
	"math"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// forgetAtOnce is how many objects of a kind a command forgets beyond as many as it has made old ones of, from feature level 2 on: after a
// quiet hour all of a busy one is due, and the first command would stand for it.
const forgetAtOnce = 8

// levelForgetsLittle is the level from which on forgetAtOnce holds.
const levelForgetsLittle = 2

// forgetOldest drops what ended first where more history is kept than must be:
// beyond the least number, what is older than KeepSeconds, a little at a time;
// beyond the most bytes, anything but what ends in this very entry: a View has it,
// so that the feed can hand it to who waits for it. An app takes its migrations
// with it. before is the view before the command.
func (t *tx) forgetOldest(before *View) {
	left := t.mayForget(t.ended.Len() - before.ended.Len())
	for {
		now, most := t.weighed()
		full := now.ended > most.ended
		if !full && (left <= 0 || t.ended.Len() <= MinEndedApps) {
			break
		}
		_, id, ok := t.ended.Root().Minimum()
		app, _ := t.App(id)
		if !ok || app.GetEndedIndex() == t.entryIndex || !full && !olderThan(app.GetEndedAt(), t.at, KeepSeconds) {
			break
		}
		for mig := range t.MigrationsOf(AppID(app.GetId())) {
			if left <= 0 && !full {
				return // the app waits for the next command
			}
			t.forgetMigration(mig)
			left--
		}
		t.forgetApp(app)
		left--
	}
	left = t.mayForget(t.endedMigs.Len() - before.endedMigs.Len())
	for {
		now, most := t.weighed()
		full := now.migrations > most.migrations
		if !full && (left <= 0 || t.endedMigs.Len() <= MinEndedMigrations) {
			break
		}
		_, id, ok := t.endedMigs.Root().Minimum()
		mig, _ := t.Migration(id)
		old := full || olderThan(mig.GetEndedAt(), t.at, KeepSeconds)
		if !ok || !old || mig.GetEndedIndex() == t.entryIndex {
			break
		}
		t.forgetMigration(mig)
		left--
	}
}

// mayForget is how many objects a command may forget that has added some.
func (t *tx) mayForget(added int) int {
	if t.feature < levelForgetsLittle {
		return math.MaxInt
	}
	return forgetAtOnce + max(0, added)
}

// forgetApp drops an ended app whose migrations are gone.
func (t *tx) forgetApp(app *apiv1.App) {
	t.ended, _, _ = t.ended.Delete(endKey(app.GetEndedIndex(), app.GetId()))
	t.endMinutes, _, _ = t.endMinutes.Delete(endMinuteKey(app))
	t.forgetOfArray(app)
	gone := endedLoad(app)
	t.endedLoad.drop(gone)
	t.ledger.forgotten += gone.memory
	t.submitted, _, _ = t.submitted.Delete(SubmissionOf(app).key())
	t.named, _, _ = t.named.Delete(pairKey(app.GetName(), app.GetId()))
	t.trees, _, _ = t.trees.Delete(submissionKey(app))
	t.touchTree(app.GetSpec().GetInputs())
	t.apps, _, _ = t.apps.Delete([]byte(app.GetId()))
	t.touched.apps = append(t.touched.apps, AppID(app.GetId()))
}

// forgetMigration drops an ended migration.
func (t *tx) forgetMigration(mig *apiv1.Migration) {
	key := ProposalOf(mig).key()
	t.proposed, _, _ = t.proposed.Delete(key)
	t.migsOf, _, _ = t.migsOf.Delete(pairKey(mig.GetApp(), string(key)))
	t.endedMigs, _, _ = t.endedMigs.Delete(endKey(mig.GetEndedIndex(), mig.GetId()))
	gone := migrationLoad(mig)
	t.migrationLoad.drop(gone)
	t.ledger.forgotten += gone.memory
	t.migrations, _, _ = t.migrations.Delete([]byte(mig.GetId()))
	t.touched.migrations = append(t.touched.migrations, MigrationID(mig.GetId()))
}
