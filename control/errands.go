package control

import (
	"context"
	"sync"

	"connectrpc.com/connect/v2"

	"github.com/godwit-run/godwit/internal/apierr"
)

// errands are what a server does for requests that may be over before it is done: modules on their way between servers. They end with the
// server: nothing begins after end, which returns when the last is over.
type errands struct {
	under sync.WaitGroup

	mu   sync.Mutex // nothing begins once over has ended
	over context.Context
	stop context.CancelFunc
}

func newErrands() *errands {
	e := &errands{}
	e.over, e.stop = context.WithCancel(context.Background())
	return e
}

// do does f with a context that ends with ctx, and with the server.
func (e *errands) do(ctx context.Context, f func(context.Context) error) error {
	e.mu.Lock()
	if e.over.Err() != nil {
		e.mu.Unlock()
		return apierr.New(connect.CodeUnavailable, apierr.ReasonNoLeader, "", "this server stops", "ask another")
	}
	e.under.Add(1)
	e.mu.Unlock()
	defer e.under.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.over, cancel)()
	return f(ctx)
}

// end ends all, and waits for it.
func (e *errands) end() {
	e.mu.Lock()
	e.stop()
	e.mu.Unlock()
	e.under.Wait()
}
