package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"sync"
	"time"
)

// Recorder collects operations from any number of clients.
type Recorder struct {
	began time.Time // its monotonic reading is the clock of all of them

	mu  sync.Mutex // guards ops
	ops []Op
}

// NewRecorder begins a history.
func NewRecorder() *Recorder { return &Recorder{began: time.Now()} }

// Now is the time since the history began.
func (r *Recorder) Now() time.Duration { return time.Since(r.began) }

// Do notes the operation that f makes. f fills in what was answered; its error decides the end.
func (r *Recorder) Do(op Op, f func(*Op) error) Op {
	op.Call = r.Now()
	err := f(&op)
	op.Return = r.Now()
	op.End, op.Code = Classify(err)
	if err != nil {
		op.Error = err.Error()
	}
	r.Add(op)
	return op
}

// Add notes an operation that has ended.
func (r *Recorder) Add(op Op) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, op)
}

// Ops are the operations so far, in order of their calls.
func (r *Recorder) Ops() []Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	ops := slices.Clone(r.ops)
	slices.SortStableFunc(ops, func(a, b Op) int { return int(a.Call - b.Call) })
	return ops
}

// Save writes the history to a file, one operation a line.
func (r *Recorder) Save(path string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	lines := json.NewEncoder(w)
	for _, op := range r.Ops() {
		err = errors.Join(err, lines.Encode(op))
	}
	return errors.Join(err, w.Flush(), f.Close())
}
