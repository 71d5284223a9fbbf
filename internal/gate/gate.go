// Package gate bounds how many streams are served at a time, so that clients who send or take nothing, or next to nothing, cannot
// keep all the places. It judges a stream and nothing else: whoever has lost a place may come again.
package gate

import (
	"container/list"
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"
)

var (
	// ErrFull is returned when no place is free and as many wait as may.
	ErrFull = errors.New("no place is free")
	// ErrSlow is the cause of a place's loss to another who waited: the stream moved less than the floor.
	ErrSlow = errors.New("the stream moved too slowly while others waited for its place")
	// ErrStalled is the cause of a place's loss whoever waits: the stream has not moved at all for the patience.
	ErrStalled = errors.New("the stream has not moved")
)

// Config says what a gate lets through.
type Config struct {
	// Places bounds the streams inside, Waiting those that wait for a place. Who comes when Waiting is 0 is let in if a place is free
	// or somebody loses one.
	Places, Waiting int
	// Share bounds those inside and those that wait of one address; 0: nothing does. Its own slow ones make room for more of it.
	Share int
	// A stream that moves less than Floor in a Window, in whatever Moved counts, loses its place to one that waits. Each begins with a
	// window, and never has more than one before it.
	Floor  int
	Window time.Duration
	// Patience is how long a stream may stand still though nobody waits.
	Patience time.Duration
}

// Gate gives places to streams, to those that wait in the order in which they came.
type Gate struct {
	cfg Config

	mu     sync.Mutex // guards what stands below, and the places
	inside map[*Place]struct{}
	of     map[netip.Addr]int // places of each address, given or waited for, that are not lost
	losing int                // of those inside: told to go, and not gone yet
	queue  list.List          // of *waiter
	alarm  *time.Timer        // while somebody waits: looks when the next place may be lost
}

// waiter is one that waits.
type waiter struct {
	place *Place // that it will have
	got   chan struct{}
}

// Place is a stream's place inside.
type Place struct {
	gate *Gate
	from netip.Addr
	held bool // it is counted among those of its address
	end  context.CancelCauseFunc

	due     time.Time   // the stream is slow from then on
	moved   time.Time   // when it last moved
	stalled *time.Timer // looks when it may have stood still for too long
	work    time.Time   // since when the stream waits for us; zero: we wait for it
	lost    bool
}

// New makes a gate.
func New(cfg Config) *Gate {
	return &Gate{cfg: cfg, inside: map[*Place]struct{}{}, of: map[netip.Addr]int{}}
}

// Enter gives the caller a place, for which it waits if it may. The context returned ends with ctx, and when the place is lost,
// its cause is ErrSlow or ErrStalled then; the caller must soon call Leave. Enter returns ErrFull, or the error of ctx.
func (g *Gate) Enter(ctx context.Context) (context.Context, *Place, error) {
	return g.enter(ctx, netip.Addr{}, 0, nil)
}

// EnterFrom is Enter for a caller at an address, which has its share and no more.
func (g *Gate) EnterFrom(ctx context.Context, from netip.Addr) (context.Context, *Place, error) {
	return g.enter(ctx, from, 0, nil)
}

// EnterTold is Enter for a caller who hears each time that it has waited for so long: tell is called then, with the context that Enter would
// return. Its error ends the wait.
func (g *Gate) EnterTold(ctx context.Context, each time.Duration, tell func(context.Context) error) (context.Context, *Place, error) {
	return g.enter(ctx, netip.Addr{}, each, tell)
}

func (g *Gate) enter(ctx context.Context, from netip.Addr, each time.Duration, tell func(context.Context) error) (context.Context, *Place, error) {
	inside, end := context.WithCancelCause(ctx)
	p := &Place{gate: g, end: end, from: from}
	g.mu.Lock()
	if !g.count(p) {
		g.mu.Unlock()
		end(nil)
		return nil, nil, ErrFull
	}
	if len(g.inside) < g.cfg.Places && g.queue.Len() == 0 {
		g.seat(p)
		g.mu.Unlock()
		return inside, p, nil
	}
	g.look(1)
	if g.queue.Len() >= g.cfg.Waiting+g.losing {
		p.uncount()
		g.mu.Unlock()
		end(nil)
		return nil, nil, ErrFull
	}
	w := &waiter{place: p, got: make(chan struct{})}
	e := g.queue.PushBack(w)
	g.arm()
	g.mu.Unlock()
	err := w.wait(ctx, each, func() error { return tell(inside) })
	if err == nil {
		return inside, p, nil
	}
	g.mu.Lock()
	g.queue.Remove(e) // nothing, if it has just been given its place
	g.mu.Unlock()
	p.Leave()
	return nil, nil, err
}

// wait returns when the place is given, or ctx ends. Meanwhile it tells each time that so long has gone by; 0: it does not.
func (w *waiter) wait(ctx context.Context, each time.Duration, tell func() error) error {
	var tick <-chan time.Time
	if each > 0 {
		t := time.NewTicker(each)
		defer t.Stop()
		tick = t.C
	}
	for {
		select {
		case <-w.got:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-tick:
			if err := tell(); err != nil {
				return err
			}
		}
	}
}

// count counts a place among those of its address, if that may have one more. Holds mu.
func (g *Gate) count(p *Place) bool {
	if g.cfg.Share == 0 || !p.from.IsValid() {
		return true
	}
	if g.of[p.from] >= g.cfg.Share {
		slow := g.slowest(p.from)
		if slow == nil || time.Now().Before(slow.due) {
			return false
		}
		g.lose(slow, ErrSlow)
	}
	g.of[p.from]++
	p.held = true
	return true
}

// uncount takes back count. Holds mu.
func (p *Place) uncount() {
	if !p.held {
		return
	}
	p.held = false
	if p.gate.of[p.from]--; p.gate.of[p.from] == 0 {
		delete(p.gate.of, p.from)
	}
}

// seat puts a place inside. Holds mu.
func (g *Gate) seat(p *Place) {
	now := time.Now()
	p.due, p.moved = now.Add(g.cfg.Window), now
	p.stalled = time.AfterFunc(g.cfg.Patience, p.lookStalled)
	g.inside[p] = struct{}{}
}

// look has as many places lost as are waited for by those in the queue and by more others: of the slow ones, the slowest first.
// Holds mu.
func (g *Gate) look(more int) {
	now := time.Now()
	for g.losing < g.queue.Len()+more {
		p := g.slowest(netip.Addr{})
		if p == nil || now.Before(p.due) {
			return
		}
		g.lose(p, ErrSlow)
	}
}

// slowest is the place that is due first, of an address or, with none, of all; nil: none is. Holds mu.
func (g *Gate) slowest(of netip.Addr) (first *Place) {
	for p := range g.inside {
		if of.IsValid() && p.from != of {
			continue
		}
		if !p.lost && p.work.IsZero() && (first == nil || p.due.Before(first.due)) {
			first = p
		}
	}
	return first
}

// lose tells a place to go. Holds mu.
func (g *Gate) lose(p *Place, why error) {
	p.lost = true
	p.uncount()
	g.losing++
	p.end(why)
}

// arm has somebody look again when the next place may be lost to those who wait. Holds mu.
func (g *Gate) arm() {
	if g.losing >= g.queue.Len() {
		return // Leave arms it again
	}
	p := g.slowest(netip.Addr{})
	if p == nil {
		return // whoever ends its work arms it again
	}
	if g.alarm == nil {
		g.alarm = time.AfterFunc(time.Until(p.due), g.ring)
		return
	}
	g.alarm.Reset(time.Until(p.due))
}

func (g *Gate) ring() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.look(0)
	g.arm()
}

// Moved notes that the stream has moved, by n of what the floor counts.
func (p *Place) Moved(n int) {
	if n <= 0 {
		return
	}
	g := p.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if p.due.Before(now) {
		p.due = now
	}
	worth := g.cfg.Window
	if n < g.cfg.Floor {
		worth = g.cfg.Window * time.Duration(n) / time.Duration(g.cfg.Floor)
	}
	p.moved, p.due = now, earlier(p.due.Add(worth), now.Add(g.cfg.Window))
}

// Work runs f, during which the stream waits for this process: that time counts against nobody.
func (p *Place) Work(f func() error) error {
	g := p.gate
	g.mu.Lock()
	p.work = time.Now()
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		now := time.Now()
		p.due = earlier(p.due.Add(now.Sub(p.work)), now.Add(g.cfg.Window))
		p.moved, p.work = now, time.Time{}
		if g.queue.Len() > 0 {
			g.arm()
		}
	}()
	return f()
}

// Leave gives the place to who waits longest. It may be called again.
func (p *Place) Leave() {
	g := p.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	p.end(nil)
	p.uncount()
	if _, ok := g.inside[p]; !ok {
		return
	}
	p.stalled.Stop()
	delete(g.inside, p)
	if p.lost {
		g.losing--
	}
	if e := g.queue.Front(); e != nil {
		w, _ := g.queue.Remove(e).(*waiter) // nothing else is in it
		g.seat(w.place)
		close(w.got)
	}
	g.arm()
}

// lookStalled ends a stream that has not moved for the patience.
func (p *Place) lookStalled() {
	g := p.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, ok := g.inside[p]; !ok || p.lost {
		return
	}
	left := g.cfg.Patience
	if p.work.IsZero() {
		left -= time.Since(p.moved)
	}
	if left <= 0 {
		g.lose(p, ErrStalled)
		return
	}
	p.stalled.Reset(left)
}

// Inside is how many streams have a place.
func (g *Gate) Inside() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.inside)
}

// Waiting is how many wait for a place.
func (g *Gate) Waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.queue.Len()
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
