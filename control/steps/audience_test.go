package steps

import (
	"maps"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// Who has to hear of a field that has changed.
const (
	nobody   = "nobody"   // workers do not read it, or only beside another that has changed
	everyone = "everyone" // all hosts of the app
	movers   = "movers"   // the hosts of a migration's moves
	living   = "living"   // the movers, and hosts that had a live rank
)

// fieldAudiences holds each field of an app's record. Before a new one is put here: does package worker read it?
func fieldAudiences() map[protoreflect.FullName]map[string]string {
	return map[protoreflect.FullName]map[string]string{
		"godwit.v1.AppRecord": {
			"index": nobody, "amends": nobody, "moved": nobody, "term": nobody, "addrs": everyone, "gone": everyone,
			"link_key": nobody, // the same as long as the epoch
		},
		"godwit.v1.App": {
			"name": everyone, "size": everyone, "epoch": everyone, "placement": everyone, "epochs": everyone, "verdict": everyone, "grace_ms": everyone,
			"ranks": everyone, "ended": living,
			"phase":         nobody, // but that the app is over: TestAudienceOver
			"reason":        nobody, // goes with a verdict
			"started_hosts": nobody, "exit_code": nobody, "migratable": nobody, "submitted_at": nobody, "started_at": nobody, "ended_at": nobody,
			"submit_index": nobody, "idempotency_key": nobody, "migrations": nobody, "ended_index": nobody, "ends": nobody, "principal": nobody,
			"id":           nobody, // the same in all records of an app
			"migration_id": nobody, // the record has the migration
			"attempt":      everyone, "first_epoch": everyone, "restore": everyone,
			"checkpoint_id": nobody, "last_checkpoint": nobody, // the record has the checkpoint, or has it no more
			"restored": nobody, "restored_in_vain": nobody, "restoring": nobody, "left": nobody,
			"waits_for": nobody, "held": nobody, "last_attempt": nobody, "ran_ms": nobody, "memory_by_default": nobody,
		},
		"godwit.v1.AppSpec": {
			"module_digest": everyone, "program": everyone, "args": everyone, "env": everyone, "mounts": everyone, "dir": everyone, "stdin": everyone, "memory_bytes": everyone,
			"parts": everyone, "owner_lease_ms": everyone,
			"name": nobody, "size": nobody, "policy": nobody, "hint": nobody, "main_host": nobody, "oversubscribe": nobody, "place": nobody,
			"migration_check_period": nobody, "tenant": nobody, "restarts": nobody,
			"checkpoint_period": nobody, "checkpoint_keep": nobody, "on_host_loss": nobody, "host_loss_restarts": nobody, "restore": nobody, "checkpoint_to": nobody,
			"priority": nobody, "depends_on": nobody, "time_limit_ms": nobody, "array": nobody, "on": nobody, "spread": nobody, "no_default_memory": nobody,
		},
		"godwit.v1.AppFiles": {"host": everyone, "to": everyone, "stored": everyone, "fault": everyone, "trouble": everyone, "move": everyone, "progress": everyone},
		"godwit.v1.Tree":     {"list": everyone, "packs": everyone, "files": everyone, "bytes": everyone},
		"godwit.v1.AppPart":  {"name": everyone, "module_digest": everyone, "program": everyone, "args": everyone, "env": everyone, "ranks": everyone},
		"godwit.v1.EpochRun": {"count": everyone, "epoch": everyone},
		"godwit.v1.Migration": {
			"id": everyone, "from_epoch": everyone, "moves": everyone, "phase": movers,
			"app": nobody, "reason": nobody, "acks": nobody, "cause": nobody, "proposed_at": nobody, "ended_at": nobody, "propose_index": nobody,
			"ended_index": nobody,
		},
		"godwit.v1.Checkpoint": {
			"id": movers, "phase": movers, "still": movers,
			"app": nobody, "attempt": nobody, "epoch": nobody, "reason": nobody, "cause": nobody, "begun_at": nobody, "taken_at": nobody, "ended_at": nobody,
			"begin_index": nobody, "parts": nobody, "runs": nobody, "ended": nobody, "ends": nobody, "name": nobody, "progress": nobody,
			"to": nobody, "stored_at": nobody, "imported": nobody, "lost": nobody, "doubted_by": nobody, "doubted_app": nobody, "next": nobody, "tries": nobody,
			"then": nobody, // it is so from the beginning
		},
		"godwit.v1.Move": {
			"rank": everyone, "from": everyone, "to": everyone,
			"image_bytes": nobody, "pause_ms": nobody, "image_digest": nobody, "pause_bytes": nobody, "rounds": nobody,
		},
	}
}

// recordForAudience is of an app on four hosts; all ranks on h4 have ended, and a rank moves from h1 to h2.
func recordForAudience() *apiv1.AppRecord {
	return &apiv1.AppRecord{
		Index: 5,
		App: &apiv1.App{
			Id: "a", Spec: &apiv1.AppSpec{Parts: []*apiv1.AppPart{{Ranks: 4}}}, Phase: apiv1.AppRunning, Size: 4, Placement: []string{"h1", "h2", "h3", "h4"}, Ended: []byte{0b1000},
			Epochs: []*apiv1.EpochRun{{Count: 4, Epoch: 1}}, Files: &apiv1.AppFiles{Host: "h3", Tree: &apiv1.Tree{}},
		},
		Migration:  &apiv1.Migration{Id: "m", Phase: apiv1.MigrationPending, Moves: []*apiv1.Move{{Rank: 0, From: "h1", To: "h2"}}},
		Checkpoint: &apiv1.Checkpoint{Id: "c", Phase: apiv1.CheckpointPending, Parts: []*apiv1.CheckpointPart{{Host: "h1"}, {Host: "h2"}}},
		Addrs:      map[string]string{"h1": "a:1"},
	}
}

// TestAudienceOfEachField changes each field of a record, and looks who is told.
func TestAudienceOfEachField(t *testing.T) {
	hosts := map[string][]fsm.HostID{
		nobody: {}, everyone: {"h1", "h2", "h3", "h4"}, movers: {"h1", "h2"}, living: {"h1", "h2", "h3"},
	}
	before := recordForAudience()
	looked := map[protoreflect.FullName]bool{}
	look := func(part func(r *apiv1.AppRecord) proto.Message) {
		desc := part(before).ProtoReflect().Descriptor()
		looked[desc.FullName()] = true
		known := fieldAudiences()[desc.FullName()]
		for i := range desc.Fields().Len() {
			f := desc.Fields().Get(i)
			if f.Message() != nil && f.Message().FullName() != "google.protobuf.Timestamp" && !f.IsList() && !f.IsMap() {
				continue // looked at by itself
			}
			who, ok := known[string(f.Name())]
			if !ok {
				t.Errorf("field %s: say in fieldAudiences who has to hear of it, and have Audience look at it", f.FullName())
				continue
			}
			rec := proto.CloneOf(before)
			change(part(rec).ProtoReflect(), f)
			checkShort(t, before, rec)
			got, want := Audience(rec, before), map[fsm.HostID]bool{}
			for _, h := range hosts[who] {
				want[h] = true
			}
			delete(got, "other")
			delete(got, "") // both named by the change itself
			if !maps.Equal(got, want) {
				t.Errorf("field %s has changed: told are %v, want %s", f.FullName(), got, who)
			}
		}
	}
	look(func(r *apiv1.AppRecord) proto.Message { return r })
	look(func(r *apiv1.AppRecord) proto.Message { return r.App })
	look(func(r *apiv1.AppRecord) proto.Message { return r.App.Spec })
	look(func(r *apiv1.AppRecord) proto.Message { return r.App.Spec.Parts[0] })
	look(func(r *apiv1.AppRecord) proto.Message { return r.App.Epochs[0] })
	look(func(r *apiv1.AppRecord) proto.Message { return r.App.Files })
	look(func(r *apiv1.AppRecord) proto.Message { return r.App.Files.Tree })
	look(func(r *apiv1.AppRecord) proto.Message { return r.Migration })
	look(func(r *apiv1.AppRecord) proto.Message { return r.Migration.Moves[0] })
	look(func(r *apiv1.AppRecord) proto.Message { return r.Checkpoint })
	for name := range fieldAudiences() {
		if !looked[name] {
			t.Errorf("%s is in no record", name)
		}
	}
}

// checkShort sends both records over one session, and looks whether what comes out of the second is all that a host acts on.
func checkShort(t *testing.T, before, rec *apiv1.AppRecord) {
	t.Helper()
	leader, worker := apiv1.NewRecords("h1"), apiv1.NewRecords("h1")
	var got *apiv1.AppRecord
	for _, r := range []*apiv1.AppRecord{before, rec} {
		var err error
		if got, err = worker.Complete(proto.CloneOf(leader.Shorten(r))); err != nil {
			t.Fatal(err)
		}
	}
	same := func(r *apiv1.AppRecord) []any {
		return []any{r.Index, r.Term, r.App.Id, r.App.Phase, r.App.Reason, r.Migration.GetPhase()}
	}
	if !slices.Equal(same(got), same(rec)) || len(Audience(got, rec)) > 0 && len(rec.App.Ranks) == 0 {
		t.Errorf("sent was %v, and after the short form it is %v", rec, got)
	}
}

// change gives a field another value; a list or a map, one entry more.
func change(m protoreflect.Message, f protoreflect.FieldDescriptor) {
	switch {
	case f.IsMap():
		m.Mutable(f).Map().Set(protoreflect.ValueOf("other").MapKey(), protoreflect.ValueOf("b:2"))
	case f.IsList() && f.Message() != nil:
		m.Mutable(f).List().AppendMutable()
	case f.IsList():
		m.Mutable(f).List().Append(protoreflect.ValueOf("other"))
	case f.Message() != nil:
		m.Mutable(f)
	default:
		m.Set(f, changed(f.Kind(), m.Get(f)))
	}
}

func changed(kind protoreflect.Kind, old protoreflect.Value) protoreflect.Value {
	switch kind {
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(old.Enum() + 1)
	case protoreflect.BoolKind:
		return protoreflect.ValueOf(!old.Bool())
	case protoreflect.StringKind:
		return protoreflect.ValueOf("other")
	case protoreflect.BytesKind:
		return protoreflect.ValueOf([]byte{0b1100})
	case protoreflect.Int32Kind:
		return protoreflect.ValueOf(int32(old.Int() + 1))
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOf(uint32(old.Uint() + 1))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOf(old.Int() + 1)
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOf(old.Uint() + 1)
	case protoreflect.DoubleKind:
		return protoreflect.ValueOf(old.Float() + 1)
	default:
		panic("a kind of field that no record had: " + kind.String())
	}
}

// TestAudienceHome has the app's home told of the last end, after which it gives the files away, also when its own ranks ended long before.
func TestAudienceHome(t *testing.T) {
	before := recordForAudience()
	before.App.Verdict, before.App.Files.Host = apiv1.AppFailed, "h4" // whose rank has ended
	rec := proto.CloneOf(before)
	rec.App.Ended = []byte{0b1111}
	if !Audience(rec, before)["h4"] {
		t.Error("the app's home is not told that the last ranks have ended")
	}
}

// TestAudienceOver has everyone told of an app that is over, of a migration that is, and of what is told for the first time.
func TestAudienceOver(t *testing.T) {
	before := recordForAudience()
	over, aborted, done := proto.CloneOf(before), proto.CloneOf(before), proto.CloneOf(before)
	over.App.Phase = apiv1.AppSucceeded
	aborted.Migration = nil
	done.Migration.Phase = apiv1.MigrationCommitted
	for name, rec := range map[string]*apiv1.AppRecord{"the app is over": over, "no migration any more": aborted, "a migration that is over": done} {
		if got := Audience(rec, before); len(got) != 4 {
			t.Errorf("%s: told are %v, want all four hosts", name, got)
		}
		if got := Audience(before, rec); len(got) != 4 {
			t.Errorf("the way back from %s: told are %v, want all four hosts", name, got)
		}
	}
	if got := Audience(before, nil); len(got) != 4 {
		t.Errorf("the first record: told are %v, want all four hosts", got)
	}
}

// TestAudienceOfEnds tells a host of the last of its own ranks to end, and after that of no other rank's end.
func TestAudienceOfEnds(t *testing.T) {
	rec := recordForAudience()
	rec.Migration, rec.App.Ended, rec.App.Files = nil, nil, nil // its home hears of the last one
	left := map[fsm.HostID]bool{"h1": true, "h2": true, "h3": true, "h4": true}
	for r, host := range rec.App.Placement {
		next := proto.CloneOf(rec)
		next.App.Ended = []byte{1<<(r+1) - 1}
		if got := Audience(next, rec); !maps.Equal(got, left) {
			t.Errorf("rank %d has ended: told are %v, want %v", r, got, left)
		}
		delete(left, fsm.HostID(host))
		rec = next
	}
}
