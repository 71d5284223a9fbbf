package control

import (
	"context"
	"sync"

	"connectrpc.com/connect/v2"

	"github.com/godwit-run/godwit/internal/apierr"
)

// tenure holds what requests do as part of one term of leadership: it begins nothing after the term is over, ends with the
// term what has begun, and the term does not count as over before all of that has returned.
type tenure struct {
	over <-chan struct{} // closed when the term ends

	mu     sync.Mutex // guards the fields below
	ended  bool
	inside sync.WaitGroup
}

// enter makes a request part of the term: ctx ends with either. The caller must call leave.
func (t *tenure) enter(ctx context.Context) (_ context.Context, leave func(), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return nil, nil, errNotLeading("")
	}
	t.inside.Add(1)
	ctx, cancel := context.WithCancel(ctx)
	go func() { // ends with ctx
		select {
		case <-t.over:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(); t.inside.Done() }, nil
}

// end refuses whoever comes now, and waits for all who are inside. The channel over is closed by then.
func (t *tenure) end() {
	t.mu.Lock()
	t.ended = true
	t.mu.Unlock()
	t.inside.Wait()
}

// errNotLeading sends a worker to the leader.
func errNotLeading(leader string) error {
	fix := "ask the other servers"
	if leader != "" {
		fix = "ask " + leader
	}
	return apierr.New(connect.CodeFailedPrecondition, apierr.ReasonNotLeader, "", "this server is not the leader", fix)
}
