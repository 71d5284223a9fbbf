package transport

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/godwit-run/godwit/internal/gate"
)

// writer is a request's way to bound its writes. net/http does not look at a context while a write waits for a client that does
// not read, and gives such a client all the time there is. It bounds what is read, too.
type writer struct {
	mu     sync.Mutex               // guards done, broken and inside
	ctl    *http.ResponseController // may not be used once done
	done   bool
	broken bool // writes fail from now on
	inside bool // the request has a turn

	read atomic.Pointer[func(n int)] // told of what comes; nil: nobody is
	body *body                       // nil: the request has none

	turns *gate.Turns
	from  netip.Addr
}

type writerKey struct{}

// withWriter gives every request a writer, and has its messages counted. open bounds the requests that are being answered: one that waits
// for something has its headers and goroutines all the while. turns are had by those that are worked on.
func withWriter(h http.Handler, all, answers *account, open *gate.Shares, turns *gate.Turns) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at, _ := netip.ParseAddrPort(r.RemoteAddr) // who has no such address counts as one
		from := at.Addr().Unmap()
		if !open.Open(from, 1) {
			http.Error(w, "too many requests are being answered: try it again in a moment", http.StatusServiceUnavailable)
			return
		}
		defer open.Close(from, 1)
		wr := &writer{ctl: http.NewResponseController(w), turns: turns, from: from}
		defer wr.leave() // once nothing can enter any more
		answer := &counted{ResponseWriter: w, wr: wr, all: answers, passes: r.ProtoMajor == 1}
		r = r.WithContext(context.WithValue(r.Context(), writerKey{}, wr))
		defer func() {
			answer.close(r)
			wr.mu.Lock()
			wr.done = true
			wr.mu.Unlock()
		}()
		if r.ContentLength != 0 && r.Body != nil {
			ctx, cancel := context.WithCancel(r.Context())
			half := all.begin(from, func() { wr.breakRead(); cancel() })
			defer cancel()
			defer half.close()
			wr.body = newBody(r, &wr.read, half)
			wr.body.enter, wr.body.leave = func() error { return wr.enter(ctx) }, wr.leave
			r.Body = wr.body
		}
		h.ServeHTTP(answer, r)
	})
}

// enter waits for the request's turn. The body may be read by who outlives the handler: a request that is over has none any more.
func (wr *writer) enter(ctx context.Context) error {
	if err := wr.turns.Enter(ctx, wr.from); err != nil {
		return err
	}
	wr.mu.Lock()
	defer wr.mu.Unlock()
	if wr.done || wr.inside {
		wr.turns.Leave()
	}
	if wr.done {
		return errOver
	}
	wr.inside = true
	return nil
}

var errOver = errors.New("the request is over")

// leave ends the request's turn, if it has one, and says whether it had.
func (wr *writer) leave() bool {
	wr.mu.Lock()
	defer wr.mu.Unlock()
	had := wr.inside
	if wr.inside = false; had {
		wr.turns.Leave()
	}
	return had
}

// Yield ends the turn of the request that ctx belongs to, if it has one: what follows waits more than it works. It does not block.
func Yield(ctx context.Context) {
	if wr, ok := ctx.Value(writerKey{}).(*writer); ok {
		wr.leave()
	}
}

// Wait calls f, which waits, without the turn of the request that ctx belongs to, and waits until that has one again, if it had. It returns
// f's error, or that of ctx.
func Wait(ctx context.Context, f func() error) error {
	wr, ok := ctx.Value(writerKey{}).(*writer)
	if !ok || !wr.leave() {
		return f()
	}
	if err := f(); err != nil {
		return err // little is left to do
	}
	return wr.enter(ctx)
}

// breakWrite has a write that waits return, and all that come. Over HTTP/1.1 the first one may wait for what the caller has not sent yet.
func (wr *writer) breakWrite() {
	wr.mu.Lock()
	defer wr.mu.Unlock()
	if wr.broken = true; !wr.done {
		_ = wr.ctl.SetWriteDeadline(time.Unix(1, 0)) // both protocols of Serve know deadlines
		_ = wr.ctl.SetReadDeadline(time.Unix(1, 0))
	}
}

// breakRead has a read that waits return.
func (wr *writer) breakRead() {
	wr.mu.Lock()
	defer wr.mu.Unlock()
	if !wr.done {
		_ = wr.ctl.SetReadDeadline(time.Unix(1, 0)) // both protocols of Serve know deadlines
	}
}

// From is the address of the request that ctx belongs to; not valid when ctx is of no request that Serve answers.
func From(ctx context.Context) netip.Addr {
	if wr, ok := ctx.Value(writerKey{}).(*writer); ok {
		return wr.from
	}
	return netip.Addr{}
}

// OnRead has f told of the bytes that come from now on with the request that ctx belongs to. f must not block. It does nothing when ctx
// is of no request that Serve answers.
func OnRead(ctx context.Context, f func(n int)) {
	if wr, ok := ctx.Value(writerKey{}).(*writer); ok {
		wr.read.Store(&f)
	}
}

// WriteWithin breaks the stream of the request that ctx belongs to after d, unless it is called again before, or WriteAnytime is: also
// one whose client has taken all, for net/http cannot tell. So whoever writes again soon calls it before each write. An answer that stands
// still for stillWait ends before, if d is longer. It does not block. It does nothing when ctx has ended, or is of no request that
// Serve answers.
func WriteWithin(ctx context.Context, d time.Duration) { setDeadline(ctx, time.Now().Add(d)) }

// WriteAnytime takes back what WriteWithin has said.
func WriteAnytime(ctx context.Context) { setDeadline(ctx, time.Time{}) }

func setDeadline(ctx context.Context, at time.Time) {
	wr, ok := ctx.Value(writerKey{}).(*writer)
	if !ok {
		return
	}
	wr.mu.Lock()
	defer wr.mu.Unlock()
	if !wr.done && !wr.broken && ctx.Err() == nil {
		_ = wr.ctl.SetWriteDeadline(at) // both protocols of Serve know deadlines
	}
}
