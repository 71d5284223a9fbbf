package control

import (
	"maps"
	"sync"

	"github.com/godwit-run/godwit/fsm"
)

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
