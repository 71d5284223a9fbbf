package executor

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"

	"github.com/godwit-run/godwit/internal/notify"
	"github.com/godwit-run/godwit/mpi"
)

// queueMaxBytes bounds what waits on one link, urgent frames above all, which nobody holds back. A link that is down drops its queue,
// and the ranks' channels replay when it is up again.
const queueMaxBytes = 256 << 20

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
	peer    string // host
	lookout *lookout

	lanes [lanes]lane
	wake  notify.Signal
	news  notify.Signal // for who dials: it may go better now

	// Changed with all lanes' locks, which lock takes: any of them guards it.
	up     uint64 // counts streams; odd: a stream is up
	failed error
	left   bool // no rank of the app is on the host any more: no stream lasts

	offers outgoing // of direct connections, for the stream, also where no frames go over it; guarded by the lock of talk
}

// lock keeps all lanes from sending.
func (l *link) lock() {
	for i := range l.lanes {
		l.lanes[i].mu.Lock()
	}
}

func (l *link) unlock() {
	for i := range l.lanes {
		l.lanes[i].mu.Unlock()
	}
}

// The lanes of a link: pieces of long messages hold up nothing else. Where there is no direct connection for them they go with the others.
const (
	talk = iota
	bulk
	lanes
)

// lane is one of two ways that frames of a link go.
type lane struct {
	mu        sync.Mutex // held by who sends; guards the following
	direct    *direct    // nil: frames go over the stream; changed with all lanes' locks
	agreement *agreement // of the stream; likewise
	queue     outgoing
}

// lane locks the one that frames go now.
func (l *link) lane(isBulk bool) *lane {
	if isBulk {
		x := &l.lanes[bulk]
		if x.mu.Lock(); x.direct != nil {
			return x
		}
		x.mu.Unlock()
	}
	x := &l.lanes[talk]
	x.mu.Lock()
	return x
}

// of is the lane of a direct connection.
func (l *link) of(d *direct) *lane {
	if d.bulk {
		return &l.lanes[bulk]
	}
	return &l.lanes[talk]
}

// clear drops all that waits. Holds all lanes' locks.
func (l *link) clear() {
	for i := range l.lanes {
		l.lanes[i].queue.clear()
	}
}

func newLink(peer string, o *lookout) *link {
	return &link{peer: peer, lookout: o, wake: notify.NewSignal(), news: notify.NewSignal()}
}

// send queues a copy of a frame, or drops it while no stream is up. It does not block.
func (l *link) send(head, payload []byte, way mpi.Way, passes func() bool) {
	if number, ok := l.trySend(head, payload, way, passes); !ok {
		l.fail(number)
	}
}

// trySend reports false if there is no room, even for what is urgent, and the stream's number then.
func (l *link) trySend(head, payload []byte, way mpi.Way, passes func() bool) (number uint64, ok bool) {
	x := l.lane(way == mpi.BulkWay)
	defer x.mu.Unlock()
	if l.up%2 == 0 || l.failed != nil || l.left || l.sendDirect(x.direct, head, payload, passes) {
		return 0, true
	}
	if x.queue.bytes+len(head)+len(payload) > queueMaxBytes {
		return l.up, false
	}
	x.queue.put(head, payload, way == mpi.UrgentWay)
	l.wake.Set()
	return 0, true
}

// fail has a stream made anew whose peer takes nothing, if it is still up.
func (l *link) fail(number uint64) {
	l.lock()
	defer l.unlock()
	if l.up == number {
		l.failed = errQueueFull
		l.clear()
		l.wake.Set()
	}
}

// room reports whether more may be sent that is not urgent. If not, pump or flush says when.
func (l *link) room(isBulk bool) bool {
	x := l.lane(isBulk)
	defer x.mu.Unlock()
	if x.direct != nil && x.direct.full.Load() {
		return x.queue.refuse()
	}
	return x.queue.room()
}

// leave says whether the app has left the host. The stream of one that was left ends, with what is queued: that is of nobody there, or has
// no ack yet and comes again to where the rank is now.
func (l *link) leave(left bool) {
	l.lock()
	defer l.unlock()
	if l.left == left {
		return
	}
	l.left = left
	l.clear()
	l.wake.Set()
	l.news.Set()
}

// retire leaves the host unless a stream is up, and says whether it has.
func (l *link) retire() bool {
	l.lock()
	defer l.unlock()
	if l.up%2 == 1 {
		return false
	}
	l.left = true
	return true
}

// streams grows with each stream that comes up or ends.
func (l *link) streams() uint64 {
	l.lock()
	defer l.unlock()
	return l.up
}

// open marks a new stream as up; what was queued for an older one is dropped. It returns the stream's number, and where its sides agree upon direct connections.
func (l *link) open() (number uint64, by [lanes]*agreement) {
	l.lock()
	defer l.unlock()
	l.up += 1 + l.up%2 // odd again, and never a number that was used before
	l.failed = nil
	l.reset()
	for i := range l.lanes {
		by[i] = newAgreement()
		l.lanes[i].agreement = by[i]
	}
	return l.up, by
}

// reset gives up what the stream had. Holds all lanes' locks.
func (l *link) reset() {
	l.offers.clear()
	for i := range l.lanes {
		x := &l.lanes[i]
		x.queue.clear()
		x.agreement.close()
		x.direct, x.agreement = nil, nil
	}
}

// closed marks the stream as down, unless a newer one is up.
func (l *link) closed(number uint64) {
	l.lock()
	defer l.unlock()
	if l.up != number {
		return
	}
	l.up++
	l.reset()
}

// take returns the message that goes next over the stream; nil: there is none. again says that there is room for those whom room has refused.
func (l *link) take(number uint64) (m *batch, again bool, err error) {
	x := l.lane(false)
	defer x.mu.Unlock()
	if l.up != number {
		l.wake.Set() // it was for the stream after this one
		return nil, false, context.Canceled
	}
	if l.failed != nil {
		return nil, false, l.failed
	}
	if l.left {
		return nil, false, errLeft
	}
	if m = l.offers.pop(); m == nil && x.direct == nil {
		m, again = x.queue.take()
	}
	return m, again, nil
}

// pump sends what is queued until the stream or ctx ends. It tells when there is room again.
func (l *link) pump(ctx context.Context, s stream, number uint64, again func()) error {
	for {
		m, room, err := l.take(number)
		if err != nil {
			return err
		}
		if room {
			again()
		}
		if m != nil {
			if err := s.SendMsg(m); err != nil {
				return err
			}
			continue
		}
		select {
		case <-l.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
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
