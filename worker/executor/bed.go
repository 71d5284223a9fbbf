package executor

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/godwit-run/godwit/mpi"
)

// bed is where a rank sleeps until a connection has something, or somebody wakes it. It sleeps in the kernel, which wakes it itself: that takes a quarter of the time
// of a way by the runtime's poller and another goroutine. One rank has room.
type bed struct {
	mu      sync.Mutex // held by who sleeps, or is about to
	asleep  atomic.Bool
	fds     [2]unix.PollFd // the set of connections, and the bell; guarded by mu
	bell    int
	longest time.Duration // how long a rank sleeps at a time: it then looks, and sleeps on; below 0: for ever
	closed  atomic.Bool
	ring    sync.RWMutex // keeps the bell open
}

// longestSleep is bed.longest, but for tests: no ring is missed, and if one were it would be late, not lost.
const longestSleep = time.Second

func (b *bed) make(set int) (err error) {
	b.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	b.fds = [2]unix.PollFd{{Fd: int32(set), Events: unix.POLLIN}, {Fd: int32(b.bell), Events: unix.POLLIN}}
	return err
}

// close wakes who sleeps, and waits until nobody does.
func (b *bed) close() {
	b.closed.Store(true)
	b.wake()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ring.Lock()
	defer b.ring.Unlock()
	_ = unix.Close(b.bell)
	b.bell = -1
}

// sleep returns when there may be something to look for, and reports false at once if another rank sleeps here. next is asked once more before, when wake is sure to be heard.
func (b *bed) sleep(next func(came bool) mpi.Look) bool {
	if !b.mu.TryLock() {
		return false
	}
	defer b.mu.Unlock()
	b.asleep.Store(true)
	defer b.asleep.Store(false)
	if b.closed.Load() || next(false) != mpi.LookLater {
		return !b.closed.Load()
	}
	if n, _ := unix.Poll(b.fds[:], int(b.longest.Milliseconds())); n > 0 && b.fds[1].Revents != 0 {
		var rung [8]byte
		_, _ = unix.Read(b.bell, rung[:])
	}
	return true
}

// wake ends a sleep. It does not block.
func (b *bed) wake() {
	if b.asleep.CompareAndSwap(true, false) {
		b.ring.RLock()
		defer b.ring.RUnlock()
		_, _ = unix.Write(b.bell, one[:])
	}
}

var one = [8]byte{1} //nolint:gochecknoglobals // immutable
