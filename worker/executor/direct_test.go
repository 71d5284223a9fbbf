package executor

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"
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

// directPair are two networks with a direct connection.
func directPair(t *testing.T) (h1, h2 *network, w1, w2 *keeper, addr string) {
	t.Helper()
	h1, h2, addr, _ = twoNetworks(t)
	w1, w2 = new(keeper), new(keeper)
	h1.world, h2.world = w1, w2
	h2.route(table(1, addr, "h1", "h2"))
	h1.route(table(1, addr, "h1", "h2"))
	bothDirect(t, h1, h2)
	return h1, h2, w1, w2, addr
}

func bothDirect(t *testing.T, h1, h2 *network) {
	t.Helper()
	eventually(t, "a direct connection", func() bool { return h1.directTo("h2") != nil && h2.directTo("h1") != nil })
}

func (n *network) directTo(host string) *direct {
	n.mu.RLock()
	l := n.links[host]
	n.mu.RUnlock()
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.direct
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
		h1.Send(1, head, payload, false)
		head, payload = numbered(i)
		h2.Send(0, head, payload, false)
	}
	require.False(t, h1.Room(1), "it waits")
	w2.mu.Unlock()
	for _, w := range []*keeper{w1, w2} {
		eventually(t, "all frames", func() bool { return w.count() == n })
		for i := range n {
			head, payload := numbered(i)
			require.True(t, bytes.Equal(append(head, payload...), w.frames[i]), "frame %d", i)
		}
	}
	eventually(t, "room", func() bool { w1.mu.Lock(); defer w1.mu.Unlock(); return w1.rooms > 0 })
	require.True(t, h1.Room(1))
}

// TestDirectConnectionEnds: when it does the stream goes on as a new route, until there is another.
func TestDirectConnectionEnds(t *testing.T) {
	h1, h2, w1, w2, _ := directPair(t)
	for i := range 5 {
		d := h1.directTo("h2")
		w1.mu.Lock()
		before := w1.routes
		w1.mu.Unlock()
		d.end(net.ErrClosed)
		eventually(t, "a new route", func() bool { w1.mu.Lock(); defer w1.mu.Unlock(); return w1.routes > before })
		eventually(t, "another connection", func() bool { n := h1.directTo("h2"); return n != nil && n != d })
		bothDirect(t, h1, h2)
		eventually(t, "a frame", func() bool {
			h1.Send(1, []byte{0x6d, byte(i)}, nil, false)
			w2.mu.Lock()
			defer w2.mu.Unlock()
			return len(w2.frames) > 0 && w2.frames[len(w2.frames)-1][1] == byte(i)
		})
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
