package transport

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"connectrpc.com/connect/v2"

	"github.com/godwit-run/godwit/internal/apierr"
)

const (
	// halfBase is what a request takes whose first message is not whole: its goroutine, its headers.
	halfBase = 16 << 10
	// halfGrowth is what a byte of a message takes in a buffer that doubles as it fills.
	halfGrowth = 2
	// Who sends halfFloor in a halfWindow, 10 KiB a second, is not slow.
	halfFloor  = 100 << 10
	halfWindow = 10 * time.Second
)

// halves bounds what messages that have begun and are not whole take of this process's memory, for all callers together, and how long
// one may stand still. Nothing of such a message has reached its handler: whose request is ended may send it again.
type halves struct {
	most     int64
	patience time.Duration

	mu    sync.Mutex // guards what stands below, and each half
	held  int64
	going int64 // of those held: their requests have been told to end
	open  map[*half]struct{}
}

func newHalves(most int64, patience time.Duration) *halves {
	return &halves{most: most, patience: patience, open: map[*half]struct{}{}}
}

// half is the message of a request that is under way.
type half struct {
	all *halves
	end func() // has a read that waits come back; it is called without the lock, and must not block

	cost  int64
	due   time.Time   // it is slow from then on
	moved time.Time   // when its last byte came
	look  *time.Timer // looks when it may have stood still for too long; nil: none was ever under way
	armed bool
	lost  error // why the request must end
	over  bool  // nothing of the request is counted any more
}

// begin is a request whose first message is awaited.
func (a *halves) begin(end func()) *half {
	h := &half{all: a, end: end}
	_ = h.has(0) // whoever reads is told
	return h
}

// has notes that n bytes of the message under way have come, a moment ago, and returns why the request must end, if it must.
func (h *half) has(n int) error {
	a := h.all
	a.mu.Lock()
	if h.over || h.lost != nil {
		defer a.mu.Unlock()
		return h.lost
	}
	now := time.Now()
	cost := int64(halfBase + halfGrowth*n)
	if _, ok := a.open[h]; !ok {
		a.open[h] = struct{}{}
		h.due = now.Add(halfWindow)
		h.arm(a.patience)
	}
	worth := halfWindow * time.Duration(max(0, cost-h.cost)) / (halfGrowth * halfFloor)
	h.moved, h.due = now, earlier(h.due.Add(worth), now.Add(halfWindow))
	a.held += cost - h.cost
	h.cost = cost
	lost := a.shorten(now)
	why := h.lost
	a.mu.Unlock()
	for _, l := range lost {
		l.end()
	}
	return why
}

// whole notes that the message is with its handler: nothing is under way until the next begins.
func (h *half) whole() {
	h.all.mu.Lock()
	defer h.all.mu.Unlock()
	h.all.forget(h)
}

// close ends the account of a request.
func (h *half) close() {
	h.all.mu.Lock()
	defer h.all.mu.Unlock()
	h.all.forget(h)
	h.over = true
	h.look.Stop()
}

// why says why the request must end; nil: it need not.
func (h *half) why() error {
	h.all.mu.Lock()
	defer h.all.mu.Unlock()
	return h.lost
}

// forget takes h out. Holds mu.
func (a *halves) forget(h *half) {
	delete(a.open, h)
	a.held -= h.cost
	if h.lost != nil {
		a.going -= h.cost
	}
	h.cost = 0
}

// shorten has requests end until there is an eighth of room again, if more is held than may be. Those that hold less than half of them do come last;
// of the others, those come first that have held much for long without sending: whoever sends at the floor or faster hardly counts. Holds mu.
func (a *halves) shorten(now time.Time) []*half {
	if a.held-a.going <= a.most {
		return nil
	}
	all := make([]*half, 0, len(a.open))
	for h := range a.open {
		if h.lost == nil {
			all = append(all, h)
		}
	}
	slices.SortFunc(all, func(x, y *half) int { return cmp.Compare(x.cost, y.cost) })
	median := all[len(all)/2].cost
	weight := func(h *half) float64 { return float64(h.cost) * float64(now.Add(halfWindow).Sub(h.due)) }
	slices.SortFunc(all, func(x, y *half) int {
		if small := x.cost < median; small != (y.cost < median) {
			if small {
				return 1
			}
			return -1
		}
		return cmp.Compare(weight(y), weight(x))
	})
	var lost []*half
	for _, h := range all {
		if a.held-a.going <= a.most-a.most/8 {
			break
		}
		a.lose(h, apierr.New(connect.CodeResourceExhausted, apierr.ReasonOverloaded, "",
			"too many requests are half sent, and this one came slowly", "send it again in a moment"))
		lost = append(lost, h)
	}
	return lost
}

// lose has a request end. Holds mu; the caller calls its end afterwards.
func (a *halves) lose(h *half, why error) {
	h.lost = why
	a.going += h.cost
}

// arm has somebody look after d whether h stands still. Holds mu.
func (h *half) arm(d time.Duration) {
	switch {
	case h.look == nil:
		h.look = time.AfterFunc(d, h.lookStalled)
	case !h.armed:
		h.look.Reset(d)
	}
	h.armed = true
}

// lookStalled ends a request whose message has stood still for the patience.
func (h *half) lookStalled() {
	a := h.all
	a.mu.Lock()
	h.armed = false
	if _, ok := a.open[h]; !ok || h.lost != nil {
		a.mu.Unlock()
		return
	}
	if left := a.patience - time.Since(h.moved); left > 0 {
		h.arm(left)
		a.mu.Unlock()
		return
	}
	a.lose(h, apierr.New(connect.CodeUnavailable, apierr.ReasonOverloaded, "",
		fmt.Sprintf("nothing of the request's rest came for %s", a.patience), "send it again"))
	a.mu.Unlock()
	h.end()
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
