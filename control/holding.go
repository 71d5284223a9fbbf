package control

import (
	"context"
	"maps"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/godwit-run/godwit/fsm"
)

// holdingTick is how often a server looks for modules at the most: when some have come or gone, and while it lacks some.
const holdingTick = time.Second

// holding knows which of the state's modules this server's store has. A server is to vote only when it has all: else servers
// replaced one by one could take the last copy of a module with them.
type holding struct {
	store *moduleStore

	mu   sync.Mutex          // guards the fields below
	held map[string]struct{} // digests seen in the store, of modules of the last view looked at
	gone map[string]struct{} // removed from the store since lacks has begun

	forgot chan struct{} // has one while something was removed that nobody has looked for
}

func newHolding(s *moduleStore) *holding {
	return &holding{store: s, held: map[string]struct{}{}, forgot: make(chan struct{}, 1)}
}

// missing counts the view's modules that are not known to be held. It reads no disk.
func (h *holding) missing(v *fsm.View) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := int64(0)
	for m := range v.Modules() {
		if _, ok := h.held[m.Digest]; !ok {
			n++
		}
	}
	return n
}

// lacks looks at the store and returns the view's modules that are not in it.
func (h *holding) lacks(v *fsm.View) []string {
	h.mu.Lock()
	held := maps.Clone(h.held) // forget may run meanwhile
	h.gone = map[string]struct{}{}
	h.mu.Unlock()
	now, lacking := make(map[string]struct{}, len(held)), []string(nil)
	for m := range v.Modules() {
		_, ok := held[m.Digest]
		if ok || h.store.has(m.Digest) {
			now[m.Digest] = struct{}{}
			continue
		}
		lacking = append(lacking, m.Digest)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for digest := range h.gone {
		if _, ok := now[digest]; ok {
			delete(now, digest)
			lacking = append(lacking, digest)
		}
	}
	h.held, h.gone = now, nil
	return lacking
}

// forget notes that the store has the module no more.
func (h *holding) forget(digest string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.held, digest)
	if h.gone != nil {
		h.gone[digest] = struct{}{}
	}
	select {
	case h.forgot <- struct{}{}:
	default:
	}
}

// KeepModules brings the modules that the state names, and this server lacks, from the other servers, until ctx is over. It returns
// when no module is on its way between this server and others any more, for whomever.
func (c *Control) KeepModules(ctx context.Context) error {
	defer c.errands.end()
	sub := c.state.Feed().Subscribe(fsm.AnyModule)
	defer sub.Close()
	t := time.NewTicker(holdingTick)
	defer t.Stop()
	for due := true; ; {
		select {
		case <-sub.C():
			due = true
		case <-c.holding.forgot:
			due = true
		case <-t.C:
			if due {
				due = c.holds(ctx) > 0
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// holds brings the modules that this server lacks, as far as they can be had, and says how many it lacks then.
func (c *Control) holds(ctx context.Context) int {
	v := c.state.View()
	lacks := c.holding.lacks(v)
	if len(lacks) == 0 {
		return 0
	}
	c.pullAll(ctx, lacks)
	return len(c.holding.lacks(v))
}

// pullsAtOnce bounds how many modules come at a time: one server that hangs costs the others little.
const pullsAtOnce = 4

func (c *Control) pullAll(ctx context.Context, digests []string) {
	var g errgroup.Group
	g.SetLimit(pullsAtOnce)
	for _, digest := range digests {
		g.Go(func() error {
			if err := c.fetched(ctx, digest); err != nil && ctx.Err() == nil {
				c.slog.Debug("module not found yet", "digest", digest, "err", err)
			}
			return nil
		})
	}
	_ = g.Wait() // the functions return no errors
}
