package transport

import (
	"container/list"
	"net/http"
	"slices"
	"sync"
	"time"
)

// unreads bounds what answers take of this process's memory that their callers do not take: for all callers together, and how long a write
// may wait for its caller. Whose answer is ended may ask again.
type unreads struct {
	most     int64
	patience time.Duration

	mu    sync.Mutex // guards what stands below
	held  int64
	going int64      // of those held: their writes have been told to end
	open  *list.List // *unread that have not been told, the one that began first in front
}

// unread is one write under way.
type unread struct {
	n    int64
	end  func() // has the write return; it must not block
	lost bool   // it has been told to
}

func newUnreads(most int64, patience time.Duration) *unreads {
	return &unreads{most: most, patience: patience, open: list.New()}
}

// begin counts a write of n bytes. When more is held than may be, those that have waited longest are ended, until there is an eighth of
// room again.
func (a *unreads) begin(n int, end func()) *list.Element {
	a.mu.Lock()
	e := a.open.PushBack(&unread{n: int64(n), end: end})
	a.held += int64(n)
	var lost []*unread
	if a.held-a.going > a.most {
		for a.held-a.going > a.most-a.most/8 && a.open.Front() != e {
			u := a.open.Remove(a.open.Front()).(*unread) //nolint:forcetypeassert // nothing else is in the list
			u.lost = true
			a.going += u.n
			lost = append(lost, u)
		}
	}
	a.mu.Unlock()
	for _, u := range lost {
		u.end()
	}
	return e
}

// done ends the account of a write.
func (a *unreads) done(e *list.Element) {
	a.mu.Lock()
	defer a.mu.Unlock()
	u := e.Value.(*unread) //nolint:forcetypeassert // begin made it
	a.held -= u.n
	if u.lost {
		a.going -= u.n
		return
	}
	a.open.Remove(e)
}

// writePart is of what each has the patience: a caller that takes slowly takes all the same.
const writePart = 64 << 10

// countedFrom is the size of a write from which on it is counted: what is smaller is less than the request itself takes.
const countedFrom = 4 << 10

// counted is a ResponseWriter whose writes are counted, and end.
type counted struct {
	http.ResponseWriter
	wr    *writer
	all   *unreads
	large bool // something that is counted was written since the last flush; owned by who answers
}

// Write implements io.Writer.
func (a *counted) Write(p []byte) (int, error) {
	a.large = a.large || len(p) >= countedFrom
	if !a.large {
		return a.ResponseWriter.Write(p)
	}
	e := a.all.begin(len(p), a.wr.breakWrite)
	defer a.all.done(e)
	n := 0
	for part := range slices.Chunk(p, writePart) {
		m, err := a.part(part)
		if n += m; err != nil {
			return n, err
		}
	}
	return n, nil
}

func (a *counted) part(p []byte) (int, error) {
	defer a.wr.bound(a.all.patience)()
	return a.ResponseWriter.Write(p)
}

// Flush implements http.Flusher.
func (a *counted) Flush() {
	if !a.large {
		_ = http.NewResponseController(a.ResponseWriter).Flush() // what fails is told by the next write
		return
	}
	a.large = false
	defer a.wr.bound(a.all.patience)()
	_ = http.NewResponseController(a.ResponseWriter).Flush() // what fails is told by the next write
}

// Unwrap is for http.ResponseController.
func (a *counted) Unwrap() http.ResponseWriter { return a.ResponseWriter }
