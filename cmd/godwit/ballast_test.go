package main

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// allocated keeps the compiler from leaving an allocation out.
var allocated []byte

// collections is how often the collector begins while so many bytes are allocated, and none is kept.
func collections(bytes int) uint32 {
	const each = 64 << 10
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range bytes / each {
		allocated = make([]byte, each)
	}
	runtime.ReadMemStats(&after)
	return after.NumGC - before.NumGC
}

func TestBallastHasASmallHeapCollectedSeldom(t *testing.T) {
	const garbage = 4 * ballastBytes
	without := collections(garbage)
	drop := ballast()
	with := collections(garbage)
	drop()
	require.LessOrEqual(t, with, uint32(garbage/ballastBytes), "it was collected before the heap had doubled")
	require.Less(t, 2*with, without)
	runtime.GC()
	require.Greater(t, collections(garbage), with, "it is gone when it was dropped")
}
