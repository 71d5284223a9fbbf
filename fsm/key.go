package fsm

import (
	"encoding/binary"

	iradix "github.com/hashicorp/go-immutable-radix/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// keyTable remembers the results of the last MaxKeys client commands that were
// applied, first in first out. It is a value: put returns the changed table.
type keyTable struct {
	results *iradix.Tree[*apiv1.Result]
	order   *iradix.Tree[string] // by a sequence number that is not part of the state
	next    uint64
}

func newKeyTable() keyTable {
	return keyTable{results: iradix.New[*apiv1.Result](), order: iradix.New[string]()}
}

func (t keyTable) get(key string) (*apiv1.Result, bool) {
	if key == "" {
		return nil, false
	}
	return t.results.Get([]byte(key))
}

func (t keyTable) put(key string, result *apiv1.Result) keyTable {
	t.results, _, _ = t.results.Insert([]byte(key), result)
	t.order, _, _ = t.order.Insert(orderKey(t.next), key)
	t.next++
	if t.order.Len() > MaxKeys {
		first, oldest, _ := t.order.Root().Minimum()
		t.order, _, _ = t.order.Delete(first)
		t.results, _, _ = t.results.Delete([]byte(oldest))
	}
	return t
}

// records lists the table, oldest first.
func (t keyTable) records() []*apiv1.KeyRecord {
	out := make([]*apiv1.KeyRecord, 0, t.order.Len())
	for key := range values(t.order) {
		result, _ := t.results.Get([]byte(key))
		out = append(out, &apiv1.KeyRecord{Key: key, Result: result})
	}
	return out
}

// orderKey sorts as the number does.
func orderKey(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
