package mpi

import "slices"

// queue is a first-in first-out queue; its owner bounds it.
type queue[T any] struct {
	items []T
	head  int
}

func (q *queue[T]) len() int    { return len(q.items) - q.head }
func (q *queue[T]) at(i int) *T { return &q.items[q.head+i] }
func (q *queue[T]) push(v T)    { q.items = append(q.items, v) }

// remove drops the first item that fits.
func (q *queue[T]) remove(fits func(T) bool) {
	if i := slices.IndexFunc(q.items[q.head:], fits); i >= 0 {
		q.items = slices.Delete(q.items, q.head+i, q.head+i+1)
	}
}

func (q *queue[T]) pop() T {
	var zero T
	v := q.items[q.head]
	q.items[q.head] = zero
	q.head++
	switch {
	case q.head == len(q.items):
		q.items, q.head = q.items[:0], 0
	case q.head >= 64 && 2*q.head >= len(q.items):
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	return v
}
