package transport

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"connectrpc.com/connect/v2"

	"github.com/godwit-run/godwit/internal/apierr"
)

const (
	// entryBase is what a request takes whose message, or whose answer, is on its way: its goroutine, its headers.
	entryBase = 16 << 10
	// halfGrowth is what a byte of a message takes in a buffer that doubles as it fills.
	halfGrowth = 2
	// Who moves 10 KiB a second is not slow.
	floorBytes = 100 << 10
	floorTime  = 10 * time.Second
	// halfGrace is how far behind them a request may be and is not slow: one on its way does not go before those that wait for their turn.
	halfGrace = time.Second
)

// account bounds what messages on their way take of this process's memory, for all callers together, and how long one may stand still.
// There is one of requests, whose messages have begun and are not whole, or wait for their turn, and one of answers that are being written.
// Whose message is ended may try again: of such a request nothing has reached its handler.
type account struct {
	most       int64
	patience   time.Duration
	grace      time.Duration // who is not further behind is not slow
	full, idle string        // what is said to whom it ends, when there is no room, or when its message stands still

	mu    sync.Mutex // guards what stands below, and each entry
	held  int64
	going int64 // of those held: they have been told to end
	begun int   // messages, ever
	open  map[*entry]struct{}
}

func newHalves(most int64, patience time.Duration) *account {
	return newAccount(most, patience, halfGrace, "too many requests are on their way, and this one does not get on", "the request did not get on")
}

func newUnreads(most int64, patience time.Duration) *account {
	return newAccount(most, patience, 0, "too many answers are not taken, and this one was taken slowly", "nothing of the answer's rest was taken")
}

func newAccount(most int64, patience, grace time.Duration, full, idle string) *account {
	return &account{most: most, patience: patience, grace: grace, full: full, idle: fmt.Sprintf("%s for %s", idle, patience), open: map[*entry]struct{}{}}
}

// entry is what a request has on its way, or what its answer has: one message at a time.
type entry struct {
	all  *account
	from netip.Addr // of its caller
	end  func()     // has a read or write that waits come back; it is called without the lock, and must not block

	cost  int64
	nth   int         // of all messages, in the order in which they began
	ahead int         // of those that its caller's address has: they began before it; of use in shorten alone
	queue bool        // it is whole, and waits for its turn: it is not slow, however long that takes
	since time.Time   // it is behind who moves at the floor since then
	moved time.Time   // when its last byte moved
	look  *time.Timer // looks when it may have stood still for too long; nil: none was ever under way
	lost  error       // why it must end
	over  bool        // nothing of it is counted any more
}

// begin is a request whose message is on its way, or an answer's.
func (a *account) begin(from netip.Addr, end func()) *entry {
	e := &entry{all: a, from: from, end: end}
	_ = e.has(0, 0) // whoever reads or writes is told
	return e
}

// has notes that the message on its way takes held bytes now, moved more of it having come or gone, and returns why it must end, if it must.
func (e *entry) has(held int64, moved int) error {
	a := e.all
	a.mu.Lock()
	if e.over || e.lost != nil {
		defer a.mu.Unlock()
		return e.lost
	}
	now := time.Now()
	if _, ok := a.open[e]; !ok {
		a.open[e] = struct{}{}
		a.begun++
		e.nth, e.since, e.moved = a.begun, now, now
		if e.look == nil {
			e.look = time.AfterFunc(a.patience, e.lookStalled)
		} else {
			e.look.Reset(a.patience)
		}
	}
	if moved > 0 {
		e.moved = now
		if e.since = e.since.Add(floorTime * time.Duration(moved) / floorBytes); e.since.After(now) {
			e.since = now
		}
	}
	cost := entryBase + held
	a.held += cost - e.cost
	e.cost = cost
	lost := a.shorten(now)
	why := e.lost
	a.mu.Unlock()
	for _, l := range lost {
		l.end()
	}
	return why
}

// waits notes that the message is whole and waits for its turn. That ends with it.
func (e *entry) waits() {
	e.all.mu.Lock()
	defer e.all.mu.Unlock()
	e.queue = true
}

// arrived is whole for who goes on only if the message need not end: then it returns nil, and nothing has it end any more.
func (e *entry) arrived() error {
	e.all.mu.Lock()
	defer e.all.mu.Unlock()
	e.forget()
	return e.lost
}

// whole notes that the message has arrived: nothing is on its way until the next begins.
func (e *entry) whole() { _ = e.arrived() }

// close ends the account of a request, or of an answer.
func (e *entry) close() {
	e.all.mu.Lock()
	defer e.all.mu.Unlock()
	e.forget()
	e.over = true
}

// why says why the message must end; nil: it need not.
func (e *entry) why() error {
	e.all.mu.Lock()
	defer e.all.mu.Unlock()
	return e.lost
}

// forget takes e out. Holds mu.
func (e *entry) forget() {
	delete(e.all.open, e)
	e.look.Stop()
	e.all.held -= e.cost
	if e.lost != nil {
		e.all.going -= e.cost
	}
	e.cost, e.queue = 0, false
}

// slow is the weight of what moves slowly: how much it holds, for how long. That of others is 0.
func (e *entry) slow(now time.Time) float64 {
	behind := now.Sub(e.since)
	if e.queue || behind < e.all.grace {
		return 0
	}
	return float64(e.cost) * float64(behind)
}

// shorten has messages end until there is an eighth of room again, if more is held than may be. Those that hold less than half of them do come
// last. Of the others, the slow ones come first, which have held much for long without moving; then those that came last, of the addresses
// that have the most: who comes when all is full is turned away, and who waits for its turn gets there. Holds mu.
func (a *account) shorten(now time.Time) []*entry {
	if a.held-a.going <= a.most {
		return nil
	}
	all := make([]*entry, 0, len(a.open))
	for e := range a.open {
		if e.lost == nil {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(x, y *entry) int { return cmp.Compare(x.nth, y.nth) })
	of := map[netip.Addr]int{}
	for _, e := range all {
		e.ahead = of[e.from]
		of[e.from]++
	}
	slices.SortFunc(all, func(x, y *entry) int { return cmp.Compare(x.cost, y.cost) })
	median := all[len(all)/2].cost
	small := func(e *entry) int {
		if e.cost < median {
			return 1
		}
		return 0
	}
	slices.SortFunc(all, func(x, y *entry) int {
		return cmp.Or(cmp.Compare(small(x), small(y)), cmp.Compare(y.slow(now), x.slow(now)), cmp.Compare(y.ahead, x.ahead), cmp.Compare(y.nth, x.nth))
	})
	var lost []*entry
	for _, e := range all {
		if a.held-a.going <= a.most-a.most/8 {
			break
		}
		a.lose(e, connect.CodeResourceExhausted, a.full)
		lost = append(lost, e)
	}
	return lost
}

// lose has a message end. Holds mu; the caller calls its end afterwards.
func (a *account) lose(e *entry, code connect.Code, wrong string) {
	e.lost = apierr.New(code, apierr.ReasonOverloaded, "", wrong, "try it again in a moment")
	a.going += e.cost
}

// lookStalled ends a message that has stood still for the patience. One that waits for its turn does not: it waits as long as its caller.
func (e *entry) lookStalled() {
	a := e.all
	a.mu.Lock()
	_, ok := a.open[e]
	still := ok && e.lost == nil && !e.queue
	if left := a.patience - time.Since(e.moved); still && left > 0 {
		e.look.Reset(left)
		still = false
	}
	if still {
		a.lose(e, connect.CodeUnavailable, a.idle)
	}
	a.mu.Unlock()
	if still {
		e.end()
	}
}
