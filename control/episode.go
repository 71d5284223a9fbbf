package control

import (
	"sync"
	"time"
)

const (
	// firstReminder is the pause after which a trouble that lasts is said again. Each further pause is twice as long, up to longestReminder.
	firstReminder   = 10 * time.Second
	longestReminder = 10 * time.Minute
	// episodeGap is how long all must be well before a trouble counts as a new one: one that comes and goes writes no more than one that lasts.
	episodeGap = time.Minute
)

// episode says of a trouble that is found again and again when it is worth a line: when it begins, then after growing pauses, and when
// it is over. The zero value is ready.
type episode struct {
	mu    sync.Mutex // guards the fields below
	lasts bool
	said  bool // since it began last
	began time.Time
	ended time.Time
	next  time.Time // nothing is said before
	pause time.Duration
}

// found notes the trouble, and says whether to say so, and for how long it has lasted.
func (e *episode) found(now time.Time) (lasted time.Duration, say bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.lasts {
		if now.Sub(e.ended) > episodeGap {
			e.next, e.pause = now, firstReminder
		}
		e.lasts, e.said, e.began = true, false, now
	}
	if now.Before(e.next) {
		return 0, false
	}
	e.next, e.pause = now.Add(e.pause), min(2*e.pause, longestReminder)
	e.said = true
	return now.Sub(e.began), true
}

// well notes that there is no trouble, and says whether to say so, and for how long there was one.
func (e *episode) well(now time.Time) (lasted time.Duration, say bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.lasts {
		return 0, false
	}
	e.lasts, e.ended = false, now
	return now.Sub(e.began), e.said
}
