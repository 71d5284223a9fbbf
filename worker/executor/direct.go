package executor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/godwit-run/godwit/internal/listen"
	"github.com/godwit-run/godwit/internal/pipe"
)

// A direct connection carries a link's frames without gRPC, as they are: each behind its length, written by the rank that sends it, read by ranks that wait. Two executors agree upon it
// over the link's stream, which stays: the one that was called offers a word there, and whoever calls with that word is who it was offered to.
// A new connection is a new route, as the loss of one is: the ranks' channels send again what was on its way, by the stream or directly.

const (
	// offerFrame begins a frame that is none of a rank's: an offer. The word follows.
	offerFrame = 0x01
)

// sendDirect sends a frame over the link's direct connection, if it has one. Holds mu.
func (l *link) sendDirect(head, payload []byte, passes func() bool) bool {
	d := l.direct
	if d == nil {
		return false
	}
	if d.failed() != nil || !passes() {
		return true // lost, as what was on its way
	}
	if d.writing || l.queue.bytes > 0 {
		return false // behind what waits
	}
	d.write(head, payload)
	if len(d.rest) > 0 {
		d.writing = true
		l.directWake.Set()
	}
	return true
}

// setDirect changes the stream's direct connection, and drops what waits: it is sent again by the new route. It reports false if the stream is not
// the link's any more.
func (l *link) setDirect(number uint64, d *direct) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.up != number || l.left {
		return false
	}
	l.direct = d
	l.queue.clear()
	l.signal()
	return true
}

// next is what is to be written over the direct connection by who may wait for that, or nil; again is as take's.
func (l *link) next(d *direct) (b []byte, m *batch, again bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.left:
		return nil, nil, false, errLeft
	case l.direct != d || d.failed() != nil:
		return nil, nil, false, errors.Join(net.ErrClosed, d.failed())
	}
	if len(d.rest) > 0 {
		d.writing = true
		b, d.rest = d.rest, d.rest[:0] // nobody adds to it while it is written
		return b, nil, false, nil
	}
	m, again = l.queue.take()
	d.writing = m != nil
	return nil, m, again, nil
}

// pumpDirect writes what the ranks could not.
func (n *network) pumpDirect(ctx context.Context, l *link, d *direct) error {
	for {
		b, m, again, err := l.next(d)
		if err != nil {
			return err
		}
		if again {
			n.room()
		}
		if m != nil {
			b = m.out[0].ReadOnlyData()
		}
		if b == nil {
			select {
			case <-l.directWake:
			case <-d.over:
			case <-ctx.Done():
				return ctx.Err()
			}
			continue
		}
		if !n.fence.passes() {
			return ErrLeaseOver
		}
		_, err = d.file.Write(b) // it may wait for long; end ends that
		if m != nil {
			m.out.Free()
		}
		if err != nil {
			return err
		}
	}
}

// serveDirect keeps a direct connection beside a stream, as often as it ends. calls says that this host makes it, by the word that the other offers.
func (n *network) serveDirect(ctx context.Context, l *link, number uint64, calls bool) error {
	select {
	case conn := <-l.taken: // of an older stream
		_ = conn.Close()
	default:
	}
	again := redial{first: n.redialAfter}
	for {
		if !calls {
			l.offerDirect(number)
		}
		began := time.Now()
		conn, err := n.directConn(ctx, l)
		if err == nil {
			began = time.Now()
			err = n.runDirect(ctx, l, number, conn)
		}
		n.log.Debug("no direct connection", "peer", l.peer, "err", err)
		t := time.NewTimer(again.next(err == nil || time.Since(began) > steadyAfter))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
	}
}

// directConn waits for the connection that the other side makes, or for its offer, and makes it. An offer that could not be followed is tried again.
func (n *network) directConn(ctx context.Context, l *link) (net.Conn, error) {
	select {
	case conn := <-l.taken:
		return conn, nil
	case word := <-l.offers:
		conn, err := n.callDirect(ctx, l, word)
		if err != nil {
			select {
			case l.offers <- word:
			default: // there is a newer one
			}
		}
		return conn, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// runDirect has the link use a connection until it ends, or ctx does.
func (n *network) runDirect(ctx context.Context, l *link, number uint64, conn net.Conn) error {
	d, err := newDirect(conn)
	if err != nil {
		return err
	}
	defer d.file.Close() //nolint:errcheck // its own error is the one to report
	stop := context.AfterFunc(ctx, func() { d.end(ctx.Err()) })
	defer stop()
	if !l.setDirect(number, d) {
		return errLeft
	}
	n.reconnect(l.peer)
	if err = n.lookout.add(d); err == nil {
		err = n.pumpDirect(ctx, l, d)
		n.lookout.remove(d)
	}
	d.end(err)
	if l.setDirect(number, nil) && ctx.Err() == nil {
		n.reconnect(l.peer)
	}
	return err
}

// offerDirect says over the stream by which word a direct connection is taken.
func (l *link) offerDirect(number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.up != number || l.left {
		return
	}
	l.word = rand.Text()
	l.queue.put([]byte{offerFrame}, []byte(l.word), true)
	l.signal()
}

// offered takes an offer of the other side; the newest counts.
func (l *link) offered(word string) {
	select {
	case <-l.offers:
	default:
	}
	select {
	case l.offers <- word:
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
	return listen.Dial(ctx, addr, pipe.RankProtocol, n.app, n.host, word)
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
	l.mu.Lock()
	defer l.mu.Unlock()
	if word == "" || word != l.word {
		return false
	}
	l.word = ""
	select {
	case l.taken <- conn:
		return true
	default:
		return false
	}
}
