package transport

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"
)

// mustEnd counts the ends of requests.
func mustEnd(ends *atomic.Int32) func() { return func() { ends.Add(1) } }

// come notes that n bytes of a request's message have come in all.
func come(e *entry, n int) error {
	held := int64(halfGrowth * n)
	return e.has(held, int(max(0, entryBase+held-e.cost)/halfGrowth))
}

// TestHalvesShort: when the halves are too many, those go that hold much and send nothing; one that sends slowly, one that has just begun
// and a large one that comes quickly stay.
func TestHalvesShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newHalves(4<<20, time.Hour)
		var ends atomic.Int32
		slow := a.begin(netip.Addr{}, mustEnd(&ends))
		defer slow.close()
		var stopped []*entry
		for range 6 { // 512 KiB each and the base
			h := a.begin(netip.Addr{}, mustEnd(&ends))
			require.NoError(t, come(h, 256<<10))
			stopped = append(stopped, h)
		}
		for i := range 20 {
			time.Sleep(time.Second)
			require.NoError(t, come(slow, (i+1)*(10<<10)))
		}
		large := a.begin(netip.Addr{}, mustEnd(&ends))
		for n := 64 << 10; n <= 1<<20; n += 64 << 10 {
			time.Sleep(time.Millisecond)
			require.NoError(t, come(large, n))
		}
		fresh := a.begin(netip.Addr{}, mustEnd(&ends))
		require.NoError(t, fresh.why())
		require.NoError(t, slow.why())
		require.NoError(t, large.why())
		lost := 0
		for _, h := range stopped {
			if err := h.why(); err != nil {
				require.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(err))
				lost++
			}
			h.close()
		}
		require.EqualValues(t, lost, ends.Load(), "each is woken once")
		require.Positive(t, lost)
		require.Less(t, lost, len(stopped), "no more go than must")
		fresh.close()
		large.whole()
		large.close()
		slow.close()
		require.Zero(t, a.held)
		require.Zero(t, a.going)
		require.Empty(t, a.open)
	})
}

// TestHalvesBound: however many requests come, no more is held than may be and what is on its way out; drops now and then save none.
func TestHalvesBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newHalves(4<<20, time.Hour)
		var all []*entry
		for range 1000 {
			h := a.begin(netip.Addr{}, func() {})
			all = append(all, h)
			for n := range 10 {
				_ = come(h, n*(10<<10))
			}
			require.LessOrEqual(t, a.held-a.going, a.most)
			time.Sleep(time.Millisecond)
			for n, h := range all {
				if h.why() != nil {
					h.close()
				} else if n%2 == 0 {
					_ = come(h, 100<<10+1)
				}
			}
			require.LessOrEqual(t, a.held-a.going, a.most)
		}
		for _, h := range all {
			h.close()
		}
		require.Zero(t, a.held)
		require.Zero(t, a.going)
	})
}

// TestHalvesStill: a message that stands still ends its request, one that drips does not, nor does a stream between messages.
func TestHalvesStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newHalves(1<<20, time.Minute)
		var ends atomic.Int32
		still, drips, between := a.begin(netip.Addr{}, mustEnd(&ends)), a.begin(netip.Addr{}, func() {}), a.begin(netip.Addr{}, func() {})
		defer still.close()
		defer drips.close()
		defer between.close()
		require.NoError(t, come(still, 10))
		between.whole()
		for i := range 10 {
			time.Sleep(59 * time.Second)
			require.NoError(t, come(drips, i+1))
		}
		require.EqualValues(t, 1, ends.Load())
		require.Equal(t, connect.CodeUnavailable, connect.CodeOf(still.why()))
		time.Sleep(10 * time.Hour)
		require.NoError(t, between.why())
		require.Error(t, drips.why())
		require.NoError(t, come(between, 1))
		time.Sleep(time.Minute + time.Second)
		require.Error(t, between.why(), "the next message is looked at, too")
	})
}

// TestUnreadsShort: when too much is held for answers, those go who take nothing, though they began last; who takes steadily
// stays, however long it has been at it, and so does a small answer.
func TestUnreadsShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size, n = 1 << 20, 16
		a := newUnreads(n*(entryBase+size), time.Hour)
		var ends atomic.Int32
		answer := func() *entry {
			e := a.begin(netip.Addr{}, mustEnd(&ends))
			require.NoError(t, e.has(size, 0))
			return e
		}
		var honest []*entry
		for range n - 3 { // one begins after the other, and each takes what is twice the floor
			honest = append(honest, answer())
			for _, e := range honest {
				require.NoError(t, e.has(size, writePart))
			}
			time.Sleep(floorTime * writePart / floorBytes / 2)
		}
		var deaf []*entry
		for range 3 {
			deaf = append(deaf, answer())
			time.Sleep(time.Minute)
			for _, e := range honest {
				require.NoError(t, e.has(size, 10*writePart))
			}
		}
		require.Zero(t, ends.Load())
		small := a.begin(netip.Addr{}, mustEnd(&ends))
		require.EqualValues(t, 3, ends.Load(), "with the small one they are too many, and an eighth of room is made")
		for _, e := range deaf {
			require.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(e.why()))
			require.Error(t, e.has(size, writePart), "it is over")
			e.close()
		}
		require.NoError(t, small.why())
		small.close()
		for _, e := range honest {
			e.close()
		}
		require.Zero(t, a.held)
		require.Zero(t, a.going)
	})
}
