// Package fifo is a first-in first-out queue in one slice, whose memory is used again.
package fifo

import "slices"

// Queue is empty from the start. Whoever has it bounds it. It is for one goroutine at a time.
type Queue[T any] struct {
	items []T
	head  int
}

// Len is how many items wait.
func (q *Queue[T]) Len() int { return len(q.items) - q.head }

// At is the i-th item from the head, from 0; it is valid until the next change of the queue.
func (q *Queue[T]) At(i int) *T { return &q.items[q.head+i] }

// Push puts an item last.
func (q *Queue[T]) Push(v T) { q.items = append(q.items, v) }

// Remove drops the first item that fits, if there is one.
func (q *Queue[T]) Remove(fits func(T) bool) {
	if i := slices.IndexFunc(q.items[q.head:], fits); i >= 0 {
		q.items = slices.Delete(q.items, q.head+i, q.head+i+1)
	}
}

// Pop takes the first item out. There must be one.
func (q *Queue[T]) Pop() T {
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
