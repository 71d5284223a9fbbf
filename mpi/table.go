package mpi

import (
	"maps"
	"slices"
)

// table holds what a program has made of one kind, by handle. Handles count up, so a stale one is seldom
// taken for a new thing.
type table[T any] struct {
	base, next uint32
	items      map[uint32]*T
}

func newTable[T any](base uint32) table[T] {
	return table[T]{base: base, items: map[uint32]*T{}}
}

// add gives v a handle. There may be MaxObjects of a kind.
func (t *table[T]) add(v *T, limit int) (uint32, error) {
	if len(t.items) >= limit {
		return 0, fail(errOther, "more than %d objects of one kind: free some", limit)
	}
	for {
		h := t.base + t.next
		t.next = (t.next + 1) % handleSpan
		if t.items[h] == nil {
			t.items[h] = v
			return h, nil
		}
	}
}

func (t *table[T]) get(h uint32) *T { return t.items[h] }
func (t *table[T]) drop(h uint32)   { delete(t.items, h) }

// handles returns all handles in use, ascending.
func (t *table[T]) handles() []uint32 { return slices.Sorted(maps.Keys(t.items)) }
