package replay

import (
	"cmp"
	"container/heap"
	"time"
)

// eventKind is what happens. Of what happens at one moment the kinds are in this order: what ends makes room for what begins.
type eventKind uint8

const (
	jobDone  eventKind = iota
	stepDone           // a migration or a freeze of a job, or its thaw
	hostsFault
	noticeHeeded // what is to leave hosts that will fail begins to
	jobSubmit
	checkDue // the checker looks
	leaveDue // hosts that are to be left are looked at
)

// event is something that will happen.
type event struct {
	at   time.Duration
	kind eventKind
	seq  int // in which order they were made: the last word between two
	job  *task
	// stamp is the job's when the event was foreseen: where it has another one by now, the event is void.
	stamp int
}

// agenda is what will happen, and what time it is. The clock goes from one event to the next.
type agenda struct {
	now  time.Duration
	made int
	heap events
}

// add foresees an event, now or later.
func (a *agenda) add(at time.Duration, kind eventKind, job *task) {
	a.made++
	e := event{at: max(at, a.now), kind: kind, seq: a.made, job: job}
	if job != nil {
		e.stamp = job.stamp
	}
	heap.Push(&a.heap, e)
}

// next is what happens next, at this very moment if same. It is not there if nothing does.
func (a *agenda) next(same bool) (e event, ok bool) {
	if len(a.heap) == 0 || same && a.heap[0].at > a.now {
		return event{}, false
	}
	e, _ = heap.Pop(&a.heap).(event)
	a.now = e.at
	return e, true
}

// events is a heap.
type events []event

func (h events) Len() int      { return len(h) }
func (h events) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

func (h events) Less(i, j int) bool {
	a, b := h[i], h[j]
	return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.kind, b.kind), cmp.Compare(a.seq, b.seq)) < 0
}

// Push implements heap.Interface.
func (h *events) Push(x any) {
	if e, ok := x.(event); ok {
		*h = append(*h, e)
	}
}

// Pop implements heap.Interface.
func (h *events) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = event{}
	*h = (*h)[:last]
	return e
}
