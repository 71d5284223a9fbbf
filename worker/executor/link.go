package executor

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"

	"github.com/godwit-run/godwit/internal/notify"
)

// Bounds of one link. The windows of the ranks' channels bound what is queued: a link that is down drops its queue,
// and the channels replay when it is up again.
const (
	batchBytes    = 256 << 10
	queueMaxBytes = 256 << 20
)

// errQueueFull is returned when a peer does not take what is sent to it; the stream is then made anew.
var errQueueFull = errors.New("executor: a link's queue is full")

// errLeft is returned when the app has left the link's host.
var errLeft = errors.New("executor: no rank of the app is on the link's host any more")

// stream is what a link needs of a gRPC stream, of either side.
type stream interface {
	SendMsg(m any) error
	RecvMsg(m any) error
	Context() context.Context
}

// link carries frames between this executor and the executor of one other host.
type link struct {
	peer string // host

	mu     sync.Mutex // guards the fields below
	up     uint64     // counts streams; odd: a stream is up
	queue  [][]byte
	bytes  int
	failed error
	left   bool // no rank of the app is on the host any more: no stream lasts
	wake   notify.Signal
	news   notify.Signal // for who dials: it may go better now
}

func newLink(peer string) *link {
	return &link{peer: peer, wake: notify.NewSignal(), news: notify.NewSignal()}
}

// send queues a frame, or drops it while no stream is up. It does not block.
func (l *link) send(frame []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.up%2 == 0 || l.failed != nil || l.left {
		return
	}
	if l.bytes+len(frame) > queueMaxBytes {
		l.failed = errQueueFull
		l.queue, l.bytes = nil, 0
	} else {
		l.queue = append(l.queue, frame)
		l.bytes += len(frame)
	}
	l.signal()
}

func (l *link) signal() {
	l.wake.Set()
}

// leave says whether the app has left the host. The stream of one that was left ends, with what is queued: that is of nobody there, or has
// no ack yet and comes again to where the rank is now.
func (l *link) leave(left bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left == left {
		return
	}
	l.left = left
	l.queue, l.bytes = nil, 0
	l.signal()
	l.news.Set()
}

// retire leaves the host unless a stream is up, and says whether it has.
func (l *link) retire() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.up%2 == 1 {
		return false
	}
	l.left = true
	return true
}

// streams grows with each stream that comes up or ends.
func (l *link) streams() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.up
}

// open marks a new stream as up; what was queued for an older one is dropped. It returns the stream's number.
func (l *link) open() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.up += 1 + l.up%2 // odd again, and never a number that was used before
	l.queue, l.bytes, l.failed = nil, 0, nil
	return l.up
}

// closed marks the stream as down, unless a newer one is up.
func (l *link) closed(number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.up != number {
		return
	}
	l.up++
	l.queue, l.bytes = nil, 0
}

// take returns what is queued for the stream.
func (l *link) take(number uint64) ([][]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		return nil, l.failed
	}
	if l.left {
		return nil, errLeft
	}
	if l.up != number {
		return nil, context.Canceled
	}
	q := l.queue
	l.queue, l.bytes = nil, 0
	return q, nil
}

// pump sends what is queued until the stream or ctx ends.
func (l *link) pump(ctx context.Context, s stream, number uint64) error {
	for {
		frames, err := l.take(number)
		if err != nil {
			return err
		}
		for len(frames) > 0 {
			var b *batch
			b, frames = pack(frames)
			if err := s.SendMsg(b); err != nil {
				return err
			}
		}
		select {
		case <-l.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// copyBytes is up to how long a frame is copied next to its neighbours; longer ones go as they are.
const copyBytes = 4 << 10

// pack puts as many frames into one message as fit, at least one.
func pack(frames [][]byte) (*batch, [][]byte) {
	total, n := 0, 0
	for n < len(frames) && (n == 0 || total+4+len(frames[n]) <= batchBytes) {
		total += 4 + len(frames[n])
		n++
	}
	b := &batch{}
	var joined []byte
	for _, f := range frames[:n] {
		joined = binary.LittleEndian.AppendUint32(joined, uint32(len(f)))
		if len(f) <= copyBytes {
			joined = append(joined, f...)
			continue
		}
		b.parts = append(b.parts, joined, f)
		joined = nil
	}
	if len(joined) > 0 {
		b.parts = append(b.parts, joined)
	}
	return b, frames[n:]
}

// unpack gives each frame of a message to receive. The frames are valid only during the call.
func unpack(data []byte, receive func(frame []byte)) error {
	for len(data) > 0 {
		if len(data) < 4 {
			return errMalformed
		}
		n := binary.LittleEndian.Uint32(data)
		if uint64(n) > uint64(len(data)-4) {
			return errMalformed
		}
		receive(data[4 : 4+n])
		data = data[4+n:]
	}
	return nil
}

var errMalformed = errors.New("executor: malformed message from another executor")

// drain receives until the stream ends.
func drain(s stream, receive func(frame []byte)) error {
	for {
		var b batch
		if err := s.RecvMsg(&b); err != nil {
			return err
		}
		if err := receiveBatch(&b, receive); err != nil {
			return err
		}
	}
}

func receiveBatch(b *batch, receive func(frame []byte)) error {
	defer b.in.Free()
	if len(b.in) == 1 {
		return unpack(b.in[0].ReadOnlyData(), receive)
	}
	return unpack(b.in.Materialize(), receive)
}
