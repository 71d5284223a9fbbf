package control

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/godwit-run/godwit/fsm"
)

// moduleLongest bounds the way of a module to another server: that of the largest one, moving at the floor of an upload.
const moduleLongest = fsm.MaxModuleBytes / incomingFloor * incomingWindow

// errStill is the cause of the end of what has not moved.
var errStill = fmt.Errorf("nothing of the module moved for %s", streamPatience)

// moving returns a context that lasts as long as something moves: its cause is errStill when moved was not called for streamPatience. A slow
// line is no reason to give up. It ends after moduleLongest at the latest, and with end.
func moving(ctx context.Context) (_ context.Context, moved, end func()) {
	ctx, cancel := context.WithTimeout(ctx, moduleLongest)
	ctx, still := context.WithCancelCause(ctx)
	t := time.AfterFunc(streamPatience, func() { still(errStill) })
	return ctx, func() { t.Reset(streamPatience) }, func() { t.Stop(); cancel() }
}

// stillOr is errStill if that has ended what returned err, else err.
func stillOr(ctx context.Context, err error) error {
	if err != nil && context.Cause(ctx) == errStill { //nolint:errorlint // a cause is as it was given
		return errStill
	}
	return err
}

// pulling counts what other servers have said of modules that this one gets from them.
type pulling struct {
	mu    sync.Mutex // guards steps
	steps map[string]int64
}

func (p *pulling) step(digest string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.steps == nil {
		p.steps = map[string]int64{}
	}
	p.steps[digest]++
}

func (p *pulling) got(digest string) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.steps[digest]
}

func (p *pulling) end(digest string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.steps, digest)
}
