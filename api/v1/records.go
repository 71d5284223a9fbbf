package apiv1

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Records makes the records that go over one session short, on the leader's side, and whole again, on the worker's. Both keep
// the last whole record of each app that names the host. It is used by one goroutine.
type Records struct {
	host  string
	whole map[string]*AppRecord
}

// NewRecords is for a session with the host.
func NewRecords(host string) *Records {
	return &Records{host: host, whole: map[string]*AppRecord{}}
}

// Shorten returns what is to be sent for rec: its short form, if what that leaves out has been sent already.
func (b *Records) Shorten(rec *AppRecord) *AppRecord {
	base := b.whole[rec.App.Id]
	if base.GetIndex() == 0 || !b.keeps(rec) || !SameLayout(base, rec) {
		b.note(rec)
		return rec
	}
	x := rec.App
	return &AppRecord{
		Index: rec.Index, Term: rec.Term, Migration: rec.Migration, Amends: base.Index,
		App: &App{Id: x.Id, Phase: x.Phase, Reason: x.Reason, Verdict: x.Verdict, Epoch: x.Epoch, Ended: x.Ended},
	}
}

// Complete returns the whole record of what came. It fails for a short form of what has not come.
func (b *Records) Complete(rec *AppRecord) (*AppRecord, error) {
	if rec.GetAmends() == 0 {
		b.note(rec)
		return rec, nil
	}
	base := b.whole[rec.GetApp().GetId()]
	if rec.GetApp() == nil || base == nil || base.Index != rec.Amends {
		return nil, fmt.Errorf("a record of app %.80q amends one of index %d, which has not come: open another session", rec.GetApp().GetId(), rec.Amends)
	}
	x, n := base.App, rec.App
	return &AppRecord{
		Index: rec.Index, Term: rec.Term, Migration: rec.Migration, Addrs: base.Addrs,
		App: &App{
			Id: n.Id, Phase: n.Phase, Reason: n.Reason, Verdict: n.Verdict, Epoch: n.Epoch, Ended: n.Ended,
			Name: x.Name, Size: x.Size, Spec: x.Spec, Placement: x.Placement, Epochs: x.Epochs,
		},
	}, nil
}

// note keeps a whole record, or forgets the app.
func (b *Records) note(rec *AppRecord) {
	if b.keeps(rec) {
		b.whole[rec.App.Id] = rec
	} else {
		delete(b.whole, rec.GetApp().GetId())
	}
}

// keeps says whether a record is followed by others that the host has to hear of.
func (b *Records) keeps(rec *AppRecord) bool {
	if rec.GetApp() == nil || rec.GetGone() || AppOver(rec.GetApp().GetPhase()) {
		return false
	}
	return slices.Contains(rec.GetApp().GetPlacement(), b.host) ||
		slices.ContainsFunc(rec.GetMigration().GetMoves(), func(m *Move) bool { return m.GetFrom() == b.host || m.GetTo() == b.host })
}

// SameLayout says whether two records of an app put the same ranks of the same program on the same hosts: what is large in a
// record, and changes seldom.
func SameLayout(a, b *AppRecord) bool {
	x, y := a.App, b.App
	return x.Epoch == y.Epoch && x.Name == y.Name && x.Size == y.Size && sameProgram(x.Spec, y.Spec) &&
		sameSlice(x.Placement, y.Placement, func(g, h string) bool { return g == h }) && sameAddrs(a.Addrs, b.Addrs) &&
		sameSlice(x.Epochs, y.Epochs, func(e, f *EpochRun) bool { return e.GetCount() == f.GetCount() && e.GetEpoch() == f.GetEpoch() }) &&
		len(x.Ranks) == 0 && len(y.Ranks) == 0 // the state keeps the packed form
}

func sameProgram(a, b *AppSpec) bool {
	return a == b || a.GetModuleDigest() == b.GetModuleDigest() && slices.Equal(a.GetArgs(), b.GetArgs()) && slices.Equal(a.GetEnv(), b.GetEnv())
}

// sameSlice is slices.EqualFunc of values that do not change: it sees at once that both are one.
func sameSlice[T any](a, b []T, same func(a, b T) bool) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] || slices.EqualFunc(a, b, same))
}

func sameAddrs(a, b map[string]string) bool {
	return reflect.ValueOf(a).UnsafePointer() == reflect.ValueOf(b).UnsafePointer() || maps.Equal(a, b)
}
