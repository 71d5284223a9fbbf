package executor

import (
	"context"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/listen"
	"github.com/godwit-run/godwit/internal/pipe"
)

const lastword = "../../jepsen/testdata/lastword.wasm"

// frozenReceiver starts lastword with its receiver frozen before the sender sends, and waits until the sender's program has
// ended. It tries again with a sender that waits longer where the machine was too slow.
func frozenReceiver(t *testing.T, placement []int, hosts int, bytes string) *testApp {
	t.Helper()
	for ms := 500; ; ms *= 2 {
		a := startApp(t, lastword, placement, hosts, strconv.Itoa(ms), bytes)
		a.rnd = rand.New(rand.NewPCG(1, 1))
		for _, h := range a.hosts {
			h.exec.tries = math.MaxInt
		}
		receiver := a.hosts[placement[1]]
		gone := a.deaf() // what is sent there never comes, so that the rank stands still
		receiver.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Precopy{Precopy: &apiv1.ExecPrecopy{
			Migration: "hold", Ranks: []*apiv1.PrecopyTarget{{Rank: 1, Host: gone.name, Addr: gone.addr}},
		}}})
		var ahead *apiv1.ExecAhead
		for ahead.GetTrouble() == "" && !ahead.GetReady() { // ready: it has ended
			ahead = a.next(receiver).GetAhead()
		}
		receiver.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Freeze{Freeze: &apiv1.ExecFreeze{Migration: "hold", Ranks: []int32{1}}}})
		var f *apiv1.ExecFrozen
		for f == nil {
			f = a.next(receiver).GetFrozen()
		}
		if f.Error == "" && a.drains(0) {
			return a
		}
		require.Less(t, ms, 60_000, "the machine is too slow for this test")
	}
}

// deaf is a host that hangs up, unless somebody records.
func (a *testApp) deaf() *host {
	a.t.Helper()
	l, err := listen.New("127.0.0.1:0")
	require.NoError(a.t, err)
	acc := l.Protocol(pipe.RankProtocol)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = l.Run(ctx) })
	a.record = make(chan *listen.Conn)
	wg.Go(func() {
		for {
			c, err := acc.Accept()
			if err != nil {
				return
			}
			select {
			case a.record <- c:
			default:
				_ = c.Close()
			}
		}
	})
	a.t.Cleanup(func() {
		_ = acc.Close()
		cancel()
		wg.Wait()
	})
	return &host{name: "deaf", addr: l.Addr().String()}
}

// drains waits until a rank's program has ended; it is false if the rank's end is reported.
func (a *testApp) drains(rank int32) bool {
	a.t.Helper()
	h := a.hosts[a.placement[rank]]
	for {
		h.say(a.t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Inspect{Inspect: &apiv1.ExecInspect{}}})
		var in *apiv1.ExecInspected
		for in == nil {
			in = a.next(h).GetInspected()
		}
		if a.ended[rank] != nil {
			return false
		}
		for _, r := range in.Ranks {
			if r.Rank == rank && strings.Contains(r.Doing, "the program has ended") {
				return true
			}
		}
	}
}

// A rank whose program has ended is not over before its last messages have been received: by a rank that was frozen for long,
// on the same host and on another; and it may itself be moved meanwhile.
func TestLastMessagesOutliveTheirSender(t *testing.T) {
	for name, placement := range map[string][]int{"one host": {0, 0}, "two hosts": {0, 1}} {
		for _, bytes := range []string{"4", "200000"} {
			for _, moves := range []int{0, 3} {
				t.Run(name+", "+bytes+" bytes, "+strconv.Itoa(moves)+" moves", func(t *testing.T) {
					t.Parallel()
					a := frozenReceiver(t, placement, 3, bytes)
					for i := range moves {
						require.True(t, a.move(0, (a.placement[0]+1)%3, i != 1), "it has ended")
						require.True(t, a.drains(0))
					}
					require.Nil(t, a.ended[0])
					if moves == 0 {
						a.quietFor(a.hosts[a.placement[0]], 2500*time.Millisecond)
					}
					a.hosts[a.placement[1]].say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Resume{Resume: &apiv1.ExecResume{Ranks: []int32{1}}}})
					a.finish()
					require.Equal(t, 3, a.lines(1))
				})
			}
		}
	}
}

// quietFor fails if a host reports anything for some time, but for how well a rank is sent.
func (a *testApp) quietFor(h *host, d time.Duration) {
	a.t.Helper()
	over := time.After(d)
	for {
		select {
		case ev := <-h.events:
			require.NotNil(a.t, ev.GetAhead(), "an event: %v", ev)
		case <-over:
			return
		}
	}
}

// A rank that drains ends when the app is cancelled, and nobody waits for its messages.
func TestDrainingRankIsCancelled(t *testing.T) {
	a := frozenReceiver(t, []int{0, 1}, 2, "200000")
	a.hosts[0].say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Cancel{Cancel: &apiv1.ExecCancel{Reason: "enough"}}})
	for a.ended[0] == nil {
		a.next(a.hosts[0])
	}
	require.Zero(t, a.ended[0].ExitCode, "its program has ended well")
}

// TestStandingRanksAreCancelled: a rank that is being sent, or staged, ends when the app is cancelled; none is expected after that.
func TestStandingRanksAreCancelled(t *testing.T) {
	a := frozenReceiver(t, []int{0, 0}, 2, "4")
	src, dst := a.hosts[0], a.hosts[1]
	image := recorded(a, 1)
	expect := func() *apiv1.ExecExpecting {
		dst.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Expect{Expect: &apiv1.ExecExpect{Migration: "m", Ranks: []int32{1}}}})
		for {
			if x := a.next(dst).GetExpecting(); x != nil {
				return x
			}
		}
	}
	require.Empty(t, expect().Error)
	require.Empty(t, image.play(a, dst, "m").Error)
	for _, h := range a.hosts {
		h.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Cancel{Cancel: &apiv1.ExecCancel{Reason: "enough"}}})
		delete(a.ended, 1)
		for a.ended[1] == nil {
			a.next(h)
		}
		require.NotZero(t, a.ended[1].ExitCode)
		require.Equal(t, "cancelled: enough", a.ended[1].Reason)
	}
	require.Contains(t, expect().Error, "cancelled: enough")
	src.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Resume{Resume: &apiv1.ExecResume{Ranks: []int32{1}}}})
	dst.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Drop{Drop: &apiv1.ExecDrop{Ranks: []int32{1}}}})
	for _, h := range a.hosts {
		h.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Ping{Ping: &apiv1.ExecPing{}}})
		for a.next(h).GetPong() == nil {
			continue
		}
	}
}
