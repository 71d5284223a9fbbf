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

// maxMovedShare is which part of an app's ranks may be elsewhere than in the last whole record, for a short form to be worth it.
const maxMovedShare = 8

// Shorten returns what is to be sent for rec: its short form, if what that leaves out has been sent already; of an app that is over,
// all that a host needs to forget it.
func (b *Records) Shorten(rec *AppRecord) *AppRecord {
	if AppOver(rec.App.GetPhase()) {
		rec = Epitaph(rec)
	}
	base := b.whole[rec.App.Id]
	if base.GetIndex() == 0 || !b.keeps(rec) {
		b.note(rec)
		return rec
	}
	x := rec.App
	short := &AppRecord{
		Index: rec.Index, Term: rec.Term, Migration: rec.Migration, Amends: base.Index,
		App:        &App{Id: x.Id, Phase: x.Phase, Reason: x.Reason, Verdict: x.Verdict, GraceMs: x.GraceMs, Epoch: x.Epoch, Ended: x.Ended, Files: x.Files, LastCheckpoint: x.LastCheckpoint},
		Checkpoint: rec.Checkpoint,
	}
	if SameLayout(base, rec) {
		return short
	}
	if !sameApp(base.App, x) || !amendLayout(short, base, rec) {
		b.note(rec)
		return rec
	}
	return short
}

// amendLayout puts into a short form how the layout of rec differs from that of base, if that is little.
func amendLayout(short, base, rec *AppRecord) bool {
	was, is := base.App, rec.App
	if len(is.Placement) != len(was.Placement) || len(is.Epochs) == 0 || len(is.Epochs) > len(is.Placement)/maxMovedShare {
		return false
	}
	for r, host := range is.Placement {
		if host == was.Placement[r] {
			continue
		}
		if len(short.Moved) >= len(is.Placement)/maxMovedShare {
			return false
		}
		short.Moved = append(short.Moved, &MovedRank{Rank: int32(r), Host: host})
	}
	short.App.Epochs, short.Addrs = is.Epochs, map[string]string{}
	for host, addr := range rec.Addrs {
		if base.Addrs[host] != addr {
			short.Addrs[host] = addr
		}
	}
	for host := range base.Addrs {
		if _, has := rec.Addrs[host]; !has {
			short.Addrs[host] = ""
		}
	}
	return true
}

// Epitaph is a record of an app that is over without what has no meaning any more: where its ranks were.
func Epitaph(rec *AppRecord) *AppRecord {
	x := rec.App
	return &AppRecord{
		Index: rec.Index, Term: rec.Term, Gone: rec.Gone,
		App: &App{Id: x.Id, Phase: x.Phase, Reason: x.Reason, Verdict: x.Verdict, Epoch: x.Epoch, ExitCode: x.ExitCode},
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
	whole := &AppRecord{
		Index: rec.Index, Term: rec.Term, Migration: rec.Migration, Addrs: base.Addrs, Checkpoint: rec.Checkpoint, Restore: base.Restore, LinkKey: rec.LinkKey,
		App: &App{
			Id: n.Id, Phase: n.Phase, Reason: n.Reason, Verdict: n.Verdict, GraceMs: n.GraceMs, Epoch: n.Epoch, Ended: n.Ended, Files: n.Files,
			LastCheckpoint: n.LastCheckpoint,
			Name:           x.Name, Size: x.Size, Spec: x.Spec, Placement: x.Placement, Epochs: x.Epochs, Attempt: x.Attempt, FirstEpoch: x.FirstEpoch, Restore: x.Restore,
		},
	}
	if len(n.Epochs) > 0 {
		whole.App.Epochs = n.Epochs
	}
	if len(rec.Moved) > 0 {
		whole.App.Placement = slices.Clone(x.Placement)
	}
	for _, m := range rec.Moved {
		if m.GetRank() < 0 || int(m.GetRank()) >= len(whole.App.Placement) {
			return nil, fmt.Errorf("a record of app %.80q moves rank %d, which it does not have: open another session", n.Id, m.GetRank())
		}
		whole.App.Placement[m.GetRank()] = m.GetHost()
	}
	if len(rec.Addrs) > 0 {
		whole.Addrs = map[string]string{}
		maps.Copy(whole.Addrs, base.Addrs)
	}
	for host, addr := range rec.Addrs {
		if addr == "" {
			delete(whole.Addrs, host)
		} else {
			whole.Addrs[host] = addr
		}
	}
	return whole, nil
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
	if slices.ContainsFunc(rec.GetCheckpoint().GetParts(), func(p *CheckpointPart) bool { return p.GetHost() == b.host }) {
		return true
	}
	return slices.Contains(rec.GetApp().GetPlacement(), b.host) || slices.Contains(rec.GetApp().FilesHosts(), b.host) ||
		slices.ContainsFunc(rec.GetMigration().GetMoves(), func(m *Move) bool { return m.GetFrom() == b.host || m.GetTo() == b.host })
}

// SameLayout says whether two records of an app put the same ranks of the same program on the same hosts: what is large in a
// record, and changes seldom.
func SameLayout(a, b *AppRecord) bool {
	x, y := a.App, b.App
	return x.Epoch == y.Epoch && sameApp(x, y) && a.Restore.GetId() == b.Restore.GetId() &&
		sameSlice(x.Placement, y.Placement, func(g, h string) bool { return g == h }) && sameAddrs(a.Addrs, b.Addrs) &&
		sameSlice(x.Epochs, y.Epochs, func(e, f *EpochRun) bool { return e.GetCount() == f.GetCount() && e.GetEpoch() == f.GetEpoch() })
}

// sameApp says whether two records are of the same ranks of the same program, wherever they are.
func sameApp(x, y *App) bool {
	return x.Name == y.Name && x.Size == y.Size && x.Attempt == y.Attempt && x.FirstEpoch == y.FirstEpoch && x.Restore == y.Restore && sameProgram(x.Spec, y.Spec) &&
		len(x.Ranks) == 0 && len(y.Ranks) == 0 // the state keeps the packed form
}

// FilesHosts are the hosts that have the app's directory, or get it; none when it is stored.
func (x *App) FilesHosts() []string {
	f := x.GetFiles()
	switch {
	case f == nil || f.Stored:
		return nil
	case f.To != "":
		return []string{f.Host, f.To}
	}
	return []string{f.Host}
}

// sameSlice is slices.EqualFunc of values that do not change: it sees at once that both are one.
func sameSlice[T any](a, b []T, same func(a, b T) bool) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] || slices.EqualFunc(a, b, same))
}

func sameAddrs(a, b map[string]string) bool {
	return reflect.ValueOf(a).UnsafePointer() == reflect.ValueOf(b).UnsafePointer() || maps.Equal(a, b)
}
