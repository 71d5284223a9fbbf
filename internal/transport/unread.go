package transport

import (
	"cmp"
	"net/http"
	"slices"
	"time"
)

const (
	// keptBytes is what net/http keeps of an answer until it is flushed, or its handler returns.
	keptBytes = 4 << 10
	// writePart is what moves of an answer at a time: a caller that takes slowly takes all the same.
	writePart = 64 << 10
)

// counted is a ResponseWriter whose writes are counted while they may wait for the caller, and end.
type counted struct {
	http.ResponseWriter
	wr    *writer
	all   *account
	entry *entry // nil: nothing has waited yet
	kept  int    // bytes written since the last flush

	passes bool // HTTP/1.1: what is written may pass net/http's buffer at once, with the headers, or what was kept before
}

// open has the answer counted until its entry is whole.
func (a *counted) open() *entry {
	if a.entry == nil {
		a.entry = a.all.begin(a.wr.from, a.wr.breakWrite)
	}
	return a.entry
}

// Write implements io.Writer.
func (a *counted) Write(p []byte) (int, error) {
	a.wr.leave() // all of the answer that is left waits for its caller
	if a.kept += len(p); a.kept < keptBytes && !a.passes {
		return a.ResponseWriter.Write(p)
	}
	e := a.open()
	defer e.whole()
	n, moved := 0, 0
	for part := range slices.Chunk(p, writePart) {
		err := e.has(int64(len(p)), moved)
		if err != nil {
			return n, err
		}
		moved, err = a.ResponseWriter.Write(part)
		if n += moved; err != nil {
			return n, cmp.Or(e.why(), err)
		}
	}
	return n, nil
}

// Flush implements http.Flusher.
func (a *counted) Flush() {
	a.wr.leave()
	if a.kept > 0 || a.passes {
		a.kept = 0
		e := a.open()
		_ = e.has(0, 0) // the next write says so, too
		defer e.whole()
	}
	_ = http.NewResponseController(a.ResponseWriter).Flush() // what fails is told by the next write
}

// close ends the account of an answer. What net/http has kept of it is written later, and has the patience as its deadline; so does the rest of
// the request, which net/http reads over HTTP/1.1.
func (a *counted) close(r *http.Request) {
	if r.ProtoMajor == 1 {
		_ = a.wr.ctl.SetReadDeadline(time.Now().Add(a.all.patience)) // it knows them
	}
	if a.kept > 0 || r.ProtoMajor == 1 { // over HTTP/1.1 an empty chunk follows
		setDeadline(r.Context(), time.Now().Add(a.all.patience))
	}
	if a.entry != nil {
		a.entry.close()
	}
}

// Unwrap is for http.ResponseController.
func (a *counted) Unwrap() http.ResponseWriter { return a.ResponseWriter }
