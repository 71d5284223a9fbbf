package fsm

import (
	"bytes"
	"encoding/binary"

	iradix "github.com/hashicorp/go-immutable-radix/v2"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// touched lists what a command has stored or forgotten, for checkTouched and the feed.
type touched struct {
	hosts      []HostID
	apps       []AppID
	migrations []MigrationID
	// checkpoints are also those that are removed.
	checkpoints []CheckpointID
	modules     []Digest
	keys        []string
	cluster     bool
	// drafts are the hosts among them that the command may go on changing.
	drafts map[HostID]*apiv1.Host
	// mayExceed: the command was allowed to use more slots than there are.
	mayExceed bool
}

// putHost stores a host that the command has made.
func (t *tx) putHost(host *apiv1.Host) {
	id := HostID(host.GetId())
	var old *apiv1.Host
	t.hosts, old, _ = t.hosts.Insert([]byte(id), host)
	t.countSpeeds(old, host)
	t.touched.hosts = append(t.touched.hosts, id)
	if t.touched.drafts == nil {
		t.touched.drafts = make(map[HostID]*apiv1.Host)
	}
	t.touched.drafts[id] = host
}

func (t *tx) putApp(app *apiv1.App) {
	var old *apiv1.App
	t.apps, old, _ = t.apps.Insert([]byte(app.GetId()), app)
	t.touched.apps = append(t.touched.apps, AppID(app.GetId()))
	t.indexWaiting(old, app)
	t.indexApp(app)
}

// indexApp keeps the derived indexes in step with the app. The caller stores it.
func (v *View) indexApp(app *apiv1.App) {
	key, id, phase := submissionKey(app), AppID(app.GetId()), PhaseOf(app)
	v.submitted = add(v.submitted, SubmissionOf(app).key(), id)
	if _, was := v.placed.Get(key); was != phase.Placed() {
		v.placed = keep(v.placed, phase.Placed(), key, id)
		v.placedBytes += sign(phase.Placed()) * placedReserve(app)
	}
	v.queued = keep(v.queued, phase == Queued && MayPlace(app), queueKey(app), id)
	v.trees = keep(v.trees, app.GetSpec().GetInputs() != nil || app.GetFiles().GetTree() != nil, key, id)
	if name := app.GetName(); name != "" {
		v.named = add(v.named, pairKey(name, app.GetId()), id)
	}
	if !phase.Terminal() {
		if _, known := v.live.Get(key); !known {
			v.live, _, _ = v.live.Insert(key, id)
			v.liveLoad.add(liveLoad(app))
			v.moduleUse = v.moduleUse.add(app)
		}
		return
	}
	var had bool
	if v.live, _, had = v.live.Delete(key); had {
		v.liveLoad.drop(liveLoad(app))
		v.moduleUse = v.moduleUse.drop(app)
	}
	if v.ended, _, had = v.ended.Insert(endKey(app.GetEndedIndex(), app.GetId()), id); !had {
		v.endMinutes, _, _ = v.endMinutes.Insert(endMinuteKey(app), id)
		v.endedLoad.add(endedLoad(app))
	}
}

// sign is 1 for what comes, -1 for what goes.
func sign(comes bool) int {
	if comes {
		return 1
	}
	return -1
}

// add inserts what is not there: to insert a key again copies nodes for nothing.
func add[T any](tree *iradix.Tree[T], key []byte, value T) *iradix.Tree[T] {
	if _, ok := tree.Get(key); !ok {
		tree, _, _ = tree.Insert(key, value)
	}
	return tree
}

// keep adds what belongs into the tree, and takes out what does not.
func keep[T any](tree *iradix.Tree[T], belongs bool, key []byte, value T) *iradix.Tree[T] {
	if belongs {
		return add(tree, key, value)
	}
	tree, _, _ = tree.Delete(key)
	return tree
}

func (t *tx) putMigration(mig *apiv1.Migration) {
	if old, ok := t.Migration(MigrationID(mig.GetId())); ok && MigrationPhaseOf(old).Ended() {
		t.migrationLoad.drop(migrationLoad(old))
	}
	t.migrations, _, _ = t.migrations.Insert([]byte(mig.GetId()), mig)
	t.touched.migrations = append(t.touched.migrations, MigrationID(mig.GetId()))
	t.indexMigration(mig)
}

// indexMigration keeps the derived indexes in step with the migration.
func (v *View) indexMigration(mig *apiv1.Migration) {
	id := MigrationID(mig.GetId())
	key := ProposalOf(mig).key()
	v.proposed = add(v.proposed, key, id)
	v.migsOf = add(v.migsOf, pairKey(mig.GetApp(), string(key)), id)
	if MigrationPhaseOf(mig).Ended() {
		v.pending, _, _ = v.pending.Delete(key)
		v.endedMigs, _, _ = v.endedMigs.Insert(endKey(mig.GetEndedIndex(), mig.GetId()), id)
		v.migrationLoad.add(migrationLoad(mig))
	} else {
		v.pending = add(v.pending, key, id)
	}
}

// submissionKey sorts apps in submission order: by log index, then, for those
// that were waiting to be proposed together, by the time of the request.
func submissionKey(app *apiv1.App) []byte {
	key := append(orderKey(app.GetSubmitIndex()), timeKey(app.GetSubmittedAt())...)
	return append(key, app.GetId()...)
}

// queueKey sorts apps as they are queued: those of a higher priority first, those of one in submission order.
func queueKey(app *apiv1.App) []byte {
	return append(orderKey(uint64(int64(MaxPriority) - int64(app.GetSpec().GetPriority())))[8:], submissionKey(app)...) //nolint:gosec // the log has priorities from -MaxPriority to MaxPriority
}

// BySubmission orders apps as they were submitted.
func BySubmission(a, b *apiv1.App) int { return bytes.Compare(submissionKey(a), submissionKey(b)) }

// endKey sorts ended things as the log ended them. It needs nothing but what a
// snapshot keeps.
func endKey(index uint64, id string) []byte { return append(orderKey(index), id...) }

// timeKey sorts as the time does.
func timeKey(at *timestamppb.Timestamp) []byte {
	const sign = 1 << 63 // makes negative seconds sort first
	key := binary.BigEndian.AppendUint64(nil, uint64(at.GetSeconds())^sign)
	return binary.BigEndian.AppendUint32(key, uint32(at.GetNanos()))
}
