package executor

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/internal/listen"
	"github.com/godwit-run/godwit/internal/pipe"
	"github.com/godwit-run/godwit/mpi"
)

// keeper is a world that keeps the frames that it is given, one after the other, and counts the new routes.
type keeper struct {
	mu     sync.Mutex // held by a test: Receive waits
	frames [][]byte
	routes int
	rooms  int
}

func (k *keeper) PeerEnded(mpi.Rank) {}

func (k *keeper) Receive(f []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.frames = append(k.frames, bytes.Clone(f))
}

func (k *keeper) TryReceive(f []byte) bool {
	if !k.mu.TryLock() {
		return false
	}
	k.mu.Unlock()
	k.Receive(f)
	return true
}

func (k *keeper) Land([]byte, int, int, bool, func([]byte) int) (int, mpi.Landing) {
	return 0, mpi.LandNone
}

func (k *keeper) Reconnect(mpi.Rank) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.routes++
}

func (k *keeper) Room() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.rooms++
}

func (k *keeper) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.frames)
}

// directOf is a direct connection of a lane, and the other end of its socket.
func directOf(t *testing.T, which int) (d *direct, other net.Conn) {
	t.Helper()
	one, other := tcpPair(t)
	d, err := newDirect(one, which)
	require.NoError(t, err)
	t.Cleanup(func() { _ = d.file.Close() })
	return d, other
}

// directPair are two networks with a direct connection.
func directPair(t *testing.T) (h1, h2 *network, w1, w2 *keeper, addr string) {
	t.Helper()
	h1, h2, addr, _ = twoNetworks(t)
	w1, w2 = meet(t, h1, h2, addr)
	return h1, h2, w1, w2, addr
}

// meet routes two networks to each other, and waits until they have a direct connection.
func meet(t *testing.T, h1, h2 *network, addr string) (w1, w2 *keeper) {
	t.Helper()
	w1, w2 = new(keeper), new(keeper)
	h1.world, h2.world = w1, w2
	h2.route(table(1, addr, "h1", "h2"))
	h1.route(table(1, addr, "h1", "h2"))
	bothDirect(t, h1, h2)
	return w1, w2
}

func (k *keeper) routesNow() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.routes
}

func bothDirect(t *testing.T, h1, h2 *network) {
	t.Helper()
	for which := range lanes {
		eventually(t, "a direct connection", func() bool { return h1.laneTo("h2", which) != nil && h2.laneTo("h1", which) != nil })
	}
}

func (n *network) directTo(host string) *direct { return n.laneTo(host, talk) }

func (n *network) laneTo(host string, which int) *direct {
	n.mu.RLock()
	l := n.links[host]
	n.mu.RUnlock()
	if l == nil {
		return nil
	}
	l.lock()
	defer l.unlock()
	return l.lanes[which].direct
}

// numbered is the i-th of some frames, of different lengths.
func numbered(i int) (head, payload []byte) {
	head = binary.LittleEndian.AppendUint32([]byte{0x6d, 1, 0, 0}, uint32(i))
	return head, bytes.Repeat([]byte{byte(i)}, []int{0, 8, 3 << 10, 5 << 10, 256 << 10}[i%5])
}

// TestDirectConnection: frames arrive whole and in order, both ways, also those that their receiver takes late.
func TestDirectConnection(t *testing.T) {
	h1, h2, w1, w2, _ := directPair(t)
	const n = 300 // some 16 MB: more than the kernel takes
	w2.mu.Lock()
	for i := range n {
		head, payload := numbered(i)
		h1.Send(1, head, payload, mpi.OrderedWay)
		head, payload = numbered(i)
		h2.Send(0, head, payload, mpi.OrderedWay)
	}
	require.False(t, h1.Room(1, false), "it waits")
	w2.mu.Unlock()
	for _, w := range []*keeper{w1, w2} {
		eventually(t, "all frames", func() bool { return w.count() == n })
		for i := range n {
			head, payload := numbered(i)
			require.True(t, bytes.Equal(append(head, payload...), w.frames[i]), "frame %d", i)
		}
	}
	eventually(t, "room", func() bool { w1.mu.Lock(); defer w1.mu.Unlock(); return w1.rooms > 0 })
	require.True(t, h1.Room(1, false))
}

// TestDirectConnectionEnds: there is another one soon, and frames arrive.
func TestDirectConnectionEnds(t *testing.T) {
	h1, h2, _, w2, _ := directPair(t)
	for i := range 5 {
		d := h1.directTo("h2")
		d.end(net.ErrClosed)
		eventually(t, "another connection", func() bool { n := h1.directTo("h2"); return n != nil && n != d })
		bothDirect(t, h1, h2)
		arrives(t, h1, w2, byte(i))
	}
}

// arrives sends frames of a kind until one is there.
func arrives(t *testing.T, n *network, w *keeper, kind byte) {
	t.Helper()
	eventually(t, "a frame", func() bool {
		n.Send(1, []byte{0x6d, kind}, nil, mpi.OrderedWay)
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.frames) > 0 && w.frames[len(w.frames)-1][1] == kind
	})
}

// TestStreamTakesOver: without a direct connection any more the stream goes on, as a new route on both sides, and what has waited is dropped.
func TestStreamTakesOver(t *testing.T) {
	h1, h2, addr, _ := twoNetworks(t)
	h1.redialAfter, h2.redialAfter = time.Hour, time.Hour // no other
	w1, w2 := meet(t, h1, h2, addr)
	routes := []int{w1.routesNow(), w2.routesNow()}
	w2.mu.Lock()
	head, payload := numbered(4)
	for h1.Room(1, false) {
		h1.Send(1, head, payload, mpi.OrderedWay)
	}
	h1.directTo("h2").end(net.ErrClosed)
	w2.mu.Unlock()
	eventually(t, "the stream", func() bool { return h1.directTo("h2") == nil && h2.directTo("h1") == nil })
	require.True(t, h1.Room(1, false))
	for i, w := range []*keeper{w1, w2} {
		eventually(t, "a new route", func() bool { return w.routesNow() == routes[i]+1 })
	}
	arrives(t, h1, w2, 7)
}

// TestNothingDirectPastTheLease: neither by who sends nor by who writes what has waited.
func TestNothingDirectPastTheLease(t *testing.T) {
	h1, h2, addr, _ := twoNetworks(t)
	h1.redialAfter, h2.redialAfter = time.Hour, time.Hour
	_, w2 := meet(t, h1, h2, addr)
	w2.mu.Lock()
	sent := 0
	for ; h1.Room(1, false); sent++ {
		h1.Send(1, []byte{0x6d, 1}, make([]byte, 256<<10), mpi.OrderedWay)
	}
	h1.fence.over.Store(true)
	w2.mu.Unlock()
	eventually(t, "the end of the connection", func() bool { return h1.directTo("h2") == nil && h2.directTo("h1") == nil })
	require.Less(t, w2.count(), sent)

	h1, h2, addr, _ = twoNetworks(t)
	h1.redialAfter, h2.redialAfter = time.Hour, time.Hour
	w1, w2 := meet(t, h1, h2, addr)
	h1.fence.over.Store(true)
	h1.Send(1, []byte{0x6d, 1}, nil, mpi.OrderedWay)
	h2.Send(0, []byte{0x6d, 2}, nil, mpi.OrderedWay)
	eventually(t, "the other way", func() bool { return w1.count() == 1 })
	h1.directTo("h2").end(net.ErrClosed) // what was written before has arrived then
	eventually(t, "its end", func() bool { return h2.directTo("h1") == nil })
	require.Zero(t, w2.count())
}

// TestDirectStandsStill: a connection over which nothing comes any more is given up, one that has nothing to carry is not.
func TestDirectStandsStill(t *testing.T) {
	var forgotten atomic.Bool
	h1, h2, addr, _ := networksWith(t, func(c *net.Conn) bool { *c = forgetful(t, *c, &forgotten); return true })
	h1.beatEvery, h2.beatEvery = 100*time.Millisecond, 100*time.Millisecond
	w1, w2 := meet(t, h1, h2, addr)
	d := h1.directTo("h2")
	for heard := uint32(0); heard < 4*silentBeats; {
		eventually(t, "a sign of life", func() bool { return d.heard.Load() > heard })
		heard = d.heard.Load()
	}
	require.Same(t, d, h1.directTo("h2"))
	func() {
		w1.mu.Lock() // a rank in a long call: what comes is not taken meanwhile, and that is no silence
		defer w1.mu.Unlock()
		h2.Send(0, []byte{0x6d, 9}, nil, mpi.OrderedWay)
		there := h2.directTo("h1")
		heard := there.heard.Load()
		eventually(t, "many signs of life", func() bool { return there.failed() != nil || there.heard.Load() >= heard+4*silentBeats })
		require.NoError(t, there.failed())
	}()
	eventually(t, "the frame", func() bool { return w1.count() == 1 })
	require.Same(t, d, h1.directTo("h2"))
	forgotten.Store(true)
	for _, w := range []*keeper{w1, w2} {
		routes := w.routesNow()
		eventually(t, "a new route", func() bool { return w.routesNow() > routes })
	}
	arrives(t, h1, w2, 1)
}

// forgetful is an end of a connection that carries what the other does, until it has forgotten: then it says nothing, and does not end.
func forgetful(t *testing.T, c net.Conn, forgotten *atomic.Bool) net.Conn {
	t.Helper()
	near, far := tcpPair(t)
	carry := func(to, from net.Conn) {
		defer to.Close() //nolint:errcheck // a test's
		b := make([]byte, 64<<10)
		for {
			n, err := from.Read(b)
			if err == nil && !forgotten.Load() {
				_, err = to.Write(b[:n])
			}
			if err != nil {
				return
			}
		}
	}
	go carry(far, c) // until the connections end
	go carry(c, far)
	return near
}

// TestOffersAreRepeated: a direct connection that does not come to the other executor is made again.
func TestOffersAreRepeated(t *testing.T) {
	var tries atomic.Int64
	h1, h2, addr, _ := networksWith(t, func(*net.Conn) bool { return tries.Add(1) > 3 })
	h1.offerEvery, h2.offerEvery = 10*time.Millisecond, 10*time.Millisecond
	w1, w2 := meet(t, h1, h2, addr)
	require.GreaterOrEqual(t, tries.Load(), int64(5))
	for _, w := range []*keeper{w1, w2} {
		eventually(t, "its routes", func() bool { return w.routesNow() >= 4 })
		require.Equal(t, 4, w.routesNow(), "the table, the stream and two connections: one that was refused is none")
	}
}

// standing is a world whose rank is in a long call, until it is told to go on.
type standing struct{ heard }

func (standing) TryReceive([]byte) bool { return false }

// TestRouteChangesBeforeWhoWaits: when a direct connection ends over which a frame has come for a rank in a long call, frames go another way at once.
func TestRouteChangesBeforeWhoWaits(t *testing.T) {
	h1, h2, addr, _ := twoNetworks(t)
	h1.redialAfter, h2.redialAfter = time.Hour, time.Hour
	w1, _ := meet(t, h1, h2, addr)
	came, goOn := make(chan struct{}, 100), make(chan struct{})
	h2.mu.Lock()
	h2.world = standing{heard(func() { came <- struct{}{}; <-goOn })}
	h2.mu.Unlock()
	t.Cleanup(func() { close(goOn) })
	h1.Send(1, []byte{0x6d, 1}, nil, mpi.OrderedWay)
	<-came
	h2.directTo("h1").end(net.ErrClosed)
	eventually(t, "the stream", func() bool { return h2.directTo("h1") == nil })
	eventually(t, "a frame by the stream", func() bool { h2.Send(0, []byte{0x6d, 2}, nil, mpi.OrderedWay); return w1.count() > 0 })
}

// TestNotUsedWhereLeft: a link to a host that the app has left takes no direct connection.
func TestNotUsedWhereLeft(t *testing.T) {
	l := newLink("h1", nil)
	number, _ := l.open()
	d, _ := directOf(t, talk)
	l.leave(true)
	require.False(t, l.use(number, d))
	require.Nil(t, l.lanes[talk].direct)
	l.leave(false)
	require.True(t, l.use(number, d))
	l.leave(true)
	require.False(t, l.disuse(number, d))
	require.Nil(t, l.lanes[talk].direct, "also of one that was left")
}

// TestNewRouteDropsWhatWaits: when a lane gets a direct connection, or loses it, nothing waits any more, in none of the lanes: it is sent again.
func TestNewRouteDropsWhatWaits(t *testing.T) {
	for which := range lanes {
		l := newLink("h1", nil)
		number, _ := l.open()
		d, _ := directOf(t, which)
		for _, change := range []func(){func() { l.use(number, d) }, func() { l.disuse(number, d) }} {
			for i := range l.lanes {
				l.lanes[i].queue.put([]byte("frame"), nil, false)
			}
			change()
			for i := range l.lanes {
				require.Zero(t, l.lanes[i].queue.bytes)
			}
		}
	}
}

// TestWordIsOfOneStream: a word is good once, as long as its stream lasts; what was called for an older one is closed.
func TestWordIsOfOneStream(t *testing.T) {
	l := newLink("h1", nil)
	number, by := l.open()
	m := by[bulk]
	l.offerDirect(number, bulk, m)
	word := m.word
	l.offerDirect(number, bulk, m)
	require.Equal(t, word, m.word, "the first may be on its way yet")
	one, other := tcpPair(t)
	require.False(t, l.takeDirect(one, ""))
	require.False(t, l.takeDirect(one, "x"))
	require.True(t, l.takeDirect(one, word))
	require.False(t, l.takeDirect(one, word), "once")
	require.Same(t, one, <-m.taken)
	require.False(t, l.takeDirect(one, word), "also when it was taken")
	m.taken <- one
	next, by := l.open()
	n := by[bulk]
	_, err := other.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	l.offerDirect(number, bulk, m)
	require.False(t, l.takeDirect(one, m.word), "of an older stream")
	l.offerDirect(next, bulk, n)
	l.closed(next)
	require.False(t, l.takeDirect(one, n.word))
}

// TestStreamsOnly: where one of two executors wants no direct connections frames go over the stream.
func TestStreamsOnly(t *testing.T) {
	for i := range 2 {
		h1, h2, addr, _ := networksWith(t, func(*net.Conn) bool { t.Error("a direct connection"); return false })
		n := []*network{h1, h2}[i]
		n.streamsOnly = true
		h1.offerEvery, h2.offerEvery = time.Millisecond, time.Millisecond
		h1.world, h2.world = new(keeper), new(keeper)
		h2.route(table(1, addr, "h1", "h2"))
		h1.route(table(1, addr, "h1", "h2"))
		for kind := range byte(5) {
			arrives(t, h1, h2.world.(*keeper), kind)
		}
	}
}

// TestDirectNeedsTheWord: who calls without the word that was offered is closed, and what was is not disturbed.
func TestDirectNeedsTheWord(t *testing.T) {
	h1, h2, _, _, addr := directPair(t)
	d := h2.directTo("h1")
	for _, word := range []string{"x", "-"} {
		conn, err := listen.Dial(t.Context(), addr, pipe.RankProtocol, "a", "h1", word)
		require.NoError(t, err)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(testWait)))
		_, err = conn.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		require.NoError(t, conn.Close())
	}
	require.Same(t, d, h2.directTo("h1"))
	require.NotNil(t, h1.directTo("h2"))
}

// TestDirectEndsWithItsHost: where the app has no rank any more no direct connection stays.
func TestDirectEndsWithItsHost(t *testing.T) {
	h1, h2, _, _, addr := directPair(t)
	d1, d2 := h1.directTo("h2"), h2.directTo("h1")
	h1.route(table(2, addr, "h1", "h0"))
	h2.route(table(2, addr, "h1", "h0"))
	for _, d := range []*direct{d1, d2} {
		eventually(t, "its end", func() bool { return d.control(func(int) error { return nil }) != nil })
	}
}

// TestFullConnectionHasNoRoom: when the kernel takes no more nothing is queued; the ranks' frames wait with their ranks, and these hear of it when there is room
// again, also if nobody looks.
func TestFullConnectionHasNoRoom(t *testing.T) {
	h1, h2, addr, _ := twoNetworks(t)
	h1.beatEvery, h2.beatEvery = time.Hour, time.Hour // whose signs of life would be looked at
	w1, w2 := meet(t, h1, h2, addr)
	l := h1.linkTo(1)
	for range 3 {
		w1.mu.Lock()
		rooms := w1.rooms
		w1.mu.Unlock()
		before := w2.count()
		w2.mu.Lock()
		sent := 0
		for ; h1.Room(1, false); sent++ {
			h1.Send(1, []byte{0x6d, 1}, make([]byte, 256<<10), mpi.OrderedWay)
		}
		l.lock()
		require.True(t, l.lanes[talk].direct.full.Load())
		require.Zero(t, l.lanes[talk].queue.bytes)
		l.unlock()
		w2.mu.Unlock()
		eventually(t, "all frames", func() bool { return w2.count() == before+sent })
		eventually(t, "room", func() bool { w1.mu.Lock(); defer w1.mu.Unlock(); return w1.rooms > rooms })
		require.True(t, h1.Room(1, false))
	}
}

// slow is a world whose ranks take long frames only when the gate is open.
type slow struct {
	*keeper
	gate chan struct{}
}

func (s slow) open(frame []byte) bool {
	select {
	case <-s.gate:
		return true
	default:
		return len(frame) < 1<<10
	}
}

func (s slow) TryReceive(frame []byte) bool { return s.open(frame) && s.keeper.TryReceive(frame) }

func (s slow) Receive(frame []byte) {
	if !s.open(frame) {
		<-s.gate
	}
	s.keeper.Receive(frame)
}

// TestBulkHoldsUpNothing: while pieces of long messages wait, other frames arrive, and there is room for more.
func TestBulkHoldsUpNothing(t *testing.T) {
	h1, h2, _, w2, _ := directPair(t)
	gate := make(chan struct{})
	h2.mu.Lock()
	h2.world = slow{w2, gate}
	h2.mu.Unlock()
	sent := 0
	for ; h1.Room(1, true); sent++ {
		h1.Send(1, []byte{0x6d, 1}, make([]byte, 256<<10), mpi.BulkWay)
	}
	for i := range 100 {
		require.True(t, h1.Room(1, false))
		h1.Send(1, []byte{0x6d, 2}, []byte{byte(i)}, mpi.OrderedWay)
		eventually(t, "it is there", func() bool { return w2.count() == i+1 })
	}
	close(gate)
	eventually(t, "all frames", func() bool { return w2.count() == sent+100 })
	eventually(t, "room", func() bool { return h1.Room(1, true) })
}

// TestBulkConnectionEnds: pieces of long messages go with the other frames until there is another connection for them.
func TestBulkConnectionEnds(t *testing.T) {
	h1, h2, _, w2, _ := directPair(t)
	h1.redialAfter, h2.redialAfter = time.Hour, time.Hour
	first := h1.directTo("h2")
	h1.laneTo("h2", bulk).end(net.ErrClosed)
	eventually(t, "none", func() bool { return h1.laneTo("h2", bulk) == nil && h2.laneTo("h1", bulk) == nil })
	require.Same(t, first, h1.directTo("h2"), "the other stays")
	for i := range byte(5) {
		n := w2.count()
		eventually(t, "a frame", func() bool {
			h1.Send(1, []byte{0x6d, i}, make([]byte, 256<<10), mpi.BulkWay)
			return w2.count() > n
		})
	}
}

// TestEachConnectionComesBack: whichever of the two connections ends, or both, there are two again soon; offers do not pile up.
func TestEachConnectionComesBack(t *testing.T) {
	h1, h2, _, _, _ := directPair(t)
	for i := range 12 {
		for which := range lanes {
			if i%3 != which { // the other, this one, or both
				n := []*network{h1, h2}[i/3%2]
				d := n.laneTo([]string{"h2", "h1"}[i/3%2], which)
				d.end(net.ErrClosed)
				eventually(t, "it has ended", func() bool { return n.laneTo([]string{"h2", "h1"}[i/3%2], which) != d })
			}
		}
		bothDirect(t, h1, h2)
	}
	for _, l := range []*link{h1.linkTo(1), h2.linkTo(0)} {
		eventually(t, "offers have left", func() bool { l.lock(); defer l.unlock(); return l.offers.bytes == 0 })
	}
}

// TestStreamGivenUp: the stream whose peer takes nothing is given up, not the one after it; and offers that it does not take are few.
func TestStreamGivenUp(t *testing.T) {
	passes := func() bool { return true }
	l := newLink("h1", nil)
	number, by := l.open()
	for range 1000 {
		l.offerDirect(number, talk, by[talk])
	}
	require.Less(t, l.offers.bytes, 2*offersWaiting)
	l.lanes[talk].queue.bytes = queueMaxBytes
	old, ok := l.trySend([]byte("x"), nil, mpi.UrgentWay, passes)
	require.False(t, ok)
	require.Equal(t, number, old)
	l.closed(number)
	next, _ := l.open()
	l.fail(old)
	m, _, err := l.take(next)
	require.NoError(t, err, "the new stream is not given up")
	require.Nil(t, m, "the offers were the old stream's")
	pumped := make(chan error, 1)
	l.wake.Set()
	go func() { pumped <- l.pump(t.Context(), nil, next, func() {}) }()
	require.Eventually(t, func() bool { return len(l.wake) == 0 }, time.Minute, time.Millisecond)
	l.lanes[talk].queue.bytes = queueMaxBytes
	l.send([]byte("x"), nil, mpi.UrgentWay, passes)
	select {
	case err := <-pumped:
		require.ErrorIs(t, err, errQueueFull)
	case <-time.After(time.Minute):
		require.FailNow(t, "who waits for frames does not hear of it")
	}
}

// TestOlderStreamPassesTheWakeOn: a peer may call anew before this side knows the end of the stream before. What still waits for that one's frames
// leaves those of the new one to it.
func TestOlderStreamPassesTheWakeOn(t *testing.T) {
	l := newLink("h1", nil)
	first, _ := l.open()
	next, _ := l.open()
	l.send([]byte("x"), nil, mpi.OrderedWay, func() bool { return true })
	<-l.wake // as the older one's goroutine does
	_, _, err := l.take(first)
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, l.wake, 1)
	m, _, err := l.take(next)
	require.NoError(t, err)
	require.NotNil(t, m)
	m.out.Free()
}
