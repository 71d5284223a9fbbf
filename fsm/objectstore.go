package fsm

import (
	"bytes"
	"crypto/sha256"
	"slices"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// A checkpoint may be in an object store as well: brought there by the cluster that has
// made it, which removes it there too, or imported, to begin from.

// storeOf is the URL of an object store, written in one way only. It was checked.
func storeOf(url string) string {
	if p, err := apiv1.ParseStore(url); err == nil {
		return p.String()
	}
	return ""
}

// storeCheckpoint notes that all of a checkpoint is in its object store.
func (t *tx) storeCheckpoint(op *apiv1.StoreCheckpoint) outcome {
	old, ok := t.Checkpoint(CheckpointID(op.GetId()))
	switch {
	case !ok:
		return refuse(CodeNotFound, "no checkpoint %s", op.GetId())
	case CheckpointPhaseOf(old) != CheckpointComplete:
		return refuse(CodeWrongPhase, "checkpoint %s is %s, not complete", op.GetId(), old.GetPhase())
	case old.GetTo() == "" || old.GetTo() != op.GetTo():
		return refuse(CodeInvalid, "checkpoint %s is to be in %q, not in %.80q", op.GetId(), old.GetTo(), op.GetTo())
	case old.GetStoredAt() != nil && !old.GetLost() && old.GetDoubtedBy() == "":
		return applied(op.GetId())
	}
	ck := draftCheckpoint(old)
	ck.StoredAt, ck.Lost, ck.DoubtedBy, ck.DoubtedApp = t.at, false, "", ""
	t.putCheckpoint(ck)
	app, ok := t.App(AppID(ck.GetApp()))
	if !ok {
		return applied(op.GetId())
	}
	return appliedUnless(t.restoreElseOf(slices.Values([]*apiv1.App{app})), op.GetId())
}

// importCheckpoint makes a checkpoint known that an object store has.
func (t *tx) importCheckpoint(ck *apiv1.Checkpoint) outcome {
	if !t.MakesCheckpoints() {
		return refuse(CodeInvalid, "there are no checkpoints at feature level %d; they need level %d", t.feature, levelCheckpoints)
	}
	if known, ok := t.Checkpoint(CheckpointID(ck.GetId())); ok {
		if !sameParts(known, ck) {
			return refuse(CodeAlreadyExists, "there is another checkpoint %s already", ck.GetId())
		}
		if to := storeOf(ck.GetTo()); known.GetTo() == to && CheckpointPhaseOf(known) == CheckpointComplete { // it was found there
			return t.storeCheckpoint(&apiv1.StoreCheckpoint{Id: ck.GetId(), To: to})
		}
		return applied(ck.GetId())
	}
	ck = &apiv1.Checkpoint{
		Id: ck.GetId(), App: ck.GetApp(), Attempt: ck.GetAttempt(), Epoch: ck.GetEpoch(), Phase: string(CheckpointComplete), Cause: "import",
		BegunAt: ck.GetBegunAt(), TakenAt: ck.GetTakenAt(), EndedAt: t.at, BeginIndex: t.entryIndex, Runs: ck.GetRuns(), Ended: ck.GetEnded(),
		Ends: ck.GetEnds(), Name: ck.GetName(), Spec: ck.GetSpec(), To: storeOf(ck.GetTo()), StoredAt: t.at, Imported: true, Parts: ownParts(ck.GetParts()),
	}
	shareHosts(ck)
	if bad := t.makeRoomFor(ck); bad.code != CodeApplied {
		return bad
	}
	t.putCheckpoint(ck)
	return applied(ck.GetId())
}

// ownParts are copies of parts that no host of this cluster holds.
func ownParts(parts []*apiv1.CheckpointPart) (out []*apiv1.CheckpointPart) {
	for _, p := range parts {
		p = draftPart(p)
		p.Second, p.Third, p.HostGone = "", "", false
		out = append(out, p)
	}
	return out
}

// sameParts tells whether two are the same checkpoint, complete.
func sameParts(a, b *apiv1.Checkpoint) bool {
	return CheckpointPhaseOf(a) == CheckpointComplete && a.GetApp() == b.GetApp() &&
		slices.EqualFunc(a.GetParts(), b.GetParts(), func(p, q *apiv1.CheckpointPart) bool {
			return p.GetHost() == q.GetHost() && bytes.Equal(p.GetDigest(), q.GetDigest())
		})
}

// imported checks a checkpoint that comes from outside.
func (c *checker) imported(ck *apiv1.Checkpoint) {
	c.name("checkpoint.id", ck.GetId())
	c.name("checkpoint.app", ck.GetApp())
	c.optionalName("checkpoint.name", ck.GetName())
	c.spec(ck.GetSpec())
	c.store("checkpoint.to", ck.GetTo())
	switch size := ck.GetSpec().GetSize(); {
	case ck.GetTo() == "":
		c.wrong("checkpoint.to", "it is missing")
	case ck.GetPhase() != string(CheckpointComplete):
		c.wrong("checkpoint.phase", "%.80q is not complete", ck.GetPhase())
	case len(ck.GetEnded()) > (int(size)+7)/8:
		c.wrong("checkpoint.ended", "it is of more ranks than %d", size)
	}
	c.importedParts(ck)
	c.importedRanks(ck)
	if n := proto.Size(ck); n > MaxPartsBytes {
		c.wrong("checkpoint", "%d bytes; at most %d are possible", n, MaxPartsBytes)
	}
}

// importedParts wants a part a host, in order of host.
func (c *checker) importedParts(ck *apiv1.Checkpoint) {
	if len(ck.GetParts()) == 0 || len(ck.GetParts()) > MaxAppSize {
		c.wrong("checkpoint.parts", "%d of them; 1 to %d are possible", len(ck.GetParts()), MaxAppSize)
		return
	}
	last := ""
	for _, p := range ck.GetParts() {
		c.name("checkpoint.parts.host", p.GetHost())
		if p.GetHost() <= last {
			c.wrong("checkpoint.parts.host", "%s stands behind %s", p.GetHost(), last)
		}
		last = p.GetHost()
		if len(p.GetDigest()) != sha256.Size || p.GetNewBytes() < 0 || p.GetBytes() < p.GetNewBytes() || !(p.GetPauseMs() >= 0) {
			c.wrong("checkpoint.parts", "that of host %s has a digest of %d bytes, and %d bytes, %d of them new", p.GetHost(), len(p.GetDigest()), p.GetBytes(), p.GetNewBytes())
		}
	}
}

// importedRanks wants to know of each rank where it was, and of those that had ended how.
func (c *checker) importedRanks(ck *apiv1.Checkpoint) {
	size, ranks := int64(ck.GetSpec().GetSize()), int64(0)
	for _, run := range ck.GetRuns() {
		c.name("checkpoint.runs.host", run.GetHost())
		if run.GetRanks() < 1 {
			c.wrong("checkpoint.runs", "%d ranks on host %s", run.GetRanks(), run.GetHost())
		}
		ranks += int64(run.GetRanks())
	}
	if ranks != size {
		c.wrong("checkpoint.runs", "they are of %d ranks, the app has %d", ranks, size)
	}
	next := int64(0)
	for _, end := range ck.GetEnds() {
		first, count := int64(end.GetFirst()), int64(end.GetCount())
		if first < next || count < 1 || first+count > size {
			c.wrong("checkpoint.ends", "%d ranks from %d on", count, first)
		}
		next = first + count
		c.text("checkpoint.ends.reason", end.GetReason(), MaxReasonBytes)
	}
}
