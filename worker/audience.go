package worker

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// errUnread is returned for output that is not stored because nobody reads it, and there is much already.
var errUnread = errors.New("nobody reads the output as it comes")

// comesBack is how long whoever followed an app's output counts as there: a stream that breaks, as when the leader changes, is soon another one.
const comesBack = time.Minute

// audience is who reads the output of an app that runs here as it comes. While there is somebody, what is printed is spilled to the disk, however
// slowly it is read; when there is nobody, it is stored up to a limit.
type audience struct {
	limit int64 // bytes; 0: none

	owned    atomic.Bool // by the command that started the app: it reads all of it, or the app ends
	watching atomic.Int32
	left     atomic.Pointer[time.Time] // when the last of them has gone; nil: none has
}

// enter notes one who follows the output until leave is called.
func (a *audience) enter() (leave func()) {
	a.watching.Add(1)
	return func() {
		now := time.Now()
		a.left.Store(&now)
		a.watching.Add(-1)
	}
}

// misses is why output is not stored of which so much is there; nil: it is.
func (a *audience) misses(bytes int64) error {
	if a.limit == 0 || bytes < a.limit || a.owned.Load() || a.watching.Load() > 0 {
		return nil
	}
	if left := a.left.Load(); left != nil && time.Since(*left) < comesBack {
		return nil
	}
	return fmt.Errorf("%w, and its worker stores %d MiB of an app then, by --log-limit", errUnread, a.limit>>20)
}
