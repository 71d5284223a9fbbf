package executor

import (
	"context"
	"time"
)

// How long it is waited before a link is dialled again. The waits double, so what they add to an outage is no more than it has lasted,
// and at the most the longest of them.
const (
	redialMin = 10 * time.Millisecond
	redialMax = 5 * time.Second
	// steadyAfter is how long a stream has to last for the next wait to be the first again.
	steadyAfter = 500 * time.Millisecond
)

// redial is the next wait, of those that begin with the first.
type redial struct{ first, wait time.Duration }

// next is how long to wait now; steady says that there was a stream for long enough.
func (r *redial) next(steady bool) time.Duration {
	if steady || r.wait == 0 {
		r.wait = r.first
	}
	now := r.wait
	r.wait = min(2*r.wait, redialMax)
	return now
}

// dialLoop keeps a stream with the link's host until the app has left it, or ctx ends.
func (n *network) dialLoop(ctx context.Context, l *link) {
	again := redial{first: n.redialAfter}
	for ctx.Err() == nil && !n.dropped(l) {
		start, streams := time.Now(), l.streams()
		err := n.dialOnce(ctx, l)
		n.log.Debug("link down", "peer", l.peer, "err", err)
		t := time.NewTimer(again.next(l.streams() != streams && time.Since(start) > steadyAfter))
		select {
		case <-t.C:
		case <-l.news: // another address, or it was left
			again.wait = 0
		case <-ctx.Done():
		}
		t.Stop()
	}
}
