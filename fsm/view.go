package fsm

import (
	"bytes"
	"iter"

	iradix "github.com/hashicorp/go-immutable-radix/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// View is the replicated state at one log index. It never changes and is safe
// for any number of readers; taking one costs nothing. The messages it returns
// are shared with the state machine and must not be changed.
type View struct {
	index      uint64
	clusterID  string
	formerIDs  []string             // of the cluster, before it was recovered; oldest first
	config     *apiv1.ClusterConfig // nil until the first leader has set it
	hosts      *iradix.Tree[*apiv1.Host]
	apps       *iradix.Tree[*apiv1.App]
	migrations *iradix.Tree[*apiv1.Migration]
	modules    *iradix.Tree[*apiv1.Module]
	keys       keyTable
	alarms     []*apiv1.Alarm // oldest first; replaced, never changed
	feature    uint32

	checkpoints *iradix.Tree[*apiv1.Checkpoint]

	// Of this replica, not of the state.
	hashes   []*apiv1.HashRecord // what the last CheckHashes noted, oldest first; replaced, never changed
	diverged *Divergence

	// Derived from the above, rebuilt by Restore.
	submitted   *iradix.Tree[AppID]        // all apps, by place
	proposed    *iradix.Tree[MigrationID]  // all migrations, by place
	live        *iradix.Tree[AppID]        // apps that have not ended, by submission
	placed      *iradix.Tree[AppID]        // those of them that have hosts
	queued      *iradix.Tree[AppID]        // those of them that wait for nothing but hosts, by priority, then submission
	waiters     *iradix.Tree[AppID]        // those that wait for an app to end, by that, then id
	held        *iradix.Tree[AppID]        // those that their array holds, by that, then submission
	ofArray     *idTree                    // all apps of arrays, by array, then id
	arrays      *iradix.Tree[arrayCount]   // how many those of each array are
	named       *iradix.Tree[AppID]        // all apps that have a name, by name, then id
	pending     *iradix.Tree[MigrationID]  // migrations that have not ended, by proposal
	ended       *iradix.Tree[AppID]        // ended apps, first ended first
	endMinutes  *iradix.Tree[AppID]        // ended apps, by the minute of their end, then by place
	endedMigs   *iradix.Tree[MigrationID]  // ended migrations, first ended first
	migsOf      *iradix.Tree[MigrationID]  // migrations by app, then proposal
	begun       *iradix.Tree[CheckpointID] // all checkpoints, by place
	underWay    *iradix.Tree[CheckpointID] // those of them that have not ended
	partsOn     *iradix.Tree[CheckpointID] // the same by the hosts that make a part of them, or are to hold one, then place
	ckptsOf     *iradix.Tree[CheckpointID] // checkpoints by app, then place
	trees       *iradix.Tree[AppID]        // apps of which the servers have files, by submission
	shares      shares                     // who has slots where
	tenantSlots *iradix.Tree[int]          // how many slots the apps of each tenant have
	speeds      *iradix.Tree[int]          // how many hosts that are there have each speed
	moduleUse   moduleUse                  // who runs which module, and since when nobody does

	liveLoad, endedLoad, migrationLoad load // of live apps, of ended ones, of ended migrations
	checkpointBytes                    int  // what all checkpoints take
	placedBytes                        int  // what the ranks of placed apps may come to take
}

// idTree is an index of apps.
type idTree = iradix.Tree[AppID]

func newView() View {
	return View{
		hosts:       iradix.New[*apiv1.Host](),
		apps:        iradix.New[*apiv1.App](),
		migrations:  iradix.New[*apiv1.Migration](),
		modules:     iradix.New[*apiv1.Module](),
		keys:        newKeyTable(),
		submitted:   iradix.New[AppID](),
		proposed:    iradix.New[MigrationID](),
		live:        iradix.New[AppID](),
		placed:      iradix.New[AppID](),
		queued:      iradix.New[AppID](),
		waiters:     iradix.New[AppID](),
		held:        iradix.New[AppID](),
		ofArray:     iradix.New[AppID](),
		arrays:      iradix.New[arrayCount](),
		tenantSlots: iradix.New[int](),
		speeds:      iradix.New[int](),
		named:       iradix.New[AppID](),
		pending:     iradix.New[MigrationID](),
		ended:       iradix.New[AppID](),
		endMinutes:  iradix.New[AppID](),
		endedMigs:   iradix.New[MigrationID](),
		migsOf:      iradix.New[MigrationID](),
		checkpoints: iradix.New[*apiv1.Checkpoint](),
		begun:       iradix.New[CheckpointID](),
		underWay:    iradix.New[CheckpointID](),
		partsOn:     iradix.New[CheckpointID](),
		ckptsOf:     iradix.New[CheckpointID](),
		trees:       iradix.New[AppID](),
		shares:      newShares(),
		moduleUse:   newModuleUse(),
	}
}

// values iterates over a tree in the order of its keys.
func values[T any](tree *iradix.Tree[T]) iter.Seq[T] {
	return func(yield func(T) bool) {
		it := tree.Root().Iterator()
		for _, v, ok := it.Next(); ok; _, v, ok = it.Next() {
			if !yield(v) {
				return
			}
		}
	}
}

// Index is the log index of the last entry applied; 0 before the first.
func (v *View) Index() uint64 { return v.index }

// ClusterID is the cluster's id; empty before InitCluster.
func (v *View) ClusterID() string { return v.clusterID }

// FormerClusterIDs are the ids that the cluster had before it was recovered from
// one server's data, oldest first.
func (v *View) FormerClusterIDs() []string { return v.formerIDs }

// FirstClusterID is the id that the cluster was made with. What is derived from a
// cluster's id is derived from this one.
func (v *View) FirstClusterID() string {
	if len(v.formerIDs) > 0 {
		return v.formerIDs[0]
	}
	return v.clusterID
}

// LeaseMs is for how many milliseconds a host without an answer from a leader
// keeps its ranks; 0 until the first leader has set it.
func (v *View) LeaseMs() int64 { return v.config.GetLeaseMs() }

// FeatureLevel is the level of the rules by which entries are applied.
func (v *View) FeatureLevel() uint32 { return v.feature }

// App returns the app with this id.
func (v *View) App(id AppID) (*apiv1.App, bool) { return v.apps.Get([]byte(id)) }

// Apps iterates over all apps, ended ones too, in id order.
func (v *View) Apps() iter.Seq[*apiv1.App] { return values(v.apps) }

// Placed iterates over the apps that hold hosts, in submission order.
func (v *View) Placed() iter.Seq[*apiv1.App] { return v.appsOf(v.placed) }

func (v *View) appsOf(ids *iradix.Tree[AppID]) iter.Seq[*apiv1.App] {
	return func(yield func(*apiv1.App) bool) {
		for id := range values(ids) {
			if app, ok := v.App(id); ok && !yield(app) {
				return
			}
		}
	}
}

// Queue iterates over the apps that wait for nothing but hosts, those of a higher priority first, those of one in submission order: the first is the
// head of the line. It costs what it yields, however many apps have hosts, or wait for other apps.
func (v *View) Queue() iter.Seq[*apiv1.App] { return v.appsOf(v.queued) }

// Queued is how many apps wait for nothing but hosts. It costs nothing.
func (v *View) Queued() int { return v.queued.Len() }

// Host returns the host with this id, whatever its state.
func (v *View) Host(id HostID) (*apiv1.Host, bool) { return v.hosts.Get([]byte(id)) }

// Hosts iterates over all hosts, gone ones too, in id order.
func (v *View) Hosts() iter.Seq[*apiv1.Host] { return values(v.hosts) }

// Migration returns the migration with this id.
func (v *View) Migration(id MigrationID) (*apiv1.Migration, bool) {
	return v.migrations.Get([]byte(id))
}

// Migrations iterates over all migrations, ended ones too, in id order.
func (v *View) Migrations() iter.Seq[*apiv1.Migration] { return values(v.migrations) }

// PendingMigrations iterates over the migrations that have not ended, in the
// order of their proposals.
func (v *View) PendingMigrations() iter.Seq[*apiv1.Migration] {
	return func(yield func(*apiv1.Migration) bool) {
		for id := range values(v.pending) {
			if mig, ok := v.Migration(id); ok && !yield(mig) {
				return
			}
		}
	}
}

// MigrationsOf iterates over the app's migrations, ended ones too, in the order of
// their proposals.
func (v *View) MigrationsOf(id AppID) iter.Seq[*apiv1.Migration] {
	return func(yield func(*apiv1.Migration) bool) {
		it := v.migsOf.Root().Iterator()
		it.SeekPrefix(pairKey(string(id), ""))
		for _, migID, ok := it.Next(); ok; _, migID, ok = it.Next() {
			if mig, ok := v.Migration(migID); ok && !yield(mig) {
				return
			}
		}
	}
}

// LastMigrationOf returns the app's last migration, which may be under way.
func (v *View) LastMigrationOf(id AppID) (*apiv1.Migration, bool) {
	it := v.migsOf.Root().ReverseIterator()
	it.SeekReverseLowerBound(pairKey(string(id), "\xff"))
	key, last, ok := it.Previous()
	if !ok || !bytes.HasPrefix(key, pairKey(string(id), "")) {
		return nil, false
	}
	return v.Migration(last)
}

// PendingMigrationOf returns the migration the app has under way.
func (v *View) PendingMigrationOf(id AppID) (*apiv1.Migration, bool) {
	app, ok := v.App(id)
	if !ok || app.GetMigrationId() == "" {
		return nil, false
	}
	return v.Migration(MigrationID(app.GetMigrationId()))
}

// PhaseOf is the app's phase.
func PhaseOf(app *apiv1.App) Phase { return Phase(app.GetPhase()) }

// MigrationPhaseOf is the migration's phase.
func MigrationPhaseOf(mig *apiv1.Migration) MigrationPhase { return MigrationPhase(mig.GetPhase()) }

// CheckpointPhaseOf is the checkpoint's phase.
func CheckpointPhaseOf(ck *apiv1.Checkpoint) CheckpointPhase { return CheckpointPhase(ck.GetPhase()) }
