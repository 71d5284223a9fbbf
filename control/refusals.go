package control

import (
	"sync"
	"time"
)

const (
	// firstRest is how long a proposal that was refused is not made again: a refusal is an entry in the log too, and wakes
	// the duty that made it. Each further refusal doubles the time, up to longestRest.
	firstRest   = time.Second
	longestRest = time.Minute
	maxRefused  = 4096
)

// refusals remembers which proposals came to nothing, and when they may be made again.
type refusals struct {
	mu sync.Mutex // guards by
	by map[string]refused
}

type refused struct {
	until time.Time
	rest  time.Duration
}

func newRefusals() *refusals { return &refusals{by: map[string]refused{}} }

// rest says whether a proposal must wait.
func (r *refusals) rest(what string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Before(r.by[what].until)
}

func (r *refusals) note(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.by) >= maxRefused {
		r.prune()
	}
	rest := min(max(firstRest, 2*r.by[what].rest), longestRest)
	r.by[what] = refused{until: time.Now().Add(rest), rest: rest}
}

// prune makes room: for what may be made again already, else for all.
func (r *refusals) prune() {
	now := time.Now()
	for what, x := range r.by {
		if now.After(x.until) {
			delete(r.by, what)
		}
	}
	if len(r.by) >= maxRefused {
		clear(r.by)
	}
}

func (r *refusals) forget(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.by, what)
}
