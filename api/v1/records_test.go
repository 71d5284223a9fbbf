package apiv1

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
)

// TestRecordsAreWholeAgain sends records of apps that run, move ranks, end and come again over a session, and checks that each comes out as
// what it was, and that most were short.
func TestRecordsAreWholeAgain(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a course of events
	leader, worker := NewRecords("h1"), NewRecords("h1")
	apps := make([]*AppRecord, 3)
	short, moved := 0, 0
	for i := range uint64(2000) {
		n := rng.IntN(len(apps))
		rec := apps[n]
		if rec == nil || rng.IntN(10) == 0 {
			rec = &AppRecord{App: &App{
				Id: fmt.Sprint("a", n), Name: fmt.Sprint("x", i), Size: 32, Epoch: i, Placement: slices.Repeat([]string{"h1", "h2"}, 16), Phase: AppRunning,
				Spec: &AppSpec{ModuleDigest: fmt.Sprint(i)}, Epochs: []*EpochRun{{Count: 32, Epoch: i}},
				Attempt: uint32(i%3 + 1), FirstEpoch: i, Restore: fmt.Sprint("c", i%3),
			}, Restore: &Checkpoint{Id: fmt.Sprint("c", i%3)}, Addrs: map[string]string{"h1": "a:1", "h2": "b:2"}}
		}
		rec = proto.CloneOf(rec)
		rec.Index, rec.Term = i, 7
		switch rng.IntN(12) {
		case 10:
			rec.Checkpoint = &Checkpoint{Id: fmt.Sprint(i), Phase: CheckpointPending, Parts: []*CheckpointPart{{Host: "h1"}}}
		case 11:
			rec.Checkpoint, rec.App.LastCheckpoint = nil, fmt.Sprint(i)
		case 0:
			rec.App.Placement, rec.App.Epoch = slices.Repeat([]string{"h2"}, 32), i // it leaves the host
		case 1, 8:
			r := rng.IntN(31)
			rec.App.Placement[r], rec.App.Epoch = fmt.Sprint("h", 1+rng.IntN(3)), i
			rec.App.Epochs = []*EpochRun{{Count: 31, Epoch: 1}, {Count: 1, Epoch: i}}
		case 9:
			if rec.Addrs["h3"] == "" {
				rec.Addrs["h3"] = "d:3"
			} else {
				delete(rec.Addrs, "h3")
			}
		case 2:
			rec.App.Phase = AppSucceeded
		case 3:
			rec.App.Verdict, rec.App.Reason = "failed", fmt.Sprint("why ", i)
		case 4:
			rec.Migration = &Migration{Id: fmt.Sprint(i), Phase: MigrationPending, Moves: []*Move{{From: "h2", To: "h1"}}}
		case 5:
			rec.Migration = nil
		case 6:
			rec.Addrs["h2"] = fmt.Sprint("c:", i)
		default:
			rec.App.Ended = []byte{byte(rng.IntN(4))}
		}
		apps[n] = rec
		if AppOver(rec.App.Phase) {
			apps[n] = nil
		}
		sent := leader.Shorten(rec)
		if sent.Amends != 0 {
			short++
			moved += min(1, len(sent.Moved))
		}
		got, err := worker.Complete(proto.CloneOf(sent))
		if err != nil {
			t.Fatal(err)
		}
		if AppOver(rec.App.Phase) {
			rec = Epitaph(rec)
		}
		if !proto.Equal(got, rec) {
			t.Fatalf("record %d was %v and is %v", i, rec, got)
		}
		if len(leader.whole) != len(worker.whole) || len(leader.whole) > len(apps) {
			t.Fatalf("kept are %d records by the leader, %d by the worker, of %d apps", len(leader.whole), len(worker.whole), len(apps))
		}
	}
	if short < 500 || moved < 100 {
		t.Errorf("only %d of 2000 records were short, %d of them with ranks that have moved", short, moved)
	}
}

// TestRecordsForgetWhatIsOver keeps nothing of an app that is over, is unknown, or has left the host.
func TestRecordsForgetWhatIsOver(t *testing.T) {
	here := &AppRecord{Index: 1, App: &App{Id: "a", Placement: []string{"h1"}, Phase: AppRunning}}
	for _, last := range []*AppRecord{
		{Index: 2, App: &App{Id: "a"}, Gone: true},
		{Index: 2, App: &App{Id: "a", Placement: []string{"h1"}, Phase: AppFailed}},
		{Index: 2, App: &App{Id: "a", Placement: []string{"h2"}, Phase: AppRunning}},
	} {
		b := NewRecords("h1")
		b.Shorten(here)
		if sent := b.Shorten(last); sent.Amends != 0 || len(b.whole) != 0 {
			t.Errorf("%v was sent as %v, and %d records are kept", last, sent, len(b.whole))
		}
	}
}

// TestRecordsOutOfStep refuses a short form of what has not come.
func TestRecordsOutOfStep(t *testing.T) {
	b := NewRecords("h1")
	for _, rec := range []*AppRecord{
		{Amends: 1},
		{Index: 2, Amends: 1, App: &App{Id: "a"}},
	} {
		if got, err := b.Complete(rec); err == nil {
			t.Errorf("%v became %v", rec, got)
		}
	}
	if _, err := b.Complete(&AppRecord{Index: 5, App: &App{Id: "a", Placement: []string{"h1"}, Phase: AppRunning}}); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Complete(&AppRecord{Index: 6, Amends: 4, App: &App{Id: "a"}}); err == nil {
		t.Errorf("a short form of another record became %v", got)
	}
	for _, rank := range []int32{-1, 1} {
		if got, err := b.Complete(&AppRecord{Index: 6, Amends: 5, App: &App{Id: "a"}, Moved: []*MovedRank{{Rank: rank, Host: "h2"}}}); err == nil {
			t.Errorf("a short form that moves rank %d became %v", rank, got)
		}
	}
	if got, err := b.Complete(&AppRecord{Index: 6, Amends: 5, App: &App{Id: "a"}, Addrs: map[string]string{"h2": "x:1"}}); err != nil || got.Addrs["h2"] != "x:1" {
		t.Errorf("addresses that amend none became %v (%v)", got, err)
	}
	if _, err := b.Complete(&AppRecord{Migration: &Migration{Moves: []*Move{{To: "h1"}}}}); err != nil || len(b.whole) != 1 {
		t.Errorf("a record of no app: %v, and %d are kept", err, len(b.whole))
	}
}
