package executor

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Garbage collection in an executor. Machine code made by wazero cannot be preempted, so a collection that starts while
// a guest computes stops every other rank until that guest makes a call. Collections by growth are therefore off, and
// one is made by hand while no guest is inside machine code; the memory limit is the safety net.
const (
	heapLimitBytes     = 512 << 20 // and for each thread that may run a rank:
	heapLimitPerThread = 64 << 20
	collectGrowth      = 64 << 20
	collectLookEvery   = 100 * time.Millisecond
	collectTryEvery    = 2 * time.Millisecond // while one is due and a guest computes
)

// activity tells whether guests are inside machine code, and can keep them out for a moment.
type activity interface {
	// TryExclusive runs f while all guests are kept out of machine code, or returns false if one is inside.
	TryExclusive(f func()) bool
}

// collector runs the garbage collector while no guest computes.
type collector struct {
	guests activity
}

// tuning is what the runtime's own collector is set to in this process.
type tuning struct {
	limit int64  // 0: nothing was set
	stops uint64 // how often that has stopped the world
}

// set sets it, if it is not yet: each setting stops the world, which wakes every thread, and costs as much as a short app.
func (t *tuning) set() {
	limit := int64(heapLimitBytes + heapLimitPerThread*runtime.GOMAXPROCS(0))
	if t.limit == limit {
		return
	}
	if t.limit == 0 {
		debug.SetGCPercent(-1)
		t.stops++
	}
	debug.SetMemoryLimit(limit)
	t.limit, t.stops = limit, t.stops+1
}

func (c *collector) run(ctx context.Context) error {
	t := time.NewTicker(collectLookEvery)
	defer t.Stop()
	live := heapBytes()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		switch {
		case heapBytes() < live+collectGrowth:
		case c.guests.TryExclusive(runtime.GC):
			live = heapBytes()
			t.Reset(collectLookEvery)
		default:
			t.Reset(collectTryEvery)
		}
	}
}

// heapBytes is the size of live and dead objects; reading it does not stop the world.
func heapBytes() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
