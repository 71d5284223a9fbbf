package fsm

import (
	"bytes"
	"cmp"
	"iter"
	"slices"
	"strings"

	iradix "github.com/hashicorp/go-immutable-radix/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// What is read in pages is in an order in which new things come last, or that is
// of names, and a page begins behind a place that need not be there any more. To
// begin costs the same however much is before it.

// Place is where something stands that the log has put there: behind all of
// earlier entries, and within an entry by id. The zero Place is before everything.
type Place struct {
	Index uint64
	ID    string
}

// SubmissionOf is the app's place among all.
func SubmissionOf(app *apiv1.App) Place { return Place{app.GetSubmitIndex(), app.GetId()} }

// ProposalOf is the migration's place among all.
func ProposalOf(mig *apiv1.Migration) Place { return Place{mig.GetProposeIndex(), mig.GetId()} }

// BeginningOf is the checkpoint's place among all.
func BeginningOf(ck *apiv1.Checkpoint) Place { return Place{ck.GetBeginIndex(), ck.GetId()} }

// Compare is negative where p is before q, positive where it is behind, and else 0.
func (p Place) Compare(q Place) int {
	return cmp.Or(cmp.Compare(p.Index, q.Index), strings.Compare(p.ID, q.ID))
}

func (p Place) key() []byte { return append(orderKey(p.Index), p.ID...) }

// AppsAfter iterates over the apps behind a place, ended ones too, in the order
// of their places.
func (v *View) AppsAfter(p Place) iter.Seq[*apiv1.App] {
	return func(yield func(*apiv1.App) bool) {
		for id := range after(v.submitted, nil, p.key()) {
			if app, ok := v.App(id); ok && !yield(app) {
				return
			}
		}
	}
}

// InFlightAfter iterates over the apps behind a place that have not ended, in the
// order of their places: the queue's order, but for those of one entry.
func (v *View) InFlightAfter(p Place) iter.Seq[*apiv1.App] {
	return func(yield func(*apiv1.App) bool) {
		var entry []*apiv1.App // of one entry of the log
		flush := func() bool {
			slices.SortFunc(entry, func(a, b *apiv1.App) int { return SubmissionOf(a).Compare(SubmissionOf(b)) })
			for _, app := range entry {
				if SubmissionOf(app).Compare(p) > 0 && !yield(app) {
					return false
				}
			}
			entry = entry[:0]
			return true
		}
		for id := range after(v.live, nil, orderKey(p.Index)) {
			app, ok := v.App(id)
			if !ok {
				continue
			}
			if len(entry) > 0 && entry[0].GetSubmitIndex() != app.GetSubmitIndex() && !flush() {
				return
			}
			entry = append(entry, app)
		}
		flush()
	}
}

// MigrationsAfter iterates over the migrations behind a place, ended ones too, in
// the order of their places.
func (v *View) MigrationsAfter(p Place) iter.Seq[*apiv1.Migration] {
	return v.migrationsIn(after(v.proposed, nil, p.key()))
}

// MigrationsOfAfter iterates over the app's migrations as MigrationsAfter does
// over all.
func (v *View) MigrationsOfAfter(id AppID, p Place) iter.Seq[*apiv1.Migration] {
	return v.migrationsIn(after(v.migsOf, pairKey(string(id), ""), p.key()))
}

func (v *View) migrationsIn(ids iter.Seq[MigrationID]) iter.Seq[*apiv1.Migration] {
	return func(yield func(*apiv1.Migration) bool) {
		for id := range ids {
			if mig, ok := v.Migration(id); ok && !yield(mig) {
				return
			}
		}
	}
}

// CheckpointsAfter iterates over the checkpoints behind a place, ended ones too, in
// the order of their places.
func (v *View) CheckpointsAfter(p Place) iter.Seq[*apiv1.Checkpoint] {
	return v.checkpointsIn(after(v.begun, nil, p.key()))
}

// CheckpointsOfAfter iterates over the app's checkpoints as CheckpointsAfter does
// over all.
func (v *View) CheckpointsOfAfter(id AppID, p Place) iter.Seq[*apiv1.Checkpoint] {
	return v.checkpointsIn(after(v.ckptsOf, pairKey(string(id), ""), p.key()))
}

// HostsAfter iterates over the hosts, gone ones too, with greater ids.
func (v *View) HostsAfter(id HostID) iter.Seq[*apiv1.Host] { return after(v.hosts, nil, []byte(id)) }

// ModulesAfter iterates over the modules with greater digests.
func (v *View) ModulesAfter(digest Digest) iter.Seq[*apiv1.Module] {
	return after(v.modules, nil, []byte(digest))
}

// after iterates over what a tree has under the prefix and behind the key that
// follows it.
func after[T any](tree *iradix.Tree[T], prefix, key []byte) iter.Seq[T] {
	return func(yield func(T) bool) {
		from := append(bytes.Clone(prefix), key...)
		it := tree.Root().Iterator()
		it.SeekLowerBound(from)
		for k, v, ok := it.Next(); ok && bytes.HasPrefix(k, prefix); k, v, ok = it.Next() {
			if !bytes.Equal(k, from) && !yield(v) {
				return
			}
		}
	}
}
