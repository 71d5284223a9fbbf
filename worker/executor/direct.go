package executor

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/godwit-run/godwit/internal/pipe"
)

// A direct connection carries a link's frames without gRPC, as they are: each behind its length, written by the rank that sends it, read by ranks that
// wait. Two executors agree upon it over the link's stream, which stays: the one that was called offers a word there, and whoever calls with that word is
// who it was offered to.
// A new connection is a new route, as the loss of one is: the ranks' channels send again what was on its way, by the stream or directly.

const (
	// offerFrame begins a frame that is none of a rank's: an offer. The lane, and the word follow.
	offerFrame = 0x01
	// offerEvery is how long is waited for the other side to follow an offer before there is another.
	offerEvery = 5 * time.Second
	// beatEvery is how often each side of a direct connection says something, if only that it is there.
	beatEvery = 5 * time.Second
	// offersWaiting is how many bytes of offers may wait for the stream: then no more are made.
	offersWaiting = 1 << 10
	// silentBeats is how many of these times in silence end it.
	silentBeats = 3
)

// errSilent ends a direct connection over which nothing comes: something between the hosts may have forgotten it.
var errSilent = errors.New("executor: nothing comes over the direct connection")

// agreement is where the two sides of one stream agree upon the direct connections of a lane.
type agreement struct {
	offers chan string   // of the other side: the newest
	taken  chan net.Conn // a connection that was called for
	word   string        // that was offered; empty: none is wanted; guarded by all lanes' locks
}

func newAgreement() *agreement {
	return &agreement{offers: make(chan string, 1), taken: make(chan net.Conn, 1)}
}

// close closes what was taken and is not wanted any more. Nothing more is.
func (m *agreement) close() {
	if m == nil {
		return
	}
	select {
	case conn := <-m.taken:
		_ = conn.Close()
	default:
	}
}

// sendDirect sends a frame over a lane's direct connection, if it has one. Holds the lane's lock.
func (l *link) sendDirect(d *direct, head, payload []byte, passes func() bool) bool {
	if d == nil {
		return false
	}
	if d.failed() != nil || !passes() {
		return true // lost, as what was on its way
	}
	if d.full.Load() {
		return false // behind what waits
	}
	if d.write(head, payload); d.full.Load() {
		l.lookout.attend(d)
	}
	return true
}

// flush writes what waits for room on the direct connection, as far as there is some, unless somebody is at it. It reports whether anything was written, and
// whether there is room for those whom room has refused.
func (l *link) flush(d *direct, passes func() bool) (some, again bool) {
	x := l.of(d)
	if !x.mu.TryLock() {
		return false, false
	}
	defer x.mu.Unlock()
	if x.direct != d || d.failed() != nil || !d.full.Load() {
		return false, false
	}
	if !passes() {
		d.end(ErrLeaseOver)
		return false, false
	}
	n, all := d.writeRest()
	if !all {
		return n > 0, false
	}
	if m := x.queue.pop(); m != nil { // which is written with the next look
		d.rest = append(d.rest, m.out[0].ReadOnlyData()...)
		m.out.Free()
		return true, false
	}
	d.full.Store(false)
	l.lookout.attend(d)
	return true, x.queue.wanted()
}

// use has frames of a lane go over a direct connection, and drops what waits: it is sent again by the new route. It reports false, and has done nothing, if the stream is
// not the link's any more, or the app has left the host.
func (l *link) use(number uint64, d *direct) bool {
	l.lock()
	defer l.unlock()
	if l.up != number || l.left {
		return false
	}
	l.of(d).direct = d
	l.clear()
	l.wake.Set()
	return true
}

// disuse has frames go another way again, if they went over the connection, and reports whether the stream is still the link's.
func (l *link) disuse(number uint64, d *direct) bool {
	l.lock()
	defer l.unlock()
	if x := l.of(d); x.direct == d {
		x.direct = nil
		l.clear()
		l.wake.Set()
	}
	return l.up == number && !l.left
}

// beatDirect says every now and then that this side is there, and returns when nothing has come from the other for long. It counts its own ticks:
// the time that this process was stopped for is none of silence.
func (n *network) beatDirect(ctx context.Context, l *link, d *direct) error {
	t := time.NewTicker(n.beatEvery)
	defer t.Stop()
	for heard, silent := uint32(0), 0; silent < silentBeats; {
		select {
		case <-t.C:
		case <-d.over:
			return d.why
		case <-ctx.Done():
			return ctx.Err()
		}
		silent++
		if now := d.heard.Load(); now != heard || !d.quiet() { // what waits to be taken here is no silence
			heard, silent = now, 0
		}
		l.beat(d, n.fence.passes)
	}
	return errSilent
}

// carryOn waits for ranks that are in long calls with what has come for them, until the connection ends.
func (n *network) carryOn(ctx context.Context, d *direct) error {
	for {
		select {
		case <-d.left:
			d.goOn(n)
			n.lookout.attend(d)
		case <-d.over:
			return d.why
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// beat sends an empty frame, unless something else is on its way.
func (l *link) beat(d *direct, passes func() bool) {
	x := l.of(d)
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.direct == d {
		l.sendDirect(d, nil, nil, passes)
	}
}

// serveDirect keeps a direct connection for a lane beside a stream, as often as it ends. calls says that this host makes it, by the word that the other offers.
func (n *network) serveDirect(ctx context.Context, l *link, number uint64, which int, m *agreement, calls bool) error {
	again := redial{first: n.redialAfter}
	for {
		conn, err := n.directConn(ctx, l, number, which, m, calls)
		began := time.Now()
		if err == nil {
			err = n.runDirect(ctx, l, number, which, conn)
		}
		n.log.Debug("no direct connection", "peer", l.peer, "err", err)
		t := time.NewTimer(again.next(time.Since(began) > steadyAfter))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
	}
}

// directConn waits for the connection that the other side makes, which is offered as often as none comes; or for its offer, and makes it. An offer that could
// not be followed is tried again.
func (n *network) directConn(ctx context.Context, l *link, number uint64, which int, m *agreement, calls bool) (net.Conn, error) {
	t := time.NewTicker(n.offerEvery)
	defer t.Stop()
	for {
		if !calls {
			l.offerDirect(number, which, m)
		}
		select {
		case conn := <-m.taken:
			return conn, sayTaken(conn)
		case word := <-m.offers:
			conn, err := n.callDirect(ctx, l, word)
			if err != nil {
				m.offered(word, false)
			}
			return conn, err
		case <-t.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// runDirect has the link use a connection until it ends, or ctx does. Frames go another way then at once, also if some that have come over it still wait for
// their rank.
func (n *network) runDirect(ctx context.Context, l *link, number uint64, which int, conn net.Conn) error {
	d, err := newDirect(conn, which)
	if err != nil {
		return err
	}
	defer d.file.Close() //nolint:errcheck // its own error is the one to report
	d.flush = func() bool {
		some, again := l.flush(d, n.fence.passes)
		if again {
			n.room()
		}
		return some
	}
	if !l.use(number, d) {
		return errLeft
	}
	n.reconnect(l.peer)
	var waiting errgroup.Group
	if err = n.lookout.add(d); err == nil {
		waiting.Go(func() error { return n.carryOn(ctx, d) })
		err = n.beatDirect(ctx, l, d)
		n.lookout.remove(d)
	}
	d.end(err)
	if l.disuse(number, d) && ctx.Err() == nil {
		n.reconnect(l.peer)
	}
	_ = waiting.Wait() // it says why the connection has ended, as err does
	return err
}

// offerDirect says over the stream by which word a direct connection for a lane is taken.
func (l *link) offerDirect(number uint64, which int, m *agreement) {
	l.lock()
	defer l.unlock()
	if l.up != number || l.left {
		return
	}
	if l.offers.bytes > offersWaiting {
		return // the stream takes none
	}
	if m.word == "" { // else it is said again: the first may be on its way yet
		m.word = rand.Text()
	}
	l.offers.put([]byte{offerFrame, byte(which)}, []byte(m.word), false)
	l.wake.Set()
}

// offered takes an offer of the other side; if it is new it takes the place of an older one.
func (m *agreement) offered(word string, isNew bool) {
	if isNew {
		select {
		case <-m.offers:
		default:
		}
	}
	select {
	case m.offers <- word:
	default:
	}
}

// callDirect makes the connection that the other side has offered.
func (n *network) callDirect(ctx context.Context, l *link, word string) (net.Conn, error) {
	n.mu.RLock()
	addr := n.addrs[l.peer]
	n.mu.RUnlock()
	if addr == "" {
		return nil, fmt.Errorf("executor: no address of host %s", l.peer)
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := n.dialer.Dial(ctx, addr, pipe.RankProtocol, n.app, n.host, word)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	defer stop()
	if err := hearTaken(conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// taken is what who takes a direct connection says first, an empty frame. A worker may have refused it, or the word may have been used: nobody carries frames
// before he has heard it.
var taken = [4]byte{} //nolint:gochecknoglobals // a constant

func sayTaken(conn net.Conn) error {
	_ = conn.SetDeadline(time.Now().Add(dialTimeout))
	_, err := conn.Write(taken[:])
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	return nil
}

// hearTaken waits for as long as the connection's deadline lets it.
func hearTaken(conn net.Conn) error {
	var said [len(taken)]byte
	if _, err := io.ReadFull(conn, said[:]); err != nil || said != taken {
		return fmt.Errorf("executor: a direct connection was not taken: %w", cmp.Or(err, errMalformed))
	}
	return nil
}

// called takes a connection that another executor has made: with a word it is a direct one.
func (n *network) called(conn net.Conn, note string) {
	host, word, isDirect := strings.Cut(note, " ")
	if !isDirect {
		n.incoming.offer(conn)
		return
	}
	n.mu.RLock()
	l := n.links[host]
	n.mu.RUnlock()
	if l == nil || !l.takeDirect(conn, word) {
		_ = conn.Close()
	}
}

// takeDirect takes a connection if it was called with the word that was offered, once.
func (l *link) takeDirect(conn net.Conn, word string) bool {
	l.lock()
	defer l.unlock()
	for i := range l.lanes {
		m := l.lanes[i].agreement
		if m == nil || word == "" || word != m.word {
			continue
		}
		m.word = ""
		select {
		case m.taken <- conn:
			return true
		default:
		}
	}
	return false
}
