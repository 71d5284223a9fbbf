package executor

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/listen"
	"github.com/godwit-run/godwit/internal/pages"
	"github.com/godwit-run/godwit/internal/pipe"
	"github.com/godwit-run/godwit/worker/stand"
)

// tearing passes connections on to a host, and cuts as many of them as it is told, each after some bytes.
type tearing struct {
	addr string
	cuts atomic.Int32
	torn atomic.Int32

	mu   sync.Mutex // guards open
	open []net.Conn
}

// tear cuts the connections that are there.
func (p *tearing) tear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.open {
		_ = c.Close()
	}
	p.open = nil
}

func newTearing(t *testing.T, to *host, rnd *rand.Rand, most int) *tearing {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &tearing{addr: l.Addr().String()}
	rnd = rand.New(rand.NewPCG(rnd.Uint64(), 1)) // for the goroutine below alone
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			after := int64(rnd.IntN(most))
			wg.Go(func() { p.pass(t, c, to.addr, after) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return p
}

func (p *tearing) pass(t *testing.T, c net.Conn, addr string, after int64) {
	defer c.Close() //nolint:errcheck // of a test
	p.mu.Lock()
	p.open = append(p.open, c)
	p.mu.Unlock()
	other, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		return
	}
	defer other.Close() //nolint:errcheck // of a test
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = io.Copy(c, other)
		_ = c.Close()
	})
	if p.cuts.Add(-1) >= 0 {
		_, _ = io.CopyN(other, c, after)
		p.torn.Add(1)
	} else {
		_, _ = io.Copy(other, c)
	}
	_, _ = c.Close(), other.Close()
	wg.Wait()
}

// TestTornPrecopyIsBegunAnew: a rank whose connections to its target are torn, while it runs and while it stands still, is sent again, and runs on there as if nothing had been.
func TestTornPrecopyIsBegunAnew(t *testing.T) {
	const module = "../wasm/testdata/bigmem.wasm"
	seed := testSeed(t)
	rnd := rand.New(rand.NewPCG(seed, 1))
	args := []string{"4", "100000"}
	want := startApp(t, module, []int{0, 0}, 1, args...).finish()
	a := startApp(t, module, []int{0, 1}, 3, args...)
	a.rnd = rnd
	moved, torn := 0, int32(0)
	for a.ended[0] == nil {
		to := (a.placement[0] + 1) % 3
		proxy := newTearing(t, a.hosts[to], rnd, 6<<20)
		proxy.cuts.Store(int32(1 + rnd.IntN(2)))
		a.through = proxy.addr
		if !a.move(0, to, true) {
			break
		}
		moved++
		torn += proxy.torn.Load()
	}
	require.Equal(t, want, a.finish())
	require.Positive(t, moved)
	require.Positive(t, torn)
	t.Logf("%d moves, %d connections torn", moved, torn)
}

// TestTroubleIsTold: what keeps a rank's memory from its target is told, once, and a target that refuses it ends the migration.
func TestTroubleIsTold(t *testing.T) {
	a := startApp(t, "../../jepsen/testdata/steady.wasm", []int{0, 0}, 2, "1000", "20")
	src, dst := a.hosts[0], a.hosts[1]
	src.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Precopy{Precopy: &apiv1.ExecPrecopy{
		Migration: "m", Ranks: []*apiv1.PrecopyTarget{{Rank: 0, Host: dst.name, Addr: dst.addr}},
	}}})
	require.Equal(t, "host h1: the rank is not expected there", a.next(src).GetAhead().GetTrouble())
	a.expect("m", 0, dst)
	var ahead *apiv1.ExecAhead
	for !ahead.GetReady() {
		ahead = a.next(src).GetAhead()
	}
	require.Empty(t, ahead.Trouble)
	require.Positive(t, ahead.Bytes)
	require.Positive(t, ahead.Rounds)
	dst.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Drop{Drop: &apiv1.ExecDrop{Ranks: []int32{0}}}})
	for ahead.Trouble == "" {
		ahead = a.next(src).GetAhead()
	}
	require.False(t, a.next(src).GetAhead().GetReady(), "all of it is to be sent again")
	for _, h := range a.hosts {
		h.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Cancel{Cancel: &apiv1.ExecCancel{Reason: "enough"}}})
	}
	for len(a.ended) < 2 {
		a.next(src)
	}
}

// TestStrangersAreFew: who calls with the word for ranks that move and says nothing, or junk, keeps no connection from others, and a rank moves all the same.
func TestStrangersAreFew(t *testing.T) {
	a := startApp(t, "../../jepsen/testdata/steady.wasm", []int{0, 0}, 2, "60", "20")
	a.rnd = rand.New(rand.NewPCG(1, 1))
	dst := a.hosts[1]
	var first net.Conn
	for i := range 3 * maxGreeting {
		c, err := listen.Dial(t.Context(), dst.addr, pipe.RankProtocol, "app-test", "h0", precopyWord)
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		if first == nil {
			first = c
		}
		if i%3 == 1 {
			_, err = c.Write(bytes.Repeat([]byte{0xff}, 100))
			require.NoError(t, err)
		}
	}
	_, err := first.Read(make([]byte, 1))
	require.Error(t, err, "it has had to go")
	require.True(t, a.move(0, 1, true))
	a.finish()
}

// TestRankWithoutRoom: a target that has no memory for a rank says so at once, and the rank runs on.
func TestRankWithoutRoom(t *testing.T) {
	module, err := filepath.Abs("../wasm/testdata/bigmem.wasm")
	require.NoError(t, err)
	a := startAs(t, []int{0, 0}, 2, &apiv1.ExecStart{
		MemoryBytes: 100 << 20, // two ranks of 16 MiB, and what stands beside, fit a host
		Programs:    []*apiv1.ExecProgram{{ModulePath: module, CacheDir: cacheDir(t), Args: []string{"bigmem", "16", "4000"}, Ranks: 2}},
	})
	dst := a.hosts[1]
	a.expect("m", 0, dst)
	full := &image{rank: 0, memory: make([]byte, 128<<20)}
	conn, _ := full.hello(t, dst, "m")
	defer conn.Close() //nolint:errcheck // of a test
	full.memory[len(full.memory)-1] = 1
	_, _ = pages.NewSender(func() []byte { return full.memory }, pages.NewGuess()).Round([]io.Writer{conn}, false, false) // the target may have hung up before all was written
	require.Contains(t, a.nextStaged(dst).Error, "executor: rank 0: no memory")
	dst.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Drop{Drop: &apiv1.ExecDrop{Ranks: []int32{0}}}})
	a.finish()
}

// TestStillRankIsNotSentForEver: a rank that stands still, and cannot be sent, is given up after a few tries, with the reason, and goes on where it is.
func TestStillRankIsNotSentForEver(t *testing.T) {
	a := startApp(t, "../../jepsen/testdata/steady.wasm", []int{0, 0}, 2, "100", "20")
	src, dst := a.hosts[0], a.hosts[1]
	proxy := newTearing(t, dst, rand.New(rand.NewPCG(1, 1)), 2000) // all of the rank takes more
	a.through = proxy.addr
	a.expect("m", 0, dst)
	require.True(t, a.precopy("m", 0, src, dst))
	proxy.cuts.Store(100)
	proxy.tear()
	src.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Freeze{Freeze: &apiv1.ExecFreeze{Migration: "m", Ranks: []int32{0}}}})
	var f *apiv1.ExecFrozen
	for f.GetError() == "" {
		f = a.next(src).GetFrozen()
	}
	require.Contains(t, f.Error, "host h1")
	src.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Resume{Resume: &apiv1.ExecResume{Ranks: []int32{0}}}})
	dst.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Drop{Drop: &apiv1.ExecDrop{Ranks: []int32{0}}}})
	a.finish()
}

// TestSilentTargetHoldsNobody: a rank whose target says nothing ends when it ends, and goes on when it is to.
func TestSilentTargetHoldsNobody(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0") // accepts, by the kernel, and never answers
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // of a test
	a := startApp(t, "../../jepsen/testdata/steady.wasm", []int{0, 0}, 1, "10", "20")
	src := a.hosts[0]
	begin := time.Now()
	src.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Precopy{Precopy: &apiv1.ExecPrecopy{
		Migration: "m", Ranks: []*apiv1.PrecopyTarget{{Rank: 0, Host: "h9", Addr: l.Addr().String()}},
	}}})
	src.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Freeze{Freeze: &apiv1.ExecFreeze{Migration: "m", Ranks: []int32{0}}}})
	for a.next(src).GetFrozen() == nil {
		continue
	}
	src.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Resume{Resume: &apiv1.ExecResume{Ranks: []int32{0}}}})
	a.finish()
	t.Logf("%s, of which a wait for the target's word would be %s", time.Since(begin), helloWait)
}

// TestStillRankWhoseTargetIsNotReached: a rank that stands still is given up after a few tries, too, where there is no connection to its target at all.
func TestStillRankWhoseTargetIsNotReached(t *testing.T) {
	a := startApp(t, "../../jepsen/testdata/steady.wasm", []int{0, 0}, 1, "10", "20")
	src := a.hosts[0]
	src.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Precopy{Precopy: &apiv1.ExecPrecopy{
		Migration: "m", Ranks: []*apiv1.PrecopyTarget{{Rank: 0, Host: "h9", Addr: "127.0.0.1:1"}},
	}}})
	src.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Freeze{Freeze: &apiv1.ExecFreeze{Migration: "m", Ranks: []int32{0}}}})
	var f *apiv1.ExecFrozen
	for f.GetError() == "" {
		f = a.next(src).GetFrozen()
	}
	require.Contains(t, f.Error, "host h9: connect: connection refused")
	src.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Resume{Resume: &apiv1.ExecResume{Ranks: []int32{0}}}})
	a.finish()
}

// TestWhatIsSentAgainGetsOn: a rank whose connections break gets on from what was sent before, a few times; what is sent again and again is no progress.
func TestWhatIsSentAgainGetsOn(t *testing.T) {
	memory := bytes.Repeat([]byte{1}, 1<<20)
	s := pages.NewSender(func() []byte { return memory }, pages.NewGuess())
	p := &precopy{e: &Executor{life: &life{out: newOutbox()}}, ahead: &apiv1.ExecAhead{}, attempts: stand.NewAttempts(stillTries)}
	p.sender.Store(s)
	for i := range 2 * stand.MostTorn {
		_, err := s.Round([]io.Writer{io.Discard}, false, false)
		require.NoError(t, err)
		require.EqualValues(t, min(i+1, stand.MostTorn+1)<<20, p.gone())
		p.startAgain()
		p.startAgain() // one that has sent nothing is none of the few
	}
}
