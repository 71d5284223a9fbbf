package executor

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestWithdrawnWhileItsOutputWaits: a rank that need not stop any more, and whose output waits for the worker, holds up no command: the worker's word that makes room for the output is behind those.
func TestWithdrawnWhileItsOutputWaits(t *testing.T) {
	a := startApp(t, "../../jepsen/testdata/steady.wasm", []int{0, 0}, 1, "20", "20")
	e := a.hosts[0].exec
	e.mu.Lock()
	r := e.ranks[0]
	r.Freeze, r.precopy = "m", &precopy{hurry: make(chan struct{}, 1)}
	r.stop()
	stops := func() bool { // or its goroutine is another
		buf := make([]byte, 1<<20)
		return strings.Contains(string(buf[:runtime.Stack(buf, true)]), "(*Executor).stopped(")
	}
	require.Eventually(t, stops, testWait, time.Millisecond) // it waits for the lock
	r.Freeze = ""
	r.withdraw()
	r.precopy = nil
	r.out.mu.Lock() // as who shows an unfinished line, and waits for room
	e.mu.Unlock()
	goesOn := assert.Eventually(t, func() bool { return !stops() }, 10*time.Second, time.Millisecond)
	r.out.mu.Unlock()
	require.True(t, goesOn)
	a.finish()
}
