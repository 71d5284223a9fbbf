package executor

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/godwit-run/godwit/internal/pipe"
)

// fenceLookEach is how often an executor looks whether its host's lease is over: as often as its worker does.
const fenceLookEach = 100 * time.Millisecond

// ErrLeaseOver is returned when the host's lease is over and the worker, which may be stopped or hung, has not ended this executor.
var ErrLeaseOver = errors.New("executor: the lease of this host is over")

// fence keeps an executor from acting for a host that has lost its lease. Past the lease's end nothing more is handed to what
// carries it to the worker or to other executors, and the executor ends. What was handed over before may be on its way yet. It is the worker's own rule, by the same clock and the same word: no
// lease, no ranks. What was over once stays over.
type fence struct {
	until  func() time.Duration // when the lease ends, by sinceBoot; 0: none was granted yet
	boot   func() time.Duration // a clock that all processes of the machine share
	uptime func() time.Duration // a clock that needs no call of the kernel; it stands still while the machine is suspended

	sure atomic.Int64 // by uptime: until then the lease lasts for sure
	over atomic.Bool
	shut chan struct{} // capacity 1: over has become true
}

func newFence(until func() time.Duration) *fence {
	made := time.Now()
	return &fence{
		until: until, boot: pipe.SinceBoot, uptime: func() time.Duration { return time.Since(made) }, shut: make(chan struct{}, 1),
	}
}

// passes says whether something may go out now. As long as the lease lasted at the last look it only reads a clock.
func (f *fence) passes() bool {
	if f.over.Load() {
		return false
	}
	return int64(f.uptime()) < f.sure.Load() || f.look()
}

// look says whether the lease lasts. The clocks are read before the word: who is stopped in between sees a later renewal, and
// never takes one that it has slept through for the end.
func (f *fence) look() bool {
	if f.over.Load() {
		return false
	}
	up, now := f.uptime(), f.boot()
	until := f.until()
	switch {
	case until == 0:
		return true
	case now > until:
		if f.over.CompareAndSwap(false, true) {
			f.shut <- struct{}{}
		}
		return false
	}
	f.sure.Store(int64(up + until - now))
	return true
}

// watch returns ErrLeaseOver when the lease is over, or ctx's error: never nil.
func (f *fence) watch(ctx context.Context) error {
	t := time.NewTicker(fenceLookEach)
	defer t.Stop()
	for f.look() {
		select {
		case <-t.C:
		case <-f.shut: // something was about to go out
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return ErrLeaseOver
}

// fenced is a stream to another executor through which nothing goes past the lease's end.
type fenced struct {
	stream
	fence *fence
}

// SendMsg implements stream.
func (s fenced) SendMsg(m any) error {
	if !s.fence.passes() {
		return ErrLeaseOver
	}
	return s.stream.SendMsg(m)
}
