package executor

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi"
)

// moody is a taker that lands long payloads, or does not, as it likes, and checks that all come in order and whole.
type moody struct {
	t      *testing.T
	random *rand.Rand
	place  []byte
	next   uint32 // number of the frame that comes next
	at     int    // of its payload has landed
	landed int
	lost   int // payloads that were let go in the midst
	whole  int
	late   int
}

// mooded writes a frame of a number: the header has it behind the magic, each byte of the payload is of it.
func mooded(number uint32, size int) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(mpi.HeaderBytes+size))
	b = binary.LittleEndian.AppendUint32(b, number)
	b = append(b, make([]byte, mpi.HeaderBytes-4+size)...)
	for i := range size {
		b[4+mpi.HeaderBytes+i] = byte(number) + byte(i)
	}
	return b
}

func (m *moody) payload(b []byte) {
	m.t.Helper()
	for i, x := range b {
		if x != byte(m.next)+byte(i) {
			require.FailNow(m.t, "wrong byte", "frame %d, byte %d", m.next, i)
		}
	}
}

func (m *moody) offer(f []byte) bool {
	if m.random.IntN(10) == 0 {
		m.late++
		return false
	}
	m.deliver(f)
	return true
}

func (m *moody) deliver(f []byte) {
	require.Equal(m.t, m.next, binary.LittleEndian.Uint32(f))
	require.Zero(m.t, m.at, "none is under way")
	m.payload(f[mpi.HeaderBytes:])
	m.next++
	m.whole++
}

func (m *moody) land(head []byte, size, at int, wait bool, read func(place []byte) int) (int, mpi.Landing) {
	require.Equal(m.t, m.next, binary.LittleEndian.Uint32(head))
	require.Equal(m.t, m.at, at)
	switch mood := m.random.IntN(20); {
	case mood == 0 && at > 0:
		m.next, m.at = m.next+1, 0
		m.lost++
		return 0, mpi.LandNone
	case mood < 3 && at == 0:
		return 0, mpi.LandNone
	case mood < 3 && !wait:
		m.late++
		return 0, mpi.LandLate
	}
	if at == 0 {
		m.place = make([]byte, size)
	}
	n := read(m.place[at:])
	if at > 0 {
		require.LessOrEqual(m.t, n, landAtOnce)
	}
	if m.at = at + n; m.at == size {
		m.payload(m.place)
		m.next, m.at = m.next+1, 0
		m.landed++
	}
	return n, mpi.Landed
}

// TestLanding: whatever comes of payloads that are read straight to their places, all frames come in order, and each is whole, but those that were let go in the
// midst.
func TestLanding(t *testing.T) {
	seed := rand.Uint64() //nolint:gosec // a test's
	if text := os.Getenv("GODWIT_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("GODWIT_SEED=%d", seed)
	const frames = 400
	m := &moody{t: t, random: rand.New(rand.NewPCG(seed, 1))} //nolint:gosec // a test's
	o := newLookout(m)
	t.Cleanup(o.close)
	d, other := directOf(t, talk)
	require.NoError(t, o.add(d))
	t.Cleanup(func() { o.remove(d) })
	written := make(chan error, 1)
	go func() {
		random := rand.New(rand.NewPCG(seed, 2)) //nolint:gosec // a test's
		var b []byte
		for i := range uint32(frames) {
			b = append(b, mooded(i, []int{0, 8, 5000, landBytes, 100_000, 256 << 10, frameBytes - 4 - mpi.HeaderBytes}[random.IntN(7)])...)
			for n := random.IntN(len(b)); n > 0 || i == frames-1 && len(b) > 0; n = len(b) {
				if _, err := other.Write(b[:n]); err != nil {
					written <- err
					return
				}
				if b = b[n:]; i < frames-1 {
					break
				}
			}
		}
		written <- nil
	}()
	deadline := time.Now().Add(testWait)
	for (m.next < frames || d.skip > 0) && d.failed() == nil && time.Now().Before(deadline) {
		o.pollUntil(func(bool) bool {
			return m.next == frames && d.skip == 0 || len(d.left) > 0 || d.failed() != nil || time.Now().After(deadline)
		})
		if len(d.left) > 0 {
			<-d.left
			d.goOn(m)
			o.attend(d)
		}
	}
	require.NoError(t, d.failed())
	require.NoError(t, <-written)
	require.EqualValues(t, frames, m.next)
	require.Equal(t, frames, m.whole+m.landed+m.lost)
	for what, n := range map[string]int{"whole": m.whole, "landed": m.landed, "lost": m.lost, "late": m.late} {
		require.NotZero(t, n, what)
	}
	require.True(t, d.quiet())
}
