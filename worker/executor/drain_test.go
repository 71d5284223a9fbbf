package executor

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

const lastword = "../../jepsen/testdata/lastword.wasm"

// frozenReceiver starts lastword with its receiver frozen before the sender sends, and waits until the sender's program has
// ended. It tries again with a sender that waits longer where the machine was too slow.
func frozenReceiver(t *testing.T, placement []int, hosts int, bytes string) *testApp {
	t.Helper()
	for ms := 500; ; ms *= 2 {
		a := startApp(t, lastword, placement, hosts, strconv.Itoa(ms), bytes)
		a.rnd = rand.New(rand.NewPCG(1, 1))
		receiver := a.hosts[placement[1]]
		receiver.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Freeze{Freeze: &apiv1.ExecFreeze{
			Migration: "hold", Ranks: []int32{1}, Dir: a.dir,
		}}})
		var f *apiv1.ExecFrozen
		for f == nil || (f.Path == "" && f.Error == "") {
			f = a.next(receiver).GetFrozen()
		}
		if f.Error == "" && a.drains(0) {
			return a
		}
		require.Less(t, ms, 60_000, "the machine is too slow for this test")
	}
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

// quietFor fails if a host reports anything for some time.
func (a *testApp) quietFor(h *host, d time.Duration) {
	a.t.Helper()
	select {
	case ev := <-h.events:
		require.FailNow(a.t, "an event", "%v", ev)
	case <-time.After(d):
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

// TestStandingRanksAreCancelled: a rank that is frozen, or staged, or whose image is being written, ends when the app is cancelled; what is staged after
// that is refused.
func TestStandingRanksAreCancelled(t *testing.T) {
	a := frozenReceiver(t, []int{0, 0}, 2, "4")
	src, dst := a.hosts[0], a.hosts[1]
	image, kept := filepath.Join(a.dir, "hold-1.image"), filepath.Join(a.dir, "kept.image")
	require.NoError(t, os.Link(image, kept))
	stage := func() *apiv1.ExecStaged {
		dst.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Stage{Stage: &apiv1.ExecStage{Migration: "hold", Rank: 1, Path: image}}})
		for {
			if s := a.next(dst).GetStaged(); s != nil {
				require.NoFileExists(t, image, "it has served")
				return s
			}
		}
	}
	require.Empty(t, stage().Error)
	for _, h := range a.hosts {
		h.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Cancel{Cancel: &apiv1.ExecCancel{Reason: "enough"}}})
		delete(a.ended, 1)
		for a.ended[1] == nil {
			a.next(h)
		}
		require.NotZero(t, a.ended[1].ExitCode)
		require.Equal(t, "cancelled: enough", a.ended[1].Reason)
	}
	require.NoError(t, os.Link(kept, image))
	require.Contains(t, stage().Error, "cancelled: enough")
	src.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Resume{Resume: &apiv1.ExecResume{Ranks: []int32{1}}}})
	dst.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Drop{Drop: &apiv1.ExecDrop{Ranks: []int32{1}}}})
	for _, h := range a.hosts {
		h.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Ping{Ping: &apiv1.ExecPing{}}})
		for a.next(h).GetPong() == nil {
			continue
		}
	}
}
