package fsm

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"iter"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// Hash is the SHA-256 of the state: cluster id, configuration, index, and every host, app,
// migration, module and remembered key, in order. The record of the last
// CheckHash is not part of it. It costs time in proportion to the state.
func (v *View) Hash() []byte {
	h := stateHasher{sum: sha256.New()}
	h.add('c', wrapperspb.String(v.clusterID))
	if v.config != nil {
		h.add('f', v.config)
	}
	h.add('i', wrapperspb.UInt64(v.index))
	addAll(&h, 'h', v.Hosts())
	addAll(&h, 'a', v.Apps())
	addAll(&h, 'm', v.Migrations())
	addAll(&h, 'w', v.Modules())
	for _, record := range v.keys.records() {
		h.add('k', record)
	}
	for _, alarm := range v.alarms {
		h.add('x', alarm)
	}
	return h.sum.Sum(nil)
}

// stateHasher frames each message by its kind and length, so that no two states
// give the same bytes.
type stateHasher struct {
	sum hash.Hash
	buf []byte
}

func (h *stateHasher) add(kind byte, msg proto.Message) {
	opts := proto.MarshalOptions{Deterministic: true}
	h.buf = append(h.buf[:0], kind)
	h.buf = binary.AppendUvarint(h.buf, uint64(opts.Size(msg)))
	buf, err := opts.MarshalAppend(h.buf, msg)
	if err != nil {
		// Every message of the state came out of Unmarshal, which has checked all
		// that Marshal does.
		panic("fsm: state does not marshal: " + err.Error())
	}
	h.buf = buf
	h.sum.Write(buf)
}

func addAll[T interface {
	*apiv1.Host | *apiv1.App | *apiv1.Migration | *apiv1.Module
	proto.Message
}](h *stateHasher, kind byte, seq iter.Seq[T]) {
	for msg := range seq {
		h.add(kind, msg)
	}
}
