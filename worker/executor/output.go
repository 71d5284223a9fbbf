package executor

import (
	"bytes"
	"sync"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// Bounds of a rank's output.
const (
	maxLineBytes = 64 << 10 // longer lines are cut in parts
	stdoutStream = 1
	stderrStream = 2
)

// output cuts what one rank writes into lines and numbers them. Lines go to emit in order; emit may block.
type output struct {
	rank int32
	emit func(*apiv1.LogLine)
	now  func() time.Time

	mu      sync.Mutex // guards the fields below
	next    uint64     // number of the next line
	partial [3][]byte  // unfinished line of each stream
}

// writer is one stream of an output.
type writer struct {
	o      *output
	stream int32
}

// Write implements io.Writer. It blocks while the worker does not take the lines.
func (w writer) Write(p []byte) (int, error) {
	w.o.mu.Lock()
	defer w.o.mu.Unlock()
	w.o.write(w.stream, p)
	return len(p), nil
}

// write cuts p into lines. Holds mu, also while emitting: that keeps the order.
func (o *output) write(stream int32, p []byte) {
	for len(p) > 0 {
		begun := o.partial[stream]
		i := bytes.IndexByte(p, '\n')
		whole := i >= 0
		if !whole {
			i = len(p)
		}
		if room := maxLineBytes - len(begun); i > room {
			o.line(stream, append(begun, p[:room]...), true)
			o.partial[stream] = begun[:0]
			p = p[room:]
			continue
		}
		begun = append(begun, p[:i]...)
		if !whole {
			o.partial[stream] = begun
			return
		}
		o.line(stream, begun, false)
		o.partial[stream] = begun[:0]
		p = p[i+1:]
	}
}

// line emits one line. Holds mu.
func (o *output) line(stream int32, text []byte, partial bool) {
	o.emit(&apiv1.LogLine{
		Rank: o.rank, Stream: stream, Seq: o.next, Text: bytes.Clone(text), Partial: partial, AtMs: o.now().UnixMilli(),
	})
	o.next++
}

// flush emits unfinished lines: the rank has ended, or waits for somebody who may have to see them first.
func (o *output) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for s, text := range o.partial {
		if len(text) > 0 {
			o.line(int32(s), text, true)
		}
		o.partial[s] = nil
	}
}

// state puts the output's position into an image's header.
func (o *output) state(h *apiv1.ImageHeader) {
	o.mu.Lock()
	defer o.mu.Unlock()
	h.NextLine = o.next
	h.PartialStdout = bytes.Clone(o.partial[stdoutStream])
	h.PartialStderr = bytes.Clone(o.partial[stderrStream])
}

// restore goes on where an image's output stopped.
func (o *output) restore(h *apiv1.ImageHeader) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.next = h.NextLine
	o.partial[stdoutStream] = bytes.Clone(h.PartialStdout)
	o.partial[stderrStream] = bytes.Clone(h.PartialStderr)
}
