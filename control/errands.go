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

	mu    sync.Mutex // guards the fields below, and that nothing begins once over is set
	over  bool
	doing map[*context.CancelFunc]struct{}
}

// do does f with a context that ends with ctx, and with the server.
func (e *errands) do(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e.mu.Lock()
	if e.over {
		e.mu.Unlock()
		return apierr.New(connect.CodeUnavailable, apierr.ReasonNoLeader, "", "this server stops", "ask another")
	}
	if e.doing == nil {
		e.doing = map[*context.CancelFunc]struct{}{}
	}
	e.doing[&cancel] = struct{}{}
	e.under.Add(1)
	e.mu.Unlock()
	defer e.under.Done()
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.doing, &cancel)
	}()
	return f(ctx)
}

// end ends all, and waits for it.
func (e *errands) end() {
	e.mu.Lock()
	e.over = true
	for cancel := range e.doing {
		(*cancel)()
	}
	e.mu.Unlock()
	e.under.Wait()
}
