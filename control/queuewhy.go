package control

import (
	"sync"

	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/planner"
)

// queueWhy keeps why apps are queued, of the newest state that was asked about: pages of one list ask of one state.
type queueWhy struct {
	mu    sync.Mutex // guards the fields below
	index uint64     // of the state
	why   map[fsm.AppID]string
}

// whyQueued says of every queued app why. The map is shared.
func (c *Control) whyQueued(v *fsm.View) map[fsm.AppID]string {
	q := &c.queueWhy
	q.mu.Lock()
	if q.why != nil && q.index == v.Index() {
		defer q.mu.Unlock()
		return q.why
	}
	q.mu.Unlock()
	why := planner.WhyAllQueued(v)
	q.mu.Lock()
	defer q.mu.Unlock()
	if v.Index() >= q.index {
		q.index, q.why = v.Index(), why
	}
	return why
}
