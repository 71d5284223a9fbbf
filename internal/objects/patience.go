package objects

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// mostHanging bounds the calls to one directory that were given up and have not returned: each holds a thread of this process.
const mostHanging = 16

// hanging are these calls, by directory, of the whole process.
//
//nolint:gochecknoglobals // so are its threads
var hanging = struct {
	mu sync.Mutex
	n  map[string]int
}{n: map[string]int{}}

// within does what may hang in the kernel, as calls to a file system do whose server is gone, for which there is neither a deadline nor an end. It is given up when ctx
// ends, or when do has not called alive for long: it goes on then, or stands, in its goroutine, with a context that has ended, and what it
// finds counts no more. So do shares nothing with the caller but what it is left with, and calls progress, or what else is the caller's, within alive only.
func (d directory) within(ctx context.Context, do func(ctx context.Context, alive func(tell func())) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	hanging.mu.Lock()
	n := hanging.n[d.dir]
	hanging.mu.Unlock()
	if n >= mostHanging {
		return fmt.Errorf("%s: %d calls hang: %w", d.dir, n, errSilent)
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	silent := time.NewTimer(d.silence)
	defer silent.Stop()
	var mu sync.Mutex // guards over, and tell against it
	over := false
	alive := func(tell func()) {
		mu.Lock()
		defer mu.Unlock()
		if !over {
			silent.Reset(d.silence)
			tell()
		}
	}
	done := make(chan error, 1)
	returned := false // guarded by hanging.mu, as is left
	left := false
	go func() { // until it returns, which nobody can bring about
		err := do(inner, alive)
		hanging.mu.Lock()
		returned = true
		if left {
			if hanging.n[d.dir]--; hanging.n[d.dir] == 0 {
				delete(hanging.n, d.dir)
			}
		}
		hanging.mu.Unlock()
		done <- err
	}()
	var why error
	select {
	case err := <-done:
		return err
	case <-silent.C:
		why = fmt.Errorf("%s: %w", d.dir, errSilent)
	case <-ctx.Done():
		why = ctx.Err()
	}
	mu.Lock()
	over = true
	mu.Unlock()
	hanging.mu.Lock()
	defer hanging.mu.Unlock()
	if !returned {
		left = true
		hanging.n[d.dir]++
	}
	return why
}
