package executor

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// rest has an executor without a rank that runs be none of the app's any more.
func (a *testApp) rest() {
	a.t.Helper()
	h := a.hosts[0]
	h.say(a.t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Rest{Rest: &apiv1.ExecRest{}}})
	require.NotNil(a.t, a.next(h).GetRested())
	if h.conns != nil { // of the first app: no other has one
		require.NoError(a.t, h.conns.Close())
		h.conns = nil
	}
}

// endedHere waits for the end of rank 0.
func (a *testApp) endedHere() *apiv1.ExecEnded {
	a.t.Helper()
	for {
		if e := a.next(a.hosts[0]).GetEnded(); e != nil {
			return e
		}
	}
}

// TestOneAppAfterTheOther: an executor is that of one app after the other, of which none finds anything of the one before: what it says is numbered anew, what it prints is its own, its arguments and its
// environment are. The code is compiled once. What was said to the one before counts for nobody.
func TestOneAppAfterTheOther(t *testing.T) {
	a := startApp(t, "../wasm/testdata/life.wasm", []int{0}, 1, "well")
	h := a.hosts[0]
	require.Zero(t, a.endedHere().ExitCode)
	compiled := h.exec.code.modules[a.as.Programs[0].ModulePath]
	require.NotNil(t, compiled)
	hello, err := filepath.Abs("../../examples/hello/hello.wasm")
	require.NoError(t, err)
	stops := h.exec.tuning.stops
	for n := range 6 {
		a.rest()
		h.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Ping{Ping: &apiv1.ExecPing{}}})
		h.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Cancel{Cancel: &apiv1.ExecCancel{Reason: "it is too late"}}})
		h.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Ack{Ack: &apiv1.ExecAck{Number: 1000}}})
		h.mu.Lock()
		h.lines = nil
		h.mu.Unlock()
		program := a.as.Programs[0]
		if n >= 3 {
			program = &apiv1.ExecProgram{ModulePath: hello, CacheDir: cacheDir(t), Args: []string{"hello"}, Ranks: 1}
		}
		start := &apiv1.ExecStart{
			App: fmt.Sprintf("app-%d", n), Size: 1, Ranks: []int32{0}, Host: "h0", Programs: []*apiv1.ExecProgram{program},
			Routes: &apiv1.ExecRoutes{Epoch: 1, Placement: []string{"h0"}, Addrs: map[string]string{"h0": h.addr}, RankEpochs: []uint64{1}, Ended: []bool{false}},
		}
		h.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Start{Start: start}})
		ready := a.next(h)
		require.NotNil(t, ready.GetReady(), "%v", ready)
		require.EqualValues(t, 1, ready.Number)
		end := a.endedHere()
		require.Zero(t, end.ExitCode, end.Reason)
		require.Len(t, h.exec.code.modules, 1, "of the last app alone")
		if n < 3 {
			require.Same(t, compiled, h.exec.code.modules[program.ModulePath])
		} else {
			h.mu.Lock()
			require.Len(t, h.lines, 1)
			require.Zero(t, h.lines[0].Seq)
			h.mu.Unlock()
		}
	}
	a.rest()
	require.Equal(t, stops, h.exec.tuning.stops, "no app after the first has the world stopped")
	require.NoError(t, h.control.Close())
	within(t, h.done)
}

// TestNoRestWithAnythingLeft: a process whose app did not end well, or goes on, is no executor of another one: it ends.
func TestNoRestWithAnythingLeft(t *testing.T) {
	for what, args := range map[string][]string{"it has failed": {"exit"}, "it has trapped": {"trap"}, "it goes on": nil} {
		t.Run(what, func(t *testing.T) {
			module, placement := "../wasm/testdata/life.wasm", []int{0}
			if args == nil {
				module, placement = "../../jepsen/testdata/deadlock.wasm", []int{0, 0, 0}
			}
			a := startApp(t, module, placement, 1, args...)
			h := a.hosts[0]
			if what != "it goes on" {
				require.NotZero(t, a.endedHere().ExitCode)
			}
			h.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Rest{Rest: &apiv1.ExecRest{}}})
			within(t, h.done)
			select {
			case ev := <-h.events:
				require.Nil(t, ev.GetRested())
			default:
			}
		})
	}
}

// within waits for an executor's end, which is a good one.
func within(t *testing.T, done <-chan error) {
	t.Helper()
	select {
	case err := <-done:
		require.NoError(t, err)
	case <-time.After(testWait):
		require.FailNow(t, "it does not end")
	}
}

// TestTitle: ps shows whose executor a process is, by ids of one length.
func TestTitle(t *testing.T) {
	own := title("app-one")
	own.set("app-two")
	require.Equal(t, "app-two", string(own))
	own.set("another length")
	require.Equal(t, "app-two", string(own))
	own.clear()
	require.Equal(t, "-------", string(own))
	title(nil).set("")
	title(nil).clear()
}
