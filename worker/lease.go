package worker

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	leaseLookEach = 100 * time.Millisecond
	// patienceShare is which part of its lease a worker waits for an answer before it looks for another leader.
	patienceShare = 4
)

// lease is the worker's right to run ranks. It is counted from the moment a heartbeat was sent, so that the leader, who
// counts from when it came, always outlasts it.
type lease struct {
	start   time.Time    // base of the fields below
	renewed atomic.Int64 // nanoseconds since start at which the last answered heartbeat was sent
	length  atomic.Int64 // nanoseconds; 0: none was ever granted
}

// renew counts from sent, unless a later heartbeat has been answered already.
func (l *lease) renew(sent time.Time) {
	at := int64(sent.Sub(l.start))
	for {
		old := l.renewed.Load()
		if old >= at || l.renewed.CompareAndSwap(old, at) {
			return
		}
	}
}

func (l *lease) over() bool {
	length := l.length.Load()
	return length > 0 && int64(time.Since(l.start)) > l.renewed.Load()+length
}

// watchLease kills the executors when the lease runs out, and those that start before it is renewed.
func (w *Worker) watchLease(ctx context.Context, l *lease) error {
	t := time.NewTicker(leaseLookEach)
	defer t.Stop()
	told := false
	for {
		select {
		case <-t.C:
			if !l.over() {
				told = false
				continue
			}
			if !told {
				told = true
				w.log.Error("the lease ran out without an answer from a leader: killing all executors")
			}
			w.killAll("the host lost its lease")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
