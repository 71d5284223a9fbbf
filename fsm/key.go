package fsm

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"iter"

	iradix "github.com/hashicorp/go-immutable-radix/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// keyTable remembers the results of client commands that were applied. It is a
// value: put returns the changed table.
type keyTable struct {
	byKey *iradix.Tree[*apiv1.KeyRecord]
	order *iradix.Tree[string] // keys by sequence
	next  uint64               // sequence of the next record
}

func newKeyTable() keyTable {
	return keyTable{byKey: iradix.New[*apiv1.KeyRecord](), order: iradix.New[string]()}
}

func (t keyTable) get(key string) (*apiv1.KeyRecord, bool) {
	if key == "" {
		return nil, false
	}
	return t.byKey.Get([]byte(key))
}

// put remembers a record under its own sequence.
func (t keyTable) put(r *apiv1.KeyRecord) keyTable {
	t.byKey, _, _ = t.byKey.Insert([]byte(r.GetKey()), r)
	t.order, _, _ = t.order.Insert(orderKey(r.GetSequence()), r.GetKey())
	t.next = r.GetSequence() + 1
	return t
}

// forget drops the oldest record where more are kept than must be: beyond
// MinKeys those older than KeepSeconds, beyond MaxKeys any.
func (t keyTable) forget(now *timestamppb.Timestamp) (_ keyTable, key string, ok bool) {
	if t.order.Len() <= MinKeys {
		return t, "", false
	}
	first, key, _ := t.order.Root().Minimum()
	oldest, _ := t.get(key)
	if t.order.Len() <= MaxKeys && !olderThan(oldest.GetAt(), now, KeepSeconds) {
		return t, "", false
	}
	t.order, _, _ = t.order.Delete(first)
	t.byKey, _, _ = t.byKey.Delete([]byte(key))
	return t, key, true
}

// records iterates over the table, oldest first.
func (t keyTable) records() iter.Seq[*apiv1.KeyRecord] {
	return func(yield func(*apiv1.KeyRecord) bool) {
		for key := range values(t.order) {
			if r, ok := t.get(key); ok && !yield(r) {
				return
			}
		}
	}
}

// olderThan compares times of entries. They are of the proposers' clocks: good
// for an age, not for an order.
func olderThan(at, now *timestamppb.Timestamp, seconds int64) bool {
	return now.GetSeconds()-at.GetSeconds() > seconds
}

// orderKey sorts as the number does. It is in hex, for a change to a radix tree
// copies the nodes on its way, and these have 16 edges instead of 256.
func orderKey(n uint64) []byte {
	const digits = "0123456789abcdef"
	key := make([]byte, 16, 64)
	for i := range key {
		key[15-i] = digits[n>>(4*i)&15]
	}
	return key
}

// answer is what a command whose key was used before is answered: the same as
// then, or that the key was another request's.
func (v *View) answer(cmd *apiv1.Command) (outcome, *apiv1.Result, bool) {
	if cmd.GetTerm() != 0 {
		return outcome{}, nil, false
	}
	before, ok := v.keys.get(cmd.GetKey())
	if !ok {
		return outcome{}, nil, false
	}
	if !bytes.Equal(before.GetBodyHash(), bodyHash(cmd)) {
		return refuse(CodeKeyReused, "the idempotency key was used for another request, at index %d; use a new key for a new request",
			before.GetResult().GetIndex()), nil, true
	}
	return outcome{}, before.GetResult(), true
}

// Answer is what applying a client's command would answer because its key was
// used before: the same result, or a refusal with CodeKeyReused when the key was
// another request's. ok is false for a key that is not remembered.
func (v *View) Answer(cmd *apiv1.Command) (result *apiv1.Result, ok bool) {
	out, before, ok := v.answer(cmd)
	if before != nil || !ok {
		return before, ok
	}
	return &apiv1.Result{Index: v.index, Code: string(out.code), Reason: out.reason}, true
}

// Key returns the result of the client command that carried this idempotency
// key and was applied, as long as it is remembered.
func (v *View) Key(key string) (*apiv1.Result, bool) {
	r, ok := v.keys.get(key)
	return r.GetResult(), ok
}

// remember keeps the result of a client's command for its retries.
func (t *tx) remember(cmd *apiv1.Command, result *apiv1.Result) {
	t.keys = t.keys.put(&apiv1.KeyRecord{
		Key: cmd.GetKey(), Result: clone(result), BodyHash: bodyHash(cmd), At: cmd.GetAt(), Sequence: t.keys.next,
	})
	t.touched.keys = append(t.touched.keys, cmd.GetKey())
	for left := t.mayForget(1); left > 0; left-- {
		keys, key, ok := t.keys.forget(cmd.GetAt())
		if !ok {
			return
		}
		t.keys = keys
		t.touched.keys = append(t.touched.keys, key)
	}
}

// bodyHash is the SHA-256 of what the client asked for and who it is: not of what a
// server minted for it, which a retry through another server has other values of.
func bodyHash(cmd *apiv1.Command) []byte {
	body := &apiv1.Command{Principal: cmd.GetPrincipal(), Op: cmd.GetOp()}
	switch op := cmd.GetOp().(type) {
	case *apiv1.Command_SubmitApp:
		body.Op = &apiv1.Command_SubmitApp{SubmitApp: &apiv1.SubmitApp{Spec: op.SubmitApp.GetSpec()}}
	case *apiv1.Command_SetClusterConfig:
		if op.SetClusterConfig.GetRenewCodeKey() {
			body.Op = &apiv1.Command_SetClusterConfig{SetClusterConfig: &apiv1.SetClusterConfig{RenewCodeKey: true}}
		}
	case *apiv1.Command_ProposeMigration:
		asked := &apiv1.ProposeMigration{App: op.ProposeMigration.GetApp(), Cause: op.ProposeMigration.GetCause()}
		for _, m := range op.ProposeMigration.GetMoves() {
			asked.Moves = append(asked.Moves, &apiv1.Move{Rank: m.GetRank(), To: m.GetTo()})
		}
		body.Op = &apiv1.Command_ProposeMigration{ProposeMigration: asked}
	case *apiv1.Command_BeginCheckpoint:
		body.Op = &apiv1.Command_BeginCheckpoint{BeginCheckpoint: &apiv1.BeginCheckpoint{
			App: op.BeginCheckpoint.GetApp(), Cause: op.BeginCheckpoint.GetCause(),
		}}
	}
	var s summer
	hash := sha256.Sum256(s.frame(hashKey, body))
	return hash[:]
}

// AppIDFor is the id of the app that a submission with this idempotency key
// makes in this cluster. It never changes, so that however late a retry comes,
// it finds the first one's app as long as that is known.
func AppIDFor(clusterID, key string) AppID {
	hash := sha256.New()
	hash.Write(binary.AppendUvarint(nil, uint64(len(clusterID))))
	hash.Write([]byte(clusterID))
	hash.Write([]byte(key))
	const short = 6 // bytes: few enough to type, enough for an app to have its id alone
	return AppID(idPrefix + hex.EncodeToString(hash.Sum(nil)[:short]))
}

// sameRequest tells whether a submission is a retry of the one that made the app.
func sameRequest(app *apiv1.App, key string, spec *apiv1.AppSpec) bool {
	if app.GetMemoryByDefault() && spec.GetMemoryBytes() == 0 {
		spec = clone(spec)
		spec.MemoryBytes = RankMemory(app)
	}
	return key != "" && app.GetIdempotencyKey() == key && proto.Equal(app.GetSpec(), spec)
}
