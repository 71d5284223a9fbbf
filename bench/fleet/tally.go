package fleet

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// tally is what the executors have seen of the apps: nothing of it is the servers' word.
type tally struct {
	mu    sync.Mutex // guards the fields below
	apps  map[string]*life
	moves int
}

// life is one app's.
type life struct {
	begins, ends map[int32]int // of each rank, how often
	lost         int           // ranks that ran when their executor was ended
	running      time.Time     // when the last of its ranks began
}

func newTally() *tally { return &tally{apps: map[string]*life{}} }

// of is an app's life. Holds mu.
func (t *tally) of(app string) *life {
	l := t.apps[app]
	if l == nil {
		l = &life{begins: map[int32]int{}, ends: map[int32]int{}}
		t.apps[app] = l
	}
	return l
}

func (t *tally) began(app string, ranks []int32, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.of(app)
	for _, r := range ranks {
		l.begins[r]++
	}
	l.running = now
}

func (t *tally) ended(app string, rank int32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of(app).ends[rank]++
}

func (t *tally) lost(app string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of(app).lost++
}

func (t *tally) moved() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.moves++
}

// moved ranks so far.
func (t *tally) movedRanks() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.moves
}

// runs says since when all ranks of an app have run; false: some have not begun.
func (t *tally) runs(app string, size int) (time.Time, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.apps[app]
	if l == nil || len(l.begins) < size {
		return time.Time{}, false
	}
	return l.running, true
}

// over says whether all ranks of an app have ended.
func (t *tally) over(app string, size int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.apps[app]
	return l != nil && len(l.ends) == size
}

// check says what is wrong with an app of so many ranks that is over: each must have begun once, and ended once.
func (t *tally) check(app string, size int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.apps[app]
	switch {
	case l == nil:
		return fmt.Errorf("app %s was accepted and began on no host", app)
	case l.lost > 0:
		return fmt.Errorf("app %s: executors were ended with %d of its ranks", app, l.lost)
	}
	for r := range int32(size) {
		if l.begins[r] != 1 || l.ends[r] != 1 {
			return fmt.Errorf("app %s: rank %d began %d times and ended %d times", app, r, l.begins[r], l.ends[r])
		}
	}
	if len(l.begins) != size || len(l.ends) != size {
		return fmt.Errorf("app %s has %d ranks, and %d have begun, %d ended", app, size, len(l.begins), len(l.ends))
	}
	return nil
}

// known are the apps of which anything was seen.
func (t *tally) known() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var ids []string
	for id := range t.apps {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
