package transport

import (
	"context"
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
	mu     sync.Mutex               // guards done and broken
	ctl    *http.ResponseController // may not be used once done
	done   bool
	broken bool // writes fail from now on

	read atomic.Pointer[func(n int)] // told of what comes; nil: nobody is
	body *body                       // nil: the request has none
}

type writerKey struct{}

// withWriter gives every request a writer, and has its messages counted. open bounds the requests that are being answered: one that waits
// for something has its headers and goroutines all the while.
func withWriter(h http.Handler, all, answers *account, open *gate.Shares) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, _ := netip.ParseAddrPort(r.RemoteAddr) // who has no such address counts as one
		if !open.Open(from.Addr()) {
			http.Error(w, "too many requests are being answered: try it again in a moment", http.StatusServiceUnavailable)
			return
		}
		defer open.Close(from.Addr())
		wr := &writer{ctl: http.NewResponseController(w)}
		answer := &counted{ResponseWriter: w, wr: wr, all: answers, passes: r.ProtoMajor == 1}
		r = r.WithContext(context.WithValue(r.Context(), writerKey{}, wr))
		defer func() {
			answer.close(r)
			wr.mu.Lock()
			wr.done = true
			wr.mu.Unlock()
		}()
		if r.ContentLength != 0 && r.Body != nil {
			half := all.begin(wr.breakRead)
			defer half.close()
			wr.body = newBody(r, &wr.read, half)
			r.Body = wr.body
		}
		h.ServeHTTP(answer, r)
	})
}

// breakWrite has a write that waits return, and all that come.
func (wr *writer) breakWrite() {
	wr.mu.Lock()
	defer wr.mu.Unlock()
	if wr.broken = true; !wr.done {
		_ = wr.ctl.SetWriteDeadline(time.Unix(1, 0)) // both protocols of Serve know deadlines
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
