package control

import (
	"container/heap"
	"time"
)

// schedule knows a time for each of a set of things. To ask what is due costs what is due, however many wait. It is used
// by one goroutine, or under its owner's lock.
type schedule[K comparable] struct {
	at    map[K]*scheduled[K]
	order byTime[K]
}

// scheduled is one thing and its time.
type scheduled[K comparable] struct {
	key   K
	at    time.Time
	place int // in the heap
}

func newSchedule[K comparable]() *schedule[K] {
	return &schedule[K]{at: map[K]*scheduled[K]{}}
}

// set gives a thing its time, in the place of the one it had.
func (s *schedule[K]) set(key K, at time.Time) {
	if x, ok := s.at[key]; ok {
		x.at = at
		heap.Fix(&s.order, x.place)
		return
	}
	x := &scheduled[K]{key: key, at: at}
	s.at[key] = x
	heap.Push(&s.order, x)
}

// when is a thing's time; ok is false if it has none.
func (s *schedule[K]) when(key K) (at time.Time, ok bool) {
	x, ok := s.at[key]
	if !ok {
		return time.Time{}, false
	}
	return x.at, true
}

func (s *schedule[K]) remove(key K) {
	if x, ok := s.at[key]; ok {
		heap.Remove(&s.order, x.place)
		delete(s.at, key)
	}
}

// due are the things whose time is not after t, in no order. They stay.
func (s *schedule[K]) due(t time.Time) []K {
	var out []K
	look := []int{0}
	for len(look) > 0 {
		i := look[len(look)-1]
		look = look[:len(look)-1]
		if i >= len(s.order) || s.order[i].at.After(t) {
			continue // and so is all that is below it
		}
		out = append(out, s.order[i].key)
		look = append(look, 2*i+1, 2*i+2)
	}
	return out
}

// postpone makes every time later, but none later than latest: their order stays.
func (s *schedule[K]) postpone(by time.Duration, latest time.Time) {
	for _, x := range s.order {
		if at := x.at.Add(by); at.Before(latest) {
			x.at = at
		} else if x.at.Before(latest) {
			x.at = latest
		}
	}
}

// byTime is a heap: what is due first stands at its top.
type byTime[K comparable] []*scheduled[K]

func (h byTime[K]) Len() int           { return len(h) }
func (h byTime[K]) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h byTime[K]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push is for package heap.
func (h *byTime[K]) Push(x any) {
	s, _ := x.(*scheduled[K]) // nothing else is pushed
	s.place = len(*h)
	*h = append(*h, s)
}

// Pop is for package heap.
func (h *byTime[K]) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return x
}
