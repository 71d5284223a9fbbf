package worker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/godwit-run/godwit/internal/pipe"
)

const (
	leaseLookEach = 100 * time.Millisecond
	// patienceShare is which part of its lease a worker waits for an answer before it looks for another leader.
	patienceShare = 4
)

// moment is a time since the machine's start. Unlike Go's clock it goes on while the machine is suspended: the leader's does too.
type moment time.Duration

func sinceBoot() moment { return moment(pipe.SinceBoot()) }

// lease is the worker's right to run ranks. It is counted from the moment a heartbeat was sent, so that the leader, who
// counts from when it came, always outlasts it. Sessions extend it; the watch only asks whether it is over. It stays over until
// it is extended. The executors are told of its end as it moves: they end themselves if the worker cannot.
type lease struct {
	now  func() moment
	tell func(until time.Duration) // does not block

	mu      sync.Mutex // guards what is below
	length  time.Duration
	renewed moment // when the last answered heartbeat was sent
	granted bool   // whether it was ever granted: before, there is nothing to lose
}

func newLease(now func() moment, tell func(until time.Duration)) *lease {
	return &lease{now: now, tell: tell}
}

// grant starts the lease, or gives it another length, as a leader said in its answer to what was sent then.
func (l *lease) grant(sent moment, length time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.granted, l.length, l.renewed = true, length, max(l.renewed, sent)
	l.tell(time.Duration(l.end()))
}

// renew counts from sent, unless a later heartbeat has been answered already.
func (l *lease) renew(sent moment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.renewed = max(l.renewed, sent); l.granted {
		l.tell(time.Duration(l.end()))
	}
}

// end is the last moment of the lease. Holds mu.
func (l *lease) end() moment { return l.renewed + moment(l.length) }

func (l *lease) over() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.granted && l.now() > l.end()
}

// silent is how long no heartbeat has been answered, in whole seconds.
func (l *lease) silent() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Duration(l.now() - l.renewed).Truncate(time.Second)
}

// unanswered is how long no heartbeat has been answered, and how long the lease is; 0 before the first.
func (l *lease) unanswered() (silent, length time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Duration(l.now() - l.renewed), l.length
}

// watchLease kills the executors when the lease runs out, and those that start before it is renewed.
func (w *Worker) watchLease(ctx context.Context, l *lease) error {
	t := time.NewTicker(leaseLookEach)
	defer t.Stop()
	told := false
	for {
		select {
		case <-t.C:
			told = w.enforce(l, told)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// slowHint is what an operator can do where that comes of slowness and not of servers that are gone.
const slowHint = "where machines are slow, godwit server --raft-multiplier gives servers more time to agree; --lease, of a new cluster, outlasts longer pauses"

// enforce kills the executors if the lease is over. It returns whether it is; told is what it returned before.
func (w *Worker) enforce(l *lease, told bool) bool {
	if !l.over() {
		return false
	}
	if !told {
		w.log.Error("the lease ran out without an answer from a leader: killing all executors", "silent", l.silent(), "hint", slowHint)
	}
	w.mu.Lock()
	for c := range w.children {
		c.leaseOver.Store(true)
	}
	w.mu.Unlock()
	w.spawner.clear()
	w.killAll(fmt.Sprintf("no server that leads answered for %v: the host lost its lease", l.silent()))
	return true
}
