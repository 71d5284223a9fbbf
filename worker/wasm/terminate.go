package wasm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/godwit-run/godwit/mpi"
)

// termination is that a program is told that it is to end, as a native one is by SIGTERM: once.
type termination struct {
	once  sync.Once
	why   error // set before asked
	asked atomic.Bool
	told  chan struct{} // closed with asked
	over  bool          // the program was told; for the guest's goroutine
}

// coming is closed when the program is to be told; nil: it was.
func (t *termination) coming() <-chan struct{} {
	if t.over {
		return nil
	}
	return t.told
}

// Terminate tells the program, at its next call (tells) or in its sleep, that it is to end, if it may have a handler of SIGTERM; false: it has none of any signal. If it has no handler of that
// one it ends with err, as by Cancel. A guest that is blocked in Host.Invoke has to be woken by the host: it is told when it goes on. It may be called from any goroutine until Close.
func (g *Guest) Terminate(err error) bool {
	if at := g.module.info.delivers; at == 0 || g.word(at) == 0 {
		return false
	}
	g.terminal.once.Do(func() {
		g.terminal.why = err
		g.terminal.asked.Store(true)
		close(g.terminal.told)
	})
	return true
}

// Interluder is a Host that has a function of the guest run between two of its calls, or before one that was frozen is made again, as if a call of the guest had called it back.
type Interluder interface {
	Interlude(f func() error) error
}

// toldToEnd runs the program's handler of SIGTERM at the beginning of a call, on the guest's goroutine, if it is to be told that it is to end. Where the host has called the guest back it waits for a later call.
func (g *Guest) toldToEnd() {
	if !g.terminal.asked.Load() || g.terminal.over || g.depth > 0 {
		return
	}
	g.terminal.over = true
	handled := uint32(0)
	err := g.outside(func() (err error) {
		tell := func() error {
			handled, err = g.Call(g.word(g.module.info.delivers), uint32(syscall.SIGTERM))
			return err
		}
		if host, ok := g.host.(Interluder); ok {
			return host.Interlude(tell)
		}
		return tell()
	})
	var nested *nestedEnd
	switch {
	case errors.As(err, &nested):
		panic(nested.err) // as if the guest had called the handler itself
	case errors.Is(err, mpi.ErrThrown):
		g.end(fmt.Errorf("%w; its handler of SIGTERM was left by a jump or an exception", g.terminal.why))
	case err != nil:
		g.end(err)
	case handled == 0:
		g.end(g.terminal.why)
	}
}

// tells says whether a program is told at a call of this function of WASI that it is to end. It is not where a C library is in the midst of something that a handler may use, too: a stream that is read or
// written, the one place where wasi-libc puts a path. In a call that waits for standard input it is (readFunc).
func tells(function string) bool {
	return function == "clock_time_get" || function == "sched_yield" || function == "poll_oneoff"
}

func (f wasiFunc) tellingCall(ctx context.Context, g *Guest, stack []uint64) {
	g.toldToEnd()
	f.call(ctx, g, stack)
}
