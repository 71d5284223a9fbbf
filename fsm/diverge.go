package fsm

import (
	"bytes"
	"errors"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// ErrDiverged is returned when this replica's state is not that of a majority.
var ErrDiverged = errors.New("this server's state differs from that of the other servers")

// checkHash notes the hash of the state as it is just before this command, under
// this entry's index, and compares the hash that the leader noted at an earlier
// one with what this replica noted there. A difference says that one of the two
// is wrong, not which: nothing is decided here, see Judge. An index of which
// nothing was noted compares nothing.
func (t *tx) checkHash(op *apiv1.CheckHash) outcome {
	t.touched.cluster = true
	if own, ok := t.HashAt(op.GetIndex()); ok {
		t.diverged = nil
		if !bytes.Equal(own.GetHash(), op.GetHash()) {
			t.diverged = &Divergence{Index: own.GetIndex(), Own: own.GetHash(), Leader: op.GetHash()}
		}
	}
	t.record(t.seal(t.ledger.settle(&t.View)))
	return applied("")
}

// Divergence says that this replica's state was another than the leader's.
type Divergence struct {
	Index       uint64
	Own, Leader []byte
}

// Diverged is the difference that the last CheckHash showed; nil for none. It is
// not part of the state. TheCluster wakes when it changes.
func (v *View) Diverged() *Divergence { return v.diverged }

// HashAt is the hash that the CheckHash at this index noted, if that is one of
// the last.
func (v *View) HashAt(index uint64) (*apiv1.HashRecord, bool) {
	for _, r := range v.hashes {
		if r.GetIndex() == index {
			return r, true
		}
	}
	return nil, false
}

// LastHash is the state's hash as noted by the last CheckHash; nil before the
// first. The leader proposes it back in the next CheckHash.
func (v *View) LastHash() *apiv1.HashRecord {
	if len(v.hashes) == 0 {
		return nil
	}
	return v.hashes[len(v.hashes)-1]
}

// Hashes are the last hashes noted, oldest first, to be compared with those of
// the other servers.
func (v *View) Hashes() []*apiv1.HashRecord { return v.hashes }

// Verdict is what a comparison of hashes says of this replica.
type Verdict int

// Verdicts.
const (
	// Undecided: too few servers answer, or no majority agrees.
	Undecided Verdict = iota
	// WithMajority: a majority has this replica's hash. Whoever differs is wrong.
	WithMajority
	// AgainstMajority: a majority agrees on another hash: this replica is wrong. It
	// must stop, and be rebuilt from the others.
	AgainstMajority
)

// Judge compares the hash that this replica noted at an index with what the
// other voters noted there. others has one list of records a voter that
// answered; voters counts all, this one too if votes says that it is one.
func Judge(own *apiv1.HashRecord, votes bool, others [][]*apiv1.HashRecord, voters int) Verdict {
	count := map[string]int{}
	if votes {
		count[string(own.GetHash())]++
	}
	for _, records := range others {
		for _, r := range records {
			if r.GetIndex() == own.GetIndex() {
				count[string(r.GetHash())]++
				break
			}
		}
	}
	if count[string(own.GetHash())] > voters/2 {
		return WithMajority
	}
	for _, n := range count {
		if n > voters/2 {
			return AgainstMajority
		}
	}
	return Undecided
}
