package pages

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// mapped is memory that is no Go memory, as a guest's.
func mapped(t testing.TB, size int) []byte {
	t.Helper()
	m, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	require.NoError(t, err)
	t.Cleanup(func() { _ = unix.Munmap(m) })
	return m
}

// pair is a sender, and a receiver whose memory grows.
type pair struct {
	t        testing.TB
	sender   *Sender
	receiver *Receiver
	whole    []byte // the receiver's mapping
	there    []byte // as much as it has grown to
}

func newPair(t testing.TB, memory []byte, w *Watch) *pair {
	t.Helper()
	t.Cleanup(w.Close)
	p := &pair{t: t, whole: mapped(t, len(memory))}
	p.sender = NewSender(func() []byte { return memory }, w)
	p.receiver = NewReceiver(func() []byte { return p.there }, func(n int) error {
		if n*Bytes > len(p.whole) {
			return errors.New("no more")
		}
		p.there = p.whole[:n*Bytes]
		return nil
	})
	return p
}

// round sends a round over so many streams.
func (p *pair) round(streams int, still bool) Stats {
	p.t.Helper()
	to := make([]io.Writer, streams)
	var wg sync.WaitGroup
	errs := make([]error, streams)
	for i := range to {
		r, w := io.Pipe()
		to[i] = w
		wg.Go(func() {
			var last bool
			last, errs[i] = p.receiver.Round(r)
			if errs[i] == nil && last != still {
				errs[i] = fmt.Errorf("last is %t", last)
			}
			_ = r.CloseWithError(errs[i])
		})
	}
	stats, err := p.sender.Round(to, still, still)
	require.NoError(p.t, err)
	wg.Wait()
	require.NoError(p.t, errors.Join(errs...))
	return stats
}

func (p *pair) same(memory []byte) {
	p.t.Helper()
	require.True(p.t, bytes.Equal(memory, p.there))
	sent, came := sha256.New(), sha256.New()
	p.sender.HashInto(sent)
	p.receiver.HashInto(came)
	require.Equal(p.t, sent.Sum(nil), came.Sum(nil))
	p.receiver.sums[0]++
	came.Reset()
	p.receiver.HashInto(came)
	p.receiver.sums[0]--
	require.NotEqual(p.t, sent.Sum(nil), came.Sum(nil))
}

// watches are the ways in which this machine can tell, by name.
func watches(t testing.TB) map[string]func(mapping []byte) *Watch {
	t.Helper()
	all := map[string]func([]byte) *Watch{"guess": func([]byte) *Watch { return NewGuess() }}
	if canTrack() {
		all["kernel"] = NewWatch
	}
	return all
}

// TestKernelTells: this test's machine is one on which the kernel tells of writes, or is too old for it: a change to the probe must not turn all of them to guesses.
func TestKernelTells(t *testing.T) {
	var uts unix.Utsname
	require.NoError(t, unix.Uname(&uts))
	var major, minor int
	_, err := fmt.Sscanf(unix.ByteSliceToString(uts.Release[:]), "%d.%d", &major, &minor)
	require.NoError(t, err)
	switch err := tryTracking(); {
	case major < 6 || major == 6 && minor < 7:
		require.Error(t, err)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EINVAL):
		t.Skipf("this machine does not allow it: %v", err)
	default:
		require.NoError(t, err)
	}
}

func rnd(t testing.TB) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// scribble writes to pages of a memory: bytes, and zeros.
func scribble(r *rand.Rand, memory []byte, times int) {
	for range times {
		at := r.IntN(len(memory))
		if r.IntN(3) == 0 {
			clear(memory[at/Bytes*Bytes : (at/Bytes+1)*Bytes])
			continue
		}
		end := min(len(memory), at+1+r.IntN(3*Bytes))
		for i := at; i < end; i += 1 + r.IntN(100) {
			memory[i] = byte(r.Uint32())
		}
	}
}

// Each round brings the receiver what the sender has, whoever tells of writes and however many streams there are, also as the memory grows.
func TestRounds(t *testing.T) {
	for name, watch := range watches(t) {
		for _, streams := range []int{1, 3} {
			t.Run(fmt.Sprint(name, streams), func(t *testing.T) {
				r := rnd(t)
				mapping := mapped(t, 8<<20)
				size := 2 << 20
				p := newPair(t, mapping, watch(mapping))
				p.sender.memory = func() []byte { return mapping[:size] }
				for i := range 12 {
					scribble(r, mapping[:size], r.IntN(300))
					stats := p.round(streams, i == 11)
					p.same(mapping[:size])
					require.LessOrEqual(t, stats.Memory, int64(size))
					size = min(size+r.IntN(8)*64<<10, len(mapping))
				}
			})
		}
	}
}

// What is written while a round goes on comes with the next.
func TestWritesMeanwhile(t *testing.T) {
	for name, watch := range watches(t) {
		t.Run(name, func(t *testing.T) {
			r := rnd(t)
			memory := mapped(t, 4<<20)
			p := newPair(t, memory, watch(memory))
			var stop atomic.Bool
			var wrote sync.WaitGroup
			wrote.Go(func() {
				for !stop.Load() {
					scribble(r, memory, 1)
				}
			})
			for range 20 {
				p.round(2, false)
			}
			stop.Store(true)
			wrote.Wait()
			p.round(2, true)
			p.same(memory)
		})
	}
}

// A round costs what was written, and nothing where nothing was.
func TestRoundCostsWhatChanged(t *testing.T) {
	for name, watch := range watches(t) {
		t.Run(name, func(t *testing.T) {
			memory := mapped(t, 16<<20)
			for i := range memory {
				memory[i] = byte(i>>12) | 1
			}
			p := newPair(t, memory, watch(memory))
			require.EqualValues(t, len(memory), p.round(1, false).Memory)
			require.Zero(t, p.round(1, false).Memory)
			memory[5<<20], memory[9<<20] = 0, 0
			clear(memory[7<<20 : 8<<20])
			stats := p.round(1, true)
			require.EqualValues(t, 2*max(Bytes, os.Getpagesize()), stats.Memory)
			require.Less(t, stats.Wire, stats.Memory+64*headBytes)
			p.same(memory)
		})
	}
}

// A receiver that begins anew gets everything.
func TestReset(t *testing.T) {
	for name, watch := range watches(t) {
		t.Run(name, func(t *testing.T) {
			r := rnd(t)
			memory := mapped(t, 4<<20)
			p := newPair(t, memory, watch(memory))
			scribble(r, memory, 500)
			p.round(1, false)
			scribble(r, memory, 50)
			clear(p.there)
			p.receiver.Reset()
			p.sender.Reset()
			p.round(1, false)
			p.same(memory)
			scribble(r, memory, 50)
			p.round(1, true)
			p.same(memory)
		})
	}
}

// A kernel that tells no more is done without: what it has not told is found.
func TestWatchThatFails(t *testing.T) {
	if !canTrack() {
		t.Skip("the kernel does not tell of writes")
	}
	r := rnd(t)
	memory := mapped(t, 4<<20)
	w := NewWatch(memory)
	require.False(t, w.Guesses())
	p := newPair(t, memory, w)
	scribble(r, memory, 500)
	p.round(1, false)
	for i := range 3 {
		if i == 1 {
			require.NoError(t, unix.Close(w.tracker.fd))
			w.tracker.fd = -1
			_, err := unix.MmapPtr(-1, 0, unsafe.Pointer(unsafe.SliceData(memory)), Bytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_FIXED)
			require.NoError(t, err)
		}
		scribble(r, memory, 50)
		for n := range p.sender.sums { // as if the pages had been written to while they were read
			if now := sum(pagesOf(memory, Run{n, 1})); i == 1 && now != 0 {
				p.sender.sums[n] = now
				p.there[n*Bytes] ^= 1
			}
		}
		p.round(1, i == 2)
		require.Equal(t, i > 0, w.Guesses())
		p.same(memory)
	}
}

// slow takes a while for each write.
type slow struct{ io.Writer }

func (s slow) Write(b []byte) (int, error) {
	time.Sleep(time.Duration(len(b)) * time.Second / (20 << 20))
	return s.Writer.Write(b)
}

// Only where a stream is slow is what it takes compressed.
func TestSlowStreamIsCompressed(t *testing.T) {
	memory := mapped(t, 4<<20)
	for i := range memory {
		memory[i] = byte(i >> 8)
	}
	for _, packs := range []bool{false, true} {
		p := newPair(t, memory, NewGuess())
		p.sender.pack = packs
		stats := p.round(2, false)
		require.EqualValues(t, len(memory), stats.Memory)
		require.Equal(t, packs, stats.Wire < stats.Memory/4, "%d", stats.Wire)
		p.same(memory)
	}
	s := NewSender(func() []byte { return memory }, NewGuess())
	_, err := s.Round([]io.Writer{slow{io.Discard}}, false, false)
	require.NoError(t, err)
	require.True(t, s.pack)
}

// What is put in the place of written memory and was never touched is zero for the receiver, too, as where a shared window ends; and the kernel, which watches such a place no more, is not believed.
func TestReplacedMemory(t *testing.T) {
	for name, watch := range watches(t) {
		t.Run(name, func(t *testing.T) {
			r := rnd(t)
			memory := mapped(t, 4<<20)
			for i := range memory {
				memory[i] = 1
			}
			p := newPair(t, memory, watch(memory))
			p.round(1, false)
			place := memory[1<<20 : 2<<20]
			_, err := unix.MmapPtr(-1, 0, unsafe.Pointer(unsafe.SliceData(place)), uintptr(len(place)), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_FIXED)
			require.NoError(t, err)
			p.round(1, false)
			p.same(memory)
			scribble(r, memory, 50)
			p.round(2, true)
			p.same(memory)
		})
	}
}

// stuck is a stream that takes nothing.
type stuck struct{ io.Writer }

func (stuck) SetWriteDeadline(at time.Time) error {
	if d := time.Until(at); d <= 0 || d > patience {
		return fmt.Errorf("a deadline in %s", d)
	}
	return os.ErrDeadlineExceeded
}

// A stream that takes nothing has failed after a while, and a failed one fails the round.
func TestStuckStream(t *testing.T) {
	memory := mapped(t, 1<<20)
	memory[0] = 1
	for _, to := range [][]io.Writer{{stuck{}}, {io.Discard, stuck{}}} {
		_, err := NewSender(func() []byte { return memory }, NewGuess()).Round(to, false, false)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	}
}

// What is no round is refused, and fills nothing but the memory.
func TestBadRounds(t *testing.T) {
	head := func(f frame) []byte {
		b := make([]byte, headBytes)
		f.put(b)
		return b
	}
	size := head(frame{kind: frameSize, first: 4})
	for name, rest := range map[string][]byte{
		"no size":       head(frame{kind: frameEnd, count: 1}),
		"two sizes":     bytes.Join([][]byte{size, size}, nil),
		"beyond":        bytes.Join([][]byte{size, head(frame{kind: frameZero, first: 4, count: 1})}, nil),
		"far beyond":    bytes.Join([][]byte{size, head(frame{kind: frameZero, first: ^uint32(0), count: 64})}, nil),
		"none":          bytes.Join([][]byte{size, head(frame{kind: frameZero, first: 1})}, nil),
		"many":          bytes.Join([][]byte{size, head(frame{kind: frameZero, count: 65})}, nil),
		"short":         bytes.Join([][]byte{size, head(frame{kind: framePlain, count: 1, length: 7})}, nil),
		"zero has some": bytes.Join([][]byte{size, head(frame{kind: frameZero, count: 1, length: 7})}, nil),
		"unknown":       bytes.Join([][]byte{size, head(frame{kind: 77, count: 1})}, nil),
		"packed long":   bytes.Join([][]byte{size, head(frame{kind: framePacked, count: 1, length: Bytes})}, nil),
		"packed junk":   bytes.Join([][]byte{size, head(frame{kind: framePacked, count: 1, length: 7}), []byte("1234567")}, nil),
		"lost frames":   bytes.Join([][]byte{size, head(frame{kind: frameEnd, count: 2})}, nil),
	} {
		p := newPair(t, mapped(t, 8*Bytes), NewGuess())
		_, err := p.receiver.Round(bytes.NewReader(append(rest, make([]byte, 1<<20)...)))
		require.ErrorIs(t, err, ErrProtocol, name)
	}
	p := newPair(t, mapped(t, 8*Bytes), NewGuess())
	_, err := p.receiver.Round(bytes.NewReader(head(frame{kind: frameSize, first: 9})))
	require.ErrorContains(t, err, "no more")
	_, err = p.receiver.Round(bytes.NewReader(size))
	require.ErrorIs(t, err, io.EOF)
}

func FuzzRound(f *testing.F) {
	memory := make([]byte, 8*Bytes)
	memory[5000] = 1
	for _, pack := range []bool{false, true} {
		var b bytes.Buffer
		s := NewSender(func() []byte { return memory }, NewGuess())
		s.pack = pack
		if _, err := s.Round([]io.Writer{&b}, true, true); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		p := newPair(t, mapped(t, 8*Bytes), NewGuess())
		_, _ = p.receiver.Round(bytes.NewReader(in))
	})
}
