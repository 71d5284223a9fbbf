package gate

import (
	"container/list"
	"context"
	"net/netip"
	"sync"
)

// Turns gives places to work: few at a time, so that thousands that come at once are not run in turn with what must not wait. Who waits
// stands in the line of its address, and the lines have a place in turn: one long line holds up nobody else's.
type Turns struct {
	mu    sync.Mutex // guards what stands below, and each turn
	free  int
	lines map[netip.Addr]*list.List // of *turn, of addresses where somebody waits
	order *list.List                // those addresses, the next one in front
}

// turn is one that waits.
type turn struct {
	given chan struct{} // closed with its place
	has   bool
}

// NewTurns makes Turns with so many places.
func NewTurns(places int) *Turns {
	return &Turns{free: places, lines: map[netip.Addr]*list.List{}, order: list.New()}
}

// Enter waits for a place, which Leave gives back, or for ctx's end, whose cause it returns then. Who calls it bounds how many wait.
func (t *Turns) Enter(ctx context.Context, from netip.Addr) error {
	t.mu.Lock()
	if t.free > 0 { // nobody waits then
		t.free--
		t.mu.Unlock()
		return nil
	}
	line := t.lines[from]
	if line == nil {
		line = list.New()
		t.lines[from] = line
		t.order.PushBack(from)
	}
	w := &turn{given: make(chan struct{})}
	e := line.PushBack(w)
	t.mu.Unlock()
	select {
	case <-w.given:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.has {
		t.leave()
	} else {
		line.Remove(e) // an empty line goes when its turn comes
	}
	return context.Cause(ctx)
}

// Leave gives a place back. It does not block.
func (t *Turns) Leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leave()
}

// leave hands a place on. Holds mu.
func (t *Turns) leave() {
	for front := t.order.Front(); front != nil; front = t.order.Front() {
		from := t.order.Remove(front).(netip.Addr) //nolint:forcetypeassert // nothing else is in the list
		line := t.lines[from]
		if line.Len() == 0 {
			delete(t.lines, from)
			continue
		}
		w := line.Remove(line.Front()).(*turn) //nolint:forcetypeassert // nothing else is in the list
		if line.Len() == 0 {
			delete(t.lines, from)
		} else {
			t.order.PushBack(from)
		}
		w.has = true
		close(w.given)
		return
	}
	t.free++
}
