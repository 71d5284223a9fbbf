package fsm

import (
	"crypto/sha256"
	"encoding/binary"
	"iter"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// Kinds of the state's objects, as they are framed for the hash.
const (
	hashHost       = 'h'
	hashApp        = 'a'
	hashMigration  = 'm'
	hashCheckpoint = 'p'
	hashModule     = 'w'
	hashKey        = 'k'
)

// Hash is the hash of the state: of its cluster id, configuration, feature
// level, index and alarms, and of the sum of the hashes of all hosts, apps,
// migrations, checkpoints, modules and remembered keys. The record of the last CheckHash is
// not part of it. It costs time in proportion to the state; applying entries
// keeps the sum up to date instead.
func (v *View) Hash() []byte {
	sum := v.sum()
	return v.seal(sum)
}

// sum is the sum of the hashes of all objects, made anew.
func (v *View) sum() hashSum {
	var s summer
	addAll(&s, hashHost, v.Hosts())
	addAll(&s, hashApp, v.Apps())
	addAll(&s, hashMigration, v.Migrations())
	addAll(&s, hashCheckpoint, v.Checkpoints())
	addAll(&s, hashModule, v.Modules())
	addAll(&s, hashKey, v.keys.records())
	return s.sum
}

// seal is the state's hash, given the sum over its objects.
func (v *View) seal(sum hashSum) []byte {
	h := sha256.New()
	var s summer
	h.Write(s.frame('c', wrapperspb.String(v.clusterID)))
	for _, id := range v.formerIDs {
		h.Write(s.frame('f', wrapperspb.String(id)))
	}
	if v.config != nil {
		h.Write(s.frame('f', v.config))
	}
	h.Write(s.frame('l', wrapperspb.UInt32(v.feature)))
	h.Write(s.frame('i', wrapperspb.UInt64(v.index)))
	for _, alarm := range v.alarms {
		h.Write(s.frame('x', alarm))
	}
	for _, lane := range sum {
		h.Write(binary.BigEndian.AppendUint64(nil, lane))
	}
	return h.Sum(nil)
}

// hashSum adds up SHA-256 hashes, lane by lane, whatever their order. Ids make
// all objects of a state distinct, so that none cancels out another.
type hashSum [4]uint64

func (s *hashSum) add(hash [sha256.Size]byte) {
	for i := range s {
		s[i] += binary.BigEndian.Uint64(hash[8*i:])
	}
}

func (s *hashSum) sub(hash [sha256.Size]byte) {
	for i := range s {
		s[i] -= binary.BigEndian.Uint64(hash[8*i:])
	}
}

// summer frames each message by its kind and length, so that no two objects
// give the same bytes, and adds up their hashes.
type summer struct {
	sum hashSum
	buf []byte
}

// frame returns bytes that are good until the next call.
func (s *summer) frame(kind byte, msg proto.Message) []byte {
	opts := proto.MarshalOptions{Deterministic: true}
	s.buf = append(s.buf[:0], kind)
	s.buf = binary.AppendUvarint(s.buf, uint64(opts.Size(msg)))
	buf, err := opts.MarshalAppend(s.buf, msg)
	if err != nil {
		// Every message of the state came out of Unmarshal, which has checked all
		// that Marshal does.
		panic("fsm: state does not marshal: " + err.Error())
	}
	s.buf = buf
	return buf
}

func (s *summer) add(kind byte, msg proto.Message) { s.sum.add(sha256.Sum256(s.frame(kind, msg))) }
func (s *summer) sub(kind byte, msg proto.Message) { s.sum.sub(sha256.Sum256(s.frame(kind, msg))) }

func addAll[T proto.Message](s *summer, kind byte, seq iter.Seq[T]) {
	for msg := range seq {
		s.add(kind, msg)
	}
}

// ledger keeps the sum over the state's objects while entries are applied: what
// they touched is noted, and added up when a hash is wanted. Its cost is that of
// what has changed.
type ledger struct {
	summer
	base    View // the state that sum is of
	touched map[objectKey]struct{}
	// forgotten is what the state has forgotten since, in bytes of memory: base has it still.
	forgotten int
}

type objectKey struct {
	kind byte
	id   string
}

// ledgerFull is how many touched objects are noted at most before they are added up, and ledgerHolds how many bytes that are forgotten.
const (
	ledgerFull  = 1 << 15
	ledgerHolds = 32 << 20
)

func (l *ledger) full() bool { return len(l.touched) > ledgerFull || l.forgotten > ledgerHolds }

func newLedger(v *View) *ledger {
	return &ledger{summer: summer{sum: v.sum()}, base: *v, touched: make(map[objectKey]struct{})}
}

// note notes what a command has changed.
func (l *ledger) note(t *touched) {
	noteAll(l, hashHost, t.hosts)
	noteAll(l, hashApp, t.apps)
	noteAll(l, hashMigration, t.migrations)
	noteAll(l, hashCheckpoint, t.checkpoints)
	noteAll(l, hashModule, t.modules)
	noteAll(l, hashKey, t.keys)
}

func noteAll[T ~string](l *ledger, kind byte, ids []T) {
	for _, id := range ids {
		l.touched[objectKey{kind, string(id)}] = struct{}{}
	}
}

// settle makes now the state that sum is of.
func (l *ledger) settle(now *View) hashSum {
	for key := range l.touched { // a sum has no order
		was, hadOne := l.base.object(key)
		is, hasOne := now.object(key)
		if hadOne {
			l.sub(key.kind, was)
		}
		if hasOne {
			l.add(key.kind, is)
		}
	}
	clear(l.touched)
	l.base, l.forgotten = *now, 0
	return l.sum
}

// object is the object of this kind and id.
func (v *View) object(key objectKey) (msg proto.Message, ok bool) {
	switch id := []byte(key.id); key.kind {
	case hashHost:
		return found(v.hosts.Get(id))
	case hashApp:
		return found(v.apps.Get(id))
	case hashMigration:
		return found(v.migrations.Get(id))
	case hashCheckpoint:
		return found(v.checkpoints.Get(id))
	case hashModule:
		return found(v.modules.Get(id))
	default:
		return found(v.keys.byKey.Get(id))
	}
}

func found[T proto.Message](msg T, ok bool) (proto.Message, bool) { return msg, ok }

// hashRecords is how many records of CheckHash are kept for comparison.
const hashRecords = 16

// record notes the state's hash, as it is in the middle of the entry.
func (t *tx) record(hash []byte) {
	kept := t.hashes[max(0, len(t.hashes)+1-hashRecords):]
	t.hashes = append(kept[:len(kept):len(kept)], &apiv1.HashRecord{Index: t.entryIndex, Hash: hash})
}
