package executor

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godwit-run/godwit/mpi"
)

// tcpPair are the two ends of a connection.
func tcpPair(t *testing.T) (one, other net.Conn) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // it has done its work
	one, err = new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
	require.NoError(t, err)
	other, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = one.Close(); _ = other.Close() })
	return one, other
}

// taking is a taker of whole frames.
type taking func(frame []byte) bool

func (f taking) offer(frame []byte) bool { return f(frame) }
func (f taking) deliver(frame []byte)    { f(frame) }

func (taking) land([]byte, int, int, bool, func([]byte) int) (int, mpi.Landing) {
	return 0, mpi.LandNone
}

// watched is a lookout at some connections, and their other ends. Nobody runs it.
func watched(t *testing.T, n int, deliver func(frame []byte)) (o *lookout, ends []net.Conn) {
	t.Helper()
	o = newLookout(taking(func(f []byte) bool { deliver(f); return true }))
	o.bed.longest = -time.Second // what is missed hangs
	t.Cleanup(o.close)
	for range n {
		d, other := directOf(t, talk)
		require.NoError(t, o.add(d))
		t.Cleanup(func() { o.remove(d) })
		ends = append(ends, other)
	}
	return o, ends
}

// pollUntil polls, look after look, until stop.
func (o *lookout) pollUntil(stop func(came bool) bool) bool { return o.poll(until(stop)) }

func until(stop func(came bool) bool) func(came bool) mpi.Look {
	return func(came bool) mpi.Look {
		if stop(came) {
			return mpi.LookNoMore
		}
		return mpi.LookAgain
	}
}

// say writes a frame of one number.
func say(t *testing.T, conn net.Conn, n uint32) {
	t.Helper()
	_, err := conn.Write(binary.LittleEndian.AppendUint32([]byte{4, 0, 0, 0}, n))
	require.NoError(t, err)
}

// TestPoll: who polls gets what comes over each connection, in parts too, and nobody else hears of it.
func TestPoll(t *testing.T) {
	for _, n := range []int{1, 2, 2 * lookAt} {
		var got []uint32
		o, ends := watched(t, n, func(f []byte) { got = append(got, binary.LittleEndian.Uint32(f)) })
		polled := func(want int) {
			t.Helper()
			deadline := time.Now().Add(testWait)
			require.True(t, o.pollUntil(func(bool) bool { return len(got) == want || time.Now().After(deadline) }))
			require.Len(t, got, want)
			require.Zero(t, o.lookers.Load())
		}
		for i, conn := range ends {
			say(t, conn, uint32(i))
		}
		polled(n)
		_, err := ends[0].Write([]byte{4, 0, 0, 0, 7, 0})
		require.NoError(t, err)
		for looks := 0; looks < 3; {
			o.pollUntil(func(bool) bool { looks++; return looks == 3 })
		}
		polled(n)
		_, err = ends[0].Write([]byte{0, 0, 4})
		require.NoError(t, err)
		polled(n + 1)
		require.Equal(t, uint32(7), got[n])
	}
	o, _ := watched(t, 0, nil)
	require.False(t, o.pollUntil(func(bool) bool { panic("nothing is looked at") }))
}

// TestTalkDoesNotStarveBulk: also where a connection that is looked at first always has something, others are looked at.
func TestTalkDoesNotStarveBulk(t *testing.T) {
	var ends []net.Conn
	bulkCame, others := false, 0
	o, ends := watched(t, 1, func(f []byte) {
		if binary.LittleEndian.Uint32(f) == 7 {
			bulkCame = true
			return
		}
		others++
		say(t, ends[0], 1) // there is always another
	})
	d, other := directOf(t, bulk)
	require.NoError(t, o.add(d))
	t.Cleanup(func() { o.remove(d) })
	say(t, other, 7)
	say(t, ends[0], 1)
	deadline := time.Now().Add(testWait)
	require.True(t, o.pollUntil(func(bool) bool { return bulkCame || time.Now().After(deadline) }))
	require.True(t, bulkCame, "after %d others", others)
	require.Positive(t, others)
}

// TestPollKeepsTheGateShut: what comes while a rank looks, or soon after, wakes nobody else; when the gate is opened, what was not taken does.
func TestPollKeepsTheGateShut(t *testing.T) {
	o, ends := watched(t, 2, func([]byte) {})
	hears := func() (is bool) {
		return o.ready.Control(func(gate uintptr) { is = told(gate) }) == nil && is
	}
	require.True(t, o.pollUntil(func(bool) bool {
		say(t, ends[0], 1)
		eventually(t, "it is there", func() bool { return o.some(make([]unix.EpollEvent, 1)) == 1 })
		require.False(t, hears())
		return true
	}))
	require.False(t, hears())
	require.True(t, o.minded.Load(), "run is to open it")
	o.unbar()
	require.True(t, hears())
	require.False(t, hears(), "once")
}

// TestLooksForOthers: when a rank leaves while others of its World wait for what comes, somebody looks at once: the gate is open, and nobody minds it any more.
func TestLooksForOthers(t *testing.T) {
	var got atomic.Uint32
	o, ends := watched(t, 2, func([]byte) { got.Add(1) })
	o.away = time.Hour
	for _, how := range []mpi.Look{mpi.LookForUs, mpi.LookLater} {
		o.poll(func(bool) mpi.Look { return mpi.LookNoMore })
		require.True(t, o.minded.Load())
		require.False(t, o.open.Load())
		o.bed.mu.Lock() // another sleeps, which has not said yet that it looks
		o.poll(func(bool) mpi.Look { return how })
		o.bed.mu.Unlock()
		require.True(t, o.open.Load())
		require.False(t, o.minded.Load())
		require.Len(t, o.stir, 1)
		<-o.stir
	}
	o.poll(func(bool) mpi.Look { return mpi.LookForUs })
	require.Empty(t, o.stir, "nobody minded it")

	ctx, cancel := context.WithCancel(t.Context())
	o.poll(func(bool) mpi.Look { return mpi.LookNoMore })
	var heard atomic.Bool
	go func() { heard.Store(o.mind(ctx)) }()
	o.poll(func(bool) mpi.Look { return mpi.LookForUs })
	eventually(t, "who minds it hears of it", heard.Load)
	ended := make(chan error, 1)
	go func() { ended <- o.run(ctx) }()
	for i := range uint32(200) {
		for range i % 3 { // it may be minding
			o.poll(func(bool) mpi.Look { return mpi.LookNoMore })
		}
		o.poll(func(bool) mpi.Look { return mpi.LookForUs })
		say(t, ends[i%2], i)
		eventually(t, "it has come", func() bool { return got.Load() == i+1 })
	}
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
}

// TestMindsNoSleeper: while a rank sleeps in the kernel the gate stays shut, and nobody minds it; when that rank has left somebody does.
func TestMindsNoSleeper(t *testing.T) {
	o, _ := watched(t, 2, func([]byte) {})
	o.away = time.Nanosecond
	o.poll(func(bool) mpi.Look { return mpi.LookNoMore })
	require.True(t, o.minded.Load())
	var over atomic.Bool
	left := make(chan struct{})
	go func() {
		o.poll(func(bool) mpi.Look {
			if over.Load() {
				return mpi.LookNoMore
			}
			return mpi.LookLater
		})
		close(left)
	}()
	eventually(t, "it sleeps", o.bed.asleep.Load)
	require.False(t, o.mind(t.Context()))
	require.False(t, o.minded.Load())
	require.False(t, o.open.Load())
	over.Store(true)
	o.wake()
	<-left
	require.True(t, o.minded.Load())
	require.False(t, o.open.Load())
}

// TestUnbarAgainstLookers: who opens the gate while a rank begins to look shuts it again; and opens it again if that rank has left by then, and found it open.
func TestUnbarAgainstLookers(t *testing.T) {
	o, _ := watched(t, 2, func([]byte) {})
	openGate, shutGate := o.openGate, o.shutGate
	var opened, shut int
	leaves := false
	o.openGate = func(gate uintptr) {
		openGate(gate)
		if opened++; opened == 1 {
			o.lookers.Add(1)
		}
	}
	o.shutGate = func(gate uintptr) {
		shutGate(gate)
		if shut++; leaves {
			o.lookers.Add(-1)
		}
	}
	o.unbar()
	require.False(t, o.open.Load(), "it looks")
	require.Equal(t, []int{1, 1}, []int{opened, shut})
	o.lookers.Add(-1)
	opened, shut, leaves = 0, 0, true
	o.unbar()
	require.True(t, o.open.Load(), "nobody looks")
	require.Equal(t, []int{2, 1}, []int{opened, shut})
}

// TestSleepsInTheKernel: a rank that sleeps wakes when something comes, and when it is woken, also if that is before it lies down; there is room for one.
func TestSleepsInTheKernel(t *testing.T) {
	var got atomic.Uint32
	o, ends := watched(t, 2, func([]byte) { got.Add(1) })
	asked := make(chan struct{}, 100)
	sleep := func(until func() bool) <-chan bool {
		done := make(chan bool, 1)
		go func() {
			done <- o.poll(func(bool) mpi.Look {
				select {
				case asked <- struct{}{}:
				default:
				}
				if until() {
					return mpi.LookNoMore
				}
				return mpi.LookLater
			})
		}()
		return done
	}
	lies := func() {
		t.Helper()
		eventually(t, "it sleeps", o.bed.asleep.Load)
		<-asked // before it, and
		<-asked // when wake is heard
	}
	done := sleep(func() bool { return got.Load() == 1 })
	lies()
	say(t, ends[1], 1)
	require.True(t, <-done)

	var stop atomic.Bool
	done = sleep(stop.Load)
	lies()
	require.True(t, o.poll(func(bool) mpi.Look { return mpi.LookLater }), "there is no room: it returns")
	stop.Store(true)
	o.wake()
	require.True(t, <-done)

	times := 0
	require.True(t, o.poll(func(bool) mpi.Look { // woken between the question and the sleep
		if times++; times == 2 {
			o.wake()
			return mpi.LookLater
		}
		if times > 2 {
			return mpi.LookNoMore
		}
		return mpi.LookLater
	}))
	require.Equal(t, 3, times)
}

// TestSleeperLeavesBeforeTheEnd: who sleeps is woken when the lookout closes, which waits for it.
func TestSleeperLeavesBeforeTheEnd(t *testing.T) {
	o := newLookout(taking(func([]byte) bool { return true }))
	one, _ := tcpPair(t)
	d, err := newDirect(one, talk)
	require.NoError(t, err)
	t.Cleanup(func() { _ = d.file.Close() })
	require.NoError(t, o.add(d))
	done := make(chan bool, 1)
	go func() { done <- o.poll(func(bool) mpi.Look { return mpi.LookLater }) }()
	eventually(t, "it sleeps", o.bed.asleep.Load)
	o.close()
	require.True(t, <-done)
	require.False(t, o.bed.sleep(func(bool) mpi.Look { return mpi.LookLater }), "nobody sleeps here any more")
	o.wake()
}

// TestNobodyWaitsForTheLookout: whenever ranks begin and end to look, a frame that comes after the last of them is taken.
func TestNobodyWaitsForTheLookout(t *testing.T) {
	var got atomic.Uint32
	o, ends := watched(t, 2, func([]byte) { got.Add(1) })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- o.run(ctx) }()
	for round := range 300 {
		var ranks sync.WaitGroup
		for i := range 3 {
			rnd := rand.New(rand.NewPCG(uint64(round), uint64(i))) //nolint:gosec // a test's
			ranks.Go(func() {
				for range rnd.IntN(4) {
					left, asleep := rnd.IntN(20), rnd.IntN(2) == 0
					o.poll(func(bool) mpi.Look {
						switch left--; {
						case left < 0:
							return mpi.LookNoMore
						case asleep && left < 3:
							go o.wake() // it sleeps once or twice
							return mpi.LookLater
						}
						return mpi.LookAgain
					})
				}
			})
		}
		for i, conn := range ends {
			say(t, conn, uint32(i))
		}
		ranks.Wait()
		eventually(t, "all frames", func() bool { return got.Load() == uint32(2*(round+1)) })
	}
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
}

// TestPollFindsTheEnd: a connection that ends, or that carries nonsense, has failed for whoever has it; nothing more is taken from it, and what came before
// was given once.
func TestPollFindsTheEnd(t *testing.T) {
	got := 0
	o, ends := watched(t, 2, func([]byte) { got++ })
	require.NoError(t, ends[0].Close())
	long := make([]byte, frameBytes)
	binary.LittleEndian.PutUint32(long, frameBytes-4-8)
	for i := frameBytes - 8; i < frameBytes; i++ {
		long[i] = 0xff
	}
	go func() {
		_, _ = ends[1].Write(slices.Concat(long, bytes.Repeat([]byte{0xff}, frameBytes))) // until it is shut
	}()
	for id, want := range map[int32]error{1: net.ErrClosed, 2: errMalformed} {
		d := o.conns[id]
		o.pollUntil(func(bool) bool { return d.failed() != nil })
		require.ErrorIs(t, d.failed(), want)
		d.end(errors.New("another"))
		require.ErrorIs(t, d.failed(), want, "the first is kept")
	}
	for looks := 0; looks < 100; {
		o.pollUntil(func(bool) bool { looks++; return looks == 100 })
	}
	require.Equal(t, 1, got)
}

// TestStuckConnection: a frame whose rank takes none now keeps its connection, and no other, from being looked at until who waits for it has given it away,
// in order.
func TestStuckConnection(t *testing.T) {
	var got []uint32
	taken := taking(func(f []byte) bool { got = append(got, binary.LittleEndian.Uint32(f)); return true })
	o, ends := watched(t, 2, nil)
	o.taker = taking(func(f []byte) bool { return binary.LittleEndian.Uint32(f) < 10 && taken(f) })
	d := o.conns[1]
	looks := func(n int) {
		for i := 0; i < n; {
			o.pollUntil(func(bool) bool { i++; return i == n })
		}
	}
	for _, n := range []uint32{1, 10, 2} { // 2 is behind 10
		say(t, ends[0], n)
	}
	o.pollUntil(func(bool) bool { return len(d.left) == 1 })
	require.False(t, d.quiet())
	say(t, ends[0], 3)
	say(t, ends[1], 4)
	deadline := time.Now().Add(testWait)
	o.pollUntil(func(bool) bool { return len(got) == 2 || time.Now().After(deadline) })
	looks(50)
	require.Equal(t, []uint32{1, 4}, got)
	require.False(t, d.quiet())
	require.NoError(t, ends[0].(*net.TCPConn).CloseWrite())
	looks(50)
	require.Zero(t, o.some(make([]unix.EpollEvent, lookAt)), "nobody is told of it, nor of its end")
	<-d.left
	d.goOn(taken)
	o.attend(d)
	o.pollUntil(func(bool) bool { return len(got) == 5 || time.Now().After(deadline) })
	require.Equal(t, []uint32{1, 4, 10, 2, 3}, got)
	require.True(t, d.quiet())
	d.reading.Lock() // somebody looks
	require.True(t, d.quiet())
	d.reading.Unlock()
}

// TestDirectAllocatesNothing: a frame's way over a direct connection makes no garbage, short or long.
func TestDirectAllocatesNothing(t *testing.T) {
	h1, h2, _, _, _ := directPair(t)
	var got atomic.Uint32
	h2.mu.Lock()
	h2.world = heard(func() { got.Add(1) })
	h2.mu.Unlock()
	head := make([]byte, 80)
	for _, payload := range [][]byte{make([]byte, 8), make([]byte, 8<<10), make([]byte, 200<<10)} {
		var want uint32
		stop := until(func(bool) bool { return got.Load() == want })
		require.Zero(t, int(testing.AllocsPerRun(200, func() {
			want = got.Load() + 1
			h1.Send(1, head, payload, mpi.OrderedWay)
			h2.Poll(stop)
		})), "%d bytes", len(payload))
	}
}
