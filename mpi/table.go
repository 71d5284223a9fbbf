package mpi

import (
	"slices"

	"github.com/godwit-run/godwit/mpi/abi"
)

// Handles of what a program makes: each kind counts up from its own base, so that a handle of
// another kind is told apart from a stale one.
const (
	baseRequest    = 0x1000 // the ABI keeps lower values for constants
	baseComm       = 0x40000000
	baseType       = 0x41000000
	baseGroup      = 0x42000000
	baseOp         = 0x43000000
	baseErrhandler = 0x44000000
	baseFile       = 0x45000000
	baseInfo       = 0x46000000
	baseWin        = 0x47000000
	baseMessage    = 0x48000000
	baseSession    = 0x49000000
	baseKeyval     = 0x4a000000
	handleSpan     = 1 << 24 // handles of a kind
)

// table holds what a program has made of one kind, by handle. The handle that was given back last is given out first, as
// programs that keep stale handles of things they make again and again expect.
type table[T any] struct {
	base, next uint32   // next: handles beyond base that were given out so far
	free       []uint32 // of these, the ones that were given back, last given back last
	items      map[uint32]*T
}

func newTable[T any](base uint32) table[T] {
	return table[T]{base: base, items: map[uint32]*T{}}
}

// add gives v a handle. There may be MaxObjects of a kind.
func (t *table[T]) add(v *T, limit int) (uint32, error) {
	if err := t.room(limit); err != nil {
		return 0, err
	}
	h := t.base + t.next
	if n := len(t.free); n > 0 {
		h = t.free[n-1]
		t.free = t.free[:n-1]
	} else {
		t.next++
	}
	t.items[h] = v
	return h, nil
}

// room fails if there is none for another.
func (t *table[T]) room(limit int) error {
	if len(t.items) >= limit || (len(t.free) == 0 && t.next >= handleSpan) {
		return abi.Fail(abi.ErrOther, "more than %d objects of one kind: free some", limit)
	}
	return nil
}

// restore gives v a handle like add: the one it had, unless that was given to another since.
func (t *table[T]) restore(v *T, h uint32, limit int) (uint32, error) {
	if t.items[h] == v {
		return h, nil
	}
	i := slices.Index(t.free, h)
	if i < 0 {
		return t.add(v, limit)
	}
	t.free = slices.Delete(t.free, i, i+1)
	t.items[h] = v
	return h, nil
}

func (t *table[T]) get(h uint32) *T { return t.items[h] }

func (t *table[T]) drop(h uint32) {
	if t.items[h] != nil {
		delete(t.items, h)
		t.free = append(t.free, h)
	}
}
