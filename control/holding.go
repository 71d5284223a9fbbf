package control

import (
	"iter"
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
	for digest := range held(v) {
		if _, ok := h.held[digest]; !ok {
			n++
		}
	}
	return n
}

// held are the digests of what a state has the servers hold: its modules, and the blobs of files. One may come more than once.
func held(v *fsm.View) iter.Seq[string] {
	return func(yield func(string) bool) {
		for m := range v.Modules() {
			if !yield(m.Digest) {
				return
			}
		}
		for digest := range v.Blobs() {
			if !yield(digest) {
				return
			}
		}
	}
}

// holds says of digests whether a state has the servers hold them.
func holds(v *fsm.View) func(digest string) bool {
	var blobs map[string]bool
	return func(digest string) bool {
		if _, ok := v.Module(fsm.Digest(digest)); ok {
			return true
		}
		if blobs == nil {
			blobs = map[string]bool{}
			for b := range v.Blobs() {
				blobs[b] = true
			}
		}
		return blobs[digest]
	}
}

// lacks looks at the store and returns the view's modules that are not in it.
func (h *holding) lacks(v *fsm.View) []string {
	h.mu.Lock()
	had := maps.Clone(h.held) // forget may run meanwhile
	h.gone = map[string]struct{}{}
	h.mu.Unlock()
	now, lacking, seen := make(map[string]struct{}, len(had)), []string(nil), map[string]bool{}
	for digest := range held(v) {
		if seen[digest] {
			continue
		}
		seen[digest] = true
		_, ok := had[digest]
		if ok || h.store.has(digest) {
			now[digest] = struct{}{}
			continue
		}
		lacking = append(lacking, digest)
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
