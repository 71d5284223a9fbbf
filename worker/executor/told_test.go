package executor

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

const toldModule = "../wasm/testdata/told.wasm"

// endGently has all ranks of a host told that they are to end.
func (h *host) endGently(t *testing.T, grace time.Duration) {
	t.Helper()
	h.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Cancel{Cancel: &apiv1.ExecCancel{Reason: "enough", GraceMs: grace.Milliseconds()}}})
}

// begun waits until a host's only rank has printed something.
func (a *testApp) begun(h *host) {
	a.t.Helper()
	require.Eventually(a.t, func() bool { return len(h.printed()) > 0 }, testWait, time.Millisecond)
}

// printed is what has come of a host's output.
func (h *host) printed() (lines []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.lines {
		lines = append(lines, string(l.Text))
	}
	return lines
}

// over is how a rank has ended.
func (a *testApp) over(h *host) *apiv1.ExecEnded {
	a.t.Helper()
	for a.ended[0] == nil {
		a.next(h)
	}
	return a.ended[0]
}

// TestToldToEnd: a program that has a handler of SIGTERM is told so that it is to end, wherever it is, and goes on behind it; one that has none ends at once.
func TestToldToEnd(t *testing.T) {
	for _, c := range []struct {
		what   string
		code   int32
		reason string
		prints string // last
	}{
		{what: "leaves", code: 15, reason: "", prints: "receives"},
		{what: "sends", prints: "was told 0"}, // what it has sent in the handler is what it waits for
		{what: "aborts", code: 16, reason: "MPI_Abort", prints: "receives"},
		{what: "sleeps", prints: "was told 15"},
		{what: "prints", prints: "was told 15"},
		{what: "nothing", code: 1, reason: "cancelled: enough", prints: "receives"},
		{what: "another", code: 1, reason: "cancelled: enough", prints: "receives"},
	} {
		t.Run(c.what, func(t *testing.T) {
			a := startApp(t, toldModule, []int{0}, 1, c.what)
			h := a.hosts[0]
			a.begun(h)
			h.endGently(t, time.Hour)
			h.endGently(t, time.Hour) // once is enough
			end := a.over(h)
			require.Equal(t, c.code, end.ExitCode, end.Reason)
			if c.reason != "" {
				require.Contains(t, end.Reason, c.reason)
			}
			lines := h.printed()
			require.Equal(t, c.prints, lines[len(lines)-1])
		})
	}
}

// TestToldBetweenLines: a handler that prints does so between what the program prints: nothing of either is lost, or there twice.
func TestToldBetweenLines(t *testing.T) {
	a := startApp(t, toldModule, []int{0}, 1, "lines")
	h := a.hosts[0]
	a.begun(h)
	h.endGently(t, time.Hour)
	end := a.over(h)
	require.Zero(t, end.ExitCode, end.Reason)
	lines := h.printed()
	caught := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "caught ") })
	require.Positive(t, caught)
	lines[caught] = strings.TrimPrefix(lines[caught], "caught ")
	require.Equal(t, "was told 15", lines[len(lines)-1])
	for step, line := range lines[:len(lines)-1] {
		require.Equal(t, fmt.Sprint("step ", step), line)
	}
}

// TestGraceIsOver: who does not end by itself ends when the grace is over, or is taken back.
func TestGraceIsOver(t *testing.T) {
	for name, second := range map[string]time.Duration{"over": -1, "taken back": 0} {
		t.Run(name, func(t *testing.T) {
			a := startApp(t, toldModule, []int{0}, 1, "ignores")
			h := a.hosts[0]
			a.begun(h)
			if second < 0 {
				h.endGently(t, time.Millisecond)
			} else {
				h.endGently(t, time.Hour)
				h.endGently(t, second)
			}
			end := a.over(h)
			require.Equal(t, "cancelled: enough", end.Reason)
		})
	}
}

// TestToldWhereItGoesOn: a rank that stands still, or is about to, when its app is to end is told where it goes on.
func TestToldWhereItGoesOn(t *testing.T) {
	a := startApp(t, toldModule, []int{0}, 2, "leaves")
	from, target := a.hosts[0], a.hosts[1]
	a.begun(from)
	a.expect("m", 0, target)
	require.True(t, a.precopy("m", 0, from, target))
	from.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Freeze{Freeze: &apiv1.ExecFreeze{Migration: "m", Ranks: []int32{0}}}})
	for a.next(from).GetFrozen() == nil {
		continue
	}
	from.endGently(t, time.Hour)
	from.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Resume{Resume: &apiv1.ExecResume{Ranks: []int32{0}}}})
	require.EqualValues(t, 15, a.over(from).ExitCode)

	a = startApp(t, toldModule, []int{0}, 2, "leaves")
	from, target = a.hosts[0], a.hosts[1]
	a.begun(from)
	a.rnd = rand.New(rand.NewPCG(1, 1)) //nolint:gosec // no secret
	target.endGently(t, time.Hour)
	require.True(t, a.move(0, 1, true))
	require.EqualValues(t, 15, a.over(target).ExitCode, "where it has gone")
}
