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

// pauseTime is how long a line may stand unfinished before what there is of it is shown: progress by \r, or by dots.
const pauseTime = 200 * time.Millisecond

// output cuts what one rank writes into lines and numbers them. Lines go to emit in order; emit may block.
type output struct {
	rank int32
	emit func(*apiv1.LogLine)
	now  func() time.Time

	mu      sync.Mutex // guards the fields below
	next    uint64     // number of the next line
	partial [3][]byte  // unfinished line of each stream
	timed   bool       // paused is going to be called
	left    bool       // the unfinished lines are in an image, or of one: it is not said yet who goes on with them
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
	w.o.await()
	return len(p), nil
}

// await has what there is of unfinished lines shown if nothing follows it. Holds mu.
func (o *output) await() {
	if !o.timed && len(o.partial[stdoutStream])+len(o.partial[stderrStream]) > 0 {
		o.timed = true
		time.AfterFunc(pauseTime, o.paused)
	}
}

// goOn says that a rank goes on here whose output is in an image, or of one. It does not block: nobody emits anything meanwhile.
func (o *output) goOn() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.left = false
	o.await()
}

// paused emits what there is of unfinished lines.
func (o *output) paused() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.timed = false; !o.left {
		o.unfinished(true)
	}
}

// unfinished emits what there is of unfinished lines. Holds mu.
func (o *output) unfinished(paused bool) {
	for s, text := range o.partial {
		if len(text) > 0 {
			o.line(&apiv1.LogLine{Stream: int32(s), Text: text, Partial: true, Paused: paused})
		}
		o.partial[s] = text[:0]
	}
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
			o.line(&apiv1.LogLine{Stream: stream, Text: append(begun, p[:room]...), Partial: true})
			o.partial[stream] = begun[:0]
			p = p[room:]
			continue
		}
		begun = append(begun, p[:i]...)
		if !whole {
			o.partial[stream] = begun
			return
		}
		o.line(&apiv1.LogLine{Stream: stream, Text: begun})
		o.partial[stream] = begun[:0]
		p = p[i+1:]
	}
}

// line emits a line, with a copy of its text. Holds mu.
func (o *output) line(l *apiv1.LogLine) {
	l.Rank, l.Seq, l.Text, l.AtMs = o.rank, o.next, bytes.Clone(l.Text), o.now().UnixMilli()
	o.emit(l)
	o.next++
}

// flush emits unfinished lines: the rank has ended, or waits for somebody who may have to see them first.
func (o *output) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.unfinished(false)
}

// state puts the output's position into an image's header.
func (o *output) state(h *apiv1.ImageHeader) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.left = true
	h.NextLine = o.next
	h.PartialStdout = bytes.Clone(o.partial[stdoutStream])
	h.PartialStderr = bytes.Clone(o.partial[stderrStream])
}

// restore goes on where an image's output stopped.
func (o *output) restore(h *apiv1.ImageHeader) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.left = true
	o.next = h.NextLine
	o.partial[stdoutStream] = bytes.Clone(h.PartialStdout)
	o.partial[stderrStream] = bytes.Clone(h.PartialStderr)
}
